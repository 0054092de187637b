/* SPDX-License-Identifier: MIT */
/* What a peer tells its link of sessions: they begin, go some way, and end. */
#include "fs/store/outbox.h"
#include "fs/store/peer_digest.h"
#include "fs/xfer/transfer.h"
#include "transport/base/err.h"
#include "transport/base/log.h"

void ftx_transfer_prepare(void *ctx)
{
    struct ftx_transfer *t = ctx;
    t->preparing = true;
    t->prepare_entry = 0;
    ftx_xfer_wake(t->xfer); /* the answer comes from there, not from inside this call */
}

void ftx_transfer_begin(void *ctx, struct ftx_engine *engine)
{
    struct ftx_transfer *t = ctx;
    t->engine = engine;
    ftx_transfer_receive_begin(t);
    ftx_outgoing_restart(t->store, t->link);
    ftx_fetch_restart(t->store, t->link);
    ftx_peer_digest_restart(t->store, t->link);
    (void)ftx_transfer_send_due(t);
}

bool ftx_transfer_busy(void *ctx)
{
    struct ftx_transfer *t = ctx;
    return ftx_link_busy(t->store, t->link);
}

void ftx_transfer_end(void *ctx, int reason)
{
    struct ftx_transfer *t = ctx;
    t->engine = NULL;
    ftx_digests_drop(ftx_xfer_digests(t->xfer), t);
    t->preparing = false;
    ftx_transfer_receive_end(t);
    if (t->connected)
        ftx_link_session_ended(t->store, t->link,
                               reason ? ftx_err_text(reason) : "one of the ends is leaving",
                               reason == 0);
    t->connected = false;
    ftx_log(FTX_LOG_DEBUG, "link %s: session ended: %s", t->link->row.name, ftx_err_text(reason));
}

void ftx_transfer_look_at_way(struct ftx_transfer *t)
{
    struct ftx_link_way way = {.path = NULL};
    struct ftx_peer_way now;
    if (t->peer && ftx_peer_look(t->peer, &now))
        way = (struct ftx_link_way){.path = ftx_path_text(now.path),
                                    .rtt_us = now.rtt_us,
                                    .loss_thousandths = now.loss_thousandths,
                                    .quality = now.quality};
    ftx_link_set_way(t->store, t->link, &way);
}

void ftx_transfer_health(void *ctx, enum ftx_peer_health health, const char *address)
{
    static const enum ftx_link_health meaning[] = {
        [FTX_PEER_OFFLINE] = FTX_HEALTH_OFFLINE,     [FTX_PEER_PAIRING] = FTX_HEALTH_PAIRING,
        [FTX_PEER_CONNECTED] = FTX_HEALTH_CONNECTED, [FTX_PEER_SAME_ROLE] = FTX_HEALTH_SAME_ROLE,
        [FTX_PEER_LOST] = FTX_HEALTH_LOST,
    };
    struct ftx_transfer *t = ctx;
    ftx_transfer_look_at_way(t);
    t->connected |= health == FTX_PEER_CONNECTED;
    ftx_link_set_health(t->store, t->link->row.id, meaning[health], address);
}

void ftx_transfer_guess_failed(void *ctx)
{
    struct ftx_transfer *t = ctx;
    ftx_link_guess_failed(t->store, t->link->row.id);
}

int ftx_transfer_read(void *ctx, struct ftx_source *source, uint8_t *out)
{
    struct ftx_transfer *t = ctx;
    return source->answer ? ftx_fetch_read(t->store, source, out)
                          : ftx_outgoing_read(t->store, source, out);
}

void ftx_transfer_packed(void *ctx, uint64_t before, uint64_t after)
{
    struct ftx_transfer *t = ctx;
    ftx_link_count_packed(t->store, t->link, FTX_OUTBOX, before, after);
}
