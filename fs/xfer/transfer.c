/* SPDX-License-Identifier: MIT */
/* What an engine calls on a transfer: send.c and receive.c, side by side. */
#include "fs/xfer/transfer.h"

/* The peer layer keeps the number. */
static void session_number(void *ctx, uint64_t session)
{
    (void)ctx;
    (void)session;
}

const struct ftx_engine_app ftx_transfer_app = {
    .session = session_number,
    .start = ftx_send_start,
    .op = ftx_send_op,
    .held = ftx_send_held,
    .extent = ftx_send_extent,
    .size = ftx_send_size,
    .seal = ftx_send_seal,
    .received = ftx_send_received,
    .durable = ftx_send_durable,
    .failed = ftx_send_failed,
    .ops_durable = ftx_send_ops_durable,
    .delivered = ftx_send_delivered,
    .unsealed = ftx_send_unsealed,
    .missing = ftx_send_missing,
    .refused = ftx_send_refused,
    .wanted = ftx_send_wanted,
    .digest = ftx_send_digest,
    .digested = ftx_send_digested,
    .holds = ftx_send_holds,
    .takes = ftx_send_takes,
    .hold = ftx_receive_hold,
    .have = ftx_receive_have,
    .apply = ftx_receive_apply,
    .arrived = ftx_receive_arrived,
    .fetched = ftx_receive_fetched,
    .resized = ftx_receive_resized,
    .sealed = ftx_receive_sealed,
    .serve = ftx_send_serve,
    .record = ftx_receive_record,
};
