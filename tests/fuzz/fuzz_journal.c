/* SPDX-License-Identifier: MIT */
/* Fuzz: bytes as a journal's file, as found and with checksums that hold; what is replayed has no
 * gap, and the log goes on behind it. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "fs/store/journal.h"

enum { HALF = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

struct walk {
    uint64_t last;
    uint64_t sum;
};

static int on_entry(void *ctx, uint64_t number, const void *body, size_t size)
{
    struct walk *walk = ctx;
    check(number == walk->last + 1 && size > 0 && size <= FTX_JOURNAL_ENTRY_MAX);
    walk->last = number;
    walk->sum += XXH3_64bits(body, size); /* reads every byte */
    return 0;
}

/* Makes the sums of a half's entries right, as far as their sizes lead, and their numbers a run:
 * otherwise no input gets past the first entry. */
static void mend(uint8_t *half, size_t half_size, uint64_t number)
{
    uint32_t body;
    for (size_t at = 0; half_size - at >= 24; number++) {
        memcpy(&body, half + at, 4);
        body %= 512; /* small enough that some fit */
        memcpy(half + at, &body, 4);
        size_t total = 24 + ((size_t)body + 7) / 8 * 8;
        if (total > half_size - at)
            return;
        uint8_t damage = half[at + 4];
        memset(half + at + 4, 0, 4);
        memcpy(half + at + 8, &number, 8);
        uint64_t sum = XXH3_64bits(half + at, total - 8);
        if (damage % 32 == 1)
            sum++;
        memcpy(half + at + total - 8, &sum, 8);
        at += total;
    }
}

static void open_and_replay(int dir_fd, const uint8_t *data, size_t size, uint64_t applied)
{
    struct ftx_journal *journal;
    struct ftx_journal_batch batch;
    struct walk walk = {.last = applied};
    uint64_t last, number;

    int fd = openat(dir_fd, "journal", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    check(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
    check(ftx_journal_open(dir_fd, "journal", HALF, &journal) == 0);
    check(ftx_journal_replay(journal, applied, on_entry, &walk, &last) == 0 && last == walk.last);
    ftx_journal_reset(journal, last);
    check(ftx_journal_append(journal, "body", 4, &number) == 0 && number == last + 1);
    check(ftx_journal_swap(journal, &batch) && batch.last == number);
    check(ftx_journal_each(&batch, on_entry, &walk) == 0);
    ftx_journal_close(journal);
}

static char folder[] =
    "/dev/shm/fuzz_journal.XXXXXX"; /* in memory: each run makes and syncs a file */
static int folder_fd = -1;

static void remove_folder(void)
{
    unlinkat(folder_fd, "journal", 0);
    rmdir(folder);
}

static void make_folder(void)
{
    check(mkdtemp(folder) != NULL);
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check(folder_fd >= 0 && atexit(remove_folder) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[2 * HALF];
    if (folder_fd < 0)
        make_folder();
    open_and_replay(folder_fd, data, size, size % 3);
    memset(file, 0, sizeof file);
    memcpy(file, data, size < sizeof file ? size : sizeof file);
    uint64_t first = 1 + size % 3;
    mend(file, HALF, first);
    mend(file + HALF, HALF, first + size % 64);
    open_and_replay(folder_fd, file, sizeof file, size % 3);
    return 0;
}
