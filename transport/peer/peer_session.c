/* SPDX-License-Identifier: MIT */
/*
 * From a proven connection to a running engine, and to its end.
 *
 *   nominate -> [old session ends] -> save (S: a new number; the first time: PAIRED)
 *            -> host prepares -> RUNNING
 *   any connection ends, GOODBYE, silence -> CLOSING: the connections go, workers give plans back
 *            -> engine closed, host->end -> NONE
 *
 * One turn of the loop pulls once, however many kicks it saw.
 */
#include <errno.h>
#include <string.h>

#include "transport/base/err.h"
#include "transport/base/log.h"
#include "transport/peer/peer_internal.h"

enum {
    GOOD_SESSION_MS =
        10 * 1000, /* a session that lived that long, or moved that much, was a good one */
    GOOD_SESSION_BYTES = 256, /* more than both ends say before content */
};

static uint64_t now_ms(const struct ftx_peer *peer)
{
    return uv_now(peer->node->loop);
}

/* -- the candidate -- */

static void prepare(struct ftx_peer *peer)
{
    if (peer->asked)
        return; /* for one whose connection broke: the answer will do */
    peer->asked = true;
    peer->host->prepare(peer->ctx);
}

/* No session runs: the candidate's may be made. */
static void begin_candidate(struct ftx_peer *peer)
{
    bool first = peer->identity->stage != FTX_PEER_PAIRED;
    if (first)
        ftx_peer_burn_code(peer);
    if (peer->identity->role == FTX_ROLE_S)
        peer->identity->session += 1 + peer->jump;
    if (first || peer->identity->role == FTX_ROLE_S)
        peer->candidate->awaits = ftx_peer_save(peer);
    else
        prepare(peer);
}

void ftx_peer_candidate_saved(struct ftx_peer *peer)
{
    prepare(peer);
}

void ftx_peer_nominate(struct ftx_peer *peer, struct ftx_connection *c)
{
    c->place = FTX_PLACE_CANDIDATE;
    ftx_connection_settle(c);
    ftx_connection_pause(c);
    ftx_peer_dial_cancel(peer);
    for (struct ftx_list *it = peer->connections.next; it != &peer->connections; it = it->next) {
        struct ftx_connection *other = ftx_list_of(it, struct ftx_connection, node);
        if (other != c && (other->place == FTX_PLACE_HANDSHAKE || other == peer->candidate))
            ftx_peer_drop(peer, other);
    }
    ftx_peer_try_over(c);
    peer->candidate = c;
    if (peer->session.state == FTX_SESSION_NONE)
        begin_candidate(peer);
    else
        ftx_peer_session_end(peer, FTX_EREPLACED);
}

/* -- the session -- */

static void add_connection(struct ftx_peer *peer, struct ftx_connection *c, unsigned index)
{
    c->place = FTX_PLACE_SESSION;
    c->in_session = true;
    c->index = index;
    ftx_compress_init(&c->compress, peer->node->compress);
    if (index > 0)
        ftx_compress_follow(&c->compress, &peer->session.connections[0]->compress);
    peer->session.connections[index] = c;
    peer->session.n_connections++;
    peer->session.n_left++;
    for (unsigned i = 0; i < peer->session.n_connections; i++)
        peer->session.connections[i]->compress.connections = peer->session.n_connections;
}

/* Both ends have said START. */
static void connected(struct ftx_peer *peer)
{
    struct ftx_peer_session *session = &peer->session;
    session->connected = true;
    peer->jump = 0;
    peer->dial_err = 0;
    struct ftx_way *way = ftx_ways_find(&peer->ways, &session->connections[0]->way.address);
    if (way)
        way->proven = true;
    peer->upgrades = 0;
    if (peer->identity->role == FTX_ROLE_R) {
        peer->identity->session = session->engine.session;
        ftx_peer_save(peer);
    }
    ftx_log(FTX_LOG_INFO, "connected to %s (%s)", session->connections[0]->address,
            ftx_path_text(session->connections[0]->way.path));
    ftx_peer_tell(peer, FTX_PEER_CONNECTED, session->connections[0]->address);
    ftx_peer_tell_addresses(peer);
    ftx_peer_rest(peer); /* perhaps there is a better way */
}

/* The engine was called: is there news of its state? False: the session no longer runs. */
static bool look_at_engine(struct ftx_peer *peer)
{
    struct ftx_peer_session *session = &peer->session;
    if (session->state != FTX_SESSION_RUNNING)
        return false;
    if (session->engine.state == FTX_ENGINE_RUNNING && !session->connected)
        connected(peer);
    if (session->engine.state == FTX_ENGINE_ENDED)
        ftx_peer_session_end(peer, session->engine.end_reason);
    else if (session->engine.told_news)
        ftx_peer_take_addresses(peer);
    return session->state == FTX_SESSION_RUNNING;
}

static void take_record(struct ftx_peer *peer, struct ftx_connection *c, const uint8_t *plain,
                        size_t size, void *whole)
{
    struct ftx_peer_session *session = &peer->session;
    session->moved_bytes += size;
    ftx_peer_receives(peer, size);
    (void)ftx_engine_receive(&session->engine, c->index, plain, size, whole, now_ms(peer));
    if (look_at_engine(peer))
        ftx_peer_kick(peer);
}

/* Tells the engine the time, and again when it wants that. */
static void start_tick(struct ftx_peer *peer)
{
    uint64_t now = now_ms(peer);
    uint64_t next = ftx_engine_tick(&peer->session.engine, now);
    uv_timer_start(&peer->tick, ftx_peer_on_tick, next - now, 0);
}

void ftx_peer_ready(struct ftx_peer *peer, uint64_t op_seen)
{
    struct ftx_peer_session *session = &peer->session;
    struct ftx_connection *c = peer->candidate;
    peer->asked = false;
    if (peer->removed || !c || c->awaits || session->state != FTX_SESSION_NONE)
        return; /* its connection is gone; a later one asks again */
    peer->candidate = NULL;
    memset(session, 0, sizeof *session);
    int err = ftx_engine_init(&session->engine, peer->host->app, peer->ctx, peer->identity->role,
                              peer->identity->session, op_seen, now_ms(peer));
    if (err) {
        ftx_peer_handshake_ended(peer, c, err);
        return;
    }
    session->state = FTX_SESSION_RUNNING;
    session->began_ms = now_ms(peer);
    add_connection(peer, c, 0);
    peer->host->begin(peer->ctx, &session->engine);
    start_tick(peer);
    if (c->first.whole) {
        void *whole = c->first.whole;
        c->first.whole = NULL;
        take_record(peer, c, c->first.plain, c->first.size, whole);
    }
    ftx_peer_kick(peer);
}

bool ftx_peer_session_join(struct ftx_peer *peer, struct ftx_connection *c)
{
    struct ftx_peer_session *session = &peer->session;
    int index = -ENOTCONN;
    if (session->state == FTX_SESSION_RUNNING && session->engine.state == FTX_ENGINE_RUNNING)
        index = ftx_engine_join(&session->engine, now_ms(peer));
    if (index < 0)
        return false;
    ftx_peer_try_over(c);
    ftx_connection_settle(c);
    add_connection(peer, c, (unsigned)index);
    if (peer->held_bytes >= FTX_PEER_HELD_MAX || !ftx_peer_may_receive(peer))
        ftx_connection_pause(c);
    ftx_peer_kick(peer);
    return true;
}

void ftx_peer_session_record(struct ftx_peer *peer, struct ftx_connection *c, const uint8_t *plain,
                             size_t size, void *whole)
{
    take_record(peer, c, plain, size, whole);
}

/* One record for each connection in turn, as long as one can take more. */
static void pull(struct ftx_peer *peer)
{
    struct ftx_peer_session *session = &peer->session;
    bool more = true;
    while (more && session->state == FTX_SESSION_RUNNING) {
        more = false;
        for (unsigned i = 0; i < session->n_connections; i++) {
            struct ftx_connection *c = session->connections[i];
            struct ftx_plan *plan = NULL;
            session->engine.held = !ftx_peer_may_send(peer);
            if (session->state == FTX_SESSION_RUNNING && ftx_connection_has_room(c))
                plan = ftx_engine_pull(&session->engine, i, now_ms(peer));
            if (plan)
                ftx_peer_sends(peer, plan->window_bytes);
            if (plan)
                ftx_connection_send(c, plan, peer->host->read, peer->ctx);
            more = more || plan;
        }
    }
    (void)look_at_engine(peer);
}

/* After a pull. */
static bool wants_connection(struct ftx_peer *peer)
{
    struct ftx_peer_session *session = &peer->session;
    if (session->n_connections <= peer->node->least_data)
        return true;
    if (session->n_connections > peer->node->most_data || ftx_peer_above(peer) == FTX_PATH_RELAY)
        return false;
    bool full = true;
    for (unsigned i = 0; i < session->n_connections && full; i++)
        full = !ftx_connection_has_room(session->connections[i]);
    const struct ftx_pipe *pipe = session->connections[0]->pipe;
    uint32_t rtt_us = full && pipe ? ftx_pipe_rtt_us(pipe) : 0;
    return ftx_growth_look(&session->growth, full, session->written_bytes, rtt_us, now_ms(peer));
}

void ftx_peer_on_turn(uv_idle_t *turn)
{
    struct ftx_peer *peer = turn->data;
    struct ftx_peer_session *session = &peer->session;
    uv_idle_stop(turn);
    for (unsigned i = 0; i < session->n_connections; i++)
        if (session->state == FTX_SESSION_RUNNING && peer->held_bytes < FTX_PEER_HELD_MAX &&
            ftx_peer_may_receive(peer))
            ftx_connection_resume(session->connections[i]);
    if (session->state != FTX_SESSION_RUNNING)
        return;
    pull(peer);
    if (session->state == FTX_SESSION_RUNNING && session->connected && wants_connection(peer))
        ftx_peer_dial_data(peer);
}

void ftx_peer_on_tick(uv_timer_t *tick)
{
    struct ftx_peer *peer = tick->data;
    struct ftx_peer_session *session = &peer->session;
    uint64_t now = now_ms(peer);
    for (unsigned i = 0; i < session->n_connections; i++)
        if (session->connections[i]->paused) /* the silence is ours */
            ftx_engine_heard(&session->engine, i, now);
    start_tick(peer);
    pull(peer);
}

void ftx_peer_session_probe(struct ftx_peer *peer)
{
    ftx_engine_probe(&peer->session.engine, now_ms(peer));
    ftx_peer_tell_addresses(peer);
    start_tick(peer);
    ftx_peer_kick(peer);
}

bool ftx_peer_look(struct ftx_peer *peer, struct ftx_peer_way *out)
{
    struct ftx_peer_session *session = &peer->session;
    const struct ftx_pipe *pipe =
        session->state == FTX_SESSION_RUNNING ? session->connections[0]->pipe : NULL;
    uint32_t sent, again;
    if (!pipe || !session->connected)
        return false;
    if (ftx_pipe_segments(pipe, &sent, &again))
        ftx_quality_look(&session->quality, sent, again);
    out->path = session->connections[0]->way.path;
    out->rtt_us = ftx_pipe_rtt_us(pipe);
    out->loss_thousandths = session->quality.loss_thousandths;
    out->quality = ftx_quality_text(&session->quality, out->rtt_us);
    return true;
}

/* -- its end -- */

/* What the engine still has to say goes out on the control connection, which then closes by itself;
 * false: nothing. */
static bool say_goodbye(struct ftx_peer *peer, struct ftx_connection *control)
{
    struct ftx_plan *plan = NULL;
    if (peer->session.engine.state == FTX_ENGINE_ENDED && !control->told)
        plan = ftx_engine_pull(&peer->session.engine, 0, now_ms(peer));
    if (!plan)
        return false;
    ftx_connection_send(control, plan, peer->host->read, peer->ctx);
    ftx_connection_finish(control);
    return true;
}

void ftx_peer_session_end(struct ftx_peer *peer, int reason)
{
    struct ftx_peer_session *session = &peer->session;
    if (session->state != FTX_SESSION_RUNNING)
        return;
    session->state = FTX_SESSION_CLOSING;
    session->reason = reason;
    bool fine = reason == 0 || reason == FTX_EREPLACED;
    ftx_log(fine ? FTX_LOG_INFO : FTX_LOG_WARNING, "session with %s ended: %s",
            session->connections[0]->address,
            reason ? ftx_err_text(reason) : "one of the ends is leaving");
    uv_timer_stop(&peer->tick);
    uv_idle_stop(&peer->turn);
    ftx_peer_dial_cancel(peer);
    ftx_peer_dial_cancel_data(peer);
    for (unsigned i = 0; i < session->n_connections; i++)
        session->connections[i]->place = FTX_PLACE_OUT;
    bool leaving = say_goodbye(peer, session->connections[0]);
    for (unsigned i = leaving; i < session->n_connections; i++)
        if (leaving)
            ftx_connection_pause(session->connections[i]); /* closed after the GOODBYE */
        else
            ftx_connection_close(session->connections[i]);
}

static bool was_good(const struct ftx_peer *peer)
{
    const struct ftx_peer_session *session = &peer->session;
    return session->connected && !session->failed &&
           (now_ms(peer) - session->began_ms > GOOD_SESSION_MS ||
            session->moved_bytes > GOOD_SESSION_BYTES);
}

void ftx_peer_session_gone(struct ftx_peer *peer)
{
    struct ftx_peer_session *session = &peer->session;
    if (--session->n_left > 0) {
        for (struct ftx_list *it = peer->connections.next; it != &peer->connections; it = it->next)
            if (ftx_list_of(it, struct ftx_connection, node)->in_session)
                ftx_connection_close(ftx_list_of(it, struct ftx_connection, node));
        return;
    }
    int reason = session->reason;
    if (was_good(peer))
        peer->rests = 0;
    ftx_peer_keep_addresses(peer);
    if (peer->identity->role == FTX_ROLE_S && session->engine.end_reason == FTX_EREPLACED)
        peer->jump =
            peer->jump ? 16 * peer->jump : 1024; /* R has seen higher numbers than we know */
    ftx_engine_close(&session->engine);
    session->state = FTX_SESSION_NONE;
    session->n_connections = 0;
    ftx_peer_tell(peer, reason == FTX_ELOST ? FTX_PEER_LOST : FTX_PEER_OFFLINE, "");
    peer->host->end(peer->ctx, reason);
    if (peer->candidate)
        begin_candidate(peer);
    else
        ftx_peer_rest(peer);
}

void ftx_peer_fail(struct ftx_peer *peer, int err)
{
    if (peer->session.state != FTX_SESSION_RUNNING)
        return;
    peer->session.failed = true;
    ftx_peer_session_end(peer, err);
}
