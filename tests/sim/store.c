/* SPDX-License-Identifier: MIT */
/* Many seeds of two real stores with users, cuts and kills. --seed N runs one; FTX_SIM_SEEDS=N as
 * many. */
#include "tests/sim/store_sim.h"
#include "transport/session/engine_connection.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 80, DRAFTS_MAX = 3, ROUNDS_MAX = 20000 };

void sim_fail(const struct sim *sim, const char *file, int line, const char *condition,
              const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "%s:%d: %s: ", file, line, condition);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nafter %u records in %u sessions; run again with --seed %lu\n",
            sim->counts.records, sim->counts.sessions, (unsigned long)sim->options.seed);
    store_template_remove();
    abort();
}

static struct sim_end *some_end(struct sim *sim)
{
    return &sim->ends[sim_below(&sim->random, 2)];
}

static void deliver_some(struct sim *sim)
{
    if (sim->n_links == 0)
        return;
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

static void pass(struct sim *sim)
{
    sim->now_ms += sim_below(&sim->random, 40);
    for (int i = 0; i < 2; i++) {
        struct sim_end *end = &sim->ends[i];
        if (!end->up)
            continue;
        ftx_engine_tick(&end->engine, sim->now_ms);
        if (end->engine.state == FTX_ENGINE_ENDED)
            sim_notice(end);
    }
}

static void notice(struct sim_end *end)
{
    if (end->up && end->link->broken && sim_pipes_empty(end->link, end->index))
        sim_notice(end);
}

static void fault(struct sim *sim)
{
    struct sim_end *end = some_end(sim);
    switch (sim_below(&sim->random, 5)) {
    case 0:
        sim_crash(end);
        break;
    case 1:
    case 2:
        store_strike(store_end_of(end), (unsigned)sim_below(&sim->random, 12));
        break;
    default:
        if (end->up)
            sim_cut(sim, end->link);
    }
}

static void step(struct sim *sim)
{
    struct sim_end *end = some_end(sim);
    struct store_end *e = store_end_of(end);
    if (!sim->healing && sim_below(&sim->random, 1000) < sim->options.faults)
        fault(sim);
    switch (sim_below(&sim->random, 22)) {
    case 0:
    case 1:
    case 2:
        if (!sim->healing)
            user_act(e);
        break;
    case 3:
        pass(sim);
        break;
    case 4:
        if (!sim->ends[0].up)
            sim_dial(&sim->ends[0]);
        else if (sim_chance(&sim->random, 10) && sim->ends[0].link->n < 3)
            sim_dial_data(&sim->ends[0]);
        break;
    case 5:
    case 6:
    case 7:
    case 8:
        if (end->up)
            pull_some(end);
        break;
    case 9:
    case 10:
    case 11:
    case 12:
        if (end->up)
            build_some(end);
        break;
    case 13:
    case 14:
    case 15:
    case 16:
        deliver_some(sim);
        break;
    case 17:
    case 18:
        store_work(e, e->n_jobs ? sim_below(&sim->random, e->n_jobs) : 0);
        break;
    case 19:
        if (sim_chance(&sim->random, 40))
            store_commit(e);
        break;
    case 20:
        store_turn(e);
        break;
    default:
        notice(end);
    }
    if (store_world->struck)
        sim_crash(store_world->victim->end);
}

static bool settle(struct sim_end *end)
{
    struct store_end *e = store_end_of(end);
    bool moved = false;
    while (store_work(e, 0))
        moved = true;
    bool promised = e->store->durable && e->store->durable_at < e->store->appended;
    if (promised || e->store->committed < e->store->appended) {
        store_commit(e);
        moved = true;
    }
    moved |= !ftx_list_empty(&e->link->due) || !ftx_list_empty(&e->store->tails);
    end->sim->now_ms += 60;
    store_turn(e);
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

void store_settle(struct sim *sim)
{
    unsigned rounds = 0;
    for (bool moved = true; moved;) {
        SIM_CHECK(sim, rounds++ < ROUNDS_MAX, "no end after %d rounds", (int)ROUNDS_MAX);
        moved = settle_network(sim);
        for (int i = 0; i < 2; i++)
            moved |= settle(&sim->ends[i]);
    }
}

static void heal(struct sim *sim)
{
    sim->healing = true;
    store_world->victim = NULL;
    for (int i = 0; i < 2; i++)
        user_close_all(store_end_of(&sim->ends[i]), true);
    for (unsigned i = 0; i < 200; i++)
        step(sim);
    store_settle(sim);
}

static void check_done(struct sim *sim)
{
    for (int i = 0; i < 2; i++) {
        struct sim_end *end = &sim->ends[i];
        struct store_end *e = store_end_of(end);
        SIM_CHECK(sim, end->up && end->engine.state == FTX_ENGINE_RUNNING, "end %d is down", i);
        SIM_CHECK(sim, end->engine.window == 0, "window %lu at the end", end->engine.window);
        SIM_CHECK(sim, ftx_list_empty(&e->transfer.records), "end %d: a record is not durable", i);
        check_outbox(e);
        check_inbox(e);
        check_delivered(e);
        release_read_back(e);
    }
}

static void run(const struct sim_options *options, struct store_sim *world)
{
    struct sim *sim = &world->sim;
    memset(world, 0, sizeof *world);
    sim->options = *options;
    sim->random.state = options->seed;
    sim->now_ms = 1000;
    world->clock_ns = 1000000000;
    sim->room = sim_alloc(FTX_RECORD_PLAIN_MAX);
    sim->codec = ftx_codec_new();
    SIM_CHECK(sim, sim->codec, "no memory");
    for (int i = 0; i < 2; i++) {
        sim->ends[i].sim = sim;
        sim->ends[i].index = i;
        world->ends[i].end = &sim->ends[i];
        store_end_open(&world->ends[i]);
    }
    for (unsigned i = 0; i < options->steps; i++) {
        step(sim);
        if (i % 500 == 499)
            for (int k = 0; k < 2; k++) {
                check_outbox(&world->ends[k]);
                check_inbox(&world->ends[k]);
            }
    }
    heal(sim);
    check_done(sim);
    for (int i = 0; i < 2; i++)
        sim_notice(&sim->ends[i]);
    for (int i = 0; i < 2; i++) {
        store_end_reopen(&world->ends[i]);
        store_commit(&world->ends[i]);
    }
    for (int i = 0; i < 2; i++) {
        check_outbox(&world->ends[i]);
        check_inbox(&world->ends[i]);
        check_delivered(&world->ends[i]);
        check_objects(&world->ends[i]);
    }
    for (int i = 0; i < 2; i++) {
        store_end_close(&world->ends[i]);
        user_free(&world->ends[i]);
        store_path_remove(&world->ends[i]);
    }
    sim_links_free(sim);
    free(sim->room);
    ftx_codec_free(sim->codec);
}

static struct sim_options options_of(uint64_t seed)
{
    static const unsigned faults[4] = {0, 1, 3, 8};
    struct sim_options options = {.seed = seed, .steps = 6000};
    options.faults = faults[seed % 4];
    options.large = seed % 20 == 7;
    options.damage = seed % 5 == 1;
    options.refuse = seed % 3 == 1;
    options.group = seed % 4 == 3 || seed % 8 == 2;
    options.release = !options.damage && (seed % 2 == 0 || (options.group && seed % 3 == 0));
    return options;
}

int main(int argc, char **argv)
{
    const char *text = getenv("FTX_SIM_SEEDS");
    uint64_t first = 1, seeds = text ? strtoull(text, NULL, 0) : SEEDS;
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t value = strtoull(argv[i + 1], NULL, 0);
        if (strcmp(argv[i], "--seed") == 0) {
            first = value;
            seeds = 1;
        } else if (strcmp(argv[i], "--seeds") == 0) {
            seeds = value;
        } else {
            fprintf(stderr, "usage: test_store [--seeds N] [--seed N]\n");
            return 2;
        }
    }
    static struct store_sim world;
    struct store_counts sum = {0};
    struct sim_counts network = {0};
    store_world = &world;
    store_template_make();
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        struct sim_options options = options_of(seed);
        run(&options, &world);
        for (size_t i = 0; i < sizeof sum / sizeof(unsigned); i++)
            ((unsigned *)&sum)[i] += ((unsigned *)&world.counts)[i];
        for (size_t i = 0; i < sizeof network / sizeof(unsigned); i++)
            ((unsigned *)&network)[i] += ((unsigned *)&world.sim.counts)[i];
    }
    store_template_remove();
    printf("%lu seeds, %u records, %u sessions, %u cuts; %u kills, %u of them inside an operation; "
           "%u writes, %u interrupted, %u refused at the end, %u complete files compared; "
           "%u attributes, %u items offered by a rename, %u withdrawn; room was short %u times, "
           "%u released ranges compared, %u reads waited for them; %u writes of what the peer had; "
           "%u looks at what an inbox's owner had named; %u records compressed\n",
           (unsigned long)seeds, network.records, network.sessions, network.cuts, sum.kills,
           sum.kills_inside, sum.writes, sum.interrupted, sum.refused, sum.complete_seen,
           sum.xattrs, sum.offered, sum.withdrawn, sum.pressed, sum.released_seen, sum.fetched,
           sum.same, sum.owned_seen, network.packed);
    return 0;
}
