/* SPDX-License-Identifier: MIT */
/* A TCP proxy in the test's own loop: stands between two nodes and can cut, freeze and flip what
 * passes. */
#ifndef FTX_TESTS_PEER_PROXY_H
#define FTX_TESTS_PEER_PROXY_H

#include "transport/base/list.h"
#include "transport/net/tcp.h"

#include <stdbool.h>
#include <stdint.h>

struct proxy {
    uv_loop_t *loop;
    struct ftx_listener *listener;
    uint16_t port;   /* where it listens */
    uint16_t target; /* where it leads; 0: refuses */
    bool frozen;     /* nothing passes, nothing closes */
    struct ftx_list pairs;
    bool deaf; /* what goes to the target is lost */
    uint64_t n_accepted, n_passed;
    uint64_t flip_at; /* of the bytes that pass: flip a bit in this one, once; 0: none */
    uint64_t cut_at;  /* cut everything when this many have passed, once; 0: never */
};

void proxy_open(struct proxy *proxy, uv_loop_t *loop);
/* The same, listening at another address than 127.0.0.1. */
void proxy_open_at(struct proxy *proxy, uv_loop_t *loop, const char *host);
/* Closes all connections; new ones may come. */
void proxy_cut(struct proxy *proxy);
void proxy_close(struct proxy *proxy);

#endif
