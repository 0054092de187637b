/* SPDX-License-Identifier: MIT */
/*
 * What has come leaves the store for a folder of the same file system, by rename. Its item stays, as
 * TAKEN: the sender may not know yet that it was complete, and may say again what it said before.
 * Any thread.
 */
#ifndef FTX_STORE_TAKE_H
#define FTX_STORE_TAKE_H

#include "fs/store/store.h"

#include <stdbool.h>
#include <time.h>

/*
 * A complete file gets its mode, time and attributes, and the name in the folder `to_fd`, if nothing
 * has it. What says that it is complete must be durable (ftx_store_sync), and once the folder is
 * too, ftx_take_done is to be called. -EAGAIN: it is not complete, or is being updated; -EXDEV and
 * the like. -EEXIST, -ENODATA (its bytes have left already): ftx_take_done or ftx_take_not, as the
 * caller finds.
 */
int ftx_take_file(struct ftx_store *store, uint64_t id, int to_fd, const char *name);

/* Nothing comes of it. */
void ftx_take_not(struct ftx_store *store, uint64_t id);

/* An item of the inbox stands elsewhere now; `copied`: what the store has of a file goes. */
int ftx_take_done(struct ftx_store *store, uint64_t id, bool copied);

/* What is open as `fd` gets the mode and time, and the item's user.* attributes as far as it takes
 * them. */
int ftx_take_dress(struct ftx_store *store, uint64_t id, uint16_t mode, int64_t mtime_ns, int fd);

/* For futimens and utimensat: now, and this. */
void ftx_take_times(int64_t mtime_ns, struct timespec out[2]);

#endif
