/* SPDX-License-Identifier: MIT */
/* Commands to a mount (docs/interface.md, .ftx/ctl). */
#ifndef FTX_TOOLS_CONTROL_H
#define FTX_TOOLS_CONTROL_H

#include "tools/ftx/command.h"

/* Has the mount do one line (without its end). 0, or an exit status after the mount's own reason:
 * `link` is what the line is about, if it is a link: its name; "" if it names several; else NULL. */
int ftx_control(const char *mount, const char *line, const char *link);

/* The same of the call: the line is its command's name, `item` (NULL: none) and its words from the
 * n-th on, as they stand. Says with --json that it is done. */
int ftx_control_call(const struct ftx_call *call, const char *mount, const char *item, int n,
                     const char *link);

#endif
