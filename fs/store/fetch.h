/* SPDX-License-Identifier: MIT */
/*
 * Released bytes of the outbox come back: a reader asks, the loop asks the peer, the answer is
 * written to the object, and the reader looks again. Ranges are asked for once in a session, and
 * ahead of a reader that goes on.
 */
#ifndef FTX_STORE_FETCH_H
#define FTX_STORE_FETCH_H

#include "fs/store/change_log.h"
#include "fs/store/links.h"
#include "transport/session/plan.h"

/* -- for the peer's side; loop thread -- */

/* The next range to ask the peer for; false: none. */
bool ftx_fetch_next(struct ftx_store *store, struct ftx_link *link, uint64_t *out_stream,
                    struct ftx_range *out_range);
/* A session begins: what was not answered is to be asked for again. */
void ftx_fetch_restart(struct ftx_store *store, struct ftx_link *link);
/* It is over: of a group's bytes another member is asked. Under the lock. */
void ftx_fetch_ended(struct ftx_log *log, struct ftx_link *link);

/* The peer answered what it was asked for: `asked` bytes from the extent's beginning on. If that is
 * more, the rest is to be asked for again. */
void ftx_fetch_answered(struct ftx_store *store, struct ftx_link *link, uint64_t asked,
                        const struct ftx_extent *extent);
/* The answer's bytes are about to be written: where to. ftx_fetch_wrote follows. -EALREADY: nobody
 * needs them any more. */
int ftx_fetch_begin(struct ftx_store *store, struct ftx_link *link, const struct ftx_extent *extent,
                    uint64_t *out_item, uint64_t *out_object);
/* They are there, or `err` happened, which who waits for them then gets. */
void ftx_fetch_wrote(struct ftx_store *store, uint64_t item, const struct ftx_extent *extent,
                     int err);
/* The peer does not have the range any more. */
void ftx_fetch_gone(struct ftx_store *store, struct ftx_link *link,
                    const struct ftx_extent *extent);

/*
 * What the peer asks back of the inbox: the longest beginning of the range that stands in one
 * place. out->extent.kind FTX_EXTENT_GONE: it is not here.
 */
void ftx_fetch_serve(struct ftx_store *store, struct ftx_link *link, uint64_t stream,
                     const struct ftx_range *range, struct ftx_source *out);
/* Reads it (ftx_plan_read_fn, ctx: the store). Worker thread, no lock. */
int ftx_fetch_read(void *store, struct ftx_source *source, uint8_t *out);

/* -- private to fs/store, under the lock -- */

/*
 * A reader, or a member of a group, wants [offset, end) of a file of the outbox. 0: it is here.
 * -EAGAIN: it is not, and was asked for if `want`; -ENODATA and others: it cannot be had.
 */
int ftx_fetch_ask(struct ftx_store *store, struct ftx_item *item, uint64_t offset, uint64_t end,
                  bool want, bool *out_asked);
/* Nobody will be asked any more: the link goes. */
void ftx_fetch_forget(struct ftx_link *link);
/* What could not be had may be asked for again: somebody opens the file anew. */
void ftx_fetch_retry(struct ftx_store *store, struct ftx_item *item);
/* The peer of a group's member is asked for a byte, to show that it has the file. -EAGAIN: it will be;
 * -EBUSY: without memory. Under the lock. */
int ftx_fetch_prove(struct ftx_item *mirror, uint64_t offset);

#endif
