/* SPDX-License-Identifier: MIT */
/* What both models of the simulator share: chance from a seed, byte ranges with hashes, what was
 * sealed. */
#ifndef FTX_TESTS_SIM_MODEL_H
#define FTX_TESTS_SIM_MODEL_H

#include "transport/wire/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim;

/* Ends the program with the seed, where it happened and what is wrong. */
#define SIM_CHECK(sim, condition, ...)                                                             \
    do {                                                                                           \
        if (!(condition))                                                                          \
            sim_fail(sim, __FILE__, __LINE__, #condition, __VA_ARGS__);                            \
    } while (0)

_Noreturn void sim_fail(const struct sim *sim, const char *file, int line, const char *condition,
                        const char *format, ...) __attribute__((format(printf, 5, 6)));

/* splitmix64 */
struct sim_random {
    uint64_t state;
};

uint64_t sim_random(struct sim_random *random);
/* 0..n-1; n > 0 */
uint64_t sim_below(struct sim_random *random, uint64_t n);
bool sim_chance(struct sim_random *random, unsigned percent);
/* Half of the times such as compression shrinks. */
void sim_random_bytes(struct sim_random *random, uint8_t *out, size_t size);

void *sim_alloc(size_t size); /* zeroed, never NULL */
void *sim_grow(void *array, size_t *capacity, size_t n, size_t size);
uint8_t *sim_copy(const void *bytes, size_t size);
bool sim_equal(const uint8_t *a, uint64_t a_size, const uint8_t *b, uint64_t b_size);

void sim_hash(const uint8_t *bytes, size_t size, uint8_t out[FTX_HASH_SIZE]);

enum sim_seg_state { SIM_SEG_DUE, SIM_SEG_FLIGHT, SIM_SEG_RECEIVED };

struct sim_seg {
    uint64_t offset, length;
    uint64_t send; /* the sender's: the record it travels in */
    uint8_t hash[FTX_HASH_SIZE];
    uint8_t kind;
    uint8_t state;
    bool hashed;
};

/* Disjoint ranges by offset. */
struct sim_segs {
    struct sim_seg *at;
    size_t n, capacity;
};

void sim_segs_put(struct sim_segs *set, const struct sim_seg *seg);
void sim_segs_cut(struct sim_segs *set, uint64_t offset, uint64_t length);
void sim_segs_copy(struct sim_segs *to, const struct sim_segs *from);
void sim_segs_clear(struct sim_segs *set);
/* The first gap in [offset, end): true and its range. */
bool sim_segs_gap(const struct sim_segs *set, uint64_t offset, uint64_t end, struct ftx_range *out);

static inline bool sim_overlap(uint64_t a, uint64_t a_length, uint64_t b, uint64_t b_length)
{
    return a < b + b_length && b < a + a_length;
}

/* Every version that was ever closed, of every item of one direction: outlives crashes. */
struct sim_sealed {
    uint64_t item;
    uint32_t version;
    uint8_t *bytes;
    uint64_t size;
};

struct sim_history {
    struct sim_sealed *at;
    size_t n, capacity;
};

void sim_history_add(struct sim *sim, struct sim_history *history, uint64_t item, uint32_t version,
                     const uint8_t *bytes, uint64_t size);
const struct sim_sealed *sim_history_find(const struct sim_history *history, uint64_t item,
                                          uint32_t version);
void sim_history_clear(struct sim_history *history);

#endif
