/* SPDX-License-Identifier: MIT */
/* Two ends of a link and a wire between them that can cut and flip: for the handshake's tests. */
#ifndef FTX_TESTS_CRYPTO_TWO_ENDS_H
#define FTX_TESTS_CRYPTO_TWO_ENDS_H

#include "transport/session/handshake.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of each message, in the order in which an end sends them. */
enum { HELLO = 42, SHARE = 32, TAG = 64, BOX = 80, KEPT = 16, NOISE = 48 };
enum { PAIR_BYTES = HELLO + SHARE + TAG + BOX + KEPT, RESUME_BYTES = HELLO + NOISE };

struct end {
    struct ftx_handshake hs;
    struct ftx_handshake_link link;
    uint32_t random[8]; /* seed and counter of the handed-in randomness */
    int err;            /* the first error: this end has closed */
    enum ftx_handshake_want wants[8];
    size_t n_wants; /* each want but BYTES, once */
    int guesses;    /* spent and not back */
    int written;    /* how often keys were written */
    uint8_t sent[1024];
    size_t n_sent;   /* all that ever left */
    size_t n_passed; /* of it, what another end was given */
    size_t n_received;
};

/* Ends by role: ends[S] leads. */
enum { S, R };

struct wire {
    size_t chunk;    /* most bytes handed over at once */
    int faulty;      /* S or R: the end whose bytes suffer; -1: none */
    size_t fault_at; /* which of them */
    uint8_t flip;    /* bits to flip there; 0: cut there */
};

#define WIRE_WHOLE ((struct wire){.chunk = 4096, .faulty = -1})
#define CODE       "7-guitar-harvest"
#define ANY_RUN                                                                                    \
    {FTX_MODE_PAIR, S}, {FTX_MODE_PAIR, R}, {FTX_MODE_RESUME, S},                                  \
    {                                                                                              \
        FTX_MODE_RESUME, R                                                                         \
    }

/* A mode and who dials. */
struct run {
    enum ftx_mode mode;
    int dialler;
};

/* The keys of link number `which`, as its end of that role holds them. */
const struct ftx_link_keys *test_keys(int which, int role);

/* The end `role` of link 0 in a mode; the seed sets its randomness. */
void end_init(struct end *end, enum ftx_mode mode, int role, uint32_t seed);

/* Starts; a dialler's Hello is then in `sent`. */
void end_start(struct end *end, bool dialler);

/* Hands over bytes as they would come from the network, and does what the handshake wants. */
void end_feed(struct end *end, const uint8_t *bytes, size_t size, size_t chunk);

/* Hands over what `from` has sent since the last time, at most `most` bytes; false: nothing. */
bool end_pass(struct end *from, struct end *to, size_t most);

/* PAIR or RESUME is complete here. */
bool end_done(const struct end *end);

void end_close(struct end *end);

/* Moves bytes both ways until nothing moves any more. */
void ends_connect(struct end ends[2], const struct wire *wire);

/* end_init and end_start of both, then ends_connect. */
void ends_run(struct end ends[2], struct run run, const struct wire *wire);

void ends_close(struct end ends[2]);

#endif
