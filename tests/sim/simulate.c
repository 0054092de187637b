/* SPDX-License-Identifier: MIT */
/* One run: random steps with faults, then healing, then everything must be where it belongs. */
#include "tests/sim/sim.h"
#include "transport/session/engine_connection.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DRAFTS_MAX = 3, ROUNDS_MAX = 20000 };

static void on_session(void *ctx, uint64_t session)
{
    struct sim_end *end = ctx;
    SIM_CHECK(end->sim, session > end->session, "session %lu after %lu", session, end->session);
    end->session = session;
}

const struct ftx_engine_app sim_app = {
    .session = on_session,
    .start = outbox_start,
    .op = outbox_op,
    .held = outbox_held,
    .extent = outbox_extent,
    .size = outbox_size,
    .seal = outbox_seal,
    .received = outbox_received,
    .durable = outbox_durable,
    .failed = outbox_failed,
    .ops_durable = outbox_ops_durable,
    .delivered = outbox_delivered,
    .unsealed = outbox_unsealed,
    .missing = outbox_missing,
    .refused = outbox_refused,
    .wanted = outbox_wanted,
    .fetched = sim_fetched,
    .have = inbox_have,
    .apply = inbox_apply,
    .arrived = inbox_arrived,
    .resized = inbox_resized,
    .sealed = inbox_sealed,
    .serve = sim_serve,
    .record = inbox_record,
};

void sim_fail(const struct sim *sim, const char *file, int line, const char *condition,
              const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "%s:%d: %s: ", file, line, condition);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nafter %u records in %u sessions; run again with --seed %lu",
            sim->counts.records, sim->counts.sessions, (unsigned long)sim->options.seed);
    if (sim->options.fault_kind)
        fprintf(stderr, " --fault %d --at %u", (int)sim->options.fault_kind, sim->options.fault_at);
    fprintf(stderr, "\n");
    abort();
}

static struct sim_end *some_end(struct sim *sim)
{
    return &sim->ends[sim_below(&sim->random, 2)];
}

static void fault(struct sim *sim, enum sim_fault kind)
{
    struct sim_end *end = some_end(sim);
    if (kind == SIM_FAULT_CRASH_S || kind == SIM_FAULT_CRASH_R)
        sim_crash(&sim->ends[kind == SIM_FAULT_CRASH_R]);
    else if (end->up)
        sim_cut(sim, end->link);
}

static void deliver_some(struct sim *sim)
{
    if (sim->n_links == 0)
        return;
    /* Mostly the newest session; what an older one still has in its pipes comes too. */
    size_t i = sim->n_links - 1;
    if (i > 0 && sim_chance(&sim->random, 20))
        i--;
    struct sim_link *link = sim->links[i];
    for (int tries = 0; tries < 8; tries++)
        if (sim_deliver(sim, link, (unsigned)sim_below(&sim->random, link->n),
                        (int)sim_below(&sim->random, 2)))
            return;
}

static void build_some(struct sim_end *end)
{
    for (int tries = 0; tries < 4; tries++) {
        unsigned connection = (unsigned)sim_below(&end->sim->random, end->link->n);
        struct sim_port *port = &end->link->connections[connection].port[end->index];
        if (port->n_drafts &&
            sim_build(end, connection, sim_below(&end->sim->random, port->n_drafts)))
            return;
    }
}

static void pull_some(struct sim_end *end)
{
    unsigned connection = (unsigned)sim_below(&end->sim->random, end->link->n);
    if (end->link->connections[connection].port[end->index].n_drafts < DRAFTS_MAX)
        sim_pull(end, connection);
}

/* Time: mostly a little, now and then enough for a sign of life, rarely for death. */
static void pass(struct sim *sim)
{
    uint64_t ms = sim_below(&sim->random, 40);
    if (!sim->healing && sim_chance(&sim->random, 2))
        ms = sim_chance(&sim->random, 5) ? FTX_DEAD_MS + 1 : FTX_ALIVE_MS + 1;
    sim->now_ms += ms;
    for (int i = 0; i < 2; i++) {
        struct sim_end *end = &sim->ends[i];
        if (!end->up)
            continue;
        uint64_t next = ftx_engine_tick(&end->engine, sim->now_ms);
        SIM_CHECK(sim, next > sim->now_ms, "tick at %lu says %lu", sim->now_ms, next);
        if (end->engine.state == FTX_ENGINE_ENDED)
            sim_notice(end);
    }
}

/* The end leaves in order: its GOODBYE is its last record. */
static void leave(struct sim_end *end)
{
    ftx_engine_goodbye(&end->engine, FTX_BYE_LEAVING);
    struct sim_port *port = &end->link->connections[0].port[end->index];
    SIM_CHECK(end->sim, sim_pull(end, 0), "no GOODBYE to pull");
    SIM_CHECK(end->sim, !sim_pull(end, 0), "something after GOODBYE");
    while (port->n_drafts)
        sim_build(end, 0, sim_below(&end->sim->random, port->n_drafts));
    end->link->broken = true; /* nothing is lost: the peer reads up to it */
    sim_notice(end);
}

static void work_of(struct sim_end *end)
{
    struct sim *sim = end->sim;
    struct sim_inbox *inbox = &end->inbox;
    switch (sim_below(&sim->random, 6)) {
    case 0:
    case 1:
    case 2:
        if (inbox->n_jobs)
            inbox_write(end, sim_below(&sim->random, inbox->n_jobs));
        break;
    case 3:
        if (inbox->commit)
            inbox_commit_end(end);
        else
            inbox_commit_begin(end);
        break;
    case 4:
        if (sim_chance(&sim->random, 25))
            outbox_save(end);
        break;
    default:
        if (end->up && end->link->broken && sim_pipes_empty(end->link, end->index))
            sim_notice(end);
    }
}

static void step(struct sim *sim)
{
    struct sim_end *end = some_end(sim);
    if (!sim->healing && sim_below(&sim->random, 1000) < sim->options.faults) {
        fault(sim, (enum sim_fault)(1 + sim_below(&sim->random, 5)));
        return;
    }
    switch (sim_below(&sim->random, 20)) {
    case 0:
        if (!sim->healing)
            sim_user(end);
        break;
    case 1:
        pass(sim);
        break;
    case 2:
        if (!sim->ends[0].up)
            sim_dial(&sim->ends[0]);
        else if (sim_chance(&sim->random, 10))
            sim_dial_data(&sim->ends[0]);
        break;
    case 3:
        if (sim->options.faults && !sim->healing && end->up && sim_chance(&sim->random, 1))
            leave(end);
        else if (!sim->healing && end->up && sim_chance(&sim->random, 30))
            sim_fetch(end);
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        if (end->up)
            pull_some(end);
        break;
    case 8:
    case 9:
    case 10:
    case 11:
        if (end->up)
            build_some(end);
        break;
    case 12:
    case 13:
    case 14:
    case 15:
        deliver_some(sim);
        break;
    default:
        work_of(end);
    }
}

static void all_close(struct sim_end *end)
{
    for (size_t i = 0; i < end->outbox.now.n; i++)
        if (end->outbox.now.items[i]->what == SIM_FILE)
            outbox_close(end, end->outbox.now.items[i]);
    outbox_save(end);
}

/* Does everything there is to do at the end; false if there was nothing. */
static bool settle(struct sim_end *end)
{
    struct sim_inbox *inbox = &end->inbox;
    bool moved = false;
    while (inbox->n_jobs) {
        inbox_write(end, sim_below(&end->sim->random, inbox->n_jobs));
        moved = true;
    }
    if (inbox->commit || inbox->n_written) {
        if (!inbox->commit)
            inbox_commit_begin(end);
        inbox_commit_end(end);
        moved = true;
    }
    if (end->up && end->link->broken && sim_pipes_empty(end->link, end->index)) {
        sim_notice(end);
        moved = true;
    }
    for (unsigned i = 0; end->up && i < end->link->n; i++) {
        struct sim_port *port = &end->link->connections[i].port[end->index];
        moved |= sim_pull(end, i);
        while (port->n_drafts)
            moved |= sim_build(end, i, sim_below(&end->sim->random, port->n_drafts));
    }
    return moved;
}

static bool settle_network(struct sim *sim)
{
    bool moved = false;
    if (!sim->ends[0].up) {
        sim_dial(&sim->ends[0]);
        moved = true;
    }
    for (size_t i = 0; i < sim->n_links; i++)
        for (unsigned k = 0; k < sim->links[i]->n; k++)
            for (int to = 0; to < 2; to++)
                while (sim_deliver(sim, sim->links[i], k, to))
                    moved = true;
    return moved;
}

static void heal(struct sim *sim)
{
    sim->healing = true;
    for (int i = 0; i < 2; i++)
        all_close(&sim->ends[i]);
    for (unsigned i = 0; i < 200; i++)
        step(sim);
    for (int i = 0; i < 2; i++)
        all_close(&sim->ends[i]); /* what a MISSING made anew is saved too */
    unsigned rounds = 0;
    for (bool moved = true; moved;) {
        SIM_CHECK(sim, rounds++ < ROUNDS_MAX, "no end after %d rounds", (int)ROUNDS_MAX);
        moved = settle_network(sim);
        for (int i = 0; i < 2; i++)
            moved |= settle(&sim->ends[i]);
        if (moved)
            continue;
        for (int i = 0; i < 2; i++)
            outbox_save(&sim->ends[i]);
        for (int i = 0; i < 2; i++)
            moved |= settle(&sim->ends[i]);
    }
}

/* Every record was acknowledged, and every acknowledgement told. */
static void check_connections(struct sim *sim, const struct ftx_engine *engine)
{
    for (unsigned i = 0; i < engine->n_connections; i++) {
        const struct ftx_engine_connection *c = engine->connections[i];
        SIM_CHECK(sim, ftx_list_empty(&c->sent) && ftx_list_empty(&c->received),
                  "connection %u waits for an acknowledgement", i);
        SIM_CHECK(sim, c->inbound_n == 0 && c->told_durable == c->told_received,
                  "connection %u has not told what is durable", i);
    }
}

static void check_done(struct sim *sim)
{
    for (int i = 0; i < 2; i++) {
        struct sim_end *end = &sim->ends[i];
        SIM_CHECK(sim, end->up && end->engine.state == FTX_ENGINE_RUNNING, "end %d is down", i);
        SIM_CHECK(sim, end->engine.window == 0, "window %lu at the end", end->engine.window);
        SIM_CHECK(sim, end->engine.op_bytes_out == 0, "operations %lu at the end",
                  end->engine.op_bytes_out);
        check_connections(sim, &end->engine);
        outbox_check_done(end);
    }
    sim_fetch_check_done(sim);
}

bool sim_run(const struct sim_options *options, struct sim_counts *out_counts)
{
    struct sim sim = {.options = *options, .random = {options->seed}, .now_ms = 1000};
    bool reached = options->fault_kind == SIM_FAULT_NONE;
    sim.room = sim_alloc(FTX_RECORD_PLAIN_MAX);
    sim.codec = ftx_codec_new();
    SIM_CHECK(&sim, sim.codec, "no memory");
    for (int i = 0; i < 2; i++) {
        sim.ends[i].sim = &sim;
        sim.ends[i].index = i;
        outbox_init(&sim.ends[i].outbox);
        inbox_init(&sim.ends[i].inbox);
    }
    for (unsigned i = 0; i < options->steps; i++) {
        if (!reached && sim.counts.records >= options->fault_at) {
            fault(&sim, options->fault_kind);
            reached = true;
        }
        step(&sim);
    }
    heal(&sim);
    check_done(&sim);
    for (int i = 0; i < 2; i++) {
        if (sim.ends[i].up)
            sim_notice(&sim.ends[i]);
        outbox_free(&sim.ends[i].outbox);
        inbox_free(&sim.ends[i].inbox);
    }
    sim_links_free(&sim);
    free(sim.room);
    ftx_codec_free(sim.codec);
    *out_counts = sim.counts;
    return reached;
}
