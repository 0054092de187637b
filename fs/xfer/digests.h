/* SPDX-License-Identifier: MIT */
/*
 * What peers ask about files is computed here, for all links together: a MiB of one, then a MiB of
 * the next, by one worker that rests as long as it worked, longer while its link has something to
 * send or receive. So whoever asks for ever costs half a core at most. Loop thread.
 */
#ifndef FTX_XFER_DIGESTS_H
#define FTX_XFER_DIGESTS_H

#include "fs/store/digest.h"
#include "transport/base/list.h"
#include "transport/net/work.h"
#include "transport/wire/message.h"

#include <stdbool.h>
#include <uv.h>

struct ftx_transfer;
struct ftx_digest_question;

struct ftx_digests {
    struct ftx_store *store;
    struct ftx_list questions; /* struct ftx_digest_question: who waited longest comes first */
    struct ftx_digest_question *working; /* at the worker, and in no list */
    struct ftx_work work;
    uv_timer_t rest; /* until the next MiB */
    uv_timer_t tell; /* that we are at it, while there are questions */
    bool closed;
};

void ftx_digests_init(struct ftx_digests *digests, uv_loop_t *loop, struct ftx_store *store);
/* The transfer's peer asks; its engine is told, later. -ENOMEM. */
int ftx_digests_ask(struct ftx_digests *digests, struct ftx_transfer *transfer, uint64_t stream,
                    enum ftx_digest_whose whose);
/* The transfer's session is over: nobody waits any more. */
void ftx_digests_drop(struct ftx_digests *digests, struct ftx_transfer *transfer);
/* After all transfers' sessions. The loop runs on until its handles and its work have ended. */
void ftx_digests_close(struct ftx_digests *digests);

#endif
