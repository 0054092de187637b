/* SPDX-License-Identifier: MIT */
/* How much room the outbox has, and what happens when it runs short. */
#include "fs/store/spool.h"

#include "fs/store/links.h"
#include "fs/store/release.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

static bool counts(const struct ftx_item *item)
{
    return item->box == FTX_OUTBOX && item->kind == FTX_FILE && item->object != 0;
}

static void count(struct ftx_store *store)
{
    for (struct ftx_item *item = NULL; (item = ftx_item_next(&store->index, item));)
        if (counts(item))
            store->spool.used += ftx_object_room(&store->objects, item->object);
}

void ftx_spool_configure(struct ftx_store *store, const struct ftx_spool_config *config)
{
    pthread_mutex_lock(&store->lock);
    store->spool.max = config->max;
    store->spool.release_after_ms = (int64_t)config->release_after_ms;
    store->spool.keep_all = config->keep_all;
    if (config->max)
        count(store);
    if (config->keep_all)
        ftx_release_nothing(store);
    pthread_cond_signal(&store->work);
    pthread_mutex_unlock(&store->lock);
}

int64_t ftx_spool_progress(struct ftx_store *store)
{
    pthread_mutex_lock(&store->lock);
    int64_t at_ms = store->spool.progress_ms;
    pthread_mutex_unlock(&store->lock);
    return at_ms;
}

bool ftx_spool_written(struct ftx_store *store)
{
    pthread_mutex_lock(&store->lock);
    bool written = store->spool.written;
    pthread_mutex_unlock(&store->lock);
    return written;
}

bool ftx_spool_take_written(struct ftx_store *store)
{
    pthread_mutex_lock(&store->lock);
    bool written = store->spool.written;
    store->spool.written = false;
    pthread_mutex_unlock(&store->lock);
    return written;
}

/* Bytes that may still be taken, and what of them is to stay free, so that a writer need not wait for
 * a release first: a quarter of what there may be; of a disk, as much as is kept free of us anyway. */
static uint64_t room_and_reserve(const struct ftx_store *store, uint64_t *out_reserve)
{
    const struct ftx_spool *spool = &store->spool;
    uint64_t room = ftx_store_room(store, FTX_OUTBOX, out_reserve);
    if (!spool->max)
        return room;
    uint64_t left = spool->used < spool->max ? spool->max - spool->used : 0;
    if (spool->max / 4 < *out_reserve)
        *out_reserve = spool->max / 4;
    return left < room ? left : room;
}

uint64_t ftx_spool_size(const struct ftx_store *store)
{
    struct statvfs st;
    if (store->spool.max)
        return store->spool.max + 1;
    return fstatvfs(store->state_fd, &st) < 0 ? UINT64_MAX : (uint64_t)st.f_blocks * st.f_frsize;
}

uint64_t ftx_spool_shortage(const struct ftx_store *store)
{
    uint64_t reserve, room = room_and_reserve(store, &reserve);
    return room < 2 * reserve ? 2 * reserve - room : 0;
}

/* Has bytes released if only so much room is left after what is to be written. */
static void press(struct ftx_store *store, uint64_t room, uint64_t reserve)
{
    if (store->spool.pressed || store->spool.keep_all || room >= reserve)
        return;
    store->spool.pressed = true;
    store->spool.more = true;
    pthread_cond_signal(&store->work);
}

/* Will anything that is here leave? */
static bool may_drain(const struct ftx_store *store)
{
    if (store->spool.n_going || store->spool.keep_all)
        return store->spool.n_going > 0;
    bool any = store->spool.n > 0;
    for (const struct ftx_list *l = store->links.next; l != &store->links && !any; l = l->next)
        any = !ftx_list_empty(&ftx_list_of(l, struct ftx_link, node)->sendings);
    return any;
}

int ftx_spool_claim(struct ftx_store *store, uint64_t bytes)
{
    uint64_t reserve, room = room_and_reserve(store, &reserve);
    press(store, room < bytes ? 0 : room - bytes, reserve);
    if (room >= bytes)
        return 0;
    return may_drain(store) ? -EAGAIN : -ENOSPC;
}

static bool room_of(const struct ftx_opened *opened, uint64_t *out)
{
    struct stat st;
    if (!opened || opened->fd < 0 || fstat(opened->fd, &st) < 0)
        return false;
    *out = (uint64_t)st.st_blocks * 512;
    return true;
}

void ftx_spool_begin(struct ftx_store *store, struct ftx_item *item)
{
    struct ftx_opened *opened = item->opened;
    if (store->spool.max && item->box == FTX_OUTBOX && !opened->measured)
        opened->measured = room_of(opened, &opened->room);
}

void ftx_spool_measure(struct ftx_store *store, struct ftx_item *item)
{
    uint64_t now;
    if (!store->spool.max || item->box != FTX_OUTBOX || !room_of(item->opened, &now))
        return;
    uint64_t before = item->opened->room;
    item->opened->room = now;
    store->spool.used += now > before ? now - before : 0;
    if (now < before)
        ftx_spool_gained(store, before - now);
}

void ftx_spool_gained(struct ftx_store *store, uint64_t bytes)
{
    struct ftx_spool *spool = &store->spool;
    spool->used -= bytes < spool->used ? bytes : spool->used;
    spool->progress_ms = ftx_now_ms();
}

void ftx_spool_filled(struct ftx_store *store, struct ftx_item *item)
{
    ftx_spool_measure(store, item);
    ftx_release_later(store, item);
    uint64_t reserve, room = room_and_reserve(store, &reserve);
    press(store, room, reserve);
}

void ftx_spool_drains(struct ftx_store *store, struct ftx_item *item)
{
    store->spool.progress_ms = ftx_now_ms();
    ftx_release_later(store, item);
}
