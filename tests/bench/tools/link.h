/* SPDX-License-Identifier: MIT */
/* One direction of an emulated link: a queue of limited length, a line of a fixed rate, losses by chance, a constant delay.
 *
 * Pure: no clock, no I/O. A packet that comes in is given the time at which it leaves the far end, so what carries it needs
 * nothing but a queue in that order: due times never go back. */
#ifndef TESTS_BENCH_TOOLS_LINK_H
#define TESTS_BENCH_TOOLS_LINK_H

#include <stddef.h>
#include <stdint.h>

struct link_shape {
    uint64_t rate_bits;   /* a second, of whole IP packets; 0: no limit, and no queue */
    uint64_t delay_ns;    /* one way, after the last bit was sent */
    uint64_t queue_bytes; /* that may wait for the line; what comes then is dropped */
    double loss;          /* 0 to 1: the chance of a packet to be lost behind the line */
    uint64_t seed;        /* of that chance */
};

enum link_fate { LINK_DELIVERED, LINK_LOST, LINK_DROPPED };

struct link {
    struct link_shape shape;
    uint64_t line_free_ns; /* when all that waits will have been sent */
    uint64_t random;
    uint64_t n_bytes; /* sent on the line: delivered and lost */
    uint64_t n_packets[LINK_DROPPED + 1];
};

void link_init(struct link *link, const struct link_shape *shape);

/* What happens to a packet of `bytes` that arrives at `now_ns` (which never goes back). For LINK_DELIVERED, *out_due_ns is
 * when it comes out; never before that of an earlier packet. */
enum link_fate link_accept(struct link *link, uint64_t now_ns, size_t bytes, uint64_t *out_due_ns);

#endif
