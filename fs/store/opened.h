/* SPDX-License-Identifier: MIT */
/* Items that programs have open: handles are counted, the object is opened once. Private to
 * fs/store, under the lock. */
#ifndef FTX_STORE_OPENED_H
#define FTX_STORE_OPENED_H

#include "fs/store/change_log.h"

/* One handle more. -ENOMEM. */
int ftx_opened_add(struct ftx_item *item, bool writer);

/* One handle less; the last closes the object, and may free an item that stands nowhere. */
void ftx_opened_drop(struct ftx_log *log, struct ftx_item *item, bool writer);

/*
 * The descriptor of the open item's object (it has one), O_RDWR for the outbox. Lets go of the lock
 * while it opens the object; `flags` may add O_CREAT. -ENOENT: there is no such object; -EBADF: the
 * item is not open.
 */
int ftx_opened_fd(struct ftx_store *store, struct ftx_item *item, int flags, int *out_fd);

#endif
