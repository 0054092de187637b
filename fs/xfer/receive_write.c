/* SPDX-License-Identifier: MIT */
/* The extents of a record go to the disk, at a worker. Without room there they stay in memory, and
 * reading from the peer pauses until there is some. */
#include "fs/xfer/inbound.h"

#include "fs/store/objects.h"
#include "transport/base/err.h"
#include "transport/base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static bool hash_matches(const struct ftx_inbound_piece *piece)
{
    uint8_t hash[FTX_HASH_SIZE];
    ftx_hash(piece->data, (size_t)piece->extent.length, hash);
    return memcmp(hash, piece->extent.hash, FTX_HASH_SIZE) == 0;
}

static int write_piece(const struct ftx_inbound_piece *piece, int fd)
{
    if (piece->data)
        return ftx_object_write(fd, piece->data, (size_t)piece->extent.length,
                                piece->extent.offset);
    return ftx_object_punch(fd, piece->extent.offset, piece->extent.length);
}

/* The object that the last piece was written to stays open for the next. */
struct open_object {
    uint64_t object;
    int fd; /* -1: none */
};

static void close_object(struct open_object *open)
{
    if (open->fd >= 0)
        close(open->fd);
    open->fd = -1;
}

static int run_piece(const struct ftx_objects *objects, const struct ftx_inbound_piece *piece,
                     struct open_object *open)
{
    if (piece->data && !hash_matches(piece))
        return FTX_EPROTO;
    if (open->fd < 0 || open->object != piece->object) {
        close_object(open);
        int make = piece->data || piece->fetched ? O_CREAT : 0;
        int fd = piece->object ? ftx_object_open(objects, piece->object, O_WRONLY | make) : -ENOENT;
        if (fd < 0)
            return fd == -ENOENT && !piece->data ? 0 : fd; /* a hole in nothing */
        *open = (struct open_object){piece->object, fd};
    }
    return write_piece(piece, open->fd);
}

static uint64_t data_bytes(const struct ftx_inbound_record *r)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < r->n_pieces; i++)
        bytes += r->pieces[i].data && !r->pieces[i].fetched ? r->pieces[i].extent.length : 0;
    return bytes;
}

static void run_write(struct ftx_work *work)
{
    struct ftx_inbound_record *r = ftx_list_of(work, struct ftx_inbound_record, work);
    const struct ftx_store *store = r->transfer->store;
    struct open_object open = {.fd = -1};
    bool room = ftx_store_has_room(store, FTX_INBOX, data_bytes(r));
    for (size_t i = 0; i < r->n_pieces; i++) {
        struct ftx_inbound_piece *piece = &r->pieces[i];
        bool may = room || !piece->data || piece->fetched;
        piece->err = may ? run_piece(&store->objects, piece, &open) : -ENOSPC;
    }
    close_object(&open);
}

static bool no_room(int err)
{
    return err == -ENOSPC || err == -EDQUOT;
}

/* Tells the store what became of a piece; what is about the file alone does not end the session. */
static int settle_piece(struct ftx_inbound_record *r, const struct ftx_inbound_piece *piece)
{
    struct ftx_transfer *t = r->transfer;
    uint64_t entry;
    if (piece->fetched) {
        ftx_fetch_wrote(t->store, piece->item, &piece->extent, piece->err);
        return piece->err == FTX_EPROTO ? piece->err : 0;
    }
    int err = ftx_inbox_wrote(t->store, piece->item, &piece->extent, piece->err, &entry);
    ftx_inbound_need(r, entry);
    if (err != -EFBIG)
        return err;
    return ftx_inbound_current(r)
               ? ftx_engine_refuse(t->engine, piece->extent.stream, FTX_REFUSED_SIZE)
               : 0;
}

/* Settles all pieces but those for which there was no room, which are kept. */
static int settle_pieces(struct ftx_inbound_record *r)
{
    int first_err = 0;
    size_t n = 0;
    for (size_t i = 0; i < r->n_pieces; i++) {
        struct ftx_inbound_piece *piece = &r->pieces[i];
        if (no_room(piece->err) && !piece->fetched && ftx_inbound_current(r)) {
            r->pieces[n++] = *piece;
            continue;
        }
        int err = settle_piece(r, piece);
        if (err && !first_err)
            first_err = err;
    }
    r->n_pieces = n;
    return first_err;
}

/* The bytes are not needed any more. */
static void free_whole(struct ftx_inbound_record *r)
{
    size_t size = ftx_block_size(r->whole);
    ftx_block_free(r->whole);
    r->whole = NULL;
    r->held -= size;
    if (r->transfer->peer)
        ftx_peer_release(r->transfer->peer, size);
}

static void on_written(struct ftx_work *work)
{
    struct ftx_inbound_record *r = ftx_list_of(work, struct ftx_inbound_record, work);
    struct ftx_transfer *t = r->transfer;
    t->n_working--;
    r->working = false;
    int err = settle_pieces(r);
    if (!ftx_inbound_current(r)) {
        ftx_inbound_free(r);
    } else if (err) {
        ftx_inbound_abandon(r);
        ftx_inbound_free(r);
        ftx_inbound_end_session(t, err);
    } else if (r->n_pieces) {
        r->delayed = true;
        ftx_inbound_no_room(t);
    } else {
        free_whole(r);
        ftx_inbound_room(t);
        r->written = true;
        ftx_engine_written(t->engine, r->ref);
        ftx_inbound_judge(r);
    }
    ftx_inbound_judge_busy(t);
    ftx_transfer_receive_advance(t);
}

/* Does the copy of a base write to one of the files? What came is newer and must come after it. */
static bool copy_under_way(const struct ftx_inbound_record *r)
{
    for (size_t i = 0; i < r->n_pieces; i++)
        if (ftx_inbox_copying(r->transfer->store, r->pieces[i].item))
            return true;
    return false;
}

void ftx_inbound_write(struct ftx_inbound_record *r)
{
    r->delayed = copy_under_way(r);
    if (r->delayed)
        return;
    r->work.run = run_write;
    r->work.done = on_written;
    r->working = true;
    r->transfer->n_working++;
    ftx_work_queue(ftx_xfer_loop(r->transfer->xfer), &r->work);
}

void ftx_inbound_abandon(struct ftx_inbound_record *r)
{
    if (r->copying)
        (void)ftx_inbox_copied(r->transfer->store, r->check, -ECANCELED);
    r->copying = NULL;
    for (size_t i = 0; i < r->n_pieces; i++) {
        r->pieces[i].err = -ECANCELED;
        (void)settle_piece(r, &r->pieces[i]);
    }
    r->n_pieces = 0;
}
