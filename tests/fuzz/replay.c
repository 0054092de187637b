/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target without a fuzzer: on the given files and folders, then on --mutate N changed
 * copies of them. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

enum {
    SEEDS_MAX = 4096,
    INPUT_MAX = 1 << 17, /* a seed is cut here; mutations may grow to it */
    GROWTH_MAX = 64,     /* bytes that one insertion adds */
    CHANGES_MAX = 8,     /* changes in one copy */
};

static struct seed {
    uint8_t *bytes;
    size_t size;
} seeds[SEEDS_MAX];
static size_t n_seeds;

static uint64_t random_state = 1;

/* What is running now, for on_crash. */
static const uint8_t *current;
static size_t current_size;

/* SplitMix64: the same numbers on every machine. */
static uint64_t random_next(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t random_below(size_t n)
{
    return n ? (size_t)(random_next() % n) : 0;
}

/* Leaves the input that crashed in ./crash, then dies of the same signal. */
static void on_crash(int number)
{
    static const char note[] = "replay: the input that crashed is in ./crash\n";
    int fd = open("crash", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd >= 0 && write(fd, current, current_size) == (ssize_t)current_size)
        (void)!write(STDERR_FILENO, note, sizeof note - 1);
    signal(number, SIG_DFL);
    raise(number);
}

/* In a block of exactly its size, so that a sanitizer sees a read past its end. */
static void run(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        abort();
    memcpy(copy, bytes, size);
    current = copy;
    current_size = size;
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static bool add_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(INPUT_MAX);

    if (!file || !bytes || n_seeds == SEEDS_MAX) {
        fprintf(stderr, "replay: cannot take %s\n", path);
        if (file)
            fclose(file);
        free(bytes);
        return false;
    }
    seeds[n_seeds].size = fread(bytes, 1, INPUT_MAX, file);
    seeds[n_seeds++].bytes = bytes;
    fclose(file);
    return true;
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* A file, or all files of a folder in the order of their names. */
static bool add_path(const char *path)
{
    struct dirent **entries;
    struct stat info;
    bool good = true;
    int n;

    if (stat(path, &info) != 0) {
        perror(path);
        return false;
    }
    if (!S_ISDIR(info.st_mode))
        return add_file(path);
    n = scandir(path, &entries, visible, alphasort);
    for (int i = 0; i < n; i++) {
        char name[4096];

        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        good = add_file(name) && good;
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return good && n >= 0;
}

/* One change of `bytes` (room for INPUT_MAX); returns the new size. */
static size_t change(uint8_t *bytes, size_t size)
{
    static const uint64_t edges[] = {0,      1,          0x7f,       0x80,      0xff,      0x7fff,
                                     0xffff, 0x7fffffff, 0xffffffff, INT64_MAX, UINT64_MAX};
    size_t at = random_below(size + 1), left = size - at, n;

    switch (random_below(7)) {
    case 0: /* flip a bit */
        if (left)
            bytes[at] ^= (uint8_t)(1u << random_below(8));
        return size;
    case 1: /* another byte */
        if (left)
            bytes[at] = (uint8_t)random_next();
        return size;
    case 2: { /* an integer at an edge of its range */
        uint64_t value = edges[random_below(sizeof edges / sizeof *edges)];

        n = (size_t)1 << random_below(4);
        memcpy(bytes + at, &value, n < left ? n : left);
        return size;
    }
    case 3: /* cut the end off */
        return at;
    case 4: /* take some out */
        n = random_below(left + 1);
        memmove(bytes + at, bytes + at + n, left - n);
        return size - n;
    case 5: /* put some in */
        n = random_below(GROWTH_MAX);
        if (size + n > INPUT_MAX)
            return size;
        memmove(bytes + at + n, bytes + at, left);
        for (size_t i = 0; i < n; i++)
            bytes[at + i] = (uint8_t)random_next();
        return size + n;
    default: { /* go on as another seed does */
        const struct seed *other = &seeds[random_below(n_seeds)];
        size_t from = random_below(other->size + 1);

        n = other->size - from;
        if (n > INPUT_MAX - at)
            n = INPUT_MAX - at;
        memcpy(bytes + at, other->bytes + from, n);
        return at + n;
    }
    }
}

static void mutate(unsigned long rounds)
{
    uint8_t *bytes = malloc(INPUT_MAX);

    if (!bytes)
        abort();
    for (unsigned long i = 0; i < rounds; i++) {
        const struct seed *seed = &seeds[random_below(n_seeds)];
        size_t size = seed->size;

        memcpy(bytes, seed->bytes, size);
        for (size_t n = 1 + random_below(CHANGES_MAX); n > 0; n--)
            size = change(bytes, size);
        run(bytes, size);
    }
    free(bytes);
}

int main(int argc, char **argv)
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    unsigned long rounds = 0;
    bool good = true;

    if (LLVMFuzzerInitialize)
        LLVMFuzzerInitialize(&argc, &argv);
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
        signal(deadly[i], on_crash);
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--mutate") && i + 1 < argc)
            rounds = strtoul(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
            random_state = strtoull(argv[++i], NULL, 10);
        else
            good = add_path(argv[i]) && good;
    }
    for (size_t i = 0; i < n_seeds; i++)
        run(seeds[i].bytes, seeds[i].size);
    if (n_seeds)
        mutate(rounds);
    printf("%zu inputs, %lu mutations\n", n_seeds, n_seeds ? rounds : 0);
    for (size_t i = 0; i < n_seeds; i++)
        free(seeds[i].bytes);
    return good ? 0 : 1;
}
