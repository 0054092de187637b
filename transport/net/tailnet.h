/* SPDX-License-Identifier: MIT */
/* Who is in this machine's tailnet, as `tailscale status --json` tells it. */
#ifndef FTX_NET_TAILNET_H
#define FTX_NET_TAILNET_H

#include "transport/net/cidr.h"

#include <stddef.h>

/* Zeroed: nobody. */
struct ftx_tailnet {
    struct ftx_cidr *nodes; /* single addresses; the first n_own are this machine's */
    size_t n_nodes, n_own;
};

/*
 * From the text of a status (Go's ipnstate.Status as JSON). Whoever only visits (a ShareeNode of
 * another tailnet) and whose key has expired is not in it. -ENETDOWN: this machine is not
 * connected to its tailnet; FTX_EPROTO: that is no status; -ENOMEM. Pure. Then
 * ftx_tailnet_free.
 */
int ftx_tailnet_parse(const char *text, size_t size, struct ftx_tailnet *out);

/* Asks the program, which is looked for in PATH: as _parse and ftx_program_read. Blocks for 5 s at
 * most. */
int ftx_tailnet_read(struct ftx_tailnet *out);

bool ftx_tailnet_contains(const struct ftx_tailnet *tailnet, const struct sockaddr *address);
void ftx_tailnet_free(struct ftx_tailnet *tailnet);

#endif
