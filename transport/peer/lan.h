/* SPDX-License-Identifier: MIT */
/*
 * The search on local networks (docs/protocol.md 10): links that are not connected are announced, and
 * who announces the other end of one is a way to it. Private to transport/peer.
 */
#ifndef FTX_PEER_LAN_H
#define FTX_PEER_LAN_H

#include <stdbool.h>
#include <stdint.h>

struct ftx_lan;
struct ftx_node;

/* Nothing is sent or received before the first link is looked for. -ENOMEM. */
int ftx_lan_new(struct ftx_node *node, uint16_t port, bool loopback, struct ftx_lan **out_lan);
/* Frees itself later. NULL: nothing. */
void ftx_lan_stop(struct ftx_lan *lan);
/* A link is not connected, and was, or is new, or the network is another one: announced soon. NULL:
 * nothing. */
void ftx_lan_seek(struct ftx_lan *lan);

#endif
