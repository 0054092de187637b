/* SPDX-License-Identifier: MIT */
/* Mirrors come and go: with their group's items, with a member, and at the start, when a kill left
 * a member's folder behind its group's. */
#include "fs/store/mirror.h"

#include "fs/store/outbox.h"
#include "fs/store/outbox_internal.h"
#include "fs/store/tell.h"
#include "transport/wire/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* -- coming -- */

/* The item again, as one that stays here. */
static int dress(struct ftx_item *mirror, const struct ftx_item *item)
{
    mirror->mode = item->mode;
    mirror->mtime_ns = item->mtime_ns;
    mirror->ctime_ns = item->ctime_ns;
    mirror->state = FTX_ITEM_LOCAL;
    if (item->kind == FTX_FILE) {
        mirror->version = 1;
        mirror->size = item->size;
    }
    if (item->kind == FTX_SYMLINK) {
        mirror->size = item->size;
        mirror->as.target = strdup(item->as.target);
        return mirror->as.target ? 0 : -ENOMEM;
    }
    return 0;
}

static int copy_xattrs(struct ftx_log *log, struct ftx_item *mirror, const struct ftx_item *item)
{
    struct ftx_xattr xattr;
    int err = 0;
    for (size_t at = 0; !err && ftx_xattrs_next(item->xattrs, &at, &xattr);)
        err = ftx_log_xattr(log, mirror, &xattr, false);
    mirror->link->prioritized |= item->link->prioritized;
    return err == -ENOSPC ? 0 : err; /* its own outbox has as many as there may be */
}

/* What is being written to leaves when that is done. */
static int follow_claims(struct ftx_sending *sending, const struct ftx_segments *pending)
{
    const struct ftx_segment *segment;
    int err = 0;
    for (uint64_t at = 0; !err && (segment = ftx_segments_at(pending, at));) {
        at = segment->offset + segment->length;
        if (segment->state == FTX_PENDING_OPEN)
            err = ftx_segments_put(&sending->pending, segment);
    }
    return err;
}

/* A mirror is offered as what a program closed; its item may be open, or was never closed. */
static int follow_state(struct ftx_log *log, struct ftx_item *mirror, const struct ftx_item *item)
{
    bool open = item->state == FTX_ITEM_WRITING || item->state == FTX_ITEM_INTERRUPTED;
    uint8_t state = open ? item->state : FTX_ITEM_CLOSED;
    if (item->kind != FTX_FILE || !mirror->as.sending)
        return 0;
    if (mirror->state != state) {
        mirror->state = state;
        ftx_log_item(log, mirror);
    }
    return item->as.sending ? follow_claims(mirror->as.sending, &item->as.sending->pending) : 0;
}

int ftx_mirror_make(struct ftx_log *log, struct ftx_item *folder, struct ftx_item *item)
{
    bool top = ftx_item_is_root(item);
    const char *name = top ? item->link->row.name : item->name;
    struct ftx_item *mirror = ftx_item_new(&log->store->index, ftx_log_next_item(log), item->kind,
                                           FTX_OUTBOX, folder->link);
    int err = mirror ? dress(mirror, item) : -ENOMEM;
    if (!err)
        err = ftx_item_link(&log->store->index, mirror, folder, name, strlen(name));
    if (err) {
        if (mirror)
            ftx_item_free(&log->store->index, mirror);
        return err;
    }
    ftx_log_item(log, mirror);
    err = copy_xattrs(log, mirror, item);
    if (!err && !ftx_outbox_stays(folder, name, strlen(name)))
        err = ftx_outbox_offer(log, mirror);
    if (!err)
        err = follow_state(log, mirror, item);
    for (struct ftx_item *child = ftx_folder_after(item, 0); child && !err;
         child = ftx_folder_after(item, child->cookie))
        err = ftx_mirror_make(log, mirror, child);
    return err;
}

/* Its children changed then. */
static void touch(struct ftx_log *log, struct ftx_item *folder, int64_t when_ns)
{
    folder->mtime_ns = folder->ctime_ns = when_ns;
    ftx_log_item(log, folder);
}

void ftx_mirrors_make(struct ftx_log *log, struct ftx_item *item)
{
    struct ftx_item *folder;
    for (size_t at = 0; (folder = ftx_mirror_next(log->store, item->parent, &at));) {
        touch(log, folder, item->parent->mtime_ns);
        (void)ftx_mirror_make(log, folder, item);
    }
}

/* -- going -- */

/* The peer is told of what is below it first. */
static int tell_drop(struct ftx_log *log, struct ftx_item *mirror, int64_t when_ns)
{
    int err = 0;
    for (struct ftx_item *child = ftx_folder_after(mirror, 0); child && !err;
         child = ftx_folder_after(mirror, child->cookie))
        err = tell_drop(log, child, when_ns);
    if (err || !ftx_outbox_travels(mirror))
        return err;
    if (mirror->kind == FTX_FILE && mirror->state != FTX_ITEM_DELIVERED)
        ftx_tell_item(log, FTX_EVENT_CANCELLED, mirror);
    return ftx_outbox_log_drop(log, mirror, when_ns);
}

int ftx_mirror_drop(struct ftx_log *log, struct ftx_item *mirror, int64_t when_ns)
{
    int err = tell_drop(log, mirror, when_ns);
    if (!err)
        ftx_outbox_drop(log, mirror);
    return err;
}

void ftx_mirrors_drop(struct ftx_log *log, struct ftx_item *item, int64_t when_ns)
{
    struct ftx_item *mirror;
    for (size_t at = 0; (mirror = ftx_mirror_next(log->store, item, &at));) {
        touch(log, mirror->parent, when_ns);
        (void)ftx_mirror_drop(log, mirror, when_ns);
    }
}

/* -- a start -- */

static bool is_same_thing(const struct ftx_item *mirror, const struct ftx_item *item)
{
    return mirror->kind == item->kind &&
           (item->kind != FTX_SYMLINK || strcmp(mirror->as.target, item->as.target) == 0);
}

/* What a mirror has to send, its item knows of. */
static int note_pending(struct ftx_log *log, struct ftx_item *mirror, struct ftx_item *item)
{
    const struct ftx_segment *segment;
    int err = 0;
    for (uint64_t at = 0; !err && mirror->as.sending &&
                          (segment = ftx_segments_at(&mirror->as.sending->pending, at));) {
        at = segment->offset + segment->length;
        if (!item->as.sending ||
            !ftx_segments_cover(&item->as.sending->pending, segment->offset, at))
            err = ftx_mirrors_put(log, mirror, segment);
    }
    return err;
}

/* A kill came between the item's entry and the mirror's: all of it is sent again. */
static int renew(struct ftx_log *log, struct ftx_item *mirror, const struct ftx_item *item)
{
    if (!ftx_sending_get(mirror))
        return -ENOMEM;
    ftx_sending_reopen(log, mirror);
    mirror->size = item->size;
    int err = ftx_sending_resend(log, mirror, 0, item->size);
    if (!err && item->state != FTX_ITEM_INTERRUPTED)
        ftx_outbox_seal(log, mirror);
    return err;
}

static int sync_item(struct ftx_log *log, struct ftx_item *mirror, struct ftx_item *item)
{
    bool travels = ftx_outbox_travels(mirror);
    if (mirror->mode != item->mode || mirror->mtime_ns != item->mtime_ns) {
        struct ftx_op op = {.kind = FTX_OP_ATTR,
                            .item = ftx_item_wire(mirror),
                            .mode = item->mode,
                            .mtime_ns = item->mtime_ns};
        int err = travels ? ftx_log_op(log, mirror->link, &op) : 0;
        if (err)
            return err;
        mirror->mode = item->mode;
        mirror->mtime_ns = item->mtime_ns;
        ftx_log_item(log, mirror);
    }
    if (item->kind != FTX_FILE || !travels)
        return 0;
    return mirror->size != item->size ? renew(log, mirror, item) : note_pending(log, mirror, item);
}

static int sync_folder(struct ftx_log *log, struct ftx_item *folder, const struct ftx_item *origin)
{
    struct ftx_store *store = log->store;
    int err = 0;
    struct ftx_item *child, *twin;
    for (child = ftx_folder_after(folder, 0); child && !err;
         child = ftx_folder_after(folder, child->cookie)) {
        twin = ftx_item_lookup(&store->index, origin, child->name, child->name_size);
        if (!twin || !is_same_thing(child, twin))
            err = ftx_mirror_drop(log, child, ftx_now_ns());
    }
    for (child = ftx_folder_after(origin, 0); child && !err;
         child = ftx_folder_after(origin, child->cookie)) {
        twin = ftx_item_lookup(&store->index, folder, child->name, child->name_size);
        err = twin ? sync_item(log, twin, child) : ftx_mirror_make(log, folder, child);
        if (!err && twin && child->kind == FTX_FOLDER)
            err = sync_folder(log, twin, child);
    }
    return err;
}

int ftx_mirror_sync(struct ftx_log *log, struct ftx_link *group, struct ftx_link *member)
{
    struct ftx_item *origin = group->folders[FTX_OUTBOX];
    struct ftx_item *folder = ftx_mirror_of(log->store, origin, member);
    int err = folder ? sync_folder(log, folder, origin)
                     : ftx_mirror_make(log, member->folders[FTX_OUTBOX], origin);
    if (!err)
        ftx_mirrors_settle_all(log, origin);
    return err;
}
