/* SPDX-License-Identifier: MIT */
/* What the engine knows of one connection; private to transport/session. */
#ifndef FTX_SESSION_ENGINE_CONNECTION_H
#define FTX_SESSION_ENGINE_CONNECTION_H

#include "transport/session/engine.h"

enum { FTX_CONTENT_ROOM = 1024 }; /* less than this left: the record is full */

/* A record that came and is not durable yet. Those without effects never get one. */
struct ftx_inbound {
    uint64_t number;
    bool written, durable;
};

struct ftx_engine_connection {
    uint64_t out_number;    /* of the next record to pull */
    uint64_t in_number;     /* of the next record to come */
    uint64_t peer_received; /* what the last ACK said */
    uint64_t peer_durable;
    uint64_t told_received; /* what our last ACK said */
    uint64_t told_durable;
    uint64_t heard_ms, spoke_ms;
    bool ack_due; /* an ackable record advanced */
    bool join_due, join_done;
    bool ping_due;
    bool probed; /* nothing was heard since probed_ms */
    uint64_t probed_ms;
    bool pong_due;
    uint64_t pong_token;         /* of the last PING */
    struct ftx_list sent;        /* plans pulled and not yet received by the peer, oldest first */
    struct ftx_list received;    /* ... received and not yet durable there */
    struct ftx_inbound *inbound; /* ring: inbound_n entries from inbound_first, by number */
    size_t inbound_first, inbound_n, inbound_capacity; /* capacity: a power of two */
};

struct ftx_engine_connection *ftx_engine_connection_new(uint64_t now_ms);
void ftx_engine_connection_free(struct ftx_engine_connection *connection);

/* A record with effects came. -ENOMEM. */
int ftx_inbound_add(struct ftx_engine_connection *c, uint64_t number);
/* Its entry, or NULL. */
struct ftx_inbound *ftx_inbound_find(struct ftx_engine_connection *c, uint64_t number);
/* How many records from the first are written, durable. */
uint64_t ftx_inbound_received(const struct ftx_engine_connection *c);
uint64_t ftx_inbound_durable(const struct ftx_engine_connection *c);
/* Forgets entries that are durable, oldest first. */
void ftx_inbound_trim(struct ftx_engine_connection *c);

/* Ends the session: nothing but a GOODBYE leaves any more. Returns `reason`. */
int ftx_engine_end(struct ftx_engine *engine, int reason);
/* The same, and tells the peer. */
int ftx_engine_leave(struct ftx_engine *engine, enum ftx_goodbye goodbye, int reason);

/* The peer's ACK. FTX_EPROTO. */
int ftx_engine_acked(struct ftx_engine *engine, struct ftx_engine_connection *c, uint64_t received,
                     uint64_t durable);

/* Adds a small message to those that wait for the next record. -ENOBUFS, -ENOMEM. */
int ftx_engine_say(struct ftx_engine *engine, const struct ftx_message *message);

/* -- engine_digest.c: the peer's DIGEST, DIGESTED. FTX_EPROTO -- */
int ftx_engine_asked_digest(struct ftx_engine *engine, const struct ftx_message *digest);
int ftx_engine_digested(struct ftx_engine *engine, const struct ftx_message *digested);

/* -- engine_fetch.c -- */

/* Our FETCHes that wait, the answers to the peer's. -ENOMEM. */
int ftx_engine_add_fetches(struct ftx_engine *engine, struct ftx_plan *plan);
int ftx_engine_add_answers(struct ftx_engine *engine, struct ftx_plan *plan);
/* The next answer of the plan `send` was built, or could not be: `err`. In the plan's order. */
void ftx_engine_answer_built(struct ftx_engine *engine, uint64_t send, int err);
/* The peer's FETCH, FETCHED. FTX_EPROTO, and what the application says. */
int ftx_engine_asked(struct ftx_engine *engine, const struct ftx_message *fetch);
int ftx_engine_fetched(struct ftx_engine *engine, const struct ftx_message *fetched);

#endif
