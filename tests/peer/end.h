/* SPDX-License-Identifier: MIT */
/*
 * One end for the tests: a node with one link, a "disk" that holds what was saved, and an
 * application that sends and receives streams from memory. Timers run faster than the clock
 * (FTX_TESTS_PEER_HURRY), so that rests and deadlines cost no time.
 */
#ifndef FTX_TESTS_PEER_END_H
#define FTX_TESTS_PEER_END_H

#include <pthread.h>
#include <stdatomic.h>

#include "tests/net/loop.h"
#include "tests/peer/proxy.h"
#include "transport/peer/peer.h"
#include "transport/session/compress.h"

enum {
    HURRY = 20,
    N_STREAMS = 8,
    PIECE = 256 << 10,
    N_PIECES = 64,
};

struct out_stream {
    struct ftx_stream stream;
    uint8_t *bytes;
    uint64_t size;
    struct {
        enum { PIECE_DUE, PIECE_FLIGHT, PIECE_RECEIVED, PIECE_DURABLE } state;
        uint64_t send;
    } pieces[N_PIECES];
    bool seal_out, delivered;
};

struct in_stream {
    uint8_t *bytes;
    uint64_t size;
    bool here[N_PIECES];
    bool told, sealed;
};

struct held_record {
    struct ftx_record_ref ref;
    void *whole;
};

struct end {
    struct test_loop *loop;
    struct proxy *way_in; /* where the other end dials */
    struct ftx_node *node;
    struct ftx_peer *peer;
    bool stopped, gone;
    uint16_t lan_port; /* set before it starts; not 0: it searches 127.0.0.1 as a local network */
    bool deaf;         /* it does not listen */

    /* the disk */
    struct ftx_peer_identity disk;
    struct {
        struct ftx_peer_identity identity;
        uint64_t token;
    } saves[16];
    size_t n_waiting; /* saves to be answered */
    uv_timer_t answers;
    bool answering;
    size_t n_saves;    /* in the life of the end */
    size_t kill_at;    /* the save at which it dies: nothing is answered any more; 0: never */
    bool kill_written; /* ... after it reached the disk */
    bool dead;
    bool ready_waits;                                /* prepare is answered later */
    bool busy;                                       /* says that there is work */
    const char *relay;                               /* its URL; NULL: none */
    struct ftx_told_address told[FTX_ADDRESSES_MAX]; /* what it tells the other, if not nothing */
    size_t n_told;
    struct ftx_told_address kept[FTX_ADDRESSES_MAX]; /* what the other told, over restarts */
    size_t n_kept;
    uint64_t kept_age_ms; /* at the next start */

    /* what was told */
    size_t n_guesses_failed;   /* in the life of the end */
    struct ftx_engine *engine; /* while a session runs */
    enum ftx_peer_health health;
    enum ftx_path path;
    bool was_same_role, was_pairing;
    size_t n_begun, n_ended;
    int end_reason;

    /* the application */
    struct out_stream out[N_STREAMS];
    size_t n_out;
    uint64_t ops_durable;
    struct in_stream in[N_STREAMS];
    uint64_t ops_seen;
    bool hold; /* records are kept until end_write */
    struct held_record held[4096];
    size_t n_held, held_bytes, most_held;
    size_t n_arrived;
    pthread_t thread;                /* the loop's */
    atomic_uint unreadable;          /* so many reads of answers fail */
    atomic_bool read_here;           /* an answer was read on the loop's thread */
    enum ftx_compress_mode compress; /* set before it starts; then it sends what shrinks */
    struct ftx_codec *codec;
    uint64_t packed_before, packed_after;     /* what the peer layer told of what was sent */
    uint64_t unpacked_before, unpacked_after; /* of what came */
    uint64_t fetched_bytes;
    size_t n_fetched, n_gone;
};

/* How far the ends' clock is ahead of the loop's: a case that wants time to pass adds to it. */
extern uint64_t clock_ahead_ms;

/* Ready to start: ARMED with the code in this role. */
void end_init(struct end *end, struct test_loop *loop, struct proxy *way_in, enum ftx_role role,
              const char *code);
/* A node and its link from what is on the disk; dials through `way_out` if not NULL. */
void end_start(struct end *end, const struct proxy *way_out);
/* The same as one more link of the node of `other`, which stops both. */
void end_start_beside(struct end *end, const struct end *other);
/* Stops the node and waits until it is gone. */
void end_stop(struct end *end);
void end_free(struct end *end);

/* The session runs and both ends have said START. */
bool end_connected(const struct end *end);

/* Arms a stream of `size` bytes; returns its number. */
uint64_t end_send(struct end *end, uint64_t size);
/* Asks for the range of what this end has sent; pieces of FTX_EXTENT_MAX, their rests by itself. */
void end_fetch(struct end *end, uint64_t stream, uint64_t offset, uint64_t length);
/* What was held is written: the blocks are free. */
void end_write(struct end *end);
/* Everything that `from` sends is complete at `to` and known to be. */
bool end_delivered(const struct end *from);
void assert_arrived(const struct end *from, const struct end *to);

#endif
