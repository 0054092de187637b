/* SPDX-License-Identifier: MIT */
/*
 * A model of the receiving store: items by the sender's number, a complete version and a shadow
 * that takes its place at the seal. Records are written later than they came, in any order, and
 * committed later still.
 */
#ifndef FTX_TESTS_SIM_INBOX_H
#define FTX_TESTS_SIM_INBOX_H

#include "tests/sim/model.h"
#include "tests/sim/outbox.h"
#include "transport/session/engine.h"

struct in_item {
    uint64_t id, parent;
    char name[SIM_NAME_MAX];
    uint8_t what;
    bool deleted;         /* by its receiver */
    unsigned told;        /* in this session of the end REFUSED was said */
    uint64_t replaced_by; /* shown until that item is complete */
    bool complete;
    uint32_t version; /* of the complete one */
    uint8_t *bytes;
    uint64_t size;
    uint32_t came; /* the highest version an extent came of */
    bool shadow;
    uint64_t base_size; /* of the complete version it began with */
    uint8_t *shadow_bytes;
    size_t shadow_capacity;
    struct sim_segs held; /* what came into the shadow */
};

struct inbox_state {
    struct in_item **items;
    size_t n, capacity;
    uint64_t applied;
};

struct in_work {
    bool seal;
    struct ftx_content content;
    struct ftx_plan_seal sealed;
};

/* A record that came and is not written yet. */
struct in_job {
    struct ftx_record_ref ref;
    unsigned serial;
    void *whole;
    struct in_work *work;
    size_t n, capacity;
};

struct in_ref {
    struct ftx_record_ref ref;
    unsigned serial;
};

struct in_batch {
    struct ftx_extent *extents;
    size_t n;
};

struct sim_inbox {
    struct inbox_state now, safe, saving;
    struct in_job *jobs;
    size_t n_jobs, jobs_capacity;
    struct in_job current; /* of the record that is being received */
    struct in_ref *written;
    size_t n_written, written_capacity;
    bool commit; /* `saving` is on its way to the disk, and with it: */
    struct in_ref *committing;
    size_t n_committing;
    struct in_batch *have; /* what is told at the start of the session */
    size_t n_have, have_capacity, have_next;
};

void inbox_init(struct sim_inbox *inbox);
void inbox_free(struct sim_inbox *inbox);

struct in_item *inbox_find(const struct inbox_state *state, uint64_t id);
/* True if the range is held by the item or needs not be: its version is complete, or it is gone. */
bool inbox_holds(const struct inbox_state *state, const struct ftx_extent *extent);

/* Writes the i-th waiting record. */
void inbox_write(struct sim_end *end, size_t i);
void inbox_commit_begin(struct sim_end *end);
void inbox_commit_end(struct sim_end *end);
/* The session is over: all that came is written or dropped, what is written is committed. */
void inbox_drain(struct sim_end *end);
void inbox_crash(struct sim_end *end);
/* Its owner deletes an item. */
void inbox_delete(struct sim_end *end, struct in_item *item);
/* The disk loses a range. */
void inbox_damage(struct sim_end *end, struct in_item *item);
/* Prepares the HAVEs of a session. */
void inbox_tell(struct sim_end *end);

/* The engine's calls. */
bool inbox_have(void *ctx, const struct ftx_extent **out_extents, size_t *out_n);
int inbox_apply(void *ctx, uint64_t number, const uint8_t *op, size_t size);
int inbox_arrived(void *ctx, const struct ftx_content *content);
int inbox_resized(void *ctx, const struct ftx_extent *size);
int inbox_sealed(void *ctx, const struct ftx_plan_seal *seal);
void inbox_record(void *ctx, struct ftx_record_ref record, void *whole);

#endif
