/* SPDX-License-Identifier: MIT */
/*
 * What is offered and not accepted yet. With accept=ask whatever a peer makes in the root of an
 * inbox, file, folder or symlink, waits there for its owner, with all that is below it: names and
 * sizes are shown, no content comes. At the sender such an item is held.
 *
 * Who asks says so when a session begins (HOLD): of its root in general, and of each item that
 * waits. What the sender makes in the root, or moves there, is held from then on until it hears
 * TAKE of it, or REFUSED. docs/protocol.md 6.16.
 */
#ifndef FTX_STORE_OFFER_H
#define FTX_STORE_OFFER_H

#include "fs/store/inbox.h"
#include "fs/store/links.h"

/* -- the owner of the inbox; any thread -- */

/* An item in the root of the inbox is accepted, or rejected: it is shown as refused until the peer
 * has heard of it. -EALREADY: it is not offered; -EINVAL: it stands in a folder that is offered, or
 * not: that is accepted, and nothing in it alone; -EOPNOTSUPP: nothing of an inbox. */
int ftx_item_accept(struct ftx_store *store, uint64_t id);
int ftx_item_reject(struct ftx_store *store, uint64_t id);
/* The same of all that is offered in the link. -ENOENT: no such link; -EALREADY: nothing is. */
int ftx_link_accept(struct ftx_store *store, const char *name, size_t size);
int ftx_link_reject(struct ftx_store *store, const char *name, size_t size);

/* Nobody is asked any more: what is offered is accepted. */
int ftx_offers_unasked(struct ftx_store *store, const char *name, size_t size);

/* -- for the loop -- */

/* What the peer is to hear of an item that it offered. */
struct ftx_answer {
    struct ftx_list node;
    uint64_t remote;
    uint8_t refused; /* of the wire; 0: it is taken */
};

/* A session begins. */
void ftx_offers_restart(struct ftx_store *store, struct ftx_link *link);
/* The next item for HOLD, 0 of all that is new; false: no more. */
bool ftx_offers_next(struct ftx_store *store, struct ftx_link *link, uint64_t *out_remote);
/* The next answer, which stays until ftx_answer_told. False: none. */
bool ftx_answer_next(struct ftx_store *store, struct ftx_link *link, struct ftx_answer *out);
void ftx_answer_told(struct ftx_store *store, struct ftx_link *link);

/* What the peer says of our outbox: HOLD, TAKE; 0: of its root. */
void ftx_outgoing_holds(struct ftx_store *store, struct ftx_link *link, uint64_t remote);
void ftx_outgoing_takes(struct ftx_store *store, struct ftx_link *link, uint64_t remote);

/* -- private to fs/store, under the lock -- */

struct ftx_log;

/* Items that wait for their owner. */
uint64_t ftx_offers_count(const struct ftx_link *link);
/* It, or what it stands in, is offered. */
bool ftx_item_offered(const struct ftx_item *item);
/* May content of the file come? Not (FTX_EPROTO) of what its owner has not accepted. What stands in an
 * offer only because its owner took it there was accepted where it was. -EPERM: its sender need not
 * know, for it has the file, or a folder above it, elsewhere, or may have. */
int ftx_offer_check(const struct ftx_item *item);
/* Its owner has accepted it, or its place is such that nobody asks. No change of the tree. */
void ftx_offer_take(struct ftx_log *log, struct ftx_item *item);
/* The peer made or moved the item into the root: `taken` if something of it was accepted already.
 * Decides, and answers. -ENOMEM. */
int ftx_offer_placed(struct ftx_log *log, struct ftx_item *item, bool taken);
/* The size of an offered file is known: now its owner can be asked. */
void ftx_offer_sized(struct ftx_log *log, struct ftx_item *item);
/* The peer shall hear that the item is refused. Without memory it will when it sends of it. */
void ftx_answer_refused(struct ftx_link *link, const struct ftx_item *item, uint8_t reason);
void ftx_answers_clear(struct ftx_link *link);

/* A session begins: what it holds the peer says anew. */
void ftx_outgoing_unhold(struct ftx_link *link);
/* It, or what it stands in, is held by the peer. */
bool ftx_item_held(const struct ftx_item *item);
/* Our item was made in, or moved to or from, the root. */
void ftx_outbox_placed(struct ftx_item *item);
/* The peer refuses a folder that it held: what is in it was never accepted either. */
void ftx_outgoing_refuse_below(struct ftx_log *log, struct ftx_item *folder, uint8_t reason);

#endif
