/* SPDX-License-Identifier: MIT */
/* What must hold: at the sender what was answered, at the receiver what was sealed. */
#include "tests/sim/store_sim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint8_t *read_object(struct store_end *e, uint64_t object, uint64_t size)
{
    uint8_t *bytes = sim_alloc(size + 1);
    int fd = object ? ftx_object_open(&e->store->objects, object, O_RDONLY) : -1;
    for (uint64_t done = 0; fd >= 0 && done < size;) {
        ssize_t n = pread(fd, bytes + done, size - done, (off_t)done);
        if (n <= 0)
            break;
        done += (uint64_t)n;
    }
    if (fd >= 0)
        close(fd);
    return bytes;
}

bool has_xattrs(const struct ftx_item *stored, const struct user_item *item)
{
    size_t bytes = 0;
    for (size_t i = 0; i < USER_XATTRS; i++) {
        const char *value = item->xattrs[i];
        struct ftx_xattr found;
        bool there = ftx_xattrs_find(stored->xattrs, &"abc"[i], 1, &found);
        if (there != (value[0] != 0) ||
            (there &&
             !sim_equal(found.value, found.value_size, (const uint8_t *)value, strlen(value))))
            return false;
        bytes += there ? FTX_USER_SIZE + 1 + found.value_size : 0;
    }
    return bytes == ftx_xattrs_bytes(stored->xattrs);
}

static void check_item(struct store_end *e, const struct user_item *item)
{
    struct sim *sim = e->end->sim;
    struct ftx_attr attr;
    uint64_t parent = user_folder(e, item->parent);
    int err = ftx_tree_lookup(e->store, parent, item->name, strlen(item->name), true, &attr);
    SIM_CHECK(sim, err == 0 && attr.id == item->id, "%s (%lu) is not there: %d", item->name,
              item->id, err);
    ftx_tree_forget(e->store, item->id, 1);
    SIM_CHECK(sim, attr.kind == item->kind && attr.mode == item->mode,
              "%s: kind %d mode %o, not %o", item->name, attr.kind, attr.mode, item->mode);
    SIM_CHECK(sim, attr.mtime_ns == item->mtime_ns, "%s (%lu): mtime %ld, not %ld", item->name,
              item->id, attr.mtime_ns, item->mtime_ns);
    struct ftx_item *stored = ftx_item_find(&e->store->index, item->id);
    SIM_CHECK(sim, has_xattrs(stored, item), "%s (%lu) has other attributes", item->name, item->id);
    SIM_CHECK(sim, (stored->state == FTX_ITEM_LOCAL) == user_keeps(e, item), "%s (%lu): state %d",
              item->name, item->id, stored->state);
    if (item->kind == FTX_SYMLINK)
        SIM_CHECK(sim, strcmp(stored->as.target, item->target) == 0, "%s points to %s", item->name,
                  stored->as.target);
    if (item->kind != FTX_FILE)
        return;
    SIM_CHECK(sim, attr.size == item->size, "%s (%lu): size %lu, not %lu", item->name, item->id,
              attr.size, item->size);
    uint8_t *bytes = read_outbox(e, item);
    SIM_CHECK(sim, item->size == 0 || memcmp(bytes, item->bytes, item->size) == 0,
              "%s (%lu) has other bytes", item->name, item->id);
    free(bytes);
    SIM_CHECK(sim, stored->state != FTX_ITEM_FAILED, "%s (%lu) failed", item->name, item->id);
    if (stored->state == FTX_ITEM_LOCAL)
        return;                                    /* nobody is told when it was closed */
    bool open = stored->state == FTX_ITEM_WRITING; /* or closed, and still open elsewhere */
    bool ended = stored->state == FTX_ITEM_INTERRUPTED;
    bool fits = open    ? item->unsealed || item->n_writers > 0
                : ended ? item->unsealed
                        : !item->unsealed;
    SIM_CHECK(sim, stored->state == FTX_ITEM_REFUSED || fits,
              "%s (%lu): state %d, %s sealed, %d writers", item->name, item->id, stored->state,
              item->unsealed ? "not" : "is", (int)item->n_writers);
}

static size_t count_below(const struct ftx_item *folder)
{
    size_t n = 0;
    for (struct ftx_item *child = ftx_folder_after(folder, 0); child;
         child = ftx_folder_after(folder, child->cookie))
        n += 1 + (child->kind == FTX_FOLDER ? count_below(child) : 0);
    return n;
}

void check_outbox(struct store_end *e)
{
    size_t n = 0;
    for (size_t i = 0; i < e->n_items; i++) {
        if (!e->items[i]->linked)
            continue;
        check_item(e, e->items[i]);
        n++;
    }
    struct ftx_item *folder = ftx_item_find(&e->store->index, user_folder(e, 0));
    size_t there = count_below(folder), told = count_below(told_as(e, folder));
    SIM_CHECK(e->end->sim, there == n, "%zu items in the outbox, not %zu", there, n);
    SIM_CHECK(e->end->sim, told == n, "%zu items are told of, not %zu", told, n);
}

/* Was this closed by the sender, as this item (0: as any)? */
static bool was_sealed(const struct store_end *sender, uint64_t item, const uint8_t *bytes,
                       uint64_t size)
{
    for (size_t i = 0; i < sender->sealed.n; i++) {
        const struct sim_sealed *sealed = &sender->sealed.at[i];
        if ((!item || sealed->item == item) && sim_equal(sealed->bytes, sealed->size, bytes, size))
            return true;
    }
    return false;
}

static void check_arrived(struct store_end *e, const struct ftx_item *item)
{
    struct sim *sim = e->end->sim;
    struct store_end *sender = store_end_of(sim_peer(e->end));
    SIM_CHECK(
        sim, item->kind != FTX_FILE || (item->state == FTX_ITEM_COMPLETE) == !item->as.arriving,
        "%s: state %d and%s arriving", item->name, item->state, item->as.arriving ? "" : " not");
    if (item->kind != FTX_FILE || item->state != FTX_ITEM_COMPLETE)
        return;
    uint8_t *bytes = read_object(e, item->object, item->size);
    struct ftx_item *sent = ftx_item_find_wire(&sender->store->index, item->remote);
    sent = sent ? ftx_mirror_contents(sender->store, sent) : NULL;
    SIM_CHECK(sim, was_sealed(sender, sent ? sent->id : 0, bytes, item->size),
              "%s (%lu, %lu of the sender, %lu bytes, version %u) is complete with bytes that were "
              "never closed",
              item->name, item->id, item->remote, item->size, item->version);
    free(bytes);
    store_world->counts.complete_seen++;
}

static void check_folder(struct store_end *e, const struct ftx_item *folder)
{
    for (struct ftx_item *child = ftx_folder_after(folder, 0); child;
         child = ftx_folder_after(folder, child->cookie)) {
        check_arrived(e, child);
        if (child->kind == FTX_FOLDER)
            check_folder(e, child);
    }
}

static void find_owned(struct store_end *e, const struct ftx_item *folder)
{
    for (struct ftx_item *child = ftx_folder_after(folder, 0); child;
         child = ftx_folder_after(folder, child->cookie)) {
        if (child->kind == FTX_FOLDER)
            find_owned(e, child);
        else if (child->named_here && !child->remote && e->n_owned < OWNED_MAX)
            e->owned[e->n_owned++] = child->id;
    }
}

/* What has its name from the inbox's owner, and is forgotten by its sender, nobody but the owner
 * takes away. */
static void check_owned(struct store_end *e)
{
    for (size_t i = 0; i < e->n_owned; i++) {
        const struct ftx_item *item = ftx_item_find(&e->store->index, e->owned[i]);
        SIM_CHECK(e->end->sim, item && item->linked && item->named_here,
                  "%lu was named by its owner and is gone", e->owned[i]);
    }
    store_world->counts.owned_seen += (unsigned)e->n_owned;
    e->n_owned = 0;
    find_owned(e, e->link->folders[FTX_INBOX]);
}

void check_inbox(struct store_end *e)
{
    check_folder(e, e->link->folders[FTX_INBOX]);
    check_owned(e);
}

/* The item, or a folder above it, was refused by the receiver. */
static bool refused(const struct store_end *e, const struct user_item *item)
{
    for (; item; item = user_find(e, item->parent)) {
        struct ftx_item *stored = ftx_item_find(&e->store->index, item->id);
        if (item->refused || told_as(e, stored)->state == FTX_ITEM_REFUSED)
            return true;
    }
    return false;
}

static void check_same(struct store_end *from, struct store_end *to, const struct user_item *item)
{
    struct sim *sim = from->end->sim;
    struct ftx_item *sent = ftx_item_find(&from->store->index, item->id);
    const struct ftx_item *told = told_as(from, sent);
    const struct ftx_item *got =
        ftx_item_find_remote(&to->store->index, to->link, ftx_item_wire(told));
    bool interrupted = item->kind == FTX_FILE && sent->state == FTX_ITEM_INTERRUPTED;
    SIM_CHECK(sim, item->kind != FTX_FILE || interrupted || sent->state == FTX_ITEM_DELIVERED,
              "%s (%lu) is in state %d at the end, at the peer %d", item->name, item->id,
              sent->state, got ? got->state : -1);
    if (got && got->kind == FTX_FILE && got->as.arriving && got->as.arriving->base) {
        const struct ftx_item *base = got->as.arriving->base;
        const struct ftx_item *holder = base->remote == got->remote ? base : got;
        SIM_CHECK(sim, has_xattrs(holder, item), "%s (%lu): other attributes", item->name,
                  item->id);
        SIM_CHECK(sim, interrupted, "%s (%lu): an update is left over", item->name, item->id);
        return;
    }
    if (to->owner_acted)
        return;
    SIM_CHECK(sim, got && got->linked, "%s (%lu, kind %d, state %d) is not at the peer", item->name,
              item->id, item->kind, sent->state);
    uint64_t parent = ftx_item_is_root(got->parent) ? 0 : got->parent->remote;
    uint64_t folder = ftx_item_is_root(told->parent) ? 0 : ftx_item_wire(told->parent);
    SIM_CHECK(sim, parent == folder && strcmp(got->name, item->name) == 0,
              "%s (%lu) is %s in %lu at the peer, not in %lu", item->name, item->id, got->name,
              parent, item->parent);
    SIM_CHECK(sim, has_xattrs(got, item), "%s (%lu) has other attributes at the peer", item->name,
              item->id);
    SIM_CHECK(sim, interrupted || got->mode == item->mode, "%s (%lu): mode %o at the peer, not %o",
              item->name, item->id, got->mode, item->mode);
    if (item->kind != FTX_FOLDER || !(from->refused || from->kept))
        SIM_CHECK(sim, interrupted || got->mtime_ns == item->mtime_ns,
                  "%s (%lu, kind %d): mtime %ld at the peer, not %ld", item->name, item->id,
                  item->kind, got->mtime_ns, item->mtime_ns);
    if (item->kind == FTX_SYMLINK)
        SIM_CHECK(sim, strcmp(got->as.target, item->target) == 0, "%s points to %s", item->name,
                  got->as.target);
    if (item->kind != FTX_FILE)
        return;
    if (interrupted) {
        uint8_t *was = read_object(to, got->object, got->size);
        SIM_CHECK(sim, got->state != FTX_ITEM_ARRIVING, "%s (%lu) is still arriving", item->name,
                  item->id);
        free(was);
        return;
    }
    SIM_CHECK(sim, got->state == FTX_ITEM_COMPLETE && got->size == item->size,
              "%s (%lu): state %d with %lu bytes of %lu", item->name, item->id, got->state,
              got->size, item->size);
    uint8_t *bytes = read_object(to, got->object, got->size);
    SIM_CHECK(sim, item->size == 0 || memcmp(bytes, item->bytes, item->size) == 0,
              "%s (%lu) has other bytes at the peer", item->name, item->id);
    free(bytes);
}

static void check_nothing_left(struct sim *sim, const struct ftx_link *link)
{
    for (struct ftx_list *node = link->sendings.next; node != &link->sendings; node = node->next) {
        const struct ftx_item *item = ftx_list_of(node, struct ftx_sending, all)->item;
        SIM_CHECK(sim, item->state == FTX_ITEM_REFUSED || item->state == FTX_ITEM_INTERRUPTED,
                  "%s (%lu, state %d) is left to be sent", item->name, item->id, item->state);
    }
}

void check_delivered(struct store_end *e)
{
    struct sim *sim = e->end->sim;
    struct store_end *to = store_end_of(sim_peer(e->end));
    for (size_t i = 0; i < e->n_items; i++) {
        if (user_keeps(e, e->items[i]))
            SIM_CHECK(sim, !ftx_item_find_remote(&to->store->index, to->link, e->items[i]->id),
                      "%s (%lu) is at the peer", e->items[i]->name, e->items[i]->id);
        else if (refused(e, e->items[i]))
            store_world->counts.refused++;
        else
            check_same(e, to, e->items[i]);
    }
    SIM_CHECK(sim, e->link->op_first == e->link->op_next, "%lu operations left",
              e->link->op_next - e->link->op_first);
    check_nothing_left(sim, e->link);
    if (e->group)
        check_nothing_left(sim, e->group);
}

static bool is_used(struct store_end *e, uint64_t object)
{
    for (struct ftx_item *item = NULL; (item = ftx_item_next(&e->store->index, item));)
        if (item->object == object)
            return true;
    return false;
}

void check_objects(struct store_end *e)
{
    for (unsigned i = 0; i < 256; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%.300s/.ftx/objects/%02x", e->path, i);
        DIR *dir = opendir(path);
        if (!dir && errno == ENOENT)
            continue; /* there was never an object in it */
        SIM_CHECK(e->end->sim, dir, "%s: %d", path, errno);
        for (struct dirent *entry; (entry = readdir(dir));) {
            if (entry->d_name[0] == '.')
                continue;
            uint64_t object = (uint64_t)i << 56 | strtoull(entry->d_name, NULL, 16);
            SIM_CHECK(e->end->sim, is_used(e, object), "nobody has object %016lx", object);
        }
        closedir(dir);
    }
}
