/* SPDX-License-Identifier: MIT */
/*
 * A byte pipe through a relay: WebSocket over TCP or TLS, where wanted through an HTTP proxy
 * (docs/relay.md). Loop thread only.
 */
#ifndef FTX_NET_WEBSOCKET_H
#define FTX_NET_WEBSOCKET_H

#include "transport/net/tcp.h"

#include <uv.h>

struct ftx_websocket_target {
    const char *url;                 /* ws://HOST[:PORT][/PREFIX] or wss://... */
    const char *room;                /* 1 to 64 of [a-z0-9-] */
    char role;                       /* 's' or 'r' */
    const char *token;               /* what the relay asks for, visible ASCII, or NULL */
    const char *ca_file;             /* PEM that wss:// trusts; NULL: the system's */
    const struct ftx_listener *from; /* as ftx_dial_from, or NULL */
};

/* -EINVAL if `url` is none that ftx_websocket_dial takes, if it tells more than a host. Pure. */
int ftx_websocket_check_url(const char *url);

struct ftx_websocket_events {
    /* The port of `from` is this one where the relay is, as it says; at most once, before
     * `waiting`. One on the internet is not heard about private addresses. May be NULL. */
    void (*seen)(void *owner, const struct ftx_ip *ip, uint16_t port);
    /* The relay has let us into the room and the other end is not there yet; at most once. */
    void (*waiting)(void *owner);
    /*
     * Exactly once: the other end is there, with a pipe that the callee owns; or an error and NULL:
     *   UV_EACCES       the relay wants a token, or another one, or nobody from here
     *   UV_EBUSY        this role of the room is taken
     *   UV_EAGAIN       too many joins or rooms, or the relay drains; once `waiting` was told: it let
     *                   go of us, dial again at once, for the other end may be sent to another relay
     *   FTX_EAUTH       its certificate is not for this host, or from nobody we trust
     *   FTX_EPROTO      it is no relay, or not an honest one
     *   UV_ECANCELED and what the network says
     */
    ftx_dialled_fn dialled;
};

/*
 * Goes to the relay (20 s in all) and waits in the room for the other end, for as long as the relay
 * shows that it lives. Proxies are those of https_proxy (wss://), http_proxy (ws://) and no_proxy.
 * What is told never comes inside a call. Until `dialled`, *out_dial may be cancelled. `target` is
 * read here only, `events` is kept. -EINVAL, -ENOMEM, -ENOENT (ca_file), or what the resolver says
 * of a malformed host: then nothing is told.
 */
struct ftx_websocket;
int ftx_websocket_dial(uv_loop_t *loop, const struct ftx_websocket_target *target,
                       const struct ftx_websocket_events *events, void *owner,
                       struct ftx_websocket **out_dial);
void ftx_websocket_cancel(struct ftx_websocket *dial);

#endif
