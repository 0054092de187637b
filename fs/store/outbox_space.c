/* SPDX-License-Identifier: MIT */
/* Room and holes of outbox files: fallocate, and where data is. Allocated room is the object's;
 * what is punched travels as a hole. */
#include "fs/store/outbox.h"

#include "fs/store/opened.h"
#include "fs/store/outbox_internal.h"
#include "fs/store/released.h"
#include "fs/store/remains.h"
#include "fs/store/spool.h"
#include "transport/wire/limits.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

/* [offset, end) of a file that the peer is told of becomes a hole of what will be sealed. */
static int send_hole(struct ftx_log *log, struct ftx_item *item, uint64_t offset, uint64_t end)
{
    int err = ftx_outbox_revive(log, item);
    if (err || !ftx_sending_get(item))
        return err ? err : -ENOMEM;
    ftx_sending_reopen(log, item);
    item->as.sending->touched_ms = ftx_now_ms();
    return ftx_sending_hole(log, item, offset, end);
}

/* The file reaches `end` at least; what it gains is a hole. */
static int grow(struct ftx_store *store, uint64_t id, uint64_t end)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    bool longer = item && end > item->size;
    if (!item)
        err = -ENOENT;
    else if (longer && ftx_outbox_travels(item))
        err = send_hole(&log, item, item->size, end);
    if (!err && longer) {
        item->size = end;
        ftx_outbox_stamp(&log, item);
    }
    ftx_log_commit(&log);
    return err;
}

/* Asked before anything is reserved: some filesystems fill the disk before they say so. */
static int claim_room(struct ftx_store *store, int fd, uint64_t offset, uint64_t length)
{
    struct stat st;
    uint64_t has = fstat(fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
    uint64_t most = offset + length > has ? offset + length - has : 0;
    uint64_t wanted = length < most ? length : most;
    if (wanted == 0)
        return 0;
    pthread_mutex_lock(&store->lock);
    int err = wanted < ftx_spool_size(store) ? ftx_spool_claim(store, wanted) : -ENOSPC;
    pthread_mutex_unlock(&store->lock);
    return err;
}

static void measure(struct ftx_store *store, uint64_t id)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    if (item)
        ftx_spool_measure(store, item);
    pthread_mutex_unlock(&store->lock);
}

int ftx_outbox_allocate(struct ftx_store *store, uint64_t id, uint64_t offset, uint64_t length,
                        bool keep_size)
{
    if (offset > FTX_OFFSET_MAX || length > FTX_OFFSET_MAX - offset)
        return -EFBIG;
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    int fd = -1;
    err = item ? ftx_outbox_fd(&log, item, &fd) : -ENOENT;
    if (!err)
        err = ftx_remains_drop(&log, item);
    ftx_log_commit(&log);
    if (!err)
        err = claim_room(store, fd, offset, length);
    if (!err)
        err = ftx_object_reserve(fd, offset, length);
    measure(store, id);
    return err || keep_size ? err : grow(store, id, offset + length);
}

static int finish_punch(struct ftx_store *store, uint64_t id, uint64_t offset, uint64_t end)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    if (!item)
        err = -ENOENT;
    else if (ftx_outbox_travels(item))
        err = send_hole(&log, item, offset, end < item->size ? end : item->size);
    if (!err)
        ftx_outbox_stamp(&log, item);
    ftx_log_commit(&log);
    return err;
}

/* -ENOENT. */
static int size_of(struct ftx_store *store, uint64_t id, uint64_t *out_size)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    if (item)
        *out_size = item->size;
    pthread_mutex_unlock(&store->lock);
    return item ? 0 : -ENOENT;
}

int ftx_outbox_punch(struct ftx_store *store, uint64_t id, uint64_t offset, uint64_t length)
{
    uint64_t size;
    int fd;
    int err = size_of(store, id, &size);
    if (err || length == 0 || offset >= size)
        return err;
    uint64_t end = length < size - offset ? offset + length : size;
    err = ftx_outbox_begin_punch(store, id, offset, end, &fd);
    if (err)
        return err;
    err = ftx_object_punch(fd, offset, end - offset);
    if (!err)
        err = finish_punch(store, id, offset, end);
    if (err)
        ftx_outbox_abandon_write(store, id, offset, end);
    return err;
}

/* Somebody may have changed pages through a mapping that only the kernel knows of. */
static bool may_be_mapped(const struct ftx_item *item)
{
    return item->opened && item->opened->n_writers > 0 &&
           item->opened->caching == FTX_CACHING_CACHED;
}

/* The first released range in [offset, end), which is data, though the object has a hole there. */
static bool released_at(struct ftx_store *store, uint64_t id, uint64_t offset, uint64_t end,
                        uint64_t *out_at, uint64_t *out_end)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    bool any = item && ftx_released_next(item, offset, end, out_at, out_end);
    pthread_mutex_unlock(&store->lock);
    return any;
}

static int seek(struct ftx_store *store, uint64_t id, int fd, uint64_t offset, uint64_t size,
                int whence, uint64_t *out_offset)
{
    uint64_t at, end;
    int err = ftx_object_seek(fd, offset, size, whence, out_offset);
    if (whence == SEEK_DATA) {
        if (!released_at(store, id, offset, err ? size : *out_offset, &at, &end))
            return err;
        *out_offset = at;
        return 0;
    }
    while (!err && *out_offset < size &&
           released_at(store, id, *out_offset, *out_offset + 1, &at, &end)) {
        (void)released_at(store, id, *out_offset, size, &at, &end);
        *out_offset = end;
        if (end < size)
            err = ftx_object_seek(fd, end, size, SEEK_HOLE, out_offset);
    }
    return err;
}

int ftx_outbox_seek(struct ftx_store *store, uint64_t id, uint64_t offset, int whence,
                    uint64_t *out_offset)
{
    int fd = -1, err = 0;
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    uint64_t size = item ? item->size : 0;
    bool all_data = item && may_be_mapped(item);
    if (!item)
        err = -ENOENT;
    else if (offset >= size)
        err = -ENXIO;
    else if (item->object && !all_data)
        err = ftx_opened_fd(store, item, 0, &fd);
    pthread_mutex_unlock(&store->lock);
    if (err == -ENOENT && item)
        err = -EIO; /* its object is gone */
    if (err)
        return err;
    if (all_data)
        *out_offset = whence == SEEK_DATA ? offset : size;
    else
        return seek(store, id, fd, offset, size, whence, out_offset);
    return 0;
}
