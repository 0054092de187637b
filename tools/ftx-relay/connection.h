/* SPDX-License-Identifier: MIT */
/* One client of the relay: server.c makes it, connection.c runs it. Only for these two. */
#ifndef FTX_RELAY_CONNECTION_H
#define FTX_RELAY_CONNECTION_H

#include "tools/ftx-relay/mask.h"
#include "tools/ftx-relay/queue.h"
#include "tools/ftx-relay/server.h"

#include <libwebsockets.h>

struct ftx_relay {
    const struct ftx_relay_options *options;
    struct ftx_rooms *rooms;
    struct ftx_list connections;
    struct ftx_listener *listener;
    struct lws_context *lws;
    struct lws_vhost *vhost;
    struct ftx_masks *masks;
    uv_timer_t tick, ping;
    struct ftx_connection *opening; /* inside ftx_connection_open */
    uint64_t drained_at_ms;         /* when draining */
};

struct ftx_connection {
    struct ftx_relay *relay;
    struct lws *wsi;
    struct ftx_list link;
    struct ftx_seat seat;
    struct ftx_source source; /* once it has asked for a room: behind a balancer, too */
    uint16_t source_port;     /* 0: not known */
    bool from_proxy;
    bool established; /* it speaks WebSocket */
    bool waiting_due; /* words that are to be said */
    bool paired_due;
    bool ping_due;
    bool pinged;  /* and has not answered */
    bool told;    /* that it is paired */
    bool stopped; /* not read from: its partner's queue is full */
    bool closing; /* a Close goes out once its queue is empty */
    bool close_sent;
    enum lws_close_status close_status;
    struct ftx_mask mask;
    struct ftx_queue out;
};

/* Takes the socket. */
void ftx_connection_open(struct ftx_relay *relay, int fd);

/* Ends it: with a Close frame where that can be. Its place is free at once. */
void ftx_connection_close(struct ftx_connection *connection, enum lws_close_status status);

/* Asks one that waits for a sign of life; who owes the one before is ended. */
void ftx_connection_ping(struct ftx_connection *connection);

/* Refuses the connection that it is of. */
void ftx_connection_unmasked(struct ftx_mask *mask);

int ftx_connection_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                            size_t len);

#endif
