/* SPDX-License-Identifier: MIT */
/*
 * The announcement of a machine on its local network (docs/protocol.md 10): a datagram that only who
 * holds the other end of one of its links recognises. Pure; one size, however many links there are.
 *
 *   begin: a nonce, and random bytes for tags -> add a link's tag over some of them, for each
 */
#ifndef FTX_SESSION_ANNOUNCE_H
#define FTX_SESSION_ANNOUNCE_H

#include "transport/session/handshake.h"

enum {
    FTX_ANNOUNCE_HEAD = 24,
    FTX_ANNOUNCE_TAGS = 64,
    FTX_ANNOUNCE_SIZE = FTX_ANNOUNCE_HEAD + FTX_ANNOUNCE_TAGS * FTX_LAN_TAG_SIZE,
};

/* One that is being made: `bytes` are it, at any time. */
struct ftx_announcing {
    uint8_t bytes[FTX_ANNOUNCE_SIZE];
    unsigned first, n; /* tags stand from a random place on, and around the end */
};

/* One that came; points into its bytes. */
struct ftx_announce {
    uint16_t port;
    const uint8_t *nonce;
    const uint8_t *tags;
};

/* Without links yet. `port`: where TCP connections are taken; 0: nowhere, please call yourself. */
void ftx_announce_begin(struct ftx_announcing *announcing, uint16_t port, ftx_random_fn random,
                        void *random_ctx);
/* The link's mode, role and label or keys count. False: all tags are taken. */
bool ftx_announce_add(struct ftx_announcing *announcing, const struct ftx_handshake_link *link);

/* FTX_EPROTO; FTX_EVERSION: of another version. */
int ftx_announce_parse(struct ftx_announce *announce, const uint8_t *bytes, size_t size);
/* True if it has the tag of the link's other end. Costs a hash of a few blocks. */
bool ftx_announce_matches(const struct ftx_announce *announce,
                          const struct ftx_handshake_link *link);

#endif
