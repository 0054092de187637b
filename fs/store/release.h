/* SPDX-License-Identifier: MIT */
/*
 * Giving the room of delivered bytes back. Files of the outbox stand in a queue, in the order in
 * which the peer got them; the database thread releases them when they were not used for a while,
 * or at once when room is short, then of open and unfinished files too what the peer has.
 *
 * The order is that of a removal: the ranges are noted as released, that becomes durable, then
 * their room is given back. Private to fs/store.
 */
#ifndef FTX_STORE_RELEASE_H
#define FTX_STORE_RELEASE_H

#include "fs/store/change_log.h"

/* The file may have bytes that can be released: it takes its place in the queue. Under the lock. */
void ftx_release_later(struct ftx_store *store, struct ftx_item *item);
/* Empties the queue. Under the lock. */
void ftx_release_nothing(struct ftx_store *store);
/* All that the last run left, at the start. */
void ftx_release_load(struct ftx_store *store);

/* The queue itself, under the lock. push: the last; without memory it is not released before the
 * next start. again: the next one once more. pop: NULL: it is gone. */
void ftx_release_push(struct ftx_spool *spool, struct ftx_item *item);
void ftx_release_again(struct ftx_spool *spool, struct ftx_item *item);
struct ftx_item *ftx_release_pop(struct ftx_store *store);

/* In how many ms there is something to do; 0: now, INT64_MAX: nothing. Under the lock. */
int64_t ftx_release_due_ms(const struct ftx_store *store);

/* Notes what is released now. Database thread, without the lock. */
void ftx_release_some(struct ftx_store *store);

/* What was noted before this commit gives its room back. The list is of struct ftx_punch, and
 * becomes empty. Database thread, without the lock. */
void ftx_release_punch(struct ftx_store *store, struct ftx_list *punches);

#endif
