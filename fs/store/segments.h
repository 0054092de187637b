/* SPDX-License-Identifier: MIT */
/*
 * A set of disjoint byte ranges of one file, ordered by offset: at the sender what is not yet known
 * to be durable at the peer, and what is there only, at the receiver what has come. Pure; not
 * thread-safe. Insertion costs O(log n) comparisons and a bounded move: 4 KiB random writes over
 * 1 GiB stay cheap.
 */
#ifndef FTX_STORE_SEGMENTS_H
#define FTX_STORE_SEGMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ftx_segment_kind {
    FTX_SEGMENT_DATA = 1,
    FTX_SEGMENT_HOLE = 2,
    FTX_SEGMENT_RELEASED = 3, /* outbox: at the peer only; never in a pending set */
};

struct ftx_segment {
    uint64_t offset;
    uint64_t length;  /* > 0; offset + length <= INT64_MAX */
    uint64_t tag;     /* free for the owner of the set */
    uint8_t hash[16]; /* XXH3-128 of the bytes, if `hashed` */
    uint8_t kind;
    uint8_t state; /* free for the owner of the set */
    bool hashed;
};

struct ftx_segments {
    struct ftx_segment_table *table; /* NULL: empty. There may be a million sets without any */
    size_t count;                    /* segments in all */
    uint64_t bytes;                  /* sum of their lengths */
};

void ftx_segments_init(struct ftx_segments *set);
void ftx_segments_close(struct ftx_segments *set);

/* Puts a segment in; what it overlaps is cut away first. A data segment that was cut keeps tag and
 * state and is no longer `hashed`. -ENOMEM: unchanged. */
int ftx_segments_put(struct ftx_segments *set, const struct ftx_segment *segment);

/* Takes a range out, cutting the segments at its ends. -ENOMEM (a hole in the middle of a segment
 * makes one more): unchanged. */
int ftx_segments_cut(struct ftx_segments *set, uint64_t offset, uint64_t length);

/* The first segment that ends after `offset`, or NULL. Its state, tag, hash and hashed may be
 * changed in place; the pointer holds until the next put or cut. */
struct ftx_segment *ftx_segments_at(const struct ftx_segments *set, uint64_t offset);

/* True if some byte of [offset, end) stands in a segment. */
bool ftx_segments_overlap(const struct ftx_segments *set, uint64_t offset, uint64_t end);

/* True if every byte of the range stands in a segment. length 0: true. */
bool ftx_segments_cover(const struct ftx_segments *set, uint64_t offset, uint64_t length);

/* The first gap at or after `offset` and before `end`: true and its range (cut at `end`), or false.
 */
bool ftx_segments_gap(const struct ftx_segments *set, uint64_t offset, uint64_t end,
                      uint64_t *out_offset, uint64_t *out_length);

#endif
