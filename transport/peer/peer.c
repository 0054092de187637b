/* SPDX-License-Identifier: MIT */
/* A link's life: what its connections tell goes to the handshake or to the session, as their place
 * says; its saves; kicks; its end. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/base/err.h"
#include "transport/base/log.h"
#include "transport/peer/peer_internal.h"

/* -- what connections tell -- */

static void on_wants(void *owner, struct ftx_connection *c, enum ftx_handshake_want want)
{
    ftx_peer_handshake_wants(owner, c, want);
}

static void on_heard(void *owner, struct ftx_connection *c)
{
    struct ftx_peer *peer = owner;
    if (c->place == FTX_PLACE_SESSION)
        ftx_engine_heard(&peer->session.engine, c->index, uv_now(peer->node->loop));
}

static void on_record(void *owner, struct ftx_connection *c, const uint8_t *plain, size_t size,
                      void *whole)
{
    struct ftx_peer *peer = owner;
    if (c->place == FTX_PLACE_SESSION)
        ftx_peer_session_record(peer, c, plain, size, whole);
    else
        ftx_peer_handshake_record(peer, c, plain, size, whole);
}

static void on_built(void *owner, struct ftx_connection *c, struct ftx_plan *plan, bool sent)
{
    struct ftx_peer *peer = owner;
    bool packed = sent && plan->packed_before;
    if (packed && peer->host->packed)
        peer->host->packed(peer->ctx, plan->packed_before, plan->packed_after);
    if (c->in_session)
        ftx_engine_built(&peer->session.engine, plan, sent);
    else
        ftx_plan_free(plan);
    if (packed && c->place == FTX_PLACE_SESSION)
        ftx_peer_kick(peer); /* there is more room before the pipe than was thought */
}

static void on_written(void *owner, struct ftx_connection *c, size_t size)
{
    struct ftx_peer *peer = owner;
    if (c->place != FTX_PLACE_SESSION)
        return;
    peer->session.moved_bytes += size;
    peer->session.written_bytes += size;
    ftx_peer_kick(peer);
}

static void on_ended(void *owner, struct ftx_connection *c, int err)
{
    struct ftx_peer *peer = owner;
    if (c->place == FTX_PLACE_SESSION)
        ftx_peer_session_end(peer, err);
    else
        ftx_peer_handshake_ended(peer, c, err);
}

static void on_gone(void *owner, struct ftx_connection *c)
{
    struct ftx_peer *peer = owner;
    ftx_list_remove(&c->node);
    if (c->in_session)
        ftx_peer_session_gone(peer);
    ftx_peer_maybe_free(peer);
}

const struct ftx_connection_events ftx_peer_events = {
    .wants = on_wants,
    .heard = on_heard,
    .record = on_record,
    .built = on_built,
    .written = on_written,
    .ended = on_ended,
    .gone = on_gone,
};

/* Whatever becomes of the link: who looks at it sees that somebody had another code. */
static void judge_guess(struct ftx_peer *peer, struct ftx_connection *c)
{
    bool failed = c->guess_open && !peer->removed;
    c->guess_open = false;
    if (failed && peer->host->guess_failed)
        peer->host->guess_failed(peer->ctx);
}

void ftx_peer_drop(struct ftx_peer *peer, struct ftx_connection *c)
{
    judge_guess(peer, c);
    c->place = FTX_PLACE_OUT;
    c->awaits = 0;
    ftx_peer_try_over(c);
    if (peer->candidate == c)
        peer->candidate = NULL;
    ftx_connection_close(c);
}

/* -- what the host is told, and what it saves -- */

void ftx_peer_tell(struct ftx_peer *peer, enum ftx_peer_health health, const char *address)
{
    if (peer->removed || (peer->health == health && strcmp(peer->health_address, address) == 0))
        return;
    if (peer->health == FTX_PEER_CONNECTED)
        ftx_lan_seek(peer->node->lan);
    peer->health = health;
    snprintf(peer->health_address, sizeof peer->health_address, "%s", address);
    peer->host->health(peer->ctx, health, peer->health_address);
}

/*
 * The identity in memory runs ahead of the disk. That is safe: each save writes all of it, in
 * order, and whoever must not go on before it is durable awaits its token. After a failed save that
 * connection ends, and the next try saves again.
 */
uint64_t ftx_peer_save(struct ftx_peer *peer)
{
    peer->host->save(peer->ctx, peer->identity, ++peer->last_token);
    return peer->last_token;
}

void ftx_peer_burn_code(struct ftx_peer *peer)
{
    peer->identity->stage = FTX_PEER_PAIRED;
    peer->identity->guesses = 0;
    sodium_memzero(peer->identity->code, sizeof peer->identity->code);
}

void ftx_peer_saved(struct ftx_peer *peer, uint64_t token, int err)
{
    if (err)
        ftx_log(FTX_LOG_ERROR, "cannot save a link: %s", ftx_err_text(err));
    for (struct ftx_list *it = peer->connections.next; it != &peer->connections; it = it->next) {
        struct ftx_connection *c = ftx_list_of(it, struct ftx_connection, node);
        if (c->awaits != token)
            continue;
        c->awaits = 0;
        if (err)
            ftx_peer_handshake_ended(peer, c, err);
        else if (c->place == FTX_PLACE_HANDSHAKE)
            ftx_connection_written(c);
        else
            ftx_peer_candidate_saved(peer);
        return;
    }
}

/* -- kicks and back-pressure -- */

void ftx_peer_kick(struct ftx_peer *peer)
{
    if (peer->removed)
        return;
    if (peer->session.state == FTX_SESSION_RUNNING)
        uv_idle_start(&peer->turn, ftx_peer_on_turn);
    else
        ftx_peer_dial_kick(peer);
}

void ftx_peer_hold(struct ftx_peer *peer, size_t bytes)
{
    struct ftx_peer_session *session = &peer->session;
    peer->held_bytes += bytes;
    if (peer->held_bytes < FTX_PEER_HELD_MAX || session->state != FTX_SESSION_RUNNING)
        return;
    for (unsigned i = 0; i < session->n_connections; i++)
        ftx_connection_pause(session->connections[i]);
}

void ftx_peer_release(struct ftx_peer *peer, size_t bytes)
{
    bool paused = peer->held_bytes >= FTX_PEER_HELD_MAX;
    peer->held_bytes -= bytes;
    if (paused && peer->held_bytes < FTX_PEER_HELD_MAX)
        ftx_peer_kick(peer); /* reading goes on there: not inside a call of the application */
}

/* -- life -- */

int ftx_peer_new(struct ftx_node *node, const struct ftx_peer_identity *identity,
                 const struct ftx_peer_host *host, void *ctx, struct ftx_peer **out_peer)
{
    struct ftx_peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        return -ENOMEM;
    peer->identity = sodium_malloc(sizeof *peer->identity);
    if (!peer->identity) {
        free(peer);
        return -ENOMEM;
    }
    *peer->identity = *identity;
    peer->node = node;
    peer->host = host;
    peer->ctx = ctx;
    ftx_list_init(&peer->connections);
    ftx_list_init(&peer->tries);
    uv_idle_init(node->loop, &peer->turn);
    uv_timer_init(node->loop, &peer->retry);
    uv_timer_init(node->loop, &peer->tick);
    uv_timer_init(node->loop, &peer->thaw);
    peer->turn.data = peer;
    peer->retry.data = peer;
    peer->tick.data = peer;
    peer->thaw.data = peer;
    peer->n_handles = 4;
    ftx_list_append(&node->peers, &peer->in_node);
    node->n_peers++;
    for (size_t i = 0; i < node->n_dial; i++)
        ftx_peer_found(peer, FTX_WAY_CONFIGURED, &node->dial[i]);
    for (size_t i = 0; i < node->n_relays; i++)
        ftx_peer_found(peer, FTX_WAY_RELAY, &node->relays[i]);
    ftx_peer_dial_at_once(peer);
    ftx_lan_seek(node->lan);
    *out_peer = peer;
    return 0;
}

void ftx_peer_maybe_free(struct ftx_peer *peer)
{
    if (!peer->removed || peer->n_handles > 0 || peer->n_dials > 0)
        return;
    if (!ftx_list_empty(&peer->connections))
        return;
    struct ftx_node *node = peer->node;
    if (peer->host->gone)
        peer->host->gone(peer->ctx);
    sodium_free(peer->identity);
    free(peer);
    ftx_node_peer_freed(node);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct ftx_peer *peer = handle->data;
    peer->n_handles--;
    ftx_peer_maybe_free(peer);
}

void ftx_peer_remove(struct ftx_peer *peer)
{
    if (peer->removed)
        return;
    peer->removed = true;
    ftx_list_remove(&peer->in_node);
    ftx_peer_dial_cancel(peer);
    ftx_peer_dial_cancel_data(peer);
    if (peer->session.state == FTX_SESSION_RUNNING) {
        ftx_engine_goodbye(&peer->session.engine, FTX_BYE_LEAVING);
        ftx_peer_session_end(peer, 0);
    }
    for (struct ftx_list *it = peer->connections.next; it != &peer->connections; it = it->next) {
        struct ftx_connection *c = ftx_list_of(it, struct ftx_connection, node);
        if (c->place != FTX_PLACE_OUT)
            ftx_peer_drop(peer, c);
    }
    uv_close((uv_handle_t *)&peer->turn, on_handle_closed);
    uv_close((uv_handle_t *)&peer->retry, on_handle_closed);
    uv_close((uv_handle_t *)&peer->tick, on_handle_closed);
    uv_close((uv_handle_t *)&peer->thaw, on_handle_closed);
}
