/* SPDX-License-Identifier: MIT */
/* Symlinks that the other end does not take: Linux keeps user.* attributes off them, so it is told
 * from .ftx/events, which forgets and therefore is read now and then. */
#ifndef FTX_TOOLS_REFUSALS_H
#define FTX_TOOLS_REFUSALS_H

#include "tools/ftx/pick.h"
#include "tools/ftx/progress.h"

struct ftx_refusals {
    const struct ftx_pick *pick;
    const char *mount, *name; /* of the link or group */
    struct ftx_progress *progress;
    int64_t offset; /* in the events */
    size_t top;     /* the entry that the last one was below */
    uint64_t n;     /* were refused, and said to be */
};

/* Before anything is sent. All is borrowed. */
void ftx_refusals_begin(struct ftx_refusals *refusals, const struct ftx_pick *pick,
                        const char *mount, const char *name, struct ftx_progress *progress);
/* Says what is new. */
void ftx_refusals_look(struct ftx_refusals *refusals);

#endif
