/* SPDX-License-Identifier: MIT */
/* What is sent next, and its bytes. Segments on their way: due -> flying -> received -> forgotten
 * (outgoing_acks.c), and back to due when a session ends. */
#include "fs/store/outgoing.h"

#include "fs/store/borrow.h"
#include "fs/store/change_log.h"
#include "fs/store/fetch.h"
#include "fs/store/mirror.h"
#include "fs/store/offer.h"
#include "fs/store/outbox.h"
#include "fs/store/outbox_internal.h"
#include "fs/store/steer.h"
#include "transport/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
    SMALL_BYTES = 128 << 10, /* a file with no more than this to send goes before large ones */
};

struct ftx_item *ftx_outgoing_item(struct ftx_store *store, const struct ftx_link *link,
                                   uint64_t stream)
{
    struct ftx_item *item = ftx_item_find_wire(&store->index, stream);
    return item && item->link == link && item->linked && item->kind == FTX_FILE ? item : NULL;
}

int ftx_outgoing_start(struct ftx_store *store, struct ftx_link *link, uint64_t durable)
{
    pthread_mutex_lock(&store->lock);
    bool possible = durable + 1 >= link->op_first && durable < link->op_next;
    pthread_mutex_unlock(&store->lock);
    if (!possible)
        return FTX_ELOST;
    return ftx_outgoing_ops_durable(store, link, durable);
}

size_t ftx_outgoing_op(struct ftx_store *store, struct ftx_link *link, uint64_t number,
                       uint8_t *out)
{
    size_t size = 0;
    pthread_mutex_lock(&store->lock);
    if (number >= link->op_first && number < link->op_next) {
        const struct ftx_stored_op *op = ftx_link_op(link, number);
        size = op->size;
        memcpy(out, op->bytes, size);
    }
    pthread_mutex_unlock(&store->lock);
    return size;
}

/* Does the entry survive a power cut? If not, it soon will, and the loop is woken. */
static bool durable(struct ftx_store *store, uint64_t entry)
{
    if (entry <= store->durable_at)
        return true;
    store->durable = true;
    pthread_cond_signal(&store->work);
    return false;
}

uint64_t ftx_outgoing_op_ready(struct ftx_store *store, struct ftx_link *link)
{
    pthread_mutex_lock(&store->lock);
    if (link->op_ready < link->op_first)
        link->op_ready = link->op_first;
    while (link->op_ready < link->op_next &&
           durable(store, ftx_link_op(link, link->op_ready)->entry))
        link->op_ready++;
    uint64_t last = link->op_ready - 1;
    pthread_mutex_unlock(&store->lock);
    return last;
}

int ftx_outgoing_ops_durable(struct ftx_store *store, struct ftx_link *link, uint64_t number)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    if (number >= link->op_first) {
        ftx_link_drop_ops(link, number);
        ftx_log_ops_gone(&log, link, number);
    }
    ftx_log_commit(&log);
    return 0;
}

/* Its item needs no sending any more, or none for now. */
static bool finished(const struct ftx_store *store, const struct ftx_sending *sending)
{
    return sending->dropped || sending->item->state == FTX_ITEM_DELIVERED ||
           ftx_sending_is_offered(store, sending);
}

/* The same for what a stream has to send; until then it is out of the way. */
static bool stream_durable(struct ftx_store *store, struct ftx_sending *sending, uint64_t entry)
{
    if (durable(store, entry))
        return true;
    if (!ftx_list_linked(&sending->due))
        ftx_list_append(&sending->item->link->undurable, &sending->due);
    return false;
}

struct ftx_sending *ftx_outgoing_due(struct ftx_store *store, struct ftx_link *link,
                                     bool *out_finished)
{
    struct ftx_sending *sending = NULL;
    pthread_mutex_lock(&store->lock);
    if (link->undurable_at != store->durable_at)
        ftx_list_splice(&link->due, &link->undurable);
    link->undurable_at = store->durable_at;
    while (!sending && (!ftx_list_empty(&link->due) || ftx_outgoing_take_up(store, link))) {
        struct ftx_list *node = ftx_list_pop(&link->due);
        sending = ftx_list_of(node, struct ftx_sending, due);
        sending->stream.small = sending->pending.bytes <= SMALL_BYTES;
        sending->stream.priority =
            link->prioritized ? ftx_item_priority(sending->item) : link->settings.priority;
        *out_finished = finished(store, sending);
        if (!*out_finished && !stream_durable(store, sending, sending->began))
            sending = NULL;
    }
    pthread_mutex_unlock(&store->lock);
    return sending;
}

void ftx_outgoing_forget(struct ftx_store *store, struct ftx_sending *sending)
{
    struct ftx_log log;
    ftx_log_lock(&log, store);
    struct ftx_item *item = sending->item;
    if (finished(store, sending)) {
        uint64_t began = sending->began, closed = sending->closed;
        bool dropped = sending->dropped;
        bool current = item->state == FTX_ITEM_WRITING || item->state == FTX_ITEM_CLOSED;
        ftx_sending_remove(sending);
        if (dropped && current && item->linked) /* withdrawn, and offered again */
            ftx_sending_renew(&log, item, began, closed);
        else if (current && item->linked)
            ftx_item_rest(item);
        ftx_item_reap(&log, item);
    } else { /* written to again meanwhile */
        ftx_sending_due(&log, sending);
    }
    ftx_log_commit(&log);
}

bool ftx_outgoing_waits(struct ftx_store *store, struct ftx_link *link, uint64_t bytes)
{
    uint64_t waiting = 0;
    pthread_mutex_lock(&store->lock);
    bool wanted =
        !ftx_list_empty(&link->wants) || !ftx_list_empty(&link->fetches) || link->n_questions > 0;
    for (struct ftx_list *node = link->due.next; node != &link->due && waiting < bytes;
         node = node->next)
        waiting += ftx_list_of(node, struct ftx_sending, due)->pending.bytes;
    pthread_mutex_unlock(&store->lock);
    return wanted || waiting >= bytes;
}

/* Nothing is in flight any more: what was, is due. */
static void restart(struct ftx_sending *sending)
{
    ftx_segments_close(&sending->flying);
    ftx_segments_init(&sending->flying);
    for (struct ftx_segment *segment = ftx_segments_at(&sending->pending, 0); segment;
         segment = ftx_segments_at(&sending->pending, segment->offset + segment->length)) {
        if (segment->state == FTX_PENDING_FLYING || segment->state == FTX_PENDING_RECEIVED)
            segment->state = FTX_PENDING_DUE;
        segment->tag = 0;
    }
    sending->scan = 0;
    sending->want_at = sending->want_end = 0;
    sending->sent = false;
    sending->blocked = false;
    sending->stream.announced = false;
    sending->stream.control_only = false;
    sending->stream.urgent = false;
    sending->sealed = false;
}

void ftx_outgoing_restart(struct ftx_store *store, struct ftx_link *link)
{
    struct ftx_log log;
    ftx_log_lock(&log, store);
    ftx_outgoing_unhold(link);
    ftx_outgoing_rouse_all(link);
    for (struct ftx_list *node = link->sendings.next; node != &link->sendings; node = node->next) {
        struct ftx_sending *sending = ftx_list_of(node, struct ftx_sending, all);
        restart(sending);
        ftx_sending_due(&log, sending);
    }
    log.wake = false;
    ftx_log_commit(&log);
}

/* The first due segment that begins in [from, to) and that nothing in flight overlaps, or NULL.
 * *out_blocked: where the first one stands that something overlaps, or `to`. */
static struct ftx_segment *find_due(struct ftx_sending *sending, uint64_t from, uint64_t to,
                                    uint64_t *out_blocked)
{
    *out_blocked = to;
    struct ftx_segment *segment = ftx_segments_at(&sending->pending, from);
    for (; segment && segment->offset < to;
         segment = ftx_segments_at(&sending->pending, segment->offset + segment->length)) {
        if (segment->state != FTX_PENDING_DUE)
            continue;
        struct ftx_segment *flying = ftx_segments_at(&sending->flying, segment->offset);
        if (!flying || flying->offset >= segment->offset + segment->length)
            return segment;
        if (*out_blocked == to)
            *out_blocked = segment->offset;
    }
    return NULL;
}

/* What goes next: the range a reader waits for, then from front to back. */
static struct ftx_segment *next_due(struct ftx_sending *sending)
{
    uint64_t blocked;
    struct ftx_segment *segment = find_due(sending, sending->want_at, sending->want_end, &blocked);
    if (segment)
        return segment;
    if (blocked == sending->want_end)
        sending->want_at = sending->want_end = 0;
    segment = find_due(sending, sending->scan, FTX_OFFSET_MAX, &blocked);
    sending->blocked = blocked != FTX_OFFSET_MAX;
    sending->scan = sending->blocked ? blocked : segment ? segment->offset : FTX_OFFSET_MAX;
    return segment;
}

static void fill_source(const struct ftx_item *item, uint64_t object,
                        const struct ftx_segment *segment, struct ftx_source *out)
{
    *out = (struct ftx_source){.object = object, .mark = segment->tag, .hashed = segment->hashed};
    out->extent = (struct ftx_extent){.stream = ftx_item_wire(item),
                                      .offset = segment->offset,
                                      .length = segment->length,
                                      .size_now = item->size,
                                      .version = item->version,
                                      .kind = segment->kind};
    if (segment->hashed)
        memcpy(out->extent.hash, segment->hash, sizeof segment->hash);
}

/* May bytes of the item leave? Not of one that the peer refused, or whose writer was killed. */
static bool may_send(const struct ftx_sending *sending)
{
    return !sending->dropped &&
           (sending->item->state == FTX_ITEM_WRITING || sending->item->state == FTX_ITEM_CLOSED);
}

/* The segment leaves in record `send`. -EMSGSIZE, -ENOMEM. */
static int fly(struct ftx_sending *sending, uint64_t object, struct ftx_segment *segment,
               size_t room, uint64_t send, struct ftx_source *out)
{
    struct ftx_segment flying = {
        .offset = segment->offset, .length = segment->length, .tag = send, .kind = segment->kind};
    int err = segment->kind == FTX_SEGMENT_DATA && segment->length > room
                  ? -EMSGSIZE
                  : ftx_segments_put(&sending->flying, &flying);
    if (err)
        return err;
    segment->state = FTX_PENDING_FLYING;
    segment->tag = send;
    sending->sent = true;
    fill_source(sending->item, object, segment, out);
    if (segment->kind == FTX_SEGMENT_DATA)
        sending->item->link->bytes_out += segment->length;
    return 0;
}

int ftx_outgoing_extent(struct ftx_store *store, struct ftx_sending *sending, size_t room,
                        uint64_t send, struct ftx_source *out)
{
    struct ftx_extent lost = {.length = 0};
    bool asked = false;
    pthread_mutex_lock(&store->lock);
    struct ftx_item *contents = ftx_mirror_contents(store, sending->item);
    bool may = may_send(sending) && stream_durable(store, sending, sending->began);
    struct ftx_segment *segment = may ? next_due(sending) : NULL;
    bool held = may_send(sending) && ftx_item_held(sending->item);
    int err = held ? -EBUSY : segment ? 0 : -EAGAIN;
    if (held && ftx_sending_may_rest(store, sending) && !ftx_list_linked(&sending->due)) {
        /* once its size has left, it rests */
        ftx_list_append(&sending->item->link->due, &sending->due);
        asked = true;
    }
    if (!err && contents != sending->item) /* who joined late: another member may have it */
        err = ftx_fetch_ask(store, contents, segment->offset, segment->offset + segment->length,
                            true, &asked);
    if (!err)
        err = fly(sending, contents->object, segment, room, send, out);
    else if (segment && err != -EAGAIN && err != -EBUSY)
        lost = (struct ftx_extent){.stream = ftx_item_wire(sending->item),
                                   .offset = segment->offset,
                                   .length = segment->length};
    pthread_mutex_unlock(&store->lock);
    if (asked)
        store->events.wake(store->events_ctx);
    if (!lost.length)
        return err;
    err = ftx_outgoing_failed(store, sending->item->link, &lost, send, -EIO);
    return err ? err : -EAGAIN;
}

void ftx_outgoing_size(struct ftx_store *store, struct ftx_sending *sending, struct ftx_extent *out)
{
    pthread_mutex_lock(&store->lock);
    *out = (struct ftx_extent){.stream = sending->stream.id,
                               .version = sending->item->version,
                               .size_now = sending->item->size};
    pthread_mutex_unlock(&store->lock);
}

/* Is everything at the peer, or in record `send`, which carries the seal? */
static bool all_there(const struct ftx_sending *sending, uint64_t send)
{
    for (struct ftx_segment *segment = ftx_segments_at(&sending->flying, 0); segment;
         segment = ftx_segments_at(&sending->flying, segment->offset + segment->length))
        if (segment->tag != send)
            return false;
    for (struct ftx_segment *segment = ftx_segments_at(&sending->pending, 0); segment;
         segment = ftx_segments_at(&sending->pending, segment->offset + segment->length))
        if (segment->state != FTX_PENDING_RECEIVED &&
            (segment->state != FTX_PENDING_FLYING || segment->tag != send))
            return false;
    return true;
}

bool ftx_outgoing_seal(struct ftx_store *store, struct ftx_sending *sending, uint64_t send,
                       uint64_t op_sent, struct ftx_plan_seal *out)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = sending->item;
    bool may = may_send(sending) && item->state == FTX_ITEM_CLOSED && !sending->sealed &&
               !ftx_item_held(item) && ftx_outbox_closed(ftx_mirror_contents(store, item)) &&
               all_there(sending, send) && stream_durable(store, sending, sending->closed);
    if (may && item->op > op_sent) { /* it may tell of an older time */
        sending->stream.op = item->op;
        may = false;
    }
    if (may) {
        sending->sealed = true;
        sending->seal_left = true;
        sending->sent = true;
        out->stream = ftx_item_wire(item);
        out->version = item->version;
        out->size = item->size;
        out->attributes_size = ftx_seal_attr_encode(item->mode, item->mtime_ns, out->attributes);
    }
    pthread_mutex_unlock(&store->lock);
    return may;
}

struct ftx_sending *ftx_outgoing_find(struct ftx_store *store, struct ftx_link *link,
                                      uint64_t stream)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_outgoing_item(store, link, stream);
    struct ftx_sending *sending = item ? item->as.sending : NULL;
    if (sending && sending->dropped)
        sending = NULL;
    pthread_mutex_unlock(&store->lock);
    return sending; /* only the loop frees it, and the loop asks */
}

void ftx_outgoing_wanted(struct ftx_store *store, struct ftx_sending *sending,
                         const struct ftx_range *range)
{
    pthread_mutex_lock(&store->lock);
    sending->want_at = range->offset;
    sending->want_end = range->offset + range->length;
    pthread_mutex_unlock(&store->lock);
}

/* After reading: do these bytes still stand for the pending segment, or did a write begin
 * meanwhile? (A write claims its range before it touches the object.) */
static bool unchanged(struct ftx_store *store, const struct ftx_source *source)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_item_find_wire(&store->index, source->extent.stream);
    struct ftx_sending *sending = item && item->kind == FTX_FILE ? item->as.sending : NULL;
    struct ftx_segment *segment =
        sending ? ftx_segments_at(&sending->pending, source->extent.offset) : NULL;
    bool same = segment && segment->offset == source->extent.offset &&
                segment->length == source->extent.length && segment->tag == source->mark;
    pthread_mutex_unlock(&store->lock);
    return same;
}

bool ftx_outgoing_is_wanted(struct ftx_store *store, const struct ftx_sending *sending)
{
    pthread_mutex_lock(&store->lock);
    bool wanted = sending->want_end > 0;
    pthread_mutex_unlock(&store->lock);
    return wanted;
}

/* `borrows` is set before anything is offered that way. */
static bool is_borrowed(struct ftx_store *store, const struct ftx_source *source)
{
    if (!store->borrows)
        return false;
    pthread_mutex_lock(&store->lock);
    const struct ftx_item *item = ftx_item_find_wire(&store->index, source->extent.stream);
    bool borrowed = item && ftx_borrowed(item);
    pthread_mutex_unlock(&store->lock);
    return borrowed;
}

int ftx_outgoing_read(void *ctx, struct ftx_source *source, uint8_t *out)
{
    struct ftx_store *store = ctx;
    if (is_borrowed(store, source))
        return ftx_borrow_read(store, source, out);
    int fd = ftx_object_open(&store->objects, source->object, O_RDONLY);
    if (fd < 0)
        return fd == -ENOENT ? FTX_ECHANGED : fd;
    size_t size = (size_t)source->extent.length;
    int err = ftx_object_read_padded(fd, out, size, source->extent.offset);
    ftx_drop_behind(&store->drop_behind, &store->objects, source->object, fd,
                    source->extent.offset + size);
    close(fd);
    if (err)
        return err == -ENODATA ? FTX_ECHANGED : err;
    uint8_t hash[FTX_HASH_SIZE];
    ftx_hash(out, size, hash);
    bool same = source->hashed ? memcmp(hash, source->extent.hash, FTX_HASH_SIZE) == 0
                               : unchanged(store, source);
    if (!same)
        return FTX_ECHANGED;
    memcpy(source->extent.hash, hash, FTX_HASH_SIZE);
    return 0;
}
