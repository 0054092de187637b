/* SPDX-License-Identifier: MIT */
/*
 * What the files of transport/peer share: the node, the link and its parts.
 *
 *   node.c            listener, connections that no link has claimed
 *   peer.c            a link's life, its saves, what its connections tell it
 *   ways.c            where its peer may be
 *   addresses.c       what each end tells the other of where it can be dialled
 *   lan.c             looks for it on local networks
 *   peer_relay.c      rooms at relays
 *   peer_dial.c       when, where and in which mode it dials
 *   peer_handshake.c  which handshakes may run, what they want, who is proven
 *   peer_steer.c      what the owner says: paused, limited
 *   peer_session.c    from a proven connection to a running engine, and its end
 */
#ifndef FTX_PEER_INTERNAL_H
#define FTX_PEER_INTERNAL_H

#include "transport/base/list.h"
#include "transport/net/portmap.h"
#include "transport/net/websocket.h"
#include "transport/peer/connection.h"
#include "transport/peer/gate.h"
#include "transport/peer/growth.h"
#include "transport/peer/lan.h"
#include "transport/peer/limit.h"
#include "transport/peer/peer.h"
#include "transport/peer/quality.h"
#include "transport/peer/ways.h"

/* Bytes of content per second, both ways. */
struct ftx_limits {
    struct ftx_limit send, receive;
};

struct ftx_node {
    uv_loop_t *loop;
    struct ftx_limits limits; /* of all links together */
    struct ftx_listener *listener;
    struct ftx_access *access; /* NULL: everybody may connect */
    struct ftx_lan *lan;       /* NULL: local networks are not searched */
    struct ftx_portmap *portmap;
    uint16_t port;
    struct ftx_address *dial;
    size_t n_dial;
    bool told_set;                                   /* `told` was given */
    struct ftx_told_address told[FTX_ADDRESSES_MAX]; /* where it says that it can be dialled */
    size_t n_told;
    struct ftx_told_address outside; /* of those: our port at the router; port 0: none */
    struct ftx_told_address seen;    /* of those: our port as a relay sees it; port 0: not known */
    struct ftx_address relays[FTX_RELAYS_MAX]; /* `host` is the URL */
    size_t n_relays;
    const char *relay_token, *relay_ca_file; /* NULL: none */
    unsigned least_data, most_data;
    enum ftx_compress_mode compress;
    struct ftx_list peers;
    struct ftx_list unclaimed; /* accepted, oldest first: no link has claimed them */
    struct ftx_gate gate;
    unsigned n_pending; /* accepted connections that are not proven */
    unsigned n_peers;   /* not freed yet */
    uv_timer_t life;    /* never started: its closing begins the end */
    void (*closed)(void *ctx);
    void *closed_ctx;
};

enum ftx_session_state {
    FTX_SESSION_NONE,
    FTX_SESSION_RUNNING,
    FTX_SESSION_CLOSING, /* its connections are going */
};

struct ftx_peer_session {
    enum ftx_session_state state;
    struct ftx_engine engine;
    struct ftx_connection *connections[FTX_CONNECTIONS_MAX]; /* by their index in the engine */
    unsigned n_connections;
    unsigned n_left;   /* of them, not gone yet */
    bool connected;    /* both ends said START */
    bool failed;       /* the application could not go on: trying again soon would not help */
    bool no_more_data; /* a data connection failed: this session does without */
    int reason;        /* CLOSING: why */
    uint64_t began_ms;
    uint64_t moved_bytes; /* both ways */
    uint64_t written_bytes;
    struct ftx_growth growth;
    struct ftx_quality quality; /* of the control connection */
};

struct ftx_peer {
    struct ftx_list in_node;
    struct ftx_node *node;
    const struct ftx_peer_host *host;
    void *ctx;
    struct ftx_peer_identity *identity; /* as last given to host->save; in locked memory */
    uint64_t last_token;
    enum ftx_peer_health health;
    char health_address[64];
    struct ftx_list connections; /* all of the link, until they are gone */
    size_t held_bytes;
    bool removed, paused;
    struct ftx_limits limits;
    uv_timer_t thaw; /* a limit let nothing pass: when it does again */
    unsigned n_handles;
    uv_idle_t turn; /* runs once after kicks */

    /* peer_dial.c */
    struct ftx_ways ways;
    uv_timer_t retry;  /* active: resting between two rounds, or between two ways of one */
    bool racing;       /* a round: not all of its ways were begun */
    bool insists;      /* the peer has just told where it is, and may be dialling us right now */
    uint64_t round_ms; /* when it began */
    uint64_t rest_since_ms, rest_until_ms;
    unsigned rests;        /* how many in a row: the next is longer */
    unsigned upgrades;     /* the same, while a session runs and a better way is looked for */
    uint64_t told_next_ms; /* what the peer tells is looked at from then on */
    uint64_t told_ms;      /* when what the peer told was last dialled at once */
    struct ftx_told_address kept[FTX_ADDRESSES_MAX]; /* what host->told was given */
    size_t n_kept;
    uint64_t kept_ms; /* when; 0: not in the life of this node */
    unsigned round;   /* ENROLLED: even RESUME, odd PAIR */
    int dial_err;     /* of the last failure: a repeat is not news */
    struct ftx_list tries;
    unsigned n_dials; /* whose `dialled` has not come */

    /* peer_session.c */
    struct ftx_connection *candidate;
    bool asked;    /* host->prepare was called, ready has not come */
    uint64_t jump; /* S: how far the next session number leaps */
    uv_timer_t tick;
    struct ftx_peer_session session;
};

/* Where both ends of a link meet at a relay. */
struct ftx_room {
    enum ftx_mode mode; /* of the handshake there */
    enum ftx_role as;   /* whose place it takes */
    char name[FTX_LABEL_MAX + 1];
};

enum { FTX_ROOMS_MAX = 3 };

/* A way that is being tried: first TCP connects, or the peer does not come to a room; then there is
 * a connection, in handshake. */
struct ftx_try {
    struct ftx_list node; /* peer->tries, until it is given up */
    struct ftx_peer *peer;
    struct ftx_way way;
    bool data;                   /* for a data connection */
    struct ftx_dial *dial;       /* one of the two, until there is a connection */
    struct ftx_websocket *relay; /* waits in `room` */
    struct ftx_room room;
    bool waited; /* ... was let in */
};

/* -- node.c -- */
void ftx_node_peer_freed(struct ftx_node *node);

/* -- peer.c -- */
extern const struct ftx_connection_events ftx_peer_events;
/* Hands the identity to the host; returns the token. */
uint64_t ftx_peer_save(struct ftx_peer *peer);
/* PAIRED, and the code is gone. */
void ftx_peer_burn_code(struct ftx_peer *peer);
void ftx_peer_tell(struct ftx_peer *peer, enum ftx_peer_health health, const char *address);
/* Closes a connection that is in no session; nothing more is heard of it. */
void ftx_peer_drop(struct ftx_peer *peer, struct ftx_connection *c);
/* Removed and nothing left: frees the peer. */
void ftx_peer_maybe_free(struct ftx_peer *peer);

/* -- addresses.c -- */
/* Finds out where the node can be dialled. */
void ftx_node_look(struct ftx_node *node);
/* Where its port is to be dialled from outside, if it is what a relay says. */
void ftx_node_seen(struct ftx_node *node, const struct ftx_ip *ip, uint16_t port);
/* The session's peer is told. */
void ftx_peer_tell_addresses(struct ftx_peer *peer);
/* The engine has news of where the peer can be dialled. */
void ftx_peer_take_addresses(struct ftx_peer *peer);
/* The session is over, in which the peer was where it told. */
void ftx_peer_keep_addresses(struct ftx_peer *peer);
/* What a connection goes through whose other end is `address`, as pipes say it; no relay. */
enum ftx_path ftx_address_path(const char *address);

/* -- peer_dial.c -- */
/* The way to the peer is open to be dialled: rests, then dials, unless something is under way. */
void ftx_peer_rest(struct ftx_peer *peer);
/* ftx_dialled_fn of a try. */
void ftx_peer_dialled(void *owner, int err, struct ftx_pipe *pipe);
/* Of one that is no connection yet. */
void ftx_peer_try_cancel(struct ftx_try *try);
void ftx_peer_log_failure(struct ftx_peer *peer, const struct ftx_way *way, int err);
/* The host hears of it, if it is a way that its user named. */
void ftx_peer_tell_failure(struct ftx_peer *peer, const struct ftx_way *way, int err);
/* The same without a rest, and without remembering earlier ones. */
void ftx_peer_dial_at_once(struct ftx_peer *peer);
/* What a new connection must be better than: the path of the running session. */
enum ftx_path ftx_peer_above(const struct ftx_peer *peer);
void ftx_peer_dial_kick(struct ftx_peer *peer);
/* In a session: one more data connection. */
void ftx_peer_dial_data(struct ftx_peer *peer);
/* What the connection was tried for has come of it, or never will: the try is over. Harmless if it
 * was accepted. */
void ftx_peer_try_over(struct ftx_connection *c);
/* What was tried failed: the next way, or a rest. */
void ftx_peer_dial_failed(struct ftx_peer *peer, bool data);
/* Nothing is dialled any more, nor will be by itself. What is in handshake stays. */
void ftx_peer_dial_cancel(struct ftx_peer *peer);
/* What is dialled is given up; a rest goes on. */
void ftx_peer_dial_cancel_round(struct ftx_peer *peer);
/* No data connection is tried any more. */
void ftx_peer_dial_cancel_data(struct ftx_peer *peer);

/* -- peer_relay.c -- */
/* Where its peer is expected; at most FTX_ROOMS_MAX. */
size_t ftx_peer_rooms(const struct ftx_peer *peer, int64_t now_s, struct ftx_room *out);
/* Waits in all rooms at the relay; false: nothing new was begun. */
bool ftx_peer_relay(struct ftx_peer *peer, const struct ftx_way *way);
/* Its place in the room is somebody else's: finds out whose. */
void ftx_peer_relay_taken(struct ftx_peer *peer, const struct ftx_way *way,
                          const struct ftx_room *room);

/* A session's share of ftx_node_network_changed. */
void ftx_peer_session_probe(struct ftx_peer *peer);

/* -- peer_handshake.c -- */
/* What a handshake in this mode needs of the link; false: the link does not take part in it now. */
bool ftx_peer_link(const struct ftx_peer *peer, enum ftx_mode mode, struct ftx_handshake_link *out);
/* Takes an accepted connection whose Hello matches `link`, or refuses it (false). */
bool ftx_peer_accept(struct ftx_peer *peer, struct ftx_connection *c,
                     const struct ftx_handshake_link *link);
/* With somebody who said a Hello. */
bool ftx_peer_in_handshake(const struct ftx_peer *peer);
/* Would a handshake in this mode run beside one in the other? */
bool ftx_peer_other_mode(const struct ftx_peer *peer, enum ftx_mode mode);
void ftx_peer_handshake_wants(struct ftx_peer *peer, struct ftx_connection *c,
                              enum ftx_handshake_want want);
/* R: the first record verified. */
void ftx_peer_handshake_record(struct ftx_peer *peer, struct ftx_connection *c,
                               const uint8_t *plain, size_t size, void *whole);
void ftx_peer_handshake_ended(struct ftx_peer *peer, struct ftx_connection *c, int err);

/* -- peer_steer.c -- */
/* May content go now? If not, the peer is kicked when it may. */
bool ftx_peer_may_send(struct ftx_peer *peer);
bool ftx_peer_may_receive(struct ftx_peer *peer);
void ftx_peer_sends(struct ftx_peer *peer, uint64_t bytes);
/* Reading pauses when it was too much. */
void ftx_peer_receives(struct ftx_peer *peer, uint64_t bytes);

/* -- peer_session.c -- */
/* The connection is proven: it becomes the control connection of the next session, which replaces
 * what runs. */
void ftx_peer_nominate(struct ftx_peer *peer, struct ftx_connection *c);
/* Its save is done. */
void ftx_peer_candidate_saved(struct ftx_peer *peer);
/* Adds a data connection to the running session; false: there is none, or no room. */
bool ftx_peer_session_join(struct ftx_peer *peer, struct ftx_connection *c);
void ftx_peer_session_record(struct ftx_peer *peer, struct ftx_connection *c, const uint8_t *plain,
                             size_t size, void *whole);
void ftx_peer_session_end(struct ftx_peer *peer, int reason);
void ftx_peer_session_gone(struct ftx_peer *peer);
void ftx_peer_on_turn(uv_idle_t *turn);
void ftx_peer_on_tick(uv_timer_t *tick);

#endif
