/* SPDX-License-Identifier: MIT */
/* Records between the ends: drafts, pipes, new connections, cuts and power cuts. */
#include "tests/sim/sim.h"
#include "transport/base/err.h"

#include <stdlib.h>
#include <string.h>

static void pipe_push(struct sim_pipe *pipe, uint8_t *bytes, size_t size)
{
    pipe->at = sim_grow(pipe->at, &pipe->capacity, pipe->n + 1, sizeof *pipe->at);
    pipe->at[pipe->n++] = (struct sim_record){bytes, size};
}

static struct sim_record pipe_pop(struct sim_pipe *pipe)
{
    struct sim_record record = pipe->at[0];
    pipe->n--;
    memmove(pipe->at, pipe->at + 1, pipe->n * sizeof *pipe->at);
    return record;
}

static void pipe_keep(struct sim_pipe *pipe, size_t n)
{
    while (pipe->n > n)
        free(pipe->at[--pipe->n].bytes);
}

bool sim_pipes_empty(const struct sim_link *link, int to)
{
    for (unsigned i = 0; i < link->n; i++)
        if (link->connections[i].to[to].n)
            return false;
    return true;
}

void sim_links_free(struct sim *sim)
{
    for (size_t i = 0; i < sim->n_links; i++) {
        struct sim_link *link = sim->links[i];
        for (unsigned k = 0; k < link->n; k++)
            for (int to = 0; to < 2; to++) {
                pipe_keep(&link->connections[k].to[to], 0);
                free(link->connections[k].to[to].at);
                free(link->connections[k].port[to].drafts);
            }
        free(link);
    }
    free(sim->links);
}

/* The end's engine stops: drafts go back unsent, what came is fenced off. */
static void stop(struct sim_end *end)
{
    if (!end->up)
        return;
    for (unsigned i = 0; i < end->link->n; i++) {
        struct sim_port *port = &end->link->connections[i].port[end->index];
        for (size_t k = 0; k < port->n_drafts; k++) {
            if (!port->drafts[k].built)
                ftx_engine_built(&end->engine, port->drafts[k].plan, false);
            free(port->drafts[k].bytes);
        }
        port->n_drafts = 0;
    }
    ftx_engine_close(&end->engine);
    end->up = false;
    end->link = NULL;
    outbox_detach(end);
}

/* Most sessions compress all they can. */
static void set_compress(struct sim_end *end)
{
    bool on = end->serial % 4 != 0;
    ftx_compress_init(&end->compress, on ? FTX_COMPRESS_ON : FTX_COMPRESS_OFF);
}

static void start(struct sim_end *end, struct sim_link *link)
{
    end->serial++;
    set_compress(end);
    enum ftx_role role = end->index == 0 ? FTX_ROLE_S : FTX_ROLE_R;
    int err = ftx_engine_init(&end->engine, &sim_app, end, role, end->session,
                              end->inbox.safe.applied, end->sim->now_ms);
    SIM_CHECK(end->sim, err == 0, "init: %d", err);
    end->up = true;
    end->link = link;
    link->connections[0].port[end->index] = (struct sim_port){.attached = true};
    inbox_tell(end);
    end->sim->counts.sessions++;
}

void sim_dial(struct sim_end *end)
{
    struct sim *sim = end->sim;
    struct sim_link *link = sim_alloc(sizeof *link);
    link->n = 1;
    sim->links = sim_grow(sim->links, &sim->capacity, sim->n_links + 1, sizeof *sim->links);
    sim->links[sim->n_links++] = link;
    inbox_drain(end);
    end->session++;
    start(end, link);
}

void sim_dial_data(struct sim_end *end)
{
    struct sim_link *link = end->link;
    if (link->n == SIM_CONNECTIONS || link->broken)
        return;
    int index = ftx_engine_join(&end->engine, end->sim->now_ms);
    SIM_CHECK(end->sim, index == (int)link->n, "join: %d", index);
    link->connections[link->n++].port[end->index] =
        (struct sim_port){.attached = true, .index = (unsigned)index};
}

bool sim_pull(struct sim_end *end, unsigned connection)
{
    struct sim_port *port = &end->link->connections[connection].port[end->index];
    if (!port->attached)
        return false;
    struct ftx_plan *plan = ftx_engine_pull(&end->engine, port->index, end->sim->now_ms);
    if (!plan)
        return false;
    SIM_CHECK(end->sim, end->engine.window < FTX_WINDOW_BYTES + FTX_RECORD_PLAIN_MAX,
              "window of %lu", end->engine.window);
    SIM_CHECK(end->sim, end->engine.op_bytes_out < FTX_WINDOW_OPS_BYTES + FTX_OP_MAX,
              "operations of %lu", end->engine.op_bytes_out);
    port->drafts =
        sim_grow(port->drafts, &port->capacity, port->n_drafts + 1, sizeof *port->drafts);
    port->drafts[port->n_drafts++] = (struct sim_draft){.plan = plan};
    return true;
}

const uint8_t *sim_unpack(struct sim *sim, const struct ftx_content *content)
{
    const uint8_t *bytes = content->data;
    if (content->encoding == FTX_ENCODING_RAW)
        return bytes;
    int err = ftx_codec_unpack(sim->codec, bytes, content->data_size,
                               (size_t)content->extent.length, &bytes);
    SIM_CHECK(sim, err == 0, "stream %lu: unpack at %lu: %s", content->extent.stream,
              content->extent.offset, ftx_err_text(err));
    return bytes;
}

bool sim_build(struct sim_end *end, unsigned connection, size_t i)
{
    struct sim_connection *c = &end->link->connections[connection];
    struct sim_port *port = &c->port[end->index];
    struct sim_draft *draft = &port->drafts[i];
    if (draft->built)
        return false;
    size_t planned = draft->plan->size;
    struct ftx_packer packer = {.codec = end->sim->codec};
    ftx_compress_plan(&end->compress, draft->plan);
    draft->size = ftx_plan_build(draft->plan, outbox_read, end, &packer, end->sim->room);
    ftx_compress_built(&end->compress, draft->plan);
    end->sim->counts.packed += draft->plan->packed_before > 0;
    SIM_CHECK(end->sim, draft->size > 0 && (draft->size <= planned || planned < 16),
              "%zu bytes of %zu planned", draft->size, planned);
    draft->bytes = sim_copy(end->sim->room, draft->size);
    draft->built = true;
    ftx_engine_built(&end->engine, draft->plan, true);
    draft->plan = NULL;
    while (port->n_drafts && port->drafts[0].built) {
        if (end->link->broken)
            free(port->drafts[0].bytes);
        else
            pipe_push(&c->to[1 - end->index], port->drafts[0].bytes, port->drafts[0].size);
        port->n_drafts--;
        memmove(port->drafts, port->drafts + 1, port->n_drafts * sizeof *port->drafts);
    }
    return true;
}

void sim_cut(struct sim *sim, struct sim_link *link)
{
    if (link->broken)
        return;
    link->broken = true;
    sim->counts.cuts++;
    for (unsigned i = 0; i < link->n; i++)
        for (int to = 0; to < 2; to++) {
            struct sim_pipe *pipe = &link->connections[i].to[to];
            pipe_keep(pipe, sim_below(&sim->random, pipe->n + 1));
        }
}

void sim_notice(struct sim_end *end)
{
    if (!end->up)
        return;
    sim_cut(end->sim, end->link);
    for (unsigned i = 0; i < end->link->n; i++)
        pipe_keep(&end->link->connections[i].to[end->index], 0);
    stop(end);
}

void sim_crash(struct sim_end *end)
{
    sim_notice(end);
    inbox_crash(end);
    outbox_crash(end);
    end->sim->counts.crashes++;
}

/* R meets the first record of a connection: a new session, a data connection of its own, or one of
 * the past. */
static bool meet(struct sim_end *end, struct sim_link *link, unsigned connection,
                 const struct sim_record *record)
{
    size_t offset = 0;
    struct ftx_message m;
    int err = ftx_message_decode(record->bytes, record->size, &offset, &m);
    SIM_CHECK(end->sim, err == 0, "a connection's first message: %d", err);
    struct sim_port *port = &link->connections[connection].port[end->index];
    if (m.type == FTX_MSG_START) {
        SIM_CHECK(end->sim, connection == 0, "START on connection %u", connection);
        if (m.as.start.session <= end->session)
            return false; /* overtaken on its way by a newer one */
        sim_notice(end);
        inbox_drain(end);
        start(end, link);
        return true;
    }
    if (m.type == FTX_MSG_GOODBYE)
        return false; /* gone before it began */
    SIM_CHECK(end->sim, m.type == FTX_MSG_JOIN && connection != 0, "type %d first on %u",
              (int)m.type, connection);
    if (!end->up || end->link != link || end->engine.session != m.as.start.session)
        return false;
    int index = ftx_engine_join(&end->engine, end->sim->now_ms);
    SIM_CHECK(end->sim, index > 0, "join: %d", index);
    *port = (struct sim_port){.attached = true, .index = (unsigned)index};
    end->sim->counts.joins++;
    return true;
}

bool sim_deliver(struct sim *sim, struct sim_link *link, unsigned connection, int to)
{
    struct sim_end *end = &sim->ends[to];
    struct sim_connection *c = &link->connections[connection];
    if (c->to[to].n == 0)
        return false;
    struct sim_record record = pipe_pop(&c->to[to]);
    bool known = end->up && end->link == link && c->port[to].attached;
    if (!known && (to == 0 || !meet(end, link, connection, &record))) {
        free(record.bytes);
        sim_cut(sim, link);
        pipe_keep(&c->to[to], 0);
        return true;
    }
    sim->counts.records++;
    int err = ftx_engine_receive(&end->engine, c->port[to].index, record.bytes, record.size,
                                 record.bytes, sim->now_ms);
    SIM_CHECK(sim, err == 0, "receive on %u at end %d: %s", connection, to, ftx_err_text(err));
    if (end->engine.state == FTX_ENGINE_ENDED)
        sim_notice(end);
    return true;
}
