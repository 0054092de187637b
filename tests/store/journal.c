/* SPDX-License-Identifier: MIT */
/* fs/store/journal: what comes back after a kill, a torn entry, damage, and an earlier use of a
 * half. */
#include "fs/store/journal.h"
#include "transport/base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <xxhash.h>
#include <cmocka.h>

#include "tests/store/support.h"

enum { HALF = 4096, FILE_SIZE = 2 * HALF };

static int fallocate_err; /* what fallocate answers; 0: the kernel's answer */

int __real_fallocate64(int fd, int mode, off_t offset, off_t length);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length);

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length)
{
    if (fallocate_err == 0)
        return __real_fallocate64(fd, mode, offset, length);
    errno = fallocate_err;
    return -1;
}

static struct scratch scratch;
static struct ftx_journal *journal;

static int setup(void **state)
{
    (void)state;
    fallocate_err = 0;
    journal = NULL;
    return scratch_open(&scratch);
}

static int teardown(void **state)
{
    (void)state;
    ftx_journal_close(journal);
    return scratch_close(&scratch);
}

static void reopen(void)
{
    ftx_journal_close(journal);
    journal = NULL;
    assert_int_equal(ftx_journal_open(scratch.fd, "journal", HALF, &journal), 0);
}

static void open_empty(void)
{
    reopen();
    ftx_journal_reset(journal, 0);
}

/* The body of an entry follows from its number; lengths differ, so that entries of two uses of a
 * half seldom line up. */
static size_t body_of(uint64_t number, char body[64])
{
    return (size_t)snprintf(body, 64, "entry %llu%.*s", (unsigned long long)number,
                            (int)(number % 9), ".........");
}

/* Appends the next entry, whose number must be `number`. */
static int append(uint64_t number)
{
    char body[64];
    uint64_t given;
    int rc = ftx_journal_append(journal, body, body_of(number, body), &given);
    if (rc == 0)
        assert_int_equal(given, number);
    return rc;
}

/* Fills the half that takes entries, from `number` on; returns the number after the last. */
static uint64_t fill(uint64_t number)
{
    while (append(number) == 0)
        number++;
    assert_int_equal(append(number), -EAGAIN);
    return number;
}

/* Collects what a walk gives and checks that each body is the one that was written. */
struct walk {
    uint64_t first;
    uint64_t last;
    uint64_t count;
    uint64_t fail_at;
    bool wrong;
};

static int on_entry(void *ctx, uint64_t number, const void *body, size_t size)
{
    struct walk *walk = ctx;
    char expected[64];
    if (number == walk->fail_at)
        return -EIO;
    if (size != body_of(number, expected) || memcmp(body, expected, size) != 0 ||
        (walk->count && number != walk->last + 1))
        walk->wrong = true;
    if (walk->count++ == 0)
        walk->first = number;
    walk->last = number;
    return 0;
}

static struct walk replay(uint64_t applied)
{
    struct walk walk = {0};
    uint64_t last = 0;
    assert_int_equal(ftx_journal_replay(journal, applied, on_entry, &walk, &last), 0);
    assert_int_equal(last, walk.count ? walk.last : applied);
    assert_false(walk.wrong);
    return walk;
}

static void assert_replays(uint64_t applied, uint64_t first, uint64_t last)
{
    reopen();
    struct walk walk = replay(applied);
    assert_int_equal(walk.count, last + 1 - first);
    if (walk.count > 0)
        assert_int_equal(walk.first, first);
}

static void read_file(uint8_t bytes[FILE_SIZE])
{
    int fd = openat(scratch.fd, "journal", O_RDONLY);
    assert_int_equal(pread(fd, bytes, FILE_SIZE, 0), FILE_SIZE);
    close(fd);
}

static void write_file(const uint8_t *bytes, size_t size)
{
    ftx_journal_close(journal);
    journal = NULL;
    int fd = openat(scratch.fd, "journal", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
}

static void new_journal_is_empty(void **state)
{
    (void)state;
    struct stat st;
    assert_replays(0, 1, 0);
    assert_int_equal(fstatat(scratch.fd, "journal", &st, 0), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0600);
    assert_int_equal(st.st_size, FILE_SIZE);
    assert_true(st.st_blocks * 512 >= FILE_SIZE);
    assert_int_equal(fstatat(scratch.fd, "journal.new", &st, 0), -1);
}

static void two_halves_take_turns(void **state)
{
    (void)state;
    struct ftx_journal_batch first, second;
    struct walk walk = {0};
    open_empty();
    assert_false(ftx_journal_swap(journal, &first));
    uint64_t next = fill(1);
    assert_true(ftx_journal_swap(journal, &first));
    assert_int_equal(first.last, next - 1);
    uint64_t end = fill(next);
    assert_false(ftx_journal_swap(journal, &second));

    assert_int_equal(ftx_journal_each(&first, on_entry, &walk), 0);
    assert_true(walk.first == 1 && walk.last == next - 1 && !walk.wrong);
    ftx_journal_release(journal);
    assert_true(ftx_journal_swap(journal, &second));
    assert_int_equal(second.last, end - 1);
    assert_int_equal(append(end), 0);

    walk = (struct walk){.fail_at = next + 1};
    assert_int_equal(ftx_journal_each(&second, on_entry, &walk), -EIO);
    assert_int_equal(walk.count, 1);
}

static void refuses_a_body_it_cannot_hold(void **state)
{
    (void)state;
    static const char body[FTX_JOURNAL_ENTRY_MAX + 1];
    uint64_t number;
    open_empty();
    assert_int_equal(ftx_journal_append(journal, body, 0, &number), -EMSGSIZE);
    assert_int_equal(ftx_journal_append(journal, body, HALF - 23, &number), -EMSGSIZE);
    assert_int_equal(ftx_journal_append(journal, body, sizeof body, &number), -EMSGSIZE);
    assert_int_equal(ftx_journal_room(journal), HALF - 24);
    assert_int_equal(ftx_journal_append(journal, body, HALF - 24, &number), 0);
    assert_int_equal(number, 1);
    assert_int_equal(ftx_journal_room(journal), 0);
}

static void room_is_what_fits(void **state)
{
    (void)state;
    static const char body[HALF];
    uint64_t number;
    open_empty();
    for (size_t size = 1; size + 24 <= HALF; size += 37) {
        ftx_journal_reset(journal, 0);
        assert_int_equal(ftx_journal_append(journal, body, size, &number), 0);
        size_t room = ftx_journal_room(journal);
        if (room + 1 + 24 <= HALF)
            assert_int_equal(ftx_journal_append(journal, body, room + 1, &number), -EAGAIN);
        if (room > 0)
            assert_int_equal(ftx_journal_append(journal, body, room, &number), 0);
        assert_int_equal(ftx_journal_room(journal), 0);
    }
}

static void batch_that_was_overwritten_is_noticed(void **state)
{
    (void)state;
    struct ftx_journal_batch batch;
    struct walk walk = {0};
    open_empty();
    assert_int_equal(append(1), 0);
    assert_int_equal(append(2), 0);
    assert_true(ftx_journal_swap(journal, &batch));
    int fd = openat(scratch.fd, "journal", O_WRONLY);
    assert_int_equal(pwrite(fd, "X", 1, (off_t)batch.size - 1), 1);
    close(fd);
    assert_int_equal(ftx_journal_each(&batch, on_entry, &walk), FTX_ECORRUPT);
    assert_int_equal(walk.count, 1);
}

static void replays_both_halves_in_order(void **state)
{
    (void)state;
    struct ftx_journal_batch batch;
    open_empty();
    uint64_t next = fill(1);
    assert_true(ftx_journal_swap(journal, &batch));
    assert_int_equal(append(next), 0);
    assert_int_equal(append(next + 1), 0);

    assert_replays(0, 1, next + 1);
    assert_replays(0, 1, next + 1); /* until reset it can be had again */
    assert_replays(5, 6, next + 1);
    assert_replays(next - 1, next, next + 1); /* killed between commit and release */
    assert_replays(next, next + 1, next + 1);
    assert_replays(next + 1, 1, 0);
    assert_replays(next + 50, 1, 0);

    struct walk walk = {.fail_at = 3};
    uint64_t last = 77;
    assert_int_equal(ftx_journal_replay(journal, 0, on_entry, &walk, &last), -EIO);
    assert_int_equal(last, 77);
}

static void either_half_may_be_the_older(void **state)
{
    (void)state;
    struct ftx_journal_batch batch;
    open_empty();
    uint64_t first = fill(1);
    assert_true(ftx_journal_swap(journal, &batch));
    uint64_t second = fill(first);
    ftx_journal_release(journal);
    assert_true(ftx_journal_swap(journal, &batch));
    assert_int_equal(append(second), 0); /* half 0 again, with leftovers behind it */
    assert_replays(first - 1, first, second);
    assert_replays(second - 1, second, second);
}

static void leftovers_of_an_earlier_use_are_not_replayed(void **state)
{
    (void)state;
    struct ftx_journal_batch batch;
    uint64_t number;
    open_empty();
    /* entries of one length, so that leftovers begin exactly where a new entry ends */
    for (int use = 0; use < 4; use++) {
        while (ftx_journal_append(journal, "entry of 16 byte", 16, &number) == 0)
            ;
        assert_true(ftx_journal_swap(journal, &batch));
        ftx_journal_release(journal);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(ftx_journal_append(journal, "entry of 16 byte", 16, &number), 0);
    reopen();
    for (uint64_t applied = number - 3; applied <= number; applied++) {
        struct walk walk = {0};
        uint64_t last;
        assert_int_equal(ftx_journal_replay(journal, applied, on_entry, &walk, &last), 0);
        assert_int_equal(walk.count, number - applied);
        assert_int_equal(last, number);
    }
}

static void a_gap_before_the_first_entry_ends_the_replay(void **state)
{
    (void)state;
    open_empty();
    ftx_journal_reset(journal, 10);
    assert_int_equal(append(11), 0);
    assert_replays(9, 1, 0); /* the database is older than what the log begins with */
    assert_replays(10, 11, 11);
}

static void reset_leaves_nothing_to_replay(void **state)
{
    (void)state;
    uint8_t bytes[FILE_SIZE];
    open_empty();
    for (uint64_t i = 1; i <= 20; i++)
        assert_int_equal(append(i), 0);
    read_file(bytes);
    bytes[20] ^= 1; /* in the first entry: the others are intact, but nothing leads to them */
    write_file(bytes, FILE_SIZE);
    assert_replays(0, 1, 0);
    ftx_journal_reset(journal, 0);
    assert_int_equal(append(1), 0); /* ends where the old second entry began */
    assert_replays(0, 1, 1);
}

static void entry_has_the_documented_bytes(void **state)
{
    (void)state;
    static const uint8_t expected[24] = {3, 0, 0, 0, 0, 0, 0,   0,   3,  0,
                                         0, 0, 0, 0, 0, 0, 'a', 'b', 'c'};
    uint64_t number, sum = XXH3_64bits(expected, 24); /* the tests run on little-endian machines */
    uint8_t bytes[FILE_SIZE];
    struct ftx_journal_batch batch;
    open_empty();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ftx_journal_append(journal, "a longer body before", 20, &number), 0);
        assert_true(ftx_journal_swap(journal, &batch));
        ftx_journal_release(journal);
    }
    assert_int_equal(ftx_journal_append(journal, "abc", 3, &number), 0);
    read_file(bytes);
    assert_memory_equal(bytes, expected, 24);
    assert_memory_equal(bytes + 24, &sum, 8);
}

static void torn_last_entry_is_dropped(void **state)
{
    (void)state;
    uint8_t bytes[FILE_SIZE], torn[FILE_SIZE];
    struct ftx_journal_batch batch;
    open_empty();
    append(1), append(2);
    assert_true(ftx_journal_swap(journal, &batch));
    size_t begin = batch.size;
    ftx_journal_reset(journal, 0);
    append(1), append(2), append(3);
    assert_true(ftx_journal_swap(journal, &batch));
    size_t end = batch.size;
    read_file(bytes);
    for (size_t size = begin; size < end; size++) {
        write_file(bytes, size); /* the file ends there */
        assert_replays(0, 1, 2);
        memcpy(torn, bytes, FILE_SIZE);
        memset(torn + size, 0xa5, FILE_SIZE - size); /* or older bytes follow */
        write_file(torn, FILE_SIZE);
        assert_replays(0, 1, 2);
    }
    write_file(bytes, end);
    assert_replays(0, 1, 3);
}

static void damage_ends_the_replay_before_it(void **state)
{
    (void)state;
    uint8_t bytes[FILE_SIZE];
    struct ftx_journal_batch batch;
    size_t ends[13] = {0};
    open_empty();
    for (uint64_t i = 1; i <= 12; i++) {
        char body[64];
        ends[i] = ends[i - 1] + 24 + (body_of(i, body) + 7) / 8 * 8;
        assert_int_equal(append(i), 0);
    }
    assert_true(ftx_journal_swap(journal, &batch));
    assert_int_equal(batch.size, ends[12]);
    append(13), append(14); /* in the other half: they follow a gap once an entry is lost */
    read_file(bytes);
    uint64_t entry = 1;
    for (size_t i = 0; i < ends[12]; i++) {
        while (i >= ends[entry])
            entry++;
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[i] ^= (uint8_t)(1u << bit);
            write_file(bytes, FILE_SIZE);
            assert_replays(0, 1, entry - 1);
            assert_replays(12, 13, 14); /* what is in the database does not matter */
            bytes[i] ^= (uint8_t)(1u << bit);
        }
    }
}

static void sizes_that_lie_are_refused(void **state)
{
    (void)state;
    static const uint64_t lies[] = {0,
                                    HALF - 24 + 1,
                                    HALF,
                                    FILE_SIZE,
                                    FTX_JOURNAL_ENTRY_MAX + 1,
                                    UINT32_MAX - 7,
                                    UINT32_MAX,
                                    UINT64_C(1) << 32 | 8,
                                    UINT64_MAX};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        uint8_t bytes[FILE_SIZE] = {0};
        memcpy(bytes, &lies[i], 8);
        bytes[8] = 1;
        uint64_t sum = XXH3_64bits(bytes, 16);
        memcpy(bytes + 16, &sum, 8);
        sum = XXH3_64bits(bytes, HALF - 8);
        memcpy(bytes + HALF - 8, &sum, 8);
        sum = XXH3_64bits(bytes, FILE_SIZE - 8);
        memcpy(bytes + FILE_SIZE - 8, &sum, 8);
        write_file(bytes, FILE_SIZE);
        assert_replays(0, 1, 0);
    }
}

static void full_disk_is_an_error_of_open(void **state)
{
    (void)state;
    struct stat st;
    fallocate_err = ENOSPC;
    assert_int_equal(ftx_journal_open(scratch.fd, "journal", HALF, &journal), -ENOSPC);
    assert_int_equal(fstatat(scratch.fd, "journal", &st, 0), -1);
    assert_int_equal(fstatat(scratch.fd, "journal.new", &st, 0), -1);
}

static void works_without_fallocate(void **state)
{
    (void)state;
    struct stat st;
    fallocate_err = EOPNOTSUPP;
    open_empty();
    assert_int_equal(append(1), 0);
    assert_int_equal(fstatat(scratch.fd, "journal", &st, 0), 0);
    assert_true(st.st_blocks * 512 >= FILE_SIZE);
    assert_replays(0, 1, 1); /* and opening it again writes over nothing */
}

static void holes_of_a_copied_file_are_filled(void **state)
{
    (void)state;
    struct stat st;
    for (int err = 0; err <= EOPNOTSUPP; err += EOPNOTSUPP) {
        write_file((const uint8_t *)"", 0);
        int fd = openat(scratch.fd, "journal", O_WRONLY);
        assert_int_equal(ftruncate(fd, FILE_SIZE), 0);
        close(fd);
        fallocate_err = err;
        reopen();
        assert_int_equal(fstatat(scratch.fd, "journal", &st, 0), 0);
        assert_true(st.st_blocks * 512 >= FILE_SIZE);
    }
}

static void a_file_of_other_halves_keeps_them(void **state)
{
    (void)state;
    struct ftx_journal_batch batch;
    struct stat st;
    assert_int_equal(ftx_journal_open(scratch.fd, "journal", 4 * HALF, &journal), 0);
    ftx_journal_reset(journal, 0);
    uint64_t next = fill(1);
    assert_true(ftx_journal_swap(journal, &batch));
    assert_int_equal(append(next), 0);
    assert_replays(0, 1, next);
    assert_int_equal(fstatat(scratch.fd, "journal", &st, 0), 0);
    assert_int_equal(st.st_size, 4 * FILE_SIZE);
}

static void refuses_a_symlink(void **state)
{
    (void)state;
    assert_int_equal(symlinkat("elsewhere", scratch.fd, "journal"), 0);
    assert_int_equal(ftx_journal_open(scratch.fd, "journal", HALF, &journal), -ELOOP);
    assert_int_equal(unlinkat(scratch.fd, "journal", 0), 0);
    assert_int_equal(symlinkat("elsewhere", scratch.fd, "journal.new"), 0);
    assert_int_equal(ftx_journal_open(scratch.fd, "journal", HALF, &journal), -ELOOP);
}

/* What the child says on its pipe: entries that it has answered, batches that its "database" has.
 */
struct report {
    uint64_t number;
    bool committed;
};

static void say(int pipe_fd, uint64_t number, bool committed)
{
    struct report report = {.number = number, .committed = committed};
    if (write(pipe_fd, &report, sizeof report) != sizeof report)
        _exit(1);
}

static void append_until_killed(int pipe_fd)
{
    struct ftx_journal_batch batch;
    char body[64];
    uint64_t number = 0;
    if (ftx_journal_open(scratch.fd, "journal", HALF, &journal) < 0)
        _exit(1);
    ftx_journal_reset(journal, 0);
    for (;;) {
        int rc = ftx_journal_append(journal, body, body_of(number + 1, body), &number);
        if (rc == 0) {
            say(pipe_fd, number, false);
        } else {
            if (!ftx_journal_swap(journal, &batch))
                _exit(1);
            say(pipe_fd, batch.last, true);
            ftx_journal_release(journal);
        }
    }
}

static void killed_process_loses_no_answered_entry(void **state)
{
    (void)state;
    uint64_t first = first_seed(), seed = first;
    for (int round = 0; round < 100; round++) {
        struct report report;
        uint64_t answered = 0, committed = 0, reports = 1 + below(&seed, 600);
        int fds[2], status;
        assert_int_equal(pipe(fds), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            close(fds[0]);
            append_until_killed(fds[1]);
        }
        close(fds[1]);
        for (uint64_t i = 0; read(fds[0], &report, sizeof report) == sizeof report; i++) {
            if (i == reports)
                assert_int_equal(kill(child, SIGKILL), 0);
            if (report.committed)
                committed = report.number;
            else
                answered = report.number;
        }
        close(fds[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

        reopen();
        struct walk walk = replay(committed);
        assert_true_seed(first, walk.count == 0 || walk.first == committed + 1);
        uint64_t last = walk.count ? walk.last : committed;
        assert_true_seed(first, last == answered || last == answered + 1);
        assert_int_equal(unlinkat(scratch.fd, "journal", 0), 0);
    }
}

#define fact(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        fact(new_journal_is_empty),
        fact(two_halves_take_turns),
        fact(refuses_a_body_it_cannot_hold),
        fact(room_is_what_fits),
        fact(batch_that_was_overwritten_is_noticed),
        fact(replays_both_halves_in_order),
        fact(either_half_may_be_the_older),
        fact(leftovers_of_an_earlier_use_are_not_replayed),
        fact(a_gap_before_the_first_entry_ends_the_replay),
        fact(reset_leaves_nothing_to_replay),
        fact(entry_has_the_documented_bytes),
        fact(torn_last_entry_is_dropped),
        fact(damage_ends_the_replay_before_it),
        fact(sizes_that_lie_are_refused),
        fact(full_disk_is_an_error_of_open),
        fact(works_without_fallocate),
        fact(holes_of_a_copied_file_are_filled),
        fact(a_file_of_other_halves_keeps_them),
        fact(refuses_a_symlink),
        fact(killed_process_loses_no_answered_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
