/* SPDX-License-Identifier: MIT */
/*
 * Where an end can be dialled, told inside a session that exists already. A peer must not be able
 * to make us look for it where we would not go ourselves: few addresses, ports that anybody may
 * listen on, nothing on this machine unless the peer is on it, and no more rounds than our own
 * back-off makes (docs/protocol.md 6.13).
 */
#include <string.h>

#include "transport/base/log.h"
#include "transport/peer/peer_internal.h"

enum {
    PORT_MIN = 1024,       /* below listen a machine's own services */
    TAKE_MS = 1000,        /* between two looks at what a peer tells */
    TOLD_MS = 30 * 1000,   /* between two rounds at once for the sake of what a peer tells */
    KEEP_MS = 3600 * 1000, /* until the same addresses are kept anew */
};

void ftx_node_look(struct ftx_node *node)
{
    struct ftx_ip ips[FTX_ADDRESSES_MAX];
    if (node->told_set || !node->listener)
        return;
    size_t n = ftx_listener_ips(node->listener, ips, FTX_ADDRESSES_MAX);
    node->n_told = 0;
    if (node->outside.port)
        node->told[node->n_told++] = node->outside;
    if (node->seen.port)
        node->told[node->n_told++] = node->seen;
    for (size_t i = 0; i < n && node->n_told < FTX_ADDRESSES_MAX; i++) {
        if (!ftx_ip_is_host(&ips[i]))
            continue; /* who listens on loopback is reached through something else */
        struct ftx_told_address *told = &node->told[node->n_told++];
        memcpy(told->address, ips[i].bytes, sizeof ips[i].bytes);
        told->port = node->port;
    }
}

void ftx_peer_tell_addresses(struct ftx_peer *peer)
{
    struct ftx_node *node = peer->node;
    ftx_node_look(node);
    if (ftx_engine_tell_addresses(&peer->session.engine, node->told, node->n_told))
        ftx_log(FTX_LOG_WARNING, "cannot tell a peer where we are: out of memory");
}

static bool equal(const struct ftx_told_address *a, const struct ftx_told_address *b)
{
    return a->port == b->port && memcmp(a->address, b->address, sizeof a->address) == 0;
}

static bool is_ours(const struct ftx_node *node, const struct ftx_told_address *told)
{
    for (size_t i = 0; i < node->n_told; i++)
        if (equal(&node->told[i], told))
            return true;
    return false;
}

/* All sessions that run. */
static void tell_all(struct ftx_node *node)
{
    for (struct ftx_list *it = node->peers.next; it != &node->peers; it = it->next) {
        struct ftx_peer *peer = ftx_list_of(it, struct ftx_peer, in_node);
        if (peer->session.state != FTX_SESSION_RUNNING || !peer->session.connected)
            continue;
        ftx_peer_tell_addresses(peer);
        ftx_peer_kick(peer);
    }
}

static void on_mapped(void *owner, const struct ftx_ip *external, uint16_t port)
{
    struct ftx_node *node = owner;
    node->outside = (struct ftx_told_address){0};
    if (external && ftx_ip_is_host(external)) {
        memcpy(node->outside.address, external->bytes, sizeof external->bytes);
        node->outside.port = port;
    }
    tell_all(node);
}

void ftx_node_seen(struct ftx_node *node, const struct ftx_ip *ip, uint16_t port)
{
    struct ftx_told_address seen = {.port = port};
    bool was_seen = node->seen.port;
    memcpy(seen.address, ip->bytes, sizeof ip->bytes);
    if (!ftx_ip_is_host(ip) || port < PORT_MIN || equal(&seen, &node->seen))
        return;
    node->seen = (struct ftx_told_address){0};
    ftx_node_look(node);
    if (!is_ours(node, &seen)) {
        char text[FTX_IP_TEXT];
        ftx_ip_text(ip, text);
        ftx_log(FTX_LOG_INFO, "from outside our port is port %u of %s", port, text);
        node->seen = seen;
    } else if (!was_seen) {
        return; /* no NAT is between, and none was */
    }
    tell_all(node);
}

int ftx_node_map_port(struct ftx_node *node)
{
    if (!node->listener || ftx_listener_is_loopback(node->listener))
        return 0;
    return ftx_portmap_start(node->loop, node->port, on_mapped, node, &node->portmap);
}

static bool ip_of_text(const char *text, struct ftx_ip *out)
{
    struct ftx_address address;
    return ftx_address_parse(text, &address) == 0 && ftx_ip_parse(address.host, out);
}

enum ftx_path ftx_address_path(const char *address)
{
    struct ftx_ip ip;
    return ip_of_text(address, &ip) && ftx_ip_is_near(&ip) ? FTX_PATH_LAN : FTX_PATH_DIRECT;
}

static bool acceptable(const struct ftx_peer *peer, const struct ftx_told_address *told)
{
    struct ftx_ip ip, at;
    memcpy(ip.bytes, told->address, sizeof ip.bytes);
    if (told->port < PORT_MIN || is_ours(peer->node, told))
        return false;
    return ftx_ip_is_host(&ip) ||
           (ftx_ip_is_loopback(&ip) && ip_of_text(peer->session.connections[0]->address, &at) &&
            ftx_ip_is_loopback(&at));
}

/* As a way; true: a new one. */
static bool hear(struct ftx_peer *peer, const struct ftx_told_address *told, uint64_t when_ms)
{
    struct ftx_way way = {.kind = FTX_WAY_TOLD, .found_ms = when_ms};
    struct ftx_ip ip;
    memcpy(ip.bytes, told->address, sizeof ip.bytes);
    ftx_ip_text(&ip, way.address.host);
    way.address.port = told->port;
    way.path = ftx_ip_is_near(&ip) ? FTX_PATH_LAN : FTX_PATH_DIRECT;
    return ftx_ways_add(&peer->ways, &way);
}

static void keep(struct ftx_peer *peer, const struct ftx_told_address *told, size_t n)
{
    uint64_t now_ms = uv_now(peer->node->loop);
    bool same = n == peer->n_kept;
    for (size_t i = 0; i < n && same; i++)
        same = equal(&told[i], &peer->kept[i]);
    if (!peer->host->told || (same && peer->kept_ms && now_ms - peer->kept_ms < KEEP_MS))
        return;
    memmove(peer->kept, told, n * sizeof *told);
    peer->n_kept = n;
    peer->kept_ms = now_ms;
    peer->host->told(peer->ctx, peer->kept, n);
}

void ftx_peer_keep_addresses(struct ftx_peer *peer)
{
    ftx_ways_heard(&peer->ways, FTX_WAY_TOLD, uv_now(peer->node->loop));
    if (peer->kept_ms)
        keep(peer, peer->kept, peer->n_kept);
}

void ftx_peer_recall(struct ftx_peer *peer, const struct ftx_told_address *told, size_t n,
                     uint64_t age_ms)
{
    uint64_t now_ms = uv_now(peer->node->loop);
    if (age_ms >= FTX_WAY_TOLD_MS)
        return;
    for (size_t i = 0; i < n && i < FTX_ADDRESSES_MAX; i++)
        (void)hear(peer, &told[i], now_ms > age_ms ? now_ms - age_ms : 0);
    ftx_peer_dial_at_once(peer);
}

void ftx_peer_take_addresses(struct ftx_peer *peer)
{
    struct ftx_told_address taken[FTX_ADDRESSES_MAX];
    struct ftx_engine *engine = &peer->session.engine;
    uint64_t now_ms = uv_now(peer->node->loop);
    bool news = false;
    size_t n = 0;
    if (now_ms < peer->told_next_ms)
        return; /* later, then: it may talk as much as it likes */
    peer->told_next_ms = now_ms + TAKE_MS;
    engine->told_news = false;
    for (size_t i = 0; i < engine->n_told; i++)
        if (acceptable(peer, &engine->told[i]))
            taken[n++] = engine->told[i];
    for (size_t i = 0; i < n; i++)
        news = hear(peer, &taken[i], now_ms) || news;
    ftx_ways_forget(&peer->ways, FTX_WAY_TOLD, now_ms);
    keep(peer, taken, n);
    if (news && (!peer->told_ms || now_ms - peer->told_ms >= TOLD_MS)) {
        peer->told_ms = now_ms;
        peer->insists = true;
        ftx_peer_dial_at_once(peer);
    } else {
        ftx_peer_rest(peer);
    }
}
