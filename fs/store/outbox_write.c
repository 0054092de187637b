/* SPDX-License-Identifier: MIT */
/*
 * Writing to outbox files. A write goes to the object first, then into the index: a range that the
 * peer may already have is first claimed (pending, not hashed, not due), so neither a crash nor a
 * concurrent read for sending can take old and new bytes for one.
 *
 * What is already there, and at the peer, changes nothing: a write to such a range has it to itself,
 * is compared with the object, and goes on as writes of what differs.
 *
 * Bytes become segments that never cross a 1 MiB cell. The segment a writer is adding to is OPEN;
 * it becomes due when its cell is full, the writer goes elsewhere or closes, or 50 ms pass.
 */
#include "fs/store/mirror.h"
#include "fs/store/opened.h"
#include "fs/store/outbox_internal.h"
#include "fs/store/released.h"
#include "fs/store/remains.h"
#include "fs/store/same.h"
#include "fs/store/spool.h"

#include "fs/store/outbox.h"
#include "transport/wire/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CELL = FTX_EXTENT_MAX };

struct ftx_item *ftx_outbox_file_of(struct ftx_store *store, uint64_t id)
{
    struct ftx_item *item = ftx_item_find(&store->index, id);
    return item && item->link && item->box == FTX_OUTBOX && item->kind == FTX_FILE ? item : NULL;
}

int ftx_outbox_revive(struct ftx_log *log, struct ftx_item *item)
{
    bool again = !item->opened || item->opened->n_writers == 0 || item->opened->again;
    if (ftx_link_is_group(item->link) && again) {
        if (item->opened)
            item->opened->again = false;
        return ftx_mirrors_revive(log, item);
    }
    if (item->state != FTX_ITEM_REFUSED || !again || !ftx_outbox_can_offer_again(log->store, item))
        return 0;
    if (item->opened)
        item->opened->again = false; /* what is refused from now on is refused */
    return ftx_outbox_offer_again(log, item);
}

void ftx_outbox_stamp(struct ftx_log *log, struct ftx_item *item)
{
    item->mtime_ns = item->ctime_ns = ftx_now_ns();
    log->store->spool.unsynced = true;
    if (item->linked)
        ftx_log_item(log, item);
    ftx_mirrors_stamp(log, item);
}

int ftx_outbox_fd(struct ftx_log *log, struct ftx_item *item, int *out_fd)
{
    if (!item->opened)
        return -EBADF;
    if (item->object == 0) {
        if (ftx_released_spread(item))
            return -ENOMEM;
        item->object = ftx_random_id();
        item->opened->measured = true;
        if (item->linked)
            ftx_log_item(log, item);
        else
            ftx_log_trash(log, item->object); /* no row will speak of it */
        ftx_log_flush(log);                   /* before the object is made */
    }
    int err = ftx_opened_fd(log->store, item, O_CREAT, out_fd);
    int room_err = ftx_log_room(log); /* others may have filled the journal meanwhile */
    return err ? err : room_err;
}

/* Does a write there need blocks that the object does not have? */
static bool takes_room(const struct ftx_item *item, uint64_t offset, uint64_t end)
{
    return end > ftx_remains_end(item) || ftx_released_any(item, offset, end);
}

/* What is to be overwritten is claimed, and the file is of a version that is being written. */
static int claim(struct ftx_log *log, struct ftx_item *item, uint64_t offset, uint64_t end,
                 int punched_fd)
{
    if (!ftx_outbox_travels(item) || (offset >= item->size && item->state == FTX_ITEM_WRITING))
        return 0;
    if (!ftx_sending_get(item))
        return -ENOMEM;
    ftx_sending_close_tail(log, item->as.sending);
    ftx_sending_reopen(log, item);
    item->as.sending->patched |= offset < item->size;
    uint64_t to = end < item->size ? end : item->size;
    return punched_fd >= 0 ? ftx_sending_claim_bytes(log, item->as.sending, punched_fd, offset, to,
                                                     FTX_PENDING_OPEN)
                           : ftx_sending_claim(log, item->as.sending, offset, to, FTX_PENDING_OPEN);
}

/* Prepares a change: there is room for it, the object is open, nobody else is at the range. */
static int begin_change(struct ftx_log *log, struct ftx_item *item, uint64_t offset, uint64_t end,
                        bool takes, int *out_fd)
{
    int err = takes ? ftx_spool_claim(log->store, end - offset) : 0;
    if (!err)
        err = ftx_outbox_fd(log, item, out_fd);
    if (!err)
        err = ftx_released_quiet(log, item, offset, end);
    if (!err)
        err = ftx_outbox_revive(log, item);
    return err;
}

int ftx_outbox_begin_punch(struct ftx_store *store, uint64_t id, uint64_t offset, uint64_t end,
                           int *out_fd)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    err = item ? begin_change(&log, item, offset, end, false, out_fd) : -ENOENT;
    if (!err)
        err = claim(&log, item, offset, end, *out_fd);
    ftx_log_commit(&log);
    return err;
}

/* True if these bytes go on where the OPEN segment ends, in the same cell. */
static bool extends_tail(const struct ftx_sending *sending, uint64_t offset)
{
    if (!sending->has_open || offset % CELL == 0)
        return false;
    struct ftx_segment *open = ftx_segments_at(&sending->pending, sending->open_at);
    return open && open->state == FTX_PENDING_OPEN && open->hashed &&
           open->offset + open->length == offset;
}

/* One piece of a write, within one cell. `hash` is that of the piece alone, if it fills its cell
 * up; else it is not known: the tail's goes on with its bytes. */
static int add_piece(struct ftx_log *log, struct ftx_sending *sending, const uint8_t *bytes,
                     uint64_t offset, size_t size, const uint8_t hash[16])
{
    struct ftx_segment segment = {
        .offset = offset, .length = size, .kind = FTX_SEGMENT_DATA, .hashed = true};
    bool extends = extends_tail(sending, offset);
    if (extends)
        segment.offset = sending->open_at;
    else
        ftx_sending_close_tail(log, sending);
    segment.length = offset + size - segment.offset;
    bool full = (offset + size) % CELL == 0;
    segment.state = full ? FTX_PENDING_DUE : FTX_PENDING_OPEN;
    if (!full && !sending->tail_hash && !(sending->tail_hash = XXH3_createState()))
        return -ENOMEM;
    if (!extends && !full)
        XXH3_128bits_reset(sending->tail_hash);
    if (extends || !full)
        XXH3_128bits_update(sending->tail_hash, bytes, size);
    if (extends || !full)
        ftx_hash_canonical(XXH3_128bits_digest(sending->tail_hash), segment.hash);
    else
        memcpy(segment.hash, hash, sizeof segment.hash);
    int err = ftx_sending_put(log, sending, &segment);
    if (err)
        return err;
    sending->has_open = !full;
    sending->open_at = segment.offset;
    if (full)
        ftx_sending_due(log, sending);
    return 0;
}

/* The end of a cell or of the write, whichever comes first. */
static size_t piece_size(uint64_t offset, size_t left)
{
    uint64_t room = CELL - offset % CELL;
    return left < room ? left : (size_t)room;
}

enum { CELLS_MAX = 4 }; /* of one FUSE write: at most 1 MiB and its edges */

/* A write on its way: what of it is to be written. */
struct writing {
    uint64_t id;
    const uint8_t *bytes;
    size_t size;
    uint64_t offset;
    int fd;
    bool alone; /* it has [alone_at, its end) to itself */
    uint64_t alone_at;
    uint64_t known_end; /* the peer has what the object has up to here; 0: it may not */
    struct ftx_differences todo;
    uint8_t hashes[CELLS_MAX][16]; /* of the piece that ends where the cell does, if one does */
    bool printed;                  /* of some of its pieces there are prints: */
    bool has_print[CELLS_MAX];
    uint8_t prints[CELLS_MAX][FTX_PRINT_SIZE];
    struct ftx_print_key key;
};

static uint64_t end_of(const struct writing *writing)
{
    return writing->offset + writing->size;
}

static uint8_t *hash_at(struct writing *writing, uint64_t offset)
{
    return writing->hashes[offset / CELL - writing->offset / CELL];
}

static void hash_pieces(struct writing *writing, const struct ftx_range *range)
{
    const uint8_t *bytes = writing->bytes + (range->offset - writing->offset);
    for (size_t n, done = 0; done < range->length; done += n) {
        n = piece_size(range->offset + done, range->length - done);
        if ((range->offset + done + n) % CELL == 0)
            ftx_hash(bytes + done, n, hash_at(writing, range->offset + done));
    }
}

/* Is there something that may tell whether the peer has what is written there? */
static bool has_prints(const struct ftx_item *item, const struct writing *writing)
{
    return ftx_remains_prints(item) && writing->offset >= item->size;
}

/* Takes the prints of those extents that the write covers. */
static void take_prints(const struct ftx_item *item, struct writing *writing)
{
    const struct ftx_prints *prints = ftx_remains_prints(item);
    if (!has_prints(item, writing))
        return;
    uint64_t first = writing->offset / CELL;
    for (uint64_t i = first + (writing->offset % CELL != 0); i < prints->n; i++) {
        uint64_t end = i * CELL + ftx_prints_length(i, item->opened->prints_end);
        if (end > end_of(writing) || (end < end_of(writing) && end % CELL != 0))
            break; /* it is another extent, or longer */
        memcpy(writing->prints[i - first], prints->at[i], FTX_PRINT_SIZE);
        writing->has_print[i - first] = writing->printed = true;
    }
    if (writing->printed)
        ftx_print_key(item->link, &writing->key);
}

/* What looks like what the peer has need not be sent, now that it is written. */
static void compare_prints(struct writing *writing)
{
    writing->todo.n = 0;
    for (size_t n, done = 0; done < writing->size; done += n) {
        uint64_t at = writing->offset + done, cell = at / CELL - writing->offset / CELL;
        uint8_t print[FTX_PRINT_SIZE];
        n = piece_size(at, writing->size - done);
        if (writing->has_print[cell])
            ftx_print(&writing->key, writing->bytes + done, n, print);
        if (!writing->has_print[cell] ||
            sodium_memcmp(print, writing->prints[cell], sizeof print) != 0)
            writing->todo.ranges[writing->todo.n++] = (struct ftx_range){at, n};
    }
    sodium_memzero(&writing->key, sizeof writing->key);
}

/* The pieces of a range become segments. */
static int add_pieces(struct ftx_log *log, struct ftx_sending *sending, struct writing *writing,
                      const struct ftx_range *range)
{
    const uint8_t *bytes = writing->bytes + (range->offset - writing->offset);
    int err = 0;
    for (size_t n, done = 0; done < range->length && !err; done += n) {
        uint64_t at = range->offset + done;
        n = piece_size(at, range->length - done);
        err = add_piece(log, sending, bytes + done, at, n, hash_at(writing, at));
    }
    return err;
}

static int add_written(struct ftx_log *log, struct ftx_item *item, struct writing *writing)
{
    struct ftx_sending *sending = ftx_sending_get(item);
    if (!sending)
        return -ENOMEM;
    if (writing->printed && !has_prints(item, writing))
        ftx_same_not(writing->offset, writing->size, &writing->todo);
    ftx_sending_reopen(log, item);
    int err = 0;
    if (writing->offset > ftx_remains_known_end(item)) /* else zeros remain there */
        err = ftx_sending_hole(log, item, item->size, writing->offset);
    for (size_t i = 0; i < writing->todo.n && !err; i++)
        err = add_pieces(log, sending, writing, &writing->todo.ranges[i]);
    sending->touched_ms = ftx_now_ms();
    if (sending->has_open && !ftx_list_linked(&sending->tail)) {
        ftx_list_append(&log->store->tails, &sending->tail);
        log->wake |= log->store->tails.next == &sending->tail;
    }
    return err;
}

static int finish_write(struct ftx_store *store, struct writing *writing)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_outbox_file_of(store, writing->id);
    if (!item)
        err = -ENOENT;
    else if (ftx_outbox_travels(item)) /* else nobody sends it */
        err = add_written(&log, item, writing);
    if (!err) {
        if (end_of(writing) > item->size)
            item->size = end_of(writing);
        ftx_outbox_stamp(&log, item);
    }
    store->spool.written = true;
    if (item)
        ftx_spool_measure(store, item);
    ftx_log_commit(&log);
    return err;
}

/* What was claimed is whatever it is now, and will be sent as that; but what is still released is
 * at the peer. */
static void give_up_claims(struct ftx_sending *sending, uint64_t offset, uint64_t end)
{
    struct ftx_segment *segment;
    for (uint64_t at = offset;
         (segment = ftx_segments_at(&sending->pending, at)) != NULL && segment->offset < end;) {
        struct ftx_range range = {segment->offset, segment->length};
        at = range.offset + range.length;
        if (segment->state != FTX_PENDING_OPEN)
            continue;
        segment->state = FTX_PENDING_DUE;
        if (ftx_released_any(sending->item, range.offset, at))
            (void)ftx_segments_cut(&sending->pending, range.offset, range.length);
    }
}

/* The same for the members, of a group's file. */
static void give_up(struct ftx_log *log, struct ftx_sending *sending, uint64_t offset, uint64_t end)
{
    struct ftx_item *mirror;
    give_up_claims(sending, offset, end);
    sending->scan = 0;
    for (size_t at = 0; (mirror = ftx_mirror_next(log->store, sending->item, &at));)
        if (mirror->as.sending) {
            give_up_claims(mirror->as.sending, offset, end);
            mirror->as.sending->scan = 0;
        }
    ftx_sending_due(log, sending);
}

/* The write failed. */
void ftx_outbox_abandon_write(struct ftx_store *store, uint64_t id, uint64_t offset, uint64_t end)
{
    struct ftx_log log;
    ftx_log_lock(&log, store);
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    struct ftx_sending *sending = item && ftx_outbox_travels(item) ? item->as.sending : NULL;
    if (sending) /* what was answered before stands, and may leave */
        ftx_sending_close_tail(&log, sending);
    if (sending)
        give_up(&log, sending, offset, end);
    uint64_t from = item && offset < item->size ? item->size : offset;
    if (item && ftx_remains_any(item))
        (void)ftx_remains_drop(&log, item);
    else if (item && item->opened && item->opened->fd >= 0 && from < end)
        (void)ftx_object_punch(item->opened->fd, from, end - from); /* a gap there reads as zeros */
    ftx_log_commit(&log);
}

/* May what the object has in [offset, end) be what the peer has, durably? */
static bool comparable(const struct ftx_item *item, uint64_t offset, uint64_t end)
{
    const struct ftx_sending *sending = item->as.sending;
    return ftx_remains_trusted(item) && offset < end && offset < ftx_remains_known_end(item) &&
           !ftx_released_any(item, offset, end) &&
           (!sending || (!ftx_segments_overlap(&sending->pending, offset, end) &&
                         !ftx_segments_overlap(&sending->flying, offset, end)));
}

/* The write has its range to itself, and all between the file's end and it: nothing of that is
 * released, cut or written by others. */
static int be_alone(struct ftx_log *log, struct ftx_item *item, struct writing *writing)
{
    writing->alone_at = writing->offset < item->size ? writing->offset : item->size;
    if (!ftx_remains_any(item))
        writing->alone_at = writing->offset;
    int err;
    while ((err = ftx_released_occupy(item, writing->alone_at, end_of(writing))) == -EBUSY)
        if ((err = ftx_released_quiet(log, item, writing->alone_at, end_of(writing))) != 0)
            break;
    writing->alone = !err;
    return err;
}

static void leave(struct ftx_store *store, const struct writing *writing)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_outbox_file_of(store, writing->id); /* its handle is the caller's */
    if (item)
        ftx_released_leave(store, item, writing->alone_at, end_of(writing));
    pthread_mutex_unlock(&store->lock);
}

/* Where there is something to compare with, nothing is claimed yet. */
static int begin_write(struct ftx_store *store, struct writing *writing)
{
    uint64_t offset = writing->offset, end = end_of(writing);
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_outbox_file_of(store, writing->id);
    err = item ? ftx_remains_gap(&log, item, offset) : -ENOENT;
    if (!err)
        err = begin_change(&log, item, offset, end, takes_room(item, offset, end), &writing->fd);
    bool known = !err && comparable(item, offset, end);
    if (known || (!err && ftx_remains_any(item) && end > item->size))
        err = be_alone(&log, item, writing);
    else if (!err)
        err = claim(&log, item, offset, end, -1);
    if (writing->alone && comparable(item, offset, end))
        writing->known_end = ftx_remains_known_end(item);
    if (!err)
        take_prints(item, writing);
    ftx_log_commit(&log);
    return err;
}

static int claim_differences(struct ftx_store *store, const struct writing *writing)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_outbox_file_of(store, writing->id);
    if (!item)
        err = -ENOENT;
    for (size_t i = 0; i < writing->todo.n && !err; i++) {
        const struct ftx_range *range = &writing->todo.ranges[i];
        err = claim(&log, item, range->offset, range->offset + range->length, -1);
    }
    ftx_log_commit(&log);
    return err;
}

/* Finds out what is to be written. */
static int compare(struct ftx_store *store, struct writing *writing)
{
    ftx_same_not(writing->offset, writing->size, &writing->todo);
    if (writing->known_end && ftx_same_compare(writing->fd, writing->bytes, writing->size,
                                               writing->offset, writing->known_end, &writing->todo))
        ftx_same_not(writing->offset, writing->size, &writing->todo);
    return writing->alone && writing->todo.n ? claim_differences(store, writing) : 0;
}

static void begin_writing(struct writing *writing, uint64_t id, const uint8_t *bytes, size_t size,
                          uint64_t offset)
{
    writing->id = id;
    writing->bytes = bytes;
    writing->size = size;
    writing->offset = offset;
    writing->alone = false;
    writing->known_end = 0;
    writing->todo.n = 0;
    writing->printed = false;
    memset(writing->has_print, 0, sizeof writing->has_print);
}

static int write_object(struct writing *writing)
{
    int err = 0;
    for (size_t i = 0; i < writing->todo.n && !err; i++) {
        const struct ftx_range *range = &writing->todo.ranges[i];
        err = ftx_object_write(writing->fd, writing->bytes + (range->offset - writing->offset),
                               range->length, range->offset);
        if (!err)
            hash_pieces(writing, range);
    }
    return err;
}

int ftx_outbox_write(struct ftx_store *store, uint64_t id, const void *bytes, size_t size,
                     uint64_t offset)
{
    if (size > FTX_OFFSET_MAX - offset || offset > FTX_OFFSET_MAX)
        return -EFBIG;
    if (size > (CELLS_MAX - 1) * (size_t)CELL)
        return -EINVAL;
    struct writing writing; /* its ranges and prints are not worth clearing for every write */
    begin_writing(&writing, id, bytes, size, offset);
    int err = begin_write(store, &writing);
    if (err == -EAGAIN) /* nothing was begun */
        return err;
    if (!err)
        err = compare(store, &writing);
    if (!err)
        err = write_object(&writing);
    if (!err && writing.printed)
        compare_prints(&writing);
    if (!err)
        err = finish_write(store, &writing);
    if (writing.alone)
        leave(store, &writing);
    if (err)
        ftx_outbox_abandon_write(store, id, offset, offset + size);
    return err;
}
