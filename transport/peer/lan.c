/* SPDX-License-Identifier: MIT */
/*
 * Announcing: at once, 1 s, 3 s and 10 s after a link began to be looked for, then once a minute,
 * all such links together; when there is none any more, the groups are left.
 *
 *   seek --timer--> announce --> 1 s --> 2 s --> 7 s --> 60 s --> 60 s ...
 *   a datagram --> parsed --> its source may --> tags compared --> a way to the peer (or: seek)
 *
 * Who does not listen, or on a port of the machine's own services, announces port 0; who recognises
 * that announces itself, and is dialled.
 */
#include "transport/peer/lan.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "transport/base/err.h"
#include "transport/base/log.h"
#include "transport/net/multicast.h"
#include "transport/peer/peer_internal.h"
#include "transport/session/announce.h"

enum {
    APART_MS = 1000,      /* between two announcements, whatever asks for them */
    ASKED_MS = 10 * 1000, /* between two beginnings that others asked for */
    PORT_MIN = 1024, /* an announcement may be anybody's: it sends us to no service of a machine */
    DATAGRAMS_MAX = 16, /* of one announcement: no end hears more of a source at once */
};

static const unsigned gap_s[] = {1, 2, 7, 60};
enum { N_GAPS = sizeof gap_s / sizeof *gap_s };

struct ftx_lan {
    struct ftx_node *node;
    uint16_t port;
    bool loopback;
    struct ftx_multicast *multicast; /* NULL: nothing is looked for, or it failed */
    int err;                         /* why; a repeat is not news */
    uv_timer_t timer;
    unsigned n_said;      /* announcements since the beginning */
    uint64_t said_ms;     /* the last one; 0: never */
    uint64_t asked_ms;    /* the last beginning that another asked for */
    struct ftx_gate gate; /* of datagrams */
};

static bool is_sought(const struct ftx_peer *peer, enum ftx_mode mode,
                      struct ftx_handshake_link *out_link)
{
    return peer->health != FTX_PEER_CONNECTED && ftx_peer_link(peer, mode, out_link);
}

static struct ftx_peer *peer_at(struct ftx_list *node)
{
    return ftx_list_of(node, struct ftx_peer, in_node);
}

static bool any_is_sought(const struct ftx_node *node)
{
    struct ftx_handshake_link link;
    for (struct ftx_list *it = node->peers.next; it != &node->peers; it = it->next)
        if (is_sought(peer_at(it), FTX_MODE_PAIR, &link) ||
            is_sought(peer_at(it), FTX_MODE_RESUME, &link))
            return true;
    return false;
}

/* -- announcing -- */

static void any_bytes(void *ctx, void *out, size_t size)
{
    (void)ctx;
    randombytes_buf(out, size);
}

struct announcement {
    struct ftx_lan *lan;
    bool reachable;
    unsigned n; /* datagrams that were begun */
    struct ftx_announcing datagram;
};

static uint16_t port_of(const struct announcement *a)
{
    uint16_t port = a->lan->node->port;
    return a->reachable && port >= PORT_MIN ? port : 0;
}

static void send_datagram(struct announcement *a)
{
    if (a->n > 0)
        ftx_multicast_send(a->lan->multicast, a->reachable, a->datagram.bytes,
                           sizeof a->datagram.bytes);
}

static void add(struct announcement *a, const struct ftx_handshake_link *link)
{
    if (a->n > 0 && ftx_announce_add(&a->datagram, link))
        return;
    if (a->n == DATAGRAMS_MAX)
        return; /* it finds others, and is not found */
    send_datagram(a);
    ftx_announce_begin(&a->datagram, port_of(a), any_bytes, NULL);
    a->n++;
    ftx_announce_add(&a->datagram, link);
}

/* Through all interfaces where we can be connected to, or all where we cannot. */
static void announce(struct ftx_lan *lan, bool reachable)
{
    struct announcement a = {.lan = lan, .reachable = reachable};
    struct ftx_list *end = &lan->node->peers;
    struct ftx_handshake_link link;
    if (!ftx_multicast_has(lan->multicast, reachable))
        return;
    for (struct ftx_list *it = end->next; it != end; it = it->next) {
        if (is_sought(peer_at(it), FTX_MODE_RESUME, &link))
            add(&a, &link);
        if (is_sought(peer_at(it), FTX_MODE_PAIR, &link))
            add(&a, &link);
    }
    send_datagram(&a);
}

static int join(struct ftx_lan *lan);

static void leave(struct ftx_lan *lan)
{
    if (lan->multicast)
        ftx_multicast_stop(lan->multicast);
    lan->multicast = NULL;
}

static void on_timer(uv_timer_t *timer)
{
    struct ftx_lan *lan = timer->data;
    if (!any_is_sought(lan->node)) {
        leave(lan);
        return;
    }
    if (lan->multicast)
        ftx_multicast_look(lan->multicast);
    if (lan->multicast || !join(lan)) {
        announce(lan, true);
        announce(lan, false);
    }
    unsigned gap = lan->n_said < N_GAPS ? lan->n_said : N_GAPS - 1;
    uint64_t ms = 1000 * (uint64_t)gap_s[gap];
    if (gap == N_GAPS - 1)
        ms += randombytes_uniform((uint32_t)ms /
                                  5); /* machines that start together do not keep step */
    lan->n_said++;
    lan->said_ms = uv_now(lan->node->loop);
    uv_timer_start(&lan->timer, on_timer, ms, 0);
}

void ftx_lan_seek(struct ftx_lan *lan)
{
    if (!lan)
        return;
    uint64_t now_ms = uv_now(lan->node->loop);
    uint64_t age_ms = now_ms - lan->said_ms;
    lan->n_said = 0;
    uv_timer_start(&lan->timer, on_timer, lan->said_ms && age_ms < APART_MS ? APART_MS - age_ms : 0,
                   0);
}

/* -- what others announce -- */

/* Where the sender of a datagram takes connections; false: not to be said as an address. */
static bool address_of(const struct sockaddr *source, uint16_t port, struct ftx_address *out)
{
    socklen_t size =
        source->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    out->port = port;
    return getnameinfo(source, size, out->host, sizeof out->host, NULL, 0, NI_NUMERICHOST) == 0;
}

static bool admits(struct ftx_lan *lan, const struct sockaddr *source,
                   const struct ftx_address *address)
{
    struct ftx_node *node = lan->node;
    char text[sizeof address->host + 2];
    snprintf(text, sizeof text, source->sa_family == AF_INET6 ? "[%s]" : "%s:", address->host);
    return (!node->access || ftx_access_allows(node->access, source)) &&
           ftx_gate_admit(&lan->gate, text, uv_now(node->loop));
}

/* The other end of the link asks to be announced to, or can be dialled. */
static void recognised(struct ftx_peer *peer, const struct ftx_address *address)
{
    struct ftx_lan *lan = peer->node->lan;
    uint64_t now_ms = uv_now(peer->node->loop);
    if (address->port) {
        ftx_peer_found(peer, FTX_WAY_LAN, address);
    } else if (!lan->asked_ms || now_ms - lan->asked_ms >= ASKED_MS) {
        lan->asked_ms = now_ms;
        ftx_lan_seek(lan);
    }
}

static void on_received(void *owner, const uint8_t *bytes, size_t size,
                        const struct sockaddr *source)
{
    struct ftx_lan *lan = owner;
    struct ftx_announce announce;
    struct ftx_address address;
    struct ftx_handshake_link link;
    if (ftx_announce_parse(&announce, bytes, size) || (announce.port && announce.port < PORT_MIN) ||
        !address_of(source, announce.port, &address) || !admits(lan, source, &address))
        return;
    struct ftx_list *end = &lan->node->peers;
    for (struct ftx_list *it = end->next; it != end; it = it->next)
        for (int mode = FTX_MODE_PAIR; mode <= FTX_MODE_RESUME; mode++)
            if (is_sought(peer_at(it), (enum ftx_mode)mode, &link) &&
                ftx_announce_matches(&announce, &link))
                recognised(peer_at(it), &address);
}

static bool on_reachable(void *owner, const struct sockaddr *own)
{
    struct ftx_lan *lan = owner;
    return lan->node->listener && ftx_listener_covers(lan->node->listener, own);
}

static const struct ftx_multicast_host multicast_host = {
    .received = on_received,
    .reachable = on_reachable,
};

/* -- life -- */

static int join(struct ftx_lan *lan)
{
    int err = ftx_multicast_start(lan->node->loop, lan->port, lan->loopback, &multicast_host, lan,
                                  &lan->multicast);
    if (err && err != lan->err)
        ftx_log(FTX_LOG_WARNING, "no search on the local network: UDP port %u: %s", lan->port,
                ftx_err_text(err));
    lan->err = err;
    return err;
}

int ftx_lan_new(struct ftx_node *node, uint16_t port, bool loopback, struct ftx_lan **out_lan)
{
    struct ftx_lan *lan = calloc(1, sizeof *lan);
    if (!lan)
        return -ENOMEM;
    lan->node = node;
    lan->port = port;
    lan->loopback = loopback;
    uv_timer_init(node->loop, &lan->timer);
    lan->timer.data = lan;
    *out_lan = lan;
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void ftx_lan_stop(struct ftx_lan *lan)
{
    if (!lan)
        return;
    leave(lan);
    uv_close((uv_handle_t *)&lan->timer, on_timer_closed);
}
