/* SPDX-License-Identifier: MIT */
/*
 * When a link dials, and where. A round is a race: the ways are begun one after the other, 250 ms
 * apart or as soon as one failed, and the first that is proven ends it. Then the link rests: 1 2 4
 * 8 16 32 60 s, but never above 4 s while it has work, and up to a fifth more or less, so that two
 * ends that refused each other do not meet again in step. No round begins while a handshake is
 * under way, whoever began it. A way that does not answer is left connecting, while the others are
 * tried again; relays come last, a second later. While a session runs the same goes on, if there may
 * be a way that is better than that of the session.
 *
 *   rest --timer, kick--> round: way, way .. -> try: connect -> handshake -> proven
 *     ^                                            |            |
 *     +---------- none is left in handshake -------+--- fails --+
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "transport/base/err.h"
#include "transport/base/log.h"
#include "transport/peer/peer_internal.h"

enum {
    KICK_MS = 1000,        /* a kick ends a rest of this age */
    APART_MS = 250,        /* RFC 8305 8: Connection Attempt Delay */
    RELAY_AFTER_MS = 1000, /* of a round in which something better is tried */
    TRIES_MAX = 8,         /* of a link, at once */
};

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

/* Is a session wanted, or a better one? */
static bool is_wanting(const struct ftx_peer *peer)
{
    return !peer->removed && !peer->candidate &&
           (peer->session.state == FTX_SESSION_NONE ||
            (peer->session.state == FTX_SESSION_RUNNING && peer->session.connected));
}

/* May a way be tried now, for a session? */
static bool may_try(const struct ftx_peer *peer)
{
    struct ftx_handshake_link link;
    return is_wanting(peer) && choose_mode(peer, &link) && !ftx_peer_other_mode(peer, link.mode);
}

static bool may_begin_round(const struct ftx_peer *peer)
{
    return may_try(peer) && ftx_ways_any(&peer->ways, ftx_peer_above(peer)) &&
           !ftx_peer_in_handshake(peer);
}

enum ftx_path ftx_peer_above(const struct ftx_peer *peer)
{
    const struct ftx_peer_session *session = &peer->session;
    return session->state == FTX_SESSION_RUNNING ? session->connections[0]->way.path
                                                 : FTX_PATH_NONE;
}

/* -- one way -- */

void ftx_peer_tell_failure(struct ftx_peer *peer, const struct ftx_way *way, int err)
{
    if (peer->host->failed && way->kind >= FTX_WAY_CONFIGURED)
        peer->host->failed(peer->ctx, &way->address, err);
}

void ftx_peer_log_failure(struct ftx_peer *peer, const struct ftx_way *way, int err)
{
    char port[16] = "";
    if (way->path != FTX_PATH_RELAY)
        snprintf(port, sizeof port, " port %u", way->address.port);
    ftx_log(err == peer->dial_err ? FTX_LOG_DEBUG : FTX_LOG_INFO, "cannot connect to %s%s: %s",
            way->address.host, port, ftx_err_text(err));
    peer->dial_err = err;
}

/* What the way leads through is known now. */
static void learn_path(struct ftx_try *try, const struct ftx_pipe *pipe)
{
    struct ftx_way *way = ftx_ways_find(&try->peer->ways, &try->way.address);
    if (try->way.path == FTX_PATH_RELAY)
        return;
    try->way.path = ftx_address_path(pipe->address);
    if (way) {
        way->path = try->way.path;
        way->path_known = true;
    }
}

static bool may_shake_hands(const struct ftx_try *try, struct ftx_handshake_link *out_link)
{
    const struct ftx_peer *peer = try->peer;
    if (try->data) {
        bool resumes = ftx_peer_link(peer, FTX_MODE_RESUME, out_link);
        out_link->data = true;
        return resumes;
    }
    if (!is_wanting(peer) || try->way.path <= ftx_peer_above(peer))
        return false;
    bool has_link = try->room.mode ? ftx_peer_link(peer, try->room.mode, out_link)
                                   : choose_mode(peer, out_link);
    return has_link && !ftx_peer_other_mode(peer, out_link->mode);
}

static int try_connected(struct ftx_try *try, struct ftx_pipe *pipe)
{
    struct ftx_peer *peer = try->peer;
    struct ftx_handshake_link link;
    struct ftx_connection *c;
    learn_path(try, pipe);
    if (!may_shake_hands(try, &link)) {
        ftx_pipe_close(pipe);
        return UV_ECANCELED;
    }
    bool answers = try->room.mode && try->room.as == FTX_ROLE_R;
    int err = ftx_connection_new(peer->node->loop, pipe, &ftx_peer_events, peer,
                                 answers ? NULL : &link, &c);
    if (err)
        return err;
    c->data = try->data;
    c->way = try->way;
    c->try = try;
    ftx_list_append(&peer->connections, &c->node);
    return 0;
}

void ftx_peer_dialled(void *owner, int err, struct ftx_pipe *pipe)
{
    struct ftx_try *try = owner;
    struct ftx_peer *peer = try->peer;
    bool data = try->data;
    peer->n_dials--;
    if (err == UV_ECANCELED) {
        free(try);
        ftx_peer_maybe_free(peer);
        return;
    }
    try->dial = NULL;
    try->relay = NULL;
    if (!err)
        err = try_connected(try, pipe);
    if (!err)
        return;
    if (err != UV_ECANCELED) /* that was us: something else is under way */
        ftx_peer_log_failure(peer, &try->way, err);
    if (err != UV_ECANCELED && err != UV_EBUSY && !try->waited)
        ftx_peer_tell_failure(peer, &try->way, err);
    ftx_list_remove(&try->node);
    if (err == UV_EBUSY && try->room.mode)
        ftx_peer_relay_taken(peer, &try->way, &try->room);
    free(try);
    ftx_peer_dial_failed(peer, data);
}

static int begin_try(struct ftx_peer *peer, const struct ftx_way *way, bool data)
{
    struct ftx_try *try = calloc(1, sizeof *try);
    int err = try ? 0 : -ENOMEM;
    if (!err) {
        *try = (struct ftx_try){.peer = peer, .way = *way, .data = data};
        err = ftx_tcp_dial(peer->node->loop, &way->address, ftx_peer_dialled, try, &try->dial);
    }
    if (err) {
        ftx_peer_log_failure(peer, way, err);
        ftx_peer_tell_failure(peer, way, err);
        free(try);
        return err;
    }
    /* The peer may be dialling us there at the same time: then a NAT lets it through. */
    if (way->kind == FTX_WAY_TOLD && peer->node->listener)
        ftx_dial_from(try->dial, peer->node->listener);
    if (way->kind == FTX_WAY_TOLD && !data && peer->session.state == FTX_SESSION_RUNNING)
        ftx_dial_insist(try->dial, peer->insists);
    ftx_list_append(&peer->tries, &try->node);
    peer->n_dials++;
    return 0;
}

static struct ftx_try *try_at(struct ftx_list *node)
{
    return ftx_list_of(node, struct ftx_try, node);
}

void ftx_peer_try_over(struct ftx_connection *c)
{
    if (!c->try)
        return;
    ftx_list_remove(&c->try->node);
    free(c->try);
    c->try = NULL;
}

static bool is_connecting(const struct ftx_try *try)
{
    return try->dial || try->relay;
}

void ftx_peer_try_cancel(struct ftx_try *try)
{
    ftx_list_remove(&try->node); /* ftx_peer_dialled frees it */
    if (try->relay)
        ftx_websocket_cancel(try->relay);
    else
        ftx_dial_cancel(try->dial);
}

void ftx_peer_dial_cancel(struct ftx_peer *peer)
{
    uv_timer_stop(&peer->retry);
    ftx_peer_dial_cancel_round(peer);
}

void ftx_peer_dial_cancel_round(struct ftx_peer *peer)
{
    if (peer->racing)
        uv_timer_stop(&peer->retry);
    peer->racing = false;
    for (struct ftx_list *it = peer->tries.next, *next; it != &peer->tries; it = next) {
        next = it->next;
        if (is_connecting(try_at(it)) && !try_at(it)->data)
            ftx_peer_try_cancel(try_at(it));
    }
}

static struct ftx_try *data_try(const struct ftx_peer *peer)
{
    for (struct ftx_list *it = peer->tries.next; it != &peer->tries; it = it->next)
        if (try_at(it)->data)
            return try_at(it);
    return NULL;
}

void ftx_peer_dial_cancel_data(struct ftx_peer *peer)
{
    struct ftx_try *try = data_try(peer);
    if (try && try->dial) {
        ftx_peer_try_cancel(try);
        return;
    }
    for (struct ftx_list *it = peer->connections.next; it != &peer->connections; it = it->next) {
        struct ftx_connection *c = ftx_list_of(it, struct ftx_connection, node);
        if (try && c->try == try) {
            ftx_peer_drop(peer, c);
            return;
        }
    }
}

void ftx_peer_dial_data(struct ftx_peer *peer)
{
    const struct ftx_peer_session *session = &peer->session;
    if (peer->removed || session->no_more_data || session->n_connections > peer->node->most_data ||
        data_try(peer))
        return;
    const struct ftx_way *way = &session->connections[0]->way;
    if (!way->address.port)
        way = ftx_ways_best(&peer->ways);
    if (!way || begin_try(peer, way, true))
        ftx_peer_dial_failed(peer, true);
}

/* -- rounds and rests -- */

static bool is_tried(const struct ftx_peer *peer, const struct ftx_address *address)
{
    for (const struct ftx_list *it = peer->tries.next; it != &peer->tries; it = it->next)
        if (ftx_address_equal(&try_at((struct ftx_list *)it)->way.address, address))
            return true;
    return false;
}

/* Of ways that are better than a relay. */
static unsigned n_tries(const struct ftx_peer *peer)
{
    unsigned n = 0;
    for (struct ftx_list *it = peer->tries.next; it != &peer->tries; it = it->next)
        n += try_at(it)->way.path > FTX_PATH_RELAY;
    return n;
}

static bool begin_way(struct ftx_peer *peer, const struct ftx_way *way)
{
    if (way->path == FTX_PATH_RELAY)
        return ftx_peer_relay(peer, way);
    return !is_tried(peer, &way->address) && !begin_try(peer, way, false);
}

/* How long relays wait for something better, ms. */
static uint64_t relays_wait_ms(const struct ftx_peer *peer)
{
    uint64_t age_ms = uv_now(peer->node->loop) - peer->round_ms;
    return n_tries(peer) > 0 && age_ms < RELAY_AFTER_MS ? RELAY_AFTER_MS - age_ms : 0;
}

static void on_retry(uv_timer_t *retry);

/* Begins the next way; the timer, or the failure of a try, begins the one after it. */
static void race(struct ftx_peer *peer)
{
    uv_timer_stop(&peer->retry);
    while (peer->racing) {
        enum ftx_path above = ftx_peer_above(peer);
        uint64_t wait_ms =
            above < FTX_PATH_RELAY && peer->node->n_relays ? relays_wait_ms(peer) : 0;
        const struct ftx_way *way = NULL;
        if (n_tries(peer) >= TRIES_MAX) {
            uv_timer_start(&peer->retry, on_retry, APART_MS, 0);
            return;
        }
        if (may_try(peer))
            way = ftx_ways_next(&peer->ways, wait_ms ? FTX_PATH_RELAY : above);
        if (way ? begin_way(peer, way) : wait_ms > 0) {
            uv_timer_start(&peer->retry, on_retry, way ? APART_MS : wait_ms, 0);
            return;
        }
        peer->racing = way;
    }
    peer->insists = false;
    ftx_peer_rest(peer);
}

void ftx_peer_dial_failed(struct ftx_peer *peer, bool data)
{
    if (data)
        peer->session.no_more_data = true;
    else if (peer->racing)
        race(peer);
    else
        ftx_peer_rest(peer);
}

static void on_retry(uv_timer_t *retry)
{
    struct ftx_peer *peer = retry->data;
    if (!peer->racing) {
        if (!may_begin_round(peer))
            return; /* the end of what is under way makes it rest again */
        if (peer->session.state == FTX_SESSION_NONE)
            ftx_ways_age(&peer->ways, uv_now(peer->node->loop));
        ftx_ways_round(&peer->ways);
        peer->racing = true;
        peer->round_ms = uv_now(peer->node->loop);
        peer->round++;
    }
    race(peer);
}

static void rest_for(struct ftx_peer *peer, uint64_t ms)
{
    peer->rest_until_ms = uv_now(peer->node->loop) + ms;
    uv_timer_start(&peer->retry, on_retry, ms, 0);
}

static bool is_resting(const struct ftx_peer *peer)
{
    return !peer->racing && uv_is_active((const uv_handle_t *)&peer->retry);
}

void ftx_peer_rest(struct ftx_peer *peer)
{
    if (peer->racing || is_resting(peer) || !may_begin_round(peer))
        return;
    bool session = peer->session.state == FTX_SESSION_RUNNING;
    bool hurry = !session && peer->host->busy(peer->ctx);
    unsigned *rests = session ? &peer->upgrades : &peer->rests;
    unsigned longest = (hurry ? N_BUSY_RESTS : N_RESTS) - 1;
    uint64_t ms = 1000 * (uint64_t)rest_s[*rests < longest ? *rests : longest];
    ms += randombytes_uniform((uint32_t)(ms * 2 / 5)) - ms / 5;
    ++*rests;
    peer->rest_since_ms = uv_now(peer->node->loop);
    rest_for(peer, ms);
}

void ftx_peer_dial_at_once(struct ftx_peer *peer)
{
    peer->racing = false;
    peer->rests = peer->upgrades = 0;
    peer->round = 1; /* the next is even */
    peer->rest_since_ms = uv_now(peer->node->loop);
    rest_for(peer, 0);
}

void ftx_peer_dial_kick(struct ftx_peer *peer)
{
    if (!is_resting(peer))
        return;
    uint64_t now_ms = uv_now(peer->node->loop);
    uint64_t age_ms = now_ms - peer->rest_since_ms;
    uint64_t wait_ms = age_ms < KICK_MS ? KICK_MS - age_ms : 0;
    if (now_ms + wait_ms < peer->rest_until_ms)
        rest_for(peer, wait_ms);
}

static const enum ftx_path path_of_kind[] = {
    [FTX_WAY_TOLD] = FTX_PATH_DIRECT,
    [FTX_WAY_LAN] = FTX_PATH_LAN,
    [FTX_WAY_CONFIGURED] = FTX_PATH_DIRECT,
    [FTX_WAY_RELAY] = FTX_PATH_RELAY,
};

void ftx_peer_found(struct ftx_peer *peer, enum ftx_way_kind kind,
                    const struct ftx_address *address)
{
    const struct ftx_way way = {
        .kind = kind,
        .path = path_of_kind[kind],
        .address = *address,
        .found_ms = uv_now(peer->node->loop),
    };
    bool is_new = ftx_ways_add(&peer->ways, &way);
    if (!is_new && peer->session.state != FTX_SESSION_NONE)
        return; /* it was tried, and will be again */
    if (is_resting(peer))
        ftx_peer_dial_kick(peer);
    else if (is_new && !peer->racing && may_begin_round(peer))
        ftx_peer_dial_at_once(peer);
}
