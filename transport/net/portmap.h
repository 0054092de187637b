/* SPDX-License-Identifier: MIT */
/* Keeps a port of ours mapped at the home router, if there is one that does that, until it is
 * stopped. Loop thread only; the router is asked by a worker. */
#ifndef FTX_NET_PORTMAP_H
#define FTX_NET_PORTMAP_H

#include "transport/net/ip.h"

#include <uv.h>

struct ftx_portmap;

/* `external` NULL: it is not mapped any more. Told when it changes. */
typedef void (*ftx_mapped_fn)(void *owner, const struct ftx_ip *external, uint16_t port);

/* Asks soon; asks again when half of the mapping's time is over, or after 15 min without one.
 * -ENOMEM. */
int ftx_portmap_start(uv_loop_t *loop, uint16_t port, ftx_mapped_fn mapped, void *owner,
                      struct ftx_portmap **out_portmap);
/* The network is another one: asks soon. NULL: nothing. */
void ftx_portmap_look(struct ftx_portmap *portmap);
/* No `mapped` after it; removes the mapping and frees itself, which keeps the loop as long as the
 * router takes: 2 s if it is being looked for and there is none. NULL: nothing. */
void ftx_portmap_stop(struct ftx_portmap *portmap);

#endif
