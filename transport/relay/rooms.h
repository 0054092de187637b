/* SPDX-License-Identifier: MIT */
/*
 * Who is in which room of a relay, and who is not let in. No I/O, clock or randomness of its own:
 * calls with the time go in, decisions come out. A room is one S and one R; it exists from the first
 * join to the pair's end.
 */
#ifndef FTX_RELAY_ROOMS_H
#define FTX_RELAY_ROOMS_H

#include "transport/base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FTX_ROOM_NAME_MAX = 64 /* of [a-z0-9-], at least one */ };

struct ftx_rooms_limits {
    size_t n_handshakes; /* connections that have asked for nothing yet */
    size_t n_handshakes_of_source;
    size_t n_waiting; /* rooms with one in them */
    size_t n_pairs;
    unsigned joins_per_minute; /* of a source, and of a room */
    uint32_t handshake_ms;     /* deadline of a connection */
    uint32_t wait_ms;          /* how long a room waits */
    uint64_t room_bytes;       /* that a pair may move; 0: any number */
};

/* The first is none, and the default is 128 waiting rooms, 64 handshakes, 30 joins a minute. */
extern const struct ftx_rooms_limits ftx_rooms_default_limits;

enum ftx_refusal {
    FTX_ADMITTED,
    FTX_REFUSED_ADDRESS,
    FTX_REFUSED_HANDSHAKES,
    FTX_REFUSED_LATE, /* the deadline of the handshake */
    FTX_REFUSED_REQUEST,
    FTX_REFUSED_TOKEN,
    FTX_REFUSED_TAKEN, /* a third party, or a second S or R */
    FTX_REFUSED_SOURCE_RATE,
    FTX_REFUSED_ROOM_RATE,
    FTX_REFUSED_WAITING, /* as many as may wait do */
    FTX_REFUSED_PAIRS,
    FTX_REFUSED_DRAINING,
    FTX_REFUSED_EXPIRED, /* waited too long */
    FTX_REFUSED_QUOTA,
    FTX_REFUSED_FRAME, /* what the relay's protocol forbids */
    FTX_REFUSED_MEMORY,
    FTX_N_REFUSALS
};

/* One word, as in the metrics. */
const char *ftx_refusal_name(enum ftx_refusal refusal);

/* Where a connection comes from: an IPv6 address, of which a /64 counts as one, or ::ffff:IPv4. */
struct ftx_source {
    uint8_t bytes[16];
};

enum ftx_seat_state {
    FTX_SEAT_NONE,
    FTX_SEAT_HANDSHAKE,
    FTX_SEAT_WAITING,
    FTX_SEAT_PAIRED,
    FTX_SEAT_ALONE, /* the other of its pair has left */
};

/* A connection's place; embedded in it, zeroed at first, read only. */
struct ftx_seat {
    enum ftx_seat_state state;
    struct ftx_list due; /* among those that wait for the same thing, the oldest first */
    struct ftx_source source;
    uint64_t since_ms;
    struct ftx_room *room;
    struct ftx_seat *partner; /* when PAIRED */
};

struct ftx_rooms_counts {
    size_t n_handshakes, n_waiting, n_pairs;
    uint64_t n_joins, n_paired, n_bytes;
    uint64_t n_refused[FTX_N_REFUSALS];
};

struct ftx_rooms;

/* `seed`: of the hashes, so that nobody can choose who shares a bucket. NULL: out of memory. */
struct ftx_rooms *ftx_rooms_new(const struct ftx_rooms_limits *limits, uint64_t seed);
void ftx_rooms_free(struct ftx_rooms *rooms);

/*
 * A connection has come: HANDSHAKE, or HANDSHAKES refused. `trusted`: a balancer, which speaks for
 * many sources.
 */
enum ftx_refusal ftx_rooms_arrive(struct ftx_rooms *rooms, struct ftx_seat *seat,
                                  const struct ftx_source *source, bool trusted, uint64_t now_ms);

/*
 * It asks for a room (name as ftx_room_name_is_valid, role 's' or 'r'): WAITING or PAIRED from then
 * on, or refused, which leaves it as it is. `source`: who asks, behind a balancer.
 */
enum ftx_refusal ftx_rooms_join(struct ftx_rooms *rooms, struct ftx_seat *seat, const char *name,
                                char role, const struct ftx_source *source, uint64_t now_ms);

/* It is gone, whatever it was: NONE. Its partner is ALONE, and the room is free again. */
void ftx_rooms_leave(struct ftx_rooms *rooms, struct ftx_seat *seat);

/* Its pair moved bytes: false once that is more than a room may. */
bool ftx_rooms_move(struct ftx_rooms *rooms, struct ftx_seat *seat, size_t n_bytes);

/* One whose deadline is over, with why; or NULL. The same comes again until it leaves. */
struct ftx_seat *ftx_rooms_overdue(struct ftx_rooms *rooms, uint64_t now_ms,
                                   enum ftx_refusal *out_why);

/* No join is admitted any more. */
void ftx_rooms_drain(struct ftx_rooms *rooms);
bool ftx_rooms_is_draining(const struct ftx_rooms *rooms);

/* One that waits, or NULL. */
struct ftx_seat *ftx_rooms_first_waiting(struct ftx_rooms *rooms);

/* Counts a refusal that was decided elsewhere; returns it. */
enum ftx_refusal ftx_rooms_refuse(struct ftx_rooms *rooms, enum ftx_refusal why);

const struct ftx_rooms_counts *ftx_rooms_count(const struct ftx_rooms *rooms);

bool ftx_room_name_is_valid(const char *name, size_t length);

#endif
