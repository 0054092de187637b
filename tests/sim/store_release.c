/* SPDX-License-Identifier: MIT */
/* Released bytes: whenever somebody looks, the peer has them; and a program that reads gets them. */
#include "tests/sim/store_sim.h"

#include "fs/store/fetch.h"
#include "fs/store/outbox.h"
#include "fs/store/released.h"
#include "fs/store/spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { READ_SIZE = 1 << 16, TRIES = 4000 };

uint64_t __wrap_ftx_spool_shortage(const struct ftx_store *store);
uint64_t __wrap_ftx_spool_shortage(const struct ftx_store *store)
{
    for (int i = 0; i < 2; i++)
        if (store_world->ends[i].store == store)
            return store_world->ends[i].pressed ? UINT64_C(1) << 40 : 0;
    return 0;
}

void release_begin(struct store_end *e)
{
    if (!e->end->sim->options.release)
        return;
    e->store->spool.release_after_ms = 300;
    e->store->spool.range_min = 1;
}

void release_press(struct store_end *e)
{
    if (!e->end->sim->options.release)
        return;
    e->pressed = !e->pressed;
    pthread_mutex_lock(&e->store->lock);
    e->store->spool.pressed = e->store->spool.more = e->pressed;
    pthread_mutex_unlock(&e->store->lock);
    store_world->counts.pressed += e->pressed;
}

/* Nobody fills a range of it: what this end's workers have is done at once. */
void release_quiet(struct store_end *e, const struct user_item *item)
{
    const struct ftx_item *stored = ftx_item_find(&e->store->index, item->id);
    while (stored && stored->released && stored->released->busy.count && store_work(e, 0))
        ;
}

bool release_excused(const struct store_end *e, const struct user_item *item)
{
    const struct store_end *peer = store_end_of(sim_peer(e->end));
    struct ftx_item *stored = ftx_item_find(&e->store->index, item->id);
    return peer->owner_acted || item->refused || !stored->linked ||
           told_as(e, stored)->state == FTX_ITEM_REFUSED;
}

/* What the peer would answer, from its store. */
static bool peer_has(struct store_end *e, const struct ftx_item *stored, uint64_t offset,
                     uint64_t end, uint8_t *out)
{
    struct store_end *peer = store_end_of(sim_peer(e->end));
    while (offset < end) {
        struct ftx_range range = {offset, end - offset};
        struct ftx_source source;
        if (range.length > FTX_EXTENT_MAX)
            range.length = FTX_EXTENT_MAX;
        ftx_fetch_serve(peer->store, peer->link, ftx_item_wire(stored), &range, &source);
        if (source.extent.kind == FTX_EXTENT_GONE)
            return false;
        if (source.extent.kind == FTX_EXTENT_HOLE)
            memset(out + offset, 0, source.extent.length);
        else if (ftx_fetch_read(peer->store, &source, out + offset))
            return false;
        offset += source.extent.length;
    }
    return true;
}

uint8_t *read_outbox(struct store_end *e, const struct user_item *item)
{
    struct ftx_item *stored = ftx_item_find(&e->store->index, item->id);
    uint8_t *bytes = read_object(e, stored->object, item->size);
    uint64_t at = 0, end;
    for (; ftx_released_next(stored, at, item->size, &at, &end); at = end) {
        const struct ftx_item *told = stored->linked ? told_as(e, stored) : NULL;
        bool has = told && peer_has(e, told, at, end, bytes);
        SIM_CHECK(e->end->sim, has || release_excused(e, item),
                  "%s (%lu): %lu to %lu is released, and not at the peer", item->name, item->id, at,
                  end);
        if (!has)
            memcpy(bytes + at, item->bytes + at, end - at);
        store_world->counts.released_seen++;
    }
    return bytes;
}

/* One read at the end, with as much network as it needs. */
static void read_back(struct store_end *e, const struct user_item *item, uint64_t offset)
{
    static uint8_t room[READ_SIZE];
    uint64_t left = item->size - offset;
    size_t expected = left < READ_SIZE ? (size_t)left : READ_SIZE;
    ssize_t n;
    for (int i = 0;
         (n = ftx_outbox_read(e->store, item->id, room, READ_SIZE, offset, true)) == -EAGAIN; i++) {
        SIM_CHECK(e->end->sim, i < TRIES, "%s (%lu): no bytes at %lu", item->name, item->id,
                  offset);
        store_world->counts.fetched++;
        store_settle(e->end->sim);
    }
    if (n == -ENODATA && release_excused(e, item))
        return;
    SIM_CHECK(e->end->sim,
              n == (ssize_t)expected && memcmp(room, item->bytes + offset, expected) == 0,
              "%s (%lu): %zd bytes at %lu read back, or others", item->name, item->id, n, offset);
}

void release_read_back(struct store_end *e)
{
    for (size_t i = 0; i < e->n_items; i++) {
        struct user_item *item = e->items[i];
        if (item->kind != FTX_FILE || !item->linked)
            continue;
        SIM_CHECK(e->end->sim, ftx_outbox_open(e->store, item->id, false, false) == 0, "open %lu",
                  item->id);
        for (uint64_t offset = 0; offset < item->size; offset += READ_SIZE)
            read_back(e, item, offset);
        ftx_outbox_release(e->store, item->id, false);
    }
}
