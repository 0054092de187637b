/* SPDX-License-Identifier: MIT */
/* Files that the peer has are written again: what is as it was is not sent, and nothing of what was
 * cut off ever comes to light. */
#include "fs/store/outbox.h"
#include "fs/store/outgoing.h"
#include "fs/store/release.h"
#include "fs/store/remains.h"
#include "fs/store/spool.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/store/support.h"

enum { CELL = 1 << 20, SIZE = 3 * CELL + 12345, PIECE = 128 << 10 };

struct rewrite {
    struct scratch scratch;
    struct ftx_store *store;
    struct ftx_link *link;
    uint64_t id;
    struct ftx_item *item; /* a delivered file of `bytes`, open for writing */
    uint8_t bytes[SIZE];
};

static uint8_t room[SIZE];

static void deliver(struct rewrite *t)
{
    struct ftx_plan_seal seal;
    struct ftx_source source;
    struct ftx_sending *sending = t->item->as.sending;
    assert_int_equal(ftx_store_sync(t->store), 0);
    while (ftx_outgoing_extent(t->store, sending, CELL, 1, &source) == 0)
        assert_int_equal(ftx_outgoing_received(t->store, t->link, &source.extent, 1), 0);
    assert_true(ftx_outgoing_seal(t->store, sending, 1, UINT64_MAX, &seal));
    assert_int_equal(ftx_outgoing_delivered(t->store, t->link, seal.stream, seal.version), 0);
    bool finished;
    for (struct ftx_sending *s; (s = ftx_outgoing_due(t->store, t->link, &finished));)
        if (finished)
            ftx_outgoing_forget(t->store, s);
    assert_true(t->item->state == FTX_ITEM_DELIVERED && !t->item->as.sending);
}

static void open_store(struct rewrite *t)
{
    char message[512];
    assert_int_equal(ftx_store_open(t->scratch.path, message, sizeof message, &t->store), 0);
    t->link = ftx_link_find(t->store, 1);
    t->item = t->id ? ftx_item_find(&t->store->index, t->id) : NULL;
}

static void open_file(struct rewrite *t, bool cut)
{
    assert_int_equal(ftx_outbox_open(t->store, t->id, true, cut), 0);
}

static void close_file(struct rewrite *t)
{
    assert_int_equal(ftx_outbox_flush(t->store, t->id, false), 0);
    ftx_outbox_release(t->store, t->id, true);
}

/* Writes [offset, end) of `bytes`. */
static void write_range(struct rewrite *t, uint64_t offset, uint64_t end, size_t piece)
{
    for (size_t n; offset < end; offset += n) {
        n = end - offset < piece ? end - offset : piece;
        assert_int_equal(ftx_outbox_write(t->store, t->id, t->bytes + offset, n, offset), 0);
    }
}

static uint64_t pending(const struct rewrite *t)
{
    return t->item->as.sending ? t->item->as.sending->pending.bytes : 0;
}

static void assert_reads(struct rewrite *t, size_t size)
{
    assert_int_equal(t->item->size, size);
    assert_int_equal(ftx_outbox_read(t->store, t->id, room, SIZE, 0, false), (ssize_t)size);
    assert_memory_equal(room, t->bytes, size);
}

static uint64_t object_size(const struct rewrite *t)
{
    struct stat st;
    int fd = ftx_object_open(&t->store->objects, t->item->object, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    close(fd);
    return (uint64_t)st.st_size;
}

static int setup(void **state)
{
    struct rewrite *t = calloc(1, sizeof *t);
    uint64_t folder, seed = 7;
    *state = t;
    if (!t || scratch_open(&t->scratch))
        return -1;
    open_store(t);
    assert_int_equal(ftx_link_arm(t->store, FTX_OUTBOX, "7-rewrite", 9, &folder), 0);
    t->link = ftx_link_find(t->store, 1);
    assert_int_equal(ftx_outbox_make(t->store, t->link->folders[FTX_OUTBOX]->id, "f", 1, FTX_FILE,
                                     0644, NULL, true, &t->id),
                     0);
    t->item = ftx_item_find(&t->store->index, t->id);
    for (size_t i = 0; i < SIZE; i++)
        t->bytes[i] = (uint8_t)next_random(&seed);
    write_range(t, 0, SIZE, CELL);
    close_file(t);
    deliver(t);
    open_file(t, false);
    return 0;
}

static int teardown(void **state)
{
    struct rewrite *t = *state;
    ftx_store_close(t->store);
    int rc = scratch_close(&t->scratch);
    free(t);
    return rc;
}

/* How much of the file is sent when it is copied again. */
static uint64_t sent_again(struct rewrite *t)
{
    open_file(t, true);
    write_range(t, 0, SIZE, CELL);
    uint64_t bytes = pending(t);
    close_file(t);
    deliver(t);
    return bytes;
}

static void what_is_written_over_itself_is_not_sent(void **state)
{
    struct rewrite *t = *state;
    write_range(t, 0, SIZE, CELL);
    write_range(t, 77, SIZE - 100, 50000);
    assert_int_equal(pending(t), 0);
    assert_reads(t, SIZE);
    close_file(t);
    assert_true(t->item->state == FTX_ITEM_CLOSED); /* its time is to be told */
    deliver(t);
}

static void what_is_cut_and_written_again_is_not_sent(void **state)
{
    static const size_t pieces[] = {CELL, PIECE, 4096, 100000};
    struct rewrite *t = *state;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        open_file(t, true);
        assert_reads(t, 0);
        write_range(t, 0, SIZE, pieces[i]);
        assert_int_equal(pending(t), 0);
        assert_reads(t, SIZE);
        close_file(t);
    }
    close_file(t);
    deliver(t);
    assert_int_equal(object_size(t), SIZE);
}

static void of_what_was_changed_only_that_is_sent(void **state)
{
    struct rewrite *t = *state;
    open_file(t, true);
    t->bytes[5]++;
    t->bytes[CELL - 1]++;
    t->bytes[CELL]++;
    t->bytes[2 * CELL + 300000]++;
    t->bytes[SIZE - 1]++;
    write_range(t, 0, SIZE, CELL);
    assert_int_equal(pending(t), 5);
    assert_reads(t, SIZE);
    close_file(t);
    close_file(t);
    deliver(t);
    assert_int_equal(sent_again(t), 0);
}

static void differences_near_to_each_other_are_one(void **state)
{
    struct rewrite *t = *state;
    for (size_t i = 20000; i < 50000; i += 3000)
        t->bytes[i]++;
    t->bytes[60000]++;
    write_range(t, 0, SIZE, CELL);
    assert_int_equal(t->item->as.sending->pending.count, 2);
    assert_int_equal(pending(t), 27001 + 1);
}

static void what_is_written_anew_ends_where_it_ends(void **state)
{
    struct rewrite *t = *state;
    open_file(t, true);
    write_range(t, 0, 100000, CELL);
    assert_int_equal(pending(t), 0);
    assert_int_equal(object_size(t), SIZE);
    close_file(t);
    assert_int_equal(object_size(t), 100000);
    assert_reads(t, 100000);
    memset(t->bytes + 100000, 0, 100000);
    assert_int_equal(ftx_outbox_write(t->store, t->id, t->bytes + 200000, 10, 200000), 0);
    assert_reads(t, 200010);
    assert_int_equal(pending(t), 100010);
}

static void a_gap_is_zeros_whatever_was_there(void **state)
{
    struct rewrite *t = *state;
    open_file(t, true);
    write_range(t, 0, 1000, CELL);
    memset(t->bytes + 1000, 0, 4000);
    write_range(t, 5000, 6000, CELL);
    assert_reads(t, 6000);
    assert_int_equal(pending(t), 5000);
    memset(t->bytes + 6000, 0, 3000);
    assert_int_equal(ftx_outbox_truncate(t->store, t->id, 9000), 0);
    assert_reads(t, 9000);
    assert_int_equal(pending(t), 8000);
}

static void a_gap_where_there_was_one_is_not_sent(void **state)
{
    struct rewrite *t = *state;
    memset(t->bytes + CELL, 0, CELL);
    assert_int_equal(ftx_outbox_punch(t->store, t->id, CELL, CELL), 0);
    close_file(t);
    deliver(t);
    open_file(t, true);
    write_range(t, 0, CELL, CELL);
    write_range(t, 2 * CELL, SIZE, CELL);
    assert_reads(t, SIZE);
    assert_int_equal(pending(t), 0);
    assert_int_equal(ftx_outbox_truncate(t->store, t->id, CELL), 0);
    assert_int_equal(ftx_outbox_truncate(t->store, t->id, 2 * CELL), 0);
    assert_int_equal(pending(t), 0);
    assert_reads(t, 2 * CELL);
}

static void what_waits_to_be_sent_still_does(void **state)
{
    struct rewrite *t = *state;
    t->bytes[300]++;
    write_range(t, 0, 4096, CELL);
    assert_int_equal(pending(t), 1);
    write_range(t, 0, 4096, CELL);
    assert_int_equal(pending(t), 4096);
    assert_int_equal(ftx_outbox_truncate(t->store, t->id, 0), 0);
    write_range(t, 0, SIZE, CELL); /* the peer may have either */
    assert_int_equal(pending(t), SIZE);
    assert_int_equal(object_size(t), SIZE);
}

static void room_that_is_short_comes_from_what_was_cut_off(void **state)
{
    struct rewrite *t = *state;
    open_file(t, true);
    write_range(t, 0, 1000, CELL);
    pthread_mutex_lock(&t->store->lock);
    ftx_remains_drop_all(t->store);
    pthread_mutex_unlock(&t->store->lock);
    assert_int_equal(object_size(t), 1000);
    write_range(t, 1000, SIZE, CELL);
    assert_int_equal(pending(t), SIZE - 1000);
    assert_reads(t, SIZE);
}

static void rename_file(struct rewrite *t, const char *from, const char *to)
{
    uint64_t folder = t->link->folders[FTX_OUTBOX]->id;
    assert_int_equal(
        ftx_outbox_rename(t->store, folder, from, strlen(from), folder, to, strlen(to), 0), 0);
}

static void what_the_peer_had_under_another_number_is_sent(void **state)
{
    struct rewrite *t = *state;
    open_file(t, true);
    rename_file(t, "f", ".nfs1");
    rename_file(t, ".nfs1", "f");
    bool finished;
    for (struct ftx_sending *s; (s = ftx_outgoing_due(t->store, t->link, &finished));)
        if (finished)
            ftx_outgoing_forget(t->store, s);
    write_range(t, 0, SIZE, CELL);
    assert_int_equal(pending(t), SIZE);
}

/* As the loop does when five seconds have passed. */
static void close_synced(struct rewrite *t)
{
    (void)ftx_spool_take_written(t->store);
    ftx_outbox_synced(t->store);
    ftx_store_close(t->store);
}

/* Another boot of the machine; the word on contents stays. */
static void boot_anew(struct rewrite *t)
{
    char text[256] = "";
    int fd = openat(t->scratch.fd, ".ftx/lock", O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
    char *boot = strchr(text, '\n');
    assert_non_null(boot);
    boot[1]++;
    assert_true(pwrite(fd, text, strlen(text), 0) > 0);
    close(fd);
}

static void a_store_that_was_closed_remembers(void **state)
{
    struct rewrite *t = *state;
    close_file(t);
    ftx_store_close(t->store);
    open_store(t);
    assert_int_equal(sent_again(t), 0);
    close_synced(t);
    boot_anew(t);
    open_store(t);
    assert_int_equal(sent_again(t), 0);
    ftx_outbox_doubt(t->store, 0); /* who knows what the disk has */
    open_file(t, false);
    write_range(t, 0, CELL, CELL);
    assert_int_equal(pending(t), CELL);
    close_file(t);
    deliver(t);
    close_synced(t);
    open_store(t);
    assert_true(t->item->unsure);
}

static void what_a_power_cut_may_have_taken_is_sent(void **state)
{
    struct rewrite *t = *state;
    close_file(t);
    close_synced(t);
    open_store(t);
    open_file(t, false);
    write_range(t, 0, CELL, CELL);
    close_file(t);
    deliver(t);
    ftx_store_close(t->store); /* not synced: in another boot that matters */
    boot_anew(t);
    for (int i = 0; i < 2; i++) { /* the next start does not know better */
        open_store(t);
        assert_true(t->item->unsure);
        open_file(t, false);
        write_range(t, 0, CELL, CELL);
        assert_int_equal(pending(t), CELL);
        close_file(t);
        deliver(t);
        if (i == 0)
            ftx_store_close(t->store);
    }
    assert_int_equal(sent_again(t), SIZE);
    assert_int_equal(sent_again(t), 0); /* all of it was written since */
    ftx_store_close(t->store);
    open_store(t);
    assert_int_equal(sent_again(t), 0);
}

/* -- bytes that are at the peer only -- */

/* The database thread releases all of the closed file. */
static void release(struct rewrite *t)
{
    struct ftx_store *store = t->store;
    close_file(t);
    pthread_mutex_lock(&store->lock);
    store->spool.release_after_ms = 0;
    ftx_release_later(store, t->item);
    pthread_cond_signal(&store->work);
    while (!t->item->away)
        pthread_cond_wait(&store->drained, &store->lock);
    store->spool.release_after_ms = FTX_RELEASE_AFTER_MS;
    pthread_mutex_unlock(&store->lock);
    assert_int_equal(t->item->object, 0);
}

static void what_was_released_is_not_sent_again(void **state)
{
    struct rewrite *t = *state;
    release(t);
    open_file(t, true);
    write_range(t, 0, SIZE, CELL);
    assert_int_equal(pending(t), 0);
    assert_reads(t, SIZE); /* it is here once more, should the peer need it */
    close_file(t);
    deliver(t);
    assert_int_equal(sent_again(t), 0);
}

static void of_what_was_released_the_extents_that_changed_are_sent(void **state)
{
    struct rewrite *t = *state;
    release(t);
    t->bytes[CELL + 5]++;
    open_file(t, true);
    write_range(t, 0, SIZE - 1, CELL); /* shorter by one, so the last extent is another */
    assert_int_equal(pending(t), CELL + SIZE % CELL - 1);
    assert_reads(t, SIZE - 1);
    close_file(t);
    deliver(t);
}

static void prints_outlive_the_store_but_no_other_content(void **state)
{
    struct rewrite *t = *state;
    release(t);
    ftx_store_close(t->store);
    boot_anew(t);
    open_store(t);
    assert_true(t->item->away && t->item->prints);
    assert_int_equal(sent_again(t), 0);
    open_file(t, false);
    release(t);
    open_file(t, false);
    write_range(t, CELL, CELL + 10, CELL); /* into what is at the peer */
    assert_null(t->item->prints);
    close_file(t);
    deliver(t);
    ftx_store_close(t->store);
    open_store(t);
    assert_null(t->item->prints);
    open_file(t, true);
    write_range(t, 0, SIZE, CELL);
    assert_int_equal(pending(t), SIZE);
}

static void a_large_file_is_printed_in_turns(void **state)
{
    enum { EXTENTS = 40 };
    struct rewrite *t = *state;
    for (uint64_t i = 0; i < EXTENTS; i++)
        assert_int_equal(
            ftx_outbox_write(t->store, t->id, t->bytes + 100 * i, CELL, (i + 3) * CELL), 0);
    close_file(t);
    deliver(t);
    open_file(t, false);
    release(t);
    ftx_store_close(t->store);
    open_store(t);
    assert_true(t->item->away && t->item->prints);
    assert_int_equal(t->item->prints->n, EXTENTS + 3);
    open_file(t, true);
    write_range(t, 0, 3 * CELL, CELL);
    assert_int_equal(pending(t), 0);
}

static void what_a_power_cut_may_have_taken_is_not_printed(void **state)
{
    struct rewrite *t = *state;
    t->item->unsure = true;
    release(t);
    assert_null(t->item->prints);
    assert_false(t->item->unsure);
    assert_int_equal(sent_again(t), SIZE);
}

#define fact(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        fact(what_is_written_over_itself_is_not_sent),
        fact(what_is_cut_and_written_again_is_not_sent),
        fact(of_what_was_changed_only_that_is_sent),
        fact(differences_near_to_each_other_are_one),
        fact(what_is_written_anew_ends_where_it_ends),
        fact(a_gap_is_zeros_whatever_was_there),
        fact(a_gap_where_there_was_one_is_not_sent),
        fact(what_waits_to_be_sent_still_does),
        fact(room_that_is_short_comes_from_what_was_cut_off),
        fact(what_the_peer_had_under_another_number_is_sent),
        fact(a_store_that_was_closed_remembers),
        fact(what_a_power_cut_may_have_taken_is_sent),
        fact(what_was_released_is_not_sent_again),
        fact(of_what_was_released_the_extents_that_changed_are_sent),
        fact(prints_outlive_the_store_but_no_other_content),
        fact(a_large_file_is_printed_in_turns),
        fact(what_a_power_cut_may_have_taken_is_not_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
