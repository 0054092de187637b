/* SPDX-License-Identifier: MIT */
/*
 * Where the peer of a link may be reached: a bounded set of ways, from whomever they were heard,
 * and the order in which a race tries them. No I/O, no clock.
 *
 * When all places are taken the one goes that was heard of longest ago, of those that never led to
 * the peer if there are any; what was configured stays.
 */
#ifndef FTX_PEER_WAYS_H
#define FTX_PEER_WAYS_H

#include "transport/net/tcp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FTX_WAYS_MAX = 32,
    FTX_WAY_TOLD_MS = 7 * 24 * 3600 * 1000, /* what a peer told is tried for so long after it */
};

/* Where it was heard of: the later ones tell more, and are kept if it is heard of twice. */
enum ftx_way_kind {
    FTX_WAY_TOLD,       /* by the peer */
    FTX_WAY_LAN,        /* announced on a network that we share */
    FTX_WAY_CONFIGURED, /* by the user */
    FTX_WAY_RELAY,      /* by the user: `host` is the URL */
};

/* What bytes go through; the higher, the better. */
enum ftx_path { FTX_PATH_NONE, FTX_PATH_RELAY, FTX_PATH_DIRECT, FTX_PATH_LAN };

struct ftx_way {
    enum ftx_way_kind kind;
    enum ftx_path path; /* a guess, until it was tried */
    bool path_known;
    struct ftx_address address;
    uint64_t found_ms; /* when it was last heard of */
    bool proven;       /* a session ran over it */
    bool tried;        /* in the current round */
};

struct ftx_ways {
    size_t n;
    struct ftx_way at[FTX_WAYS_MAX];
    bool last_v6; /* given in the current round */
};

/* Adds the way, or hears of it again; true: it is new. */
bool ftx_ways_add(struct ftx_ways *ways, const struct ftx_way *way);
/* The way with this address, or NULL. */
struct ftx_way *ftx_ways_find(struct ftx_ways *ways, const struct ftx_address *address);
/* Those of a kind go that were not heard of since then. */
void ftx_ways_forget(struct ftx_ways *ways, enum ftx_way_kind kind, uint64_t since_ms);
/* Those of a kind were heard of (again) then. */
void ftx_ways_heard(struct ftx_ways *ways, enum ftx_way_kind kind, uint64_t when_ms);
/* The network is another one: what was learned of paths may not hold any more. */
void ftx_ways_doubt(struct ftx_ways *ways);
/* What was not heard of for long goes. */
void ftx_ways_age(struct ftx_ways *ways, uint64_t now_ms);

/* A new round begins: none was tried. */
void ftx_ways_round(struct ftx_ways *ways);
/*
 * The next way of the round that is better than `above`, now tried; NULL: there is none. Better
 * ones first, among those what led to the peer before, then IPv6 and IPv4 by turns (RFC 8305 4).
 */
const struct ftx_way *ftx_ways_next(struct ftx_ways *ways, enum ftx_path above);
/* Where one more connection to a peer that dialled us may go: the first of a round that is no relay;
 * NULL: nowhere. */
const struct ftx_way *ftx_ways_best(const struct ftx_ways *ways);
/* Is there any that is better than `above`, tried or not? */
bool ftx_ways_any(const struct ftx_ways *ways, enum ftx_path above);

/* "direct", "lan", "relay"; NONE: "". */
const char *ftx_path_text(enum ftx_path path);

bool ftx_address_equal(const struct ftx_address *a, const struct ftx_address *b);

#endif
