/* SPDX-License-Identifier: MIT */
/*
 * The room table: chains of rooms by name, two lists of those with a deadline, and for joins a fixed
 * array of buckets, into which sources and rooms fall by a keyed hash: nobody can make it grow, and
 * who shares a bucket by chance only shares its rate.
 */
#include "transport/relay/rooms.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "transport/base/hash.h"

enum {
    N_CHAINS = 4096,
    N_BUCKETS = 16384,
    MINUTE_MS = 60 * 1000,
};

struct ftx_room {
    struct ftx_list link; /* in its chain */
    struct ftx_seat *s, *r;
    uint64_t n_bytes;
    char name[FTX_ROOM_NAME_MAX + 1];
};

/* When all earlier joins will have been paid off at the allowed rate (GCRA). */
struct bucket {
    uint64_t free_at_ms;
};

struct ftx_rooms {
    struct ftx_rooms_limits limits;
    uint64_t seed;
    bool draining;
    struct ftx_rooms_counts counts;
    struct ftx_list handshakes, waiting; /* seats, the oldest first */
    struct ftx_list chains[N_CHAINS];
    struct bucket sources[N_BUCKETS], names[N_BUCKETS];
};

const struct ftx_rooms_limits ftx_rooms_default_limits = {
    .n_handshakes = 64,
    .n_handshakes_of_source = 16,
    .n_waiting = 128,
    .n_pairs = 8192,
    .joins_per_minute = 30,
    .handshake_ms = 10 * 1000,
    .wait_ms = 5 * MINUTE_MS,
};

const char *ftx_refusal_name(enum ftx_refusal refusal)
{
    static const char *const names[FTX_N_REFUSALS] = {
        "none", "address", "handshakes", "late",  "request", "token", "taken", "source",
        "room", "waiting", "pairs",      "drain", "expired", "quota", "frame", "memory",
    };
    return names[refusal];
}

bool ftx_room_name_is_valid(const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') ||
              name[i] == '-'))
            return false;
    return length >= 1 && length <= FTX_ROOM_NAME_MAX;
}

struct ftx_rooms *ftx_rooms_new(const struct ftx_rooms_limits *limits, uint64_t seed)
{
    struct ftx_rooms *rooms = calloc(1, sizeof(*rooms));

    assert(limits->joins_per_minute > 0);
    if (!rooms)
        return NULL;
    rooms->limits = *limits;
    rooms->seed = seed;
    ftx_list_init(&rooms->handshakes);
    ftx_list_init(&rooms->waiting);
    for (size_t i = 0; i < N_CHAINS; i++)
        ftx_list_init(&rooms->chains[i]);
    return rooms;
}

void ftx_rooms_free(struct ftx_rooms *rooms)
{
    assert(!rooms || rooms->counts.n_handshakes + rooms->counts.n_waiting == 0);
    free(rooms);
}

enum ftx_refusal ftx_rooms_refuse(struct ftx_rooms *rooms, enum ftx_refusal why)
{
    rooms->counts.n_refused[why]++;
    return why;
}

static uint64_t hash(const struct ftx_rooms *rooms, const void *bytes, size_t size)
{
    return XXH3_64bits_withSeed(bytes, size, rooms->seed);
}

/* Of an IPv6 address its network counts. */
static struct ftx_source network_of(const struct ftx_source *source)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct ftx_source network = *source;

    if (memcmp(source->bytes, mapped, sizeof(mapped)) != 0)
        memset(network.bytes + 8, 0, 8);
    return network;
}

static bool has_rate(const struct ftx_rooms *rooms, const struct bucket *bucket, uint64_t now_ms)
{
    uint64_t each_ms = MINUTE_MS / rooms->limits.joins_per_minute;

    return bucket->free_at_ms + each_ms <= now_ms + MINUTE_MS;
}

static void spend(const struct ftx_rooms *rooms, struct bucket *bucket, uint64_t now_ms)
{
    if (bucket->free_at_ms < now_ms)
        bucket->free_at_ms = now_ms;
    bucket->free_at_ms += MINUTE_MS / rooms->limits.joins_per_minute;
}

static size_t count_of_source(const struct ftx_rooms *rooms, const struct ftx_source *network)
{
    size_t n = 0;

    for (struct ftx_list *it = rooms->handshakes.next; it != &rooms->handshakes; it = it->next) {
        const struct ftx_seat *seat = ftx_list_of(it, struct ftx_seat, due);
        n += memcmp(&seat->source, network, sizeof(*network)) == 0;
    }
    return n;
}

enum ftx_refusal ftx_rooms_arrive(struct ftx_rooms *rooms, struct ftx_seat *seat,
                                  const struct ftx_source *source, bool trusted, uint64_t now_ms)
{
    struct ftx_source network = network_of(source);

    assert(seat->state == FTX_SEAT_NONE);
    if (rooms->counts.n_handshakes >= rooms->limits.n_handshakes ||
        (!trusted && count_of_source(rooms, &network) >= rooms->limits.n_handshakes_of_source))
        return ftx_rooms_refuse(rooms, FTX_REFUSED_HANDSHAKES);
    seat->state = FTX_SEAT_HANDSHAKE;
    seat->source = network;
    seat->since_ms = now_ms;
    ftx_list_append(&rooms->handshakes, &seat->due);
    rooms->counts.n_handshakes++;
    return FTX_ADMITTED;
}

static struct ftx_list *chain_of(struct ftx_rooms *rooms, const char *name)
{
    return &rooms->chains[hash(rooms, name, strlen(name)) % N_CHAINS];
}

static struct ftx_room *find(struct ftx_rooms *rooms, const char *name)
{
    struct ftx_list *chain = chain_of(rooms, name);

    for (struct ftx_list *it = chain->next; it != chain; it = it->next) {
        struct ftx_room *room = ftx_list_of(it, struct ftx_room, link);
        if (strcmp(room->name, name) == 0)
            return room;
    }
    return NULL;
}

static struct ftx_room *add(struct ftx_rooms *rooms, const char *name)
{
    struct ftx_room *room = calloc(1, sizeof(*room));

    if (!room)
        return NULL;
    strcpy(room->name, name);
    ftx_list_append(chain_of(rooms, name), &room->link);
    return room;
}

static void leave_handshakes(struct ftx_rooms *rooms, struct ftx_seat *seat)
{
    ftx_list_remove(&seat->due);
    rooms->counts.n_handshakes--;
}

static void leave_waiting(struct ftx_rooms *rooms, struct ftx_seat *seat)
{
    ftx_list_remove(&seat->due);
    rooms->counts.n_waiting--;
}

static void let_wait(struct ftx_rooms *rooms, struct ftx_seat *seat, uint64_t now_ms)
{
    seat->state = FTX_SEAT_WAITING;
    seat->since_ms = now_ms;
    ftx_list_append(&rooms->waiting, &seat->due);
    rooms->counts.n_waiting++;
}

static void pair(struct ftx_rooms *rooms, struct ftx_seat *newcomer, struct ftx_seat *waiter)
{
    leave_waiting(rooms, waiter);
    newcomer->state = waiter->state = FTX_SEAT_PAIRED;
    newcomer->partner = waiter;
    waiter->partner = newcomer;
    rooms->counts.n_pairs++;
    rooms->counts.n_paired++;
}

enum ftx_refusal ftx_rooms_join(struct ftx_rooms *rooms, struct ftx_seat *seat, const char *name,
                                char role, const struct ftx_source *source, uint64_t now_ms)
{
    struct ftx_source network = network_of(source);
    struct bucket *of_source = &rooms->sources[hash(rooms, &network, sizeof(network)) % N_BUCKETS];
    struct bucket *of_name = &rooms->names[hash(rooms, name, strlen(name)) % N_BUCKETS];
    struct ftx_room *room = find(rooms, name);
    struct ftx_seat *waiter;

    assert(seat->state == FTX_SEAT_HANDSHAKE && ftx_room_name_is_valid(name, strlen(name)));
    if (rooms->draining)
        return ftx_rooms_refuse(rooms, FTX_REFUSED_DRAINING);
    if (!has_rate(rooms, of_source, now_ms))
        return ftx_rooms_refuse(rooms, FTX_REFUSED_SOURCE_RATE);
    spend(rooms, of_source, now_ms); /* also for what is refused below */
    if (!has_rate(rooms, of_name, now_ms))
        return ftx_rooms_refuse(rooms, FTX_REFUSED_ROOM_RATE);
    spend(rooms, of_name, now_ms);
    if (room && (role == 's' ? room->s : room->r))
        return ftx_rooms_refuse(rooms, FTX_REFUSED_TAKEN);
    if (!room && rooms->counts.n_waiting >= rooms->limits.n_waiting)
        return ftx_rooms_refuse(rooms, FTX_REFUSED_WAITING);
    if (rooms->counts.n_pairs >= rooms->limits.n_pairs)
        return ftx_rooms_refuse(rooms, FTX_REFUSED_PAIRS);
    if (!room && !(room = add(rooms, name)))
        return ftx_rooms_refuse(rooms, FTX_REFUSED_MEMORY);

    leave_handshakes(rooms, seat);
    rooms->counts.n_joins++;
    waiter = role == 's' ? room->r : room->s;
    *(role == 's' ? &room->s : &room->r) = seat;
    seat->room = room;
    if (waiter)
        pair(rooms, seat, waiter);
    else
        let_wait(rooms, seat, now_ms);
    return FTX_ADMITTED;
}

static void remove_room(struct ftx_room *room)
{
    ftx_list_remove(&room->link);
    free(room);
}

void ftx_rooms_leave(struct ftx_rooms *rooms, struct ftx_seat *seat)
{
    switch (seat->state) {
    case FTX_SEAT_HANDSHAKE:
        leave_handshakes(rooms, seat);
        break;
    case FTX_SEAT_WAITING:
        leave_waiting(rooms, seat);
        remove_room(seat->room);
        break;
    case FTX_SEAT_PAIRED:
        seat->partner->state = FTX_SEAT_ALONE;
        seat->partner->partner = NULL;
        seat->partner->room = NULL;
        rooms->counts.n_pairs--;
        remove_room(seat->room);
        break;
    case FTX_SEAT_ALONE:
    case FTX_SEAT_NONE:
        break;
    }
    memset(seat, 0, sizeof(*seat));
}

bool ftx_rooms_move(struct ftx_rooms *rooms, struct ftx_seat *seat, size_t n_bytes)
{
    assert(seat->state == FTX_SEAT_PAIRED);
    rooms->counts.n_bytes += n_bytes;
    seat->room->n_bytes += n_bytes;
    return rooms->limits.room_bytes == 0 || seat->room->n_bytes <= rooms->limits.room_bytes;
}

static struct ftx_seat *first_before(struct ftx_list *list, uint64_t since_ms)
{
    struct ftx_seat *seat = ftx_list_of(list->next, struct ftx_seat, due);

    return !ftx_list_empty(list) && seat->since_ms <= since_ms ? seat : NULL;
}

struct ftx_seat *ftx_rooms_overdue(struct ftx_rooms *rooms, uint64_t now_ms,
                                   enum ftx_refusal *out_why)
{
    struct ftx_seat *seat = NULL;

    if (now_ms >= rooms->limits.handshake_ms)
        seat = first_before(&rooms->handshakes, now_ms - rooms->limits.handshake_ms);
    *out_why = FTX_REFUSED_LATE;
    if (seat || now_ms < rooms->limits.wait_ms)
        return seat;
    *out_why = FTX_REFUSED_EXPIRED;
    return first_before(&rooms->waiting, now_ms - rooms->limits.wait_ms);
}

void ftx_rooms_drain(struct ftx_rooms *rooms)
{
    rooms->draining = true;
}

bool ftx_rooms_is_draining(const struct ftx_rooms *rooms)
{
    return rooms->draining;
}

struct ftx_seat *ftx_rooms_first_waiting(struct ftx_rooms *rooms)
{
    return first_before(&rooms->waiting, UINT64_MAX);
}

const struct ftx_rooms_counts *ftx_rooms_count(const struct ftx_rooms *rooms)
{
    return &rooms->counts;
}
