/* SPDX-License-Identifier: MIT */
/* Time, chance and threads as the workloads have them: the calls that lead outside are wrapped at
 * the link (tests.cmake). */
#include "tests/cost/cost.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STORES = 2, START_S = 1700000000, TICK_NS = 1000 };

/* -- time: every look at the clock moves it -- */

static int64_t now_ns;

int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
    (void)clock;
    now_ns += TICK_NS;
    *out =
        (struct timespec){.tv_sec = START_S + now_ns / 1000000000, .tv_nsec = now_ns % 1000000000};
    return 0;
}

void cost_pass_ms(int64_t ms)
{
    now_ns += ms * 1000000;
}

/* -- chance: libsodium gives what the seed and a counter say -- */

static uint32_t seed[randombytes_SEEDBYTES / sizeof(uint32_t)];

static void random_buf(void *out, size_t size)
{
    seed[0]++;
    randombytes_buf_deterministic(out, size, (const unsigned char *)seed);
}

static uint32_t random_u32(void)
{
    uint32_t value;
    random_buf(&value, sizeof value);
    return value;
}

static const char *random_name(void)
{
    return "seeded";
}

static struct randombytes_implementation seeded = {
    .implementation_name = random_name, .random = random_u32, .buf = random_buf};

void cost_fill(void *out, size_t size)
{
    random_buf(out, size);
}

void cost_world_init(void)
{
    cost_must(randombytes_set_implementation(&seeded) == 0 && sodium_init() >= 0,
              "libsodium takes a seed");
}

/* -- threads: only the stores' database threads are made, and run when they are waited for -- */

static struct database {
    void *(*run)(void *);
    struct ftx_store *store;
} databases[STORES];

int __wrap_pthread_create(pthread_t *out_thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *out_thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg)
{
    (void)attr;
    for (unsigned i = 0; i < STORES; i++)
        if (!databases[i].store) {
            databases[i] = (struct database){.run = run, .store = arg};
            *out_thread = i;
            return 0;
        }
    return EAGAIN;
}

/* A thread that is told to stop does first what there is to do. */
void cost_database_turn(struct ftx_store *store)
{
    for (unsigned i = 0; i < STORES; i++)
        if (databases[i].store == store) {
            bool stopping = store->stopping;
            store->stopping = true;
            databases[i].run(store);
            store->stopping = stopping;
        }
}

int __wrap_pthread_join(pthread_t thread, void **out_value);
int __wrap_pthread_join(pthread_t thread, void **out_value)
{
    (void)out_value;
    cost_database_turn(databases[thread].store);
    databases[thread].store = NULL;
    return 0;
}

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    struct ftx_store *store = NULL;
    for (unsigned i = 0; i < STORES; i++)
        if (databases[i].store && condition == &databases[i].store->drained)
            store = databases[i].store;
    cost_must(store, "only the database thread is ever waited for");
    pthread_mutex_unlock(mutex);
    cost_database_turn(store);
    pthread_mutex_lock(mutex);
    return 0;
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *until)
{
    (void)condition, (void)mutex, (void)until;
    return ETIMEDOUT;
}
