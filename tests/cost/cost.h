/* SPDX-License-Identifier: MIT */
/*
 * Instructions of fixed workloads, stage by stage, counted by callgrind. All that could differ from
 * run to run is fixed here: one thread, a clock that only counts, a seeded source of chance, no
 * network, no path outside of the folder in which the program runs.
 */
#ifndef FTX_TESTS_COST_COST_H
#define FTX_TESTS_COST_COST_H

#include "fs/store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* -- count.c -- */

/* From here on stages may be counted; before, the program runs fast. */
void cost_ready(void);
/* What runs between begin and pause is counted; end pauses, and adds what was counted since the
 * last one to a stage. */
void cost_begin(void);
void cost_pause(void);
void cost_end(const char *stage);

/* Ends the program, with a sentence, when what a workload relies on does not hold. */
void cost_must(bool ok, const char *what);

/* -- world.c -- */

/* Chance and time begin anew; before anything else. */
void cost_world_init(void);
/* Some random bytes; the same ones in each run. */
void cost_fill(void *out, size_t size);
void cost_pass_ms(int64_t ms);
/* The store's database thread does all that there is to do. Stores have no other thread of their
 * own here: whoever waits for it has it run, in place. */
void cost_database_turn(struct ftx_store *store);

/* -- the workloads -- */

void cost_large(void);
void cost_pieces(void);
void cost_small(void);
void cost_folder(void);
void cost_messages(void);
void cost_pairing(void);

#endif
