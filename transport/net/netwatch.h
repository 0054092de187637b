/* SPDX-License-Identifier: MIT */
/* Tells when this machine's interfaces or their addresses have changed. Loop thread only. */
#ifndef FTX_NET_NETWATCH_H
#define FTX_NET_NETWATCH_H

#include <uv.h>

/*
 * From now on calls `changed` a quarter of a second after addresses, or what is up, became others
 * than they were when it was last called (whatever happened between). -EMFILE and the like, -ENOMEM.
 * stop: no call after it; frees itself later.
 */
struct ftx_netwatch;
int ftx_netwatch_start(uv_loop_t *loop, void (*changed)(void *owner), void *owner,
                       struct ftx_netwatch **out_watch);
void ftx_netwatch_stop(struct ftx_netwatch *watch);

#endif
