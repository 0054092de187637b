/* SPDX-License-Identifier: MIT */
/*
 * What goes out, in the order of urgency: session messages, what the peer must be told,
 * acknowledgements, operations, answers to a waiting reader, then content as the scheduler says.
 */
#include "transport/session/engine.h"

#include "transport/base/err.h"
#include "transport/session/engine_connection.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { HAVE_ROOM = FTX_HAVE_MAX * FTX_HAVE_ENTRY + FTX_MESSAGE_SMALL_MAX };

static int add_token(struct ftx_plan *plan, enum ftx_message_type type, uint64_t value)
{
    struct ftx_message m = {.type = type};
    if (type == FTX_MSG_JOIN)
        m.as.start.session = value;
    else
        m.as.token = value;
    return ftx_plan_add_message(plan, &m);
}

static int add_start(struct ftx_engine *engine, struct ftx_plan *plan)
{
    struct ftx_message m = {.type = FTX_MSG_START};
    m.as.start.session = engine->session;
    m.as.start.op_durable = engine->op_seen;
    int err = ftx_plan_add_message(plan, &m);
    if (!err)
        engine->start_due = false;
    return err;
}

/* What is not taken yet, before the first bytes can come. */
static int add_holds(struct ftx_engine *engine, struct ftx_plan *plan)
{
    struct ftx_message m = {.type = FTX_MSG_HOLD};
    int err = 0;
    while (engine->holds_due && !err && ftx_plan_room(plan) >= FTX_MESSAGE_SMALL_MAX) {
        engine->holds_due = engine->app->hold && engine->app->hold(engine->ctx, &m.as.item);
        if (engine->holds_due)
            err = ftx_plan_add_message(plan, &m);
    }
    return err;
}

static int add_have(struct ftx_engine *engine, struct ftx_plan *plan)
{
    int held = add_holds(engine, plan);
    if (held || engine->holds_due)
        return held;
    while (ftx_plan_room(plan) >= HAVE_ROOM) {
        const struct ftx_extent *extents;
        size_t n;
        if (!engine->app->have(engine->ctx, &extents, &n)) {
            engine->have_due = false;
            return ftx_plan_add_message(plan, &(struct ftx_message){.type = FTX_MSG_HAVE_END});
        }
        uint8_t *entries = malloc(n * FTX_HAVE_ENTRY);
        uint8_t *bytes = malloc(HAVE_ROOM);
        int err = -ENOMEM;
        if (entries && bytes) {
            for (size_t i = 0; i < n; i++)
                ftx_have_encode(&extents[i], entries + i * FTX_HAVE_ENTRY);
            struct ftx_message m = {.type = FTX_MSG_HAVE};
            m.as.list.stream = extents[0].stream;
            m.as.list.version = extents[0].version;
            m.as.list.n = (uint32_t)n;
            m.as.list.entries = entries;
            err = ftx_plan_add_encoded(plan, bytes, ftx_message_encode(&m, bytes, HAVE_ROOM));
        }
        free(entries);
        free(bytes);
        if (err)
            return err;
    }
    return 0;
}

static int add_control(struct ftx_engine *engine, struct ftx_plan *plan)
{
    if (engine->control_size == 0)
        return 0;
    int err = ftx_plan_add_encoded(plan, engine->control, engine->control_size);
    if (!err)
        engine->control_size = 0;
    return err;
}

static int add_goodbye(struct ftx_engine *engine, struct ftx_plan *plan)
{
    struct ftx_message m = {.type = FTX_MSG_GOODBYE};
    m.as.reason = engine->goodbye;
    engine->goodbye = 0;
    return ftx_plan_add_message(plan, &m);
}

static int add_ack(struct ftx_engine_connection *c, struct ftx_plan *plan)
{
    if (!c->ack_due)
        return 0;
    struct ftx_message m = {.type = FTX_MSG_ACK};
    m.as.ack.received = ftx_inbound_received(c);
    m.as.ack.durable = ftx_inbound_durable(c);
    c->ack_due = false;
    if (m.as.ack.received == c->told_received && m.as.ack.durable == c->told_durable)
        return 0;
    c->told_received = m.as.ack.received;
    c->told_durable = m.as.ack.durable;
    return ftx_plan_add_message(plan, &m);
}

static int add_ops(struct ftx_engine *engine, struct ftx_plan *plan)
{
    while (engine->op_bytes_out < FTX_WINDOW_OPS_BYTES) {
        struct ftx_message m = {.type = FTX_MSG_OP};
        m.as.op.number = engine->op_next_out;
        m.as.op.size = engine->app->op(engine->ctx, engine->op_next_out, &m.as.op.bytes);
        if (m.as.op.size == 0)
            return 0;
        uint8_t bytes[FTX_MESSAGE_HEAD + 8 + FTX_OP_MAX];
        int err = ftx_plan_add_encoded(plan, bytes, ftx_message_encode(&m, bytes, sizeof bytes));
        if (err)
            return err == -EMSGSIZE ? 0 : err;
        plan->op_last = engine->op_next_out++;
        plan->op_bytes += m.as.op.size;
        plan->ackable = true;
        engine->op_bytes_out += m.as.op.size;
    }
    return 0;
}

/* Tells the sizes of streams whose content has to wait. */
static int add_sizes(struct ftx_engine *engine, struct ftx_plan *plan, uint64_t op_most)
{
    struct ftx_list *fresh = &engine->scheduler.fresh;
    for (struct ftx_list *node = fresh->next; node != fresh;) {
        struct ftx_stream *stream = ftx_list_of(node, struct ftx_stream, fresh);
        node = node->next;
        if (stream->op > op_most)
            continue;
        if (ftx_plan_room(plan) < FTX_MESSAGE_SMALL_MAX)
            return 0;
        struct ftx_message m = {.type = FTX_MSG_SIZE};
        engine->app->size(engine->ctx, stream, &m.as.content.extent);
        int err = ftx_plan_add_message(plan, &m);
        if (err)
            return err;
        stream->announced = true;
        ftx_list_remove(&stream->fresh);
    }
    engine->announce = false;
    return 0;
}

/* The peer does not take the stream yet: how large it is, is all that it hears of it. */
static int tell_held(struct ftx_engine *engine, struct ftx_plan *plan, struct ftx_stream *stream)
{
    struct ftx_message m = {.type = FTX_MSG_SIZE};
    if (plan->connection != 0) {
        stream->control_only = true;
        ftx_scheduler_add(&engine->scheduler, stream);
        return 0;
    }
    engine->app->size(engine->ctx, stream, &m.as.content.extent);
    int err = ftx_plan_add_message(plan, &m);
    if (err)
        return err;
    stream->announced = true;
    stream->control_only = false;
    ftx_scheduler_remove(&engine->scheduler, stream);
    return 0;
}

/* Nothing more of the stream goes now: its seal, if it may, and it leaves the scheduler. */
static int finish_stream(struct ftx_engine *engine, struct ftx_plan *plan,
                         struct ftx_stream *stream)
{
    if (plan->connection != 0) {
        stream->control_only = true;
        ftx_scheduler_add(&engine->scheduler, stream);
        return 0;
    }
    struct ftx_plan_seal seal;
    memset(&seal, 0, sizeof seal);
    bool sealed = engine->app->seal(engine->ctx, stream, plan->send, &seal);
    if (!sealed && stream->op > ftx_engine_op_sent(engine)) { /* its turn comes with that */
        stream->control_only = true;
        ftx_scheduler_add(&engine->scheduler, stream);
        return 0;
    }
    ftx_scheduler_remove(&engine->scheduler, stream);
    stream->control_only = false;
    stream->urgent = false;
    return sealed ? ftx_plan_add_seal(plan, &seal) : 0;
}

static int add_content(struct ftx_engine *engine, struct ftx_plan *plan)
{
    bool control = plan->connection == 0;
    uint64_t op_most = control ? ftx_engine_op_sent(engine) : engine->op_received;
    if (engine->announce && control) {
        int err = add_sizes(engine, plan, op_most);
        if (err)
            return err;
    }
    while (ftx_plan_room(plan) >= FTX_CONTENT_ROOM &&
           engine->window + plan->window_bytes < FTX_WINDOW_BYTES) {
        struct ftx_stream *stream = ftx_scheduler_next(&engine->scheduler, control, op_most);
        if (!stream)
            return 0;
        struct ftx_source source;
        int err = engine->app->extent(engine->ctx, stream, ftx_plan_room(plan) - FTX_EXTENT_HEAD,
                                      plan->send, &source);
        if (err == -EMSGSIZE)
            break;
        if (err == -EAGAIN || err == -EBUSY) {
            err = err == -EBUSY ? tell_held(engine, plan, stream)
                                : finish_stream(engine, plan, stream);
            if (err)
                return err;
            continue;
        }
        if (!err)
            err = ftx_plan_add_extent(plan, &source);
        assert(err != -EMSGSIZE); /* the application was told the room */
        if (err)
            return err;
        stream->announced = true; /* its size travels with the extent */
        ftx_list_remove(&stream->fresh);
        ftx_scheduler_took(&engine->scheduler, stream, (size_t)source.extent.length);
    }
    engine->announce = !ftx_list_empty(&engine->scheduler.fresh);
    return 0;
}

static int fill_control(struct ftx_engine *engine, struct ftx_plan *plan)
{
    int err = 0;
    if (engine->start_due)
        err = add_start(engine, plan);
    if (!err && engine->state == FTX_ENGINE_RUNNING)
        err = add_control(engine, plan);
    if (!err && engine->state == FTX_ENGINE_RUNNING)
        err = ftx_engine_add_fetches(engine, plan);
    if (!err && engine->have_due)
        err = add_have(engine, plan);
    return err;
}

/* Nothing was said since the last multiple of FTX_ALIVE_MS. */
static bool silent(const struct ftx_engine_connection *c, uint64_t now_ms)
{
    return c->spoke_ms / FTX_ALIVE_MS < now_ms / FTX_ALIVE_MS;
}

static int fill(struct ftx_engine *engine, struct ftx_engine_connection *c, struct ftx_plan *plan,
                uint64_t now_ms)
{
    int err = 0;
    if (engine->state == FTX_ENGINE_EXPECT_START &&
        (plan->connection != 0 || engine->role == FTX_ROLE_R))
        return 0; /* START comes first, and JOIN names what it agreed on */
    if (plan->connection == 0)
        err = fill_control(engine, plan);
    else if (c->join_due) {
        err = add_token(plan, FTX_MSG_JOIN, engine->session);
        c->join_due = false;
    }
    if (!err && c->ping_due && (engine->state == FTX_ENGINE_RUNNING || plan->connection == 0)) {
        err = add_token(plan, FTX_MSG_PING, 0);
        c->ping_due = false;
    }
    if (!err && c->pong_due) {
        err = add_token(plan, FTX_MSG_PONG, c->pong_token);
        c->pong_due = false;
    }
    if (!err)
        err = add_ack(c, plan);
    bool running = engine->state == FTX_ENGINE_RUNNING && !engine->start_due;
    if (!err && running && plan->connection == 0)
        err = add_ops(engine, plan);
    bool open = running && (plan->connection == 0 || c->join_done);
    if (!err && open)
        err = ftx_engine_add_answers(engine, plan);
    if (!err && open && engine->peer_have_done && !engine->held)
        err = add_content(engine, plan);
    if (!err && plan->n_entries == 0 && silent(c, now_ms))
        err = add_token(plan, FTX_MSG_PONG, 0); /* not asked for: a sign of life */
    return err;
}

/* Keeps what the record needs until it is acknowledged. */
static struct ftx_plan *issue(struct ftx_engine *engine, struct ftx_engine_connection *c,
                              struct ftx_plan *plan, uint64_t now_ms)
{
    plan->number = c->out_number++;
    c->spoke_ms = now_ms;
    engine->window += plan->window_bytes;
    engine->next_send++;
    if (plan->ackable)
        ftx_list_append(&c->sent, &plan->node);
    return plan;
}

struct ftx_plan *ftx_engine_pull(struct ftx_engine *engine, unsigned connection, uint64_t now_ms)
{
    struct ftx_engine_connection *c = engine->connections[connection];
    if (engine->state == FTX_ENGINE_ENDED && (connection != 0 || engine->goodbye == 0))
        return NULL;
    struct ftx_plan *plan = ftx_plan_new(connection, engine->next_send);
    if (!plan)
        return NULL;
    int err = engine->state == FTX_ENGINE_ENDED ? add_goodbye(engine, plan)
                                                : fill(engine, c, plan, now_ms);
    if (err == -ENOMEM)
        ftx_engine_end(engine, err); /* marks were set that no record will carry: start anew */
    if (plan->n_entries == 0 || err == -ENOMEM) {
        ftx_plan_free(plan);
        return NULL;
    }
    return issue(engine, c, plan, now_ms);
}

/* What the build could not read; answers that it could are given. */
static void give_back(struct ftx_engine *engine, struct ftx_plan *plan)
{
    for (size_t i = 0; i < plan->n_entries; i++) {
        struct ftx_plan_entry *entry = &plan->entries[i];
        if (entry->kind == FTX_PLAN_ANSWER)
            ftx_engine_answer_built(engine, plan->send, entry->err);
        if (!entry->err)
            continue;
        if (entry->kind == FTX_PLAN_EXTENT)
            engine->app->failed(engine->ctx, &entry->as.source.extent, plan->send, entry->err);
        else if (entry->kind == FTX_PLAN_SEAL)
            engine->app->unsealed(engine->ctx, entry->as.seal->stream, entry->as.seal->version);
    }
}

void ftx_engine_built(struct ftx_engine *engine, struct ftx_plan *plan, bool sent)
{
    plan->built = true;
    free(plan->bytes);
    plan->bytes = NULL;
    engine->window -= plan->left_out_bytes;
    plan->window_bytes -= plan->left_out_bytes;
    if (sent)
        give_back(engine, plan);
    if (!plan->ackable || !sent) {
        ftx_list_remove(&plan->node);
        ftx_plan_free(plan);
    }
}
