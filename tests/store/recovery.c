/* SPDX-License-Identifier: MIT */
/* Journal and database together: a process killed at any moment, between commit and release too,
 * leaves every answered change and nothing else. */
#include "fs/store/database.h"
#include "fs/store/journal.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "tests/store/support.h"

enum { HALF = 8192, ITEMS = 10, ROUNDS = 60 };

/* Change number n sets the size of item n % ITEMS to n: the state tells which changes it has, and
 * in which order they came. */
struct end {
    struct ftx_database *db;
    struct ftx_journal *journal;
    uint64_t last;
};

static int apply(void *ctx, uint64_t number, const void *body, size_t size)
{
    struct end *end = ctx;
    (void)number;
    return ftx_database_apply(end->db, body, size);
}

/* What a start does: open both, move what is left in the journal into the database. */
static int recover(struct end *end, const struct scratch *scratch)
{
    char path[PATH_MAX + 16];
    const char *message;
    uint64_t journal_last, next_item;
    snprintf(path, sizeof path, "%s/state.db", scratch->path);
    int rc = ftx_database_open(path, &end->db, &journal_last, &next_item, &message);
    if (rc == 0)
        rc = ftx_journal_open(scratch->fd, "journal", HALF, &end->journal);
    if (rc == 0)
        rc = ftx_journal_replay(end->journal, journal_last, apply, end, &end->last);
    if (rc == 0)
        rc = ftx_database_commit(end->db, end->last, false);
    if (rc == 0)
        ftx_journal_reset(end->journal, end->last);
    return rc;
}

static void close_end(struct end *end)
{
    ftx_journal_close(end->journal);
    ftx_database_close(end->db);
}

static int append(struct end *end)
{
    uint8_t body[256];
    uint64_t n = end->last + 1;
    struct ftx_change change = {.kind = FTX_CHANGE_ITEM,
                                .as.item = {.id = n % ITEMS, .size = n, .kind = 1}};
    size_t size = ftx_change_encode(&change, body, 0, sizeof body);
    return ftx_journal_append(end->journal, body, size, &end->last);
}

static int move_batch(struct end *end, bool durable)
{
    struct ftx_journal_batch batch;
    if (!ftx_journal_swap(end->journal, &batch))
        return 0;
    int rc = ftx_journal_each(&batch, apply, end);
    if (rc == 0)
        rc = ftx_database_commit(end->db, batch.last, durable);
    if (rc == 0)
        ftx_journal_release(end->journal);
    return rc;
}

/* Says on the pipe which change it has answered, until it is killed. */
static void work(const struct scratch *scratch, uint64_t seed, int pipe_fd)
{
    struct end end;
    if (recover(&end, scratch) < 0)
        _exit(1);
    for (;;) {
        int rc = append(&end);
        if (rc == 0 && write(pipe_fd, &end.last, sizeof end.last) != sizeof end.last)
            _exit(1);
        if ((rc < 0 || below(&seed, 40) == 0) && move_batch(&end, below(&seed, 8) == 0) < 0)
            _exit(1);
    }
}

/* Runs a process until it has answered some changes; *out_answered is the last of them. */
static void run_and_kill(const struct scratch *scratch, uint64_t *seed, uint64_t *out_answered)
{
    int fds[2], status;
    uint64_t number, left = 1 + below(seed, 500);
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(fds[0]);
        work(scratch, next_random(seed), fds[1]);
    }
    close(fds[1]);
    while (read(fds[0], &number, sizeof number) == sizeof number) {
        *out_answered = number;
        if (left-- == 1)
            assert_int_equal(kill(child, SIGKILL), 0);
    }
    close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

struct sizes {
    uint64_t of[ITEMS];
};

static int note_size(void *ctx, const struct ftx_item_row *row)
{
    struct sizes *sizes = ctx;
    sizes->of[row->id] = row->size;
    return 0;
}

static void killed_at_any_moment_has_what_it_answered(void **state)
{
    (void)state;
    static const struct ftx_database_visitor visitor = {.item = note_size};
    struct scratch scratch;
    uint64_t first = first_seed(), seed = first, answered = 0;
    assert_int_equal(scratch_open(&scratch), 0);
    for (int round = 0; round < ROUNDS; round++) {
        struct end end;
        struct sizes sizes = {0};
        run_and_kill(&scratch, &seed, &answered);
        assert_int_equal(recover(&end, &scratch), 0);
        assert_true_seed(first, end.last == answered || end.last == answered + 1);
        assert_int_equal(ftx_database_load(end.db, &visitor, &sizes), 0);
        for (uint64_t n = end.last; n > 0 && n + ITEMS > end.last; n--)
            assert_true_seed(first, sizes.of[n % ITEMS] == n);
        close_end(&end);
    }
    assert_int_equal(scratch_close(&scratch), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_any_moment_has_what_it_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
