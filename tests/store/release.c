/* SPDX-License-Identifier: MIT */
/* Released bytes while somebody writes: what is punched, and what is asked for. */
#include "fs/store/release.h"

#include "fs/store/fetch.h"
#include "fs/store/outbox.h"
#include "fs/store/outgoing.h"
#include "fs/store/released.h"
#include "fs/store/spool.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/store/support.h"

enum { SIZE = 1 << 20 };

struct release_test {
    struct scratch scratch;
    struct ftx_store *store;
    struct ftx_link *link;
    struct ftx_item *item; /* a delivered file of SIZE bytes 'x', open, of which all is released */
};

static struct release_test *punched_by; /* punches all of the file during the next write */

int __real_ftx_object_write(int fd, const void *bytes, size_t size, uint64_t offset);
int __wrap_ftx_object_write(int fd, const void *bytes, size_t size, uint64_t offset);

static void punch_all(struct release_test *t)
{
    struct ftx_list punches;
    struct ftx_punch *punch = malloc(sizeof *punch);
    assert_non_null(punch);
    *punch = (struct ftx_punch){
        .item = t->item->id, .object = t->item->object, .range = {.offset = 0, .length = SIZE}};
    ftx_list_init(&punches);
    ftx_list_init(&punch->node);
    ftx_list_append(&punches, &punch->node);
    pthread_mutex_lock(&t->store->lock);
    t->store->spool.n_going++;
    pthread_mutex_unlock(&t->store->lock);
    ftx_release_punch(t->store, &punches);
}

int __wrap_ftx_object_write(int fd, const void *bytes, size_t size, uint64_t offset)
{
    int err = __real_ftx_object_write(fd, bytes, size, offset);
    struct release_test *t = punched_by;
    punched_by = NULL;
    if (t)
        punch_all(t);
    return err;
}

static void deliver(struct release_test *t)
{
    struct ftx_plan_seal seal;
    struct ftx_source source;
    struct ftx_sending *sending = t->item->as.sending;
    assert_int_equal(ftx_store_sync(t->store), 0);
    while (ftx_outgoing_extent(t->store, sending, SIZE, 1, &source) == 0)
        assert_int_equal(ftx_outgoing_received(t->store, t->link, &source.extent, 1), 0);
    assert_true(ftx_outgoing_seal(t->store, sending, 1, UINT64_MAX, &seal));
    assert_int_equal(ftx_outgoing_delivered(t->store, t->link, seal.stream, seal.version), 0);
    bool finished;
    for (struct ftx_sending *s; (s = ftx_outgoing_due(t->store, t->link, &finished));)
        if (finished)
            ftx_outgoing_forget(t->store, s);
    assert_true(t->item->state == FTX_ITEM_DELIVERED && !t->item->as.sending);
}

static int setup(void **state)
{
    static uint8_t bytes[SIZE];
    struct release_test *t = calloc(1, sizeof *t);
    char room[512];
    uint64_t folder, id = 0;
    *state = t;
    punched_by = NULL;
    if (!t || scratch_open(&t->scratch))
        return -1;
    assert_int_equal(ftx_store_open(t->scratch.path, room, sizeof room, &t->store), 0);
    assert_int_equal(ftx_link_arm(t->store, FTX_OUTBOX, "7-release", 9, &folder), 0);
    t->link = ftx_link_find(t->store, 1);
    assert_int_equal(ftx_outbox_make(t->store, t->link->folders[FTX_OUTBOX]->id, "f", 1, FTX_FILE,
                                     0644, NULL, true, &id),
                     0);
    memset(bytes, 'x', sizeof bytes);
    assert_int_equal(ftx_outbox_write(t->store, id, bytes, sizeof bytes, 0), 0);
    assert_int_equal(ftx_outbox_open(t->store, id, true, false), 0);
    assert_int_equal(ftx_outbox_flush(t->store, id, false), 0);
    ftx_outbox_release(t->store, id, true);
    t->item = ftx_item_find(&t->store->index, id);
    ftx_outbox_release(t->store, id, true);
    deliver(t);
    assert_int_equal(ftx_outbox_open(t->store, id, true, false), 0);
    pthread_mutex_lock(&t->store->lock);
    assert_int_equal(ftx_released_put(t->item, 0, SIZE), 0);
    pthread_mutex_unlock(&t->store->lock);
    return 0;
}

static int teardown(void **state)
{
    struct release_test *t = *state;
    ftx_outbox_release(t->store, t->item->id, true);
    ftx_store_close(t->store);
    int rc = scratch_close(&t->scratch);
    free(t);
    return rc;
}

static void what_is_being_written_is_not_punched(void **state)
{
    struct release_test *t = *state;
    char got[10];
    punched_by = t;
    assert_int_equal(ftx_outbox_write(t->store, t->item->id, "0123456789", 10, 300000), 0);
    assert_int_equal(ftx_outbox_read(t->store, t->item->id, got, sizeof got, 300000, false), 10);
    assert_memory_equal(got, "0123456789", 10);
    assert_int_equal(ftx_outbox_read(t->store, t->item->id, got, 1, 299999, false), -EAGAIN);
    assert_int_equal(ftx_outbox_read(t->store, t->item->id, got, 1, 300010, false), -EAGAIN);
    assert_true(ftx_object_room(&t->store->objects, t->item->object) < SIZE / 2);
}

/* True if the peer is asked for a range that has the byte. */
static bool is_asked_for(struct release_test *t, uint64_t offset)
{
    struct ftx_range range;
    uint64_t stream;
    bool found = false;
    while (ftx_fetch_next(t->store, t->link, &stream, &range))
        found |= range.offset <= offset && offset < range.offset + range.length;
    return found;
}

static void what_is_cut_before_it_was_asked_for_is_asked_for_again(void **state)
{
    struct release_test *t = *state;
    uint64_t id = t->item->id;
    assert_int_equal(ftx_outbox_at_hand(t->store, id, 100000, 0, true), -EAGAIN);
    assert_int_equal(ftx_outbox_write(t->store, id, "0123456789", 10, 50000), 0);
    (void)is_asked_for(t, 0);
    assert_int_equal(ftx_outbox_at_hand(t->store, id, 10, 90000, true), -EAGAIN);
    assert_true(is_asked_for(t, 90000));
}

#define fact(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        fact(what_is_being_written_is_not_punched),
        fact(what_is_cut_before_it_was_asked_for_is_asked_for_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
