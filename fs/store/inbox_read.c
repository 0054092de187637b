/* SPDX-License-Identifier: MIT */
/* Inbox files for programs: what of them can be read, where they have holes, and what their sender
 * is asked for first. */
#include "fs/store/inbox.h"

#include "fs/store/change_log.h"
#include "fs/store/offer.h"
#include "fs/store/opened.h"
#include "fs/store/take.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

bool ftx_inbox_want(struct ftx_store *store, struct ftx_link *link, uint64_t *out_remote,
                    struct ftx_range *out_range)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_list *node = ftx_list_pop(&link->wants);
    if (node) {
        struct ftx_want *want = ftx_list_of(node, struct ftx_want, node);
        *out_remote = want->remote;
        *out_range = (struct ftx_range){want->offset, want->length};
        free(want);
    }
    pthread_mutex_unlock(&store->lock);
    return node != NULL;
}

int ftx_inbox_open(struct ftx_store *store, uint64_t id, bool *out_direct, bool *out_keep)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item;
    while ((item = ftx_inbox_file_of(store, id)) && ftx_take_runs(item))
        pthread_cond_wait(&store->left, &store->lock);
    int err = !item || item->state == FTX_ITEM_TAKEN        ? -ENOENT
              : item->as.arriving && ftx_item_offered(item) ? -EPERM
                                                            : 0;
    if (!err)
        err = ftx_opened_add(item, false);
    if (!err) {
        *out_direct = item->state != FTX_ITEM_COMPLETE;
        *out_keep = *out_direct || !item->stale;
        item->stale = *out_direct;
    }
    pthread_mutex_unlock(&store->lock);
    return err;
}

void ftx_inbox_release(struct ftx_store *store, uint64_t id)
{
    struct ftx_log log;
    ftx_log_lock(&log, store);
    struct ftx_item *item = ftx_inbox_file_of(store, id);
    if (item && item->opened)
        ftx_opened_drop(&log, item, false);
    ftx_log_commit(&log);
}

/* Readers ask again every second; while nobody takes them, a wish stands there once. */
static void add_want(struct ftx_log *log, struct ftx_item *item, uint64_t offset, uint64_t length)
{
    struct ftx_list *wants = &item->link->wants;
    for (struct ftx_list *node = wants->next; node != wants; node = node->next) {
        const struct ftx_want *there = ftx_list_of(node, struct ftx_want, node);
        if (there->remote == item->remote && there->offset == offset && there->length == length)
            return;
    }
    struct ftx_want *want = item->remote ? malloc(sizeof *want) : NULL;
    if (!want)
        return;
    *want = (struct ftx_want){.remote = item->remote, .offset = offset, .length = length};
    ftx_list_init(&want->node);
    ftx_list_append(wants, &want->node);
    log->wake = true;
}

/* What of the file a read can have: 0, -EAGAIN (bytes are missing), -ENODATA (and nobody sends them:
 * its writer was cut off) or an error; *out_size: how many bytes the file has there. */
static int readable(const struct ftx_item *item, size_t size, uint64_t offset, size_t *out_size)
{
    if (!item || !item->opened)
        return -ENOENT;
    if (item->state == FTX_ITEM_FAILED)
        return -EIO;
    if (item->state == FTX_ITEM_TAKEN)
        return -ENODATA;
    const struct ftx_arriving *arriving = item->as.arriving;
    uint64_t left = offset < item->size ? item->size - offset : 0;
    *out_size = size < left ? size : (size_t)left;
    if (!arriving)
        return 0;
    bool more_may_come = *out_size == 0 && !arriving->sealed;
    if (!more_may_come && ftx_segments_cover(&arriving->landing->have, offset, *out_size))
        return 0;
    return item->state == FTX_ITEM_INTERRUPTED ? -ENODATA : -EAGAIN;
}

/* The descriptor to read from, -1: all that may be read is a hole. */
static int read_fd(struct ftx_store *store, struct ftx_item *item, int *out_fd)
{
    bool complete = !item->as.arriving;
    if (!item->object)
        return 0;
    int err = ftx_opened_fd(store, item, 0, out_fd);
    if (err ==
        -ENOENT) /* it was there when the file was completed; before, there may be none yet */
        err = complete ? -EIO : 0;
    return err;
}

int ftx_inbox_read(struct ftx_store *store, uint64_t id, size_t size, uint64_t offset, bool want,
                   int *out_fd, size_t *out_size)
{
    struct ftx_log log;
    size_t n = 0;
    *out_fd = -1;
    *out_size = 0;
    ftx_log_lock(&log, store);
    struct ftx_item *item = ftx_inbox_file_of(store, id);
    int err = readable(item, size, offset, &n);
    if (err == -EAGAIN && want)
        add_want(&log, item, offset, n ? n : size);
    if (!err && n)
        err = read_fd(store, item, out_fd);
    if (!err)
        *out_size = n;
    ftx_log_commit(&log);
    return err;
}

/* The known hole at `offset` or the next one behind it, or NULL. */
static const struct ftx_segment *hole_at(const struct ftx_arriving *arriving, uint64_t offset)
{
    struct ftx_segment *segment = ftx_segments_at(&arriving->landing->have, offset);
    while (segment && segment->kind != FTX_SEGMENT_HOLE)
        segment = ftx_segments_at(&arriving->landing->have, segment->offset + segment->length);
    return segment;
}

static int seek_arriving(const struct ftx_item *item, uint64_t offset, int whence,
                         uint64_t *out_offset)
{
    uint64_t at = offset;
    const struct ftx_segment *hole = hole_at(item->as.arriving, at);
    if (whence == SEEK_HOLE) {
        at = !hole ? item->size : hole->offset > offset ? hole->offset : offset;
    } else {
        for (; hole && hole->offset <= at; hole = hole_at(item->as.arriving, at))
            at = hole->offset + hole->length;
        if (at >= item->size)
            return -ENXIO;
    }
    *out_offset = at < item->size ? at : item->size;
    return 0;
}

int ftx_inbox_seek(struct ftx_store *store, uint64_t id, uint64_t offset, int whence,
                   uint64_t *out_offset)
{
    int fd = -1, err = 0;
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_inbox_file_of(store, id);
    uint64_t size = item ? item->size : 0;
    bool arriving = item && item->as.arriving;
    if (!item || !item->opened)
        err = -ENOENT;
    else if (item->state == FTX_ITEM_FAILED)
        err = -EIO;
    else if (offset >= size)
        err = -ENXIO;
    else if (arriving)
        err = seek_arriving(item, offset, whence, out_offset);
    else
        err = read_fd(store, item, &fd);
    pthread_mutex_unlock(&store->lock);
    return err || arriving ? err : ftx_object_seek(fd, offset, size, whence, out_offset);
}

int64_t ftx_inbox_progress(struct ftx_store *store, uint64_t id)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_inbox_file_of(store, id);
    int64_t at_ms = item && item->as.arriving ? item->as.arriving->progress_ms : 0;
    pthread_mutex_unlock(&store->lock);
    return at_ms;
}
