/* SPDX-License-Identifier: MIT */
/* For the tests of fs/store: a scratch folder that removes itself, and random numbers from a seed.
 */
#ifndef FTX_TESTS_STORE_SUPPORT_H
#define FTX_TESTS_STORE_SUPPORT_H

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct scratch {
    char path[PATH_MAX];
    int fd;
};

static inline int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *walk)
{
    (void)st, (void)flag, (void)walk;
    return remove(path);
}

/* Makes a folder below the build's. 0 or -1, as cmocka wants of a setup. */
static inline int scratch_open(struct scratch *scratch)
{
    snprintf(scratch->path, sizeof scratch->path, "%s/scratch.XXXXXX", FTX_SCRATCH);
    if (!mkdtemp(scratch->path))
        return -1;
    scratch->fd = open(scratch->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return scratch->fd < 0 ? -1 : 0;
}

static inline int scratch_close(struct scratch *scratch)
{
    close(scratch->fd);
    return nftw(scratch->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* splitmix64 */
static inline uint64_t next_random(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline uint64_t below(uint64_t *seed, uint64_t limit)
{
    return next_random(seed) % limit;
}

/* $FTX_SEED to repeat a failure; another one at each run otherwise. */
static inline uint64_t first_seed(void)
{
    const char *text = getenv("FTX_SEED");
    return text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();
}

#define assert_true_seed(seed, condition)                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            print_error("repeat with FTX_SEED=%llu\n", (unsigned long long)(seed));                \
            fail_msg("%s", #condition);                                                            \
        }                                                                                          \
    } while (0)

static inline double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

#endif
