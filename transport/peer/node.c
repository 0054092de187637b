/* SPDX-License-Identifier: MIT */
/*
 * The node: accepts connections and finds the link whose hint stands in the Hello. Strangers get
 * little: a token bucket for each source, 64 places for connections that have not proven
 * themselves, ten seconds for all of it. When the places are taken the oldest that has not even
 * said a valid Hello goes: an honest dialler says it at once.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "transport/base/err.h"
#include "transport/base/log.h"
#include "transport/peer/peer_internal.h"

enum { PENDING_MAX = 64 };

/* -- connections that no link has claimed -- */

static void on_ended(void *owner, struct ftx_connection *c, int err)
{
    (void)owner;
    ftx_log(FTX_LOG_INFO, "connection from %s ended: %s", c->address, ftx_err_text(err));
    ftx_connection_close(c);
}

/*
 * The link that a Hello is for; one in the opposite role if there is one. Labels are short: codes
 * may share one, and each wrong choice costs both ends a guess. So chance decides: by any fixed
 * order two dialers could miss each other until all is locked.
 */
static struct ftx_peer *find_peer(const struct ftx_node *node, const struct ftx_hello *hello,
                                  struct ftx_handshake_link *out_link)
{
    struct ftx_peer *found = NULL;
    uint32_t n_opposite = 0;
    for (struct ftx_list *it = node->peers.next; it != &node->peers; it = it->next) {
        struct ftx_peer *peer = ftx_list_of(it, struct ftx_peer, in_node);
        struct ftx_handshake_link link;
        if (!ftx_peer_link(peer, hello->mode, &link) || !ftx_hello_matches(hello, &link))
            continue;
        bool opposite = hello->role != peer->identity->role;
        if (opposite ? randombytes_uniform(++n_opposite) == 0 : !found) {
            found = peer;
            *out_link = link;
        }
    }
    return found;
}

static void on_wants(void *owner, struct ftx_connection *c, enum ftx_handshake_want want)
{
    struct ftx_node *node = owner;
    struct ftx_handshake_link link;
    struct ftx_peer *peer = NULL;
    if (want == FTX_WANT_LINK)
        peer = find_peer(node, &c->secret->handshake.peer_hello, &link);
    if (!peer)
        ftx_log(FTX_LOG_INFO, "connection from %s ended: it is for no link of ours", c->address);
    if (!peer || !ftx_peer_accept(peer, c, &link))
        ftx_connection_close(c);
}

static void maybe_free(struct ftx_node *node);

static void on_gone(void *owner, struct ftx_connection *c)
{
    struct ftx_node *node = owner;
    ftx_list_remove(&c->node);
    maybe_free(node);
}

static const struct ftx_connection_events unclaimed_events = {
    .wants = on_wants,
    .ended = on_ended,
    .gone = on_gone,
};

/* Makes room for one more; false: all places are taken by links of ours. */
static bool make_room(struct ftx_node *node)
{
    if (node->n_pending < PENDING_MAX)
        return true;
    for (struct ftx_list *it = node->unclaimed.next; it != &node->unclaimed; it = it->next) {
        struct ftx_connection *c = ftx_list_of(it, struct ftx_connection, node);
        if (c->phase == FTX_CONNECTION_CLOSED)
            continue;
        ftx_log(FTX_LOG_INFO, "connection from %s ended: too many wait", c->address);
        ftx_connection_close(c);
        return true;
    }
    return false;
}

static void on_accepted(void *owner, struct ftx_pipe *pipe)
{
    struct ftx_node *node = owner;
    struct ftx_connection *c;
    if (!ftx_gate_admit(&node->gate, pipe->address, uv_now(node->loop)) || !make_room(node)) {
        ftx_log(FTX_LOG_DEBUG, "connection from %s refused: too many", pipe->address);
        ftx_pipe_close(pipe);
        return;
    }
    int err = ftx_connection_new(node->loop, pipe, &unclaimed_events, node, NULL, &c);
    if (err) {
        ftx_log(FTX_LOG_WARNING, "cannot take a connection: %s", ftx_err_text(err));
        return;
    }
    c->pending = &node->n_pending;
    node->n_pending++;
    ftx_list_append(&node->unclaimed, &c->node);
}

void ftx_node_network_changed(struct ftx_node *node)
{
    ftx_log(FTX_LOG_INFO, "the network has changed");
    ftx_lan_seek(node->lan);
    ftx_portmap_look(node->portmap);
    for (struct ftx_list *it = node->peers.next; it != &node->peers; it = it->next) {
        struct ftx_peer *peer = ftx_list_of(it, struct ftx_peer, in_node);
        ftx_ways_doubt(&peer->ways);
        ftx_peer_dial_cancel(peer);
        ftx_peer_dial_at_once(peer);
        if (peer->session.state == FTX_SESSION_RUNNING && peer->session.connected)
            ftx_peer_session_probe(peer);
    }
}

/* -- life -- */

static void maybe_free(struct ftx_node *node)
{
    if (node->life.data || node->n_peers > 0 || !ftx_list_empty(&node->unclaimed))
        return;
    void (*closed)(void *ctx) = node->closed;
    void *ctx = node->closed_ctx;
    free(node->dial);
    free(node);
    closed(ctx);
}

void ftx_node_peer_freed(struct ftx_node *node)
{
    node->n_peers--;
    maybe_free(node);
}

static void on_life_closed(uv_handle_t *handle)
{
    struct ftx_node *node = handle->data;
    handle->data = NULL;
    maybe_free(node);
}

void ftx_node_stop(struct ftx_node *node, void (*closed)(void *ctx), void *ctx)
{
    node->closed = closed;
    node->closed_ctx = ctx;
    uv_close((uv_handle_t *)&node->life, on_life_closed);
    ftx_lan_stop(node->lan);
    node->lan = NULL;
    ftx_portmap_stop(node->portmap);
    node->portmap = NULL;
    if (node->listener)
        ftx_listener_stop(node->listener);
    node->listener = NULL;
    for (struct ftx_list *it = node->unclaimed.next; it != &node->unclaimed; it = it->next)
        ftx_connection_close(ftx_list_of(it, struct ftx_connection, node));
    while (!ftx_list_empty(&node->peers))
        ftx_peer_remove(ftx_list_of(node->peers.next, struct ftx_peer, in_node));
}

int ftx_node_new(uv_loop_t *loop, const struct ftx_address *listen, const struct ftx_address *dial,
                 size_t n_dial, struct ftx_node **out_node)
{
    int err = -ENOMEM;
    struct ftx_node *node = calloc(1, sizeof *node);
    if (!node)
        return err;
    if (n_dial > 0) {
        node->dial = malloc(n_dial * sizeof *dial);
        if (!node->dial)
            goto fail;
        memcpy(node->dial, dial, n_dial * sizeof *dial);
    }
    node->n_dial = n_dial;
    node->loop = loop;
    ftx_list_init(&node->peers);
    ftx_list_init(&node->unclaimed);
    if (listen) {
        err = ftx_tcp_listen(loop, listen, on_accepted, node, &node->listener);
        if (err)
            goto fail;
        node->port = ftx_listener_port(node->listener);
    }
    uv_timer_init(loop, &node->life);
    node->life.data = node;
    *out_node = node;
    return 0;

fail:
    free(node->dial);
    free(node);
    return err;
}

uint16_t ftx_node_port(const struct ftx_node *node)
{
    return node->port;
}

void ftx_node_set_access(struct ftx_node *node, struct ftx_access *access)
{
    node->access = access;
    if (node->listener)
        ftx_listener_restrict(node->listener, access);
}

int ftx_node_search_lan(struct ftx_node *node, uint16_t port, bool loopback)
{
    return ftx_lan_new(node, port, loopback, &node->lan);
}

void ftx_node_set_data_connections(struct ftx_node *node, unsigned least, unsigned most)
{
    node->most_data = most < FTX_DATA_CONNECTIONS_MAX ? most : FTX_DATA_CONNECTIONS_MAX;
    node->least_data = least < node->most_data ? least : node->most_data;
}

void ftx_node_set_told(struct ftx_node *node, const struct ftx_told_address *told, size_t n)
{
    node->told_set = true;
    node->n_told = n < FTX_ADDRESSES_MAX ? n : FTX_ADDRESSES_MAX;
    memcpy(node->told, told, node->n_told * sizeof *told);
}

void ftx_node_set_compress(struct ftx_node *node, enum ftx_compress_mode mode)
{
    node->compress = mode;
}
