/* SPDX-License-Identifier: MIT */
/* Two engines with bare applications that count what they are called for; records are carried by
 * hand. */
#ifndef FTX_TESTS_SIM_BARE_H
#define FTX_TESTS_SIM_BARE_H

#include "transport/session/engine.h"

enum { STREAMS = 4 };

/* An application that counts: each stream has some extents of one length to give, then perhaps a
 * seal. */
struct bare {
    struct ftx_stream streams[STREAMS];
    unsigned extents[STREAMS];
    uint64_t next_offset[STREAMS];
    bool seal[STREAMS];
    uint64_t length;
    bool hole;
    uint64_t ops;
    size_t op_size;
    uint8_t op[FTX_OP_MAX];
    int start_answer, read_answer;
    bool hold; /* records are not written at once */
    uint64_t session, started_at, ops_durable;
    unsigned received, durable, failed, delivered, unsealed, applied, arrived, resized, sealed;
    unsigned records, held, missing, wanted, refused;
    uint64_t first_arrived;
    uint8_t serve_kind;  /* answers: their kind, */
    uint64_t serve_most; /* and at most so long; 0: as long as they may be */
    int answer_err;      /* what reading an answer gives */
    unsigned served, read_answers, fetched;
    int fetched_answer;           /* what `fetched` returns */
    struct ftx_range serve_asked; /* by the last `serve` */
    struct ftx_extent last_fetched;
    bool fetched_data;          /* the last had data, all of it BARE_BYTE */
    struct ftx_range rest;      /* of what is fetched: asked for from inside the answer */
    unsigned digests, digested; /* questions of the peer, answers of it */
    struct ftx_told_digest last_digest, last_digested;
    struct ftx_record_ref last;
    struct ftx_engine engine;
};

struct pair {
    struct bare s, r;
};

enum { BARE_BYTE = 0x5a }; /* what answers are made of */

/* Where records are built, and handed over. */
extern uint8_t bare_room[FTX_RECORD_PLAIN_MAX];

void bare_init(struct bare *app, enum ftx_role role, uint64_t session);
/* Pulls and builds one record into bare_room; its size, 0 if there is none. */
size_t bare_take(struct bare *app, unsigned connection, uint64_t now_ms);
/* Receives what stands in bare_room. */
int bare_give(struct bare *app, unsigned connection, size_t size, uint64_t now_ms);
/* One record from one to the other; false if there was none. */
bool bare_carry(struct bare *from, struct bare *to, unsigned connection, uint64_t now_ms);
/* All there is, both ways. */
void bare_carry_all(struct pair *pair, uint64_t now_ms);

/* For cmocka: a pair that has said nothing yet, one whose session runs, and its end. */
int bare_set_up(void **state);
int bare_set_up_running(void **state);
int bare_tear_down(void **state);

#endif
