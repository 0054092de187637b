/* SPDX-License-Identifier: MIT */
/* What comes in: each message is decoded, checked against the session's state, then acted on. */
#include "transport/session/engine.h"

#include "transport/base/err.h"
#include "transport/session/engine_connection.h"

#include <errno.h>

static int on_start(struct ftx_engine *engine, const struct ftx_message *m)
{
    if (engine->state != FTX_ENGINE_EXPECT_START)
        return FTX_EPROTO;
    uint64_t session = m->as.start.session;
    if (engine->role == FTX_ROLE_S) {
        if (session != engine->session)
            return FTX_EPROTO;
    } else {
        if (session <= engine->session)
            return ftx_engine_leave(engine, FTX_BYE_REPLACED, FTX_EREPLACED);
        engine->session = session;
        engine->app->session(engine->ctx, session);
        engine->start_due = true;
    }
    int err = engine->app->start(engine->ctx, m->as.start.op_durable);
    if (err == FTX_ELOST)
        return ftx_engine_leave(engine, FTX_BYE_LOST, err);
    if (err)
        return err;
    engine->op_next_out = m->as.start.op_durable + 1;
    engine->op_received = m->as.start.op_durable;
    engine->have_due = engine->holds_due = true;
    engine->state = FTX_ENGINE_RUNNING;
    return 0;
}

static int on_join(struct ftx_engine *engine, struct ftx_engine_connection *c,
                   const struct ftx_message *m)
{
    if (c->join_done || m->as.start.session != engine->session)
        return FTX_EPROTO;
    c->join_done = true;
    c->join_due = engine->role == FTX_ROLE_R;
    return 0;
}

static int on_have(struct ftx_engine *engine, const struct ftx_message *m)
{
    if (engine->peer_have_done)
        return FTX_EPROTO;
    for (uint32_t i = 0; i < m->as.list.n; i++) {
        struct ftx_extent extent;
        ftx_have_entry(m, i, &extent);
        engine->app->held(engine->ctx, &extent);
    }
    return 0;
}

static int on_hold(struct ftx_engine *engine, const struct ftx_message *m)
{
    if (engine->peer_have_done)
        return FTX_EPROTO;
    if (engine->app->holds)
        engine->app->holds(engine->ctx, m->as.item);
    return 0;
}

static int on_missing(struct ftx_engine *engine, const struct ftx_message *m)
{
    for (uint32_t i = 0; i < m->as.list.n; i++) {
        struct ftx_range range;
        ftx_range_entry(m, i, &range);
        engine->app->missing(engine->ctx, m->as.list.stream, m->as.list.version, &range);
    }
    return 0;
}

static int on_op(struct ftx_engine *engine, const struct ftx_message *m)
{
    if (m->as.op.number != engine->op_next_in)
        return FTX_EPROTO;
    int err = engine->app->apply(engine->ctx, m->as.op.number, m->as.op.bytes, m->as.op.size);
    if (!err)
        engine->op_next_in++;
    return err;
}

static int on_seal(struct ftx_engine *engine, const struct ftx_message *m)
{
    struct ftx_plan_seal seal = {.stream = m->as.seal.stream,
                                 .size = m->as.seal.size,
                                 .version = m->as.seal.version,
                                 .attributes_size = m->as.seal.attributes_size};
    for (size_t i = 0; i < seal.attributes_size; i++)
        seal.attributes[i] = m->as.seal.attributes[i];
    return engine->app->sealed(engine->ctx, &seal);
}

static int on_ping(struct ftx_engine_connection *c, const struct ftx_message *m)
{
    c->pong_due = true;
    c->pong_token = m->as.token;
    return 0;
}

static int on_goodbye(struct ftx_engine *engine, const struct ftx_message *m)
{
    switch (m->as.reason) {
    case FTX_BYE_REPLACED:
        return ftx_engine_end(engine, FTX_EREPLACED);
    case FTX_BYE_LOST:
        return ftx_engine_end(engine, FTX_ELOST);
    default:
        return ftx_engine_end(engine, 0);
    }
}

static void on_addresses(struct ftx_engine *engine, const struct ftx_message *m)
{
    engine->n_told = (uint8_t)m->as.list.n;
    for (uint32_t i = 0; i < m->as.list.n; i++)
        ftx_address_entry(m, i, &engine->told[i]);
    engine->told_news = true;
}

/* Types that change something at the receiver, so that their record is acknowledged. */
static bool has_effect(enum ftx_message_type type)
{
    return type == FTX_MSG_OP || type == FTX_MSG_EXTENT || type == FTX_MSG_HOLE ||
           type == FTX_MSG_SEAL;
}

/* May this message stand on this connection now? */
static bool permitted(const struct ftx_engine *engine, unsigned connection,
                      const struct ftx_engine_connection *c, enum ftx_message_type type)
{
    switch (type) {
    case FTX_MSG_GOODBYE:
        return true;
    case FTX_MSG_START:
        return connection == 0;
    case FTX_MSG_JOIN:
        return connection != 0 && engine->state == FTX_ENGINE_RUNNING;
    case FTX_MSG_SEAL:
    case FTX_MSG_FETCH:
    case FTX_MSG_DIGEST:
        return engine->state == FTX_ENGINE_RUNNING && !engine->have_due && connection == 0;
    case FTX_MSG_FETCHED:
        return engine->state == FTX_ENGINE_RUNNING && (connection == 0 || c->join_done);
    case FTX_MSG_EXTENT:
    case FTX_MSG_HOLE:
    case FTX_MSG_SIZE:
        return engine->state == FTX_ENGINE_RUNNING && !engine->have_due &&
               (connection == 0 || c->join_done);
    case FTX_MSG_ACK:
    case FTX_MSG_PING:
    case FTX_MSG_PONG:
        return connection == 0 || c->join_done;
    default:
        return engine->state == FTX_ENGINE_RUNNING && connection == 0;
    }
}

static int act(struct ftx_engine *engine, struct ftx_engine_connection *c,
               const struct ftx_message *m)
{
    const struct ftx_engine_app *app = engine->app;
    switch (m->type) {
    case FTX_MSG_START:
        return on_start(engine, m);
    case FTX_MSG_JOIN:
        return on_join(engine, c, m);
    case FTX_MSG_HAVE:
        return on_have(engine, m);
    case FTX_MSG_HAVE_END:
        if (engine->peer_have_done)
            return FTX_EPROTO;
        engine->peer_have_done = true;
        return 0;
    case FTX_MSG_OP:
        return on_op(engine, m);
    case FTX_MSG_EXTENT:
    case FTX_MSG_HOLE:
        return app->arrived(engine->ctx, &m->as.content);
    case FTX_MSG_SIZE:
        return app->resized(engine->ctx, &m->as.content.extent);
    case FTX_MSG_SEAL:
        return on_seal(engine, m);
    case FTX_MSG_ACK:
        return ftx_engine_acked(engine, c, m->as.ack.received, m->as.ack.durable);
    case FTX_MSG_MISSING:
        return on_missing(engine, m);
    case FTX_MSG_REFUSED:
        app->refused(engine->ctx, m->as.refused.stream, m->as.refused.reason);
        return 0;
    case FTX_MSG_HOLD:
        return on_hold(engine, m);
    case FTX_MSG_TAKE:
        if (app->takes)
            app->takes(engine->ctx, m->as.item);
        return 0;
    case FTX_MSG_WANT:
        app->wanted(engine->ctx, m->as.want.stream, &m->as.want.range);
        return 0;
    case FTX_MSG_PING:
        return on_ping(c, m);
    case FTX_MSG_PONG:
        return 0;
    case FTX_MSG_GOODBYE:
        return on_goodbye(engine, m);
    case FTX_MSG_FETCH:
        return ftx_engine_asked(engine, m);
    case FTX_MSG_FETCHED:
        return ftx_engine_fetched(engine, m);
    case FTX_MSG_ADDRESSES:
        on_addresses(engine, m);
        return 0;
    case FTX_MSG_DIGEST:
        return ftx_engine_asked_digest(engine, m);
    case FTX_MSG_DIGESTED:
        return ftx_engine_digested(engine, m);
    }
    return FTX_EPROTO;
}

int ftx_engine_receive(struct ftx_engine *engine, unsigned connection, const uint8_t *plain,
                       size_t size, void *whole, uint64_t now_ms)
{
    struct ftx_engine_connection *c = engine->connections[connection];
    struct ftx_record_ref record = {.number = c->in_number++, .connection = connection};
    bool effect = false;
    size_t raw_size = size; /* of the record, were nothing in it encoded */
    int err = engine->state == FTX_ENGINE_ENDED ? engine->end_reason : 0;
    c->heard_ms = now_ms;
    c->probed = false;
    for (size_t offset = 0; offset < size && !err && engine->state != FTX_ENGINE_ENDED;) {
        struct ftx_message m;
        err = ftx_message_decode(plain, size, &offset, &m);
        if (!err && !permitted(engine, connection, c, m.type))
            err = FTX_EPROTO;
        if (!err)
            raw_size += ftx_message_saved(&m);
        if (!err && raw_size > FTX_RECORD_PLAIN_MAX)
            err = FTX_EPROTO;
        if (!err && has_effect(m.type) && !effect) {
            err = ftx_inbound_add(c, record.number);
            effect = true;
        }
        if (!err)
            err = act(engine, c, &m);
    }
    if (err)
        ftx_engine_end(engine, err);
    engine->app->record(engine->ctx, record, whole);
    return err;
}
