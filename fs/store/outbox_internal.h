/* SPDX-License-Identifier: MIT */
/* What the files of the outbox share: an outbox file and its pending segments. Under the lock. */
#ifndef FTX_STORE_OUTBOX_INTERNAL_H
#define FTX_STORE_OUTBOX_INTERNAL_H

#include "fs/store/change_log.h"
#include "fs/store/links.h"

/* An outbox file, in its folder or not any more; NULL: none of this number. */
struct ftx_item *ftx_outbox_file_of(struct ftx_store *store, uint64_t id);

/* The file that is sent as this stream of the link; NULL: none, or it was removed. */
struct ftx_item *ftx_outgoing_item(struct ftx_store *store, const struct ftx_link *link,
                                   uint64_t stream);

/* The descriptor of the object, which is made if there is none yet; the item is open. Lets go of
 * the lock while it opens. */
int ftx_outbox_fd(struct ftx_log *log, struct ftx_item *item, int *out_fd);

/* The file was changed now. */
void ftx_outbox_stamp(struct ftx_log *log, struct ftx_item *item);

/* The item will hold what was not sealed: the first write after a close begins a version. */
void ftx_sending_reopen(struct ftx_log *log, struct ftx_item *item);

/* The OPEN segment is finished: it may be sent. */
void ftx_sending_close_tail(struct ftx_log *log, struct ftx_sending *sending);

/* The range [offset, end) is pending in this state, its bytes unknown: it will be sent as it is
 * then. -ENOMEM (a part of it may be pending). */
int ftx_sending_claim(struct ftx_log *log, struct ftx_sending *sending, uint64_t offset,
                      uint64_t end, enum ftx_pending_state state);

/* A hole from the old end to where the write began or the file was stretched. -ENOMEM. */
int ftx_sending_hole(struct ftx_log *log, struct ftx_item *item, uint64_t end);

#endif
