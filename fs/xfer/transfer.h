/* SPDX-License-Identifier: MIT */
/* One link's transfer; private to fs/xfer. */
#ifndef FTX_XFER_TRANSFER_H
#define FTX_XFER_TRANSFER_H

#include "fs/store/fetch.h"
#include "fs/store/inbox.h"
#include "fs/store/links.h"
#include "fs/store/offer.h"
#include "fs/store/outgoing.h"
#include "fs/xfer/digests.h"
#include "fs/xfer/xfer.h"
#include "transport/peer/peer.h"

struct ftx_inbound_record;

struct ftx_refused {
    uint64_t item;
    uint8_t reason;
};

struct ftx_transfer {
    struct ftx_list node; /* xfer->transfers */
    struct ftx_xfer *xfer;
    struct ftx_store *store;
    struct ftx_link *link; /* the store's; lives as long as it */
    struct ftx_peer *peer;
    struct ftx_engine *engine; /* NULL: no session */
    bool connected;            /* the session was told of */
    bool leaving;              /* its link was removed; the peer says `gone` when it is */
    unsigned n_saving;         /* identities on their way to the database */
    uint64_t unsaved_token;    /* one for which there was no memory; 0: none */
    uint8_t op[FTX_OP_MAX];    /* what the engine's `op` gave last */
    bool may_fetch;   /* as of the last record that came: the peer can be asked for ranges */
    uint64_t op_last; /* the last operation that may be sent, as of this turn of the loop */

    /* receive.c */
    struct ftx_inbound_record *record; /* being taken in */
    struct ftx_list records;           /* records that are not durable yet, oldest first */
    unsigned n_working;                /* jobs at workers */
    uint64_t generation;         /* counts sessions: answers of workers to an old one are dropped */
    struct ftx_refused *refused; /* operations that were: told again in each session */
    size_t n_refused;
    uint64_t losses;        /* of the store, as of the last look */
    bool no_room;           /* on the disk, for a record that waits */
    bool no_room_told;      /* since then */
    int failed;             /* what came cannot be stored: the session ends at the next turn */
    bool preparing;         /* a session waits until all is written and committed ... */
    uint64_t prepare_entry; /* ... up to this journal entry */
    uint64_t *unfinished;   /* items whose holdings are being told */
    size_t n_unfinished, at_unfinished;
    uint64_t held_offset;
    struct ftx_extent *held; /* FTX_HAVE_MAX of room while telling */
};

extern const struct ftx_engine_app ftx_transfer_app;

enum ftx_links_policy ftx_xfer_links(const struct ftx_xfer *xfer);
struct ftx_digests *ftx_xfer_digests(struct ftx_xfer *xfer);
uv_loop_t *ftx_xfer_loop(const struct ftx_xfer *xfer);
/* Calls ftx_transfer_receive_retry of all transfers in a second. */
void ftx_xfer_retry_later(struct ftx_xfer *xfer);
/* A transfer without peer and without work may be freed. */
void ftx_xfer_reap(struct ftx_transfer *transfer);

/* session.c: of the peer's host. */
void ftx_transfer_prepare(void *ctx);
void ftx_transfer_begin(void *ctx, struct ftx_engine *engine);
bool ftx_transfer_busy(void *ctx);
void ftx_transfer_end(void *ctx, int reason);
void ftx_transfer_health(void *ctx, enum ftx_peer_health health, const char *address);
void ftx_transfer_guess_failed(void *ctx);
int ftx_transfer_read(void *ctx, struct ftx_source *source, uint8_t *out);
void ftx_transfer_packed(void *ctx, uint64_t before, uint64_t after);
/* The store is told which way the session goes, and how good that is. */
void ftx_transfer_look_at_way(struct ftx_transfer *transfer);

/* reach.c: of the peer's host; and what it told before the start. */
void ftx_transfer_told(void *ctx, const struct ftx_told_address *told, size_t n);
void ftx_transfer_recall(struct ftx_transfer *transfer);

/* send.c: takes what the store has due for the link to the engine. True if there was something. */
bool ftx_transfer_send_due(struct ftx_transfer *transfer);
/* Tells the peer which of its folders were removed here. True if there were some. */
bool ftx_transfer_tell_removed(struct ftx_transfer *transfer);

/* receive.c */
void ftx_transfer_receive_begin(struct ftx_transfer *transfer);
void ftx_transfer_receive_end(struct ftx_transfer *transfer);
/* What the peer is to hear of what it offered. True if there was something. */
bool ftx_transfer_answer(struct ftx_transfer *transfer);
/* Tries again what had no room on the disk. */
void ftx_transfer_receive_retry(struct ftx_transfer *transfer);
/* The transfer goes away. */
void ftx_transfer_receive_free(struct ftx_transfer *transfer);
/* The store committed more, or a worker is back: completes, acknowledges, answers `prepare`. */
void ftx_transfer_receive_advance(struct ftx_transfer *transfer);

/* The engine's calls; send.c and receive.c. */
int ftx_send_start(void *ctx, uint64_t durable);
size_t ftx_send_op(void *ctx, uint64_t number, const uint8_t **out_bytes);
void ftx_send_held(void *ctx, const struct ftx_extent *extent);
int ftx_send_extent(void *ctx, struct ftx_stream *stream, size_t room, uint64_t send,
                    struct ftx_source *out);
void ftx_send_size(void *ctx, struct ftx_stream *stream, struct ftx_extent *out);
bool ftx_send_seal(void *ctx, struct ftx_stream *stream, uint64_t send, struct ftx_plan_seal *out);
void ftx_send_received(void *ctx, const struct ftx_extent *extent, uint64_t send);
void ftx_send_durable(void *ctx, const struct ftx_extent *extent, uint64_t send);
void ftx_send_failed(void *ctx, const struct ftx_extent *extent, uint64_t send, int err);
void ftx_send_ops_durable(void *ctx, uint64_t number);
void ftx_send_delivered(void *ctx, uint64_t stream, uint32_t version);
void ftx_send_unsealed(void *ctx, uint64_t stream, uint32_t version);
void ftx_send_missing(void *ctx, uint64_t stream, uint32_t version, const struct ftx_range *range);
void ftx_send_refused(void *ctx, uint64_t stream, enum ftx_refusal reason);
void ftx_send_serve(void *ctx, uint64_t stream, const struct ftx_range *range,
                    struct ftx_source *out);
void ftx_send_wanted(void *ctx, uint64_t stream, const struct ftx_range *range);
void ftx_send_digest(void *ctx, uint64_t stream, enum ftx_digest_whose whose);
void ftx_send_digested(void *ctx, const struct ftx_told_digest *told);
void ftx_send_holds(void *ctx, uint64_t item);
void ftx_send_takes(void *ctx, uint64_t item);

bool ftx_receive_hold(void *ctx, uint64_t *out_item);
bool ftx_receive_have(void *ctx, const struct ftx_extent **out_extents, size_t *out_n);
int ftx_receive_apply(void *ctx, uint64_t number, const uint8_t *op, size_t size);
int ftx_receive_arrived(void *ctx, const struct ftx_content *content);
int ftx_receive_fetched(void *ctx, uint64_t asked, const struct ftx_content *answer);
int ftx_receive_resized(void *ctx, const struct ftx_extent *size);
int ftx_receive_sealed(void *ctx, const struct ftx_plan_seal *seal);
void ftx_receive_record(void *ctx, struct ftx_record_ref record, void *whole);

#endif
