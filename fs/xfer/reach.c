/* SPDX-License-Identifier: MIT */
/* Where peers said that they can be dialled: into the store, and from there to them after a start. */
#include "fs/xfer/transfer.h"
#include "fs/store/links.h"

#include <string.h>
#include <time.h>

void ftx_transfer_told(void *ctx, const struct ftx_told_address *told, size_t n)
{
    struct ftx_transfer *t = ctx;
    struct ftx_link_reach reach = {.told_s = (uint64_t)time(NULL), .n = n};
    memcpy(reach.at, told, n * sizeof *told);
    ftx_link_set_reach(t->store, t->link, &reach);
}

/* A clock that was set back makes no address too old. */
void ftx_transfer_recall(struct ftx_transfer *t)
{
    struct ftx_link_reach reach;
    uint64_t now_s = (uint64_t)time(NULL);
    ftx_link_reach(t->store, t->link, &reach);
    if (reach.n > 0)
        ftx_peer_recall(t->peer, reach.at, reach.n,
                        now_s > reach.told_s ? 1000 * (now_s - reach.told_s) : 0);
}
