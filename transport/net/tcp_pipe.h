/* SPDX-License-Identifier: MIT */
/* A TCP connection as a pipe: dial.c and listen.c make it, tcp.c runs it. Only for these three. */
#ifndef FTX_NET_TCP_PIPE_H
#define FTX_NET_TCP_PIPE_H

#include "transport/net/pipe.h"

#include <stdbool.h>

struct ftx_tcp_pipe {
    struct ftx_pipe pipe;
    uv_tcp_t tcp;
    uv_connect_t connect;    /* dial.c; data is NULL once the dial has given this attempt up */
    struct ftx_list refused; /* writes that libuv no longer takes: cancelled by the close */
    bool ended;
};

/*
 * A pipe without a connection: connect or open `tcp`, then say so; ftx_pipe_close ends it at any
 * point. -ENOMEM.
 */
int ftx_tcp_pipe_new(uv_loop_t *loop, struct ftx_tcp_pipe **out_pipe);

/*
 * `tcp` is connected: sets its options and the address for people. -ENOTCONN and the like if the
 * peer has left already.
 */
int ftx_tcp_pipe_connected(struct ftx_tcp_pipe *pipe);

#endif
