/* SPDX-License-Identifier: MIT */
/*
 * What of an outbox file is at the peer only: ranges that the peer has durably and that gave their
 * room back here. No byte is both released and pending. Private to fs/store; everything under the
 * lock.
 *
 * A file all of which is released has no object and costs a bit (`away`); one of which a part is
 * has a set. Bytes that came back are released again after the next start: only writing to them
 * makes them ours once more.
 */
#ifndef FTX_STORE_RELEASED_H
#define FTX_STORE_RELEASED_H

#include "fs/store/change_log.h"

/* The first released part of [offset, end): true and its bounds. */
bool ftx_released_next(const struct ftx_item *item, uint64_t offset, uint64_t end, uint64_t *out_at,
                       uint64_t *out_end);
uint64_t ftx_released_bytes(const struct ftx_item *item);
bool ftx_released_any(const struct ftx_item *item, uint64_t offset, uint64_t end);

/* The range is released; or is here again. In memory only. -ENOMEM: unchanged. */
int ftx_released_put(struct ftx_item *item, uint64_t offset, uint64_t end);
int ftx_released_cut(struct ftx_item *item, uint64_t offset, uint64_t end);

/* One that is `away` gets a set: it will have an object, or another size. -ENOMEM. */
int ftx_released_spread(struct ftx_item *item);
/* All of it is released, and it has no object any more. */
void ftx_released_whole(struct ftx_item *item);
void ftx_released_free(struct ftx_item *item);

/*
 * Somebody fills or punches the range, and everybody else waits: begin, and done, which wakes them.
 * -EBUSY: somebody does already; -ENOMEM.
 */
int ftx_released_occupy(struct ftx_item *item, uint64_t offset, uint64_t end);
void ftx_released_leave(struct ftx_store *store, struct ftx_item *item, uint64_t offset,
                        uint64_t end);
/* Waits until nobody does. Lets go of the lock meanwhile, so what was noted is flushed first. An
 * error is that of ftx_log_room. */
int ftx_released_quiet(struct ftx_log *log, const struct ftx_item *item, uint64_t offset,
                       uint64_t end);

#endif
