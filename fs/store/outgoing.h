/* SPDX-License-Identifier: MIT */
/*
 * What of the outbox is to be sent, and what became of it: the loop's side of the outbox (fs/xfer
 * calls these for the engine). Takes the lock itself; never waits for the disk, but for
 * ftx_outgoing_read, which runs on workers.
 */
#ifndef FTX_STORE_OUTGOING_H
#define FTX_STORE_OUTGOING_H

#include "fs/store/links.h"
#include "fs/store/store.h"
#include "transport/session/plan.h"

/* The peer has applied all operations up to `durable`: forgets them. FTX_ELOST if that is not a
 * number it can have. */
int ftx_outgoing_start(struct ftx_store *store, struct ftx_link *link, uint64_t durable);
/* Operation `number` copied to `out` (FTX_OP_MAX bytes); its size, 0: none. */
size_t ftx_outgoing_op(struct ftx_store *store, struct ftx_link *link, uint64_t number,
                       uint8_t *out);
/* The number of the last operation that may leave: it and all before it are durable. */
uint64_t ftx_outgoing_op_ready(struct ftx_store *store, struct ftx_link *link);
int ftx_outgoing_ops_durable(struct ftx_store *store, struct ftx_link *link, uint64_t number);

/*
 * The next sending that must be looked at, taken from the link's list, or NULL. *out_finished: its
 * item is gone or delivered; take it out of the engine and call ftx_outgoing_forget.
 */
struct ftx_sending *ftx_outgoing_due(struct ftx_store *store, struct ftx_link *link,
                                     bool *out_finished);
void ftx_outgoing_forget(struct ftx_store *store, struct ftx_sending *sending);
/* True if the sendings to be looked at have at least `bytes` pending, or somebody here waits for
 * bytes or an answer of the peer. */
bool ftx_outgoing_waits(struct ftx_store *store, struct ftx_link *link, uint64_t bytes);
/* All sendings of the link become due: a session begins. What was in flight is due again. */
void ftx_outgoing_restart(struct ftx_store *store, struct ftx_link *link);

/* A session is over: files that have nothing to send but that they are complete rest until the next
 * one. Under the lock. */
void ftx_outgoing_rest(const struct ftx_store *store, struct ftx_link *link);

/* For the engine's calls of the same names (transport/session/engine.h). */
int ftx_outgoing_extent(struct ftx_store *store, struct ftx_sending *sending, size_t room,
                        uint64_t send, struct ftx_source *out);
void ftx_outgoing_size(struct ftx_store *store, struct ftx_sending *sending,
                       struct ftx_extent *out);
/* `op_sent`: operations up to this one have left. */
bool ftx_outgoing_seal(struct ftx_store *store, struct ftx_sending *sending, uint64_t send,
                       uint64_t op_sent, struct ftx_plan_seal *out);
/* What the peer answered. An error: nothing can be noted now, so it did not happen: the session
 * must end, for the next one learns it again. */
int ftx_outgoing_held(struct ftx_store *store, struct ftx_link *link,
                      const struct ftx_extent *extent);
int ftx_outgoing_received(struct ftx_store *store, struct ftx_link *link,
                          const struct ftx_extent *extent, uint64_t send);
int ftx_outgoing_durable(struct ftx_store *store, struct ftx_link *link,
                         const struct ftx_extent *extent, uint64_t send);
int ftx_outgoing_failed(struct ftx_store *store, struct ftx_link *link,
                        const struct ftx_extent *extent, uint64_t send, int cause);
int ftx_outgoing_delivered(struct ftx_store *store, struct ftx_link *link, uint64_t stream,
                           uint32_t version);
int ftx_outgoing_unsealed(struct ftx_store *store, struct ftx_link *link, uint64_t stream,
                          uint32_t version);
int ftx_outgoing_missing(struct ftx_store *store, struct ftx_link *link, uint64_t stream,
                         uint32_t version, const struct ftx_range *range);
int ftx_outgoing_refused(struct ftx_store *store, struct ftx_link *link, uint64_t stream,
                         uint8_t reason);
/* The sending of a stream of this link that still has something to send, or NULL. */
struct ftx_sending *ftx_outgoing_find(struct ftx_store *store, struct ftx_link *link,
                                      uint64_t stream);
/* A reader waits for this range: it is looked at first. */
void ftx_outgoing_wanted(struct ftx_store *store, struct ftx_sending *sending,
                         const struct ftx_range *range);

/* Something of the wanted range is still to be sent. */
bool ftx_outgoing_is_wanted(struct ftx_store *store, const struct ftx_sending *sending);

/* Reads an extent for a record (ftx_plan_read_fn, ctx: the store). Worker thread, no lock. */
int ftx_outgoing_read(void *store, struct ftx_source *source, uint8_t *out);

#endif
