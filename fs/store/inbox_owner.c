/* SPDX-License-Identifier: MIT */
/* What the inbox's owner may do with what has come: remove and rename, both only here. */
#include "fs/store/inbox.h"

#include "fs/store/change_log.h"
#include "fs/store/names.h"
#include "fs/store/news.h"
#include "fs/store/offer.h"
#include "fs/store/outbox.h"
#include "fs/store/tell.h"
#include "transport/wire/limits.h"

#include <errno.h>
#include <stdlib.h>

enum { REMOVED_FOLDERS_MAX = 4096 }; /* their sender was not told of yet, of a link */

static struct ftx_item *child_of(struct ftx_store *store, uint64_t parent_id, const char *name,
                                 size_t size)
{
    struct ftx_item *parent = ftx_item_find(&store->index, parent_id);
    if (!parent || !parent->link || parent->box != FTX_INBOX || parent->kind != FTX_FOLDER)
        return NULL;
    return ftx_item_lookup(&store->index, parent, name, size);
}

/* Its sender is to hear that the folder is not here any more. Of what is lost of that it hears when
 * it makes something there. */
static void tell_removed(struct ftx_log *log, const struct ftx_item *folder)
{
    struct ftx_link *link = folder->link;
    bool tell = folder->kind == FTX_FOLDER && folder->remote &&
                link->n_removed_folders < REMOVED_FOLDERS_MAX;
    struct ftx_removed_folder *removed = tell ? malloc(sizeof *removed) : NULL;
    if (!removed)
        return;
    removed->remote = folder->remote;
    ftx_list_init(&removed->node);
    ftx_list_append(&link->removed_folders, &removed->node);
    link->n_removed_folders++;
    log->wake = true;
}

bool ftx_inbox_removed_folder(struct ftx_store *store, struct ftx_link *link, uint64_t *out_remote)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_list *node = ftx_list_pop(&link->removed_folders);
    if (node) {
        struct ftx_removed_folder *removed = ftx_list_of(node, struct ftx_removed_folder, node);
        *out_remote = removed->remote;
        link->n_removed_folders--;
        free(removed);
    }
    pthread_mutex_unlock(&store->lock);
    return node != NULL;
}

static void touch(struct ftx_log *log, struct ftx_item *folder)
{
    folder->mtime_ns = folder->ctime_ns = ftx_now_ns();
    ftx_log_item(log, folder);
}

/* Another file that is to take the item's place once it is complete; NULL: there is none. The
 * item's own next version is not one. */
static struct ftx_item *newer_of(const struct ftx_item *item)
{
    return item->shadow && item->shadow->remote != item->remote ? item->shadow : NULL;
}

/* The owner does not want the item, nor what was still to come for it. */
static void take_away(struct ftx_log *log, struct ftx_item *item)
{
    bool arrives = item->kind == FTX_FILE && item->as.arriving;
    bool waits = arrives || item->state == FTX_ITEM_OFFERED;
    bool told = item->state == FTX_ITEM_REFUSED;
    const struct ftx_item *refused = waits ? item : newer_of(item);
    item->link->inbox_full = false;
    if (ftx_item_offered(item)) { /* no content will come by which the peer would notice */
        item->error = FTX_REFUSED_REJECTED;
        ftx_answer_refused(item->link, item, item->error);
        log->wake = true;
    } else {
        tell_removed(log, item);
    }
    if (refused && !told)
        ftx_tell_item(log, FTX_EVENT_REFUSED, refused);
    ftx_inbox_drop(log, item);
}

/*
 * A newer file was about to take the item's place, but the item has another name now: the newer one
 * stands by itself where that was, as `name` in `from`. Without memory it is refused.
 */
static void leave_newer(struct ftx_log *log, struct ftx_item *item, struct ftx_item *from,
                        const char *name, size_t size)
{
    struct ftx_store *store = log->store;
    struct ftx_item *newer = newer_of(item);
    char *copy;
    if (!newer)
        return;
    if (ftx_item_prepare(from, newer, name, size, &copy)) {
        ftx_inbox_let_go(log, newer);
        return;
    }
    newer->as.arriving->base = NULL;
    item->shadow = NULL;
    ftx_item_place(&store->index, newer, from, copy, size);
    ftx_log_item(log, newer);
    log->news |= ftx_news_made(store, newer);
}

int ftx_inbox_remove(struct ftx_store *store, uint64_t parent_id, const char *name, size_t size,
                     bool folder)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = child_of(store, parent_id, name, size);
    if (!item)
        err = -ENOENT;
    else if (folder && item->kind != FTX_FOLDER)
        err = -ENOTDIR;
    else if (!folder && item->kind == FTX_FOLDER)
        err = -EISDIR;
    else if (folder && ftx_folder_count(item))
        err = -ENOTEMPTY;
    if (!err) {
        touch(&log, item->parent);
        take_away(&log, item);
    }
    ftx_log_commit(&log);
    return err;
}

void ftx_inbox_left(struct ftx_log *log, struct ftx_item *item)
{
    touch(log, item->parent);
    log->news |= ftx_news_gone(log->store, item);
    take_away(log, item);
}

int ftx_inbox_set_mode(struct ftx_store *store, uint64_t id, uint16_t mode)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_item_find(&store->index, id);
    if (!item || !item->link || item->box != FTX_INBOX || ftx_item_is_root(item)) {
        err = -ENOENT;
    } else {
        item->mode = mode & 0777;
        item->ctime_ns = ftx_now_ns();
        if (item->linked)
            ftx_log_item(&log, item);
    }
    ftx_log_commit(&log);
    return err;
}

/* What is offered is accepted or not where it stands: nothing leaves it, nothing comes to it. */
static bool changes_offer(const struct ftx_item *item, const struct ftx_item *to)
{
    if (item->parent == to)
        return false;
    return ftx_item_offered(item) || (!ftx_item_is_root(to) && ftx_item_offered(to));
}

int ftx_inbox_rename(struct ftx_store *store, uint64_t parent_id, const char *name, size_t size,
                     uint64_t new_parent_id, const char *new_name, size_t new_size, unsigned flags)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = child_of(store, parent_id, name, size);
    struct ftx_item *parent = ftx_item_find(&store->index, new_parent_id);
    struct ftx_item *there = NULL;
    char *copy = NULL;
    if (!item || !parent || parent->kind != FTX_FOLDER || !parent->link ||
        !(parent->linked || ftx_item_is_root(parent)))
        err = -ENOENT;
    else if (parent->link != item->link || parent->box != FTX_INBOX)
        err = -EXDEV;
    else if (ftx_item_below(parent, item))
        err = -EINVAL;
    if (!err)
        err = ftx_name_check(new_name, new_size, ftx_item_is_root(parent));
    if (!err && ftx_item_depth(parent) + 1 + ftx_item_height(item) > FTX_DEPTH_MAX)
        err = -ELOOP;
    if (!err) {
        there = ftx_item_lookup(&store->index, parent, new_name, new_size);
        if (there && there != item && (flags & FTX_RENAME_NOREPLACE))
            err = -EEXIST;
        else if (there && there->kind == FTX_FOLDER && ftx_folder_count(there))
            err = -ENOTEMPTY;
        else if (there && (there->kind == FTX_FOLDER) != (item->kind == FTX_FOLDER))
            err = there->kind == FTX_FOLDER ? -EISDIR : -ENOTDIR;
    }
    if (!err && changes_offer(item, parent))
        err = -EPERM;
    if (!err && there != item)
        err = ftx_item_prepare(parent, item, new_name, new_size, &copy);
    if (!err && there != item) {
        struct ftx_item *from = item->parent;
        if (there)
            take_away(&log, there);
        ftx_item_unlink(&store->index, item);
        ftx_item_place(&store->index, item, parent, copy, new_size);
        item->moved_here |= parent != from;
        item->named_here = true;
        leave_newer(&log, item, from, name, size);
        touch(&log, from);
        if (parent != from)
            touch(&log, parent);
        ftx_log_item(&log, item);
    }
    ftx_log_commit(&log);
    return err;
}
