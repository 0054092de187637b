/* SPDX-License-Identifier: MIT */
/* TCP as byte pipes: dial, listen. Loop thread only. */
#ifndef FTX_NET_TCP_H
#define FTX_NET_TCP_H

#include "transport/net/access.h"
#include "transport/net/ip.h"
#include "transport/net/pipe.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum { FTX_DEFAULT_PORT = 15820 };

/*
 * HOST:PORT split: "name", "name:1", "1.2.3.4:1", "[::1]:1", "[::1]", "::1", ":1" (host empty).
 * Port absent: FTX_DEFAULT_PORT.
 */
struct ftx_address {
    char host[256];
    uint16_t port;
};

/* -EINVAL if `text` is none of these forms, or the port is not 0..65535. Pure. */
int ftx_address_parse(const char *text, struct ftx_address *out);

/*
 * Resolves and connects (its addresses race, RFC 8305, for 10 s in all); then `dialled` comes
 * exactly once, never inside a call, with a pipe that the callee owns, or an error and NULL.
 * Until then *out_dial may be cancelled (dialled then comes with UV_ECANCELED). An empty host is
 * this machine. -ENOMEM, or what the resolver says of a malformed host: then `dialled` does not
 * come.
 */
struct ftx_dial;
typedef void (*ftx_dialled_fn)(void *owner, int err, struct ftx_pipe *pipe);
int ftx_tcp_dial(uv_loop_t *loop, const struct ftx_address *address, ftx_dialled_fn dialled,
                 void *owner, struct ftx_dial **out_dial);
void ftx_dial_cancel(struct ftx_dial *dial);
/*
 * Call right after ftx_tcp_dial: it connects from the port of the listener (read here only), if that
 * listens on all addresses and no other connection from there to the same address stands; else from
 * any. A NAT then most likely shows all whom it dials the same port, and whoever is dialled from it
 * may dial it.
 */
struct ftx_listener;
void ftx_dial_from(struct ftx_dial *dial, const struct ftx_listener *listener);
/* Call right after ftx_tcp_dial: it goes on for a minute, since from behind a NAT somebody may call
 * here meanwhile, and calls that meet pass. `again`: also if it is refused, for a while. */
void ftx_dial_insist(struct ftx_dial *dial, bool again);

/*
 * Listens on every address that the host stands for (ftx_local_addresses, which blocks); port 0
 * picks one, the same for all. IPv6 addresses are left out on a
 * machine that cannot have them, if others remain. Each connection comes as a pipe that the callee
 * owns. Out of descriptors or memory, accepting pauses for a second while connections wait. stop
 * closes the sockets at once (no `accepted` after it) and frees itself later. -EADDRINUSE and the
 * like, -ENOMEM, errors of ftx_local_addresses.
 */
typedef void (*ftx_accepted_fn)(void *owner, struct ftx_pipe *pipe);
int ftx_tcp_listen(uv_loop_t *loop, const struct ftx_address *address, ftx_accepted_fn accepted,
                   void *owner, struct ftx_listener **out_listener);

/* The same for who wants the sockets themselves: non-blocking, close-on-exec, the callee's. */
typedef void (*ftx_taken_fn)(void *owner, int fd);
int ftx_socket_listen(uv_loop_t *loop, const struct ftx_address *address, ftx_taken_fn taken,
                      void *owner, struct ftx_listener **out_listener);

/* Whoever `access` (kept) does not allow is refused before a byte is read; call before the loop
 * runs. While it is not ready nobody is accepted. */
void ftx_listener_restrict(struct ftx_listener *listener, struct ftx_access *access);
uint16_t ftx_listener_port(const struct ftx_listener *listener);
/* True if whatever address of this family the machine is called at, it is heard. */
bool ftx_listener_is_any(const struct ftx_listener *listener, sa_family_t family);
/* Where others can reach it: at most `capacity` addresses; returns how many. */
size_t ftx_listener_ips(const struct ftx_listener *listener, struct ftx_ip *out, size_t capacity);
/* True if nobody but this machine can reach it. */
bool ftx_listener_is_loopback(const struct ftx_listener *listener);
/* True if who calls this address of the machine is heard. */
bool ftx_listener_covers(const struct ftx_listener *listener, const struct sockaddr *own);
void ftx_listener_stop(struct ftx_listener *listener);

#endif
