/* SPDX-License-Identifier: MIT */
/*
 * A model of the sending store: items with contents, an operation log, what the peer does not have
 * yet. What is in `now` is answered, what is in `safe` survives a power cut. Operations and seals
 * leave only when they are safe; bytes leave before.
 */
#ifndef FTX_TESTS_SIM_OUTBOX_H
#define FTX_TESTS_SIM_OUTBOX_H

#include "tests/sim/model.h"
#include "transport/session/plan.h"
#include "transport/session/scheduler.h"

struct sim_end;

enum { SIM_FILE = 1, SIM_FOLDER = 2, SIM_NAME_MAX = 12 };

/* An extent that left in this session, until it is durable. */
struct out_sent {
    struct ftx_extent extent;
    uint64_t send;
    bool received;
    bool changed; /* written to since */
};

struct out_item {
    uint64_t id, parent, op;
    char name[SIM_NAME_MAX];
    uint8_t what;
    bool refused;
    bool closed;
    uint32_t version, delivered;
    uint8_t *bytes;
    uint64_t size;
    size_t capacity;
    struct sim_segs pending;
    /* of the session, not kept */
    struct ftx_stream stream;
    struct out_sent *sent;
    size_t n_sent, sent_capacity;
    uint32_t seal_out;
    struct ftx_range want;
};

struct out_op {
    uint8_t *bytes;
    size_t size;
};

struct outbox_state {
    struct out_item **items;
    size_t n, capacity;
    struct out_op *ops; /* number i + 1 at i; bytes NULL: durable at the peer and forgotten */
    size_t n_ops, ops_capacity;
    uint64_t ops_gone;
    uint64_t next_item;
};

struct sim_outbox {
    struct outbox_state now, safe;
    struct sim_history history;
    uint32_t version_base; /* no version below was used before the last crash; never lost */
    struct ftx_extent
        *held; /* of this session: told by HAVE and no longer pending, must not be sent */
    size_t n_held, held_capacity;
};

void outbox_init(struct sim_outbox *outbox);
void outbox_free(struct sim_outbox *outbox);

/* What the user does. */
struct out_item *outbox_find(const struct outbox_state *state, uint64_t id);
struct out_item *outbox_make(struct sim_end *end, uint64_t parent, const char *name, uint8_t what);
void outbox_write(struct sim_end *end, struct out_item *item, uint64_t offset, uint64_t length);
void outbox_truncate(struct sim_end *end, struct out_item *item, uint64_t size);
void outbox_close(struct sim_end *end, struct out_item *item);
void outbox_move(struct sim_end *end, struct out_item *item, uint64_t parent, const char *name);
void outbox_remove(struct sim_end *end, struct out_item *item);

/* Everything answered so far survives a power cut from now on. */
void outbox_save(struct sim_end *end);
/* The power cut. */
void outbox_crash(struct sim_end *end);
/* The session is over: nothing is in flight. */
void outbox_detach(struct sim_end *end);
/* Nothing is left to do. */
void outbox_check_done(struct sim_end *end);

/* The engine's calls. */
int outbox_start(void *ctx, uint64_t durable);
size_t outbox_op(void *ctx, uint64_t number, const uint8_t **out_bytes);
void outbox_held(void *ctx, const struct ftx_extent *extent);
int outbox_extent(void *ctx, struct ftx_stream *stream, size_t room, uint64_t send,
                  struct ftx_source *out);
void outbox_size(void *ctx, struct ftx_stream *stream, struct ftx_extent *out);
bool outbox_seal(void *ctx, struct ftx_stream *stream, uint64_t send, struct ftx_plan_seal *out);
void outbox_received(void *ctx, const struct ftx_extent *extent, uint64_t send);
void outbox_durable(void *ctx, const struct ftx_extent *extent, uint64_t send);
void outbox_failed(void *ctx, const struct ftx_extent *extent, uint64_t send, int err);
void outbox_ops_durable(void *ctx, uint64_t number);
void outbox_delivered(void *ctx, uint64_t stream, uint32_t version);
void outbox_unsealed(void *ctx, uint64_t stream, uint32_t version);
void outbox_missing(void *ctx, uint64_t stream, uint32_t version, const struct ftx_range *range);
void outbox_refused(void *ctx, uint64_t stream, enum ftx_refusal reason);
void outbox_wanted(void *ctx, uint64_t stream, const struct ftx_range *range);
int outbox_read(void *ctx, struct ftx_source *source, uint8_t *out);

#endif
