/* SPDX-License-Identifier: MIT */
/* The outbox's tree: make, remove, rename, attributes. Contents are in outbox_file.c. */
#include "fs/store/outbox.h"

#include "fs/store/borrow.h"
#include "fs/store/change_log.h"
#include "fs/store/links.h"
#include "fs/store/mirror.h"
#include "fs/store/names.h"
#include "fs/store/offer.h"
#include "fs/store/opened.h"
#include "fs/store/outbox_internal.h"
#include "fs/store/tell.h"
#include "transport/wire/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* An outbox folder that may take children, or NULL. */
static struct ftx_item *folder_of(struct ftx_store *store, uint64_t id)
{
    struct ftx_item *item = ftx_item_find(&store->index, id);
    return item && item->link && item->box == FTX_OUTBOX && item->kind == FTX_FOLDER &&
                   item->linked && !item->link->removed
               ? item
               : NULL;
}

static struct ftx_item *item_of(struct ftx_store *store, uint64_t id)
{
    struct ftx_item *item = ftx_item_find(&store->index, id);
    return item && item->link && item->box == FTX_OUTBOX ? item : NULL;
}

static uint64_t wire_id(const struct ftx_item *folder)
{
    return ftx_item_is_root(folder) ? 0 : ftx_item_wire(folder);
}

static void touch(struct ftx_log *log, struct ftx_item *folder, int64_t now_ns)
{
    folder->mtime_ns = folder->ctime_ns = now_ns;
    ftx_log_item(log, folder);
}

/* Does the path of a new child of `parent` with this name stay within the limits? */
static int check_place(const struct ftx_item *parent, const char *name, size_t size)
{
    int err = ftx_name_check(name, size, ftx_item_is_root(parent));
    if (err)
        return err;
    size_t path = size;
    for (const struct ftx_item *up = parent; !ftx_item_is_root(up); up = up->parent)
        path += 1u + up->name_size;
    if (path > FTX_PATH_MAX)
        return -ENAMETOOLONG;
    return ftx_item_depth(parent) + 1 > FTX_DEPTH_MAX ? -ELOOP : 0;
}

int ftx_outbox_log_make(struct ftx_log *log, struct ftx_item *item, int64_t when_ns)
{
    int err = ftx_outbox_need_folder(log, item->parent);
    if (err)
        return err;
    struct ftx_op op = {.kind = FTX_OP_MAKE,
                        .item = ftx_item_wire(item),
                        .parent = wire_id(item->parent),
                        .what = item->kind,
                        .mode = item->mode,
                        .mtime_ns = item->mtime_ns,
                        .when_ns = when_ns,
                        .name = item->name,
                        .name_size = item->name_size};
    if (item->kind == FTX_SYMLINK) {
        op.target = item->as.target;
        op.target_size = item->size;
    }
    err = ftx_log_op(log, item->link, &op);
    if (err)
        return err;
    item->op = item->link->op_next - 1;
    if (item->kind == FTX_FOLDER)
        item->as.folder->placed_op = item->op;
    return 0;
}

/* Nothing of it was ever acknowledged: of a symlink its MAKE, of a file its first version. */
static bool is_news(const struct ftx_item *item)
{
    if (item->kind == FTX_SYMLINK)
        return item->op >= item->link->op_first;
    return item->kind == FTX_FILE && item->version == 1 && item->state != FTX_ITEM_DELIVERED;
}

int ftx_outbox_log_drop(struct ftx_log *log, const struct ftx_item *item, int64_t when_ns)
{
    struct ftx_op op = {.kind = is_news(item) ? FTX_OP_CANCEL : FTX_OP_DROP,
                        .item = ftx_item_wire(item),
                        .when_ns = when_ns};
    return ftx_log_op(log, item->link, &op);
}

/* Content follows the operations on its item. Of a symlink the MAKE is remembered. */
static void told(struct ftx_item *item)
{
    if (item->kind != FTX_SYMLINK)
        item->op = item->link->op_next - 1;
}

void ftx_outbox_moved(struct ftx_item *item)
{
    told(item);
    if (item->kind == FTX_FOLDER)
        item->as.folder->placed_op = item->op;
}

/* Fills what is special to the kind, and to what stays here. */
static int dress(struct ftx_item *item, const char *target, bool open, bool local)
{
    if (local)
        item->state = FTX_ITEM_LOCAL;
    if (item->kind == FTX_SYMLINK) {
        item->as.target = strdup(target);
        item->size = strlen(target);
        return item->as.target ? 0 : -ENOMEM;
    }
    if (item->kind == FTX_FILE) {
        item->version = 1;
        if (!local) {
            item->state = FTX_ITEM_WRITING;
            if (!ftx_sending_get(item))
                return -ENOMEM;
        }
        if (open)
            return ftx_opened_add(item, true);
    }
    return 0;
}

int ftx_outbox_make(struct ftx_store *store, uint64_t parent_id, const char *name, size_t size,
                    enum ftx_kind kind, uint16_t mode, const char *target, bool open,
                    uint64_t *out_id)
{
    struct ftx_log log;
    int err = kind == FTX_SYMLINK ? ftx_target_check(target, strlen(target)) : 0;
    if (!err)
        err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *parent = folder_of(store, parent_id);
    struct ftx_item *item = NULL;
    err = !parent ? -ENOENT : ftx_mirror_is(parent) ? -EPERM : check_place(parent, name, size);
    if (!err && (ftx_item_lookup(&store->index, parent, name, size) ||
                 ftx_mirror_reserved(parent, name, size)))
        err = -EEXIST;
    if (!err) {
        item = ftx_item_new(&store->index, ftx_log_next_item(&log), kind, FTX_OUTBOX, parent->link);
        err = item ? 0 : -ENOMEM;
    }
    if (!err) {
        item->mode = mode & 0777;
        item->mtime_ns = item->ctime_ns = ftx_now_ns();
        err = dress(item, target, open, ftx_outbox_stays(parent, name, size));
    }
    if (!err)
        err = ftx_item_link(&store->index, item, parent, name, size);
    if (!err && ftx_outbox_travels(item)) {
        err = ftx_outbox_log_make(&log, item, item->mtime_ns);
        if (err)
            ftx_item_unlink(&store->index, item);
    }
    if (!err) {
        touch(&log, parent, item->mtime_ns);
        ftx_outbox_placed(item);
        ftx_log_item(&log, item);
        if (item->kind == FTX_FILE && item->as.sending) {
            item->as.sending->stream.op = item->op;
            item->as.sending->since_ms = ftx_since_ms();
            item->as.sending->began = ftx_log_promise(&log, item->link);
        }
        ftx_mirrors_make(&log, item);
        *out_id = item->id;
    } else if (item) {
        ftx_item_free(&store->index, item);
    }
    ftx_log_commit(&log);
    return err;
}

void ftx_outbox_drop(struct ftx_log *log, struct ftx_item *item)
{
    uint64_t cookie = 0;
    for (struct ftx_item *child; (child = ftx_folder_after(item, cookie));) {
        cookie = child->cookie;
        ftx_outbox_drop(log, child);
    }
    ftx_item_unlink(&log->store->index, item);
    ftx_item_wake(item);
    if (item->kind == FTX_FILE && item->as.sending)
        ftx_sending_let_go(log, item);
    ftx_log_orphan(log, item);
}

int ftx_outbox_remove(struct ftx_store *store, uint64_t parent_id, const char *name, size_t size,
                      bool folder)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *parent = folder_of(store, parent_id);
    struct ftx_item *item = parent ? ftx_item_lookup(&store->index, parent, name, size) : NULL;
    if (!item)
        err = -ENOENT;
    else if (ftx_mirror_is(item))
        err = -EPERM;
    else if (folder && item->kind != FTX_FOLDER)
        err = -ENOTDIR;
    else if (!folder && item->kind == FTX_FOLDER)
        err = -EISDIR;
    else if (folder && ftx_folder_count(item))
        err = -ENOTEMPTY;
    if (!err) {
        int64_t now_ns = ftx_now_ns();
        if (ftx_outbox_travels(item))
            err = ftx_outbox_log_drop(&log, item, now_ns);
        if (!err) {
            touch(&log, parent, now_ns);
            if (item->kind == FTX_FILE && ftx_outbox_travels(item) &&
                item->state != FTX_ITEM_DELIVERED)
                ftx_tell_item(&log, FTX_EVENT_CANCELLED, item);
            ftx_mirrors_drop(&log, item, now_ns);
            ftx_outbox_drop(&log, item);
        }
    }
    ftx_log_commit(&log);
    return err;
}

/* May `item` take the place of `there`? */
static int check_replace(const struct ftx_item *item, const struct ftx_item *there, unsigned flags)
{
    if (!there || there == item)
        return 0;
    if (flags & FTX_RENAME_NOREPLACE)
        return -EEXIST;
    if (there->kind == FTX_FOLDER && item->kind != FTX_FOLDER)
        return -EISDIR;
    if (there->kind != FTX_FOLDER && item->kind == FTX_FOLDER)
        return -ENOTDIR;
    return there->kind == FTX_FOLDER && ftx_folder_count(there) ? -ENOTEMPTY : 0;
}

/* The peer may take it under another name: what programs write to a name of its own and rename (as
 * rsync does) is to be taken by the one that it gets. A group has no peer: its members have. */
static bool is_refused_name(const struct ftx_store *store, struct ftx_item *item)
{
    return item->state == FTX_ITEM_REFUSED && item->error == FTX_REFUSED_TYPE &&
           !ftx_link_is_group(item->link) && ftx_outbox_can_offer_again(store, item);
}

static int move(struct ftx_log *log, struct ftx_item *item, struct ftx_item *parent,
                const char *name, size_t size, struct ftx_item *there, int64_t now_ns)
{
    struct ftx_store *store = log->store;
    struct ftx_item *from = item->parent;
    bool moves = ftx_outbox_travels(item) && !ftx_outbox_stays(parent, name, size);
    struct ftx_op op = {.kind = FTX_OP_MOVE,
                        .item = ftx_item_wire(item),
                        .parent = wire_id(parent),
                        .when_ns = now_ns,
                        .name = name,
                        .name_size = size};
    char *copy;
    int err = ftx_item_prepare(parent, item, name, size, &copy);
    if (err)
        return err;
    if (moves)
        err = ftx_outbox_need_folder(log, parent);
    if (!err && moves)
        err = ftx_log_op(log, item->link, &op);
    if (err) {
        free(copy);
        return err;
    }
    if (moves)
        ftx_outbox_moved(item);
    if (there)
        ftx_outbox_drop(log, there);
    ftx_item_unlink(&store->index, item);
    ftx_item_place(&store->index, item, parent, copy, size);
    ftx_outbox_placed(item);
    item->ctime_ns = now_ns;
    touch(log, from, now_ns);
    if (parent != from)
        touch(log, parent, now_ns);
    ftx_log_item(log, item);
    if (moves && is_refused_name(store, item))
        return ftx_outbox_offer_again(log, item);
    return moves ? 0 : ftx_outbox_settle_place(log, item, now_ns);
}

/* The item, and where it is a group's, what its members have of it. */
static int move_all(struct ftx_log *log, struct ftx_item *item, struct ftx_item *parent,
                    const char *name, size_t size, struct ftx_item *there)
{
    struct ftx_store *store = log->store;
    struct {
        struct ftx_item *item, *parent, *there;
    } moves[FTX_GROUP_MEMBERS_MAX];
    size_t n = item->link->n_members;
    for (size_t i = 0; i < n; i++) { /* by their paths, which are about to change */
        const struct ftx_link *member = item->link->members[i];
        moves[i].item = ftx_mirror_of(store, item, member);
        moves[i].parent = ftx_mirror_of(store, parent, member);
        moves[i].there = there ? ftx_mirror_of(store, there, member) : NULL;
    }
    int64_t now_ns = ftx_now_ns();
    int err = move(log, item, parent, name, size, there, now_ns);
    for (size_t i = 0; i < n && !err; i++)
        if (moves[i].item && moves[i].parent)
            err = move(log, moves[i].item, moves[i].parent, name, size, moves[i].there, now_ns);
    return err;
}

int ftx_outbox_rename(struct ftx_store *store, uint64_t parent_id, const char *name, size_t size,
                      uint64_t new_parent_id, const char *new_name, size_t new_size, unsigned flags)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *parent = folder_of(store, parent_id);
    struct ftx_item *new_parent = folder_of(store, new_parent_id);
    struct ftx_item *item = parent ? ftx_item_lookup(&store->index, parent, name, size) : NULL;
    struct ftx_item *there = NULL;
    if (!item || !new_parent)
        err = -ENOENT;
    else if (ftx_mirror_is(item) || ftx_mirror_is(new_parent) ||
             ftx_mirror_reserved(new_parent, new_name, new_size))
        err = -EPERM;
    else if (new_parent->link != item->link)
        err = -EXDEV;
    else if (ftx_item_below(new_parent, item))
        err = -EINVAL;
    if (!err)
        err = check_place(new_parent, new_name, new_size);
    if (!err && ftx_outbox_stays(new_parent, new_name, new_size) && ftx_outbox_is_away(item))
        err = -EXDEV; /* what stays here must be here: mv reads it, and so it comes back */
    if (!err && ftx_item_depth(new_parent) + 1 + ftx_item_height(item) > FTX_DEPTH_MAX)
        err = -ELOOP;
    if (!err) {
        there = ftx_item_lookup(&store->index, new_parent, new_name, new_size);
        err = check_replace(item, there, flags);
    }
    if (!err && there != item)
        err = move_all(&log, item, new_parent, new_name, new_size, there);
    ftx_log_commit(&log);
    return err;
}

static int set_attr(struct ftx_log *log, struct ftx_item *item, const uint16_t *mode,
                    const int64_t *mtime_ns)
{
    struct ftx_op op = {.kind = FTX_OP_ATTR,
                        .item = ftx_item_wire(item),
                        .mode = mode ? *mode & 0777 : item->mode,
                        .mtime_ns = mtime_ns ? *mtime_ns : item->mtime_ns};
    if (!ftx_item_is_root(item) && ftx_outbox_travels(item)) {
        int err = ftx_log_op(log, item->link, &op);
        if (err)
            return err;
        told(item);
    }
    item->mode = op.mode;
    item->mtime_ns = op.mtime_ns;
    item->ctime_ns = ftx_now_ns();
    if (item->linked)
        ftx_log_item(log, item);
    return 0;
}

int ftx_outbox_set_attr(struct ftx_store *store, uint64_t id, const uint16_t *mode,
                        const int64_t *mtime_ns)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = item_of(store, id), *mirror;
    err = !item ? -ENOENT : ftx_mirror_is(item) ? -EPERM : set_attr(&log, item, mode, mtime_ns);
    for (size_t at = 0; !err && (mirror = ftx_mirror_next(store, item, &at));)
        err = set_attr(&log, mirror, mode, mtime_ns);
    ftx_log_commit(&log);
    return err;
}

/* Does what is there allow the change? */
static int check_xattr(const struct ftx_item *item, const struct ftx_xattr *xattr,
                       enum ftx_xattr_how how)
{
    struct ftx_xattr old;
    if (!item)
        return -ENOENT;
    if (ftx_mirror_is(item))
        return -EPERM;
    if (ftx_item_is_root(item))
        return -EOPNOTSUPP;
    if (item->kind == FTX_SYMLINK)
        return -EPERM;
    bool there = ftx_xattrs_find(item->xattrs, xattr->name, xattr->name_size, &old);
    if (there && how == FTX_XATTR_CREATE)
        return -EEXIST;
    return !there && (!xattr->value || how == FTX_XATTR_REPLACE) ? -ENODATA : 0;
}

static int set_xattr(struct ftx_log *log, struct ftx_item *item, const struct ftx_xattr *xattr)
{
    int err = ftx_log_xattr(log, item, xattr, ftx_outbox_travels(item));
    if (err)
        return err;
    if (!ftx_borrowed(item)) /* that one's says whether it was changed */
        item->ctime_ns = ftx_now_ns();
    if (ftx_outbox_travels(item))
        item->op = item->link->op_next - 1;
    if (item->linked)
        ftx_log_item(log, item);
    return 0;
}

int ftx_outbox_set_xattr(struct ftx_store *store, uint64_t id, const struct ftx_xattr *xattr,
                         enum ftx_xattr_how how)
{
    struct ftx_log log;
    int err = ftx_xattr_name_check(xattr->name, xattr->name_size);
    if (!err)
        err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = item_of(store, id), *mirror;
    err = check_xattr(item, xattr, how);
    if (!err)
        err = set_xattr(&log, item, xattr);
    for (size_t at = 0; !err && (mirror = ftx_mirror_next(store, item, &at));)
        err = set_xattr(&log, mirror, xattr);
    ftx_log_commit(&log);
    return err;
}
