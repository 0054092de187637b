/* SPDX-License-Identifier: MIT */
/* What the peer does not take, and what it is told then: folders that its receiver removed are made
 * again, what needs them is offered again, what was under way is not. */
#include "fs/store/change_log.h"
#include "fs/store/ops.h"
#include "fs/store/outbox.h"
#include "fs/store/outgoing.h"
#include "fs/store/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/store/box.h"

/* The peer has all of the file. */
static void deliver(struct box_test *t, uint64_t id)
{
    struct ftx_item *item = box_item(t, id);
    item->as.sending->sealed = true;
    assert_int_equal(ftx_outgoing_delivered(t->store, t->link, ftx_item_wire(item), item->version),
                     0);
    assert_int_equal(item->state, FTX_ITEM_DELIVERED);
    forget_finished(t);
}

/* The peer's answer about the item, under the number that it has now. */
static void refuse(struct box_test *t, uint64_t id, enum ftx_refusal reason)
{
    uint64_t wire = ftx_item_wire(box_item(t, id));
    assert_int_equal(ftx_outgoing_refused(t->store, t->link, wire, (uint8_t)reason), 0);
}

static void a_removed_folder_is_made_again_by_what_needs_it(void **state)
{
    struct box_test *t = *state;
    struct ftx_xattr xattr = {"a", 1, "1", 1};
    uint64_t outer = we_make(t, t->out, "d", FTX_FOLDER),
             inner = we_make(t, outer, "e", FTX_FOLDER);
    uint64_t file = we_make_file(t, inner, "f");
    assert_int_equal(ftx_outbox_set_xattr(t->store, inner, &xattr, FTX_XATTR_ANY), 0);
    assert_ops(t, "make d, make e, make f, xattr a, ");
    deliver(t, file);
    uint64_t wire = ftx_item_wire(box_item(t, inner));
    refuse(t, inner, FTX_REFUSED_DELETED);
    refuse(t, outer, FTX_REFUSED_DELETED);
    assert_ops(t, "");
    we_make_file(t, inner, "g");
    assert_ops(t, "make d, make e, xattr a, make g, ");
    assert_int_equal(ftx_item_wire(box_item(t, inner)), wire);
    we_make_file(t, inner, "h");
    assert_ops(t, "make h, ");
}

static void what_is_renamed_into_a_removed_folder_needs_it(void **state)
{
    struct box_test *t = *state;
    uint64_t folder = we_make(t, t->out, "d", FTX_FOLDER), file = we_make_file(t, t->out, "f");
    deliver(t, file);
    refuse(t, folder, FTX_REFUSED_DELETED);
    assert_ops(t, "make d, make f, ");
    assert_int_equal(ftx_outbox_rename(t->store, t->out, "f", 1, folder, "f", 1, 0), 0);
    assert_ops(t, "make d, move f, ");
}

static void what_was_under_way_into_a_removed_folder_is_refused(void **state)
{
    struct box_test *t = *state;
    uint64_t folder = we_make(t, t->out, "d", FTX_FOLDER), file = we_make_file(t, folder, "f");
    uint64_t inner = we_make(t, folder, "e", FTX_FOLDER), deep = we_make_file(t, inner, "g");
    uint64_t link = we_make(t, folder, "l", FTX_SYMLINK);
    assert_ops(t, "make d, make f, make e, make g, make l, ");
    refuse(t, folder, FTX_REFUSED_DELETED);
    uint64_t late = we_make_file(t, folder, "h");
    assert_ops(t, "make d, make h, ");
    const uint64_t under_way[] = {file, inner, deep, link};
    for (size_t i = 0; i < sizeof under_way / sizeof *under_way; i++)
        refuse(t, under_way[i], FTX_REFUSED_FOLDER);
    assert_ops(t, "cancel , cancel , "); /* the files: they may have been made elsewhere */
    assert_state_of(t, file, "refused");
    assert_state_of(t, deep, "refused");
    assert_state_of(t, link, "refused");
    assert_state_of(t, late, "queued");
    we_make_file(t, inner, "i"); /* a folder that was under way comes with what is made in it */
    assert_ops(t, "make e, make i, ");
    assert_int_equal(ftx_outbox_open(t->store, deep, true, false), 0);
    assert_int_equal(ftx_outbox_write(t->store, deep, "G", 1, 0), 0);
    assert_ops(t, "make g, ");
}

static void without_news_what_finds_no_folder_is_offered_again_with_all_of_them(void **state)
{
    struct box_test *t = *state;
    uint64_t outer = we_make(t, t->out, "d", FTX_FOLDER),
             inner = we_make(t, outer, "e", FTX_FOLDER);
    uint64_t first = we_make_file(t, inner, "f"), second = we_make_file(t, inner, "g");
    uint64_t link = we_make(t, inner, "l", FTX_SYMLINK), deep = we_make(t, inner, "h", FTX_FOLDER);
    uint64_t wire = ftx_item_wire(box_item(t, first));
    assert_ops(t, "make d, make e, make f, make g, make l, make h, ");
    refuse(t, first, FTX_REFUSED_FOLDER);
    assert_ops(t, "make d, make e, cancel , make f, ");
    assert_int_not_equal(ftx_item_wire(box_item(t, first)), wire);
    assert_int_equal(ftx_outgoing_refused(t->store, t->link, wire, FTX_REFUSED_DELETED), 0);
    assert_state_of(t, first, "queued"); /* that was of its earlier number's content */
    refuse(t, second, FTX_REFUSED_FOLDER);
    assert_ops(t, "cancel , make g, ");
    refuse(t, link, FTX_REFUSED_FOLDER);
    assert_ops(t, "make l, move l, ");
    refuse(t, deep, FTX_REFUSED_FOLDER);
    assert_ops(t, "make h, move h, ");
    forget_finished(t);
    const struct ftx_sending *sending = box_item(t, second)->as.sending;
    assert_true(sending && !sending->dropped && sending->pending.bytes == 1);
}

static void a_move_that_finds_no_folder_is_made_again(void **state)
{
    struct box_test *t = *state;
    uint64_t folder = we_make(t, t->out, "d", FTX_FOLDER), file = we_make_file(t, t->out, "f");
    deliver(t, file);
    assert_int_equal(ftx_outbox_rename(t->store, t->out, "f", 1, folder, "f", 1, 0), 0);
    assert_ops(t, "make d, make f, move f, ");
    uint64_t wire = ftx_item_wire(box_item(t, file));
    refuse(t, file, FTX_REFUSED_FOLDER);
    assert_ops(t, "make d, move f, ");
    assert_int_equal(ftx_item_wire(box_item(t, file)), wire);
    assert_int_equal(box_item(t, file)->state, FTX_ITEM_DELIVERED);
}

/* What is rewritten and was taken out of the inbox with its folder, with and without news of it. */
static void what_is_written_again_brings_its_folder_along(void **state)
{
    struct box_test *t = *state;
    for (int news = 0; news < 2; news++) {
        const char *name = news ? "e" : "d";
        uint64_t folder = we_make(t, t->out, name, FTX_FOLDER), file = we_make_file(t, folder, "f");
        deliver(t, file);
        assert_ops(t, news ? "make e, make f, " : "make d, make f, ");
        if (news)
            refuse(t, folder, FTX_REFUSED_DELETED);
        assert_int_equal(ftx_outbox_open(t->store, file, true, false), 0);
        assert_int_equal(ftx_outbox_write(t->store, file, "F", 1, 0), 0);
        assert_ops(t, "");
        refuse(t, file, FTX_REFUSED_DELETED);
        assert_ops(t, news ? "make e, make f, " : "make f, ");
        if (!news)
            refuse(t, file, FTX_REFUSED_FOLDER);
        assert_ops(t, news ? "" : "make d, drop , make f, ");
        assert_state_of(t, file, "writing");
    }
}

static void a_peer_that_loses_every_folder_is_not_told_for_ever(void **state)
{
    struct box_test *t = *state;
    uint64_t folder = we_make(t, t->out, "d", FTX_FOLDER), file = we_make_file(t, folder, "f");
    uint64_t moved = we_make_file(t, t->out, "m"), link = we_make(t, folder, "l", FTX_SYMLINK);
    uint64_t inner = we_make(t, folder, "e", FTX_FOLDER);
    deliver(t, moved);
    assert_int_equal(ftx_outbox_rename(t->store, t->out, "m", 1, folder, "m", 1, 0), 0);
    const uint64_t all[] = {file, moved, link, inner};
    for (int i = 0; i < 8; i++)
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            refuse(t, all[k], FTX_REFUSED_FOLDER);
    assert_true(t->link->op_next < 30);
    assert_state_of(t, inner, "refused");
    uint64_t next = t->link->op_next, deep = we_make_file(t, inner, "g");
    for (int i = 0; i < 8; i++) {
        refuse(t, inner, FTX_REFUSED_FOLDER);
        refuse(t, deep, FTX_REFUSED_FOLDER);
    }
    assert_true(t->link->op_next == next + 2); /* to make it, and to take it back */
    assert_state_of(t, deep, "refused");
    assert_state_of(t, file, "refused");
    assert_state_of(t, moved, "refused");
    assert_state_of(t, link, "refused");
    uint64_t root = we_make(t, t->out, "r", FTX_FOLDER), last = we_make_file(t, root, "s");
    for (int i = 0; i < 8; i++) { /* there is no folder that it could miss */
        refuse(t, root, FTX_REFUSED_FOLDER);
        refuse(t, last, FTX_REFUSED_FOLDER);
    }
    assert_state_of(t, root, "refused");
    assert_state_of(t, last, "refused");
}

static void what_is_in_a_refused_folder_is_refused(void **state)
{
    struct box_test *t = *state;
    uint64_t folder = we_make(t, t->out, "d", FTX_FOLDER), file = we_make_file(t, folder, "f");
    assert_ops(t, "make d, make f, ");
    refuse(t, folder, FTX_REFUSED_POLICY);
    for (int i = 0; i < 3; i++)
        refuse(t, file, FTX_REFUSED_FOLDER);
    assert_ops(t, "cancel , ");
    assert_state_of(t, folder, "refused");
    assert_state_of(t, file, "refused");
}

/* ... with its reason: none of it leaves, until the next writer has it offered anew. */
static void what_is_refused_while_it_is_written_stays_refused(void **state)
{
    struct box_test *t = *state;
    uint64_t id = we_make(t, t->out, "f", FTX_FILE);
    assert_ops(t, "make f, ");
    refuse(t, id, FTX_REFUSED_TYPE);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(ftx_outbox_write(t->store, id, "x", 1, i), 0);
        assert_state_of(t, id, "refused");
    }
    assert_int_equal(ftx_outbox_truncate(t->store, id, 2), 0);
    we_close(t, id);
    assert_state_of(t, id, "refused");
    assert_int_equal(box_item(t, id)->error, FTX_REFUSED_TYPE);
    assert_ops(t, "");
    assert_int_equal(ftx_outbox_open(t->store, id, true, false), 0);
    assert_int_equal(ftx_outbox_write(t->store, id, "y", 1, 0), 0);
    assert_ops(t, "make f, ");
    we_close(t, id);
    forget_finished(t);
    assert_state_of(t, id, "queued");
    assert_int_equal(box_item(t, id)->as.sending->pending.bytes, 2);
}

/* ... nor what a write had reached when it was killed. */
static void write_what_is_refused_and_die(struct box_test *t)
{
    uint64_t id = we_make(t, t->out, "f", FTX_FILE);
    refuse(t, id, FTX_REFUSED_TYPE);
    int err = ftx_outbox_write(t->store, id, "12345", 5, 0);
    int fd = ftx_object_open(&t->store->objects, box_item(t, id)->object, O_WRONLY);
    if (err || fd < 0 || ftx_object_write(fd, "never answered", 14, 5))
        _exit(3);
}

static void what_was_being_written_to_a_refused_file_is_cut_at_the_start(void **state)
{
    struct box_test *t = *state;
    char got[10];
    box_killed(t, write_what_is_refused_and_die);
    box_open(t);
    uint64_t id = ftx_item_lookup(&t->store->index, t->link->folders[FTX_OUTBOX], "f", 1)->id;
    assert_state_of(t, id, "refused");
    assert_int_equal(ftx_outbox_truncate(t->store, id, 10), 0);
    assert_int_equal(ftx_outbox_open(t->store, id, false, false), 0);
    assert_int_equal(ftx_outbox_read(t->store, id, got, sizeof got, 0, true), 10);
    assert_memory_equal(got, "12345\0\0\0\0\0", sizeof got);
    ftx_outbox_release(t->store, id, false);
}

/* It had been made elsewhere; some of it may have come, in whatever session. */
static void what_cannot_be_moved_into_a_refused_folder_is_taken_back(void **state)
{
    struct box_test *t = *state;
    uint64_t folder = we_make(t, t->out, "d", FTX_FOLDER), file = we_make_file(t, t->out, "f");
    assert_int_equal(ftx_outbox_rename(t->store, t->out, "f", 1, folder, "f", 1, 0), 0);
    assert_ops(t, "make d, make f, move f, ");
    refuse(t, folder, FTX_REFUSED_POLICY);
    refuse(t, file, FTX_REFUSED_FOLDER);
    assert_ops(t, "cancel , ");
    assert_state_of(t, file, "refused");
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, box_setup, box_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(a_removed_folder_is_made_again_by_what_needs_it),
        with_store(what_is_renamed_into_a_removed_folder_needs_it),
        with_store(what_was_under_way_into_a_removed_folder_is_refused),
        with_store(without_news_what_finds_no_folder_is_offered_again_with_all_of_them),
        with_store(a_move_that_finds_no_folder_is_made_again),
        with_store(what_is_written_again_brings_its_folder_along),
        with_store(a_peer_that_loses_every_folder_is_not_told_for_ever),
        with_store(what_is_in_a_refused_folder_is_refused),
        with_store(what_is_refused_while_it_is_written_stays_refused),
        with_store(what_was_being_written_to_a_refused_file_is_cut_at_the_start),
        with_store(what_cannot_be_moved_into_a_refused_folder_is_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
