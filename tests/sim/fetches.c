/* SPDX-License-Identifier: MIT */
/* Ranges fetched back at random, whatever else happens: what comes must be what its place says. */
#include "tests/sim/sim.h"
#include "transport/base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { KINDS = 3, UNREADABLE_PERCENT = 20 };

/* A stream has bytes (every other one such as shrink), or is a hole, or nobody has it. */
static uint8_t kind_of(uint64_t stream)
{
    return (uint8_t)(FTX_EXTENT_DATA + stream % KINDS);
}

static void fill(uint64_t stream, uint64_t offset, uint64_t length, uint8_t *out)
{
    for (uint64_t i = 0; i < length; i++)
        out[i] = (uint8_t)(((offset + i + stream) * 0x9e3779b97f4a7c15u) >> (stream & 1 ? 63 : 56));
}

void sim_fetch(struct sim_end *end)
{
    struct sim *sim = end->sim;
    uint64_t most = sim->options.large ? FTX_EXTENT_MAX : 3000;
    struct ftx_range range = {sim_below(&sim->random, 1 << 30), 1 + sim_below(&sim->random, most)};
    uint64_t stream = sim_below(&sim->random, 2 * KINDS);
    int err = ftx_engine_fetch(&end->engine, stream, &range);
    SIM_CHECK(sim, err == 0 || err == -ENOBUFS, "fetch: %d", err);
    if (!err)
        sim->counts.fetches++;
}

void sim_serve(void *ctx, uint64_t stream, const struct ftx_range *range, struct ftx_source *out)
{
    struct sim_end *end = ctx;
    bool prefix = sim_chance(&end->sim->random, 30);
    out->extent.offset = range->offset;
    out->extent.length = prefix ? 1 + sim_below(&end->sim->random, range->length) : range->length;
    out->extent.kind = kind_of(stream);
}

int sim_read_answer(struct sim_end *end, struct ftx_source *source, uint8_t *out)
{
    if (sim_chance(&end->sim->random, UNREADABLE_PERCENT))
        return FTX_ECHANGED;
    fill(source->extent.stream, source->extent.offset, source->extent.length, out);
    sim_hash(out, source->extent.length, source->extent.hash);
    return 0;
}

int sim_fetched(void *ctx, uint64_t asked, const struct ftx_content *answer)
{
    (void)asked;
    struct sim_end *end = ctx;
    struct sim *sim = end->sim;
    const struct ftx_extent *extent = &answer->extent;
    const uint8_t *data = sim_unpack(sim, answer);
    sim->counts.fetched++;
    if (extent->kind == FTX_EXTENT_GONE) {
        sim->counts.unreadable += kind_of(extent->stream) == FTX_EXTENT_DATA;
        SIM_CHECK(sim, kind_of(extent->stream) != FTX_EXTENT_HOLE, "a hole is gone at %lu",
                  extent->offset);
        return 0;
    }
    SIM_CHECK(sim, extent->kind == kind_of(extent->stream), "kind %d of stream %lu",
              (int)extent->kind, extent->stream);
    if (!data)
        return 0;
    uint8_t *bytes = sim_alloc(extent->length), hash[FTX_HASH_SIZE];
    fill(extent->stream, extent->offset, extent->length, bytes);
    sim_hash(bytes, extent->length, hash);
    SIM_CHECK(sim, sim_equal(bytes, extent->length, data, extent->length), "other bytes at %lu",
              extent->offset);
    SIM_CHECK(sim, memcmp(hash, extent->hash, sizeof hash) == 0, "another hash at %lu",
              extent->offset);
    free(bytes);
    return 0;
}

void sim_fetch_check_done(struct sim *sim)
{
    for (int i = 0; i < 2; i++)
        SIM_CHECK(sim, sim->ends[i].engine.fetches.n + sim->ends[i].engine.asked.n == 0,
                  "end %d has FETCHes without an answer", i);
    SIM_CHECK(sim, sim->counts.sessions > 2 || sim->counts.fetched == sim->counts.fetches,
              "%u answers to %u FETCHes", sim->counts.fetched, sim->counts.fetches);
}
