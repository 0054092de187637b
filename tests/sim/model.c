/* SPDX-License-Identifier: MIT */
/* Chance, ranges and history of the simulator: plain and slow on purpose. */
#include "tests/sim/model.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

uint64_t sim_random(struct sim_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t sim_below(struct sim_random *random, uint64_t n)
{
    return sim_random(random) % n;
}

bool sim_chance(struct sim_random *random, unsigned percent)
{
    return sim_below(random, 100) < percent;
}

void sim_random_bytes(struct sim_random *random, uint8_t *out, size_t size)
{
    uint64_t word = 0, mask = 0;
    for (size_t i = 0; i < size; i++) {
        if (i % 8 == 0)
            word = sim_random(random);
        if (i == 0)
            mask = word & 1 ? 0xff : 0x07;
        out[i] = (uint8_t)(word >> (8 * (i % 8)) & mask);
    }
}

void *sim_alloc(size_t size)
{
    void *memory = calloc(1, size ? size : 1);
    if (!memory)
        abort();
    return memory;
}

void *sim_grow(void *array, size_t *capacity, size_t n, size_t size)
{
    if (n <= *capacity)
        return array;
    size_t bigger = *capacity ? 2 * *capacity : 4;
    while (bigger < n)
        bigger *= 2;
    void *grown = realloc(array, bigger * size);
    if (!grown)
        abort();
    memset((char *)grown + *capacity * size, 0, (bigger - *capacity) * size);
    *capacity = bigger;
    return grown;
}

uint8_t *sim_copy(const void *bytes, size_t size)
{
    uint8_t *copy = sim_alloc(size);
    if (size)
        memcpy(copy, bytes, size);
    return copy;
}

bool sim_equal(const uint8_t *a, uint64_t a_size, const uint8_t *b, uint64_t b_size)
{
    return a_size == b_size && (a_size == 0 || memcmp(a, b, a_size) == 0);
}

void sim_hash(const uint8_t *bytes, size_t size, uint8_t out[FTX_HASH_SIZE])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, size));
    memcpy(out, canonical.digest, FTX_HASH_SIZE);
}

/* A part of a segment: of data its hash is no longer known. */
static struct sim_seg part_of(const struct sim_seg *seg, uint64_t offset, uint64_t end)
{
    struct sim_seg part = *seg;
    part.offset = offset;
    part.length = end - offset;
    if (seg->kind == FTX_EXTENT_DATA)
        part.hashed = false;
    return part;
}

void sim_segs_cut(struct sim_segs *set, uint64_t offset, uint64_t length)
{
    struct sim_segs kept = {0};
    for (size_t i = 0; i < set->n; i++) {
        const struct sim_seg *seg = &set->at[i];
        uint64_t end = seg->offset + seg->length;
        kept.at = sim_grow(kept.at, &kept.capacity, kept.n + 2, sizeof *kept.at);
        if (!sim_overlap(seg->offset, seg->length, offset, length)) {
            kept.at[kept.n++] = *seg;
            continue;
        }
        if (seg->offset < offset)
            kept.at[kept.n++] = part_of(seg, seg->offset, offset);
        if (end > offset + length)
            kept.at[kept.n++] = part_of(seg, offset + length, end);
    }
    free(set->at);
    *set = kept;
}

void sim_segs_put(struct sim_segs *set, const struct sim_seg *seg)
{
    sim_segs_cut(set, seg->offset, seg->length);
    set->at = sim_grow(set->at, &set->capacity, set->n + 1, sizeof *set->at);
    size_t i = set->n++;
    for (; i > 0 && set->at[i - 1].offset > seg->offset; i--)
        set->at[i] = set->at[i - 1];
    set->at[i] = *seg;
}

void sim_segs_copy(struct sim_segs *to, const struct sim_segs *from)
{
    to->at = from->n ? (void *)sim_copy(from->at, from->n * sizeof *from->at) : NULL;
    to->n = from->n;
    to->capacity = from->n;
}

void sim_segs_clear(struct sim_segs *set)
{
    free(set->at);
    *set = (struct sim_segs){0};
}

bool sim_segs_gap(const struct sim_segs *set, uint64_t offset, uint64_t end, struct ftx_range *out)
{
    for (size_t i = 0; i < set->n && offset < end; i++) {
        const struct sim_seg *seg = &set->at[i];
        if (seg->offset + seg->length <= offset)
            continue;
        if (seg->offset > offset) {
            out->offset = offset;
            out->length = (seg->offset < end ? seg->offset : end) - offset;
            return true;
        }
        offset = seg->offset + seg->length;
    }
    out->offset = offset;
    out->length = end - offset;
    return offset < end;
}

const struct sim_sealed *sim_history_find(const struct sim_history *history, uint64_t item,
                                          uint32_t version)
{
    for (size_t i = history->n; i-- > 0;)
        if (history->at[i].item == item && history->at[i].version == version)
            return &history->at[i];
    return NULL;
}

void sim_history_add(struct sim *sim, struct sim_history *history, uint64_t item, uint32_t version,
                     const uint8_t *bytes, uint64_t size)
{
    const struct sim_sealed *old = sim_history_find(history, item, version);
    if (old) {
        SIM_CHECK(sim, sim_equal(old->bytes, old->size, bytes, size),
                  "item %lu version %u was closed with other bytes", item, version);
        return;
    }
    history->at = sim_grow(history->at, &history->capacity, history->n + 1, sizeof *history->at);
    history->at[history->n++] = (struct sim_sealed){
        .item = item, .version = version, .bytes = sim_copy(bytes, size), .size = size};
}

void sim_history_clear(struct sim_history *history)
{
    for (size_t i = 0; i < history->n; i++)
        free(history->at[i].bytes);
    free(history->at);
    *history = (struct sim_history){0};
}
