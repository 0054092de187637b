/* SPDX-License-Identifier: MIT */
/*
 * A record before it is built: encoded small messages and the extents whose bytes are still to be
 * read. Made by the engine, built by a worker, then kept by the engine until the record is
 * acknowledged as durable.
 */
#ifndef FTX_SESSION_PLAN_H
#define FTX_SESSION_PLAN_H

#include "transport/base/list.h"
#include "transport/session/codec.h"
#include "transport/wire/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An extent to be sent, or the answer to a FETCH, and where the application reads it. */
struct ftx_source {
    struct ftx_extent extent;
    uint64_t object; /* the application's; not sent */
    uint64_t mark;   /* likewise */
    bool hashed;     /* extent.hash holds and must be met; else the reader fills it in */
    bool answer;     /* to a FETCH: bytes of a stream of the peer, not one of ours */
};

struct ftx_plan_seal {
    uint64_t stream, size;
    uint32_t version;
    uint8_t attributes[FTX_SEAL_ATTR_MAX];
    size_t attributes_size;
};

enum ftx_plan_kind { FTX_PLAN_BYTES = 1, FTX_PLAN_EXTENT, FTX_PLAN_SEAL, FTX_PLAN_ANSWER };

struct ftx_plan_entry {
    enum ftx_plan_kind kind;
    int err;                    /* set by the build: this entry was left out */
    struct ftx_packing packing; /* of data: whether to compress it, then what came of that */
    union {
        struct {
            uint32_t offset, size; /* in plan->bytes */
        } bytes;
        struct ftx_source source;   /* EXTENT, ANSWER */
        struct ftx_plan_seal *seal; /* owned */
    } as;
};

struct ftx_plan {
    struct ftx_list node; /* the engine's: sent, waiting for its acknowledgement */
    uint64_t send;        /* this plan's mark, unique in the session */
    uint64_t number;      /* of its record on the connection */
    unsigned connection;
    bool built;
    bool reads;       /* its build reads from the disk */
    bool ackable;     /* has effects at the peer: it is going to be acknowledged */
    uint64_t op_last; /* highest operation in it, 0: none */
    uint64_t op_bytes;
    uint64_t window_bytes;   /* extents with their heads: many tiny ones cost memory too */
    uint64_t left_out_bytes; /* of them, what the build left out */
    uint64_t packed_before, packed_after; /* bytes of the data that the build compressed */
    size_t size;    /* of the plain text, if every entry can be built and none is compressed */
    uint8_t *bytes; /* encoded small messages */
    size_t bytes_size, bytes_capacity;
    struct ftx_plan_entry *entries;
    size_t n_entries, capacity;
};

/*
 * Reads source->extent.length bytes of a data extent into `out`; sets the hash if it was not known.
 * FTX_ECHANGED: the bytes are no longer those (if no hash tells, a write into the range since the
 * pull does: a SEAL may stand behind them); -EIO, FTX_ECORRUPT: they cannot be had. Any thread.
 */
typedef int (*ftx_plan_read_fn)(void *ctx, struct ftx_source *source, uint8_t *out);

struct ftx_plan *ftx_plan_new(unsigned connection, uint64_t send);
void ftx_plan_free(struct ftx_plan *plan);

/* Free bytes in the record. */
size_t ftx_plan_room(const struct ftx_plan *plan);

/* Add to the end. -ENOMEM, -EMSGSIZE: unchanged. */
int ftx_plan_add_message(struct ftx_plan *plan, const struct ftx_message *message);
int ftx_plan_add_encoded(struct ftx_plan *plan, const uint8_t *bytes, size_t size);
int ftx_plan_add_extent(struct ftx_plan *plan, const struct ftx_source *source);
int ftx_plan_add_answer(struct ftx_plan *plan, const struct ftx_source *source);
int ftx_plan_add_seal(struct ftx_plan *plan, const struct ftx_plan_seal *seal);

/*
 * Writes the record's plain text to `out` (plan->size bytes of room, but at least
 * FTX_MESSAGE_SMALL_MAX) and returns its size, at least 1: a record whose content is gone holds an
 * unasked PONG. An extent or answer that cannot be read is left out with its `err` set, and with an
 * extent later seals of its stream; a plan of which nothing with effect is left is no longer
 * `ackable`. Compresses what `packing` says with the packer (NULL: nothing). Any thread; touches
 * nothing but the plan.
 */
size_t ftx_plan_build(struct ftx_plan *plan, ftx_plan_read_fn read, void *ctx,
                      const struct ftx_packer *packer, uint8_t *out);

/* Does the build compress something, if it can? */
bool ftx_plan_packs(const struct ftx_plan *plan);

#endif
