/* SPDX-License-Identifier: MIT */
/*
 * What has come leaves the store for a folder of the same file system, by rename. Without a mount its
 * item stays, as TAKEN: the sender may not know yet that it was complete, and may say again what it
 * said before. Any thread.
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

/*
 * The same out of a mount, where programs use the inbox: the file, its bytes shared with nobody,
 * becomes `name` in the folder `to_fd` (O_PATH will do), durably, and its item goes. -EXDEV: another
 * mount; -EBUSY: somebody has it open, it is not complete, or is being updated; -EOPNOTSUPP: it has
 * no bytes; -EEXIST, -ENOENT and the like. Waits for the disk.
 */
int ftx_take_out(struct ftx_store *store, uint64_t id, int to_fd, const char *name);

/* The empty file `to_fd` shares the bytes of a complete one, where the file system knows that
 * (reflink). -EBUSY: it is not complete; -EOPNOTSUPP, -EXDEV and the like: then it is to be copied. */
int ftx_take_clone(struct ftx_store *store, uint64_t id, int to_fd);

/* At the start: what a kill left between here and there is one or the other. */
int ftx_take_settle(struct ftx_store *store);

/* Under the lock: it is about to leave, who opens it waits on store->left. */
bool ftx_take_runs(const struct ftx_item *item);

/* What is open as `fd` gets the mode and time, and the item's user.* attributes as far as it takes
 * them. */
int ftx_take_dress(struct ftx_store *store, uint64_t id, uint16_t mode, int64_t mtime_ns, int fd);

/* For futimens and utimensat: now, and this. */
void ftx_take_times(int64_t mtime_ns, struct timespec out[2]);

#endif
