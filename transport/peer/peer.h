/* SPDX-License-Identifier: MIT */
/*
 * One link on the network: dials and is dialled, pairs, resumes, and runs one session at a time
 * over its connections, for ever. The node holds what all links share: listener, addresses to dial,
 * handshakes that nobody has claimed yet. Loop thread only, but for what says
 * otherwise.
 *
 *   armed --PAIR--> enrolled --RESUME--> session (engine) --any end--> back-off --> RESUME ...
 */
#ifndef FTX_PEER_PEER_H
#define FTX_PEER_PEER_H

#include "transport/crypto/identity.h"
#include "transport/net/tcp.h"
#include "transport/session/compress.h"
#include "transport/peer/ways.h"
#include "transport/session/engine.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct ftx_node;
struct ftx_peer;

enum ftx_peer_stage { FTX_PEER_ARMED = 1, FTX_PEER_ENROLLED = 2, FTX_PEER_PAIRED = 3 };

/* What a link must remember; written durably by the host. Wiped by whoever holds a copy. */
struct ftx_peer_identity {
    enum ftx_role role;
    enum ftx_peer_stage stage;
    uint8_t guesses;
    char code[FTX_CODE_MAX + 1]; /* empty once PAIRED */
    char label[FTX_LABEL_MAX + 1];
    struct ftx_link_keys keys; /* from ENROLLED on */
    uint64_t session;          /* highest session number used (S) or accepted (R) */
};

enum ftx_peer_health {
    FTX_PEER_OFFLINE,
    FTX_PEER_PAIRING,
    FTX_PEER_CONNECTED,
    FTX_PEER_SAME_ROLE,
    FTX_PEER_LOST
};

/* Who the link works for. `ctx` is that of ftx_peer_new. */
struct ftx_peer_host {
    const struct ftx_engine_app *app; /* its ctx is the same */
    /* Worker thread: bytes of an extent (ftx_plan_read_fn). */
    ftx_plan_read_fn read;
    /*
     * Write the identity durably, after those before it, then call ftx_peer_saved with the same
     * token and the error, later, on the loop thread; always: the link waits for it.
     */
    void (*save)(void *ctx, const struct ftx_peer_identity *identity, uint64_t token);
    /*
     * A session is about to begin: call ftx_peer_ready (later or now) when nothing of the last one
     * is being written any more, with the peer's last operation that is durable here. If the
     * connection breaks meanwhile neither begin nor end follow, but another prepare some day.
     */
    void (*prepare)(void *ctx);
    /* The session runs: streams may be made due. */
    void (*begin)(void *ctx, struct ftx_engine *engine);
    /* Does something wait to be sent or received? A link with work rests for a few seconds at
     * most between two dials. */
    bool (*busy)(void *ctx);
    /* It is over: the engine is closed, and no worker reads for it any more. */
    void (*end)(void *ctx, int reason);
    /* When it changes; `address` is that of CONNECTED, else "". */
    void (*health)(void *ctx, enum ftx_peer_health health, const char *address);
    /* A guess that was written as spent came to nothing: the code was another one, or the connection
     * broke before that was known. May be NULL. */
    void (*guess_failed)(void *ctx);
    /* The peer says that it can be dialled at these (n up to FTX_ADDRESSES_MAX), and no longer where
     * it said before; also when a session ends. For ftx_peer_recall some day. May be NULL. */
    void (*told)(void *ctx, const struct ftx_told_address *told, size_t n);
    /* A way that was configured led nowhere, for now; `address` as configured, of a relay its URL as
     * host. UV_EOF: who answered there knows no such link. May be NULL. */
    void (*failed)(void *ctx, const struct ftx_address *address, int err);
    /* Content that was sent compressed: its bytes before and after. May be NULL. */
    void (*packed)(void *ctx, uint64_t before, uint64_t after);
    /* After ftx_peer_remove or ftx_node_stop: the last call, `ctx` is not used any more. May be
     * NULL. */
    void (*gone)(void *ctx);
};

/*
 * Makes the node; dials `dial` (n of them, copied) for every link; `listen` NULL: does not listen.
 * *out_node even serves without links. The program has called sodium_init, and ignores SIGPIPE
 * (libuv writes without MSG_NOSIGNAL). -EADDRINUSE and the like.
 */
int ftx_node_new(uv_loop_t *loop, const struct ftx_address *listen, const struct ftx_address *dial,
                 size_t n_dial, struct ftx_node **out_node);
/* The port it listens on, 0: none. */
uint16_t ftx_node_port(const struct ftx_node *node);
/* Only whoever `access` (kept until the node is closed) allows may connect, and is heeded on local
 * networks; call before the loop runs. At first everybody may. */
void ftx_node_set_access(struct ftx_node *node, struct ftx_access *access);
/* Looks for the other ends of links on local networks (docs/protocol.md 10); call before there are
 * links. `port`: of the datagrams, FTX_DEFAULT_PORT but for tests, as is `loopback`: there instead.
 * -ENOMEM. */
int ftx_node_search_lan(struct ftx_node *node, uint16_t port, bool loopback);
/* Has its port mapped at the router, unless nobody else can reach it, and tells peers of that.
 * -ENOMEM. */
int ftx_node_map_port(struct ftx_node *node);
/* S keeps `least` data connections in each session of a link that it can dial, and adds up to
 * `most` (FTX_DATA_CONNECTIONS_MAX at most; at first 0 and 0) while that adds throughput. Holds for
 * sessions that begin later. */
void ftx_node_set_data_connections(struct ftx_node *node, unsigned least, unsigned most);
/* How content is compressed (at first not at all). Holds for connections that come later. */
void ftx_node_set_compress(struct ftx_node *node, enum ftx_compress_mode mode);
/* Links wait for their peers at this relay too (copied); before there are links.
 * ftx_websocket_check_url's errors; FTX_ELIMIT: more than FTX_RELAYS_MAX. */
enum { FTX_RELAYS_MAX = 4, FTX_RELAY_URL_MAX = 255, FTX_RELAY_TOKEN_MAX = 256 };
int ftx_node_add_relay(struct ftx_node *node, const char *url);
/* For all relays: what they ask for, and a file of whom wss:// trusts; NULL: nothing, the system's.
 * Both are kept. */
void ftx_node_set_relay_access(struct ftx_node *node, const char *token, const char *ca_file);
/* Tells peers that it can be dialled at these (n up to FTX_ADDRESSES_MAX), instead of at its
 * interfaces' addresses: a port may be forwarded to it. Holds for sessions that begin later. */
void ftx_node_set_told(struct ftx_node *node, const struct ftx_told_address *told, size_t n);
/* The machine's network has changed: running sessions are probed, links without one dial at once,
 * are announced, and peers are told the new addresses; the router is asked again. */
void ftx_node_network_changed(struct ftx_node *node);
/* Says GOODBYE on all sessions, closes everything, frees itself and its peers when all handles are
 * gone; `closed` then comes once, after each host's `end` (running sessions) and `gone`. */
void ftx_node_stop(struct ftx_node *node, void (*closed)(void *ctx), void *ctx);

/* Adds a link and begins to dial. -ENOMEM. */
int ftx_peer_new(struct ftx_node *node, const struct ftx_peer_identity *identity,
                 const struct ftx_peer_host *host, void *ctx, struct ftx_peer **out_peer);
/* The link is gone: GOODBYE, then no callback but `end` (if a session runs), `gone`; frees itself.
 * Not from inside a callback of the engine. */
void ftx_peer_remove(struct ftx_peer *peer);

/*
 * The peer may be at this address; FTX_WAY_LAN comes from outside the link.
 * Known ones are heard of again; a new one is dialled soon if it is better than what there is.
 */
void ftx_peer_found(struct ftx_peer *peer, enum ftx_way_kind kind,
                    const struct ftx_address *address);

/* What host->told was given that long ago, before a restart; call right after ftx_peer_new. */
void ftx_peer_recall(struct ftx_peer *peer, const struct ftx_told_address *told, size_t n,
                     uint64_t age_ms);

void ftx_peer_saved(struct ftx_peer *peer, uint64_t token, int err);
void ftx_peer_ready(struct ftx_peer *peer, uint64_t op_seen);

/* Its session ends (GOODBYE), and no other begins, neither dialled nor taken, until it goes on. */
void ftx_peer_pause(struct ftx_peer *peer, bool paused);
/* Dials at once if no session runs. */
void ftx_peer_dial_now(struct ftx_peer *peer);
/* The guesses of a code begin anew; the host has written that. */
void ftx_peer_rearm(struct ftx_peer *peer);
/* Bytes of content per second; 0: no limit. */
void ftx_peer_limit(struct ftx_peer *peer, uint64_t send, uint64_t receive);
/* Of all links together. */
void ftx_node_limit(struct ftx_node *node, uint64_t send, uint64_t receive);

/* What came cannot be taken (a full disk, damaged bytes): ends the session with this error; the
 * link goes on after its back-off. */
void ftx_peer_fail(struct ftx_peer *peer, int err);
/* What the session goes through, as far as it is known now; false: there is none. */
struct ftx_peer_way {
    enum ftx_path path;
    uint32_t rtt_us;           /* without queues; over a relay, to it; 0: not known */
    uint32_t loss_thousandths; /* of what was sent, lately; 0 as well if that is not known */
    const char *quality;       /* static: excellent good fair poor (quality.h) */
};
bool ftx_peer_look(struct ftx_peer *peer, struct ftx_peer_way *out);

/* Something may have become due or acknowledged: the engine is pulled soon (once per loop turn).
 * Dials at once if the link waits in back-off. */
void ftx_peer_kick(struct ftx_peer *peer);
/* Bytes of received records that the application still holds: above FTX_PEER_HELD_MAX reading
 * pauses until it is below again. */
enum { FTX_PEER_HELD_MAX = 16 << 20 };
void ftx_peer_hold(struct ftx_peer *peer, size_t bytes);
void ftx_peer_release(struct ftx_peer *peer, size_t bytes);

/* The record buffer `whole` that ftx_engine_app.record got: free it with this. Any thread. `size`:
 * its capacity, for hold and release. */
void ftx_block_free(void *whole);
size_t ftx_block_size(const void *whole);

#endif
