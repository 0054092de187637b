/* SPDX-License-Identifier: MIT */
/*
 * Rooms at relays. Both ends of a link wait in the same ones, whoever comes first: by the label
 * until the code is burned, by the link secret once there is one. When the relay has joined them,
 * S says Hello, and R, who does not know in which mode, answers. Around midnight (UTC) a link waits
 * in two rooms, so that clocks may differ by an hour.
 *
 * Whose place is taken while it pairs takes the other one, if somebody waits there: if that is the
 * other end, armed in the same role, their Hellos tell both.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "transport/base/err.h"
#include "transport/peer/peer_internal.h"

enum { DAY_S = 86400, SKEW_S = 3600 };

size_t ftx_peer_rooms(const struct ftx_peer *peer, int64_t now_s, struct ftx_room *out)
{
    struct ftx_handshake_link link;
    size_t n = 0;
    for (int i = 0; i < FTX_ROOMS_MAX; i++)
        out[i].as = peer->identity->role;
    if (ftx_peer_link(peer, FTX_MODE_RESUME, &link)) {
        int64_t days[] = {(now_s - SKEW_S) / DAY_S, (now_s + SKEW_S) / DAY_S};
        for (int i = 0; i <= (days[0] != days[1]); i++) {
            out[n].mode = FTX_MODE_RESUME;
            ftx_room_of_day(link.keys->link_secret, (uint32_t)days[i], out[n++].name);
        }
    }
    if (ftx_peer_link(peer, FTX_MODE_PAIR, &link)) {
        out[n].mode = FTX_MODE_PAIR;
        snprintf(out[n].name, sizeof out[n].name, "%s", link.label);
        n++;
    }
    return n;
}

static bool waits_in(const struct ftx_peer *peer, const struct ftx_way *way,
                     const struct ftx_room *room)
{
    for (struct ftx_list *it = peer->tries.next; it != &peer->tries; it = it->next) {
        const struct ftx_try *try = ftx_list_of(it, struct ftx_try, node);
        if (ftx_address_equal(&try->way.address, &way->address) && try->room.as == room->as &&
            strcmp(try->room.name, room->name) == 0)
            return true;
    }
    return false;
}

/* Yesterday's room, or that of a code that is burned. */
static void leave_old_rooms(struct ftx_peer *peer, const struct ftx_way *way,
                            const struct ftx_room *rooms, size_t n)
{
    for (struct ftx_list *it = peer->tries.next, *next; it != &peer->tries; it = next) {
        struct ftx_try *try = ftx_list_of(it, struct ftx_try, node);
        bool old = try->relay && ftx_address_equal(&try->way.address, &way->address);
        next = it->next;
        for (size_t i = 0; i < n && old; i++)
            old = strcmp(try->room.name, rooms[i].name) != 0;
        if (old)
            ftx_peer_try_cancel(try);
    }
}

static void on_seen(void *owner, const struct ftx_ip *ip, uint16_t port)
{
    const struct ftx_try *try = owner;
    ftx_node_seen(try->peer->node, ip, port);
}

/* In the other's place: nobody is there any more. */
static void on_waiting(void *owner)
{
    struct ftx_try *try = owner;
    struct ftx_peer *peer = try->peer;
    try->waited = true;
    if (try->room.as == peer->identity->role)
        return;
    ftx_peer_try_cancel(try);
    ftx_peer_dial_failed(peer, false);
}

static const struct ftx_websocket_events events = {
    .seen = on_seen, .waiting = on_waiting, .dialled = ftx_peer_dialled};

static int enter(struct ftx_peer *peer, const struct ftx_way *way, const struct ftx_room *room)
{
    const struct ftx_websocket_target target = {
        .url = way->address.host,
        .room = room->name,
        .role = room->as == FTX_ROLE_S ? 's' : 'r',
        .token = peer->node->relay_token,
        .ca_file = peer->node->relay_ca_file,
        .from = peer->node->listener,
    };
    struct ftx_try *try = calloc(1, sizeof *try);
    if (!try)
        return -ENOMEM;
    *try = (struct ftx_try){.peer = peer, .way = *way, .room = *room};
    int err = ftx_websocket_dial(peer->node->loop, &target, &events, try, &try->relay);
    if (err) {
        free(try);
        return err;
    }
    ftx_list_append(&peer->tries, &try->node);
    peer->n_dials++;
    return 0;
}

bool ftx_peer_relay(struct ftx_peer *peer, const struct ftx_way *way)
{
    struct ftx_room rooms[FTX_ROOMS_MAX];
    size_t n = ftx_peer_rooms(peer, (int64_t)time(NULL), rooms);
    bool begun = false;
    leave_old_rooms(peer, way, rooms, n);
    for (size_t i = 0; i < n; i++) {
        /* Of an ENROLLED link the peer most likely is it too. */
        bool later = rooms[i].mode == FTX_MODE_PAIR && i > 0 && peer->round % 2 == 0;
        if (later || waits_in(peer, way, &rooms[i]))
            continue;
        int err = enter(peer, way, &rooms[i]);
        if (err)
            ftx_peer_log_failure(peer, way, err);
        begun = begun || !err;
    }
    return begun;
}

/* Labels are short: another link of ours may wait in the same room. */
static bool one_of_us_waits_in(struct ftx_node *node, const struct ftx_way *way,
                               const struct ftx_room *room)
{
    for (struct ftx_list *it = node->peers.next; it != &node->peers; it = it->next)
        if (waits_in(ftx_list_of(it, struct ftx_peer, in_node), way, room))
            return true;
    return false;
}

void ftx_peer_relay_taken(struct ftx_peer *peer, const struct ftx_way *way,
                          const struct ftx_room *room)
{
    struct ftx_room other = *room;
    other.as = room->as == FTX_ROLE_S ? FTX_ROLE_R : FTX_ROLE_S;
    if (room->mode != FTX_MODE_PAIR || room->as != peer->identity->role ||
        one_of_us_waits_in(peer->node, way, room) || one_of_us_waits_in(peer->node, way, &other))
        return;
    int err = enter(peer, way, &other);
    if (err)
        ftx_peer_log_failure(peer, way, err);
}

/* -- the node's relays -- */

int ftx_node_add_relay(struct ftx_node *node, const char *url)
{
    if (node->n_relays == FTX_RELAYS_MAX || strlen(url) >= sizeof node->relays->host)
        return FTX_ELIMIT;
    int err = ftx_websocket_check_url(url);
    if (!err) {
        struct ftx_address *relay = &node->relays[node->n_relays++];
        snprintf(relay->host, sizeof relay->host, "%s", url);
    }
    return err;
}

void ftx_node_set_relay_access(struct ftx_node *node, const char *token, const char *ca_file)
{
    node->relay_token = token;
    node->relay_ca_file = ca_file;
}
