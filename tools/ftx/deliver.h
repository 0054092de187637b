/* SPDX-License-Identifier: MIT */
/* Waiting until the other end, or each member of a group, has what is in an outbox. */
#ifndef FTX_TOOLS_DELIVER_H
#define FTX_TOOLS_DELIVER_H

#include "tools/ftx/pick.h"
#include "tools/ftx/progress.h"

/* Returns when all of what was picked is there durably; `name`: the link, or the group. 0, or an exit
 * status after a line about each: what was refused, and by whom, or what the link cannot bring. */
int ftx_deliver(const struct ftx_pick *pick, const char *mount, const char *name,
                struct ftx_progress *progress);

#endif
