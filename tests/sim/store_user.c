/* SPDX-License-Identifier: MIT */
/* The programs at one end: they work in the outbox and remember what they were answered; now and
 * then somebody reads or cleans up in the inbox. */
#include "tests/sim/store_sim.h"

#include "fs/store/names.h"
#include "transport/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL = 3000, LARGE = 3 << 20, WRITE_MAX = 1 << 20 };

static struct sim *sim_of(const struct store_end *e)
{
    return e->end->sim;
}

static struct sim_random *random_of(const struct store_end *e)
{
    return &e->end->sim->random;
}

struct user_item *user_find(const struct store_end *e, uint64_t id)
{
    for (size_t i = 0; i < e->n_items; i++)
        if (e->items[i]->id == id)
            return e->items[i];
    return NULL;
}

uint64_t user_folder(const struct store_end *e, uint64_t parent)
{
    const struct ftx_link *link = e->group ? e->group : e->link;
    return parent ? parent : link->folders[FTX_OUTBOX]->id;
}

struct ftx_item *told_as(const struct store_end *e, struct ftx_item *item)
{
    return e->group ? ftx_mirror_of(e->store, item, e->link) : item;
}

static struct user_item *child(const struct store_end *e, uint64_t parent, const char *name)
{
    for (size_t i = 0; i < e->n_items; i++)
        if (e->items[i]->linked && e->items[i]->parent == parent &&
            strcmp(e->items[i]->name, name) == 0)
            return e->items[i];
    return NULL;
}

/* One in its folder, of this kind (0: any). */
static struct user_item *some(const struct store_end *e, enum ftx_kind kind)
{
    for (int tries = 0; e->n_items && tries < 10; tries++) {
        struct user_item *item = e->items[sim_below(random_of(e), e->n_items)];
        if (item->linked && (!kind || item->kind == kind))
            return item;
    }
    return NULL;
}

static uint64_t some_folder(const struct store_end *e)
{
    const struct user_item *folder = sim_chance(random_of(e), 50) ? some(e, FTX_FOLDER) : NULL;
    return folder ? folder->id : 0;
}

static void some_name(const struct store_end *e, char out[16])
{
    static const char *const kept[] = {".nfs1", "Thumbs.db", ".Trash-0"};
    if (sim_chance(random_of(e), 10))
        snprintf(out, 16, "%s", kept[sim_below(random_of(e), 3)]);
    else
        snprintf(out, 16, "n%u", (unsigned)sim_below(random_of(e), 12));
}

bool user_keeps(const struct store_end *e, const struct user_item *item)
{
    for (; item; item = user_find(e, item->parent))
        if (ftx_name_is_local(item->name, strlen(item->name)))
            return true;
    return false;
}

/* Times and modes are what the store answers right after the operation. */
static void learn(struct store_end *e)
{
    for (size_t i = 0; i < e->n_items; i++) {
        struct user_item *item = e->items[i];
        struct ftx_attr attr;
        int err = ftx_tree_attr(e->store, item->id, &attr);
        SIM_CHECK(sim_of(e), err == 0, "attr of %lu: %d", item->id, err);
        item->mtime_ns = attr.mtime_ns;
        SIM_CHECK(sim_of(e), attr.mode == item->mode, "mode %o of %lu, set %o", attr.mode, item->id,
                  item->mode);
        SIM_CHECK(sim_of(e), item->kind != FTX_FILE || attr.size == item->size,
                  "size %lu of %lu, written %lu", attr.size, item->id, item->size);
    }
}

static void item_free(struct store_end *e, struct user_item *item)
{
    for (size_t i = 0; i < e->n_items; i++)
        if (e->items[i] == item)
            e->items[i] = e->items[--e->n_items];
    free(item->bytes);
    free(item->old);
    free(item);
}

static void item_unlinked(struct store_end *e, struct user_item *item)
{
    item->linked = false;
    if (item->n_handles == 0)
        item_free(e, item);
}

static void sealed(struct store_end *e, struct user_item *item)
{
    if (!item->unsealed || item->interrupted)
        return; /* nothing was written since the last close, or since the kill */
    item->unsealed = false;
    if (item->linked)
        sim_history_add(sim_of(e), &e->sealed, item->id, ++e->n_sealed, item->bytes, item->size);
}

static struct user_handle *free_handle(struct store_end *e)
{
    for (int i = 0; i < USER_HANDLES_MAX; i++)
        if (!e->handles[i].item)
            return &e->handles[i];
    return NULL;
}

static struct user_handle *some_handle(struct store_end *e, bool writer)
{
    for (int tries = 0; tries < 10; tries++) {
        struct user_handle *handle = &e->handles[sim_below(random_of(e), USER_HANDLES_MAX)];
        if (handle->item && (handle->writer || !writer))
            return handle;
    }
    return NULL;
}

static void take_handle(struct user_handle *handle, struct user_item *item, bool writer)
{
    *handle = (struct user_handle){.item = item, .writer = writer};
    item->n_handles++;
    item->n_writers += writer;
}

static struct user_item *added(struct store_end *e, uint64_t id, uint64_t parent, const char *name,
                               enum ftx_kind kind, uint16_t mode)
{
    struct user_item *item = sim_alloc(sizeof *item);
    item->id = id;
    item->parent = parent;
    snprintf(item->name, sizeof item->name, "%s", name);
    item->kind = kind;
    item->mode = mode;
    item->linked = true;
    e->kept |= user_keeps(e, item);
    e->items = sim_grow(e->items, &e->items_capacity, e->n_items + 1, sizeof *e->items);
    e->items[e->n_items++] = item;
    return item;
}

static void make(struct store_end *e, enum ftx_kind kind)
{
    static const char *const targets[] = {"n1", "../n2", "n3/./n4", "../../../out", "/etc"};
    char name[16];
    some_name(e, name);
    uint64_t parent = some_folder(e), id;
    uint16_t mode = (uint16_t)(0400 | sim_below(random_of(e), 0400));
    const char *target = targets[sim_below(random_of(e), sim_chance(random_of(e), 10) ? 5 : 3)];
    struct user_handle *handle = free_handle(e);
    if (e->n_items >= USER_ITEMS_MAX || (kind == FTX_FILE && !handle))
        return;
    int err = ftx_outbox_make(e->store, user_folder(e, parent), name, strlen(name), kind, mode,
                              kind == FTX_SYMLINK ? target : NULL, kind == FTX_FILE, &id);
    int expected = child(e, parent, name) ? -EEXIST : 0;
    SIM_CHECK(sim_of(e), err == expected, "make %s: %d, expected %d", name, err, expected);
    if (err)
        return;
    struct user_item *item = added(e, id, parent, name, kind, mode);
    if (kind == FTX_SYMLINK)
        snprintf(item->target, sizeof item->target, "%s", target);
    if (kind == FTX_FILE) {
        item->unsealed = true;
        take_handle(handle, item, true);
    }
}

static void resize(struct user_item *item, uint64_t size)
{
    if (size > item->capacity) {
        size_t capacity = 2 * size + 64;
        uint8_t *grown = realloc(item->bytes, capacity);
        if (!grown)
            abort();
        item->bytes = grown;
        item->capacity = capacity;
    }
    if (size > item->size)
        memset(item->bytes + item->size, 0, size - item->size);
    item->size = size;
}

/* Offsets at the end, somewhere, or around the edge between two cells. */
static uint64_t some_offset(struct store_end *e, const struct user_item *item)
{
    bool large = sim_of(e)->options.large;
    switch (sim_below(random_of(e), 8)) {
    case 0:
    case 1:
        return sim_below(random_of(e), large ? LARGE : SMALL);
    case 2:
        if (item->size > FTX_EXTENT_MAX / 2 || sim_chance(random_of(e), 5))
            return FTX_EXTENT_MAX - 1500 + sim_below(random_of(e), 3000);
        return item->size;
    case 3:
        return item->size ? sim_below(random_of(e), item->size) : 0;
    default:
        return item->size;
    }
}

/* What stands there, or stood there before the file was cut, but perhaps for some bytes. */
static void repeat(struct store_end *e, const struct user_item *item, uint64_t offset, uint8_t *out,
                   uint64_t length)
{
    for (uint64_t i = 0; i < length; i++)
        if (offset + i < item->size)
            out[i] = item->bytes[offset + i];
        else if (offset + i < item->old_size)
            out[i] = item->old[offset + i];
    for (unsigned left = sim_chance(random_of(e), 70) ? 0 : 3; left; left--)
        out[sim_below(random_of(e), length)]++;
}

/* Nothing of the range waits to be sent, though it was just written. */
static bool is_same(const struct store_end *e, const struct user_item *item, uint64_t offset,
                    uint64_t length)
{
    const struct ftx_item *stored = ftx_item_find(&e->store->index, item->id);
    return item->linked && !user_keeps(e, item) &&
           !ftx_segments_overlap(&stored->as.sending->pending, offset, offset + length);
}

static void write_at(struct store_end *e, struct user_item *item, uint64_t offset, uint64_t length)
{
    static uint8_t bytes[WRITE_MAX];
    sim_random_bytes(random_of(e), bytes, length);
    if (sim_chance(random_of(e), item->old ? 80 : 20))
        repeat(e, item, offset, bytes, length);
    e->deed =
        (struct user_deed){.item = item,
                           .offset = offset,
                           .size = length,
                           .bytes = bytes,
                           .new_size = offset + length > item->size ? offset + length : item->size};
    release_quiet(e, item);
    int err = ftx_outbox_write(e->store, item->id, bytes, length, offset);
    SIM_CHECK(sim_of(e), err == 0, "write to %lu: %d", item->id, err);
    store_world->counts.writes++;
    if (store_struck(e))
        return; /* nobody was answered */
    e->deed.item = NULL;
    store_world->counts.same += is_same(e, item, offset, length);
    resize(item, e->deed.new_size);
    memcpy(item->bytes + offset, bytes, length);
    item->unsealed = true;
    item->interrupted = false;
}

static void write_some(struct store_end *e)
{
    struct user_handle *handle = some_handle(e, true);
    if (!handle)
        return;
    uint64_t most = sim_of(e)->options.large ? LARGE / 4 : 900;
    uint64_t length = 1 + sim_below(random_of(e), sim_chance(random_of(e), 30) ? most : 60);
    write_at(e, handle->item, some_offset(e, handle->item), length);
}

static void truncate_to(struct store_end *e, struct user_item *item, uint64_t size)
{
    e->deed = (struct user_deed){.item = item, .offset = size, .new_size = size};
    release_quiet(e, item);
    int err = ftx_outbox_truncate(e->store, item->id, size);
    SIM_CHECK(sim_of(e), err == 0, "truncate %lu: %d", item->id, err);
    if (store_struck(e))
        return;
    e->deed.item = NULL;
    if (size < item->size && item->size >= item->old_size) {
        free(item->old);
        item->old = sim_copy(item->bytes, item->size);
        item->old_size = item->size;
    }
    resize(item, size);
    item->unsealed = true;
    item->interrupted = false;
    if (item->n_writers == 0)
        sealed(e, item);
}

static void truncate_some(struct store_end *e)
{
    struct user_handle *handle = some_handle(e, true);
    struct user_item *item =
        handle && sim_chance(random_of(e), 50) ? handle->item : some(e, FTX_FILE);
    if (item)
        truncate_to(e, item, sim_below(random_of(e), item->size + 200));
}

static void punch_some(struct store_end *e)
{
    static uint8_t zeros[WRITE_MAX];
    struct user_handle *handle = some_handle(e, true);
    if (!handle)
        return;
    struct user_item *item = handle->item;
    uint64_t offset = sim_below(random_of(e), item->size + 100);
    uint64_t length = 1 + sim_below(random_of(e), sim_chance(random_of(e), 50) ? WRITE_MAX : 900);
    uint64_t left = offset < item->size ? item->size - offset : 0;
    uint64_t cleared = length < left ? length : left;
    if (cleared)
        e->deed = (struct user_deed){.item = item,
                                     .offset = offset,
                                     .size = cleared,
                                     .bytes = zeros,
                                     .new_size = item->size};
    release_quiet(e, item);
    int err = ftx_outbox_punch(e->store, item->id, offset, length);
    SIM_CHECK(sim_of(e), err == 0, "punch %lu: %d", item->id, err);
    if (store_struck(e) || !cleared)
        return;
    e->deed.item = NULL;
    memset(item->bytes + offset, 0, cleared);
    item->unsealed = true;
    item->interrupted = false;
}

static void allocate_some(struct store_end *e)
{
    struct user_handle *handle = some_handle(e, true);
    if (!handle)
        return;
    struct user_item *item = handle->item;
    uint64_t end = 1 + sim_below(random_of(e), item->size + 3000);
    bool keep = sim_chance(random_of(e), 30), grows = !keep && end > item->size;
    if (grows)
        e->deed = (struct user_deed){.item = item, .offset = end, .new_size = end};
    int err = ftx_outbox_allocate(e->store, item->id, 0, end, keep);
    SIM_CHECK(sim_of(e), err == 0, "allocate %lu: %d", item->id, err);
    if (store_struck(e) || !grows)
        return;
    e->deed.item = NULL;
    resize(item, end);
    item->unsealed = true;
    item->interrupted = false;
}

static void open_some(struct store_end *e)
{
    struct user_handle *handle = free_handle(e);
    struct user_item *item = some(e, FTX_FILE);
    if (!handle || !item)
        return;
    bool writer = sim_chance(random_of(e), 80);
    int err = ftx_outbox_open(e->store, item->id, writer, false);
    SIM_CHECK(sim_of(e), err == 0, "open %lu: %d", item->id, err);
    take_handle(handle, item, writer);
    if (writer && sim_chance(random_of(e), 20))
        truncate_to(e, item, 0);
}

static void flush(struct store_end *e, struct user_item *item)
{
    int err = ftx_outbox_flush(e->store, item->id, false);
    SIM_CHECK(sim_of(e), err == 0, "flush %lu: %d", item->id, err);
    if (!store_struck(e))
        sealed(e, item);
}

static void close_handle(struct store_end *e, struct user_handle *handle)
{
    struct user_item *item = handle->item;
    if (sim_chance(random_of(e), 80))
        flush(e, item);
    ftx_outbox_release(e->store, item->id, handle->writer);
    if (store_struck(e))
        return; /* the handle goes with the daemon */
    item->n_handles--;
    item->n_writers -= handle->writer;
    if (handle->writer && item->n_writers == 0)
        sealed(e, item);
    handle->item = NULL;
    if (!item->linked && item->n_handles == 0)
        item_free(e, item);
}

/* As cp does with a file that is there: cuts it and writes it once more, or a part of it. */
static void copy_again(struct store_end *e)
{
    struct user_handle *handle = free_handle(e);
    struct user_item *item = some(e, FTX_FILE);
    if (!handle || !item || !item->size)
        return;
    uint64_t size = item->size, step = 1 + sim_below(random_of(e), 2 * size), n;
    if (step > WRITE_MAX)
        step = WRITE_MAX;
    SIM_CHECK(sim_of(e), ftx_outbox_open(e->store, item->id, true, false) == 0, "open %lu",
              item->id);
    take_handle(handle, item, true);
    truncate_to(e, item, sim_chance(random_of(e), 80) ? 0 : sim_below(random_of(e), size));
    for (uint64_t at = item->size; at < size && !store_struck(e); at += n) {
        n = size - at < step ? size - at : step;
        if (sim_chance(random_of(e), 95))
            write_at(e, item, at, n);
        if (sim_chance(random_of(e), 10))
            return;
    }
    if (!store_struck(e) && sim_chance(random_of(e), 80))
        close_handle(e, handle);
}

static void read_some(struct store_end *e)
{
    static uint8_t room[1 << 16];
    struct user_handle *handle = some_handle(e, false);
    if (!handle)
        return;
    struct user_item *item = handle->item;
    uint64_t offset = sim_below(random_of(e), item->size + 10);
    ssize_t n = ftx_outbox_read(e->store, item->id, room, sizeof room, offset, true);
    uint64_t left = offset < item->size ? item->size - offset : 0;
    uint64_t expected = left < sizeof room ? left : sizeof room;
    if (n == -EAGAIN || (n == -ENODATA && release_excused(e, item)))
        return; /* released: it was asked for */
    SIM_CHECK(sim_of(e), n == (ssize_t)expected, "read %lu at %lu: %zd", item->id, offset, n);
    SIM_CHECK(sim_of(e), n == 0 || memcmp(room, item->bytes + offset, (size_t)n) == 0,
              "read %lu at %lu: other bytes", item->id, offset);
}

static bool has_children(const struct store_end *e, const struct user_item *folder)
{
    for (size_t i = 0; i < e->n_items; i++)
        if (e->items[i]->linked && e->items[i]->parent == folder->id)
            return true;
    return false;
}

static void remove_some(struct store_end *e)
{
    struct user_item *item = some(e, sim_chance(random_of(e), 40) ? FTX_FOLDER : 0);
    if (!item)
        return;
    bool folder = item->kind == FTX_FOLDER;
    int err = ftx_outbox_remove(e->store, user_folder(e, item->parent), item->name,
                                strlen(item->name), folder);
    int expected = folder && has_children(e, item) ? -ENOTEMPTY : 0;
    SIM_CHECK(sim_of(e), err == expected, "remove %s: %d", item->name, err);
    if (!err)
        item_unlinked(e, item);
}

static bool below(const struct store_end *e, uint64_t folder, const struct user_item *item)
{
    for (const struct user_item *up = user_find(e, folder); up; up = user_find(e, up->parent))
        if (up == item)
            return true;
    return false;
}

static int rename_error(const struct store_end *e, const struct user_item *item,
                        const struct user_item *there, uint64_t parent)
{
    if (below(e, parent, item))
        return -EINVAL;
    if (!there || there == item)
        return 0;
    if (there->kind == FTX_FOLDER && item->kind != FTX_FOLDER)
        return -EISDIR;
    if (there->kind != FTX_FOLDER && item->kind == FTX_FOLDER)
        return -ENOTDIR;
    return there->kind == FTX_FOLDER && has_children(e, there) ? -ENOTEMPTY : 0;
}

/* What was kept here is offered now: closed files as they are, whatever a kill did to them. */
static void offered(struct store_end *e, const struct user_item *top)
{
    for (size_t i = 0; i < e->n_items; i++) {
        struct user_item *item = e->items[i];
        if (!item->linked || (item != top && !below(e, item->parent, top)) || user_keeps(e, item))
            continue;
        item->refused = false;
        store_world->counts.offered++;
        if (item->kind != FTX_FILE)
            continue;
        item->unsealed = true;
        item->interrupted = false;
        if (item->n_writers == 0)
            sealed(e, item);
    }
}

static void rename_some(struct store_end *e)
{
    struct user_item *item = some(e, 0);
    if (!item)
        return;
    char name[16];
    some_name(e, name);
    uint64_t parent = some_folder(e);
    const struct user_item *over = some(e, 0);
    if (over && sim_chance(random_of(e), 50)) {
        parent = over->parent;
        memcpy(name, over->name, sizeof name);
    }
    struct user_item *there = child(e, parent, name);
    int err = ftx_outbox_rename(e->store, user_folder(e, item->parent), item->name,
                                strlen(item->name), user_folder(e, parent), name, strlen(name), 0);
    int expected = rename_error(e, item, there, parent);
    SIM_CHECK(sim_of(e), err == expected || (err == -EXDEV && sim_of(e)->options.release),
              "rename %s to %s: %d, expected %d", item->name, name, err, expected);
    if (err || there == item)
        return;
    if (there)
        item_unlinked(e, there);
    bool kept = user_keeps(e, item);
    item->parent = parent;
    memcpy(item->name, name, sizeof name);
    e->kept |= user_keeps(e, item);
    if (kept && !user_keeps(e, item))
        offered(e, item);
    store_world->counts.withdrawn += !kept && user_keeps(e, item);
}

static void set_attr(struct store_end *e)
{
    struct user_item *item = some(e, 0);
    if (!item)
        return;
    uint16_t mode = (uint16_t)sim_below(random_of(e), 01000);
    int64_t mtime = (int64_t)sim_below(random_of(e), 1u << 30) * 1000003;
    bool with_mode = sim_chance(random_of(e), 60),
         with_time = !with_mode || sim_chance(random_of(e), 50);
    int err = ftx_outbox_set_attr(e->store, item->id, with_mode ? &mode : NULL,
                                  with_time ? &mtime : NULL);
    SIM_CHECK(sim_of(e), err == 0, "set_attr %lu: %d", item->id, err);
    if (with_mode)
        item->mode = mode;
}

static void set_xattr(struct store_end *e)
{
    struct user_item *item = some(e, 0);
    struct user_handle *handle = some_handle(e, false);
    if (handle && sim_chance(random_of(e), 20))
        item = handle->item; /* removed, perhaps */
    if (!item)
        return;
    size_t which = sim_below(random_of(e), USER_XATTRS);
    char *old = item->xattrs[which], now[sizeof item->xattrs[which]] = "";
    if (sim_chance(random_of(e), 70))
        snprintf(now, sizeof now, "%.*s%u", (int)sim_below(random_of(e), 12), "xxxxxxxxxxxx",
                 (unsigned)sim_below(random_of(e), 1000));
    struct ftx_xattr xattr = {&"abc"[which], 1, now[0] ? now : NULL, strlen(now)};
    int err = ftx_outbox_set_xattr(e->store, item->id, &xattr, FTX_XATTR_ANY);
    int expected = item->kind == FTX_SYMLINK ? -EPERM : !now[0] && !old[0] ? -ENODATA : 0;
    SIM_CHECK(sim_of(e), err == expected, "xattr of %lu: %d, expected %d", item->id, err, expected);
    if (err)
        return;
    memcpy(old, now, sizeof now);
    store_world->counts.xattrs++;
}

/* -- in the inbox -- */

static struct ftx_item *some_arrived(const struct store_end *e)
{
    struct ftx_item *folder = e->link->folders[FTX_INBOX], *found = NULL;
    for (int depth = 0; depth < 3; depth++) {
        size_t n = ftx_folder_count(folder), skip;
        if (!n)
            break;
        skip = sim_below(random_of(e), n);
        found = ftx_folder_after(folder, 0);
        while (skip--)
            found = ftx_folder_after(folder, found->cookie);
        if (found->kind != FTX_FOLDER || sim_chance(random_of(e), 30))
            break;
        folder = found;
    }
    return found;
}

static uint64_t id_of(const struct ftx_item *item)
{
    return item->id;
}

static void own(struct store_end *e)
{
    struct ftx_item *item = some_arrived(e);
    if (!item || !sim_of(e)->options.refuse)
        return;
    e->owner_acted = true;
    e->n_owned = 0;
    if (sim_chance(random_of(e), 50)) {
        int err = ftx_inbox_remove(e->store, id_of(item->parent), item->name, item->name_size,
                                   item->kind == FTX_FOLDER);
        SIM_CHECK(sim_of(e), err == 0 || err == -ENOTEMPTY, "inbox remove: %d", err);
        return;
    }
    char name[16];
    some_name(e, name);
    struct ftx_item *to = some_arrived(e);
    uint64_t parent = to && to->kind == FTX_FOLDER ? to->id : e->link->folders[FTX_INBOX]->id;
    int err = ftx_inbox_rename(e->store, id_of(item->parent), item->name, item->name_size, parent,
                               name, strlen(name), 0);
    SIM_CHECK(sim_of(e),
              err == 0 || err == -EINVAL || err == -ENOTEMPTY || err == -EISDIR || err == -ENOTDIR,
              "inbox rename: %d", err);
}

/* Opens a file, or reads what one that was complete then must still hold, or closes it. */
static void read_inbox(struct store_end *e)
{
    struct reader *reader = &e->readers[sim_below(random_of(e), READERS_MAX)];
    int fd;
    size_t n;
    if (!reader->id) {
        struct ftx_item *item = some_arrived(e);
        bool direct, keep;
        if (!item || item->kind != FTX_FILE || ftx_inbox_open(e->store, item->id, &direct, &keep))
            return;
        bool complete = !direct;
        reader->id = item->id;
        reader->size = complete ? item->size : 0;
        reader->bytes = complete ? read_object(e, item->object, item->size) : NULL;
        return;
    }
    if (sim_chance(random_of(e), 30)) {
        ftx_inbox_release(e->store, reader->id);
        free(reader->bytes);
        *reader = (struct reader){0};
        return;
    }
    uint64_t offset = sim_below(random_of(e), reader->size + 100);
    int err = ftx_inbox_read(e->store, reader->id, 200, offset, true, &fd, &n);
    SIM_CHECK(sim_of(e), err == 0 || err == -EAGAIN || err == -ENODATA || err == -EIO,
              "inbox read: %d", err);
    if (!reader->bytes)
        return;
    uint64_t left = offset < reader->size ? reader->size - offset : 0;
    SIM_CHECK(sim_of(e), err == 0 && n == (left < 200 ? left : 200),
              "reader of a complete file: %d, %zu bytes of %lu", err, n, left);
    uint8_t room[200] = {0};
    if (n && fd >= 0)
        (void)!pread(fd, room, n, (off_t)offset);
    SIM_CHECK(sim_of(e), n == 0 || memcmp(room, reader->bytes + offset, n) == 0,
              "reader of a complete file sees other bytes at %lu", offset);
}

/* The disk of the inbox loses a range of something that is arriving. */
static void damage(struct store_end *e)
{
    if (!sim_of(e)->options.damage || ftx_list_empty(&e->link->arriving))
        return;
    struct ftx_arriving *arriving = ftx_list_of(e->link->arriving.next, struct ftx_arriving, node);
    struct ftx_segment *segment = ftx_segments_at(&arriving->landing->have, 0);
    if (!segment || !segment->hashed || arriving->base || arriving->sealed)
        return; /* (of an update: nothing here can lose it) */
    pthread_mutex_lock(&e->store->lock);
    (void)ftx_segments_cut(&arriving->landing->have, segment->offset, segment->length);
    pthread_mutex_unlock(&e->store->lock);
}

/* -- any of these -- */

void user_act(struct store_end *e)
{
    struct user_handle *handle;
    struct user_item *item;
    switch (sim_below(random_of(e), 32)) {
    case 0:
    case 1:
        make(e, FTX_FILE);
        break;
    case 2:
        make(e, FTX_FOLDER);
        break;
    case 3:
        make(e, FTX_SYMLINK);
        break;
    case 4:
    case 5:
        rename_some(e);
        break;
    case 6:
        remove_some(e);
        break;
    case 7:
    case 8:
        open_some(e);
        break;
    case 9:
    case 10:
    case 11:
        handle = some_handle(e, false);
        if (handle)
            close_handle(e, handle);
        break;
    case 12:
        handle = some_handle(e, true);
        if (handle)
            flush(e, handle->item);
        break;
    case 13:
        truncate_some(e);
        break;
    case 14:
        set_attr(e);
        break;
    case 15:
        read_some(e);
        break;
    case 16:
        own(e);
        break;
    case 17:
    case 18:
    case 19:
        read_inbox(e);
        break;
    case 20:
        damage(e);
        break;
    case 21:
        item = some(e, FTX_FILE);
        if (item && sim_chance(random_of(e), 30))
            (void)ftx_tree_attr(e->store, item->id, &(struct ftx_attr){0});
        break;
    case 22:
        set_xattr(e);
        break;
    case 23:
        punch_some(e);
        break;
    case 24:
        allocate_some(e);
        break;
    case 25:
        if (sim_chance(random_of(e), 20))
            release_press(e);
        break;
    case 26:
    case 27:
        copy_again(e);
        break;
    default:
        write_some(e);
    }
    if (!store_struck(e))
        learn(e);
}

/* What a kill made of a write or truncate that was not answered: any byte of it may be there. */
static void settle_deed(struct store_end *e)
{
    struct user_item *item = e->deed.item;
    struct ftx_attr attr;
    e->deed.item = NULL;
    if (!item || !item->linked)
        return;
    SIM_CHECK(sim_of(e), ftx_tree_attr(e->store, item->id, &attr) == 0, "%lu is lost", item->id);
    SIM_CHECK(sim_of(e), attr.size == item->size || attr.size == e->deed.new_size,
              "size %lu of %lu: neither %lu nor %lu", attr.size, item->id, item->size,
              e->deed.new_size);
    resize(item, attr.size);
    struct ftx_item *stored = ftx_item_find(&e->store->index, item->id);
    uint8_t *now = read_outbox(e, item);
    for (uint64_t at = e->deed.offset; e->deed.bytes && at < item->size; at++) {
        if (at - e->deed.offset >= e->deed.size)
            break;
        if (now[at] == e->deed.bytes[at - e->deed.offset])
            item->bytes[at] = now[at];
    }
    free(now);
    item->unsealed |= stored->state == FTX_ITEM_INTERRUPTED;
    /* nothing of it came so far: the last close holds. A truncate of a closed file may have been
     * sealed already. */
    if (!e->deed.bytes && stored->state == FTX_ITEM_CLOSED) {
        item->unsealed = true;
        sealed(e, item);
    }
}

void user_killed(struct store_end *e)
{
    settle_deed(e);
    for (int i = 0; i < USER_HANDLES_MAX; i++) {
        struct user_item *item = e->handles[i].item;
        if (!item)
            continue;
        e->handles[i].item = NULL;
        item->n_writers = 0;
        /* one handle was closed, another was not: the last one would have sealed it */
        struct ftx_item *stored = ftx_item_find(&e->store->index, item->id);
        item->unsealed |= stored && stored->state == FTX_ITEM_INTERRUPTED;
        if (--item->n_handles == 0 && !item->linked)
            item_free(e, item);
    }
    for (size_t i = 0; i < e->n_items; i++)
        if (e->items[i]->unsealed && !e->items[i]->interrupted && !user_keeps(e, e->items[i])) {
            e->items[i]->interrupted = true;
            store_world->counts.interrupted++;
        }
    for (size_t i = 0; i < e->n_items; i++) {
        struct ftx_attr attr;
        bool either = e->items[i]->interrupted || user_keeps(e, e->items[i]);
        if (ftx_tree_attr(e->store, e->items[i]->id, &attr) == 0 && either)
            e->items[i]->mtime_ns = attr.mtime_ns;
    }
}

void user_close_all(struct store_end *e, bool again)
{
    for (int i = 0; i < USER_HANDLES_MAX; i++)
        if (e->handles[i].item)
            close_handle(e, &e->handles[i]);
    for (size_t i = 0; i < e->n_items; i++) {
        struct user_item *item = e->items[i];
        if (!again || !item->interrupted || sim_chance(random_of(e), 30))
            continue;
        SIM_CHECK(sim_of(e), ftx_outbox_open(e->store, item->id, true, false) == 0, "open %lu",
                  item->id);
        item->n_handles++;
        item->n_writers++;
        write_at(e, item, item->size, 7);
        flush(e, item);
        ftx_outbox_release(e->store, item->id, true);
        item->n_handles--;
        item->n_writers--;
    }
    learn(e);
}

void user_free(struct store_end *e)
{
    while (e->n_items)
        item_free(e, e->items[0]);
    free(e->items);
    sim_history_clear(&e->sealed);
}
