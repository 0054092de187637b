/* SPDX-License-Identifier: MIT */
/* The receiving store as the engine sees it, and the tree that operations build. */
#include "tests/sim/sim.h"
#include "transport/wire/cursor.h"

#include <stdlib.h>
#include <string.h>

bool inbox_have(void *ctx, const struct ftx_extent **out_extents, size_t *out_n)
{
    struct sim_inbox *inbox = &((struct sim_end *)ctx)->inbox;
    if (inbox->have_next == inbox->n_have)
        return false;
    const struct in_batch *batch = &inbox->have[inbox->have_next++];
    *out_extents = batch->extents;
    *out_n = batch->n;
    return true;
}

static void drop(struct inbox_state *state, uint64_t id)
{
    for (size_t i = 0; i < state->n; i++) {
        struct in_item *item = state->items[i];
        if (item->id != id)
            continue;
        state->items[i] = state->items[--state->n];
        sim_segs_clear(&item->held);
        free(item->bytes);
        free(item->shadow_bytes);
        free(item);
        break;
    }
    for (size_t i = 0; i < state->n; i++)
        if (state->items[i]->parent == id || state->items[i]->replaced_by == id) {
            drop(state, state->items[i]->id);
            i = (size_t)-1;
        }
}

/* The item has this place now: who had it goes, at once or when the item is complete; whom it hid
 * elsewhere goes. */
static void place(struct inbox_state *state, struct in_item *item, uint64_t parent,
                  const char *name)
{
    bool stays = item->parent == parent && strcmp(item->name, name) == 0;
    for (size_t i = 0; !stays && i < state->n; i++)
        if (state->items[i]->replaced_by == item->id) {
            drop(state, state->items[i]->id);
            i = (size_t)-1;
        }
    item->parent = parent;
    strcpy(item->name, name);
    for (size_t i = 0; i < state->n; i++) {
        struct in_item *other = state->items[i];
        if (other == item || other->replaced_by || other->parent != parent ||
            strcmp(other->name, name) != 0)
            continue;
        if (item->complete || item->what == SIM_FOLDER || item->deleted)
            drop(state, other->id);
        else
            other->replaced_by = item->id;
        return;
    }
}

static void read_name(struct ftx_reader *r, char name[SIM_NAME_MAX])
{
    size_t size = ftx_read_u8(r);
    memset(name, 0, SIM_NAME_MAX);
    memcpy(name, ftx_read_bytes(r, size), size);
}

int inbox_apply(void *ctx, uint64_t number, const uint8_t *op, size_t size)
{
    struct sim_end *end = ctx;
    struct inbox_state *now = &end->inbox.now;
    SIM_CHECK(end->sim, number == now->applied + 1, "operation %lu after %lu", number,
              now->applied);
    now->applied = number;
    struct ftx_reader r = ftx_reader(op, size);
    uint8_t kind = ftx_read_u8(&r);
    uint64_t id = ftx_read_u64(&r);
    struct in_item *item = inbox_find(now, id);
    char name[SIM_NAME_MAX];
    if (kind == 1) {
        SIM_CHECK(end->sim, !item, "item %lu was made twice", id);
        item = sim_alloc(sizeof *item);
        item->id = id;
        uint64_t parent = ftx_read_u64(&r);
        item->what = ftx_read_u8(&r);
        ftx_read_bytes(&r, 18);
        read_name(&r, name);
        SIM_CHECK(end->sim, parent == 0 || inbox_find(now, parent), "folder %lu is not there",
                  parent);
        now->items = sim_grow(now->items, &now->capacity, now->n + 1, sizeof *now->items);
        now->items[now->n++] = item;
        place(now, item, parent, name);
    } else if (kind == 2 && item) {
        uint64_t parent = ftx_read_u64(&r);
        ftx_read_u64(&r);
        read_name(&r, name);
        place(now, item, parent, name);
    } else if (kind == 4 && item) {
        drop(now, id);
    }
    return 0;
}

static struct in_work *add_work(struct sim_end *end)
{
    struct in_job *job = &end->inbox.current;
    job->work = sim_grow(job->work, &job->capacity, job->n + 1, sizeof *job->work);
    struct in_work *work = &job->work[job->n++];
    memset(work, 0, sizeof *work);
    return work;
}

/* The item, if its receiver still wants it; else its sender is told. */
static struct in_item *welcome(struct sim_end *end, uint64_t id)
{
    struct in_item *item = inbox_find(&end->inbox.now, id);
    if (!item || !item->deleted)
        return item;
    if (item->told != end->serial)
        ftx_engine_refuse(&end->engine, id, FTX_REFUSED_DELETED);
    item->told = end->serial;
    return NULL;
}

int inbox_arrived(void *ctx, const struct ftx_content *content)
{
    struct sim_end *end = ctx;
    struct in_item *item = welcome(end, content->extent.stream);
    if (!item)
        return 0;
    if (item->came < content->extent.version)
        item->came = content->extent.version;
    add_work(end)->content = *content;
    return 0;
}

int inbox_resized(void *ctx, const struct ftx_extent *size)
{
    (void)ctx;
    (void)size; /* only shown to people */
    return 0;
}

int inbox_sealed(void *ctx, const struct ftx_plan_seal *seal)
{
    struct sim_end *end = ctx;
    if (!welcome(end, seal->stream))
        return 0;
    struct in_work *work = add_work(end);
    work->seal = true;
    work->sealed = *seal;
    return 0;
}

void inbox_record(void *ctx, struct ftx_record_ref record, void *whole)
{
    struct sim_end *end = ctx;
    struct sim_inbox *inbox = &end->inbox;
    inbox->current.ref = record;
    inbox->current.serial = end->serial;
    inbox->current.whole = whole;
    inbox->jobs =
        sim_grow(inbox->jobs, &inbox->jobs_capacity, inbox->n_jobs + 1, sizeof *inbox->jobs);
    inbox->jobs[inbox->n_jobs++] = inbox->current;
    memset(&inbox->current, 0, sizeof inbox->current);
}
