/* SPDX-License-Identifier: MIT */
/* The sending half of a transfer: the engine asks, the store answers; acknowledgements go back to
 * the store. */
#include "fs/xfer/transfer.h"

#include "fs/store/peer_digest.h"
#include "transport/base/err.h"

static struct ftx_sending *sending_of(struct ftx_stream *stream)
{
    return ftx_list_of(stream, struct ftx_sending, stream);
}

bool ftx_transfer_tell_removed(struct ftx_transfer *t)
{
    uint64_t folder;
    bool any = false;
    while (t->engine && ftx_inbox_removed_folder(t->store, t->link, &folder)) {
        any = true;
        (void)ftx_engine_refuse(t->engine, folder, FTX_REFUSED_DELETED);
    }
    return any;
}

bool ftx_transfer_send_due(struct ftx_transfer *t)
{
    uint64_t op_last = ftx_outgoing_op_ready(t->store, t->link);
    bool any = op_last > t->op_last, finished;
    t->op_last = op_last;
    for (struct ftx_sending *sending; (sending = ftx_outgoing_due(t->store, t->link, &finished));) {
        any = true;
        if (finished) {
            if (t->engine)
                ftx_engine_gone(t->engine, &sending->stream);
            ftx_outgoing_forget(t->store, sending);
        } else if (t->engine) {
            ftx_engine_due(t->engine, &sending->stream);
        }
    }
    any |= ftx_transfer_tell_removed(t);
    uint64_t remote;
    struct ftx_range range;
    while (t->engine && ftx_engine_may_fetch(t->engine) &&
           ftx_fetch_next(t->store, t->link, &remote, &range)) {
        any = true;
        (void)ftx_engine_fetch(t->engine, remote, &range);
    }
    any |= ftx_transfer_answer(t);
    while (ftx_inbox_want(t->store, t->link, &remote, &range)) {
        any = true;
        if (t->engine)
            (void)ftx_engine_want(t->engine, remote,
                                  &range); /* too many wait: the reader asks again */
    }
    enum ftx_digest_whose whose;
    while (t->engine && ftx_engine_may_ask_digest(t->engine) &&
           ftx_peer_digest_next(t->store, t->link, &remote, &whose)) {
        any = true;
        (void)ftx_engine_ask_digest(t->engine, remote, whose); /* else it times out */
    }
    return any;
}

void ftx_send_serve(void *ctx, uint64_t stream, const struct ftx_range *range,
                    struct ftx_source *out)
{
    struct ftx_transfer *t = ctx;
    ftx_fetch_serve(t->store, t->link, stream, range, out);
}

int ftx_send_start(void *ctx, uint64_t durable)
{
    struct ftx_transfer *t = ctx;
    return ftx_outgoing_start(t->store, t->link, durable);
}

size_t ftx_send_op(void *ctx, uint64_t number, const uint8_t **out_bytes)
{
    struct ftx_transfer *t = ctx;
    *out_bytes = t->op;
    if (number > t->op_last)
        return 0; /* it came after this turn of the loop: it goes with those of the next */
    return ftx_outgoing_op(t->store, t->link, number, t->op);
}

int ftx_send_extent(void *ctx, struct ftx_stream *stream, size_t room, uint64_t send,
                    struct ftx_source *out)
{
    struct ftx_transfer *t = ctx;
    struct ftx_sending *sending = sending_of(stream);
    int err = ftx_outgoing_extent(t->store, sending, room, send, out);
    if (stream->urgent && !ftx_outgoing_is_wanted(t->store, sending)) {
        stream->urgent = false; /* the rest of the file takes its turn again */
        ftx_engine_due(t->engine, stream);
    }
    return err;
}

void ftx_send_size(void *ctx, struct ftx_stream *stream, struct ftx_extent *out)
{
    struct ftx_transfer *t = ctx;
    ftx_outgoing_size(t->store, sending_of(stream), out);
}

bool ftx_send_seal(void *ctx, struct ftx_stream *stream, uint64_t send, struct ftx_plan_seal *out)
{
    struct ftx_transfer *t = ctx;
    return ftx_outgoing_seal(t->store, sending_of(stream), send, ftx_engine_op_sent(t->engine),
                             out);
}

/* An answer that could not be noted: the next session brings it again. Not from inside the
 * engine's call. */
static void check(struct ftx_transfer *t, int err)
{
    if (!err)
        return;
    t->failed = err;
    ftx_xfer_wake(t->xfer);
}

void ftx_send_held(void *ctx, const struct ftx_extent *extent)
{
    struct ftx_transfer *t = ctx;
    check(t, ftx_outgoing_held(t->store, t->link, extent));
}

void ftx_send_received(void *ctx, const struct ftx_extent *extent, uint64_t send)
{
    struct ftx_transfer *t = ctx;
    check(t, ftx_outgoing_received(t->store, t->link, extent, send));
}

void ftx_send_durable(void *ctx, const struct ftx_extent *extent, uint64_t send)
{
    struct ftx_transfer *t = ctx;
    check(t, ftx_outgoing_durable(t->store, t->link, extent, send));
}

void ftx_send_failed(void *ctx, const struct ftx_extent *extent, uint64_t send, int cause)
{
    struct ftx_transfer *t = ctx;
    check(t, ftx_outgoing_failed(t->store, t->link, extent, send, cause));
}

void ftx_send_ops_durable(void *ctx, uint64_t number)
{
    struct ftx_transfer *t = ctx;
    check(t, ftx_outgoing_ops_durable(t->store, t->link, number));
}

void ftx_send_delivered(void *ctx, uint64_t stream, uint32_t version)
{
    struct ftx_transfer *t = ctx;
    check(t, ftx_outgoing_delivered(t->store, t->link, stream, version));
}

void ftx_send_unsealed(void *ctx, uint64_t stream, uint32_t version)
{
    struct ftx_transfer *t = ctx;
    check(t, ftx_outgoing_unsealed(t->store, t->link, stream, version));
}

void ftx_send_missing(void *ctx, uint64_t stream, uint32_t version, const struct ftx_range *range)
{
    struct ftx_transfer *t = ctx;
    check(t, ftx_outgoing_missing(t->store, t->link, stream, version, range));
}

void ftx_send_refused(void *ctx, uint64_t stream, enum ftx_refusal reason)
{
    struct ftx_transfer *t = ctx;
    check(t, ftx_outgoing_refused(t->store, t->link, stream, (uint8_t)reason));
}

void ftx_send_wanted(void *ctx, uint64_t stream, const struct ftx_range *range)
{
    struct ftx_transfer *t = ctx;
    struct ftx_sending *sending = ftx_outgoing_find(t->store, t->link, stream);
    if (!sending)
        return;
    ftx_outgoing_wanted(t->store, sending, range);
    ftx_engine_urgent(t->engine, &sending->stream);
}

void ftx_send_digest(void *ctx, uint64_t stream, enum ftx_digest_whose whose)
{
    struct ftx_transfer *t = ctx;
    check(t, ftx_digests_ask(ftx_xfer_digests(t->xfer), t, stream, whose));
}

void ftx_send_digested(void *ctx, const struct ftx_told_digest *told)
{
    struct ftx_transfer *t = ctx;
    ftx_peer_digest_answered(t->store, t->link, told);
    ftx_xfer_wake(t->xfer); /* more may be asked for */
}

void ftx_send_holds(void *ctx, uint64_t item)
{
    struct ftx_transfer *t = ctx;
    ftx_outgoing_holds(t->store, t->link, item);
}

void ftx_send_takes(void *ctx, uint64_t item)
{
    struct ftx_transfer *t = ctx;
    ftx_outgoing_takes(t->store, t->link, item);
}
