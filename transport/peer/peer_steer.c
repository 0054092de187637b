/* SPDX-License-Identifier: MIT */
/* What the owner says to a link: pause, dial now, begin the guesses anew, not so fast. */
#include "transport/peer/peer_internal.h"

void ftx_peer_pause(struct ftx_peer *peer, bool paused)
{
    if (peer->removed || peer->paused == paused)
        return;
    peer->paused = paused;
    if (!paused) {
        ftx_peer_dial_at_once(peer);
        return;
    }
    ftx_peer_dial_cancel(peer);
    if (peer->session.state == FTX_SESSION_RUNNING) {
        ftx_engine_goodbye(&peer->session.engine, FTX_BYE_LEAVING);
        ftx_peer_session_end(peer, 0);
    }
    for (struct ftx_list *it = peer->connections.next; it != &peer->connections; it = it->next) {
        struct ftx_connection *c = ftx_list_of(it, struct ftx_connection, node);
        if (c->place != FTX_PLACE_OUT)
            ftx_peer_drop(peer, c);
    }
}

/* What is being connected begins anew too: the next SYN of its own may be seconds away. */
void ftx_peer_dial_now(struct ftx_peer *peer)
{
    if (peer->removed || peer->session.state != FTX_SESSION_NONE)
        return;
    ftx_peer_dial_cancel(peer);
    ftx_peer_dial_at_once(peer);
}

void ftx_peer_rearm(struct ftx_peer *peer)
{
    if (peer->identity->stage != FTX_PEER_PAIRED)
        peer->identity->guesses = 0;
}

void ftx_peer_limit(struct ftx_peer *peer, uint64_t send, uint64_t receive)
{
    uint64_t now_ms = uv_now(peer->node->loop);
    ftx_limit_set(&peer->limits.send, send, now_ms);
    ftx_limit_set(&peer->limits.receive, receive, now_ms);
    ftx_peer_kick(peer);
}

void ftx_node_limit(struct ftx_node *node, uint64_t send, uint64_t receive)
{
    uint64_t now_ms = uv_now(node->loop);
    ftx_limit_set(&node->limits.send, send, now_ms);
    ftx_limit_set(&node->limits.receive, receive, now_ms);
    for (struct ftx_list *it = node->peers.next; it != &node->peers; it = it->next)
        ftx_peer_kick(ftx_list_of(it, struct ftx_peer, in_node));
}

static void on_thaw(uv_timer_t *timer)
{
    ftx_peer_kick(timer->data);
}

/* Comes back when the longer of the two waits is over. True: there is none. */
static bool may(struct ftx_peer *peer, uint64_t own_ms, uint64_t all_ms)
{
    uint64_t wait_ms = own_ms > all_ms ? own_ms : all_ms;
    if (wait_ms && !uv_is_active((uv_handle_t *)&peer->thaw))
        uv_timer_start(&peer->thaw, on_thaw, wait_ms, 0);
    return wait_ms == 0;
}

bool ftx_peer_may_send(struct ftx_peer *peer)
{
    uint64_t now_ms = uv_now(peer->node->loop);
    return may(peer, ftx_limit_wait_ms(&peer->limits.send, now_ms),
               ftx_limit_wait_ms(&peer->node->limits.send, now_ms));
}

void ftx_peer_sends(struct ftx_peer *peer, uint64_t bytes)
{
    ftx_limit_take(&peer->limits.send, bytes);
    ftx_limit_take(&peer->node->limits.send, bytes);
}

bool ftx_peer_may_receive(struct ftx_peer *peer)
{
    uint64_t now_ms = uv_now(peer->node->loop);
    return may(peer, ftx_limit_wait_ms(&peer->limits.receive, now_ms),
               ftx_limit_wait_ms(&peer->node->limits.receive, now_ms));
}

void ftx_peer_receives(struct ftx_peer *peer, uint64_t bytes)
{
    const struct ftx_peer_session *session = &peer->session;
    ftx_limit_take(&peer->limits.receive, bytes);
    ftx_limit_take(&peer->node->limits.receive, bytes);
    if (session->state == FTX_SESSION_RUNNING && !ftx_peer_may_receive(peer))
        for (unsigned i = 0; i < session->n_connections; i++)
            ftx_connection_pause(session->connections[i]);
}
