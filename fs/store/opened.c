/* SPDX-License-Identifier: MIT */
/* Handles are counted; the first use of the bytes opens the object, the last close closes it. */
#include "fs/store/opened.h"

#include "fs/store/release.h"
#include "fs/store/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int ftx_opened_add(struct ftx_item *item, bool writer)
{
    if (!item->opened) {
        item->opened = calloc(1, sizeof *item->opened);
        if (!item->opened)
            return -ENOMEM;
        item->opened->item = item;
        item->opened->fd = -1;
        ftx_list_init(&item->opened->remains);
    }
    item->opened->n_handles++;
    item->opened->n_writers += writer;
    return 0;
}

void ftx_opened_drop(struct ftx_log *log, struct ftx_item *item, bool writer)
{
    struct ftx_opened *opened = item->opened;
    opened->n_writers -= writer;
    if (writer)
        pthread_cond_broadcast(&log->store->left);
    if (--opened->n_handles > 0)
        return;
    ftx_spool_measure(log->store, item);
    if (opened->fd >= 0)
        close(opened->fd);
    ftx_list_remove(&opened->remains);
    free(opened->prints);
    free(opened);
    item->opened = NULL;
    if (item->box == FTX_OUTBOX && item->state == FTX_ITEM_DELIVERED)
        ftx_release_later(log->store, item);
    ftx_item_reap(log, item);
}

int ftx_opened_fd(struct ftx_store *store, struct ftx_item *item, int flags, int *out_fd)
{
    struct ftx_opened *opened = item->opened;
    if (!opened)
        return -EBADF;
    if (opened->fd < 0) {
        uint64_t object = item->object;
        int access = item->box == FTX_OUTBOX ? O_RDWR : O_RDONLY;
        opened->n_handles++; /* keeps the item while the lock is off */
        pthread_mutex_unlock(&store->lock);
        int fd = ftx_object_open(&store->objects, object, access | flags);
        pthread_mutex_lock(&store->lock);
        opened->n_handles--;
        if (fd < 0)
            return fd;
        if (opened->fd < 0)
            opened->fd = fd;
        else
            close(fd);
        ftx_spool_begin(store, item);
    }
    *out_fd = opened->fd;
    return 0;
}
