/* SPDX-License-Identifier: MIT */
/*
 * Random operations on two files of a folder, each compared with a model in memory: reads, writes,
 * appends, truncates, mappings, holes, copies, renames, through handles that come and go. The same
 * seed does the same; a difference ends the run with the seed and the last operations. At the end
 * the models can be written out, to be compared with what arrived elsewhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    N_FILES = 2,
    N_HANDLES = 2,
    N_KEPT = 50,   /* operations that are told on failure */
    WHOLE = 65536, /* a file up to this size is compared whole after each operation */
    WHOLE_EACH = 32,
};

/* A file: what it must hold, and the handles that are open. */
struct file {
    char name[64];
    uint8_t *model;
    size_t size;
    int fds[N_HANDLES]; /* -1: not open */
    int flags[N_HANDLES];
    unsigned generation; /* of its name */
};

static struct {
    uint64_t seed, random;
    size_t max_size;
    unsigned long done;
    struct file files[N_FILES];
    uint8_t *scratch;
    char log[N_KEPT][160];
    bool no_punch, no_zero; /* the file system does not know it */
} run;

/* -- telling -- */

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
    char *line = run.log[run.done % N_KEPT];
    int n = snprintf(line, sizeof run.log[0], "%lu: ", run.done);
    va_list args;
    va_start(args, format);
    vsnprintf(line + n, sizeof run.log[0] - (size_t)n, format, args);
    va_end(args);
}

__attribute__((format(printf, 1, 2))) _Noreturn static void fail(const char *format, ...)
{
    unsigned long first = run.done < N_KEPT ? 0 : run.done - N_KEPT + 1;
    for (unsigned long i = first; i <= run.done; i++)
        printf("  %s\n", run.log[i % N_KEPT]);
    printf("fsx: seed %llu, operation %lu: ", (unsigned long long)run.seed, run.done);
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    exit(1);
}

static long must(const char *what, long result)
{
    if (result < 0)
        fail("%s: %s", what, strerror(errno));
    return result;
}

/* -- choosing -- */

static uint64_t draw(void)
{
    uint64_t z = run.random += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static size_t below(size_t n)
{
    return n ? (size_t)(draw() % n) : 0;
}

/* Where things go wrong: at pages and at the cells that ftxfs sends. */
static size_t near_edge(size_t limit)
{
    static const size_t edges[] = {4096, 65536, 1 << 20};
    size_t edge = edges[below(3)];
    size_t at = (1 + below(limit / edge + 1)) * edge + below(5) - 2;
    return at < limit ? at : below(limit);
}

static size_t choose_offset(size_t limit)
{
    return below(3) == 0 ? near_edge(limit) : below(limit);
}

static size_t choose_length(size_t most)
{
    static const size_t scales[] = {1, 16, 4096, 4096, 65536, 1 << 20};
    size_t length = 1 + below(scales[below(6)]);
    return length < most ? length : most;
}

/* -- handles -- */

static void open_handle(struct file *f, int i, int flags)
{
    f->fds[i] = (int)must("open", open(f->name, flags | O_CREAT | O_CLOEXEC, 0644));
    f->flags[i] = flags;
}

static void close_handle(struct file *f, int i)
{
    if (f->fds[i] >= 0)
        must("close", close(f->fds[i]));
    f->fds[i] = -1;
}

/* A handle that can do that, opened if there is none. `how`: O_RDONLY or O_WRONLY. */
static int handle_for(struct file *f, int how)
{
    size_t first = below(N_HANDLES);
    for (size_t k = 0; k < N_HANDLES; k++) {
        size_t i = (first + k) % N_HANDLES;
        int mode = f->flags[i] & O_ACCMODE;
        if (f->fds[i] >= 0 && (mode == O_RDWR || mode == how))
            return f->fds[i];
    }
    int i = (int)first;
    close_handle(f, i);
    open_handle(f, i, below(3) ? O_RDWR : how);
    return f->fds[i];
}

/* -- comparing -- */

static void compare(struct file *f, size_t from, size_t to)
{
    if (to > f->size)
        to = f->size;
    if (from >= to)
        return;
    int fd = handle_for(f, O_RDONLY);
    for (size_t at = from; at < to;) {
        ssize_t n = pread(fd, run.scratch + at, to - at, (off_t)at);
        if (n <= 0)
            fail("read of %s at %zu: %s", f->name, at, n ? strerror(errno) : "end of file");
        at += (size_t)n;
    }
    for (size_t at = from; at < to; at++)
        if (run.scratch[at] != f->model[at])
            fail("%s: byte %zu of %zu is %02x and should be %02x", f->name, at, f->size,
                 run.scratch[at], f->model[at]);
}

static void check(struct file *f, size_t from, size_t to)
{
    struct stat st;
    must("stat", stat(f->name, &st));
    if ((size_t)st.st_size != f->size)
        fail("%s: size is %lld and should be %zu", f->name, (long long)st.st_size, f->size);
    bool whole = f->size <= WHOLE || run.done % WHOLE_EACH == 0;
    compare(f, whole ? 0 : from > 4096 ? from - 4096 : 0, whole ? f->size : to + 4096);
}

/* -- operations: on the file, on its model, and a check -- */

static void fill(uint8_t *out, size_t size)
{
    uint64_t word = draw();
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(word >> i % 8 * 8) ^ (uint8_t)(i >> 3);
}

static void model_write(struct file *f, size_t at, const uint8_t *bytes, size_t size)
{
    if (at > f->size)
        memset(f->model + f->size, 0, at - f->size);
    memcpy(f->model + at, bytes, size);
    if (at + size > f->size)
        f->size = at + size;
}

static void model_resize(struct file *f, size_t size)
{
    if (size > f->size)
        memset(f->model + f->size, 0, size - f->size);
    f->size = size;
}

static void do_read(struct file *f)
{
    size_t at = choose_offset(run.max_size), size = choose_length(run.max_size - at);
    note("read %s %zu+%zu", f->name, at, size);
    compare(f, at, at + size);
}

static void do_write(struct file *f)
{
    size_t at = choose_offset(below(4) ? f->size + 1 : run.max_size);
    size_t size = choose_length(run.max_size - at);
    note("write %s %zu+%zu (size %zu)", f->name, at, size, f->size);
    fill(run.scratch, size);
    model_write(f, at, run.scratch, size);
    int fd = handle_for(f, O_WRONLY);
    for (size_t done = 0; done < size;)
        done += (size_t)must("pwrite",
                             pwrite(fd, f->model + at + done, size - done, (off_t)(at + done)));
    check(f, at, at + size);
}

static void do_append(struct file *f)
{
    size_t at = f->size, size = choose_length(run.max_size - at);
    if (size == 0)
        return;
    note("append %s %zu+%zu", f->name, at, size);
    fill(run.scratch, size);
    model_write(f, at, run.scratch, size);
    int fd = (int)must("open", open(f->name, O_WRONLY | O_APPEND));
    for (size_t done = 0; done < size;)
        done += (size_t)must("append", write(fd, f->model + at + done, size - done));
    must("close", close(fd));
    check(f, at, at + size);
}

static void do_truncate(struct file *f)
{
    size_t size = below(2) ? below(f->size + 1) : choose_offset(run.max_size);
    bool by_name = below(2), empty = below(20) == 0;
    note("truncate %s %zu -> %zu", f->name, f->size, empty ? 0 : size);
    if (empty)
        must("close", close((int)must("O_TRUNC", open(f->name, O_WRONLY | O_TRUNC))));
    else if (by_name)
        must("truncate", truncate(f->name, (off_t)size));
    else
        must("ftruncate", ftruncate(handle_for(f, O_WRONLY), (off_t)size));
    size_t old = f->size;
    model_resize(f, empty ? 0 : size);
    check(f, old, f->size);
}

/* A shared mapping of the file, or NULL where a handle that only writes is in the way. */
static uint8_t *map(struct file *f, size_t size)
{
    int fd = (int)must("open", open(f->name, O_RDWR | O_CLOEXEC));
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED && errno != ENODEV)
        fail("mmap: %s", strerror(errno));
    must("close", close(fd));
    return at == MAP_FAILED ? NULL : at;
}

static void do_map_read(struct file *f)
{
    size_t at = below(f->size), size = f->size ? choose_length(f->size - at) : 0;
    note("mapped read %s %zu+%zu", f->name, at, size);
    uint8_t *bytes = size ? map(f, f->size) : NULL;
    if (!bytes)
        return;
    for (size_t i = at; i < at + size; i++)
        if (bytes[i] != f->model[i])
            fail("%s: mapped byte %zu is %02x and should be %02x", f->name, i, bytes[i],
                 f->model[i]);
    must("munmap", munmap(bytes, f->size));
}

static void do_map_write(struct file *f)
{
    size_t at = below(f->size), size = f->size ? choose_length(f->size - at) : 0;
    bool sync = below(2);
    note("mapped write %s %zu+%zu%s", f->name, at, size, sync ? " msync" : "");
    uint8_t *bytes = size ? map(f, f->size) : NULL;
    if (!bytes)
        return;
    fill(run.scratch, size);
    memcpy(bytes + at, run.scratch, size);
    model_write(f, at, run.scratch, size);
    if (sync)
        must("msync", msync(bytes, f->size, MS_SYNC));
    if (below(2)) { /* seen before it is unmapped */
        check(f, at, at + size);
    }
    must("munmap", munmap(bytes, f->size));
    check(f, at, at + size);
}

static void do_clear(struct file *f, bool punch)
{
    size_t at = choose_offset(run.max_size), size = choose_length(run.max_size - at);
    bool keep = punch || below(2);
    int mode =
        (punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) | (keep ? FALLOC_FL_KEEP_SIZE : 0);
    note("%s %s %zu+%zu%s (size %zu)", punch ? "punch" : "zero", f->name, at, size,
         keep ? " keep" : "", f->size);
    if (size == 0)
        return;
    if (fallocate(handle_for(f, O_WRONLY), mode, (off_t)at, (off_t)size) < 0) {
        if (errno != EOPNOTSUPP)
            fail("fallocate: %s", strerror(errno));
        *(punch ? &run.no_punch : &run.no_zero) = true;
        return;
    }
    if (!keep && at + size > f->size)
        model_resize(f, at + size);
    size_t end = at + size < f->size ? at + size : f->size;
    if (at < end)
        memset(f->model + at, 0, end - at);
    check(f, at, at + size);
}

static void do_punch(struct file *f)
{
    if (!run.no_punch)
        do_clear(f, true);
}

static void do_zero(struct file *f)
{
    if (!run.no_zero)
        do_clear(f, false);
}

static void do_allocate(struct file *f)
{
    size_t at = choose_offset(run.max_size), size = choose_length(run.max_size - at);
    bool keep = below(2);
    note("allocate %s %zu+%zu%s", f->name, at, size, keep ? " keep" : "");
    if (size == 0)
        return;
    must("fallocate", fallocate(handle_for(f, O_WRONLY), keep ? FALLOC_FL_KEEP_SIZE : 0, (off_t)at,
                                (off_t)size));
    if (!keep && at + size > f->size)
        model_resize(f, at + size);
    check(f, at, at + size);
}

static void do_copy(struct file *f)
{
    struct file *from = &run.files[below(N_FILES)];
    size_t at = below(from->size), to = choose_offset(run.max_size);
    size_t size = from->size ? choose_length(from->size - at) : 0;
    if (size > run.max_size - to)
        size = run.max_size - to;
    note("copy %s %zu+%zu to %s %zu", from->name, at, size, f->name, to);
    if (size == 0 || (from == f && at < to + size && to < at + size))
        return;
    off_t in = (off_t)at, out = (off_t)to;
    int in_fd = handle_for(from, O_RDONLY), out_fd = handle_for(f, O_WRONLY);
    for (size_t done = 0; done < size;) {
        if (from == f) /* the second may have closed the first */
            in_fd = out_fd = (int)must("open", open(f->name, O_RDWR));
        long n = must("copy_file_range", copy_file_range(in_fd, &in, out_fd, &out, size - done, 0));
        if (from == f)
            must("close", close(in_fd));
        if (n == 0)
            fail("copy_file_range ended after %zu bytes", done);
        done += (size_t)n;
    }
    memcpy(run.scratch, from->model + at, size);
    model_write(f, to, run.scratch, size);
    check(f, to, to + size);
}

/* What is not data must be zeros. Right after a close the file system may not have heard of it: the
 * first answer may count a writer that the second does not, once. */
static void do_holes(struct file *f)
{
    note("holes %s", f->name);
    int fd = handle_for(f, O_RDONLY);
    bool disagreed = false;
    for (off_t at = 0; at < (off_t)f->size;) {
        off_t data = lseek(fd, at, SEEK_DATA);
        if (data < 0 && errno != ENXIO)
            fail("SEEK_DATA: %s", strerror(errno));
        off_t end = data < 0 ? (off_t)f->size : data;
        for (; at < end; at++)
            if (f->model[at])
                fail("%s: a hole at %lld, where %02x should be", f->name, (long long)at,
                     f->model[at]);
        if (data < 0)
            return;
        at = (off_t)must("SEEK_HOLE", lseek(fd, data, SEEK_HOLE));
        if (at < data || (at == data && disagreed))
            fail("SEEK_HOLE at %lld found %lld, which is data", (long long)data, (long long)at);
        disagreed = disagreed || at == data;
    }
}

static void do_sync(struct file *f)
{
    note("fsync %s", f->name);
    must("fsync", below(2) ? fsync(handle_for(f, O_WRONLY)) : fdatasync(handle_for(f, O_RDONLY)));
}

static void do_reopen(struct file *f)
{
    static const int modes[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR};
    bool all = below(2);
    size_t i = below(N_HANDLES);
    int mode = modes[below(4)];
    note("reopen %s %s, handle %zu with mode %d", all ? "all of" : "one of", f->name, i, mode);
    for (int k = 0; k < N_HANDLES; k++)
        if (all || k == (int)i)
            close_handle(f, k);
    open_handle(f, (int)i, mode);
    check(f, 0, f->size);
}

static void do_rename(struct file *f)
{
    char old[sizeof f->name];
    memcpy(old, f->name, sizeof old);
    unsigned generation = f->generation++ % 1000;
    note("rename %s", old);
    snprintf(f->name, sizeof f->name, "fsx-%llu-%c-%03u", (unsigned long long)run.seed,
             'a' + (int)(f - run.files), generation);
    must("rename", rename(old, f->name));
    check(f, 0, f->size);
}

/* As editors do: a new file takes the name. */
static void do_replace(struct file *f)
{
    size_t size = choose_length(run.max_size);
    note("replace %s by %zu bytes", f->name, size);
    fill(run.scratch, size);
    int fd = (int)must("open", open("fsx.tmp", O_WRONLY | O_CREAT | O_TRUNC, 0644));
    for (size_t done = 0; done < size;)
        done += (size_t)must("write", write(fd, run.scratch + done, size - done));
    must("close", close(fd));
    for (int i = 0; i < N_HANDLES; i++)
        close_handle(f, i);
    must("rename", rename("fsx.tmp", f->name));
    memcpy(f->model, run.scratch, size);
    f->size = size;
    check(f, 0, size);
}

static const struct {
    void (*run)(struct file *f);
    unsigned weight;
} operations[] = {
    {do_read, 15},     {do_write, 30}, {do_append, 6}, {do_truncate, 10}, {do_map_read, 6},
    {do_map_write, 8}, {do_punch, 6},  {do_zero, 4},   {do_allocate, 2},  {do_copy, 5},
    {do_holes, 3},     {do_sync, 1},   {do_reopen, 6}, {do_rename, 3},    {do_replace, 1},
};

static void step(void)
{
    unsigned total = 0;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        total += operations[i].weight;
    size_t at = below(total);
    struct file *f = &run.files[below(N_FILES)];
    for (size_t i = 0;; i++) {
        if (at < operations[i].weight) {
            operations[i].run(f);
            return;
        }
        at -= operations[i].weight;
    }
}

/* -- the run -- */

static void begin(void)
{
    run.random = run.seed;
    run.scratch = malloc(run.max_size + 1);
    for (int i = 0; i < N_FILES; i++) {
        struct file *f = &run.files[i];
        f->model = calloc(1, run.max_size + 1);
        if (!f->model || !run.scratch)
            fail("no memory");
        for (int k = 0; k < N_HANDLES; k++)
            f->fds[k] = -1;
        snprintf(f->name, sizeof f->name, "fsx-%llu-%c", (unsigned long long)run.seed, 'a' + i);
        note("make %s", f->name);
        open_handle(f, 0, O_RDWR);
    }
}

/* Writes what each file must hold to FOLDER/<its name>. */
static void write_models(const char *folder)
{
    for (int i = 0; i < N_FILES; i++) {
        char path[4200];
        snprintf(path, sizeof path, "%s/%s", folder, run.files[i].name);
        FILE *out = fopen(path, "wb");
        if (!out || fwrite(run.files[i].model, 1, run.files[i].size, out) != run.files[i].size ||
            fclose(out))
            fail("%s: %s", path, strerror(errno));
    }
}

static void end(const char *models)
{
    for (int i = 0; i < N_FILES; i++) {
        note("end of %s", run.files[i].name);
        compare(&run.files[i], 0, run.files[i].size);
        for (int k = 0; k < N_HANDLES; k++)
            close_handle(&run.files[i], k);
    }
    if (models)
        write_models(models);
}

static int usage(void)
{
    fprintf(stderr, "usage: fsx [--seed N] [--ops N] [--seconds N] [--size BYTES] "
                    "[--models FOLDER] FOLDER\n"
                    "  ends after --ops operations (default 10000) or, if given, --seconds\n"
                    "  --models  an absolute folder that gets what the files must hold\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"seed", required_argument, NULL, 's'},    {"ops", required_argument, NULL, 'o'},
        {"seconds", required_argument, NULL, 't'}, {"size", required_argument, NULL, 'z'},
        {"models", required_argument, NULL, 'm'},  {0}};
    unsigned long ops = 10000;
    time_t seconds = 0;
    const char *models = NULL;
    run.seed = (uint64_t)time(NULL);
    run.max_size = 3 << 20;
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (option == 's')
            run.seed = strtoull(optarg, NULL, 10);
        else if (option == 'o')
            ops = strtoul(optarg, NULL, 10);
        else if (option == 't')
            seconds = strtol(optarg, NULL, 10);
        else if (option == 'z')
            run.max_size = strtoull(optarg, NULL, 10);
        else if (option == 'm')
            models = optarg;
        else
            return usage();
    }
    if (optind + 1 != argc || run.max_size == 0)
        return usage();
    if (chdir(argv[optind]) < 0) {
        perror(argv[optind]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("fsx: seed %llu\n", (unsigned long long)run.seed);
    begin();
    for (time_t until = time(NULL) + seconds; seconds ? time(NULL) < until : run.done < ops;) {
        run.done++;
        step();
    }
    end(models);
    printf("fsx: %lu operations, no difference\n", run.done);
    return 0;
}
