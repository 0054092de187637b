/* SPDX-License-Identifier: MIT */
/*
 * The receiving half of a transfer. A record that came is one job: operations change the index as
 * they are read; its extents are written by a worker; its seals are judged after that. It is
 * durable when the journal entries it made are committed and its seals are done.
 *
 *   taking in -> written by a worker -> seals: wait for the commit of their bytes, complete ->
 * committed -> acknowledged as durable
 */
#include "fs/xfer/transfer.h"

#include "fs/store/objects.h"
#include "transport/base/err.h"
#include "transport/base/hash.h"
#include "transport/base/log.h"
#include "transport/net/work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* An extent on its way to the disk. */
struct piece {
    uint64_t item, object;
    struct ftx_extent extent;
    const uint8_t *data; /* NULL: a hole */
    int err;
};

/* A seal being judged. */
struct seal {
    struct ftx_plan_seal seal;
    struct ftx_seal_check check;
    bool waits; /* for the commit of check.settled */
    bool open;
};

struct ftx_inbound_record {
    struct ftx_list node;
    struct ftx_work work;
    struct ftx_transfer *transfer;
    struct ftx_record_ref ref;
    uint64_t generation;
    void *whole; /* the record's bytes, until they are written */
    struct piece *pieces;
    size_t n_pieces, pieces_capacity;
    struct seal *seals;
    size_t n_seals, seals_capacity;
    size_t n_open;        /* seals not done */
    struct seal *copying; /* the seal whose base ranges a worker copies */
    int copy_err;
    uint64_t need; /* journal entry that must be committed */
    bool effect;   /* something in it is acknowledged */
    bool written;
};

static struct ftx_inbound_record *taking_in(struct ftx_transfer *t)
{
    if (t->record)
        return t->record;
    t->record = calloc(1, sizeof *t->record);
    if (t->record) {
        t->record->transfer = t;
        t->record->generation = t->generation;
        ftx_list_init(&t->record->node);
    }
    return t->record;
}

static void record_free(struct ftx_inbound_record *r)
{
    ftx_list_remove(&r->node);
    if (r->whole)
        ftx_block_free(r->whole);
    free(r->pieces);
    free(r->seals);
    free(r);
}

static void need(struct ftx_inbound_record *r, uint64_t entry)
{
    if (entry > r->need)
        r->need = entry;
}

/* Room for one more element of `size` bytes; NULL without memory. */
static void *grow(void *array, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity)
        return array;
    size_t bigger = *capacity ? 2 * *capacity : 4;
    void *grown = realloc(array, bigger * size);
    if (grown)
        *capacity = bigger;
    return grown;
}

/* -- what the engine tells -- */

enum { REFUSED_KEPT = 4096 };

/* A cut may take the REFUSED with it while the operation counts as applied: it is told again. */
static int refuse(struct ftx_transfer *t, uint64_t item, uint8_t reason)
{
    if (!t->refused)
        t->refused = calloc(REFUSED_KEPT, sizeof *t->refused);
    if (!t->refused)
        return -ENOMEM;
    t->refused[t->n_refused++ % REFUSED_KEPT] =
        (struct ftx_refused){.item = item, .reason = reason};
    return ftx_engine_refuse(t->engine, item, reason);
}

static void refuse_again(struct ftx_transfer *t)
{
    size_t n = t->n_refused < REFUSED_KEPT ? t->n_refused : REFUSED_KEPT;
    for (size_t i = 0; i < n; i++)
        (void)ftx_engine_refuse(t->engine, t->refused[i].item, t->refused[i].reason);
}

int ftx_receive_apply(void *ctx, uint64_t number, const uint8_t *op, size_t size)
{
    struct ftx_transfer *t = ctx;
    struct ftx_inbound_record *r = taking_in(t);
    if (!r)
        return -ENOMEM;
    uint64_t entry, item;
    uint8_t refused;
    int err = ftx_inbox_apply(t->store, t->link, number, op, size, ftx_xfer_links(t->xfer), &entry,
                              &item, &refused);
    if (err)
        return err;
    r->effect = true;
    need(r, entry);
    return refused ? refuse(t, item, refused) : 0;
}

int ftx_receive_arrived(void *ctx, const struct ftx_extent *extent, const uint8_t *data)
{
    struct ftx_transfer *t = ctx;
    struct ftx_inbound_record *r = taking_in(t);
    struct piece *pieces =
        r ? grow(r->pieces, r->n_pieces, &r->pieces_capacity, sizeof *r->pieces) : NULL;
    if (!pieces)
        return -ENOMEM;
    r->pieces = pieces;
    r->effect = true;
    struct piece piece = {.extent = *extent, .data = data};
    int err = ftx_inbox_begin(t->store, t->link, extent, &piece.item, &piece.object);
    if (err == -EALREADY)
        return 0;
    if (err == -ENOENT || err == -ENOSPC)
        return ftx_engine_refuse(t->engine, extent->stream,
                                 err == -ENOENT ? FTX_REFUSED_DELETED : FTX_REFUSED_SPACE);
    if (err)
        return err;
    r->pieces[r->n_pieces++] = piece;
    return 0;
}

int ftx_receive_resized(void *ctx, const struct ftx_extent *size)
{
    struct ftx_transfer *t = ctx;
    ftx_inbox_resize(t->store, t->link, size);
    return 0;
}

int ftx_receive_sealed(void *ctx, const struct ftx_plan_seal *seal)
{
    struct ftx_transfer *t = ctx;
    struct ftx_inbound_record *r = taking_in(t);
    struct seal *seals =
        r ? grow(r->seals, r->n_seals, &r->seals_capacity, sizeof *r->seals) : NULL;
    if (!seals)
        return -ENOMEM;
    r->seals = seals;
    r->effect = true;
    int err = ftx_inbox_seal_comes(t->store, t->link, seal);
    if (err)
        return err;
    struct seal *added = &r->seals[r->n_seals++];
    memset(added, 0, sizeof *added);
    added->seal = *seal;
    added->open = true;
    r->n_open++;
    return 0;
}

/* -- writing, on workers -- */

static bool hash_matches(const struct piece *piece)
{
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash, XXH3_128bits(piece->data, (size_t)piece->extent.length));
    return memcmp(hash.digest, piece->extent.hash, FTX_HASH_SIZE) == 0;
}

static int write_piece(const struct piece *piece, int fd)
{
    if (piece->data)
        return ftx_object_write(fd, piece->data, (size_t)piece->extent.length,
                                piece->extent.offset);
    return ftx_object_punch(fd, piece->extent.offset, piece->extent.length);
}

static void run_write(struct ftx_work *work)
{
    struct ftx_inbound_record *r = ftx_list_of(work, struct ftx_inbound_record, work);
    struct ftx_objects *objects = &r->transfer->store->objects;
    int fd = -1;
    for (size_t i = 0; i < r->n_pieces; i++) {
        struct piece *piece = &r->pieces[i];
        if (piece->data && !hash_matches(piece)) {
            piece->err = FTX_EPROTO;
            continue;
        }
        if (fd < 0 || piece->object != r->pieces[i - 1].object) {
            if (fd >= 0)
                close(fd);
            fd = ftx_object_open(objects, piece->object, O_WRONLY | (piece->data ? O_CREAT : 0));
        }
        if (fd == -ENOENT && !piece->data)
            continue; /* a hole in nothing */
        piece->err = fd < 0 ? fd : write_piece(piece, fd);
    }
    if (fd >= 0)
        close(fd);
}

static void judge_seals(struct ftx_inbound_record *r);

/* The session that the record came in still runs. */
static bool current(const struct ftx_inbound_record *r)
{
    return r->transfer->engine && r->generation == r->transfer->generation;
}

static void end_session(struct ftx_transfer *t, int err)
{
    ftx_log(FTX_LOG_WARNING, "link %s: what came cannot be stored: %s", t->link->row.name,
            ftx_err_text(err));
    ftx_peer_fail(t->peer, err);
}

static void on_written(struct ftx_work *work)
{
    struct ftx_inbound_record *r = ftx_list_of(work, struct ftx_inbound_record, work);
    struct ftx_transfer *t = r->transfer;
    int first_err = 0;
    t->n_working--;
    for (size_t i = 0; i < r->n_pieces; i++) {
        uint64_t entry;
        struct piece *piece = &r->pieces[i];
        int err = ftx_inbox_wrote(t->store, piece->item, &piece->extent, piece->err, &entry);
        need(r, entry);
        if (err && !first_err)
            first_err = err;
    }
    size_t size = ftx_block_size(r->whole);
    ftx_block_free(r->whole);
    r->whole = NULL;
    if (t->peer)
        ftx_peer_release(t->peer, size);
    if (!current(r)) {
        record_free(r);
    } else if (first_err) {
        record_free(r);
        end_session(t, first_err);
    } else {
        r->written = true;
        ftx_engine_written(t->engine, r->ref);
        judge_seals(r);
    }
    ftx_transfer_receive_advance(t);
}

void ftx_receive_record(void *ctx, struct ftx_record_ref ref, void *whole)
{
    struct ftx_transfer *t = ctx;
    struct ftx_inbound_record *r = t->record;
    t->record = NULL;
    if (!r || !r->effect) {
        if (r)
            record_free(r);
        ftx_block_free(whole);
        return;
    }
    r->ref = ref;
    r->whole = whole;
    ftx_list_append(&t->records, &r->node);
    if (r->n_pieces) {
        ftx_peer_hold(t->peer, ftx_block_size(whole));
        r->work.run = run_write;
        r->work.done = on_written;
        t->n_working++;
        ftx_work_queue(ftx_xfer_loop(t->xfer), &r->work);
        return;
    }
    ftx_block_free(whole);
    r->whole = NULL;
    r->written = true;
    ftx_engine_written(t->engine, ref);
    judge_seals(r);
}

/* -- seals -- */

static void seal_done(struct ftx_inbound_record *r, struct seal *seal)
{
    seal->open = false;
    seal->waits = false;
    r->n_open--;
}

/* Copies a range of the base; what lies beyond its object's end is a hole in both. */
static int copy_range(int from, int to, const struct ftx_range *range)
{
    struct stat st;
    if (fstat(from, &st) < 0)
        return -errno;
    uint64_t end = (uint64_t)st.st_size;
    if (range->offset >= end)
        return 0;
    uint64_t length = range->length < end - range->offset ? range->length : end - range->offset;
    return ftx_object_copy(from, to, range->offset, length);
}

static void run_copy(struct ftx_work *work)
{
    struct ftx_inbound_record *r = ftx_list_of(work, struct ftx_inbound_record, work);
    const struct ftx_seal_check *check = &r->copying->check;
    struct ftx_objects *objects = &r->transfer->store->objects;
    int from = ftx_object_open(objects, check->base_object, O_RDONLY);
    int to = from < 0 ? from : ftx_object_open(objects, check->object, O_RDWR | O_CREAT);
    r->copy_err = from == -ENOENT ? 0 : to < 0 ? to : 0; /* no object: the base is one hole */
    for (size_t i = 0; i < check->n && to >= 0 && !r->copy_err; i++)
        r->copy_err = copy_range(from, to, &check->ranges[i]);
    if (to >= 0)
        close(to);
    if (from >= 0)
        close(from);
}

static void on_copied(struct ftx_work *work)
{
    struct ftx_inbound_record *r = ftx_list_of(work, struct ftx_inbound_record, work);
    struct ftx_transfer *t = r->transfer;
    const struct ftx_seal_check *check = &r->copying->check;
    t->n_working--;
    int err = r->copy_err;
    if (!err && current(r))
        err = ftx_inbox_copied(t->store, check->item, check->ranges, check->n);
    if (!current(r)) {
        record_free(r);
    } else if (err) {
        record_free(r);
        end_session(t, err);
    } else {
        r->copying = NULL;
        judge_seals(r);
    }
    ftx_transfer_receive_advance(t);
}

/* What a judged seal asks for. An error that is not about the file: the record may not be
 * acknowledged, as its sender would take the file for delivered. */
static int act_on(struct ftx_inbound_record *r, struct seal *seal, int found)
{
    struct ftx_transfer *t = r->transfer;
    if (found == 0 && seal->check.n) {
        r->copying = seal;
        r->work.run = run_copy;
        r->work.done = on_copied;
        t->n_working++;
        ftx_work_queue(ftx_xfer_loop(t->xfer), &r->work);
        return 0;
    }
    if (found == 0) {
        seal->waits = true;
        return 0;
    }
    if (found == -ENODATA)
        found = ftx_engine_missing(t->engine, seal->seal.stream, seal->seal.version,
                                   seal->check.ranges, seal->check.n);
    else if (found == -ENOENT)
        found = ftx_engine_refuse(t->engine, seal->seal.stream, FTX_REFUSED_DELETED);
    else if (found == -EALREADY)
        found = 0;
    if (!found)
        seal_done(r, seal);
    return found;
}

/* Judges the seals one after the other; one whose base must be copied makes the rest wait for the
 * worker. */
static void judge_seals(struct ftx_inbound_record *r)
{
    struct ftx_transfer *t = r->transfer;
    for (size_t i = 0; i < r->n_seals && !r->copying; i++) {
        struct seal *seal = &r->seals[i];
        if (!seal->open || seal->waits)
            continue;
        int found = ftx_inbox_seal(t->store, t->link, &seal->seal, &seal->check);
        int err = act_on(r, seal, found);
        if (err) { /* we may be inside a call of the engine */
            t->failed = err;
            ftx_xfer_wake(t->xfer);
            return;
        }
    }
}

/* -- acknowledging -- */

static int complete_seals(struct ftx_inbound_record *r, uint64_t committed)
{
    struct ftx_transfer *t = r->transfer;
    for (size_t i = 0; i < r->n_seals && r->n_open; i++) {
        struct seal *seal = &r->seals[i];
        uint64_t entry;
        if (!seal->waits || seal->check.settled > committed)
            continue;
        int err = ftx_inbox_complete(t->store, t->link, &seal->seal, seal->check.item, &entry);
        if (err && err != -EALREADY)
            return err;
        need(r, entry);
        seal_done(r, seal);
    }
    return 0;
}

static void answer_prepare(struct ftx_transfer *t)
{
    if (!t->preparing || t->n_working || !t->peer)
        return;
    pthread_mutex_lock(&t->store->lock);
    if (!t->prepare_entry) /* nothing more of the last session comes after this one */
        t->prepare_entry = t->store->appended;
    bool settled = t->store->committed >= t->prepare_entry;
    uint64_t op_seen = t->link->row.op_seen;
    pthread_mutex_unlock(&t->store->lock);
    if (!settled)
        return;
    t->preparing = false;
    t->prepare_entry = 0;
    ftx_peer_ready(t->peer, op_seen);
}

void ftx_transfer_receive_advance(struct ftx_transfer *t)
{
    uint64_t committed = ftx_store_committed(t->store);
    if (t->failed && t->engine) {
        end_session(t, t->failed);
        t->failed = 0;
    }
    for (struct ftx_list *node = t->records.next, *next; node != &t->records; node = next) {
        next = node->next;
        struct ftx_inbound_record *r = ftx_list_of(node, struct ftx_inbound_record, node);
        if (!r->written || !current(r))
            continue;
        int err = complete_seals(r, committed);
        if (err) {
            end_session(t, err);
            break;
        }
        if (r->n_open || r->copying || r->need > committed)
            continue;
        ftx_engine_durable(t->engine, r->ref);
        record_free(r);
    }
    if (t->peer && t->engine)
        ftx_peer_kick(t->peer);
    answer_prepare(t);
    ftx_xfer_reap(t);
}

/* -- the session's ends -- */

void ftx_transfer_receive_begin(struct ftx_transfer *t)
{
    t->n_unfinished = ftx_inbox_unfinished(t->store, t->link, &t->unfinished);
    t->at_unfinished = 0;
    t->held_offset = 0;
    refuse_again(t);
}

static void stop_telling(struct ftx_transfer *t)
{
    free(t->unfinished);
    free(t->held);
    t->unfinished = NULL;
    t->held = NULL;
    t->n_unfinished = 0;
}

bool ftx_receive_have(void *ctx, const struct ftx_extent **out_extents, size_t *out_n)
{
    struct ftx_transfer *t = ctx;
    if (!t->held && t->n_unfinished)
        t->held = malloc(FTX_HAVE_MAX * sizeof *t->held);
    while (t->held && t->at_unfinished < t->n_unfinished) {
        *out_n = ftx_inbox_held(t->store, t->unfinished[t->at_unfinished], &t->held_offset, t->held,
                                FTX_HAVE_MAX);
        if (*out_n) {
            *out_extents = t->held;
            return true;
        }
        t->at_unfinished++;
        t->held_offset = 0;
    }
    stop_telling(t);
    return false;
}

void ftx_transfer_receive_end(struct ftx_transfer *t)
{
    t->generation++;
    t->failed = 0;
    stop_telling(t);
    if (t->record) {
        record_free(t->record);
        t->record = NULL;
    }
    for (struct ftx_list *node = t->records.next, *next; node != &t->records; node = next) {
        next = node->next;
        struct ftx_inbound_record *r = ftx_list_of(node, struct ftx_inbound_record, node);
        if (r->written && !r->copying)
            record_free(r);
    }
}

void ftx_transfer_receive_free(struct ftx_transfer *t)
{
    free(t->refused);
    t->refused = NULL;
    t->n_refused = 0;
}
