/* SPDX-License-Identifier: MIT */
/*
 * The session's life: START both ways, then content until a connection ends, the peer says GOODBYE,
 * or silence. What goes out is in engine_send.c, what comes in in engine_receive.c.
 */
#include "transport/session/engine.h"

#include "transport/base/err.h"
#include "transport/session/engine_connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CONTROL_MAX = 512 << 10 }; /* waiting control bytes: a peer cannot make us collect more */

int ftx_engine_init(struct ftx_engine *engine, const struct ftx_engine_app *app, void *ctx,
                    enum ftx_role role, uint64_t session, uint64_t op_seen, uint64_t now_ms)
{
    memset(engine, 0, sizeof *engine);
    engine->app = app;
    engine->ctx = ctx;
    engine->role = role;
    engine->session = session;
    engine->op_seen = op_seen;
    engine->op_next_in = op_seen + 1;
    engine->next_send = 1;
    engine->start_due = role == FTX_ROLE_S;
    ftx_scheduler_init(&engine->scheduler);
    engine->connections[0] = ftx_engine_connection_new(now_ms);
    if (!engine->connections[0])
        return -ENOMEM;
    engine->n_connections = 1;
    return 0;
}

int ftx_engine_join(struct ftx_engine *engine, uint64_t now_ms)
{
    if (engine->n_connections == FTX_CONNECTIONS_MAX)
        return FTX_ELIMIT;
    struct ftx_engine_connection *c = ftx_engine_connection_new(now_ms);
    if (!c)
        return -ENOMEM;
    c->join_due = engine->role == FTX_ROLE_S;
    engine->connections[engine->n_connections] = c;
    return (int)engine->n_connections++;
}

void ftx_engine_close(struct ftx_engine *engine)
{
    ftx_scheduler_clear(&engine->scheduler);
    for (unsigned i = 0; i < engine->n_connections; i++)
        ftx_engine_connection_free(engine->connections[i]);
    free(engine->control);
    memset(engine, 0, sizeof *engine);
}

int ftx_engine_end(struct ftx_engine *engine, int reason)
{
    if (engine->state != FTX_ENGINE_ENDED) {
        engine->state = FTX_ENGINE_ENDED;
        engine->end_reason = reason;
    }
    return reason;
}

int ftx_engine_leave(struct ftx_engine *engine, enum ftx_goodbye goodbye, int reason)
{
    if (engine->state != FTX_ENGINE_ENDED)
        engine->goodbye = (uint8_t)goodbye;
    return ftx_engine_end(engine, reason);
}

static int say_encoded(struct ftx_engine *engine, const uint8_t *bytes, size_t size)
{
    if (size > CONTROL_MAX - engine->control_size)
        return -ENOBUFS;
    if (engine->control_size + size > engine->control_capacity) {
        size_t capacity = 2 * (engine->control_size + size);
        uint8_t *grown = realloc(engine->control, capacity);
        if (!grown)
            return -ENOMEM;
        engine->control = grown;
        engine->control_capacity = capacity;
    }
    memcpy(engine->control + engine->control_size, bytes, size);
    engine->control_size += size;
    return 0;
}

int ftx_engine_say(struct ftx_engine *engine, const struct ftx_message *message)
{
    uint8_t bytes[FTX_MESSAGE_SMALL_MAX];
    return say_encoded(engine, bytes, ftx_message_encode(message, bytes, sizeof bytes));
}

int ftx_engine_want(struct ftx_engine *engine, uint64_t stream, const struct ftx_range *range)
{
    struct ftx_message m = {.type = FTX_MSG_WANT};
    m.as.want.stream = stream;
    m.as.want.range = *range;
    return ftx_engine_say(engine, &m);
}

int ftx_engine_refuse(struct ftx_engine *engine, uint64_t stream, enum ftx_refusal reason)
{
    struct ftx_message m = {.type = FTX_MSG_REFUSED};
    m.as.refused.stream = stream;
    m.as.refused.reason = (uint8_t)reason;
    return ftx_engine_say(engine, &m);
}

int ftx_engine_take(struct ftx_engine *engine, uint64_t item)
{
    struct ftx_message m = {.type = FTX_MSG_TAKE};
    m.as.item = item;
    return ftx_engine_say(engine, &m);
}

int ftx_engine_missing(struct ftx_engine *engine, uint64_t stream, uint32_t version,
                       const struct ftx_range *ranges, size_t n)
{
    if (n == 0 || n > FTX_MISSING_MAX)
        return -EINVAL;
    size_t capacity = FTX_MESSAGE_SMALL_MAX + n * FTX_RANGE_ENTRY;
    uint8_t *entries = malloc(n * FTX_RANGE_ENTRY);
    uint8_t *bytes = malloc(capacity);
    int err = -ENOMEM;
    if (entries && bytes) {
        for (size_t i = 0; i < n; i++)
            ftx_range_encode(&ranges[i], entries + i * FTX_RANGE_ENTRY);
        struct ftx_message m = {.type = FTX_MSG_MISSING};
        m.as.list.stream = stream;
        m.as.list.version = version;
        m.as.list.n = (uint32_t)n;
        m.as.list.entries = entries;
        err = say_encoded(engine, bytes, ftx_message_encode(&m, bytes, capacity));
    }
    free(bytes);
    free(entries);
    return err;
}

int ftx_engine_tell_addresses(struct ftx_engine *engine, const struct ftx_told_address *addresses,
                              size_t n)
{
    uint8_t entries[FTX_ADDRESSES_MAX * FTX_ADDRESS_ENTRY];
    uint8_t bytes[FTX_MESSAGE_HEAD + sizeof entries];
    struct ftx_message m = {.type = FTX_MSG_ADDRESSES};
    if (n > FTX_ADDRESSES_MAX)
        return -EINVAL;
    for (size_t i = 0; i < n; i++)
        ftx_address_encode(&addresses[i], entries + i * FTX_ADDRESS_ENTRY);
    m.as.list.n = (uint32_t)n;
    m.as.list.entries = entries;
    return say_encoded(engine, bytes, ftx_message_encode(&m, bytes, sizeof bytes));
}

void ftx_engine_goodbye(struct ftx_engine *engine, enum ftx_goodbye reason)
{
    ftx_engine_leave(engine, reason, 0);
}

void ftx_engine_due(struct ftx_engine *engine, struct ftx_stream *stream)
{
    stream->control_only = false;
    ftx_scheduler_add(&engine->scheduler, stream);
}

uint64_t ftx_engine_op_sent(const struct ftx_engine *engine)
{
    return engine->op_next_out - 1;
}

void ftx_engine_gone(struct ftx_engine *engine, struct ftx_stream *stream)
{
    ftx_scheduler_remove(&engine->scheduler, stream);
}

void ftx_engine_urgent(struct ftx_engine *engine, struct ftx_stream *stream)
{
    stream->urgent = true;
    ftx_engine_due(engine, stream);
}

void ftx_engine_heard(struct ftx_engine *engine, unsigned connection, uint64_t now_ms)
{
    engine->connections[connection]->heard_ms = now_ms;
    engine->connections[connection]->probed = false;
}

void ftx_engine_written(struct ftx_engine *engine, struct ftx_record_ref record)
{
    struct ftx_engine_connection *c = engine->connections[record.connection];
    struct ftx_inbound *inbound = ftx_inbound_find(c, record.number);
    if (!inbound)
        return;
    inbound->written = true;
    c->ack_due = true;
}

void ftx_engine_durable(struct ftx_engine *engine, struct ftx_record_ref record)
{
    struct ftx_engine_connection *c = engine->connections[record.connection];
    struct ftx_inbound *inbound = ftx_inbound_find(c, record.number);
    if (!inbound)
        return;
    inbound->written = true;
    inbound->durable = true;
    ftx_inbound_trim(c);
    c->ack_due = true;
}

void ftx_engine_probe(struct ftx_engine *engine, uint64_t now_ms)
{
    for (unsigned i = 0; i < engine->n_connections; i++) {
        engine->connections[i]->ping_due = engine->connections[i]->probed = true;
        engine->connections[i]->probed_ms = now_ms;
    }
}

/* When the connection is taken for dead if nothing comes until then. */
static uint64_t dead_ms(const struct ftx_engine_connection *c)
{
    uint64_t dead = c->heard_ms + FTX_DEAD_MS;
    if (c->probed && c->probed_ms + FTX_PROBE_MS < dead)
        dead = c->probed_ms + FTX_PROBE_MS;
    return dead;
}

uint64_t ftx_engine_tick(struct ftx_engine *engine, uint64_t now_ms)
{
    uint64_t next = (now_ms / FTX_ALIVE_MS + 1) * FTX_ALIVE_MS;
    for (unsigned i = 0; i < engine->n_connections; i++) {
        uint64_t dead = dead_ms(engine->connections[i]);
        if (now_ms >= dead)
            ftx_engine_end(engine, -ETIMEDOUT);
        if (dead < next)
            next = dead;
    }
    return next > now_ms ? next : now_ms + 1;
}
