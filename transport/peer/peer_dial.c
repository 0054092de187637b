/* SPDX-License-Identifier: MIT */
/*
 * When a link dials. A round tries each address in turn, then the link rests: 1 2 4 8 16 32 60 s,
 * but never above 4 s while it has work, and up to a fifth more or less, so that two ends that
 * refused each other do not meet again in step. Nothing is dialled while a handshake is under way,
 * whoever began it.
 *
 *   rest --timer, kick--> round: connect -> attempt (handshake) -> fails: next address .. last: rest
 */
#include <sodium.h>

#include "transport/base/err.h"
#include "transport/base/log.h"
#include "transport/peer/peer_internal.h"

enum { KICK_MS = 1000 /* a kick ends a rest of this age */ };

static const unsigned rest_s[] = {1, 2, 4, 8, 16, 32, 60};
enum { N_RESTS = sizeof rest_s / sizeof *rest_s, N_BUSY_RESTS = 3 };

/* The mode of the next handshake; false: the code is locked, or gone. */
static bool choose_mode(const struct ftx_peer *peer, struct ftx_handshake_link *out_link)
{
    bool pair_first = peer->identity->stage == FTX_PEER_ENROLLED && peer->round % 2 == 1;
    if (pair_first && ftx_peer_link(peer, FTX_MODE_PAIR, out_link))
        return true;
    return ftx_peer_link(peer, FTX_MODE_RESUME, out_link) ||
           ftx_peer_link(peer, FTX_MODE_PAIR, out_link);
}

static bool may_dial(const struct ftx_peer *peer)
{
    struct ftx_handshake_link link;
    return !peer->removed && peer->node->n_dial > 0 && !peer->dial && !peer->candidate &&
           peer->session.state == FTX_SESSION_NONE && !ftx_peer_in_handshake(peer) &&
           choose_mode(peer, &link);
}

static void log_failure(struct ftx_peer *peer, const struct ftx_address *address, int err)
{
    ftx_log(err == peer->dial_err ? FTX_LOG_DEBUG : FTX_LOG_INFO,
            "cannot connect to %s port %u: %s", address->host, address->port, ftx_err_text(err));
    peer->dial_err = err;
}

static void on_dialled(void *owner, int err, struct ftx_pipe *pipe)
{
    struct ftx_peer *peer = owner;
    peer->n_dials--;
    if (err == UV_ECANCELED) {
        ftx_peer_maybe_free(peer);
        return;
    }
    bool data = peer->dial_data;
    struct ftx_handshake_link link;
    struct ftx_connection *c;
    peer->dial = NULL;
    if (err) {
        log_failure(peer, &peer->node->dial[peer->address], err);
        ftx_peer_dial_failed(peer, data);
        return;
    }
    if (data ? !ftx_peer_link(peer, FTX_MODE_RESUME, &link) : !choose_mode(peer, &link)) {
        ftx_pipe_close(pipe);
        return;
    }
    err = ftx_connection_new(peer->node->loop, pipe, &ftx_peer_events, peer, &link, &c);
    if (err) {
        log_failure(peer, &peer->node->dial[peer->address], err);
        ftx_peer_dial_failed(peer, data);
        return;
    }
    c->data = data;
    ftx_list_append(&peer->connections, &c->node);
    peer->attempt = c;
}

static int dial_address(struct ftx_peer *peer, bool data)
{
    int err = ftx_tcp_dial(peer->node->loop, &peer->node->dial[peer->address], on_dialled, peer,
                           &peer->dial);
    if (err) {
        log_failure(peer, &peer->node->dial[peer->address], err);
        return err;
    }
    peer->dial_data = data;
    peer->n_dials++;
    return 0;
}

static void on_retry(uv_timer_t *retry)
{
    struct ftx_peer *peer = retry->data;
    if (!may_dial(peer))
        return; /* the end of what is under way makes it rest again */
    peer->tried = 0;
    if (dial_address(peer, false))
        ftx_peer_dial_failed(peer, false);
}

void ftx_peer_dial_failed(struct ftx_peer *peer, bool data)
{
    if (data) {
        peer->session.no_more_data = true;
        return;
    }
    while (++peer->tried < peer->node->n_dial && may_dial(peer)) {
        peer->address = (peer->address + 1) % peer->node->n_dial;
        if (!dial_address(peer, false))
            return;
    }
    peer->round++;
    ftx_peer_rest(peer);
}

static void rest_for(struct ftx_peer *peer, uint64_t ms)
{
    peer->rest_until_ms = uv_now(peer->node->loop) + ms;
    uv_timer_start(&peer->retry, on_retry, ms, 0);
}

void ftx_peer_rest(struct ftx_peer *peer)
{
    if (!may_dial(peer) || uv_is_active((uv_handle_t *)&peer->retry))
        return;
    unsigned longest = (peer->host->busy(peer->ctx) ? N_BUSY_RESTS : N_RESTS) - 1;
    uint64_t ms = 1000 * (uint64_t)rest_s[peer->rests < longest ? peer->rests : longest];
    ms += randombytes_uniform((uint32_t)(ms * 2 / 5)) - ms / 5;
    peer->rests++;
    peer->rest_since_ms = uv_now(peer->node->loop);
    rest_for(peer, ms);
}

void ftx_peer_dial_at_once(struct ftx_peer *peer)
{
    peer->rests = 0;
    peer->round = 0;
    peer->rest_since_ms = uv_now(peer->node->loop);
    rest_for(peer, 0);
}

void ftx_peer_dial_kick(struct ftx_peer *peer)
{
    if (!uv_is_active((uv_handle_t *)&peer->retry))
        return;
    uint64_t now_ms = uv_now(peer->node->loop);
    uint64_t age_ms = now_ms - peer->rest_since_ms;
    uint64_t wait_ms = age_ms < KICK_MS ? KICK_MS - age_ms : 0;
    if (now_ms + wait_ms < peer->rest_until_ms)
        rest_for(peer, wait_ms);
}

void ftx_peer_dial_data(struct ftx_peer *peer)
{
    const struct ftx_peer_session *session = &peer->session;
    if (peer->removed || peer->identity->role != FTX_ROLE_S || peer->node->n_dial == 0 ||
        session->no_more_data || session->n_connections > peer->node->most_data || peer->dial ||
        peer->attempt)
        return;
    if (dial_address(peer, true))
        ftx_peer_dial_failed(peer, true);
}

void ftx_peer_dial_cancel(struct ftx_peer *peer)
{
    uv_timer_stop(&peer->retry);
    if (peer->dial)
        ftx_dial_cancel(peer->dial);
    peer->dial = NULL;
}
