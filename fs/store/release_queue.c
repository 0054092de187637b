/* SPDX-License-Identifier: MIT */
/* The queue of files that may be released, and when the first of them is due. */
#include "fs/store/release.h"

#include "fs/store/outbox_internal.h"

#include <errno.h>
#include <stdlib.h>

static int grow(struct ftx_spool *spool)
{
    size_t capacity = spool->capacity ? 2 * spool->capacity : 256;
    struct ftx_spool_entry *entries = malloc(capacity * sizeof *entries);
    if (!entries)
        return -ENOMEM;
    for (size_t i = 0; i < spool->n; i++)
        entries[i] = spool->entries[(spool->first + i) & (spool->capacity - 1)];
    free(spool->entries);
    spool->entries = entries;
    spool->first = 0;
    spool->capacity = capacity;
    return 0;
}

void ftx_release_push(struct ftx_spool *spool, struct ftx_item *item)
{
    if (spool->n == spool->capacity && grow(spool))
        return;
    spool->entries[(spool->first + spool->n++) & (spool->capacity - 1)] =
        (struct ftx_spool_entry){.item = item->id, .since_ms = ftx_now_ms()};
    item->queued = true;
    item->used = false;
}

void ftx_release_again(struct ftx_spool *spool, struct ftx_item *item)
{
    if (item->queued || (spool->n == spool->capacity && grow(spool)))
        return;
    spool->first = (spool->first - 1) & (spool->capacity - 1);
    spool->n++;
    spool->entries[spool->first] = (struct ftx_spool_entry){
        .item = item->id, .since_ms = ftx_now_ms() - spool->release_after_ms};
    item->queued = true;
    item->used = false;
}

struct ftx_item *ftx_release_pop(struct ftx_store *store)
{
    struct ftx_spool *spool = &store->spool;
    uint64_t id = spool->entries[spool->first].item;
    spool->first = (spool->first + 1) & (spool->capacity - 1);
    spool->n--;
    struct ftx_item *item = ftx_item_find(&store->index, id);
    if (item)
        item->queued = false;
    return item;
}

void ftx_release_later(struct ftx_store *store, struct ftx_item *item)
{
    struct ftx_spool *spool = &store->spool;
    if (spool->keep_all || !item->object || !ftx_outbox_travels(item))
        return;
    if (item->queued)
        item->used = true;
    else
        ftx_release_push(spool, item);
    bool first = spool->n == 1 || (spool->pressed && !spool->more);
    spool->in_vain = 0;
    spool->more = true;
    if (first) /* the database thread may wait for nothing */
        pthread_cond_signal(&store->work);
}

void ftx_release_nothing(struct ftx_store *store)
{
    while (store->spool.n)
        (void)ftx_release_pop(store);
}

void ftx_release_load(struct ftx_store *store)
{
    pthread_mutex_lock(&store->lock); /* the database thread runs already */
    for (struct ftx_item *item = NULL; (item = ftx_item_next(&store->index, item));)
        if (item->link && item->box == FTX_OUTBOX && item->kind == FTX_FILE)
            ftx_release_later(store, item);
    pthread_mutex_unlock(&store->lock);
}

int64_t ftx_release_due_ms(const struct ftx_store *store)
{
    const struct ftx_spool *spool = &store->spool;
    if (spool->pressed && spool->more)
        return 0;
    if (spool->n == 0)
        return INT64_MAX;
    int64_t at_ms = spool->entries[spool->first].since_ms + spool->release_after_ms;
    int64_t now_ms = ftx_now_ms();
    return at_ms > now_ms ? at_ms - now_ms : 0;
}
