/* SPDX-License-Identifier: MIT */
/* How often a source may connect: a token bucket for each IPv4 address or IPv6 /64. Pure. */
#ifndef FTX_PEER_GATE_H
#define FTX_PEER_GATE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    FTX_GATE_SOURCES = 256, /* remembered at once: a rare caller needs no bucket */
    FTX_GATE_SOURCE = 8,
};

struct ftx_gate_bucket {
    bool used;
    uint8_t source[FTX_GATE_SOURCE]; /* 4 zeros and an IPv4 address, or the front of an IPv6 one */
    uint64_t thousandths;            /* of connections that it has left */
    uint64_t at_ms;                  /* when that was */
};

/* Zeroed: nobody has connected. */
struct ftx_gate {
    struct ftx_gate_bucket buckets[FTX_GATE_SOURCES];
};

/* True if a connection from `address` ("1.2.3.4:5", "[fe80::1%eth0]:5") may be taken now. This
 * machine itself may connect far more often. */
bool ftx_gate_admit(struct ftx_gate *gate, const char *address, uint64_t now_ms);

#endif
