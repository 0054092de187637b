/* SPDX-License-Identifier: MIT */
/* The simulator's program: many seeds, and a sweep of one fault after each record of small
 * scenarios. --seed N runs one. */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 1500, SWEEP_SEEDS = 10, SWEEP_STEPS = 1000 };

static struct sim_options options_of(uint64_t seed)
{
    struct sim_options options = {.seed = seed, .steps = 8000};
    static const unsigned faults[4] = {0, 1, 3, 8};
    options.faults = faults[seed % 4];
    options.large = seed % 50 == 7;
    options.damage = seed % 5 == 1;
    options.refuse = seed % 3 == 1;
    return options;
}

static void add(struct sim_counts *sum, const struct sim_counts *counts)
{
    unsigned *to = (unsigned *)sum;
    const unsigned *from = (const unsigned *)counts;
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
        to[i] += from[i];
}

static void print(const char *what, unsigned runs, const struct sim_counts *c)
{
    printf("%s: %u runs, %u records, %u sessions, %u joins, %u cuts, %u power cuts, %u delivered, "
           "%u held, "
           "%u missing, %u refused, %u left out, %u wanted, %u of %u fetched (%u unreadable), "
           "%u records compressed\n",
           what, runs, c->records, c->sessions, c->joins, c->cuts, c->crashes, c->delivered,
           c->held, c->missing, c->refused, c->left_out, c->wanted, c->fetched, c->fetches,
           c->unreadable, c->packed);
}

/* One fault of one kind after the first record, the second ... until the scenario has no more. */
static unsigned sweep(uint64_t seed, enum sim_fault kind, struct sim_counts *sum)
{
    for (unsigned at = 0;; at++) {
        struct sim_options options = {
            .seed = seed, .steps = SWEEP_STEPS, .fault_kind = kind, .fault_at = at};
        struct sim_counts counts;
        bool reached = sim_run(&options, &counts);
        add(sum, &counts);
        if (!reached)
            return at;
    }
}

int main(int argc, char **argv)
{
    const char *seeds_text = getenv("FTX_SIM_SEEDS");
    uint64_t first = 1, seeds = seeds_text ? strtoull(seeds_text, NULL, 0) : SEEDS;
    struct sim_options fault = {0};
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t value = strtoull(argv[i + 1], NULL, 0);
        if (strcmp(argv[i], "--seed") == 0) {
            first = value;
            seeds = 1;
        } else if (strcmp(argv[i], "--seeds") == 0) {
            seeds = value;
        } else if (strcmp(argv[i], "--fault") == 0) {
            fault.fault_kind = (enum sim_fault)value;
        } else if (strcmp(argv[i], "--at") == 0) {
            fault.fault_at = (unsigned)value;
        } else {
            fprintf(stderr, "usage: test_session [--seeds N] [--seed N [--fault 1..3 --at N]]\n");
            return 2;
        }
    }
    struct sim_counts sum = {0};
    if (fault.fault_kind) {
        fault.seed = first;
        fault.steps = SWEEP_STEPS;
        sim_run(&fault, &sum);
        print("fault", 1, &sum);
        return 0;
    }
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        struct sim_options options = options_of(seed);
        struct sim_counts counts;
        sim_run(&options, &counts);
        add(&sum, &counts);
    }
    print("seeds", (unsigned)seeds, &sum);
    if (seeds == 1)
        return 0;
    if (sum.packed == 0) {
        fprintf(stderr, "nothing was compressed\n");
        return 1;
    }
    struct sim_counts swept = {0};
    unsigned runs = 0;
    for (uint64_t seed = 1; seed <= (seeds < SEEDS ? 1 : SWEEP_SEEDS); seed++)
        for (int kind = SIM_FAULT_CUT; kind <= SIM_FAULT_CRASH_R; kind++)
            runs += sweep(seed, (enum sim_fault)kind, &swept);
    print("sweep", runs, &swept);
    return 0;
}
