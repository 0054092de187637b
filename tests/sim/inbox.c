/* SPDX-License-Identifier: MIT */
/* The receiving store's own life: writing what came, committing it, power cuts. The engine's calls
 * are in inbox_calls.c. */
#include "tests/sim/inbox.h"

#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

static void item_free(struct in_item *item)
{
    sim_segs_clear(&item->held);
    free(item->bytes);
    free(item->shadow_bytes);
    free(item);
}

static void state_free(struct inbox_state *state)
{
    for (size_t i = 0; i < state->n; i++)
        item_free(state->items[i]);
    free(state->items);
    memset(state, 0, sizeof *state);
}

static void state_copy(struct inbox_state *to, const struct inbox_state *from)
{
    state_free(to);
    *to = *from;
    to->items = sim_alloc(from->n * sizeof(struct in_item *));
    to->capacity = from->n;
    for (size_t i = 0; i < from->n; i++) {
        const struct in_item *item = from->items[i];
        struct in_item *copy = (void *)sim_copy(item, sizeof *item);
        copy->bytes = item->complete ? sim_copy(item->bytes, item->size) : NULL;
        copy->shadow_bytes =
            item->shadow ? sim_copy(item->shadow_bytes, item->shadow_capacity) : NULL;
        sim_segs_copy(&copy->held, &item->held);
        to->items[i] = copy;
    }
}

static void job_free(struct in_job *job)
{
    free(job->whole);
    free(job->work);
    memset(job, 0, sizeof *job);
}

static void tell_clear(struct sim_inbox *inbox)
{
    for (size_t i = 0; i < inbox->n_have; i++)
        free(inbox->have[i].extents);
    inbox->n_have = inbox->have_next = 0;
}

void inbox_init(struct sim_inbox *inbox)
{
    state_copy(&inbox->safe, &inbox->now);
}

static void drop_work(struct sim_inbox *inbox)
{
    while (inbox->n_jobs)
        job_free(&inbox->jobs[--inbox->n_jobs]);
    job_free(&inbox->current);
    inbox->n_written = 0;
    free(inbox->committing);
    inbox->committing = NULL;
    inbox->n_committing = 0;
    inbox->commit = false;
    tell_clear(inbox);
}

void inbox_free(struct sim_inbox *inbox)
{
    drop_work(inbox);
    state_free(&inbox->now);
    state_free(&inbox->safe);
    state_free(&inbox->saving);
    free(inbox->jobs);
    free(inbox->written);
    free(inbox->have);
}

struct in_item *inbox_find(const struct inbox_state *state, uint64_t id)
{
    for (size_t i = 0; i < state->n; i++)
        if (state->items[i]->id == id)
            return state->items[i];
    return NULL;
}

bool inbox_holds(const struct inbox_state *state, const struct ftx_extent *extent)
{
    const struct in_item *item = inbox_find(state, extent->stream);
    if (!item)
        return false;
    if (item->deleted || (item->complete && item->version >= extent->version))
        return true;
    uint64_t from = extent->offset, end = extent->offset + extent->length;
    struct ftx_range gap;
    if (item->shadow && item->base_size > from)
        from = item->base_size;
    return item->shadow && (from >= end || !sim_segs_gap(&item->held, from, end, &gap));
}

/* The item's shadow, begun with its complete version. */
static void begin_shadow(struct in_item *item)
{
    if (item->shadow)
        return;
    item->shadow = true;
    item->base_size = item->complete ? item->size : 0;
    item->shadow_bytes = sim_copy(item->bytes, item->base_size);
    item->shadow_capacity = item->base_size;
}

static void write_extent(struct sim_end *end, const struct ftx_content *content)
{
    const struct ftx_extent *extent = &content->extent;
    const uint8_t *data = sim_unpack(end->sim, content);
    struct in_item *item = inbox_find(&end->inbox.now, extent->stream);
    if (!item || item->deleted || (item->complete && extent->version <= item->version))
        return;
    begin_shadow(item);
    struct sim_seg seg = {
        .offset = extent->offset, .length = extent->length, .kind = extent->kind, .hashed = true};
    memcpy(seg.hash, extent->hash, FTX_HASH_SIZE);
    item->shadow_bytes =
        sim_grow(item->shadow_bytes, &item->shadow_capacity, extent->offset + extent->length, 1);
    if (data) {
        uint8_t hash[FTX_HASH_SIZE];
        sim_hash(data, extent->length, hash);
        SIM_CHECK(end->sim, memcmp(hash, extent->hash, FTX_HASH_SIZE) == 0,
                  "item %lu: the bytes at %lu are damaged", item->id, extent->offset);
        memcpy(item->shadow_bytes + extent->offset, data, extent->length);
    } else {
        memset(item->shadow_bytes + extent->offset, 0, extent->length);
    }
    sim_segs_put(&item->held, &seg);
}

static void drop_item(struct inbox_state *state, struct in_item *item)
{
    for (size_t i = 0; i < state->n; i++)
        if (state->items[i] == item)
            state->items[i] = state->items[--state->n];
    item_free(item);
}

/* What the item hid goes away. */
static void drop_replaced(struct inbox_state *state, uint64_t by)
{
    for (size_t i = 0; i < state->n; i++) {
        struct in_item *item = state->items[i];
        if (item->replaced_by != by)
            continue;
        uint64_t id = item->id;
        drop_item(state, item);
        drop_replaced(state, id);
        i = (size_t)-1;
    }
}

/* True if every byte below `size` is there; else the peer is asked for what is not. */
static bool entire(struct sim_end *end, struct in_item *item, const struct ftx_plan_seal *seal)
{
    struct ftx_range missing[8];
    size_t n = 0;
    uint64_t from = item->base_size;
    while (n < 8 && from < seal->size && sim_segs_gap(&item->held, from, seal->size, &missing[n])) {
        from = missing[n].offset + missing[n].length;
        n++;
    }
    if (n == 0)
        return true;
    SIM_CHECK(end->sim, end->sim->options.damage, "item %lu: version %u lacks %lu at %lu", item->id,
              seal->version, missing[0].length, missing[0].offset);
    if (sim_engine(end))
        ftx_engine_missing(&end->engine, item->id, seal->version, missing, n);
    return false;
}

static void seal_item(struct sim_end *end, const struct ftx_plan_seal *seal)
{
    struct inbox_state *now = &end->inbox.now;
    struct in_item *item = inbox_find(now, seal->stream);
    if (!item || item->deleted || item->came > seal->version ||
        (item->complete && seal->version <= item->version))
        return;
    begin_shadow(item);
    if (!entire(end, item, seal))
        return;
    item->shadow_bytes =
        sim_grow(item->shadow_bytes, &item->shadow_capacity, seal->size ? seal->size : 1, 1);
    free(item->bytes);
    item->bytes = item->shadow_bytes;
    item->size = seal->size;
    item->complete = true;
    item->version = seal->version;
    item->shadow = false;
    item->shadow_bytes = NULL;
    item->shadow_capacity = 0;
    sim_segs_clear(&item->held);
    const struct sim_sealed *sealed =
        sim_history_find(&sim_peer(end)->outbox.history, seal->stream, seal->version);
    SIM_CHECK(end->sim, sealed, "item %lu: version %u was never closed", item->id, seal->version);
    SIM_CHECK(end->sim, sim_equal(sealed->bytes, sealed->size, item->bytes, item->size),
              "item %lu: version %u is a mix", item->id, seal->version);
    drop_replaced(now, item->id);
}

void inbox_write(struct sim_end *end, size_t i)
{
    struct sim_inbox *inbox = &end->inbox;
    struct in_job job = inbox->jobs[i];
    inbox->jobs[i] = inbox->jobs[--inbox->n_jobs];
    for (size_t k = 0; k < job.n; k++)
        if (!job.work[k].seal)
            write_extent(end, &job.work[k].content);
    for (size_t k = 0; k < job.n; k++)
        if (job.work[k].seal)
            seal_item(end, &job.work[k].sealed);
    if (sim_engine(end) && job.serial == end->serial)
        ftx_engine_written(&end->engine, job.ref);
    inbox->written = sim_grow(inbox->written, &inbox->written_capacity, inbox->n_written + 1,
                              sizeof *inbox->written);
    inbox->written[inbox->n_written++] = (struct in_ref){job.ref, job.serial};
    job_free(&job);
}

void inbox_commit_begin(struct sim_end *end)
{
    struct sim_inbox *inbox = &end->inbox;
    state_copy(&inbox->saving, &inbox->now);
    inbox->committing = (void *)sim_copy(inbox->written, inbox->n_written * sizeof(struct in_ref));
    inbox->n_committing = inbox->n_written;
    inbox->n_written = 0;
    inbox->commit = true;
}

void inbox_commit_end(struct sim_end *end)
{
    struct sim_inbox *inbox = &end->inbox;
    state_copy(&inbox->safe, &inbox->saving);
    while (inbox->n_committing) {
        size_t i = sim_below(&end->sim->random, inbox->n_committing);
        struct in_ref ref = inbox->committing[i];
        inbox->committing[i] = inbox->committing[--inbox->n_committing];
        if (sim_engine(end) && ref.serial == end->serial)
            ftx_engine_durable(&end->engine, ref.ref);
    }
    free(inbox->committing);
    inbox->committing = NULL;
    inbox->commit = false;
}

void inbox_drain(struct sim_end *end)
{
    struct sim_inbox *inbox = &end->inbox;
    while (inbox->n_jobs) {
        size_t i = sim_below(&end->sim->random, inbox->n_jobs);
        if (sim_chance(&end->sim->random, 50)) {
            inbox_write(end, i);
        } else {
            job_free(&inbox->jobs[i]);
            inbox->jobs[i] = inbox->jobs[--inbox->n_jobs];
        }
    }
    drop_work(inbox);
    state_copy(&inbox->safe, &inbox->now);
}

void inbox_crash(struct sim_end *end)
{
    drop_work(&end->inbox);
    state_copy(&end->inbox.now, &end->inbox.safe);
}

static void empty_item(struct in_item *item)
{
    sim_segs_clear(&item->held);
    free(item->bytes);
    free(item->shadow_bytes);
    item->bytes = item->shadow_bytes = NULL;
    item->shadow_capacity = 0;
    item->complete = item->shadow = false;
}

void inbox_delete(struct sim_end *end, struct in_item *item)
{
    bool arriving = !item->complete;
    empty_item(item);
    item->deleted = true;
    if (arriving && sim_engine(end)) {
        ftx_engine_refuse(&end->engine, item->id, FTX_REFUSED_DELETED);
        item->told = end->serial;
    }
}

void inbox_damage(struct sim_end *end, struct in_item *item)
{
    if (item->held.n == 0 || item->base_size)
        return; /* below base_size the model does not know a gap from the old version */
    struct sim_seg seg = item->held.at[sim_below(&end->sim->random, item->held.n)];
    sim_segs_cut(&item->held, seg.offset + seg.length / 3, seg.length - seg.length / 3);
}

void inbox_tell(struct sim_end *end)
{
    struct sim_inbox *inbox = &end->inbox;
    tell_clear(inbox);
    for (size_t i = 0; i < inbox->now.n; i++) {
        const struct in_item *item = inbox->now.items[i];
        for (size_t k = 0; item->shadow && k < item->held.n;) {
            size_t most = 1 + sim_below(&end->sim->random, 8);
            inbox->have = sim_grow(inbox->have, &inbox->have_capacity, inbox->n_have + 1,
                                   sizeof *inbox->have);
            struct in_batch *batch = &inbox->have[inbox->n_have++];
            *batch = (struct in_batch){.extents = sim_alloc(most * sizeof(struct ftx_extent))};
            for (; k < item->held.n && batch->n < most; k++) {
                const struct sim_seg *seg = &item->held.at[k];
                struct ftx_extent *extent = &batch->extents[batch->n++];
                *extent = (struct ftx_extent){.stream = item->id,
                                              .version = item->came,
                                              .offset = seg->offset,
                                              .length = seg->length,
                                              .kind = seg->kind};
                if (seg->kind == FTX_EXTENT_DATA)
                    sim_hash(item->shadow_bytes + seg->offset, seg->length, extent->hash);
            }
        }
    }
}
