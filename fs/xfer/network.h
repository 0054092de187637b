/* SPDX-License-Identifier: MIT */
/*
 * The loop with all that moves between a store and its peers, on a thread of its own. The order of
 * its life:
 *
 *   open   listener and links are there, nothing runs; the store's events may be set to wake it
 *   start  the thread runs
 *   close  sessions end, the thread is joined, handles are gone; wake does nothing any more
 *   free   after the store is closed, whose thread may wake it to the end
 */
#ifndef FTX_XFER_NETWORK_H
#define FTX_XFER_NETWORK_H

#include "fs/xfer/xfer.h"
#include "transport/net/access.h"

struct ftx_network;

struct ftx_network_config {
    struct ftx_xfer_config xfer;  /* its `access` is made from these: */
    const struct ftx_cidr *allow; /* who may connect, n_allow ranges ... */
    size_t n_allow;
    bool allow_tailnet; /* ... and the tailnet's nodes; neither: everybody */
};

/* -EADDRINUSE and the like: it cannot listen. */
int ftx_network_open(struct ftx_store *store, const struct ftx_network_config *config,
                     struct ftx_network **out_network);
/* Where it listens; 0: nowhere. Until it is started. */
uint16_t ftx_network_port(const struct ftx_network *network);
/* -EAGAIN: no thread. */
int ftx_network_start(struct ftx_network *network);
/* Something changed in the store (its `wake` and `committed`). Any thread. */
void ftx_network_wake(void *network);
/* Started or not. */
void ftx_network_close(struct ftx_network *network);
/* NULL: nothing. */
void ftx_network_free(struct ftx_network *network);

#endif
