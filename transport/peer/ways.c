/* SPDX-License-Identifier: MIT */
/* An array: whoever looks for something in at most 32 ways looks at all of them. */
#include "transport/peer/ways.h"

#include <string.h>
#include <strings.h>

static const uint64_t kept_ms[] = {
    [FTX_WAY_TOLD] = FTX_WAY_TOLD_MS,
    [FTX_WAY_LAN] = 600 * 1000,
    [FTX_WAY_CONFIGURED] = UINT64_MAX,
    [FTX_WAY_RELAY] = UINT64_MAX,
};

bool ftx_address_equal(const struct ftx_address *a, const struct ftx_address *b)
{
    return a->port == b->port && strcasecmp(a->host, b->host) == 0;
}

struct ftx_way *ftx_ways_find(struct ftx_ways *ways, const struct ftx_address *address)
{
    for (size_t i = 0; i < ways->n; i++)
        if (ftx_address_equal(&ways->at[i].address, address))
            return &ways->at[i];
    return NULL;
}

static bool is_users(const struct ftx_way *way)
{
    return way->kind == FTX_WAY_CONFIGURED || way->kind == FTX_WAY_RELAY;
}

static void remove_at(struct ftx_ways *ways, size_t i)
{
    memmove(&ways->at[i], &ways->at[i + 1], (--ways->n - i) * sizeof *ways->at);
}

/* False: all places are the user's. */
static bool make_room(struct ftx_ways *ways)
{
    size_t victim = ways->n;
    if (ways->n < FTX_WAYS_MAX)
        return true;
    for (size_t i = 0; i < ways->n; i++) {
        const struct ftx_way *way = &ways->at[i], *worst = &ways->at[victim];
        if (is_users(way))
            continue;
        if (victim == ways->n || (worst->proven && !way->proven) ||
            (worst->proven == way->proven && way->found_ms < worst->found_ms))
            victim = i;
    }
    if (victim < ways->n)
        remove_at(ways, victim);
    return ways->n < FTX_WAYS_MAX;
}

bool ftx_ways_add(struct ftx_ways *ways, const struct ftx_way *way)
{
    struct ftx_way *known = ftx_ways_find(ways, &way->address);
    if (known) {
        known->found_ms = way->found_ms;
        if (way->kind > known->kind)
            known->kind = way->kind;
        if (!known->path_known && way->path > known->path)
            known->path = way->path;
        return false;
    }
    if (!make_room(ways))
        return false;
    known = &ways->at[ways->n++];
    *known = *way;
    known->path_known = known->proven = known->tried = false;
    return true;
}

void ftx_ways_forget(struct ftx_ways *ways, enum ftx_way_kind kind, uint64_t since_ms)
{
    for (size_t i = ways->n; i-- > 0;)
        if (ways->at[i].kind == kind && ways->at[i].found_ms < since_ms)
            remove_at(ways, i);
}

void ftx_ways_heard(struct ftx_ways *ways, enum ftx_way_kind kind, uint64_t when_ms)
{
    for (size_t i = 0; i < ways->n; i++)
        if (ways->at[i].kind == kind)
            ways->at[i].found_ms = when_ms;
}

void ftx_ways_doubt(struct ftx_ways *ways)
{
    for (size_t i = 0; i < ways->n; i++)
        ways->at[i].path_known = false;
}

const char *ftx_path_text(enum ftx_path path)
{
    static const char *const texts[] = {"", "relay", "direct", "lan"};
    return texts[path];
}

void ftx_ways_age(struct ftx_ways *ways, uint64_t now_ms)
{
    for (size_t i = ways->n; i-- > 0;)
        if (now_ms - ways->at[i].found_ms >= kept_ms[ways->at[i].kind])
            remove_at(ways, i);
}

void ftx_ways_round(struct ftx_ways *ways)
{
    ways->last_v6 = false;
    for (size_t i = 0; i < ways->n; i++)
        ways->at[i].tried = false;
}

/* A name is resolved when it is dialled: it counts as IPv4. */
static bool is_v6(const struct ftx_way *way)
{
    return way->path != FTX_PATH_RELAY && strchr(way->address.host, ':');
}

static bool goes_before(const struct ftx_ways *ways, const struct ftx_way *a,
                        const struct ftx_way *b)
{
    if (a->path != b->path)
        return a->path > b->path;
    if (a->proven != b->proven)
        return a->proven;
    return is_v6(a) != is_v6(b) && is_v6(a) != ways->last_v6;
}

const struct ftx_way *ftx_ways_best(const struct ftx_ways *ways)
{
    const struct ftx_way *best = NULL;
    for (size_t i = 0; i < ways->n; i++) {
        const struct ftx_way *way = &ways->at[i];
        if (way->path > FTX_PATH_RELAY && (!best || goes_before(ways, way, best)))
            best = way;
    }
    return best;
}

const struct ftx_way *ftx_ways_next(struct ftx_ways *ways, enum ftx_path above)
{
    struct ftx_way *next = NULL;
    for (size_t i = 0; i < ways->n; i++) {
        struct ftx_way *way = &ways->at[i];
        if (!way->tried && way->path > above && (!next || goes_before(ways, way, next)))
            next = way;
    }
    if (next) {
        next->tried = true;
        ways->last_v6 = is_v6(next);
    }
    return next;
}

bool ftx_ways_any(const struct ftx_ways *ways, enum ftx_path above)
{
    for (size_t i = 0; i < ways->n; i++)
        if (ways->at[i].path > above)
            return true;
    return false;
}
