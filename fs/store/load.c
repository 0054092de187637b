/* SPDX-License-Identifier: MIT */
/* Loading: rows become items, then find their folders, then get their segments. */
#include "fs/store/load.h"

#include "fs/store/borrow.h"
#include "fs/store/change_log.h"
#include "fs/store/group.h"
#include "fs/store/inbox.h"
#include "fs/store/links.h"
#include "fs/store/ops.h"
#include "fs/store/outbox.h"
#include "fs/store/outbox_internal.h"
#include "fs/store/released.h"
#include "fs/store/take.h"
#include "transport/base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* An item whose folder or base may not be there yet. */
struct placed {
    struct ftx_item *item;
    uint64_t parent, base;
};

struct loading {
    struct ftx_store *store;
    struct placed *placed;
    size_t n, capacity;
    bool linked;
    struct ftx_item *printed; /* whose prints are being collected */
    struct ftx_prints *prints;
    uint64_t n_prints;
};

static int on_link(void *ctx, const struct ftx_link_row *row)
{
    struct loading *loading = ctx;
    struct ftx_link *link;
    int err = ftx_link_new(loading->store, row, &link);
    if (err)
        return err;
    link->op_first = link->op_next = row->op_acked + 1;
    if (row->id >= loading->store->next_link)
        loading->store->next_link = row->id + 1;
    return 0;
}

/* A row of a link that is gone says nothing. */
static int on_member(void *ctx, uint64_t group_id, uint64_t link_id)
{
    struct loading *loading = ctx;
    struct ftx_link *group = ftx_link_find(loading->store, group_id);
    struct ftx_link *link = ftx_link_find(loading->store, link_id);
    if (!group || !link)
        return 0;
    bool fits = ftx_link_is_group(group) && !ftx_link_is_group(link) && link->folders[FTX_OUTBOX];
    return fits ? ftx_group_attach(group, link) : FTX_ECORRUPT;
}

static int on_settings(void *ctx, uint64_t id, const struct ftx_link_settings *settings)
{
    struct loading *loading = ctx;
    struct ftx_link *link = ftx_link_find(loading->store, id);
    if (link)
        link->settings = *settings;
    else if (id == 0)
        loading->store->settings = *settings;
    return 0;
}

static int on_reach(void *ctx, uint64_t id, const struct ftx_link_reach *reach)
{
    struct loading *loading = ctx;
    struct ftx_link *link = ftx_link_find(loading->store, id);
    if (link)
        link->reach = *reach;
    return 0;
}

static int remember(struct loading *loading, struct ftx_item *item, const struct ftx_item_row *row)
{
    if (loading->n == loading->capacity) {
        size_t capacity = loading->capacity ? 2 * loading->capacity : 256;
        struct placed *grown = realloc(loading->placed, capacity * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        loading->placed = grown;
        loading->capacity = capacity;
    }
    loading->placed[loading->n++] =
        (struct placed){.item = item, .parent = row->parent, .base = row->base};
    return 0;
}

static int dress(struct ftx_item *item, const struct ftx_item_row *row)
{
    item->name = row->name_size ? strndup(row->name, row->name_size) : strdup("");
    item->name_size = (uint8_t)row->name_size;
    if (!item->name)
        return -ENOMEM;
    if (item->kind == FTX_SYMLINK) {
        item->as.target = strndup(row->target, row->target_size);
        return item->as.target ? 0 : -ENOMEM;
    }
    if (item->kind != FTX_FILE)
        return 0;
    if (item->box == FTX_OUTBOX && item->state == FTX_ITEM_CLOSED) {
        ftx_item_rest(item); /* unless a segment of it follows */
        return 0;
    }
    if (item->box == FTX_OUTBOX)
        return item->state == FTX_ITEM_DELIVERED || ftx_item_stays(item) || ftx_sending_get(item)
                   ? 0
                   : -ENOMEM;
    return item->state == FTX_ITEM_COMPLETE || item->state == FTX_ITEM_TAKEN ||
                   ftx_arriving_get(item)
               ? 0
               : -ENOMEM;
}

static int on_item(void *ctx, const struct ftx_item_row *row)
{
    struct loading *loading = ctx;
    struct ftx_store *store = loading->store;
    struct ftx_link *link = ftx_link_find(store, row->link);
    if (!link)
        return 0; /* its link was removed */
    if (row->kind < FTX_FILE || row->kind > FTX_SYMLINK || row->box > FTX_INBOX ||
        row->name_size > 255 || (row->name_size && memchr(row->name, '\0', row->name_size)) ||
        ftx_item_find(&store->index, row->id))
        return FTX_ECORRUPT;
    struct ftx_item *item = ftx_item_new(&store->index, row->id, row->kind, row->box, link);
    if (!item)
        return -ENOMEM;
    item->size = row->size;
    item->object = row->object;
    item->mtime_ns = row->mtime_ns;
    item->ctime_ns = row->ctime_ns;
    item->mode = (uint16_t)row->mode;
    item->version = row->version;
    item->state = row->state;
    item->error = row->error;
    item->named_here = row->named_here;
    store->takes |= item->box == FTX_INBOX && item->kind == FTX_FILE && ftx_take_runs(item);
    ftx_item_set_remote(&store->index, item, row->remote);
    int err = dress(item, row);
    return err ? err : remember(loading, item, row);
}

/* True if going up from the folder ends at its link's root: no row may make a ring. */
static bool reaches_root(const struct loading *loading, const struct ftx_item *folder)
{
    for (size_t steps = 0; folder && steps <= loading->n; steps++, folder = folder->parent)
        if (ftx_item_is_root(folder))
            return true;
    return false;
}

static int place(struct loading *loading, struct placed *placed)
{
    struct ftx_store *store = loading->store;
    struct ftx_item *item = placed->item;
    if (placed->base) { /* a shadow: not in the tree */
        struct ftx_item *base = ftx_item_find(&store->index, placed->base);
        if (!base || !item->as.arriving || item->box != FTX_INBOX || item->kind != FTX_FILE)
            return FTX_ECORRUPT;
        item->as.arriving->base = base;
        base->shadow = item;
        if (base->remote == item->remote) { /* the shadow is found first */
            ftx_item_set_remote(&store->index, item, item->remote);
        }
        return 0;
    }
    struct ftx_item *parent = placed->parent ? ftx_item_find(&store->index, placed->parent)
                                             : item->link->folders[item->box];
    if (!parent || parent->kind != FTX_FOLDER || parent->link != item->link ||
        parent->box != item->box ||
        ftx_item_lookup(&store->index, parent, item->name, item->name_size))
        return FTX_ECORRUPT;
    return ftx_item_link_named(&store->index, item, parent);
}

static int place_all(struct loading *loading)
{
    loading->linked = true;
    int err = 0;
    for (size_t i = 0; i < loading->n && !err; i++)
        err = place(loading, &loading->placed[i]);
    for (size_t i = 0; i < loading->n && !err; i++)
        if (!loading->placed[i].base && !reaches_root(loading, loading->placed[i].item->parent))
            err = FTX_ECORRUPT;
    return err;
}

/* The extents of a file come from front to back; prints are of use if there are all of them. */
static void load_print(struct loading *loading, struct ftx_item *item,
                       const struct ftx_segment *segment)
{
    if (loading->printed != item) {
        free(loading->prints);
        loading->prints =
            segment->offset == 0 && segment->hashed ? ftx_prints_new(item->size) : NULL;
        loading->n_prints = 0;
        loading->printed = item;
    }
    uint64_t i = loading->n_prints;
    if (!loading->prints || !segment->hashed || segment->offset != i * FTX_EXTENT_MAX ||
        i == loading->prints->n || segment->length != ftx_prints_length(i, item->size))
        return;
    memcpy(loading->prints->at[loading->n_prints++], segment->hash, FTX_PRINT_SIZE);
    if (loading->n_prints < loading->prints->n)
        return;
    item->prints = loading->prints;
    loading->prints = NULL;
}

static int load_released(struct loading *loading, struct ftx_item *item,
                         const struct ftx_segment *segment)
{
    uint64_t end = segment->offset + segment->length;
    if (item->state == FTX_ITEM_DELIVERED)
        load_print(loading, item, segment);
    item->away = item->object == 0 && segment->offset == 0 && end == item->size;
    int err = ftx_released_put(item, segment->offset, end);
    if (!err && !item->object && item->released && end == item->size &&
        ftx_segments_cover(&item->released->ranges, 0, end))
        ftx_released_whole(item);
    return err;
}

static int on_segment(void *ctx, uint64_t id, const struct ftx_segment *segment)
{
    struct loading *loading = ctx;
    struct ftx_item *item = ftx_item_find(&loading->store->index, id);
    if (!item || item->kind != FTX_FILE)
        return 0;
    struct ftx_segment copy = *segment;
    if (segment->kind == FTX_SEGMENT_RELEASED)
        return item->box == FTX_OUTBOX ? load_released(loading, item, segment) : FTX_ECORRUPT;
    if (item->rests && !ftx_sending_get(item))
        return -ENOMEM;
    if (item->box == FTX_OUTBOX && item->as.sending) {
        copy.state = FTX_PENDING_DUE;
        return ftx_segments_put(&item->as.sending->pending, &copy);
    }
    if (item->box == FTX_INBOX && item->as.arriving)
        return ftx_arriving_put(item->as.arriving, &copy);
    return 0;
}

/* The operation is not acknowledged: what it tells of is not told yet, and content follows it. */
static void mark_item(const struct ftx_store *store, uint64_t number, const struct ftx_op *op)
{
    struct ftx_item *item = ftx_item_find_wire(&store->index, op->item);
    if (!item || item->box != FTX_OUTBOX)
        return;
    if (item->kind != FTX_SYMLINK || op->kind == FTX_OP_MAKE)
        item->op = number;
    if (op->kind == FTX_OP_MAKE && item->kind == FTX_FILE && item->as.sending)
        item->as.sending->stream.op = number;
}

static int on_op(void *ctx, uint64_t link_id, uint64_t number, const uint8_t *bytes, size_t size)
{
    struct loading *loading = ctx;
    struct ftx_link *link = ftx_link_find(loading->store, link_id);
    struct ftx_op op;
    if (!link)
        return 0;
    if (number != link->op_next || ftx_op_decode(bytes, size, &op))
        return FTX_ECORRUPT;
    mark_item(loading->store, number, &op);
    return ftx_link_push_op(link, bytes, size);
}

static int on_trash(void *ctx, uint64_t object)
{
    struct loading *loading = ctx;
    struct ftx_trash *trash = malloc(sizeof *trash);
    if (!trash)
        return -ENOMEM;
    *trash = (struct ftx_trash){.object = object};
    ftx_list_init(&trash->node);
    ftx_list_append(&loading->store->trash, &trash->node);
    return 0;
}

static int on_xattr(void *ctx, uint64_t id, const struct ftx_xattr *xattr)
{
    struct loading *loading = ctx;
    struct ftx_item *item = ftx_item_find(&loading->store->index, id);
    if (!item || !item->link || item->kind == FTX_SYMLINK)
        return 0;
    struct ftx_xattrs *set;
    int err = ftx_xattrs_with(item->xattrs, xattr, &set);
    if (err)
        return err == -ENOSPC ? FTX_ECORRUPT : err;
    item->link->xattr_bytes[item->box] += ftx_xattrs_bytes(set) - ftx_xattrs_bytes(item->xattrs);
    free(item->xattrs);
    item->xattrs = set;
    bool source = xattr->name_size == sizeof FTX_BORROW_SOURCE - 1 &&
                  memcmp(xattr->name, FTX_BORROW_SOURCE, xattr->name_size) == 0;
    if (source)
        loading->store->borrows = true;
    item->link->prioritized |= ftx_xattr_is_ours(xattr) && !source;
    return 0;
}

int ftx_store_load(struct ftx_store *store)
{
    struct loading loading = {.store = store};
    static const struct ftx_database_visitor first = {.link = on_link,
                                                      .member = on_member,
                                                      .settings = on_settings,
                                                      .reach = on_reach,
                                                      .item = on_item};
    static const struct ftx_database_visitor second = {
        .segment = on_segment, .op = on_op, .trash = on_trash, .xattr = on_xattr};
    int err = ftx_database_load(store->db, &first, &loading);
    if (!err)
        err = place_all(&loading);
    if (!err)
        err = ftx_database_load(store->db, &second, &loading);
    free(loading.placed);
    free(loading.prints);
    return err;
}
