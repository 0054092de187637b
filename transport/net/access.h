/* SPDX-License-Identifier: MIT */
/* Who may connect: ranges of addresses, nodes of the tailnet. Loop thread only. */
#ifndef FTX_NET_ACCESS_H
#define FTX_NET_ACCESS_H

#include "transport/net/cidr.h"

#include <stddef.h>
#include <uv.h>

struct ftx_access;

/* `ranges` are copied; `tailnet`: its nodes too, whoever they are by then. -ENOMEM. */
int ftx_access_new(uv_loop_t *loop, const struct ftx_cidr *ranges, size_t n_ranges, bool tailnet,
                   struct ftx_access **out_access);
/* After the loop has ended. NULL: nothing. */
void ftx_access_free(struct ftx_access *access);

/*
 * True if ftx_access_allows can be asked now. False while `tailscale` has to be asked, which is
 * done again when its last answer is 60 s old (5 s if there was none): then ready(owner) comes
 * later. One waits at a time; NULL waits no more.
 */
bool ftx_access_ready(struct ftx_access *access, void (*ready)(void *owner), void *owner);

/* By what is known now: of the tailnet, the last answer, and nobody if there was none. */
bool ftx_access_allows(const struct ftx_access *access, const struct sockaddr *address);

#endif
