/* SPDX-License-Identifier: MIT */
/*
 * Disjoint ranges in a two-level sorted array: chunks of at most CHUNK_MAX segments, so that an
 * insertion moves a few KiB, however long the set is. Every change is one splice: the run of
 * segments that a range touches is replaced by up to three pieces. All that can fail happens before
 * the first byte moves.
 */
#include "fs/store/segments.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_MAX = 128 /* 6 KiB: the most that an insertion moves */ };

struct ftx_segment_chunk {
    size_t count; /* > 0 but inside a splice */
    size_t capacity;
    struct ftx_segment items[];
};

struct ftx_segment_table {
    size_t n; /* > 0 but inside a splice */
    size_t capacity;
    struct ftx_segment_chunk *chunks[];
};

/* Where a segment stands; past the last one: the last chunk and its count. */
struct place {
    size_t chunk;
    size_t index;
};

static size_t n_chunks(const struct ftx_segments *set)
{
    return set->table ? set->table->n : 0;
}

void ftx_segments_init(struct ftx_segments *set)
{
    *set = (struct ftx_segments){0};
}

void ftx_segments_close(struct ftx_segments *set)
{
    for (size_t i = 0; i < n_chunks(set); i++)
        free(set->table->chunks[i]);
    free(set->table);
    ftx_segments_init(set);
}

static uint64_t end_of(const struct ftx_segment *segment)
{
    return segment->offset + segment->length;
}

static struct ftx_segment *segment_at(const struct ftx_segments *set, struct place place)
{
    if (place.chunk == n_chunks(set))
        return NULL; /* the set is empty */
    struct ftx_segment_chunk *chunk = set->table->chunks[place.chunk];
    return place.index < chunk->count ? &chunk->items[place.index] : NULL;
}

static struct place next_place(const struct ftx_segments *set, struct place place)
{
    place.index++;
    if (place.index == set->table->chunks[place.chunk]->count && place.chunk + 1 < n_chunks(set))
        place = (struct place){.chunk = place.chunk + 1};
    return place;
}

/* The place of the first segment that ends after `offset`. */
static struct place find(const struct ftx_segments *set, uint64_t offset)
{
    if (n_chunks(set) == 0)
        return (struct place){0};
    size_t low = 0, high = n_chunks(set) - 1; /* the last chunk takes what lies past the end */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct ftx_segment_chunk *chunk = set->table->chunks[middle];
        if (end_of(&chunk->items[chunk->count - 1]) > offset)
            high = middle;
        else
            low = middle + 1;
    }
    struct place place = {.chunk = low};
    const struct ftx_segment_chunk *chunk = set->table->chunks[low];
    for (low = 0, high = chunk->count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (end_of(&chunk->items[middle]) > offset)
            high = middle;
        else
            low = middle + 1;
    }
    place.index = low;
    return place;
}

static int grow(struct ftx_segments *set)
{
    size_t capacity = set->table ? 2 * set->table->capacity : 1;
    struct ftx_segment_table *table =
        realloc(set->table, sizeof *table + capacity * sizeof *table->chunks);
    if (!table)
        return -ENOMEM;
    if (!set->table)
        table->n = 0;
    table->capacity = capacity;
    set->table = table;
    return 0;
}

/* Puts a new, empty chunk before the one at `index`. */
static int add_chunk(struct ftx_segments *set, size_t index, size_t capacity)
{
    struct ftx_segment_chunk *chunk = malloc(sizeof *chunk + capacity * sizeof *chunk->items);
    if (!chunk)
        return -ENOMEM;
    if ((!set->table || set->table->n == set->table->capacity) && grow(set) < 0) {
        free(chunk);
        return -ENOMEM;
    }
    chunk->count = 0;
    chunk->capacity = capacity;
    struct ftx_segment_table *table = set->table;
    memmove(table->chunks + index + 1, table->chunks + index,
            (table->n - index) * sizeof *table->chunks);
    table->chunks[index] = chunk;
    table->n++;
    return 0;
}

/* Makes the full chunk of `place` two; appending leaves the first one full, so that a file written
 * in order makes no half-empty chunks. */
static int split_chunk(struct ftx_segments *set, struct place place)
{
    int rc = add_chunk(set, place.chunk + 1, CHUNK_MAX);
    if (rc < 0)
        return rc;
    struct ftx_segment_chunk *from = set->table->chunks[place.chunk];
    struct ftx_segment_chunk *to = set->table->chunks[place.chunk + 1];
    size_t kept = place.index == from->count ? from->count - 1 : from->count / 2;
    to->count = from->count - kept;
    memcpy(to->items, from->items + kept, to->count * sizeof *to->items);
    from->count = kept;
    return 0;
}

/* Makes room for `needed` <= CHUNK_MAX segments; small sets stay small. */
static int reserve(struct ftx_segments *set, size_t index, size_t needed)
{
    if (index == n_chunks(set))
        return add_chunk(set, index, needed);
    struct ftx_segment_chunk *chunk = set->table->chunks[index];
    if (needed <= chunk->capacity)
        return 0;
    size_t capacity = 2 * chunk->capacity > needed ? 2 * chunk->capacity : needed;
    if (capacity > CHUNK_MAX)
        capacity = CHUNK_MAX;
    chunk = realloc(chunk, sizeof *chunk + capacity * sizeof *chunk->items);
    if (!chunk)
        return -ENOMEM;
    chunk->capacity = capacity;
    set->table->chunks[index] = chunk;
    return 0;
}

/* Frees the empty chunks from `index` on. */
static void sweep(struct ftx_segments *set, size_t index)
{
    struct ftx_segment_table *table = set->table;
    size_t kept = index;
    for (; index < table->n; index++) {
        if (table->chunks[index]->count)
            table->chunks[kept++] = table->chunks[index];
        else
            free(table->chunks[index]);
    }
    table->n = kept;
    if (kept == 0)
        ftx_segments_close(set);
}

/* How many segments stay in the chunk of `from` behind those that a splice takes out. */
static size_t tail_length(const struct ftx_segments *set, struct place from, struct place to)
{
    return from.chunk == to.chunk && to.chunk < n_chunks(set)
               ? set->table->chunks[to.chunk]->count - to.index
               : 0;
}

/* Replaces the segments from `from` to before `to` by `n` others, which fit into the chunk of
 * `from`. Only -ENOMEM can happen, and before anything changes. */
static int splice(struct ftx_segments *set, struct place from, struct place to,
                  const struct ftx_segment *pieces, size_t n)
{
    size_t tail = tail_length(set, from, to);
    size_t count = from.index + n + tail;
    int rc = reserve(set, from.chunk, count);
    if (rc < 0)
        return rc;
    struct ftx_segment_chunk *chunk = set->table->chunks[from.chunk];
    if (from.chunk == to.chunk) {
        memmove(chunk->items + from.index + n, chunk->items + to.index,
                tail * sizeof *chunk->items);
    } else {
        for (size_t i = from.chunk + 1; i < to.chunk; i++)
            set->table->chunks[i]->count = 0;
        struct ftx_segment_chunk *last = set->table->chunks[to.chunk];
        last->count -= to.index;
        memmove(last->items, last->items + to.index, last->count * sizeof *last->items);
    }
    memcpy(chunk->items + from.index, pieces, n * sizeof *pieces);
    chunk->count = count;
    if (count == 0 || from.chunk != to.chunk)
        sweep(set, from.chunk);
    return 0;
}

/* What a cut leaves of a segment: the hash was that of the whole. */
static struct ftx_segment part(const struct ftx_segment *whole, uint64_t offset, uint64_t end)
{
    struct ftx_segment piece = *whole;
    piece.offset = offset;
    piece.length = end - offset;
    piece.hashed = false;
    return piece;
}

/* Replaces whatever stands in the range (not empty) by `middle`, or by nothing if that is NULL. */
static int replace(struct ftx_segments *set, uint64_t offset, uint64_t end,
                   const struct ftx_segment *middle)
{
    struct ftx_segment pieces[3];
    size_t n = 0, count = set->count;
    uint64_t bytes = set->bytes;
    struct place from = find(set, offset), to = from;
    const struct ftx_segment *segment = segment_at(set, from), *last = NULL;

    if (segment && segment->offset < offset)
        pieces[n++] = part(segment, segment->offset, offset);
    if (middle)
        pieces[n++] = *middle;
    for (; segment && segment->offset < end; segment = segment_at(set, to)) {
        last = segment;
        bytes -= segment->length;
        count--;
        to = next_place(set, to);
    }
    if (last && end_of(last) > end)
        pieces[n++] = part(last, end, end_of(last));
    if (n == 0 && !last)
        return 0;

    if (from.index + n + tail_length(set, from, to) > CHUNK_MAX) {
        int rc = split_chunk(set, from);
        return rc < 0 ? rc : replace(set, offset, end, middle);
    }
    int rc = splice(set, from, to, pieces, n);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        bytes += pieces[i].length;
    set->count = count + n;
    set->bytes = bytes;
    return 0;
}

int ftx_segments_put(struct ftx_segments *set, const struct ftx_segment *segment)
{
    assert(segment->length > 0 && segment->length <= INT64_MAX);
    assert(segment->offset <= INT64_MAX - segment->length);
    return replace(set, segment->offset, end_of(segment), segment);
}

int ftx_segments_cut(struct ftx_segments *set, uint64_t offset, uint64_t length)
{
    if (length == 0)
        return 0;
    uint64_t end = length > UINT64_MAX - offset ? UINT64_MAX : offset + length;
    return replace(set, offset, end, NULL);
}

struct ftx_segment *ftx_segments_at(const struct ftx_segments *set, uint64_t offset)
{
    return segment_at(set, find(set, offset));
}

bool ftx_segments_overlap(const struct ftx_segments *set, uint64_t offset, uint64_t end)
{
    const struct ftx_segment *segment = ftx_segments_at(set, offset);
    return segment && segment->offset < end;
}

bool ftx_segments_gap(const struct ftx_segments *set, uint64_t offset, uint64_t end,
                      uint64_t *out_offset, uint64_t *out_length)
{
    struct place place = find(set, offset);
    while (offset < end) {
        const struct ftx_segment *segment = segment_at(set, place);
        if (!segment || segment->offset > offset) {
            uint64_t gap_end = segment && segment->offset < end ? segment->offset : end;
            *out_offset = offset;
            *out_length = gap_end - offset;
            return true;
        }
        offset = end_of(segment);
        place = next_place(set, place);
    }
    return false;
}

bool ftx_segments_cover(const struct ftx_segments *set, uint64_t offset, uint64_t length)
{
    uint64_t gap_offset, gap_length;
    uint64_t end = length > UINT64_MAX - offset ? UINT64_MAX : offset + length;
    return !ftx_segments_gap(set, offset, end, &gap_offset, &gap_length);
}
