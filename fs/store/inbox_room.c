/* SPDX-License-Identifier: MIT */
/* Counts what the inboxes take, if that is limited. */
#include "fs/store/inbox_room.h"

#include "transport/base/log.h"

enum { BLOCK = 4096 }; /* what the smallest file takes */

static uint64_t blocks(uint64_t bytes)
{
    return (bytes + BLOCK - 1) / BLOCK * BLOCK;
}

static void count(const struct ftx_store *store, struct ftx_item *item)
{
    uint64_t room = ftx_object_room(&store->objects, item->object);
    item->link->inbox_used += room;
    if (item->as.arriving)
        item->as.arriving->room = room;
}

void ftx_inbox_limit(struct ftx_store *store, uint64_t max)
{
    pthread_mutex_lock(&store->lock);
    store->inbox_max = max;
    for (struct ftx_item *item = NULL; max && (item = ftx_item_next(&store->index, item));)
        if (item->link && item->box == FTX_INBOX && item->kind == FTX_FILE && item->object)
            count(store, item);
    pthread_mutex_unlock(&store->lock);
}

/* Nothing that is on its way is larger than FTX_OFFSET_MAX, and the sums are what the disk has. */
static bool fits(const struct ftx_store *store, const struct ftx_link *link, uint64_t bytes)
{
    uint64_t taken = link->inbox_used + link->inbox_claimed;
    return bytes == 0 || (taken <= store->inbox_max && blocks(bytes) <= store->inbox_max - taken);
}

bool ftx_inbox_claim(const struct ftx_store *store, struct ftx_link *link, uint64_t bytes)
{
    if (!store->inbox_max)
        return true;
    if (fits(store, link, bytes)) {
        link->inbox_claimed += blocks(bytes);
        return true;
    }
    if (!link->inbox_full)
        ftx_log(FTX_LOG_WARNING,
                "link %s: its inbox has all that it may take (inbox_max): files are refused until "
                "something is removed there",
                link->row.name);
    link->inbox_full = true;
    return false;
}

void ftx_inbox_unclaim(const struct ftx_store *store, struct ftx_link *link, uint64_t bytes)
{
    if (store->inbox_max)
        link->inbox_claimed -= blocks(bytes);
}

void ftx_inbox_measure(const struct ftx_store *store, struct ftx_item *item)
{
    struct ftx_arriving *arriving = item->as.arriving;
    if (!store->inbox_max || !item->object)
        return;
    uint64_t now = ftx_object_room(&store->objects, item->object);
    item->link->inbox_used += now - arriving->room;
    arriving->room = now;
}

void ftx_inbox_took(const struct ftx_store *store, struct ftx_item *item, uint64_t bytes)
{
    struct ftx_arriving *arriving = item->as.arriving;
    bool alone =
        arriving->landing->n_writing == 1; /* else the object has some of what others claim */
    if (alone) {
        ftx_inbox_measure(store, item);
    } else if (store->inbox_max) {
        item->link->inbox_used += blocks(bytes);
        arriving->room += blocks(bytes);
    }
    ftx_inbox_unclaim(store, item->link, bytes);
}

void ftx_inbox_gained(struct ftx_store *store, uint64_t link_id, uint64_t bytes)
{
    struct ftx_link *link = ftx_link_find(store, link_id);
    if (!link || !bytes)
        return;
    link->inbox_used -= bytes < link->inbox_used ? bytes : link->inbox_used;
}
