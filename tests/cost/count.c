/* SPDX-License-Identifier: MIT */
/* The program: runs one workload. Under callgrind each counted stretch becomes a dump that is named
 * for its stage (tests/cost/run adds them up); alone it only checks that the workload works. */
#include "tests/cost/cost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/callgrind.h>

static const struct {
    const char *name;
    void (*run)(void);
} workloads[] = {
    {"large", cost_large},   {"pieces", cost_pieces},     {"small", cost_small},
    {"folder", cost_folder}, {"messages", cost_messages}, {"pairing", cost_pairing},
};

static bool ready, counting;

void cost_ready(void)
{
    ready = true;
    CALLGRIND_START_INSTRUMENTATION;
}

static void toggle(bool on)
{
    if (!ready || counting == on)
        return;
    counting = on;
    CALLGRIND_TOGGLE_COLLECT;
}

void cost_begin(void)
{
    toggle(true);
}

void cost_pause(void)
{
    toggle(false);
}

void cost_end(const char *stage)
{
    toggle(false);
    if (ready)
        CALLGRIND_DUMP_STATS_AT(stage);
}

void cost_must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "cost: it does not hold that %s\n", what);
    abort();
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < sizeof workloads / sizeof *workloads; i++) {
        if (strcmp(argv[1], workloads[i].name) != 0)
            continue;
        cost_world_init();
        workloads[i].run();
        return 0;
    }
    fprintf(stderr, "usage: cost");
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        fprintf(stderr, "%s%s", i ? "|" : " ", workloads[i].name);
    fprintf(stderr, "   in an empty folder\n");
    return 2;
}
