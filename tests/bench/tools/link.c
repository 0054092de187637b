/* SPDX-License-Identifier: MIT */
/* The arithmetic of one direction of an emulated link. */
#include "tests/bench/tools/link.h"

static const uint64_t second_ns = 1000000000;

void link_init(struct link *link, const struct link_shape *shape)
{
    *link = (struct link){.shape = *shape, .random = shape->seed};
}

/* splitmix64 (Steele, Lea, Flood 2014): any seed will do, also 0. In [0, 1). */
static double chance(struct link *link)
{
    uint64_t z = link->random += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

/* Bytes that still wait for the line, or are on it. */
static uint64_t waiting(const struct link *link, uint64_t now_ns)
{
    if (link->line_free_ns <= now_ns)
        return 0;
    return (link->line_free_ns - now_ns) * (link->shape.rate_bits / 8) / second_ns;
}

static enum link_fate decide(struct link *link, uint64_t now_ns, size_t bytes)
{
    const struct link_shape *shape = &link->shape;
    if (shape->rate_bits) {
        uint64_t begin_ns = link->line_free_ns > now_ns ? link->line_free_ns : now_ns;
        if (begin_ns > now_ns && waiting(link, now_ns) + bytes > shape->queue_bytes)
            return LINK_DROPPED;
        link->line_free_ns = begin_ns + bytes * 8 * second_ns / shape->rate_bits;
    } else {
        link->line_free_ns = now_ns;
    }
    link->n_bytes += bytes;
    return shape->loss > 0 && chance(link) < shape->loss ? LINK_LOST : LINK_DELIVERED;
}

enum link_fate link_accept(struct link *link, uint64_t now_ns, size_t bytes, uint64_t *out_due_ns)
{
    enum link_fate fate = decide(link, now_ns, bytes);
    link->n_packets[fate]++;
    if (fate == LINK_DELIVERED)
        *out_due_ns = link->line_free_ns + link->shape.delay_ns;
    return fate;
}
