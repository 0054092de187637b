/* SPDX-License-Identifier: MIT */
/*
 * Between the store and the network: one transfer per link moves what the outbox has due into the
 * link's sessions and what comes into the inbox. Everything runs on the loop thread but the
 * functions that say otherwise.
 */
#ifndef FTX_XFER_XFER_H
#define FTX_XFER_XFER_H

#include "fs/store/inbox.h"
#include "fs/store/store.h"
#include "transport/net/tcp.h"
#include "transport/session/compress.h"

#include <uv.h>

struct ftx_xfer;

struct ftx_xfer_config {
    const struct ftx_address *listen; /* NULL: does not listen */
    struct ftx_access *access;        /* kept: who may connect; NULL: everybody */
    const struct ftx_address *dial;   /* n_dial of them */
    size_t n_dial;
    char *const *relays; /* URLs, n_relays of them */
    size_t n_relays;
    const char *relay_token, *relay_ca; /* ftx_node_set_relay_access */
    bool lan;                           /* local networks are searched */
    bool portmap;                       /* the router is asked for a port */
    unsigned n_data;                    /* data connections that a link may add */
    enum ftx_links_policy links;
    enum ftx_compress_mode compress;
    /* As of struct ftx_peer_host, with `failed_ctx`: NULL if nobody wants to know. Loop thread. */
    void (*failed)(void *ctx, const struct ftx_address *address, int err);
    void *failed_ctx;
};

/* Begins: links of the store are dialled and answered. The store's `wake` and
 * `committed` events are to call ftx_xfer_wake. -EADDRINUSE and the like. */
int ftx_xfer_start(uv_loop_t *loop, struct ftx_store *store, const struct ftx_xfer_config *config,
                   struct ftx_xfer **out_xfer);

/* The port it listens on; 0: none. */
uint16_t ftx_xfer_port(const struct ftx_xfer *xfer);

/* Something changed in the store: looked at soon. Any thread. */
void ftx_xfer_wake(void *xfer);

/* Ends sessions, closes all handles, waits for workers; the loop then runs out. `ftx_xfer_free`
 * after the loop has ended. */
void ftx_xfer_stop(struct ftx_xfer *xfer);
void ftx_xfer_free(struct ftx_xfer *xfer);

#endif
