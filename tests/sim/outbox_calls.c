/* SPDX-License-Identifier: MIT */
/* The sending store as the engine sees it. */
#include "transport/base/err.h"
#include "tests/sim/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct out_item *item_of(const struct ftx_stream *stream)
{
    return (struct out_item *)(void *)((char *)(uintptr_t)stream -
                                       offsetof(struct out_item, stream));
}

static void due(struct sim_end *end, struct out_item *item)
{
    if (!item->refused)
        ftx_engine_due(&end->engine, &item->stream);
}

int outbox_start(void *ctx, uint64_t durable)
{
    struct sim_end *end = ctx;
    struct outbox_state *now = &end->outbox.now;
    SIM_CHECK(end->sim, durable >= now->ops_gone && durable <= now->n_ops,
              "the peer says %lu, ours are %lu..%zu", durable, now->ops_gone, now->n_ops);
    outbox_ops_durable(end, durable);
    for (size_t i = 0; i < now->n; i++) {
        struct out_item *item = now->items[i];
        if (item->what == SIM_FILE && (item->pending.n || item->delivered != item->version))
            due(end, item);
    }
    return 0;
}

size_t outbox_op(void *ctx, uint64_t number, const uint8_t **out_bytes)
{
    struct sim_end *end = ctx;
    if (number > end->outbox.safe.n_ops)
        return 0;
    const struct out_op *op = &end->outbox.now.ops[number - 1];
    SIM_CHECK(end->sim, op->bytes, "operation %lu was already durable", number);
    *out_bytes = op->bytes;
    return op->size;
}

/* Offers a range again, as it is now: as a new version if the item is closed. */
static void offer(struct sim_end *end, struct out_item *item, uint32_t version,
                  const struct ftx_range *range)
{
    uint64_t last = range->offset + range->length;
    if (last > item->size)
        last = item->size;
    if (range->offset >= last)
        return;
    struct sim_seg seg = {.offset = range->offset, .kind = FTX_EXTENT_DATA};
    for (; seg.offset < last; seg.offset += seg.length) {
        seg.length = last - seg.offset;
        if (seg.length > FTX_EXTENT_MAX)
            seg.length = FTX_EXTENT_MAX;
        sim_segs_put(&item->pending, &seg);
    }
    if (item->closed && item->version <= version) {
        item->version = version + 1;
        if (item->version < end->outbox.version_base)
            item->version = end->outbox.version_base;
        sim_history_add(end->sim, &end->outbox.history, item->id, item->version, item->bytes,
                        item->size);
    }
    due(end, item);
}

void outbox_held(void *ctx, const struct ftx_extent *extent)
{
    struct sim_end *end = ctx;
    struct sim_outbox *outbox = &end->outbox;
    struct out_item *item = outbox_find(&outbox->now, extent->stream);
    if (!item || item->refused)
        return;
    for (size_t i = 0; i < item->pending.n; i++) {
        const struct sim_seg *seg = &item->pending.at[i];
        if (seg->offset != extent->offset || seg->length != extent->length ||
            seg->kind != extent->kind)
            continue;
        if (seg->kind == FTX_EXTENT_DATA &&
            (!seg->hashed || memcmp(seg->hash, extent->hash, FTX_HASH_SIZE) != 0))
            continue;
        sim_segs_cut(&item->pending, extent->offset, extent->length);
        outbox->held = sim_grow(outbox->held, &outbox->held_capacity, outbox->n_held + 1,
                                sizeof *outbox->held);
        outbox->held[outbox->n_held++] = *extent;
        end->sim->counts.held++;
        return;
    }
    /* Written before a power cut that took it from us: what we have now counts. */
    if (extent->version < outbox->version_base) {
        uint32_t version = item->version > extent->version ? item->version : extent->version;
        struct ftx_range range = {extent->offset, extent->length};
        offer(end, item, version, &range);
    }
}

static bool in_flight(const struct out_item *item, const struct sim_seg *seg)
{
    for (size_t i = 0; i < item->n_sent; i++) {
        const struct out_sent *sent = &item->sent[i];
        if (!sent->received &&
            sim_overlap(sent->extent.offset, sent->extent.length, seg->offset, seg->length))
            return true;
    }
    return false;
}

/* The next segment that may leave: where a reader waits first. */
static struct sim_seg *next_seg(const struct out_item *item)
{
    struct sim_seg *first = NULL;
    for (size_t i = 0; i < item->pending.n; i++) {
        struct sim_seg *seg = &item->pending.at[i];
        if (seg->state != SIM_SEG_DUE || in_flight(item, seg))
            continue;
        if (item->want.length &&
            sim_overlap(seg->offset, seg->length, item->want.offset, item->want.length))
            return seg;
        if (!first)
            first = seg;
    }
    return first;
}

int outbox_extent(void *ctx, struct ftx_stream *stream, size_t room, uint64_t send,
                  struct ftx_source *out)
{
    struct sim_end *end = ctx;
    struct sim *sim = end->sim;
    struct out_item *item = item_of(stream);
    struct sim_seg *seg = item->refused ? NULL : next_seg(item);
    if (!seg)
        return -EAGAIN;
    if (seg->kind == FTX_EXTENT_DATA && seg->length > room)
        return -EMSGSIZE;
    if (room < FTX_EXTENT_MAX && !sim->options.large && sim_chance(&sim->random, 30))
        return -EMSGSIZE; /* small records: more of them, in more orders */
    for (size_t i = 0; i < end->outbox.n_held; i++) {
        const struct ftx_extent *held = &end->outbox.held[i];
        SIM_CHECK(sim,
                  held->stream != item->id || held->offset != seg->offset || held->length < 16 ||
                      !seg->hashed || memcmp(held->hash, seg->hash, FTX_HASH_SIZE) != 0,
                  "item %lu: the extent at %lu is there already", item->id, seg->offset);
    }
    memset(out, 0, sizeof *out);
    out->object = send;
    out->hashed = seg->hashed;
    out->extent = (struct ftx_extent){.stream = item->id,
                                      .offset = seg->offset,
                                      .length = seg->length,
                                      .size_now = item->size,
                                      .version = item->version,
                                      .kind = seg->kind};
    if (seg->hashed)
        memcpy(out->extent.hash, seg->hash, FTX_HASH_SIZE);
    seg->state = SIM_SEG_FLIGHT;
    seg->send = send;
    item->sent = sim_grow(item->sent, &item->sent_capacity, item->n_sent + 1, sizeof *item->sent);
    item->sent[item->n_sent++] = (struct out_sent){.extent = out->extent, .send = send};
    return 0;
}

void outbox_size(void *ctx, struct ftx_stream *stream, struct ftx_extent *out)
{
    (void)ctx;
    const struct out_item *item = item_of(stream);
    *out =
        (struct ftx_extent){.stream = item->id, .version = item->version, .size_now = item->size};
}

bool outbox_seal(void *ctx, struct ftx_stream *stream, uint64_t send, struct ftx_plan_seal *out)
{
    struct sim_end *end = ctx;
    struct out_item *item = item_of(stream);
    const struct out_item *safe = outbox_find(&end->outbox.safe, item->id);
    if (item->refused || !item->closed || item->delivered == item->version ||
        item->seal_out == item->version)
        return false;
    if (!safe || !safe->closed || safe->version != item->version)
        return false;
    for (size_t i = 0; i < item->pending.n; i++)
        if (item->pending.at[i].state == SIM_SEG_DUE)
            return false;
    for (size_t i = 0; i < item->n_sent; i++)
        if (!item->sent[i].received && item->sent[i].send != send)
            return false;
    item->seal_out = item->version;
    out->stream = item->id;
    out->version = item->version;
    out->size = item->size;
    out->attributes_size = 10;
    return true;
}

static struct out_sent *find_sent(struct sim_end *end, const struct out_item *item,
                                  const struct ftx_extent *extent, uint64_t send)
{
    for (size_t i = 0; i < item->n_sent; i++)
        if (item->sent[i].send == send && item->sent[i].extent.offset == extent->offset &&
            item->sent[i].extent.length == extent->length)
            return &item->sent[i];
    sim_fail(end->sim, __FILE__, __LINE__, "sent", "item %lu: nothing was sent at %lu", item->id,
             extent->offset);
}

/* What is left of the extent in the pending set. */
static void set_state(struct out_item *item, const struct ftx_extent *extent, uint64_t send,
                      enum sim_seg_state state)
{
    for (size_t i = 0; i < item->pending.n; i++) {
        struct sim_seg *seg = &item->pending.at[i];
        if (seg->state != SIM_SEG_DUE && seg->send == send &&
            sim_overlap(seg->offset, seg->length, extent->offset, extent->length))
            seg->state = (uint8_t)state;
    }
}

void outbox_received(void *ctx, const struct ftx_extent *extent, uint64_t send)
{
    struct sim_end *end = ctx;
    struct out_item *item = outbox_find(&end->outbox.now, extent->stream);
    if (!item || item->refused)
        return;
    struct out_sent *sent = find_sent(end, item, extent, send);
    SIM_CHECK(end->sim, !sent->received, "item %lu: received twice", item->id);
    sent->received = true;
    set_state(item, extent, send, SIM_SEG_RECEIVED);
    due(end, item);
}

void outbox_durable(void *ctx, const struct ftx_extent *extent, uint64_t send)
{
    struct sim_end *end = ctx;
    struct out_item *item = outbox_find(&end->outbox.now, extent->stream);
    if (!item || item->refused)
        return;
    struct out_sent *sent = find_sent(end, item, extent, send);
    SIM_CHECK(end->sim, sent->received, "item %lu: durable before received", item->id);
    *sent = item->sent[--item->n_sent];
    SIM_CHECK(end->sim, end->sim->options.damage || inbox_holds(&sim_peer(end)->inbox.safe, extent),
              "item %lu: %lu at %lu would not survive", item->id, extent->length, extent->offset);
    for (size_t i = item->pending.n; i-- > 0;) {
        struct sim_seg seg = item->pending.at[i];
        if (seg.state == SIM_SEG_RECEIVED && seg.send == send &&
            sim_overlap(seg.offset, seg.length, extent->offset, extent->length))
            sim_segs_cut(&item->pending, seg.offset, seg.length);
    }
}

void outbox_failed(void *ctx, const struct ftx_extent *extent, uint64_t send, int err)
{
    struct sim_end *end = ctx;
    struct out_item *item = outbox_find(&end->outbox.now, extent->stream);
    SIM_CHECK(end->sim, err == FTX_ECHANGED, "it failed with %d", err);
    end->sim->counts.left_out++;
    if (!item || item->refused)
        return;
    struct out_sent *sent = find_sent(end, item, extent, send);
    SIM_CHECK(end->sim, !sent->received, "item %lu: failed after it was received", item->id);
    set_state(item, extent, send, SIM_SEG_DUE);
    *sent = item->sent[--item->n_sent];
    due(end, item);
}

void outbox_ops_durable(void *ctx, uint64_t number)
{
    struct sim_end *end = ctx;
    struct outbox_state *now = &end->outbox.now;
    SIM_CHECK(end->sim, number >= now->ops_gone && number <= now->n_ops, "durable up to %lu",
              number);
    SIM_CHECK(end->sim, sim_peer(end)->inbox.safe.applied >= number, "operation %lu is not safe",
              number);
    for (; now->ops_gone < number; now->ops_gone++) {
        free(now->ops[now->ops_gone].bytes);
        now->ops[now->ops_gone] = (struct out_op){0};
    }
}

void outbox_delivered(void *ctx, uint64_t stream, uint32_t version)
{
    struct sim_end *end = ctx;
    struct out_item *item = outbox_find(&end->outbox.now, stream);
    if (!item || item->refused || item->version != version)
        return;
    const struct in_item *there = inbox_find(&sim_peer(end)->inbox.safe, stream);
    SIM_CHECK(end->sim, there, "item %lu does not exist there", stream);
    SIM_CHECK(end->sim, there->deleted || (there->complete && there->version == version),
              "item %lu: version %u would not survive", stream, version);
    SIM_CHECK(end->sim, item->seal_out == version, "item %lu was not sealed", stream);
    item->delivered = version;
    end->sim->counts.delivered++;
}

void outbox_unsealed(void *ctx, uint64_t stream, uint32_t version)
{
    struct sim_end *end = ctx;
    struct out_item *item = outbox_find(&end->outbox.now, stream);
    if (!item || item->version != version)
        return;
    item->seal_out = 0;
    due(end, item);
}

void outbox_missing(void *ctx, uint64_t stream, uint32_t version, const struct ftx_range *range)
{
    struct sim_end *end = ctx;
    struct out_item *item = outbox_find(&end->outbox.now, stream);
    end->sim->counts.missing++;
    if (item && !item->refused)
        offer(end, item, version, range);
}

void outbox_refused(void *ctx, uint64_t stream, enum ftx_refusal reason)
{
    struct sim_end *end = ctx;
    struct out_item *item = outbox_find(&end->outbox.now, stream);
    SIM_CHECK(end->sim, reason == FTX_REFUSED_DELETED, "reason %d", (int)reason);
    if (!item)
        return;
    end->sim->counts.refused++;
    item->refused = true;
    item->n_sent = 0;
    sim_segs_clear(&item->pending);
    ftx_engine_gone(&end->engine, &item->stream);
}

void outbox_wanted(void *ctx, uint64_t stream, const struct ftx_range *range)
{
    struct sim_end *end = ctx;
    struct out_item *item = outbox_find(&end->outbox.now, stream);
    if (!item || item->refused || item->what != SIM_FILE)
        return;
    end->sim->counts.wanted++;
    item->want = *range;
    ftx_engine_urgent(&end->engine, &item->stream);
}

int outbox_read(void *ctx, struct ftx_source *source, uint8_t *out)
{
    struct sim_end *end = ctx;
    const struct ftx_extent *extent = &source->extent;
    if (source->answer)
        return sim_read_answer(end, source, out);
    const struct out_item *item = outbox_find(&end->outbox.now, extent->stream);
    if (!item || item->refused || extent->offset + extent->length > item->size)
        return FTX_ECHANGED;
    const struct out_sent *sent = find_sent(end, item, extent, source->object);
    memcpy(out, item->bytes + extent->offset, extent->length);
    uint8_t hash[FTX_HASH_SIZE];
    sim_hash(out, extent->length, hash);
    if (source->hashed ? memcmp(hash, extent->hash, FTX_HASH_SIZE) != 0 : sent->changed)
        return FTX_ECHANGED;
    memcpy(source->extent.hash, hash, FTX_HASH_SIZE);
    source->hashed = true;
    return 0;
}
