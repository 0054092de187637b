/* SPDX-License-Identifier: MIT */
/* What ftx send says, with and without a mount. */
#ifndef FTX_TOOLS_SEND_H
#define FTX_TOOLS_SEND_H

#include "tools/ftx/command.h"

#include <stdint.h>

/* The code that the other end has to say; with --json, the first line. */
void ftx_send_show_code(const struct ftx_call *call, const char *code);
/* All of it is there, but for `left` that could not be sent. The exit status. */
int ftx_send_show_end(const struct ftx_call *call, uint64_t files, uint64_t bytes, uint64_t left,
                      double seconds);

#endif
