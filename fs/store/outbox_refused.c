/* SPDX-License-Identifier: MIT */
/*
 * What the peer does not take, and how it comes there after all.
 *
 * A folder that its receiver removed is made there again, under its number, by the next operation
 * that needs it. What was on its way into it when the news came is refused. If there was no news
 * (it was removed while there was no session), the first thing that the peer does not take for want
 * of its folder has all folders above it made, and is offered once more.
 *
 * To make a folder that the peer has changes nothing there. The number of a file cannot be used
 * again, as its content may be under way: it gets another one.
 */
#include "fs/store/outgoing.h"

#include "fs/store/change_log.h"
#include "fs/store/mirror.h"
#include "fs/store/offer.h"
#include "fs/store/outbox.h"
#include "fs/store/outbox_internal.h"
#include "fs/store/tell.h"

/* The peer has, or had, it complete. */
static bool was_delivered(const struct ftx_item *item)
{
    const struct ftx_sending *sending = item->kind == FTX_FILE ? item->as.sending : NULL;
    return (item->kind == FTX_FILE && item->state == FTX_ITEM_DELIVERED) ||
           (sending && sending->updates && !sending->dropped);
}

static struct ftx_moment now(const struct ftx_store *store, const struct ftx_link *link)
{
    return (struct ftx_moment){.op = link->op_next, .item = store->next_item};
}

/* Was the peer told of the item, where it is, before that? Later operations may be about its mode:
 * of a file that is new to the peer its number tells. */
static bool is_before(const struct ftx_item *item, const struct ftx_moment *moment)
{
    if (item->kind == FTX_FILE && !was_delivered(item))
        return ftx_item_wire(item) < moment->item;
    return (item->kind == FTX_FOLDER ? item->as.folder->placed_op : item->op) < moment->op;
}

/* -- folders that are not there -- */

/* Makes a folder at the peer, with what it has; where it is there nothing changes. */
static int make_again(struct ftx_log *log, struct ftx_item *item)
{
    struct ftx_folder *folder = item->as.folder;
    struct ftx_xattr xattr;
    int err = ftx_outbox_log_make(log, item, item->parent->mtime_ns);
    for (size_t at = 0; !err && ftx_xattrs_next(item->xattrs, &at, &xattr);)
        if (!ftx_xattr_is_ours(&xattr))
            err = ftx_log_xattr_op(log, item, &xattr);
    if (err)
        return err;
    ftx_outbox_placed(item);
    folder->gone = false;
    folder->made_at = now(log->store, item->link);
    folder->made_in = item->link->session;
    return 0;
}

int ftx_outbox_need_folder(struct ftx_log *log, struct ftx_item *folder)
{
    return folder->as.folder->gone ? make_again(log, folder) : 0;
}

static bool is_made(const struct ftx_item *item)
{
    const struct ftx_folder *folder = item->as.folder;
    return !folder->gone && folder->made_in == item->link->session;
}

/* Nobody has said which of these folders are not there. */
static int make_all(struct ftx_log *log, struct ftx_item *folder)
{
    if (ftx_item_is_root(folder))
        return 0;
    int err = make_all(log, folder->parent);
    return err || is_made(folder) ? err : make_again(log, folder);
}

/* Was it told when the peer had not said yet that a folder above it was removed? */
static bool was_under_way(const struct ftx_item *item)
{
    for (const struct ftx_item *up = item->parent; up; up = up->parent)
        if (is_before(item, &up->as.folder->gone_at))
            return true;
    return false;
}

/* -- what the peer says -- */

static int move_again(struct ftx_log *log, struct ftx_item *item)
{
    struct ftx_op op = {.kind = FTX_OP_MOVE,
                        .item = ftx_item_wire(item),
                        .parent = ftx_item_is_root(item->parent) ? 0 : ftx_item_wire(item->parent),
                        .when_ns = item->parent->mtime_ns,
                        .name = item->name,
                        .name_size = item->name_size};
    int err = ftx_log_op(log, item->link, &op);
    if (!err)
        ftx_outbox_moved(item);
    ftx_outbox_placed(item);
    return err;
}

/* Its folder is there by now. What did not take place was its MAKE or its MOVE. */
static int offer_again(struct ftx_log *log, struct ftx_item *item)
{
    int err;
    if (was_delivered(item))
        return move_again(log, item);
    if (item->kind == FTX_FILE) {
        err = ftx_outbox_log_drop(log, item, item->parent->mtime_ns);
        return err ? err : ftx_outbox_offer_again(log, item);
    }
    err = item->kind == FTX_FOLDER ? make_again(log, item)
                                   : ftx_outbox_log_make(log, item, item->parent->mtime_ns);
    return err ? err : move_again(log, item);
}

/* May something that found no folder at the peer be offered again? Not where that would go on for
 * ever: a folder above it is refused itself, or its own was just made for it. */
static bool may_offer(const struct ftx_store *store, struct ftx_item *item)
{
    const struct ftx_item *parent = item->parent;
    for (const struct ftx_item *up = parent; up; up = up->parent)
        if (up->state == FTX_ITEM_REFUSED)
            return false;
    if (ftx_item_is_root(parent) ||
        (is_made(parent) && !is_before(item, &parent->as.folder->made_at)))
        return false;
    if (was_delivered(item))
        return true;
    bool current =
        item->kind != FTX_FILE || item->state == FTX_ITEM_WRITING || item->state == FTX_ITEM_CLOSED;
    return current && !was_under_way(item) &&
           (item->kind != FTX_FILE || ftx_outbox_can_offer_again(store, item));
}

/* The peer had it complete and has removed it since: what was written is a new file to it. */
static bool was_removed_there(const struct ftx_store *store, struct ftx_item *item)
{
    return was_delivered(item) &&
           (item->state == FTX_ITEM_WRITING || item->state == FTX_ITEM_CLOSED) &&
           ftx_outbox_can_offer_again(store, item);
}

static int refuse(struct ftx_log *log, struct ftx_item *item, uint8_t reason)
{
    bool news = item->state != FTX_ITEM_REFUSED;
    if (news) /* what the peer says of the item's content follows from it */
        item->error = reason == FTX_REFUSED_FOLDER ? FTX_REFUSED_DELETED : reason;
    item->state = FTX_ITEM_REFUSED;
    ftx_item_wake(item);
    ftx_log_item(log, item);
    if (news)
        ftx_tell_item(log, FTX_EVENT_REFUSED, item);
    if (item->kind == FTX_FILE && item->as.sending)
        ftx_sending_due(log, item->as.sending);
    if (item->kind == FTX_FOLDER && ftx_item_held(item))
        ftx_outgoing_refuse_below(log, item, reason);
    ftx_mirror_settle(log, item, 0, FTX_OFFSET_MAX);
    /* a file that could not be moved is nothing to anybody where it is now */
    if (news && reason == FTX_REFUSED_FOLDER && item->kind == FTX_FILE && !was_delivered(item))
        return ftx_outbox_log_drop(log, item, item->parent->mtime_ns);
    return 0;
}

static int refused(struct ftx_log *log, struct ftx_item *item, uint8_t reason)
{
    struct ftx_folder *folder = item->kind == FTX_FOLDER ? item->as.folder : NULL;
    if (reason == FTX_REFUSED_DELETED && was_removed_there(log->store, item))
        return ftx_outbox_offer_again(log, item);
    if (reason == FTX_REFUSED_FOLDER && item->state != FTX_ITEM_REFUSED &&
        may_offer(log->store, item)) {
        int err = make_all(log, item->parent);
        return err ? err : offer_again(log, item);
    }
    if (folder && reason == FTX_REFUSED_DELETED)
        folder->gone_at = now(log->store, item->link);
    if (folder &&
        (reason == FTX_REFUSED_DELETED || (reason == FTX_REFUSED_FOLDER && was_under_way(item)))) {
        folder->gone = true;
        return 0;
    }
    return refuse(log, item, reason);
}

int ftx_outgoing_refused(struct ftx_store *store, struct ftx_link *link, uint64_t stream,
                         uint8_t reason)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_item_find_wire(&store->index, stream);
    if (item && item->link == link && item->linked && !ftx_item_is_root(item))
        err = refused(&log, item, reason);
    ftx_log_commit(&log);
    return err;
}
