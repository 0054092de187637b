/* SPDX-License-Identifier: MIT */
/*
 * The outbox's contents go to the disk every few seconds, in the background: a power cut then takes
 * little of what nobody called fsync for. Loop thread.
 */
#ifndef FTX_XFER_SYNC_H
#define FTX_XFER_SYNC_H

#include "fs/store/store.h"
#include "transport/net/work.h"

#include <stdbool.h>
#include <uv.h>

struct ftx_sync {
    uv_timer_t timer; /* runs while there may be something to sync */
    struct ftx_work work;
    struct ftx_store *store;
    int err;
    bool working, closed;
};

void ftx_sync_init(struct ftx_sync *sync, uv_loop_t *loop, struct ftx_store *store);
/* Something may have been written. */
void ftx_sync_look(struct ftx_sync *sync);
void ftx_sync_close(struct ftx_sync *sync);

#endif
