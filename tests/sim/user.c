/* SPDX-License-Identifier: MIT */
/* The people at both ends: who writes into the outbox, who reads and deletes in the inbox. */
#include "tests/sim/sim.h"

#include <stdio.h>

enum { ITEMS_MAX = 24, SIZE_MAX_SMALL = 3000, SIZE_MAX_LARGE = 3 << 20 };

static struct out_item *some_item(struct sim_end *end, uint8_t what)
{
    struct outbox_state *now = &end->outbox.now;
    for (int tries = 0; now->n && tries < 8; tries++) {
        struct out_item *item = now->items[sim_below(&end->sim->random, now->n)];
        if (item->what == what)
            return item;
    }
    return NULL;
}

static uint64_t some_folder(struct sim_end *end)
{
    const struct out_item *folder = some_item(end, SIM_FOLDER);
    return folder && sim_chance(&end->sim->random, 50) ? folder->id : 0;
}

static bool taken(struct sim_end *end, uint64_t parent, const char *name)
{
    const struct outbox_state *now = &end->outbox.now;
    for (size_t i = 0; i < now->n; i++) {
        const char *other = now->items[i]->name;
        size_t k = 0;
        while (name[k] && name[k] == other[k])
            k++;
        if (now->items[i]->parent == parent && name[k] == other[k])
            return true;
    }
    return false;
}

static void file_name(struct sim_end *end, char name[SIM_NAME_MAX])
{
    snprintf(name, SIM_NAME_MAX, "f%u", (unsigned)sim_below(&end->sim->random, 12));
}

static void make_file(struct sim_end *end)
{
    char name[SIM_NAME_MAX];
    file_name(end, name);
    uint64_t parent = some_folder(end);
    if (end->outbox.now.n < ITEMS_MAX && !taken(end, parent, name))
        outbox_make(end, parent, name, SIM_FILE);
}

static void make_folder(struct sim_end *end)
{
    char name[SIM_NAME_MAX];
    snprintf(name, sizeof name, "d%u", (unsigned)(end->outbox.now.next_item % 100000));
    if (end->outbox.now.n < ITEMS_MAX)
        outbox_make(end, some_folder(end), name, SIM_FOLDER);
}

static void write_file(struct sim_end *end)
{
    struct sim_random *random = &end->sim->random;
    struct out_item *item = some_item(end, SIM_FILE);
    if (!item)
        return;
    uint64_t most = end->sim->options.large ? SIZE_MAX_LARGE : SIZE_MAX_SMALL;
    uint64_t offset = sim_chance(random, 50) ? item->size : sim_below(random, most);
    uint64_t length = 1 + sim_below(random, sim_chance(random, 30) ? most / 4 : most / 30);
    if (length > FTX_EXTENT_MAX)
        length = FTX_EXTENT_MAX;
    if (offset + length <= 2 * most)
        outbox_write(end, item, offset, length);
}

static void rename_item(struct sim_end *end)
{
    struct sim_random *random = &end->sim->random;
    struct out_item *item = some_item(end, SIM_FILE);
    if (!item)
        return;
    const struct out_item *over = some_item(end, SIM_FILE);
    if (over && over != item && sim_chance(random, 50)) {
        char name[SIM_NAME_MAX];
        snprintf(name, sizeof name, "%s", over->name);
        outbox_move(end, item, over->parent, name);
        return;
    }
    char name[SIM_NAME_MAX];
    file_name(end, name);
    uint64_t parent = some_folder(end);
    if (!taken(end, parent, name))
        outbox_move(end, item, parent, name);
}

/* A reader of the inbox waits for a range; or its owner deletes an item. */
static void read_inbox(struct sim_end *end)
{
    struct sim_random *random = &end->sim->random;
    struct inbox_state *now = &end->inbox.now;
    if (now->n == 0)
        return;
    struct in_item *item = now->items[sim_below(random, now->n)];
    if (item->what != SIM_FILE || item->deleted)
        return;
    struct sim *sim = end->sim;
    if (sim->options.refuse && sim_chance(random, 3))
        inbox_delete(end, item);
    else if (sim->options.damage && sim_chance(random, 10))
        inbox_damage(end, item);
    else if (!item->complete && sim_engine(end)) {
        struct ftx_range range = {sim_below(random, 2000), 1 + sim_below(random, 1000)};
        ftx_engine_want(&end->engine, item->id, &range);
    }
}

void sim_user(struct sim_end *end)
{
    struct sim_random *random = &end->sim->random;
    struct out_item *item;
    switch (sim_below(random, 20)) {
    case 0:
    case 1:
        make_file(end);
        break;
    case 2:
        make_folder(end);
        break;
    case 3:
    case 4:
        rename_item(end);
        break;
    case 5:
        item = some_item(end, sim_chance(random, 30) ? SIM_FOLDER : SIM_FILE);
        if (item)
            outbox_remove(end, item);
        break;
    case 6:
    case 7:
    case 8:
    case 9:
        item = some_item(end, SIM_FILE);
        if (item)
            outbox_close(end, item);
        break;
    case 10:
        item = some_item(end, SIM_FILE);
        if (item)
            outbox_truncate(end, item, sim_below(random, item->size + 200));
        break;
    case 11:
    case 12:
        read_inbox(end);
        break;
    default:
        write_file(end);
    }
}
