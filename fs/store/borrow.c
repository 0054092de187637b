/* SPDX-License-Identifier: MIT */
/* Finds, opens and checks what stands outside of the store. */
#include "fs/store/borrow.h"

#include "fs/store/outbox.h"
#include "fs/store/outbox_internal.h"
#include "fs/store/xattrs.h"
#include "transport/base/err.h"
#include "transport/session/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A place, and what must stand there. */
struct lender {
    char path[PATH_MAX];
    uint64_t size, object;
    int64_t mtime_ns, ctime_ns;
};

/* 0 would be a file without bytes. */
static uint64_t object_of(const struct stat *st)
{
    return st->st_ino ? st->st_ino : 1;
}

static bool is_same(const struct lender *lender, const struct stat *st)
{
    return S_ISREG(st->st_mode) && object_of(st) == lender->object &&
           (uint64_t)st->st_size == lender->size && ftx_time_ns(&st->st_mtim) == lender->mtime_ns &&
           ftx_time_ns(&st->st_ctim) == lender->ctime_ns;
}

static bool source_of(const struct ftx_item *item, struct ftx_xattr *out)
{
    return ftx_xattrs_find(ftx_item_top(item)->xattrs, FTX_BORROW_SOURCE,
                           sizeof FTX_BORROW_SOURCE - 1, out);
}

bool ftx_borrowed(const struct ftx_item *item)
{
    struct ftx_xattr source;
    return item->kind == FTX_FILE && item->box == FTX_OUTBOX && source_of(item, &source);
}

/* Writes the item's path to the end of the room; NULL: it does not fit. */
static char *write_path(const struct ftx_item *item, char *room, size_t size)
{
    struct ftx_xattr source;
    char *at = room + size - 1;
    const struct ftx_item *top = ftx_item_top(item);
    if (!source_of(item, &source))
        return NULL;
    *at = '\0';
    for (const struct ftx_item *i = item; i != top; i = i->parent) {
        if ((size_t)(at - room) < 1u + i->name_size)
            return NULL;
        at -= i->name_size;
        memcpy(at, i->name, i->name_size);
        *--at = '/';
    }
    if ((size_t)(at - room) < source.value_size)
        return NULL;
    at -= source.value_size;
    memcpy(at, source.value, source.value_size);
    return at;
}

static bool find_lender(const struct ftx_item *item, struct lender *out)
{
    char *path = write_path(item, out->path, sizeof out->path);
    if (!path)
        return false;
    memmove(out->path, path, strlen(path) + 1);
    out->size = item->size;
    out->object = item->object;
    out->mtime_ns = item->mtime_ns;
    out->ctime_ns = item->ctime_ns;
    return true;
}

int ftx_borrow_root(struct ftx_store *store, uint64_t id, const char *path)
{
    struct ftx_xattr source = {.name = FTX_BORROW_SOURCE,
                               .name_size = sizeof FTX_BORROW_SOURCE - 1,
                               .value = path,
                               .value_size = strlen(path)};
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_item_find(&store->index, id);
    bool top = item && item->box == FTX_OUTBOX && ftx_item_is_top(item);
    err = top ? ftx_log_xattr(&log, item, &source, false) : -ENOENT;
    if (!err)
        store->borrows = true;
    ftx_log_commit(&log);
    return err;
}

int ftx_borrow_file(struct ftx_store *store, uint64_t id, int fd, const struct stat *st)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    if (!item || !ftx_outbox_travels(item) || item->state != FTX_ITEM_WRITING)
        err = -ENOENT;
    if (!err) {
        item->object = object_of(st);
        item->size = (uint64_t)st->st_size;
        item->mode = st->st_mode & 0777;
        item->mtime_ns = ftx_time_ns(&st->st_mtim);
        item->ctime_ns = ftx_time_ns(&st->st_ctim);
        /* killed in between, it is interrupted, and offered anew */
        err = ftx_sending_claim_bytes(&log, item->as.sending, fd, 0, item->size, FTX_PENDING_DUE);
    }
    if (!err)
        ftx_outbox_seal(&log, item);
    ftx_log_commit(&log);
    return err;
}

bool ftx_borrow_same(struct ftx_store *store, uint64_t id, const struct stat *st)
{
    struct lender lender;
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    bool same = item && find_lender(item, &lender) && is_same(&lender, st);
    pthread_mutex_unlock(&store->lock);
    return same;
}

/* What stands there, if it is what was offered: a descriptor, or -ESTALE. Whatever the path leads
 * to, it has to be that very file. */
static int open_lender(const struct lender *lender)
{
    struct stat st;
    int fd;
    do
        fd = open(lender->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : -ESTALE;
    if (fstat(fd, &st) == 0 && is_same(lender, &st))
        return fd;
    close(fd);
    return -ESTALE;
}

/* The segment of the source as it was sent, or NULL. */
static struct ftx_segment *segment_of(struct ftx_store *store, const struct ftx_source *source,
                                      struct ftx_item **out_item)
{
    struct ftx_item *item = ftx_item_find_wire(&store->index, source->extent.stream);
    struct ftx_sending *sending = item && item->kind == FTX_FILE ? item->as.sending : NULL;
    struct ftx_segment *segment =
        sending ? ftx_segments_at(&sending->pending, source->extent.offset) : NULL;
    *out_item = item;
    return segment && segment->offset == source->extent.offset &&
                   segment->length == source->extent.length && segment->tag == source->mark
               ? segment
               : NULL;
}

/* The hash stands for the bytes from now on, also after a restart: what the peer has by then need
 * not be sent again. */
static int keep_hash(struct ftx_store *store, const struct ftx_source *source,
                     const uint8_t hash[FTX_HASH_SIZE])
{
    struct ftx_log log;
    struct ftx_item *item;
    bool noted = ftx_log_begin(&log, store) == 0;
    if (!noted) /* no room for it on the disk: then for this run only */
        ftx_log_lock(&log, store);
    struct ftx_segment *segment = segment_of(store, source, &item);
    if (segment && !segment->hashed) {
        segment->hashed = true;
        memcpy(segment->hash, hash, FTX_HASH_SIZE);
        if (noted)
            ftx_log_segment(&log, item->id, segment);
    }
    ftx_log_commit(&log);
    return segment ? 0 : FTX_ECHANGED;
}

int ftx_borrow_read(struct ftx_store *store, struct ftx_source *source, uint8_t *out)
{
    struct lender lender;
    struct ftx_item *item;
    struct stat st;
    uint8_t hash[FTX_HASH_SIZE];
    size_t size = (size_t)source->extent.length;
    pthread_mutex_lock(&store->lock);
    bool there = segment_of(store, source, &item) && find_lender(item, &lender);
    pthread_mutex_unlock(&store->lock);
    if (!there)
        return FTX_ECHANGED;
    int fd = open_lender(&lender);
    if (fd < 0)
        return fd;
    int err = ftx_object_read(fd, out, size, source->extent.offset);
    if (err || fstat(fd, &st) < 0 || !is_same(&lender, &st))
        err = -ESTALE; /* cut, written to, or on a disk that is gone */
    close(fd);
    if (err)
        return err;
    ftx_hash(out, size, hash);
    if (source->hashed && memcmp(hash, source->extent.hash, FTX_HASH_SIZE) != 0)
        return -ESTALE;
    err = keep_hash(store, source, hash);
    if (!err)
        memcpy(source->extent.hash, hash, FTX_HASH_SIZE);
    return err;
}
