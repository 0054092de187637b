/* SPDX-License-Identifier: MIT */
/* The extents of a record are unpacked, checked and written, at a worker. Without room on the disk
 * they stay in memory, and reading from the peer pauses until there is some. */
#include "fs/xfer/inbound.h"

#include "fs/store/objects.h"
#include "fs/xfer/kind.h"
#include "transport/base/err.h"
#include "transport/base/hash.h"
#include "transport/peer/codecs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* What the pieces of a record share. */
struct writing {
    const struct ftx_objects *objects;
    const struct ftx_rules *rules; /* NULL: none about what files hold */
    struct ftx_codec *codec;       /* NULL: not needed yet */
    uint64_t object; /* that the last piece was written to: it stays open for the next */
    int fd;          /* -1: none */
};

/* The bytes of the piece as they were before they were packed; valid until the next piece's. */
static int raw_bytes(struct writing *w, const struct ftx_inbound_piece *piece,
                     const uint8_t **out_bytes)
{
    const struct ftx_content *content = &piece->content;
    *out_bytes = content->data;
    if (content->encoding == FTX_ENCODING_RAW)
        return 0;
    if (!w->codec)
        w->codec = ftx_codecs_take();
    if (!w->codec)
        return -ENOMEM;
    return ftx_codec_unpack(w->codec, content->data, content->data_size,
                            (size_t)content->extent.length, out_bytes);
}

static bool hash_matches(const struct ftx_extent *extent, const uint8_t *bytes)
{
    uint8_t hash[FTX_HASH_SIZE];
    ftx_hash(bytes, (size_t)extent->length, hash);
    return memcmp(hash, extent->hash, FTX_HASH_SIZE) == 0;
}

static void close_object(struct writing *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
}

/* Opens the piece's object. */
static int open_object(struct writing *w, const struct ftx_inbound_piece *piece)
{
    if (w->fd >= 0 && w->object == piece->object)
        return 0;
    close_object(w);
    int make = piece->content.data || piece->fetched ? O_CREAT : 0;
    int fd = piece->object ? ftx_object_open(w->objects, piece->object, O_WRONLY | make) : -ENOENT;
    if (fd < 0)
        return fd;
    w->object = piece->object;
    w->fd = fd;
    return 0;
}

/* All that would be looked at of the whole file: so what is not taken need not come to its end. */
static bool is_telling(const struct ftx_extent *extent, const uint8_t *bytes,
                       const struct ftx_inbound_piece *piece)
{
    return bytes && !piece->fetched && extent->offset == 0 && extent->length >= FTX_KIND_LOOKED;
}

static int run_piece(struct writing *w, const struct ftx_inbound_piece *piece)
{
    const struct ftx_extent *extent = &piece->content.extent;
    const uint8_t *bytes;
    int err = raw_bytes(w, piece, &bytes);
    if (err)
        return err;
    if (bytes && !hash_matches(extent, bytes))
        return FTX_EPROTO;
    if (is_telling(extent, bytes, piece) && w->rules &&
        !ftx_kind_taken(w->rules, bytes, (size_t)extent->length))
        return -EMEDIUMTYPE;
    err = open_object(w, piece);
    if (err)
        return err == -ENOENT && !bytes ? 0 : err; /* a hole in nothing */
    if (bytes)
        return ftx_object_write(w->fd, bytes, (size_t)extent->length, extent->offset);
    return ftx_object_punch(w->fd, extent->offset, extent->length);
}

static uint64_t data_bytes(const struct ftx_inbound_record *r)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < r->n_pieces; i++)
        bytes += r->pieces[i].content.data && !r->pieces[i].fetched
                     ? r->pieces[i].content.extent.length
                     : 0;
    return bytes;
}

static void run_write(struct ftx_work *work)
{
    struct ftx_inbound_record *r = ftx_list_of(work, struct ftx_inbound_record, work);
    const struct ftx_store *store = r->transfer->store;
    struct writing w = {.objects = &store->objects, .rules = r->rules, .fd = -1};
    bool room = ftx_store_has_room(store, FTX_INBOX, data_bytes(r));
    for (size_t i = 0; i < r->n_pieces; i++) {
        struct ftx_inbound_piece *piece = &r->pieces[i];
        bool may = room || !piece->content.data || piece->fetched;
        piece->err = may ? run_piece(&w, piece) : -ENOSPC;
    }
    close_object(&w);
    ftx_codecs_give(w.codec);
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
        ftx_fetch_wrote(t->store, piece->item, &piece->content.extent, piece->err);
        return piece->err == FTX_EPROTO ? piece->err : 0;
    }
    int err = ftx_inbox_wrote(t->store, piece->item, &piece->content.extent, piece->err, &entry);
    ftx_inbound_need(r, entry);
    if (err == -EMEDIUMTYPE)
        return ftx_inbound_current(r)
                   ? ftx_inbound_deny(t, piece->item, piece->content.extent.stream)
                   : 0;
    if (err != -EFBIG)
        return err;
    return ftx_inbound_current(r)
               ? ftx_engine_refuse(t->engine, piece->content.extent.stream, FTX_REFUSED_SIZE)
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

/* For people: what came packed, and how many bytes that was. */
static void count_packed(const struct ftx_inbound_record *r)
{
    uint64_t before = 0, after = 0;
    for (size_t i = 0; i < r->n_pieces; i++) {
        const struct ftx_content *content = &r->pieces[i].content;
        bool packed = content->encoding != FTX_ENCODING_RAW && !r->pieces[i].err;
        before += packed ? content->extent.length : 0;
        after += packed ? content->data_size : 0;
    }
    if (before)
        ftx_link_count_packed(r->transfer->store, r->transfer->link, FTX_INBOX, before, after);
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
    count_packed(r);
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
    if (ftx_inbound_rules(r)) {
        r->transfer->failed = -ENOMEM;
        ftx_xfer_wake(r->transfer->xfer);
    }
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
