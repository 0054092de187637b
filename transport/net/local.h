/* SPDX-License-Identifier: MIT */
/* The addresses of this machine that a word stands for: what --listen names. */
#ifndef FTX_NET_LOCAL_H
#define FTX_NET_LOCAL_H

#include <stddef.h>
#include <sys/socket.h>
#include <uv.h>

/*
 * *out_addresses is the caller's to free: n different ones, n > 0, IPv4 first, ports 0. `host` is
 * "": all addresses; "localhost": the loopback's; "tailscale": this machine's in its tailnet; the
 * name of an interface: those it has now; else an address or a name that is looked up. Blocks.
 * -EADDRNOTAVAIL: it stands for none; what the resolver says; for "tailscale", as
 * ftx_tailnet_read.
 */
int ftx_local_addresses(uv_loop_t *loop, const char *host, struct sockaddr_storage **out_addresses,
                        size_t *out_n);

#endif
