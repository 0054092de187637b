/* SPDX-License-Identifier: MIT */
/* What was picked, into an outbox. */
#ifndef FTX_TOOLS_FILL_H
#define FTX_TOOLS_FILL_H

#include "tools/ftx/pick.h"
#include "tools/ftx/progress.h"

/* On one of the first names that are sent: "FILES BYTES" of the whole, for who receives. */
#define FTX_FILL_OFFER "user.ftx-send"

/* Copies into the folder of a link. What is there already, the same, stays. 0, or an exit status
 * after one line about it. */
int ftx_fill(const struct ftx_pick *pick, const char *folder, struct ftx_progress *progress);

#endif
