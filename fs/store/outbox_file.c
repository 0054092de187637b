/* SPDX-License-Identifier: MIT */
/* Outbox files but for writing (outbox_write.c): open, read, truncate, close, and what a start
 * finds of files that were never closed. */
#include "fs/store/outbox.h"

#include "fs/store/fetch.h"
#include "fs/store/links.h"
#include "fs/store/mirror.h"
#include "fs/store/opened.h"
#include "fs/store/outbox_internal.h"
#include "fs/store/released.h"
#include "fs/store/remains.h"
#include "fs/store/spool.h"
#include "fs/store/tell.h"
#include "transport/wire/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SETTLE_MS = 50,
    LEAVE_MS = 20,  /* a thread of ours needs microseconds */
    CLOSE_MS = 200, /* who waits for a delivery has the time */
};

/* What close=delivered waits for: 0, -EAGAIN, or why it will not be. A group's file is delivered
 * when all its members have it. */
static int delivered(const struct ftx_store *store, const struct ftx_item *item)
{
    const struct ftx_item *refused;
    if (!item->linked || !ftx_outbox_closed(item))
        return 0; /* it was removed; or the close of another writer waits */
    switch ((enum ftx_item_state)item->state) {
    case FTX_ITEM_WRITING:
    case FTX_ITEM_CLOSED:
        return -EAGAIN;
    case FTX_ITEM_REFUSED:
        return item->error == FTX_REFUSED_SPACE    ? -ENOSPC
               : item->error == FTX_REFUSED_POLICY ? -EDQUOT
                                                   : -EPERM;
    case FTX_ITEM_CANCELLED:
        return -EPERM;
    case FTX_ITEM_FAILED:
        return -EIO;
    default:
        refused = ftx_mirrors_refused(store, item);
        return refused ? delivered(store, refused) : 0;
    }
}

/* Where the bytes of a read are. */
struct ftx_reading {
    int fd; /* -1: in a hole */
    size_t size;
    uint32_t releases; /* of the file, as they were */
};

bool ftx_outbox_closed(const struct ftx_item *item)
{
    return !item->opened || item->opened->n_writers <= item->opened->n_closing;
}

void ftx_outbox_seal(struct ftx_log *log, struct ftx_item *item)
{
    if (item->state != FTX_ITEM_WRITING || !item->linked)
        return;
    item->state = FTX_ITEM_CLOSED;
    ftx_sending_close_tail(log, item->as.sending);
    item->as.sending->touched_ms = ftx_now_ms();
    if (!ftx_outbox_closed(item) && !ftx_list_linked(&item->as.sending->tail))
        ftx_list_append(&log->store->tails, &item->as.sending->tail);
    ftx_log_item(log, item);
    if (item->as.sending->patched && item->object)
        ftx_log_written(log, item->object); /* no hash would tell what a power cut took */
    item->as.sending->patched = false;
    item->as.sending->closed = ftx_log_promise(log, item->link);
    ftx_sending_due(log, item->as.sending);
    ftx_tell_item(log, FTX_EVENT_QUEUED, item);
    ftx_mirrors_seal(log, item);
}

/* A descriptor was closed, and the file is still open through another: its child has ended, or
 * another program writes to it. The last one seals it. But a version whose SEAL has left is what it
 * is: the peer takes no more into it, and the next write begins another. */
static void unseal(struct ftx_log *log, struct ftx_item *item)
{
    if (item->as.sending->seal_left || ftx_mirrors_seal_left(log->store, item))
        return;
    if (item->state != FTX_ITEM_CLOSED || !item->linked || ftx_outbox_closed(item))
        return;
    item->state = FTX_ITEM_WRITING;
    ftx_log_item(log, item);
    ftx_mirrors_unseal(log, item);
}

/* What a read can have: the descriptor (-1: a hole) and how many bytes. -EAGAIN: they are at the
 * peer, who is asked for them if `want`. */
static int begin_read(struct ftx_store *store, uint64_t id, size_t size, uint64_t offset, bool want,
                      struct ftx_reading *out)
{
    struct ftx_log log;
    int err = 0;
    *out = (struct ftx_reading){.fd = -1};
    ftx_log_lock(&log, store);
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    uint64_t left = item && offset < item->size ? item->size - offset : 0;
    size_t n = size < left ? size : (size_t)left;
    if (!item || !item->opened)
        err = -ENOENT;
    else if (n)
        err = ftx_fetch_ask(store, item, offset, offset + n, want, &log.wake);
    if (!err && n && item->object) {
        err = ftx_opened_fd(store, item, 0, &out->fd);
        if (err == -ENOENT)
            err = -EIO; /* its object is gone */
    }
    if (!err && n && ftx_released_any(item, offset, offset + n))
        err = -EAGAIN; /* released while the lock was off */
    if (!err) {
        out->size = n;
        out->releases = item->opened->releases;
    }
    if (!err || err == -EAGAIN) /* an open is through, and with it has dropped all old pages */
        item->opened->stale = false;
    ftx_log_commit(&log);
    return err;
}

/* Nothing of the file was released since: what was read are its bytes. */
static bool unreleased(struct ftx_store *store, uint64_t id, uint32_t releases)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    bool same = item && item->opened && item->opened->releases == releases;
    pthread_mutex_unlock(&store->lock);
    return same;
}

ssize_t ftx_outbox_read(struct ftx_store *store, uint64_t id, void *out, size_t size,
                        uint64_t offset, bool want)
{
    struct ftx_reading reading;
    int err = begin_read(store, id, size, offset, want, &reading);
    if (!err)
        err = ftx_object_read_padded(reading.fd, out, reading.size, offset);
    if (!err && !unreleased(store, id, reading.releases))
        err = -EAGAIN;
    return err ? err : (ssize_t)reading.size;
}

int ftx_outbox_at_hand(struct ftx_store *store, uint64_t id, size_t size, uint64_t offset,
                       bool want)
{
    struct ftx_reading reading;
    return begin_read(store, id, size, offset, want, &reading);
}

int64_t ftx_outbox_progress(struct ftx_store *store, uint64_t id)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    int64_t at_ms = item && item->released ? item->released->filled_ms : 0;
    pthread_mutex_unlock(&store->lock);
    return at_ms;
}

/* The object loses what lies behind `size`, and the room that it took. */
static int shorten(struct ftx_store *store, struct ftx_item *item, uint64_t size)
{
    bool own = !item->opened || item->opened->fd < 0;
    int fd = own ? ftx_object_open(&store->objects, item->object, O_WRONLY) : item->opened->fd;
    if (fd == -ENOENT)
        return 0; /* made, never written */
    if (fd < 0)
        return fd;
    uint64_t before = own && store->spool.max ? ftx_object_room(&store->objects, item->object) : 0;
    int err = ftx_object_cut(fd, size);
    uint64_t after = before ? ftx_object_room(&store->objects, item->object) : 0;
    if (own)
        close(fd);
    if (after < before)
        ftx_spool_gained(store, before - after);
    else if (!own)
        ftx_spool_measure(store, item);
    return err;
}

/* What lies behind the new end is neither pending nor at the peer only. */
static int forget_tail(struct ftx_item *item, uint64_t size)
{
    int err = item->away ? 0 : ftx_released_cut(item, size, FTX_OFFSET_MAX);
    if (!err)
        err = ftx_segments_cut(&item->as.sending->pending, size, FTX_OFFSET_MAX - size);
    if (!err && size == 0)
        item->away = false;
    return err;
}

/* The size in the index: a new version, of which the range behind the smaller end is known. */
static int resize(struct ftx_log *log, struct ftx_item *item, uint64_t size)
{
    int err = ftx_outbox_revive(log, item);
    struct ftx_sending *sending = ftx_sending_get(item);
    if (err || !sending)
        return err ? err : -ENOMEM;
    ftx_sending_close_tail(log, sending);
    err = size < item->size ? forget_tail(item, size) : ftx_released_spread(item);
    if (!err && size > ftx_remains_known_end(item)) /* else zeros remain there */
        err = ftx_sending_hole(log, item, item->size, size);
    if (err)
        return err;
    if (size < item->size)
        ftx_log_cut(log, item->id, size, FTX_OFFSET_MAX - size);
    if (size < item->size && (err = ftx_mirrors_cut(log, item, size)) != 0)
        return err;
    ftx_sending_reopen(log, item);
    sending->patched |= size > 0 && size < item->size;
    sending->touched_ms = ftx_now_ms();
    return 0;
}

/* Opens the object, so that it may keep what is cut off, and waits until nobody is busy there. */
static int before_cut(struct ftx_log *log, struct ftx_item *item, uint64_t size)
{
    int fd;
    if (item->opened && item->object)
        (void)ftx_opened_fd(log->store, item, 0, &fd);
    return ftx_released_quiet(log, item, size, FTX_OFFSET_MAX);
}

/* The prints of a delivered file that is about to be written anew. */
static struct ftx_prints *take_prints(struct ftx_item *item)
{
    if (item->state != FTX_ITEM_DELIVERED || ftx_outbox_closed(item))
        return NULL;
    struct ftx_prints *prints = item->prints;
    item->prints = NULL;
    return prints;
}

int ftx_outbox_truncate(struct ftx_store *store, uint64_t id, uint64_t size)
{
    if (size > FTX_OFFSET_MAX)
        return -EFBIG;
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    bool shorter = item && size < item->size;
    if (!item || ftx_mirror_is(item))
        err = item ? -EPERM : -ENOENT;
    else if (shorter)
        err = before_cut(&log, item, size);
    else
        err = ftx_remains_gap(&log, item, size);
    bool keep = !err && shorter && ftx_remains_may(item);
    uint64_t end = item ? ftx_remains_end(item) : 0;
    struct ftx_prints *prints = !err && size == 0 && !keep ? take_prints(item) : NULL;
    if (!err && ftx_outbox_travels(item))
        err = resize(&log, item, size);
    if (!err) {
        item->size = size;
        /* the kernel waits for pages that are being read, writers for room */
        log.arrived = shorter;
        ftx_outbox_stamp(&log, item);
        if (keep) {
            ftx_remains_keep(store, item, end);
        } else if (shorter &&
                   item->object) { /* killed in between, it is interrupted, not damaged */
            ftx_log_flush(&log);
            err = shorten(store, item, size);
        }
        if (shorter && !keep)
            ftx_remains_forget(item);
        if (prints && !err) {
            ftx_remains_printed(item, prints, end);
            prints = NULL;
        }
        item->unsure &= size > 0;
        if (err &&
            ftx_outbox_travels(item)) { /* old bytes would come back where a gap reads as zeros */
            item->state = FTX_ITEM_FAILED;
            ftx_log_item(&log, item);
            ftx_tell_item(&log, FTX_EVENT_FAILED, item);
        }
        if (ftx_outbox_closed(item) && !ftx_remains_drop(&log, item))
            ftx_outbox_seal(&log, item);
    }
    free(prints);
    ftx_log_commit(&log);
    return err;
}

int ftx_outbox_open(struct ftx_store *store, uint64_t id, bool writer, bool truncate)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    int err = !item ? -ENOENT : ftx_mirror_is(item) ? -EPERM : ftx_opened_add(item, writer);
    if (!err && item->opened->n_handles == 1)
        ftx_fetch_retry(store, item);
    if (!err && writer && item->opened->n_writers == 1)
        item->opened->again =
            item->state == FTX_ITEM_REFUSED || ftx_mirrors_refused(store, item) != NULL;
    pthread_mutex_unlock(&store->lock);
    if (!err && truncate) {
        err = ftx_outbox_truncate(store, id, 0);
        if (err)
            ftx_outbox_release(store, id, writer);
    }
    return err;
}

/* The kernel sends RELEASE before close(2) returns, but another thread of ours may still be at it:
 * waits for writers past the cache that were closed. */
static void wait_for_closed(struct ftx_store *store, const struct ftx_item *item)
{
    int64_t until_ms = ftx_now_ms() + LEAVE_MS;
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    while (item->opened->n_direct > 0 && item->state != FTX_ITEM_WRITING)
        if (pthread_cond_timedwait(&store->left, &store->lock, &until))
            return;
}

void ftx_outbox_caching(struct ftx_store *store, uint64_t id, bool writer, bool write_only,
                        bool *out_direct, bool *out_keep)
{
    *out_direct = false;
    *out_keep = false;
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    struct ftx_opened *opened = item ? item->opened : NULL; /* stays: the handle is counted */
    if (opened && opened->caching == FTX_CACHING_DIRECT && !write_only) {
        wait_for_closed(store, item);
        if (opened->n_direct == 0) /* who only reads past the cache does no harm */
            opened->caching = FTX_CACHING_UNDECIDED;
    }
    if (opened && opened->caching == FTX_CACHING_UNDECIDED) {
        opened->caching = write_only ? FTX_CACHING_DIRECT : FTX_CACHING_CACHED;
        opened->stale = item->stale;
        item->stale = write_only;
    }
    if (opened) {
        *out_direct = opened->caching == FTX_CACHING_DIRECT;
        *out_keep = !opened->stale;
        opened->n_direct += *out_direct && writer;
    }
    pthread_mutex_unlock(&store->lock);
}

void ftx_outbox_direct_left(struct ftx_store *store, uint64_t id, bool writer)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    if (item && item->opened && writer) {
        item->opened->n_direct--;
        pthread_cond_broadcast(&store->left);
    }
    pthread_mutex_unlock(&store->lock);
}

/* A close that waits for the delivery begins: it counts as closed from here on. Other writers that
 * were closed before it may still be on their way out. */
static void begin_close(struct ftx_store *store, uint64_t id)
{
    int64_t until_ms = ftx_now_ms() + CLOSE_MS;
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    if (item && item->opened) { /* stays: the caller's handle is counted */
        item->opened->n_closing++;
        while (!ftx_outbox_closed(item))
            if (pthread_cond_timedwait(&store->left, &store->lock, &until))
                break;
    }
    pthread_mutex_unlock(&store->lock);
}

static int flush(struct ftx_store *store, uint64_t id, bool wait)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    err = item ? ftx_remains_drop(&log, item) : -ENOENT;
    if (!err)
        ftx_outbox_seal(&log, item);
    if (!err && wait)
        err = delivered(store, item);
    ftx_log_commit(&log);
    return err;
}

int ftx_outbox_flush(struct ftx_store *store, uint64_t id, bool wait)
{
    if (wait)
        begin_close(store, id);
    int err = flush(store, id, wait);
    if (wait && err != -EAGAIN)
        ftx_outbox_flushed(store, id);
    return err;
}

int ftx_outbox_delivered(struct ftx_store *store, uint64_t id)
{
    pthread_mutex_lock(&store->lock);
    const struct ftx_item *item = ftx_outbox_file_of(store, id);
    int err = item ? delivered(store, item) : 0;
    pthread_mutex_unlock(&store->lock);
    return err;
}

void ftx_outbox_flushed(struct ftx_store *store, uint64_t id)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    if (item && item->opened)
        item->opened->n_closing--;
    pthread_mutex_unlock(&store->lock);
}

int ftx_outbox_fsync(struct ftx_store *store, uint64_t id)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    int fd = -1;
    if (!item)
        err = -ENOENT;
    else if (item->object)
        err = ftx_outbox_fd(&log, item, &fd);
    ftx_log_commit(&log);
    if (!err && fd >= 0 && fdatasync(fd) < 0) { /* the caller has it open: the descriptor stays */
        err = -errno;
        ftx_outbox_doubt(store, id); /* the kernel tells it once: the next sync may succeed */
    }
    return err ? err : ftx_store_sync(store);
}

void ftx_outbox_release(struct ftx_store *store, uint64_t id, bool writer)
{
    struct ftx_log log;
    bool noted = ftx_log_begin(&log, store) == 0;
    if (!noted)
        ftx_log_lock(&log, store);
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    if (item && item->opened) {
        bool last_writer = writer && item->opened->n_writers == 1;
        if (last_writer && ftx_remains_drop(&log, item))
            noted = false; /* it was not closed */
        ftx_opened_drop(&log, item, writer);
        item = ftx_outbox_file_of(store, id);
        if (noted && last_writer && item && item->as.sending) {
            ftx_outbox_seal(&log, item); /* written through a mapping after the last close */
            ftx_list_remove(&item->as.sending->tail); /* nobody is left to unseal it for */
            ftx_sending_due(&log, item->as.sending);
            ftx_mirrors_rest(store, item);
            ftx_sending_rest(store, item);
        } else if (last_writer && item && item->rests) {
            ftx_mirrors_due(&log, item); /* they waited for the writer to go */
        }
    }
    ftx_log_commit(&log);
}

int64_t ftx_outbox_settle(struct ftx_store *store, int64_t now_ms)
{
    int64_t next = INT64_MAX;
    struct ftx_log log;
    if (!ftx_log_try(&log, store))
        return now_ms + SETTLE_MS;
    ftx_outbox_note_doubts(&log);
    for (struct ftx_list *node = store->tails.next, *after; node != &store->tails; node = after) {
        after = node->next;
        struct ftx_sending *sending = ftx_list_of(node, struct ftx_sending, tail);
        int64_t due_ms = sending->touched_ms + SETTLE_MS;
        if (due_ms > now_ms) {
            next = due_ms < next ? due_ms : next;
            continue;
        }
        ftx_list_remove(&sending->tail);
        ftx_sending_close_tail(&log, sending);
        unseal(&log, sending->item);
        ftx_sending_due(&log, sending);
    }
    log.wake = false; /* the loop asked */
    ftx_log_commit(&log);
    return next;
}

/* The object may hold bytes of a write that was never answered: cut them, trust no hash. */
static void distrust(struct ftx_store *store, struct ftx_item *item)
{
    struct ftx_sending *sending = item->as.sending;
    for (struct ftx_segment *segment = ftx_segments_at(&sending->pending, 0); segment;
         segment = ftx_segments_at(&sending->pending, segment->offset + segment->length))
        segment->hashed = segment->kind == FTX_SEGMENT_HOLE && segment->hashed;
    int fd = item->object ? ftx_object_open(&store->objects, item->object, O_WRONLY) : -1;
    if (fd < 0)
        return;
    if (ftx_object_cut(fd, item->size))
        item->state = FTX_ITEM_FAILED;
    close(fd);
}

static int interrupt(struct ftx_log *log, struct ftx_item *item, bool power_cut)
{
    int err = 0;
    if (item->state == FTX_ITEM_WRITING) {
        struct ftx_op halt = {.kind = FTX_OP_HALT, .item = ftx_item_wire(item)};
        err = ftx_log_op(log, item->link, &halt);
        if (err)
            return err;
        item->op = item->link->op_next - 1; /* the next SEAL follows it */
        item->state = FTX_ITEM_INTERRUPTED;
        ftx_log_item(log, item);
        ftx_tell_item(log, FTX_EVENT_INTERRUPTED, item);
        if (power_cut) /* the peer may have bytes of writes that nobody here knows of any more */
            err = ftx_sending_resend(log, item, 0, item->size);
        ftx_log_flush(log);
    }
    distrust(log->store, item);
    return err;
}

int ftx_outbox_interrupt(struct ftx_store *store, bool power_cut)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    for (struct ftx_list *l = store->links.next; l != &store->links && !err; l = l->next) {
        struct ftx_link *link = ftx_list_of(l, struct ftx_link, node);
        for (struct ftx_list *s = link->sendings.next; s != &link->sendings && !err; s = s->next) {
            struct ftx_item *item = ftx_list_of(s, struct ftx_sending, all)->item;
            if (item->state == FTX_ITEM_WRITING || item->state == FTX_ITEM_INTERRUPTED)
                err = interrupt(&log, item, power_cut);
        }
    }
    ftx_log_commit(&log);
    return err;
}
