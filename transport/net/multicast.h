/* SPDX-License-Identifier: MIT */
/*
 * Datagrams to and from whoever is on a local network: one group of IPv4 and one of IPv6, link-local
 * both, on every interface that can do multicast. What is in them is its owner's business. Loop
 * thread only.
 */
#ifndef FTX_NET_MULTICAST_H
#define FTX_NET_MULTICAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

enum {
    FTX_MULTICAST_MAX = 1024,     /* bytes of a datagram; larger ones are dropped */
    FTX_MULTICAST_INTERFACES = 16 /* of each family; more are left out */
};

struct ftx_multicast;

struct ftx_multicast_host {
    /* Never inside a call of the owner. `source` is who sent it, a link-local one with its
     * interface. At most 20 a second come, 64 at once; what is beyond is lost. */
    void (*received)(void *owner, const uint8_t *bytes, size_t size, const struct sockaddr *source);
    /* Can others connect to this address of ours? */
    bool (*reachable)(void *owner, const struct sockaddr *own);
};

/*
 * Joins the groups, and follows when interfaces come and go (a look every 15 s). `port` is shared
 * with other programs that allow it; `loopback`: on the loopback interface instead of all others.
 * One family is enough. -EADDRINUSE and the like, -ENOMEM.
 */
int ftx_multicast_start(uv_loop_t *loop, uint16_t port, bool loopback,
                        const struct ftx_multicast_host *host, void *owner,
                        struct ftx_multicast **out_multicast);
/* No `received` after it; frees itself later. */
void ftx_multicast_stop(struct ftx_multicast *multicast);

/* Looks at the interfaces now. */
void ftx_multicast_look(struct ftx_multicast *multicast);

/* True if there is an interface where this machine can be connected to, or one where it cannot. */
bool ftx_multicast_has(const struct ftx_multicast *multicast, bool reachable);
/* Sends at most FTX_MULTICAST_MAX bytes through each of them; what cannot be sent is lost. */
void ftx_multicast_send(struct ftx_multicast *multicast, bool reachable, const uint8_t *bytes,
                        size_t size);

#endif
