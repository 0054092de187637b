/* SPDX-License-Identifier: MIT */
/* Files that the peer is asked about, and what it is told of ours: who may ask, what comes of it. */
#include "fs/store/peer_digest.h"

#include "fs/store/digest.h"
#include "fs/store/outbox.h"
#include "fs/store/outbox_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/store/support.h"

static struct scratch scratch;
static struct ftx_store *store;
static struct ftx_link *the_link;
static uint64_t file;
static uint8_t sha256[FTX_SHA256_SIZE];

static int setup(void **state)
{
    char room[512];
    uint64_t folder;
    (void)state;
    if (scratch_open(&scratch))
        return -1;
    assert_int_equal(ftx_store_open(scratch.path, room, sizeof room, &store), 0);
    assert_int_equal(ftx_link_arm(store, FTX_OUTBOX, "7-digest", 8, &folder), 0);
    the_link = ftx_link_find(store, 1);
    assert_int_equal(ftx_outbox_make(store, folder, "file", 4, FTX_FILE, 0644, NULL, true, &file),
                     0);
    assert_int_equal(ftx_outbox_write(store, file, "abc", 3, 0), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ftx_store_close(store);
    return scratch_close(&scratch);
}

static void deliver(void)
{
    assert_int_equal(ftx_outbox_flush(store, file, false), 0);
    ftx_outbox_release(store, file, true);
    ftx_item_find(&store->index, file)->state = FTX_ITEM_DELIVERED;
}

/* The question that the loop is to ask; false: none. */
static bool next(uint64_t *out_stream)
{
    enum ftx_digest_whose whose;
    bool any = ftx_peer_digest_next(store, the_link, out_stream, &whose);
    assert_true(!any || whose == FTX_DIGEST_ASKER);
    return any;
}

static void tell(uint64_t stream, enum ftx_digest_state digest_state)
{
    struct ftx_told_digest told = {
        .stream = stream, .whose = FTX_DIGEST_ASKER, .state = (uint8_t)digest_state, .sha256 = {7}};
    ftx_peer_digest_answered(store, the_link, &told);
}

static void what_is_not_delivered_is_not_asked_about(void **state)
{
    (void)state;
    uint64_t stream;
    assert_int_equal(ftx_peer_digest_ask(store, file), -EBUSY);
    assert_int_equal(ftx_peer_digest_ask(store, the_link->folders[FTX_OUTBOX]->id), -ENODATA);
    assert_int_equal(ftx_peer_digest_ask(store, file + 100), -ENOENT);
    assert_false(next(&stream));
    assert_int_equal(ftx_peer_digest_look(store, file, sha256), -ENODATA);
}

static void all_who_ask_get_one_answer(void **state)
{
    (void)state;
    uint64_t stream;
    deliver();
    assert_int_equal(ftx_peer_digest_ask(store, file), 0);
    assert_int_equal(ftx_peer_digest_ask(store, file), 0);
    assert_true(next(&stream));
    assert_int_equal(stream, file);
    assert_false(next(&stream));
    assert_int_equal(ftx_peer_digest_look(store, file, sha256), -EAGAIN);
    assert_int_equal(ftx_peer_digest_progress_ms(store, file), 0);
    tell(file, FTX_DIGEST_WORKING);
    assert_int_equal(ftx_peer_digest_look(store, file, sha256), -EAGAIN);
    assert_true(ftx_peer_digest_progress_ms(store, file) > 0);
    tell(file, FTX_DIGEST_HERE);
    tell(file, FTX_DIGEST_GONE); /* nobody asked again */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ftx_peer_digest_look(store, file, sha256), 0);
        assert_int_equal(sha256[0], 7);
        ftx_peer_digest_leave(store, file);
    }
    assert_int_equal(the_link->n_questions, 0);
}

static void answers_say_why_there_is_none(void **state)
{
    (void)state;
    uint64_t stream;
    deliver();
    for (int gone = 0; gone < 2; gone++) {
        assert_int_equal(ftx_peer_digest_ask(store, file), 0);
        assert_true(next(&stream));
        tell(stream, gone ? FTX_DIGEST_GONE : FTX_DIGEST_UNFINISHED);
        assert_int_equal(ftx_peer_digest_look(store, file, sha256), gone ? -ENODATA : -EBUSY);
        ftx_peer_digest_leave(store, file);
    }
}

static void another_session_is_asked_again(void **state)
{
    (void)state;
    uint64_t stream;
    deliver();
    assert_int_equal(ftx_peer_digest_ask(store, file), 0);
    assert_true(next(&stream));
    ftx_peer_digest_restart(store, the_link);
    assert_true(next(&stream));
    ftx_peer_digest_leave(store, file); /* whoever waited has gone: the answer is nobody's */
    tell(stream, FTX_DIGEST_HERE);
    assert_int_equal(ftx_peer_digest_look(store, file, sha256), -ENODATA);
}

static void a_peer_hears_only_of_what_is_delivered_and_here(void **state)
{
    (void)state;
    struct ftx_digest_key key;
    assert_int_equal(ftx_digest_key_of(store, the_link, file, true, &key), -EAGAIN);
    deliver();
    assert_int_equal(ftx_digest_key_of(store, the_link, file, true, &key), 0);
    assert_int_equal(key.size, 3);
    assert_int_equal(ftx_digest_key_of(store, the_link, file, false, &key), -ENODATA);
    assert_int_equal(ftx_digest_key_of(store, the_link, file + 1, true, &key), -ENODATA);
    struct ftx_item *item = ftx_item_find(&store->index, file);
    uint64_t object = item->object;
    item->away = true; /* released */
    item->object = 0;
    assert_int_equal(ftx_digest_key_of(store, the_link, file, true, &key), -ENODATA);
    assert_int_equal(ftx_digest_key(store, file, &key), -ENODATA);
    item->away = false;
    item->object = object;
}

int main(void)
{
#define fact(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        fact(what_is_not_delivered_is_not_asked_about),
        fact(all_who_ask_get_one_answer),
        fact(answers_say_why_there_is_none),
        fact(another_session_is_asked_again),
        fact(a_peer_hears_only_of_what_is_delivered_and_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
