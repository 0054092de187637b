/* SPDX-License-Identifier: MIT */
/* What was picked, into an outbox. */
#ifndef FTX_TOOLS_FILL_H
#define FTX_TOOLS_FILL_H

#include "tools/ftx/pick.h"
#include "tools/ftx/progress.h"
#include "tools/ftx/refusals.h"

/*
 * On one of the first names that are sent: "FILES BYTES" of the whole, for who receives. While it is
 * being copied, a third number: when that was begun, in ns since 1970. A run that finds it goes on.
 */
#define FTX_FILL_OFFER "user.ftx-send"

struct ftx_filled {
    uint64_t files, bytes; /* are in the outbox */
    uint64_t left;         /* could not be read */
};

/*
 * Copies into the folder of a link or group. What is there already, the same, stays if it is still
 * to be sent, or came there in a run that was cut off; else it is sent once more, for the peer may
 * have taken away what it had. 0, or an exit status after one line about it.
 */
int ftx_fill(const struct ftx_pick *pick, const char *folder, struct ftx_refusals *refusals,
             struct ftx_progress *progress, struct ftx_filled *out);

/* Was a run cut off that was copying this there? */
bool ftx_fill_is_cut(const struct ftx_pick *pick, const char *folder);

/* A line about what is not sent. */
void ftx_fill_say_left(const char *path, const char *why);

#endif
