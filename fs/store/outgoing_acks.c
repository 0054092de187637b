/* SPDX-License-Identifier: MIT */
/* What the peer answered to what was sent to it: the pending segments of a stream go on, go back,
 * or go. */
#include "fs/store/outgoing.h"

#include "fs/store/change_log.h"
#include "fs/store/mirror.h"
#include "fs/store/offer.h"
#include "fs/store/outbox.h"
#include "fs/store/outbox_internal.h"
#include "fs/store/released.h"
#include "fs/store/spool.h"
#include "fs/store/tell.h"
#include "transport/base/err.h"

#include <errno.h>
#include <string.h>

/* Begins a change of a stream; *out NULL: nothing of it is under way (any more), nothing was
 * begun. */
static int begin(struct ftx_log *log, struct ftx_store *store, const struct ftx_link *link,
                 uint64_t stream, struct ftx_sending **out)
{
    *out = NULL;
    int err = ftx_log_begin(log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_outgoing_item(store, link, stream);
    *out = item ? item->as.sending : NULL;
    if (!*out)
        ftx_log_commit(log);
    return 0;
}

/* True for a segment that went with record `send` and was not changed since. */
static bool went_with(const struct ftx_segment *segment, uint64_t send)
{
    return segment->tag == send &&
           (segment->state == FTX_PENDING_FLYING || segment->state == FTX_PENDING_RECEIVED);
}

/* Segments within the extent that went with record `send` get the state. */
static void settle(struct ftx_sending *sending, const struct ftx_extent *extent, uint64_t send,
                   uint8_t state)
{
    uint64_t end = extent->offset + extent->length;
    for (struct ftx_segment *segment = ftx_segments_at(&sending->pending, extent->offset);
         segment && segment->offset < end;
         segment = ftx_segments_at(&sending->pending, segment->offset + segment->length))
        if (went_with(segment, send))
            segment->state = state;
}

/* Is this the segment, as it is now, that the peer says it holds? */
static bool same_as(const struct ftx_segment *segment, const struct ftx_extent *extent)
{
    return segment->offset == extent->offset && segment->length == extent->length &&
           segment->kind == extent->kind && segment->state == FTX_PENDING_DUE &&
           (segment->kind == FTX_SEGMENT_HOLE ||
            (segment->hashed && memcmp(segment->hash, extent->hash, FTX_HASH_SIZE) == 0));
}

int ftx_outgoing_held(struct ftx_store *store, struct ftx_link *link,
                      const struct ftx_extent *extent)
{
    struct ftx_log log;
    struct ftx_sending *sending;
    int err = begin(&log, store, link, extent->stream, &sending);
    if (err || !sending)
        return err;
    struct ftx_segment *segment = ftx_segments_at(&sending->pending, extent->offset);
    if (segment && same_as(segment, extent) &&
        ftx_segments_cut(&sending->pending, extent->offset, extent->length) == 0)
        ftx_log_cut(&log, sending->item->id, extent->offset, extent->length);
    ftx_mirror_settle(&log, sending->item, extent->offset, extent->offset + extent->length);
    ftx_spool_drains(store, sending->item);
    ftx_log_commit(&log);
    return 0;
}

int ftx_outgoing_received(struct ftx_store *store, struct ftx_link *link,
                          const struct ftx_extent *extent, uint64_t send)
{
    struct ftx_log log;
    struct ftx_sending *sending;
    int err = begin(&log, store, link, extent->stream, &sending);
    if (err || !sending)
        return err;
    (void)ftx_segments_cut(&sending->flying, extent->offset, extent->length);
    settle(sending, extent, send, FTX_PENDING_RECEIVED);
    if (sending->blocked || sending->flying.count == 0)
        ftx_sending_due(&log, sending);
    ftx_log_commit(&log);
    return 0;
}

int ftx_outgoing_durable(struct ftx_store *store, struct ftx_link *link,
                         const struct ftx_extent *extent, uint64_t send)
{
    struct ftx_log log;
    struct ftx_sending *sending;
    int err = begin(&log, store, link, extent->stream, &sending);
    if (err || !sending)
        return err;
    uint64_t end = extent->offset + extent->length;
    struct ftx_segment *segment = ftx_segments_at(&sending->pending, extent->offset);
    while (segment && segment->offset < end) {
        struct ftx_range range = {segment->offset, segment->length};
        if (went_with(segment, send) &&
            ftx_segments_cut(&sending->pending, range.offset, range.length) == 0)
            ftx_log_cut(&log, sending->item->id, range.offset, range.length);
        segment = ftx_segments_at(&sending->pending, range.offset + range.length);
    }
    ftx_mirror_settle(&log, sending->item, extent->offset, end);
    ftx_spool_drains(store, sending->item);
    ftx_log_commit(&log);
    return 0;
}

/* Was the segment replaced since, or is this damage on our disk? */
static bool still_there(const struct ftx_sending *sending, const struct ftx_extent *extent,
                        uint64_t send)
{
    struct ftx_segment *segment = ftx_segments_at(&sending->pending, extent->offset);
    return segment && segment->offset == extent->offset && segment->length == extent->length &&
           segment->tag == send && segment->state == FTX_PENDING_FLYING && segment->hashed;
}

/* Its bytes are not to be had, as far as can be seen now. */
static void fail(struct ftx_log *log, struct ftx_item *item)
{
    bool news = item->state != FTX_ITEM_FAILED;
    item->state = FTX_ITEM_FAILED;
    ftx_log_item(log, item);
    if (news)
        ftx_tell_item(log, FTX_EVENT_FAILED, item);
}

int ftx_outgoing_failed(struct ftx_store *store, struct ftx_link *link,
                        const struct ftx_extent *extent, uint64_t send, int cause)
{
    struct ftx_log log;
    struct ftx_sending *sending;
    int err = begin(&log, store, link, extent->stream, &sending);
    if (err || !sending)
        return err;
    (void)ftx_segments_cut(&sending->flying, extent->offset, extent->length);
    if (cause == -EIO || cause == -ESTALE ||
        (cause == FTX_ECHANGED && still_there(sending, extent, send))) {
        fail(&log, sending->item);
        ftx_mirror_settle(&log, sending->item, 0, 0);
    }
    settle(sending, extent, send, FTX_PENDING_DUE);
    if (extent->offset < sending->scan)
        sending->scan = extent->offset;
    ftx_sending_due(&log, sending);
    ftx_log_commit(&log);
    return 0;
}

void ftx_sending_forget_pending(struct ftx_log *log, struct ftx_sending *sending)
{
    struct ftx_segment *segment = ftx_segments_at(&sending->pending, 0);
    if (!ftx_released_any(sending->item, 0, FTX_OFFSET_MAX)) {
        ftx_log_cut(log, sending->item->id, 0, FTX_OFFSET_MAX);
        segment = NULL;
    }
    for (; segment; segment = ftx_segments_at(&sending->pending, segment->offset + segment->length))
        ftx_log_cut(log, sending->item->id, segment->offset, segment->length);
    (void)ftx_segments_cut(&sending->pending, 0, FTX_OFFSET_MAX);
}

int ftx_outgoing_delivered(struct ftx_store *store, struct ftx_link *link, uint64_t stream,
                           uint32_t version)
{
    struct ftx_log log;
    struct ftx_sending *sending;
    int err = begin(&log, store, link, stream, &sending);
    if (err || !sending)
        return err;
    struct ftx_item *item = sending->item;
    if (item->version == version && item->state == FTX_ITEM_CLOSED && sending->sealed) {
        /* the acknowledgements of its extents may still be on their way, on other connections */
        ftx_sending_forget_pending(&log, sending);
        item->state = FTX_ITEM_DELIVERED;
        item->stale &= !ftx_mirror_is(item);
        ftx_log_item(&log, item);
        ftx_tell_item(&log, FTX_EVENT_DELIVERED, item);
        ftx_sending_due(&log, sending);
        ftx_mirror_settle(&log, item, 0, FTX_OFFSET_MAX);
        ftx_spool_drains(store, item);
        log.arrived = true; /* a close may wait for it */
    }
    ftx_log_commit(&log);
    return 0;
}

int ftx_outgoing_unsealed(struct ftx_store *store, struct ftx_link *link, uint64_t stream,
                          uint32_t version)
{
    struct ftx_log log;
    struct ftx_sending *sending;
    int err = begin(&log, store, link, stream, &sending);
    if (err || !sending)
        return err;
    if (sending->item->version == version && sending->item->state == FTX_ITEM_CLOSED) {
        sending->sealed = false;
        ftx_sending_due(&log, sending);
    }
    ftx_log_commit(&log);
    return 0;
}

/* Is this a range of the answer to the SEAL under way? They ascend, so an answer costs no more than
 * the file has. */
static bool answers_seal(const struct ftx_item *item, uint32_t version,
                         const struct ftx_range *range)
{
    const struct ftx_sending *sending = item->as.sending;
    if (!sending || item->state != FTX_ITEM_CLOSED)
        return false;
    if (sending->sealed)
        return version == item->version;
    return version + 1 == item->version && sending->missing_end &&
           range->offset >= sending->missing_end;
}

int ftx_outgoing_missing(struct ftx_store *store, struct ftx_link *link, uint64_t stream,
                         uint32_t version, const struct ftx_range *range)
{
    struct ftx_log log;
    struct ftx_sending *sending;
    int err = begin(&log, store, link, stream, &sending);
    if (err || !sending)
        return err;
    struct ftx_item *item = sending->item;
    if (answers_seal(item, version, range)) {
        item->version += sending->sealed; /* no late answer may be taken for one to the next SEAL */
        sending->seal_left &= !sending->sealed;
        sending->sealed = false;
        sending->scan = 0;
        ftx_log_item(&log, item); /* first: what a kill leaves out is found missing once more */
        sending->closed = ftx_log_promise(&log, link);
        sending->missing_end = range->offset + range->length; /* the decoder has checked it */
        uint64_t end = sending->missing_end < item->size ? sending->missing_end : item->size;
        (void)ftx_sending_resend(&log, item, range->offset, end);
        (void)ftx_sending_pull(&log, item, range->offset, end);
        if (ftx_released_any(item, range->offset, end)) /* it had said that this is durable */
            fail(&log, item);
        ftx_sending_due(&log, sending);
    }
    ftx_log_commit(&log);
    return 0;
}
