/* SPDX-License-Identifier: MIT */
/* A SEAL says that a file has come: it is judged when the extents of its record are written, takes
 * what did not change from the version before, and completes once all of that is committed. */
#include "fs/xfer/inbound.h"

#include "fs/store/objects.h"
#include "fs/xfer/kind.h"
#include "transport/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void done(struct ftx_inbound_record *r, struct ftx_inbound_seal *seal)
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

static int copy_ranges(const struct ftx_store *store, const struct ftx_seal_check *check)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < check->n; i++)
        bytes += check->ranges[i].length;
    if (!ftx_store_has_room(store, FTX_INBOX, bytes))
        return -ENOSPC;
    int from = ftx_object_open(&store->objects, check->base_object, O_RDONLY);
    int to = from < 0 ? from : ftx_object_open(&store->objects, check->object, O_RDWR | O_CREAT);
    int err = to < 0 ? to : 0;
    for (size_t i = 0; i < check->n && !err; i++)
        err = copy_range(from, to, &check->ranges[i]);
    if (to >= 0)
        close(to);
    if (from >= 0)
        close(from);
    return err;
}

static void run_copy(struct ftx_work *work)
{
    struct ftx_inbound_record *r = ftx_list_of(work, struct ftx_inbound_record, work);
    r->copy_err = copy_ranges(r->transfer->store, r->check);
}

/* Extents that waited for a copy may be written. */
static void write_delayed(struct ftx_transfer *t)
{
    for (struct ftx_list *node = t->records.next; node != &t->records; node = node->next) {
        struct ftx_inbound_record *r = ftx_list_of(node, struct ftx_inbound_record, node);
        if (r->delayed && !r->copying)
            ftx_inbound_write(r);
    }
}

static void on_copied(struct ftx_work *work)
{
    struct ftx_inbound_record *r = ftx_list_of(work, struct ftx_inbound_record, work);
    struct ftx_transfer *t = r->transfer;
    t->n_working--;
    r->working = false;
    bool current = ftx_inbound_current(r);
    if (current && (r->copy_err == -ENOSPC || r->copy_err == -EDQUOT)) {
        r->delayed = true;
        ftx_inbound_no_room(t);
        return;
    }
    int err = ftx_inbox_copied(t->store, r->check, r->copy_err);
    if (!current) {
        ftx_inbound_free(r);
    } else if (err) {
        ftx_inbound_free(r);
        ftx_inbound_end_session(t, err);
    } else {
        r->copying = NULL;
        ftx_inbound_judge(r);
    }
    write_delayed(t);
    ftx_inbound_judge_busy(t);
    ftx_transfer_receive_advance(t);
}

void ftx_inbound_copy(struct ftx_inbound_record *r)
{
    r->delayed = false;
    r->work.run = run_copy;
    r->work.done = on_copied;
    r->working = true;
    r->transfer->n_working++;
    ftx_work_queue(ftx_xfer_loop(r->transfer->xfer), &r->work);
}

/* -- what they hold -- */

/* What a file begins with is of a kind that the link takes. */
static bool is_taken(const struct ftx_store *store, const struct ftx_rules *rules,
                     const struct ftx_inbound_seal *seal, uint8_t *room)
{
    uint64_t most = seal->seal.size < FTX_KIND_LOOKED ? seal->seal.size : FTX_KIND_LOOKED;
    int fd = ftx_object_open(&store->objects, seal->object, O_RDONLY);
    if (fd < 0)
        return false;
    int err = ftx_object_read_padded(fd, room, (size_t)most, 0);
    close(fd);
    return (!err || err == -ENODATA) && ftx_kind_taken(rules, room, (size_t)most);
}

static void run_look(struct ftx_work *work)
{
    struct ftx_inbound_record *r = ftx_list_of(work, struct ftx_inbound_record, work);
    uint8_t *room = calloc(1, FTX_KIND_LOOKED);
    for (size_t i = 0; i < r->n_seals; i++) {
        struct ftx_inbound_seal *seal = &r->seals[i];
        if (seal->looks)
            seal->denied = !room || !is_taken(r->transfer->store, r->rules, seal, room);
    }
    free(room);
}

static void on_looked(struct ftx_work *work)
{
    struct ftx_inbound_record *r = ftx_list_of(work, struct ftx_inbound_record, work);
    struct ftx_transfer *t = r->transfer;
    t->n_working--;
    r->working = r->looking = false;
    if (ftx_inbound_current(r)) {
        for (size_t i = 0; i < r->n_seals; i++) {
            struct ftx_inbound_seal *seal = &r->seals[i];
            if (!seal->looks)
                continue;
            seal->looks = false;
            seal->waits = !seal->denied;
            if (!seal->denied)
                continue;
            (void)ftx_inbound_deny(t, seal->item, seal->seal.stream);
            done(r, seal);
        }
        ftx_inbound_judge(r);
    } else {
        ftx_inbound_free(r);
    }
    ftx_inbound_judge_busy(t);
    ftx_transfer_receive_advance(t);
}

/* Files that are here as a whole are looked at before they are complete. */
static void look(struct ftx_inbound_record *r)
{
    for (size_t i = 0; i < r->n_seals; i++)
        r->looking |= r->seals[i].open && r->seals[i].looks;
    if (!r->looking)
        return;
    r->work.run = run_look;
    r->work.done = on_looked;
    r->working = true;
    r->transfer->n_working++;
    ftx_work_queue(ftx_xfer_loop(r->transfer->xfer), &r->work);
}

/* What a judged seal asks for. An error that is not about the file: the record may not be
 * acknowledged, as its sender would take the file for delivered. */
static int act_on(struct ftx_inbound_record *r, struct ftx_inbound_seal *seal, int found)
{
    struct ftx_transfer *t = r->transfer;
    if (found == 0 && r->check->n) {
        r->copying = seal;
        ftx_inbound_copy(r);
        return 0;
    }
    if (found == 0) {
        seal->item = r->check->item;
        seal->settled = r->check->settled;
        seal->object = r->check->object;
        seal->looks = r->rules && seal->object;
        seal->waits = !seal->looks;
        return 0;
    }
    if (found == -ENODATA)
        found = ftx_engine_missing(t->engine, seal->seal.stream, seal->seal.version,
                                   r->check->ranges, r->check->n);
    else if (found == -ENOENT)
        found = ftx_engine_refuse(t->engine, seal->seal.stream, FTX_REFUSED_DELETED);
    else if (found == -EPERM)
        found = ftx_engine_refuse(t->engine, seal->seal.stream, FTX_REFUSED_FOLDER);
    else if (found == -EDQUOT)
        found = ftx_inbound_refuse(t, seal->seal.stream, FTX_REFUSED_POLICY);
    else if (found == -EALREADY)
        found = 0;
    if (!found)
        done(r, seal);
    return found;
}

void ftx_inbound_judge(struct ftx_inbound_record *r)
{
    struct ftx_transfer *t = r->transfer;
    int err = 0;
    if (r->looking) { /* judged once that is over */
        r->busy = true;
        return;
    }
    if (r->n_seals && !r->check && !(r->check = malloc(sizeof *r->check)))
        err = -ENOMEM;
    if (!err && r->n_seals)
        err = ftx_inbound_rules(r);
    for (size_t i = 0; i < r->n_seals && !r->copying && !err; i++) {
        struct ftx_inbound_seal *seal = &r->seals[i];
        if (!seal->open || seal->waits || seal->looks)
            continue;
        int found = ftx_inbox_seal(t->store, t->link, &seal->seal, r->check);
        r->busy |= found == -EBUSY;
        err = found == -EBUSY ? 0 : act_on(r, seal, found);
    }
    if (!err && !r->copying)
        look(r);
    if (err) { /* we may be inside a call of the engine */
        t->failed = err;
        ftx_xfer_wake(t->xfer);
    }
}

void ftx_inbound_judge_busy(struct ftx_transfer *t)
{
    for (struct ftx_list *node = t->records.next; node != &t->records; node = node->next) {
        struct ftx_inbound_record *r = ftx_list_of(node, struct ftx_inbound_record, node);
        if (!r->busy || !r->written || r->copying)
            continue;
        r->busy = false;
        ftx_inbound_judge(r);
    }
}

int ftx_inbound_complete(struct ftx_inbound_record *r, uint64_t committed)
{
    struct ftx_transfer *t = r->transfer;
    for (size_t i = 0; i < r->n_seals && r->n_open; i++) {
        struct ftx_inbound_seal *seal = &r->seals[i];
        uint64_t entry;
        if (!seal->waits || seal->settled > committed)
            continue;
        int err = ftx_inbox_complete(t->store, t->link, &seal->seal, seal->item, &entry);
        if (err && err != -EALREADY)
            return err;
        ftx_inbound_need(r, entry);
        done(r, seal);
    }
    return 0;
}
