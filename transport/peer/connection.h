/* SPDX-License-Identifier: MIT */
/*
 * One connection: a pipe, its handshake, then records both ways. It knows nothing of links and
 * sessions: its owner answers what the handshake wants, gets the records in order, and gives plans
 * to be built, sealed and written in order. Private to transport/peer; loop thread only.
 *
 *   new -> HANDSHAKE -- wants .. --> RECORDS -- finish --> FINISHING -> CLOSED -> gone
 *               \________________________\______ close _______________/
 *
 * Workers hold records and plans, the pipe holds writes: `n_jobs` counts what is out. `gone` comes,
 * and the memory goes, when all of it is back.
 */
#ifndef FTX_PEER_CONNECTION_H
#define FTX_PEER_CONNECTION_H

#include "transport/crypto/record.h"
#include "transport/net/pipe.h"
#include "transport/net/work.h"
#include "transport/peer/pace.h"
#include "transport/peer/ways.h"
#include "transport/session/compress.h"
#include "transport/session/handshake.h"
#include "transport/session/plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct ftx_connection;
struct ftx_try;

/* After ftx_connection_close and ftx_connection_finish only `built` and, last, `gone` come. */
struct ftx_connection_events {
    /* The handshake stands still until the owner did this. May come inside ftx_connection_resolved
     * and _written. */
    void (*wants)(void *owner, struct ftx_connection *c, enum ftx_handshake_want want);
    /* Some bytes of records came. */
    void (*heard)(void *owner, struct ftx_connection *c);
    /* The next record, opened: `plain` stands in `whole`, a block that is the owner's now. */
    void (*record)(void *owner, struct ftx_connection *c, const uint8_t *plain, size_t size,
                   void *whole);
    /* A plan comes back, once; sent: its record will be written. May come inside
     * ftx_connection_send. */
    void (*built)(void *owner, struct ftx_connection *c, struct ftx_plan *plan, bool sent);
    /* `size` bytes of a record are with the transport: there may be room again. */
    void (*written)(void *owner, struct ftx_connection *c, size_t size);
    /* Nothing will come any more, UV_EOF or what broke; at most once; the owner then closes. May
     * come inside any call but new. */
    void (*ended)(void *owner, struct ftx_connection *c, int err);
    /* Nothing is out any more; the connection is freed after this. Never inside a call. */
    void (*gone)(void *owner, struct ftx_connection *c);
};

enum ftx_connection_phase {
    FTX_CONNECTION_HANDSHAKE,
    FTX_CONNECTION_RECORDS,
    FTX_CONNECTION_FINISHING, /* writes what was given, drops what comes */
    FTX_CONNECTION_CLOSED,
};

/* What a connection is to its link. */
enum ftx_connection_place {
    FTX_PLACE_HANDSHAKE, /* of the node, then of the link, until it is proven */
    FTX_PLACE_CANDIDATE, /* proven: the next session's control connection */
    FTX_PLACE_SESSION,
    FTX_PLACE_OUT, /* closing */
};

/* In locked memory; wiped when freed. */
struct ftx_connection_secret {
    struct ftx_handshake handshake;
    struct ftx_record_key send, receive;
};

struct ftx_connection {
    /* -- the owner's -- */
    struct ftx_list node;
    enum ftx_connection_place place;
    bool data;                    /* dialled to become a data connection */
    bool guessed;                 /* PAIR: a guess is spent on it */
    bool guess_open;              /* ... and nobody knows yet whether it was right */
    struct ftx_try *try;          /* dialled and in handshake: what it belongs to */
    struct ftx_way way;           /* it came over; accepted: without an address to dial */
    bool in_session;              /* its plans are the engine's */
    unsigned index;               /* in the engine */
    uint64_t awaits;              /* the save that it waits for, 0: none */
    struct ftx_compress compress; /* set up when it gets into a session */
    unsigned *pending; /* the node's count of unproven connections, while this is one of them */
    struct {
        const uint8_t *plain;
        size_t size;
        void *whole;
    } first; /* R: the record that proved it, until the session takes it */

    /* -- read by the owner -- */
    bool dialled;
    enum ftx_connection_phase phase;
    struct ftx_pipe *pipe;
    struct ftx_connection_secret *secret;
    char address[64];

    /* -- private -- */
    const struct ftx_connection_events *events;
    void *owner;
    uv_loop_t *loop;
    uv_timer_t deadline; /* of the handshake, then of finishing; its closing precedes `gone` */
    unsigned n_jobs;
    int late_err; /* told by the deadline's timer: new itself calls nobody */
    bool reading, paused, told;
    bool ended; /* by the pipe: told once all records before it are delivered */
    int end_err;
    uint8_t early[512]; /* bytes of the handshake, and what came right behind them */
    size_t early_at, early_end;
    /* connection_read.c */
    uint8_t head[FTX_RECORD_HEAD];
    size_t head_size;
    uint8_t *block; /* the record that is coming: block_size of block_need bytes */
    size_t block_size, block_need;
    struct ftx_list inbound; /* records that are being opened, in order */
    size_t inbound_bytes;
    /* connection_write.c */
    struct ftx_list outbound; /* records that are being built or written, in order */
    size_t outbound_bytes;    /* of them on the wire; as planned, while one is built */
    size_t outbound_memory;   /* of their blocks */
    uint64_t given_bytes;     /* to the pipe, ever */
    struct ftx_pace pace;
};

/*
 * Takes the pipe, also when it fails. `link` NULL: accepted, waits for a Hello; else dialled, says
 * Hello. The 10 s of the handshake begin. -ENOMEM, -EINVAL for a code that is none.
 */
int ftx_connection_new(uv_loop_t *loop, struct ftx_pipe *pipe,
                       const struct ftx_connection_events *events, void *owner,
                       const struct ftx_handshake_link *link, struct ftx_connection **out);

/* Another owner takes over. */
void ftx_connection_own(struct ftx_connection *c, const struct ftx_connection_events *events,
                        void *owner);

/* Answers to `wants`: the link (FTX_WANT_LINK); it is written (FTX_WANT_GUESS_*,
 * FTX_WANT_KEYS_WRITTEN). */
void ftx_connection_resolved(struct ftx_connection *c, const struct ftx_handshake_link *link);
void ftx_connection_written(struct ftx_connection *c);

/* The peer has proven itself: the deadline no longer holds. */
void ftx_connection_settle(struct ftx_connection *c);

/* No more reading and no `record` until resumed: back-pressure. Resuming may deliver records. */
void ftx_connection_pause(struct ftx_connection *c);
void ftx_connection_resume(struct ftx_connection *c);

/* False: enough is queued for sending, wait for `written`. */
bool ftx_connection_has_room(const struct ftx_connection *c);

/* Builds, seals and writes the plan's record, in order. The plan comes back in `built`. */
void ftx_connection_send(struct ftx_connection *c, struct ftx_plan *plan, ftx_plan_read_fn read,
                         void *read_ctx);

/*
 * Closes when the peer has: what it is about to be told makes it do so; after half a second anyway.
 * Nothing to tell: at once. (A socket that is closed with bytes unread takes back what is still on
 * its way.)
 */
void ftx_connection_finish(struct ftx_connection *c);
/* Closes at once. Harmless if it is closed. */
void ftx_connection_close(struct ftx_connection *c);

/* -- between connection.c, connection_read.c and connection_write.c -- */

/* It is over: tells the owner; while finishing, closes. */
void ftx_connection_fail(struct ftx_connection *c, int err);
/* Starts or stops reading as its state wants. */
void ftx_connection_flow(struct ftx_connection *c);
/* One of `n_jobs` is back. */
void ftx_connection_job_back(struct ftx_connection *c);

/* Where the next bytes of a record go; `size` of them were put there. */
void ftx_connection_read_room(struct ftx_connection *c, uint8_t **out_bytes, size_t *out_size);
void ftx_connection_read_took(struct ftx_connection *c, size_t size);
/* Gives opened records to the owner, in order, then the end of the pipe. */
void ftx_connection_deliver(struct ftx_connection *c);
void ftx_connection_read_free(struct ftx_connection *c);

/* Writes plain bytes of the handshake (copied). -ENOMEM. */
int ftx_connection_write_bytes(struct ftx_connection *c, const uint8_t *bytes, size_t size);
void ftx_connection_write_free(struct ftx_connection *c);

#endif
