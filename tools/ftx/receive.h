/* SPDX-License-Identifier: MIT */
/* What ftx receive says and asks, with and without a mount. */
#ifndef FTX_TOOLS_RECEIVE_H
#define FTX_TOOLS_RECEIVE_H

#include "tools/ftx/command.h"
#include "tools/ftx/progress.h"

#include <stdint.h>

/* Is what is offered to be received? `known`: the sender said that this is all of it. */
bool ftx_receive_ask(const struct ftx_call *call, struct ftx_progress *progress, uint64_t files,
                     uint64_t bytes, bool known);
/* All of it is here. */
void ftx_receive_show_end(const struct ftx_call *call, uint64_t files, uint64_t bytes);

#endif
