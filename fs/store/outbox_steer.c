/* SPDX-License-Identifier: MIT */
/*
 * Steering what is in an outbox: cancelled, offered again, more or less urgent. A cancelled file is
 * one that stays here, like a LOCAL one (outbox_local.c), until it is retried. A priority stands
 * among the item's attributes, under a name that no program can give one, and does not travel.
 */
#include "fs/store/outbox.h"

#include "fs/store/fetch.h"
#include "fs/store/inbox.h"
#include "fs/store/mirror.h"
#include "fs/store/outbox_internal.h"
#include "fs/store/steer.h"
#include "fs/store/tell.h"
#include "transport/session/scheduler.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PRIORITY "ftx.priority"

/* -- cancel -- */

static bool may_cancel(const struct ftx_item *item)
{
    if (!ftx_outbox_travels(item) || item->kind == FTX_FOLDER)
        return false;
    if (item->kind == FTX_SYMLINK)
        return item->state == FTX_ITEM_REFUSED || item->op >= item->link->op_first;
    return item->state != FTX_ITEM_DELIVERED;
}

static int cancel(struct ftx_log *log, struct ftx_item *item, int64_t when_ns, size_t *in_out_n)
{
    int err = 0;
    if (may_cancel(item)) {
        if (ftx_outbox_is_away(item))
            return -EBUSY;
        ftx_tell_item(log, FTX_EVENT_CANCELLED, item);
        err = ftx_outbox_withdraw(log, item, when_ns, FTX_ITEM_CANCELLED);
        ftx_mirror_settle(log, item, 0, FTX_OFFSET_MAX);
        log->arrived = true; /* a close may wait for the delivery */
        (*in_out_n)++;
    }
    for (struct ftx_item *child = ftx_folder_after(item, 0); child && !err;
         child = ftx_folder_after(item, child->cookie))
        err = cancel(log, child, when_ns, in_out_n);
    return err;
}

/* A group's item for all members; one that some of them have stays for those. */
static int cancel_all(struct ftx_log *log, struct ftx_item *item, int64_t when_ns, size_t *in_out_n)
{
    struct ftx_item *mirror;
    int err = 0;
    if (!ftx_link_is_group(item->link))
        err = cancel(log, item, when_ns, in_out_n);
    for (size_t at = 0; !err && (mirror = ftx_mirror_next(log->store, item, &at));)
        err = cancel(log, mirror, when_ns, in_out_n);
    return err;
}

static int cancel_inbox(struct ftx_store *store, uint64_t id)
{
    char name[256];
    pthread_mutex_lock(&store->lock);
    const struct ftx_item *item = ftx_item_find(&store->index, id);
    bool folder = item && item->kind == FTX_FOLDER;
    uint64_t parent = item && item->linked && item->parent->link ? item->parent->id : 0;
    size_t size = parent ? item->name_size : 0;
    memcpy(name, parent ? item->name : "", size);
    pthread_mutex_unlock(&store->lock);
    return parent ? ftx_inbox_remove(store, parent, name, size, folder) : -EOPNOTSUPP;
}

int ftx_item_cancel(struct ftx_store *store, uint64_t id)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_item_find(&store->index, id);
    bool inbox = item && item->link && item->box == FTX_INBOX;
    size_t n = 0;
    if (!item)
        err = -ENOENT;
    else if (!item->link)
        err = -EOPNOTSUPP;
    else if (!inbox)
        err = cancel_all(&log, item, ftx_now_ns(), &n);
    if (!err && !inbox && n == 0)
        err = -EALREADY;
    ftx_log_commit(&log);
    return inbox ? cancel_inbox(store, id) : err;
}

/* -- retry -- */

/* What failed for want of its bytes, which are looked at again. */
static int try_again(struct ftx_log *log, struct ftx_item *item)
{
    struct ftx_sending *sending = ftx_sending_get(item);
    if (!sending)
        return -ENOMEM;
    ftx_fetch_retry(log->store, ftx_mirror_contents(log->store, item));
    item->state = FTX_ITEM_CLOSED;
    sending->scan = 0;
    sending->sealed = false;
    ftx_log_item(log, item);
    sending->closed = ftx_log_promise(log, item->link);
    ftx_sending_due(log, sending);
    ftx_mirror_settle(log, item, 0, 0);
    return 0;
}

/* Is it no mirror, or can what was released of its contents be had without its own peer? */
static bool is_supplied(const struct ftx_store *store, const struct ftx_item *item)
{
    const struct ftx_item *origin = ftx_mirror_origin(store, item);
    return !origin || ftx_mirrors_supplied(store, origin, item->link);
}

/* Offers one item again, with what is below it if it is refused itself. */
static int retry(struct ftx_log *log, struct ftx_item *item, bool *out_whole)
{
    *out_whole = false;
    switch ((enum ftx_item_state)item->state) {
    case FTX_ITEM_INTERRUPTED:
        ftx_sending_reopen(log, item);
        ftx_outbox_seal(log, item);
        return 0;
    case FTX_ITEM_FAILED:
        return try_again(log, item);
    case FTX_ITEM_CANCELLED:
        return ftx_outbox_offer(log, item);
    case FTX_ITEM_REFUSED:
        if (ftx_outbox_is_away(item) || !is_supplied(log->store, item))
            return 0; /* its bytes are there, and were refused: there is nothing to offer */
        *out_whole = true;
        int err = ftx_outbox_withdraw(log, item, ftx_now_ns(), FTX_ITEM_LOCAL);
        return err ? err : ftx_outbox_offer(log, item);
    default:
        return 0;
    }
}

int ftx_outbox_retry(struct ftx_log *log, struct ftx_item *folder)
{
    int err = 0;
    for (struct ftx_item *child = ftx_folder_after(folder, 0); child && !err;
         child = ftx_folder_after(folder, child->cookie)) {
        bool whole;
        err = retry(log, child, &whole);
        if (!err && !whole)
            err = ftx_outbox_retry(log, child);
    }
    return err;
}

/* -- priority -- */

static bool own_priority(const struct ftx_item *item, uint8_t *out)
{
    struct ftx_xattr xattr;
    if (!item->xattrs || !ftx_xattrs_find(item->xattrs, PRIORITY, sizeof PRIORITY - 1, &xattr) ||
        xattr.value_size != 1)
        return false;
    *out = *(const uint8_t *)xattr.value;
    return *out <= FTX_PRIORITY_MAX;
}

uint8_t ftx_item_priority(const struct ftx_item *item)
{
    uint8_t priority;
    for (; item && !ftx_item_is_root(item); item = item->parent)
        if (own_priority(item, &priority))
            return priority;
    return item && item->link ? item->link->settings.priority : FTX_PRIORITY_DEFAULT;
}

/* What waits below the item goes where it belongs now. */
static void reorder(struct ftx_log *log, const struct ftx_item *top)
{
    struct ftx_link *link = top->link;
    for (struct ftx_list *node = link->sendings.next; node != &link->sendings; node = node->next) {
        struct ftx_sending *sending = ftx_list_of(node, struct ftx_sending, all);
        if (sending->item->linked && ftx_item_below(sending->item, top))
            ftx_sending_due(log, sending);
    }
}

static int put_priority(struct ftx_log *log, struct ftx_item *item, const struct ftx_xattr *xattr)
{
    int err = ftx_log_xattr(log, item, xattr, false);
    if (err)
        return err;
    item->link->prioritized |= xattr->value != NULL;
    reorder(log, item);
    return 0;
}

int ftx_item_set_priority(struct ftx_store *store, uint64_t id, int priority)
{
    struct ftx_log log;
    uint8_t value = (uint8_t)priority;
    const struct ftx_xattr xattr = {.name = PRIORITY,
                                    .name_size = sizeof PRIORITY - 1,
                                    .value = priority == FTX_PRIORITY_INHERIT ? NULL : &value,
                                    .value_size = priority == FTX_PRIORITY_INHERIT ? 0 : 1};
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_item_find(&store->index, id), *mirror;
    bool outbox = item && item->link && item->box == FTX_OUTBOX;
    bool root = outbox && ftx_item_is_root(item);
    if (!item)
        err = -ENOENT;
    else if (!outbox || item->kind == FTX_SYMLINK)
        err = -EOPNOTSUPP;
    else if (root)
        err = ftx_link_set_priority(
            store, item->link, priority == FTX_PRIORITY_INHERIT ? FTX_PRIORITY_DEFAULT : value);
    else
        err = put_priority(&log, item, &xattr);
    for (size_t at = 0; !err && (mirror = ftx_mirror_next(store, item, &at));)
        err = put_priority(&log, mirror, &xattr);
    if (!err && root) {
        item->link->prioritized |= priority != FTX_PRIORITY_INHERIT;
        reorder(&log, item);
    }
    ftx_log_commit(&log);
    return err;
}
