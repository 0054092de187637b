/* SPDX-License-Identifier: MIT */
/* What waits takes little memory: files rest until a session takes them up, and no item grows
 * unseen. */
#include "fs/store/fetch.h"
#include "fs/store/offer.h"
#include "fs/store/outbox_internal.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/store/box.h"

/* Closed, with nothing in it. */
static uint64_t make_empty(struct box_test *t, uint64_t parent, const char *name)
{
    uint64_t id = we_make(t, parent, name, FTX_FILE);
    we_close(t, id);
    return id;
}

static void begin_session(struct box_test *t)
{
    ftx_outgoing_restart(t->store, t->link);
    ftx_fetch_restart(t->store, t->link);
}

static void end_session(struct box_test *t)
{
    ftx_link_session_ended(t->store, t->link, "a cut", false);
}

static uint64_t queued_files(struct box_test *t)
{
    struct ftx_link_status status;
    assert_int_equal(ftx_links_status(t->store, &status, 1), 1);
    return status.queue_files;
}

/* The sending that the loop is to look at, or NULL; finished ones are let go of. */
static struct ftx_sending *next_due(struct box_test *t)
{
    bool finished;
    struct ftx_sending *sending;
    while ((sending = ftx_outgoing_due(t->store, t->link, &finished)) && finished)
        ftx_outgoing_forget(t->store, sending);
    return sending;
}

static void a_closed_file_without_contents_rests_until_a_session(void **state)
{
    struct box_test *t = *state;
    struct ftx_plan_seal seal;
    uint64_t id = make_empty(t, t->out, "f");
    for (int start = 0; start < 2; start++) {
        assert_true(box_item(t, id)->rests && !box_item(t, id)->as.sending);
        assert_state_of(t, id, "queued");
        assert_int_equal(queued_files(t), 1);
        assert_true(ftx_link_busy(t->store, t->link));
        assert_null(next_due(t));
        box_reopen(t);
    }
    begin_session(t);
    assert_int_equal(ftx_store_sync(t->store), 0);
    struct ftx_sending *sending = next_due(t);
    assert_true(sending && sending->item == box_item(t, id) && !box_item(t, id)->rests);
    assert_int_equal(queued_files(t), 1);
    assert_true(ftx_outgoing_seal(t->store, sending, 1, UINT64_MAX, &seal));
    assert_int_equal(ftx_outgoing_delivered(t->store, t->link, seal.stream, seal.version), 0);
    assert_int_equal(ftx_outgoing_ops_durable(t->store, t->link, t->link->op_next - 1), 0);
    assert_null(next_due(t));
    assert_state_of(t, id, "delivered");
    assert_int_equal(queued_files(t), 0);
}

static void one_whose_seal_has_not_left_rests_again_after_the_session(void **state)
{
    struct box_test *t = *state;
    struct ftx_plan_seal seal;
    uint64_t ids[] = {make_empty(t, t->out, "f"), make_empty(t, t->out, "g"),
                      we_make_file(t, t->out, "h")};
    assert_false(box_item(t, ids[2])->rests); /* it has bytes to send */
    begin_session(t);
    assert_int_equal(ftx_store_sync(t->store), 0);
    while (next_due(t))
        ;
    assert_true(ftx_outgoing_seal(t->store, box_item(t, ids[1])->as.sending, 1, UINT64_MAX, &seal));
    end_session(t);
    assert_true(box_item(t, ids[0])->rests);
    assert_false(box_item(t, ids[1])->rests); /* the peer may have it: the version must not grow */
    assert_false(box_item(t, ids[2])->rests);
    assert_int_equal(queued_files(t), 3);
}

static void one_that_rests_can_be_written_moved_and_removed(void **state)
{
    struct box_test *t = *state;
    uint64_t folder = we_make(t, t->out, "d", FTX_FOLDER);
    uint64_t ids[] = {make_empty(t, t->out, "f"), make_empty(t, folder, "g"),
                      make_empty(t, folder, "h")};
    assert_int_equal(queued_files(t), 3);
    assert_int_equal(ftx_outbox_open(t->store, ids[0], true, false), 0);
    assert_int_equal(ftx_outbox_write(t->store, ids[0], "1", 1, 0), 0);
    assert_false(box_item(t, ids[0])->rests);
    we_close(t, ids[0]);
    assert_int_equal(box_item(t, ids[0])->as.sending->pending.bytes, 1);
    assert_int_equal(ftx_outbox_rename(t->store, folder, "g", 1, folder, ".nfs1", 5, 0), 0);
    assert_state_of(t, ids[1], "local");
    assert_int_equal(queued_files(t), 2);
    assert_int_equal(ftx_outbox_remove(t->store, folder, "h", 1, false), 0);
    assert_int_equal(queued_files(t), 1);
    assert_int_equal(t->link->n_resting, 0);
}

static void what_is_offered_rests_until_it_is_accepted(void **state)
{
    struct box_test *t = *state;
    struct ftx_source source;
    uint64_t ids[] = {make_empty(t, t->out, "f"), make_empty(t, t->out, "g")};
    begin_session(t);
    ftx_outgoing_holds(t->store, t->link, 0);
    assert_int_equal(ftx_store_sync(t->store), 0);
    for (int i = 0; i < 2; i++) {
        struct ftx_sending *sending = next_due(t);
        assert_true(sending && !box_item(t, ids[i])->rests);
        assert_int_equal(ftx_outgoing_extent(t->store, sending, 1000, 1, &source), -EBUSY);
        sending->stream.announced = true; /* as the engine does then */
    }
    assert_null(next_due(t));
    assert_true(box_item(t, ids[0])->rests && box_item(t, ids[1])->rests);
    ftx_outgoing_takes(t->store, t->link, ids[1]);
    struct ftx_sending *sending = next_due(t);
    assert_true(sending && sending->item == box_item(t, ids[1]));
    assert_null(next_due(t));
    assert_true(box_item(t, ids[0])->rests);
}

/* -- bytes -- */

/* What they are, of files with names of twelve characters, and eight more for other libraries:
 * docs/performance.md, "From a thousand files to a million". More is to be meant. */
enum { WAITING_MAX = 291, ARRIVING_MAX = 306, ARRIVED_MAX = 226 };

enum { FILES = 20000, FOLDER_FILES = 1000 };

/* What is allocated, without what only work needs. */
static size_t allocated(struct box_test *t)
{
    assert_int_equal(ftx_store_sync(t->store), 0);
    ftx_database_rest(t->store->db);
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static double each(size_t before, size_t now)
{
    double bytes = ((double)now - (double)before) / FILES;
    printf("%.0f bytes each\n", bytes);
    return bytes;
}

static bool counted(void)
{
    void *volatile block = malloc(100000);
    size_t with = mallinfo2().uordblks;
    free(block);
    return with > 100000; /* a sanitizer's malloc is not counted */
}

static void a_file_that_waits_takes_less_than_300_bytes(void **state)
{
    struct box_test *t = *state;
    char name[16];
    if (!counted())
        skip();
    make_empty(t, t->out, "first");
    box_reopen(t);
    size_t before = allocated(t);
    uint64_t folder = 0;
    for (unsigned i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "file-%07u", i);
        if (i % FOLDER_FILES == 0)
            folder = we_make(t, t->out, name, FTX_FOLDER);
        make_empty(t, folder, name);
    }
    assert_true(each(before, allocated(t)) <= WAITING_MAX);
    box_reopen(t);
    assert_true(each(before, allocated(t)) <= WAITING_MAX);
}

static void a_file_that_has_arrived_takes_less_than_300_bytes(void **state)
{
    struct box_test *t = *state;
    char name[16];
    if (!counted())
        skip();
    size_t before = allocated(t);
    uint64_t number = 0, folder = 0;
    for (unsigned i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "file-%07u", i);
        if (i % FOLDER_FILES == 0) {
            folder = ++number;
            assert_int_equal(peer_makes(t, folder, 0, FTX_FOLDER, name), 0);
        }
        assert_int_equal(peer_makes(t, ++number, folder, FTX_FILE, name), 0);
    }
    assert_true(each(before, allocated(t)) <= ARRIVING_MAX); /* nothing has come */
    for (uint64_t n = 1; n <= number; n++)
        if (of_peer(t, n)->kind == FTX_FILE)
            peer_completes(t, n, 1, 0);
    assert_true(each(before, allocated(t)) <= ARRIVED_MAX);
    box_reopen(t);
    assert_true(each(before, allocated(t)) <= ARRIVED_MAX);
}

#define with_box(test) cmocka_unit_test_setup_teardown(test, box_setup, box_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_box(a_closed_file_without_contents_rests_until_a_session),
        with_box(one_whose_seal_has_not_left_rests_again_after_the_session),
        with_box(one_that_rests_can_be_written_moved_and_removed),
        with_box(what_is_offered_rests_until_it_is_accepted),
        with_box(a_file_that_waits_takes_less_than_300_bytes),
        with_box(a_file_that_has_arrived_takes_less_than_300_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
