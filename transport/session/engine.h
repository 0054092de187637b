/* SPDX-License-Identifier: MIT */
/*
 * One session of one link (docs/protocol.md 6): what to send next, what came, what is acknowledged.
 * A state machine without I/O, clock or randomness: plain records and time go in, plans for records
 * and calls to the application come out. It lives as long as its connections: the first that ends,
 * ends it.
 *
 *   sending    ftx_engine_pull -> plan -> ftx_plan_build (any thread: reads extents)
 *              -> ftx_engine_built -> sealed and written in order by the caller
 *   receiving  opened by the caller in order -> ftx_engine_receive -> application writes
 *              -> ftx_engine_written, ftx_engine_durable -> ACK goes out
 *
 * Everything but ftx_plan_build runs on one thread, and the application never calls the engine from
 * inside a callback, but for the functions marked (c).
 */
#ifndef FTX_SESSION_ENGINE_H
#define FTX_SESSION_ENGINE_H

#include "transport/base/list.h"
#include "transport/crypto/identity.h"
#include "transport/session/plan.h"
#include "transport/session/scheduler.h"
#include "transport/wire/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FTX_CONNECTIONS_MAX = 1 + FTX_DATA_CONNECTIONS_MAX, /* 0 is the control connection */
    FTX_WINDOW_BYTES = 64 << 20, /* extents with their heads, sent and not yet received: bounds
                                    memory and what a cut makes us forget */
    FTX_WINDOW_OPS_BYTES = 1 << 20,
};

/* A record that came: named in the application's answers. */
struct ftx_record_ref {
    uint64_t number;
    unsigned connection;
};

/*
 * The application: what is sent, and what is done with what comes. Called on the engine's thread;
 * must not block. A negative return from a receiving call ends the session.
 */
struct ftx_engine_app {
    /* -- as sender -- */
    /* R: the session has this number from now on. */
    void (*session)(void *ctx, uint64_t session);
    /* The peer's START came: all operations up to `durable` are applied there. FTX_ELOST if ours
     * went further or the peer's did: the session ends. */
    int (*start)(void *ctx, uint64_t durable);
    /* Operation `number`: its size and bytes (until the next call), 0 if there is none yet. */
    size_t (*op)(void *ctx, uint64_t number, const uint8_t **out_bytes);
    /* What the peer holds of an unfinished stream. */
    void (*held)(void *ctx, const struct ftx_extent *extent);
    /*
     * The next due extent of the stream of at most `room` bytes of data, which thereby is in
     * flight, marked with `send`. 0; -EAGAIN: nothing is due now; -EMSGSIZE: the next does not fit;
     * -EBUSY: the peer holds it: its size is told, and nothing else.
     */
    int (*extent)(void *ctx, struct ftx_stream *stream, size_t room, uint64_t send,
                  struct ftx_source *out);
    /* The stream's SIZE message (version, size_now). */
    void (*size)(void *ctx, struct ftx_stream *stream, struct ftx_extent *out);
    /* True, and the SEAL, if the stream's version is closed and all its extents are received or
     * stand in record `send`. `attributes` has FTX_SEAL_ATTR_MAX bytes of room. If it must come
     * after an operation beyond ftx_engine_op_sent, that becomes stream->op: asked again then. */
    bool (*seal)(void *ctx, struct ftx_stream *stream, uint64_t send, struct ftx_plan_seal *out);
    /* Fate of what was sent, once each, `received` before `durable`; `failed` (reading gave `err`,
     * it was not sent) instead of both. */
    void (*received)(void *ctx, const struct ftx_extent *extent, uint64_t send);
    void (*durable)(void *ctx, const struct ftx_extent *extent, uint64_t send);
    void (*failed)(void *ctx, const struct ftx_extent *extent, uint64_t send, int err);
    void (*ops_durable)(void *ctx, uint64_t number);
    void (*delivered)(void *ctx, uint64_t stream, uint32_t version);
    void (*unsealed)(
        void *ctx, uint64_t stream,
        uint32_t version); /* a SEAL that was not sent, as an extent of its record failed */
    void (*missing)(void *ctx, uint64_t stream, uint32_t version, const struct ftx_range *range);
    void (*refused)(void *ctx, uint64_t stream, enum ftx_refusal reason);
    void (*wanted)(void *ctx, uint64_t stream, const struct ftx_range *range);
    /* The peer takes nothing of the item (0: of what is new to its root) until `takes` says so:
     * only sizes are told. NULL: what these say is passed over. */
    void (*holds)(void *ctx, uint64_t item);
    void (*takes)(void *ctx, uint64_t item);
    /*
     * The answer to one ftx_engine_fetch: of its stream and offset, `length` up to the `asked` bytes
     * (ask for the rest again). `kind` is data (valid like that of `arrived`; the hash is the
     * peer's word), hole, or gone: the peer does not have it. Negative: ends the session.
     */
    int (*fetched)(void *ctx, uint64_t asked, const struct ftx_content *answer);

    /* -- as either -- */
    /* The peer asks for a file's SHA-256: ftx_engine_tell_digest answers, some day (c). */
    void (*digest)(void *ctx, uint64_t stream, enum ftx_digest_whose whose);
    /* The answer to ftx_engine_ask_digest; after FTX_DIGEST_WORKING more is to come. */
    void (*digested)(void *ctx, const struct ftx_told_digest *told);

    /* -- as receiver -- */
    /* The next item of the peer that is not taken yet, for HOLD; false: no more. Before `have`; may
     * be NULL. */
    bool (*hold)(void *ctx, uint64_t *out_item);
    /* The next batch of what is held of unfinished streams: one stream, *out_n <= FTX_HAVE_MAX
     * extents (until the next call); false: no more. */
    bool (*have)(void *ctx, const struct ftx_extent **out_extents, size_t *out_n);
    int (*apply)(void *ctx, uint64_t number, const uint8_t *op, size_t size);
    /* An extent (data NULL: a hole), perhaps encoded: what it unpacks to is the application's to
     * find out. `data` stays valid until ftx_engine_written for the record. */
    int (*arrived)(void *ctx, const struct ftx_content *content);
    int (*resized)(void *ctx, const struct ftx_extent *size);
    int (*sealed)(void *ctx, const struct ftx_plan_seal *seal);
    /*
     * The peer fetches a range of a stream of its own; called while a record is pulled. Fills
     * out->extent: the range's offset, a length from 1 to the range's, a kind; and for data where
     * it is read (its `answer` is set). What cannot be read when the record is built is asked for
     * once more, then answered with gone. `out` is zeroed before.
     */
    void (*serve)(void *ctx, uint64_t stream, const struct ftx_range *range,
                  struct ftx_source *out);
    /* All messages of the record were given. `whole` is what the caller of ftx_engine_receive
     * passed: now the application's, to free once written. Also for records without effects, for
     * which ftx_engine_written and ftx_engine_durable do nothing. */
    void (*record)(void *ctx, struct ftx_record_ref record, void *whole);
};

enum ftx_engine_state {
    FTX_ENGINE_EXPECT_START,
    FTX_ENGINE_RUNNING,
    FTX_ENGINE_ENDED,
};

struct ftx_engine_connection;

/* A FETCH of one end that is not answered. */
struct ftx_fetch {
    uint64_t stream;
    struct ftx_range range;
    uint64_t send;    /* mark of the plan that it left in, or, asked by the peer, that its answer
                         stands in; 0: it waits */
    uint8_t failures; /* asked by the peer: builds that could not read the answer */
};

/* In the order in which they were asked. */
struct ftx_fetches {
    struct ftx_fetch at[FTX_FETCHES_MAX];
    size_t n;
};

struct ftx_engine {
    const struct ftx_engine_app *app;
    void *ctx;
    enum ftx_role role;
    enum ftx_engine_state state;
    int end_reason; /* FTX_ENGINE_ENDED: why; 0 for a GOODBYE 1 of either end */
    uint64_t session;
    uint64_t op_seen;      /* what START says: the peer's last operation that is durable here */
    uint64_t op_next_out;  /* the next operation to send */
    uint64_t op_next_in;   /* the next number that may come */
    uint64_t op_bytes_out; /* of operations sent and not received */
    uint64_t op_received;  /* ours that the peer has processed */
    uint64_t window;       /* bytes of extents in flight, with their heads */
    uint64_t next_send;
    bool start_due, holds_due, have_due, peer_have_done;
    bool held;      /* the caller's: no content goes out for now, all else does */
    bool announce;  /* content waits longer than a record: tell sizes first */
    bool told_news; /* `told` came: the caller sets it back when it has looked */
    uint8_t n_told; /* where the peer says that it can be dialled */
    struct ftx_told_address told[FTX_ADDRESSES_MAX];
    uint8_t goodbye;  /* to be sent as the last message: its reason, or 0 */
    uint8_t *control; /* encoded WANT, REFUSED, MISSING waiting for the next record */
    size_t control_size, control_capacity;
    struct ftx_fetches fetches; /* ours, until they are answered */
    struct ftx_fetches asked;   /* the peer's, until a record with the answer is built */
    struct ftx_told_digest question,
        peer_question; /* a DIGEST that is not answered; whose 0: none */
    struct ftx_scheduler scheduler;
    struct ftx_engine_connection *connections[FTX_CONNECTIONS_MAX];
    unsigned n_connections;
};

/*
 * Starts a session. S: `session` is its number, START is due. R: `session` is the highest number it
 * ever accepted. `op_seen`: the peer's last operation that is durable here. -ENOMEM.
 * ftx_engine_close frees.
 */
int ftx_engine_init(struct ftx_engine *engine, const struct ftx_engine_app *app, void *ctx,
                    enum ftx_role role, uint64_t session, uint64_t op_seen, uint64_t now_ms);

/* Adds a data connection (its JOIN is the first message; R adds it when it meets that). Returns its
 * index >= 1, -ENOMEM, FTX_ELIMIT. */
int ftx_engine_join(struct ftx_engine *engine, uint64_t now_ms);

/* Frees; scheduled streams are unlinked. Plans still out must have been given back by
 * ftx_engine_built (with sent = false). */
void ftx_engine_close(struct ftx_engine *engine);

/*
 * The next record for a connection, or NULL if there is nothing to send on it now (or no memory).
 * Records are sealed and written in the order of pulls. After the session ended only a last GOODBYE
 * may still come.
 */
struct ftx_plan *ftx_engine_pull(struct ftx_engine *engine, unsigned connection, uint64_t now_ms);

/*
 * The plan was built (in any order between plans) and its record will be written; the engine owns
 * the plan again. What could not be read is given back to the application. `sent` false: the
 * session is over, the record will not be written.
 */
void ftx_engine_built(struct ftx_engine *engine, struct ftx_plan *plan, bool sent);

/*
 * A record came on the connection (in order): `plain`, `size` bytes inside `whole`, which becomes
 * the application's in its `record` callback, also on error. FTX_EPROTO and what the application
 * answers: end the session, close all connections.
 */
int ftx_engine_receive(struct ftx_engine *engine, unsigned connection, const uint8_t *plain,
                       size_t size, void *whole, uint64_t now_ms);

/* Some bytes came on the connection: it is alive. */
void ftx_engine_heard(struct ftx_engine *engine, unsigned connection, uint64_t now_ms);

/* The record's extents are written; its effects survive a power cut. Any order between records;
 * written before durable. (c) in `record`. */
void ftx_engine_written(struct ftx_engine *engine, struct ftx_record_ref record);
void ftx_engine_durable(struct ftx_engine *engine, struct ftx_record_ref record);

/* Something may be sent: a stream has a due extent, a size or a seal (c). Operations are asked for
 * at each pull. */
void ftx_engine_due(struct ftx_engine *engine, struct ftx_stream *stream);
/* The last operation that has left, or stands in the record that is being filled (c). */
uint64_t ftx_engine_op_sent(const struct ftx_engine *engine);
/* The stream goes away (c). */
void ftx_engine_gone(struct ftx_engine *engine, struct ftx_stream *stream);
/* A reader at the peer waits for this stream: it goes first (c). */
void ftx_engine_urgent(struct ftx_engine *engine, struct ftx_stream *stream);

/* Messages to the peer (c). -ENOBUFS when too many wait; -ENOMEM. GOODBYE ends the session: what
 * still waits is not sent. */
int ftx_engine_want(struct ftx_engine *engine, uint64_t stream, const struct ftx_range *range);
int ftx_engine_refuse(struct ftx_engine *engine, uint64_t stream, enum ftx_refusal reason);
int ftx_engine_take(struct ftx_engine *engine, uint64_t item);
int ftx_engine_missing(struct ftx_engine *engine, uint64_t stream, uint32_t version,
                       const struct ftx_range *ranges, size_t n);
void ftx_engine_goodbye(struct ftx_engine *engine, enum ftx_goodbye reason);
/* Where this end can be dialled, instead of what was said before: at most FTX_ADDRESSES_MAX. */
int ftx_engine_tell_addresses(struct ftx_engine *engine, const struct ftx_told_address *addresses,
                              size_t n);

/* Asks the peer for bytes of a stream of ours that it has: `range` is 1..FTX_EXTENT_MAX long (else
 * -EINVAL). `fetched` answers, once, unless the session ends before (c). -ENOBUFS: FTX_FETCHES_MAX
 * are unanswered, or nothing may be asked yet: try again after an answer, or a record. */
int ftx_engine_fetch(struct ftx_engine *engine, uint64_t stream, const struct ftx_range *range);
/* False: that would be -ENOBUFS. */
bool ftx_engine_may_fetch(const struct ftx_engine *engine);

/* Asks for the SHA-256 of what the peer has of a stream (c). -ENOBUFS: the last answer is still to
 * come, or nothing may be asked yet. */
int ftx_engine_ask_digest(struct ftx_engine *engine, uint64_t stream, enum ftx_digest_whose whose);
/* False: that would be -ENOBUFS. */
bool ftx_engine_may_ask_digest(const struct ftx_engine *engine);
/* Answers what the peer asked for last; with FTX_DIGEST_WORKING it only hears that we are at it (c).
 * -ENOBUFS, -ENOMEM: it is not answered. */
int ftx_engine_tell_digest(struct ftx_engine *engine, enum ftx_digest_state state,
                           const uint8_t sha256[FTX_DIGEST_SIZE]);

/* Is the peer still there? It is asked on all connections; the session ends with -ETIMEDOUT if one
 * stays silent for FTX_PROBE_MS. To be ticked after this. */
void ftx_engine_probe(struct ftx_engine *engine, uint64_t now_ms);

/* Time passes: the session ends with -ETIMEDOUT after FTX_DEAD_MS of silence. Returns when it wants
 * to be called again (ms, absolute): at multiples of FTX_ALIVE_MS, so that all sessions of a
 * process give their signs of life in one turn of its loop. */
uint64_t ftx_engine_tick(struct ftx_engine *engine, uint64_t now_ms);

#endif
