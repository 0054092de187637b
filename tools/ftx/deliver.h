/* SPDX-License-Identifier: MIT */
/* Waiting until the other end, or each member of a group, has what is in an outbox. */
#ifndef FTX_TOOLS_DELIVER_H
#define FTX_TOOLS_DELIVER_H

#include "tools/ftx/refusals.h"

/* Returns when all of what was picked, and is being watched, is there durably. 0, or an exit status
 * after a line about each: what was refused, and by whom, or what the link cannot bring. */
int ftx_deliver(struct ftx_refusals *refusals);

#endif
