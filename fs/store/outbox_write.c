/* SPDX-License-Identifier: MIT */
/*
 * Writing to outbox files. A write goes to the object first, then into the index: a range that the
 * peer may already have is first claimed (pending, not hashed, not due), so neither a crash nor a
 * concurrent read for sending can take old and new bytes for one.
 *
 * Bytes become segments that never cross a 1 MiB cell. The segment a writer is adding to is OPEN;
 * it becomes due when its cell is full, the writer goes elsewhere or closes, or 50 ms pass.
 */
#include "fs/store/opened.h"
#include "fs/store/outbox_internal.h"
#include "fs/store/released.h"
#include "fs/store/spool.h"

#include "fs/store/outbox.h"
#include "transport/wire/limits.h"

#include <errno.h>
#include <fcntl.h>
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
    if (item->state != FTX_ITEM_REFUSED || !again || !ftx_outbox_can_offer_again(item))
        return 0;
    if (item->opened)
        item->opened->again = false; /* what is refused from now on is refused */
    return ftx_outbox_offer_again(log, item);
}

void ftx_outbox_stamp(struct ftx_log *log, struct ftx_item *item)
{
    item->mtime_ns = item->ctime_ns = ftx_now_ns();
    if (item->linked)
        ftx_log_item(log, item);
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
    return end > item->size || ftx_released_any(item, offset, end);
}

/* Prepares a write, or a hole: the file, its version, what will be overwritten. */
static int begin_change(struct ftx_store *store, uint64_t id, uint64_t offset, uint64_t end,
                        bool punches, int *out_fd)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    if (!item)
        err = -ENOENT;
    else if (!punches && takes_room(item, offset, end))
        err = ftx_spool_claim(store, end - offset);
    if (!err)
        err = ftx_outbox_fd(&log, item, out_fd);
    if (!err)
        err = ftx_released_quiet(&log, item, offset, end);
    if (!err)
        err = ftx_outbox_revive(&log, item);
    if (!err && ftx_outbox_travels(item) && !ftx_sending_get(item))
        err = -ENOMEM;
    if (!err && ftx_outbox_travels(item) &&
        (offset < item->size || item->state != FTX_ITEM_WRITING)) {
        ftx_sending_close_tail(&log, item->as.sending);
        ftx_sending_reopen(&log, item);
        item->as.sending->patched |= offset < item->size;
        uint64_t to = end < item->size ? end : item->size;
        err = punches ? ftx_sending_claim_bytes(&log, item->as.sending, *out_fd, offset, to,
                                                FTX_PENDING_OPEN)
                      : ftx_sending_claim(&log, item->as.sending, offset, to, FTX_PENDING_OPEN);
    }
    ftx_log_commit(&log);
    return err;
}

int ftx_outbox_begin_punch(struct ftx_store *store, uint64_t id, uint64_t offset, uint64_t end,
                           int *out_fd)
{
    return begin_change(store, id, offset, end, true, out_fd);
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

enum { PIECES_MAX = 4 }; /* of one FUSE write: at most 1 MiB and its edges */

struct piece_hashes {
    uint8_t hash[PIECES_MAX][16];
};

static void hash_pieces(const uint8_t *bytes, size_t size, uint64_t offset,
                        struct piece_hashes *out)
{
    for (size_t i = 0, done = 0; done < size && i < PIECES_MAX; i++) {
        size_t n = piece_size(offset + done, size - done);
        if ((offset + done + n) % CELL == 0)
            ftx_hash(bytes + done, n, out->hash[i]);
        done += n;
    }
}

/* The pieces of a write become segments. */
static int add_pieces(struct ftx_log *log, struct ftx_item *item, const uint8_t *bytes, size_t size,
                      uint64_t offset, const struct piece_hashes *hashes)
{
    struct ftx_sending *sending = ftx_sending_get(item);
    if (!sending)
        return -ENOMEM;
    ftx_sending_reopen(log, item);
    int err = ftx_sending_hole(log, item, item->size, offset);
    for (size_t i = 0, done = 0; done < size && !err; i++) {
        size_t n = piece_size(offset + done, size - done);
        err = add_piece(log, sending, bytes + done, offset + done, n, hashes->hash[i]);
        done += n;
    }
    sending->touched_ms = ftx_now_ms();
    if (sending->has_open && !ftx_list_linked(&sending->tail)) {
        ftx_list_append(&log->store->tails, &sending->tail);
        log->wake |= log->store->tails.next == &sending->tail;
    }
    return err;
}

static int finish_write(struct ftx_store *store, uint64_t id, const uint8_t *bytes, size_t size,
                        uint64_t offset, const struct piece_hashes *hashes)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    if (!item)
        err = -ENOENT;
    else if (ftx_outbox_travels(item)) /* else nobody sends it */
        err = add_pieces(&log, item, bytes, size, offset, hashes);
    if (!err) {
        if (offset + size > item->size)
            item->size = offset + size;
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
        give_up_claims(sending, offset, end);
    if (sending) {
        sending->scan = 0;
        ftx_sending_due(&log, sending);
    }
    uint64_t from = item && offset < item->size ? item->size : offset;
    if (item && item->opened && item->opened->fd >= 0 && from < end)
        (void)ftx_object_punch(item->opened->fd, from, end - from); /* a gap there reads as zeros */
    ftx_log_commit(&log);
}

int ftx_outbox_write(struct ftx_store *store, uint64_t id, const void *bytes, size_t size,
                     uint64_t offset)
{
    if (size > FTX_OFFSET_MAX - offset || offset > FTX_OFFSET_MAX)
        return -EFBIG;
    if (size > (PIECES_MAX - 1) * (size_t)CELL)
        return -EINVAL;
    int fd;
    int err = begin_change(store, id, offset, offset + size, false, &fd);
    if (err == -EAGAIN) /* nothing was begun */
        return err;
    if (!err)
        err = ftx_object_write(fd, bytes, size, offset);
    if (!err) {
        struct piece_hashes hashes;
        hash_pieces(bytes, size, offset, &hashes);
        err = finish_write(store, id, bytes, size, offset, &hashes);
    }
    if (err)
        ftx_outbox_abandon_write(store, id, offset, offset + size);
    return err;
}
