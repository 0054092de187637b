/* SPDX-License-Identifier: MIT */
/* The sending store's own life: what its user does, what survives a power cut. The engine's calls
 * are in outbox_calls.c. */
#include "tests/sim/outbox.h"

#include "tests/sim/sim.h"
#include "transport/wire/cursor.h"

#include <stdlib.h>
#include <string.h>

enum { VERSIONS_PER_CRASH = 1000 };

static void item_free(struct out_item *item)
{
    sim_segs_clear(&item->pending);
    free(item->bytes);
    free(item->sent);
    free(item);
}

static void state_free(struct outbox_state *state)
{
    for (size_t i = 0; i < state->n; i++)
        item_free(state->items[i]);
    for (size_t i = 0; i < state->n_ops; i++)
        free(state->ops[i].bytes);
    free(state->items);
    free(state->ops);
    memset(state, 0, sizeof *state);
}

static void item_rest(struct out_item *item)
{
    for (size_t i = 0; i < item->pending.n; i++)
        item->pending.at[i].state = SIM_SEG_DUE;
    free(item->sent);
    item->sent = NULL;
    item->n_sent = item->sent_capacity = 0;
    item->seal_out = 0;
    item->want.length = 0;
    ftx_stream_init(&item->stream, item->id, item->op);
    item->stream.priority = (uint8_t)(item->id % (FTX_PRIORITY_MAX + 1));
    item->stream.small = item->id % 3 != 0;
}

static void state_copy(struct outbox_state *to, const struct outbox_state *from)
{
    state_free(to);
    *to = *from;
    to->items = sim_alloc(from->n * sizeof(struct out_item *));
    to->capacity = from->n;
    for (size_t i = 0; i < from->n; i++) {
        const struct out_item *item = from->items[i];
        struct out_item *copy = (void *)sim_copy(item, sizeof *item);
        copy->bytes = sim_copy(item->bytes, item->size);
        copy->capacity = item->size;
        sim_segs_copy(&copy->pending, &item->pending);
        copy->sent = NULL;
        item_rest(copy);
        to->items[i] = copy;
    }
    to->ops = sim_alloc(from->n_ops * sizeof(struct out_op));
    to->ops_capacity = from->n_ops;
    for (size_t i = 0; i < from->n_ops; i++)
        if (from->ops[i].bytes)
            to->ops[i] =
                (struct out_op){sim_copy(from->ops[i].bytes, from->ops[i].size), from->ops[i].size};
}

void outbox_init(struct sim_outbox *outbox)
{
    outbox->now.next_item = 1;
    outbox->version_base = 1;
    state_copy(&outbox->safe, &outbox->now);
}

void outbox_free(struct sim_outbox *outbox)
{
    state_free(&outbox->now);
    state_free(&outbox->safe);
    sim_history_clear(&outbox->history);
    free(outbox->held);
}

struct out_item *outbox_find(const struct outbox_state *state, uint64_t id)
{
    for (size_t i = 0; i < state->n; i++)
        if (state->items[i]->id == id)
            return state->items[i];
    return NULL;
}

static void due(struct sim_end *end, struct out_item *item)
{
    if (sim_engine(end) && !item->refused && item->what == SIM_FILE)
        ftx_engine_due(sim_engine(end), &item->stream);
}

static void log_op(struct sim_end *end, const struct ftx_writer *w)
{
    struct outbox_state *now = &end->outbox.now;
    now->ops = sim_grow(now->ops, &now->ops_capacity, now->n_ops + 1, sizeof *now->ops);
    now->ops[now->n_ops++] = (struct out_op){sim_copy(w->bytes, w->size), w->size};
}

static void write_name(struct ftx_writer *w, const char *name)
{
    ftx_write_u8(w, (uint8_t)strlen(name));
    ftx_write_bytes(w, name, strlen(name));
}

/* Out of the tree, without an operation. */
static void forget(struct sim_end *end, struct out_item *item)
{
    struct outbox_state *now = &end->outbox.now;
    if (sim_engine(end))
        ftx_engine_gone(sim_engine(end), &item->stream);
    for (size_t i = 0; i < now->n; i++)
        if (now->items[i] == item)
            now->items[i] = now->items[--now->n];
    item_free(item);
}

static void replace(struct sim_end *end, const struct out_item *by, uint64_t parent,
                    const char *name)
{
    struct outbox_state *now = &end->outbox.now;
    for (size_t i = 0; i < now->n; i++) {
        struct out_item *other = now->items[i];
        if (other == by || other->parent != parent || strcmp(other->name, name) != 0)
            continue;
        forget(end, other);
        return;
    }
}

struct out_item *outbox_make(struct sim_end *end, uint64_t parent, const char *name, uint8_t what)
{
    struct outbox_state *now = &end->outbox.now;
    struct out_item *item = sim_alloc(sizeof *item);
    item->id = now->next_item++;
    item->parent = parent;
    item->what = what;
    item->op = now->n_ops + 1;
    item->version = end->outbox.version_base;
    strcpy(item->name, name);
    item_rest(item);
    now->items = sim_grow(now->items, &now->capacity, now->n + 1, sizeof *now->items);
    now->items[now->n++] = item;

    uint8_t op[64];
    struct ftx_writer w = ftx_writer(op, sizeof op);
    ftx_write_u8(&w, 1);
    ftx_write_u64(&w, item->id);
    ftx_write_u64(&w, parent);
    ftx_write_u8(&w, what);
    ftx_write_u16(&w, 0644);
    ftx_write_u64(&w, 0);
    ftx_write_u64(&w, 0);
    write_name(&w, name);
    log_op(end, &w);
    return item;
}

static void changed(struct out_item *item, uint64_t offset, uint64_t end)
{
    for (size_t i = 0; i < item->n_sent; i++) {
        const struct ftx_extent *extent = &item->sent[i].extent;
        if (sim_overlap(extent->offset, extent->length, offset, end - offset))
            item->sent[i].changed = true;
    }
}

static void touch(struct sim_end *end, struct out_item *item)
{
    if (!item->closed)
        return;
    item->closed = false;
    item->version++;
    if (item->version < end->outbox.version_base)
        item->version = end->outbox.version_base;
}

static void resize(struct out_item *item, uint64_t size)
{
    item->bytes = sim_grow(item->bytes, &item->capacity, size, 1);
    if (size < item->size) {
        sim_segs_cut(&item->pending, size, FTX_OFFSET_MAX - size);
        changed(item, size, FTX_OFFSET_MAX);
        memset(item->bytes + size, 0, item->size - size);
    } else if (size > item->size) {
        struct sim_seg hole = {
            .offset = item->size, .length = size - item->size, .kind = FTX_EXTENT_HOLE};
        sim_segs_put(&item->pending, &hole);
        changed(item, item->size, size);
    }
    item->size = size;
}

void outbox_write(struct sim_end *end, struct out_item *item, uint64_t offset, uint64_t length)
{
    touch(end, item);
    if (offset > item->size)
        resize(item, offset);
    if (offset + length > item->size) {
        item->bytes = sim_grow(item->bytes, &item->capacity, offset + length, 1);
        item->size = offset + length;
    }
    sim_random_bytes(&end->sim->random, item->bytes + offset, length);
    struct sim_seg seg = {
        .offset = offset, .length = length, .kind = FTX_EXTENT_DATA, .hashed = true};
    sim_hash(item->bytes + offset, length, seg.hash);
    sim_segs_put(&item->pending, &seg);
    changed(item, offset, offset + length);
    if (sim_chance(&end->sim->random, 70))
        due(end, item);
}

void outbox_truncate(struct sim_end *end, struct out_item *item, uint64_t size)
{
    touch(end, item);
    resize(item, size);
}

void outbox_close(struct sim_end *end, struct out_item *item)
{
    if (!item->closed)
        sim_history_add(end->sim, &end->outbox.history, item->id, item->version, item->bytes,
                        item->size);
    item->closed = true;
    due(end, item);
}

void outbox_move(struct sim_end *end, struct out_item *item, uint64_t parent, const char *name)
{
    replace(end, item, parent, name);
    item->parent = parent;
    strcpy(item->name, name);
    uint8_t op[64];
    struct ftx_writer w = ftx_writer(op, sizeof op);
    ftx_write_u8(&w, 2);
    ftx_write_u64(&w, item->id);
    ftx_write_u64(&w, parent);
    ftx_write_u64(&w, 0);
    write_name(&w, name);
    log_op(end, &w);
}

/* Some item whose parent is `id`, or NULL. */
static struct out_item *child_of(const struct outbox_state *state, uint64_t id)
{
    for (size_t i = 0; i < state->n; i++)
        if (state->items[i]->parent == id)
            return state->items[i];
    return NULL;
}

static void forget_below(struct sim_end *end, uint64_t id)
{
    for (struct out_item *child; (child = child_of(&end->outbox.now, id));) {
        uint64_t child_id = child->id;
        forget(end, child);
        forget_below(end, child_id);
    }
}

void outbox_remove(struct sim_end *end, struct out_item *item)
{
    uint64_t id = item->id;
    bool there = item->closed && item->delivered == item->version; /* the peer keeps its copy */
    if (item->what == SIM_FOLDER || !there) {
        uint8_t op[64];
        struct ftx_writer w = ftx_writer(op, sizeof op);
        ftx_write_u8(&w, 4);
        ftx_write_u64(&w, id);
        ftx_write_u64(&w, 0);
        log_op(end, &w);
    }
    forget(end, item);
    forget_below(end, id);
}

void outbox_save(struct sim_end *end)
{
    struct sim_outbox *outbox = &end->outbox;
    for (size_t i = 0; i < outbox->now.n; i++) {
        struct out_item *item = outbox->now.items[i];
        const struct out_item *old = outbox_find(&outbox->safe, item->id);
        if (item->closed && (!old || !old->closed || old->version != item->version))
            due(end, item); /* its seal may go now */
    }
    state_copy(&outbox->safe, &outbox->now);
}

void outbox_crash(struct sim_end *end)
{
    struct sim_outbox *outbox = &end->outbox;
    outbox->n_held = 0;
    outbox->version_base += VERSIONS_PER_CRASH;
    state_copy(&outbox->now, &outbox->safe);
    for (size_t i = 0; i < outbox->now.n; i++) {
        struct out_item *item = outbox->now.items[i];
        if (item->delivered == item->version)
            continue;
        item->version = outbox->version_base; /* what was lost may have used the ones between */
        if (item->closed)
            sim_history_add(end->sim, &outbox->history, item->id, item->version, item->bytes,
                            item->size);
    }
}

void outbox_detach(struct sim_end *end)
{
    struct sim_outbox *outbox = &end->outbox;
    outbox->n_held = 0;
    for (size_t i = 0; i < outbox->now.n; i++)
        item_rest(outbox->now.items[i]);
}

void outbox_check_done(struct sim_end *end)
{
    struct sim *sim = end->sim;
    struct outbox_state *now = &end->outbox.now;
    const struct inbox_state *peer = &sim_peer(end)->inbox.safe;
    SIM_CHECK(sim, now->ops_gone == now->n_ops, "%lu of %zu operations are durable", now->ops_gone,
              now->n_ops);
    SIM_CHECK(sim, peer->applied == now->n_ops, "the peer applied %lu of %zu", peer->applied,
              now->n_ops);
    for (size_t i = 0; i < now->n; i++) {
        const struct out_item *item = now->items[i];
        const struct in_item *there = inbox_find(peer, item->id);
        SIM_CHECK(sim, there, "item %lu is not there", item->id);
        if (there->deleted || item->refused)
            continue;
        SIM_CHECK(sim, there->parent == item->parent && strcmp(there->name, item->name) == 0,
                  "item %lu is %s, not %s", item->id, there->name, item->name);
        if (item->what == SIM_FOLDER)
            continue;
        SIM_CHECK(sim, item->pending.n == 0, "item %lu: %zu pending", item->id, item->pending.n);
        SIM_CHECK(sim, item->delivered == item->version, "item %lu: version %u of %u delivered",
                  item->id, item->delivered, item->version);
        SIM_CHECK(sim, there->complete && there->version == item->version,
                  "item %lu is not complete at version %u", item->id, item->version);
        SIM_CHECK(sim, sim_equal(there->bytes, there->size, item->bytes, item->size),
                  "item %lu differs", item->id);
    }
}
