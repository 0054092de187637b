/* SPDX-License-Identifier: MIT */
/* Names that stay here: what the peer is told of them (nothing), and of renames to and from them.
 */
#include "fs/store/change_log.h"
#include "fs/store/ops.h"
#include "fs/store/outbox.h"
#include "fs/store/outgoing.h"
#include "fs/store/tree.h"
#include "transport/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/store/box.h"

static void rename_to(struct box_test *t, uint64_t parent, const char *name, uint64_t to,
                      const char *new_name)
{
    assert_int_equal(
        ftx_outbox_rename(t->store, parent, name, strlen(name), to, new_name, strlen(new_name), 0),
        0);
}

static void assert_reads(struct box_test *t, uint64_t id, const char *expected, size_t size)
{
    char room[64];
    assert_int_equal(ftx_outbox_open(t->store, id, false, false), 0);
    assert_int_equal(ftx_outbox_read(t->store, id, room, sizeof room, 0, true), size);
    assert_memory_equal(room, expected, size);
    ftx_outbox_release(t->store, id, false);
}

static void local_items_are_used_and_never_told(void **state)
{
    struct box_test *t = *state;
    uint64_t trash = we_make(t, t->out, ".Trash-1000", FTX_FOLDER);
    uint64_t folder = we_make(t, trash, "files", FTX_FOLDER);
    uint64_t file = we_make_file(t, folder, "ordinary");
    uint64_t store = we_make_file(t, t->out, ".DS_Store");
    uint64_t link = we_make(t, folder, "link", FTX_SYMLINK);
    struct ftx_xattr xattr = {"a", 1, "1", 1};
    uint16_t mode = 0600;
    int64_t mtime_ns = 5;
    assert_int_equal(ftx_outbox_set_attr(t->store, file, &mode, &mtime_ns), 0);
    assert_int_equal(ftx_outbox_set_xattr(t->store, file, &xattr, FTX_XATTR_ANY), 0);
    rename_to(t, folder, "ordinary", trash, "moved");
    rename_to(t, t->out, ".DS_Store", trash, "store");
    assert_int_equal(ftx_outbox_open(t->store, store, true, false), 0);
    assert_int_equal(ftx_outbox_write(t->store, store, "xy", 2, 12), 0);
    we_close(t, store);
    assert_int_equal(ftx_outbox_truncate(t->store, store, 3), 0);
    assert_int_equal(ftx_outbox_truncate(t->store, store, 5), 0);
    for (int starts = 0; starts < 2; starts++) {
        assert_reads(t, store, ".DS\0\0", 5);
        assert_reads(t, file, "ordinary", 8);
        assert_state_of(t, file, "local");
        assert_state_of(t, folder, "local");
        assert_state_of(t, link, "local");
        assert_true(box_item(t, file)->mode == 0600 && box_item(t, file)->xattrs);
        assert_true(ftx_list_empty(&t->link->sendings) && ftx_list_empty(&t->link->due));
        assert_ops(t, "");
        box_reopen(t);
    }
    assert_int_equal(ftx_outbox_remove(t->store, folder, "link", 4, false), 0);
    assert_int_equal(ftx_outbox_remove(t->store, trash, "files", 5, true), 0);
    assert_ops(t, "");
    assert_false(ftx_link_busy(t->store, t->link));
}

static void rename_to_an_ordinary_name_offers_all_of_it(void **state)
{
    struct box_test *t = *state;
    uint64_t trash = we_make(t, t->out, ".Trash-0", FTX_FOLDER);
    uint64_t folder = we_make(t, trash, "d", FTX_FOLDER);
    uint64_t file = we_make_file(t, folder, "f"), open = we_make(t, folder, "open", FTX_FILE);
    we_make_file(t, folder, "Thumbs.db");
    we_make(t, folder, "l", FTX_SYMLINK);
    struct ftx_xattr xattr = {"a", 1, "1", 1};
    assert_int_equal(ftx_outbox_set_xattr(t->store, file, &xattr, FTX_XATTR_ANY), 0);
    assert_ops(t, "");
    rename_to(t, trash, "d", t->out, "e");
    assert_ops(t, "make e, make f, xattr a, make open, make l, ");
    assert_state_of(t, file, "queued");
    assert_state_of(t, open, "writing");
    const struct ftx_item *item = box_item(t, file);
    assert_true(item->state == FTX_ITEM_CLOSED && item->as.sending->pending.bytes == 1);
    assert_int_equal(item->as.sending->stream.id, ftx_item_wire(item));
    assert_ptr_equal(ftx_item_find_wire(&t->store->index, ftx_item_wire(item)), item);
    assert_null(ftx_item_find_wire(&t->store->index, item->id)); /* it has a number of its own */
    we_close(t, open);
    assert_state_of(t, open, "queued");
    uint64_t wire = ftx_item_wire(item);
    box_reopen(t);
    assert_int_equal(ftx_item_wire(box_item(t, file)), wire);
    assert_int_equal(ftx_item_find_wire(&t->store->index, wire)->id, file);
}

/* All of the file is pending, `bytes` of it as data, in a few segments. */
static void assert_offers(struct box_test *t, uint64_t id, uint64_t bytes)
{
    const struct ftx_item *item = box_item(t, id);
    const struct ftx_segments *pending = &item->as.sending->pending;
    uint64_t data = 0;
    assert_true(pending->count <= 5 && pending->bytes == item->size);
    for (const struct ftx_segment *s = ftx_segments_at(pending, 0); s;
         s = ftx_segments_at(pending, s->offset + s->length))
        data += s->kind == FTX_SEGMENT_DATA ? s->length : 0;
    assert_true(data >= bytes && data <= 2 << 20);
}

static void holes_of_what_is_offered_stay_holes(void **state)
{
    struct box_test *t = *state;
    uint64_t id = we_make(t, t->out, ".nfs1", FTX_FILE),
             empty = we_make(t, t->out, ".nfs2", FTX_FILE);
    assert_int_equal(ftx_outbox_write(t->store, id, "bytes", 5, 70 << 20), 0);
    assert_int_equal(ftx_outbox_truncate(t->store, id, UINT64_C(1) << 40), 0);
    assert_int_equal(ftx_outbox_truncate(t->store, empty, UINT64_C(1) << 40), 0);
    we_close(t, id);
    we_close(t, empty);
    rename_to(t, t->out, ".nfs1", t->out, "f");
    rename_to(t, t->out, ".nfs2", t->out, "e");
    assert_offers(t, id, 5);
    assert_offers(t, empty, 0);
    rename_to(t, t->out, "f", t->out, ".nfs1"); /* and back, before the loop has let go of it */
    rename_to(t, t->out, ".nfs1", t->out, "f");
    forget_finished(t);
    assert_offers(t, id, 5);
    box_reopen(t);
    assert_offers(t, id, 5);
    assert_offers(t, empty, 0);
}

static void rename_to_a_local_name_drops_it_at_the_peer(void **state)
{
    struct box_test *t = *state;
    uint64_t folder = we_make(t, t->out, "d", FTX_FOLDER), file = we_make_file(t, folder, "f");
    we_make_file(t, folder, ".nfs1");
    we_make(t, folder, "l", FTX_SYMLINK);
    we_make(t, t->out, ".Trash-0", FTX_FOLDER);
    uint64_t trash =
        ftx_item_lookup(&t->store->index, t->link->folders[FTX_OUTBOX], ".Trash-0", 8)->id;
    assert_ops(t, "make d, make f, make l, ");
    rename_to(t, t->out, "d", trash, "d");
    assert_ops(t, "cancel , cancel , drop , ");
    assert_state_of(t, file, "local");
    assert_null(ftx_item_find_wire(&t->store->index, file));
    assert_null(ftx_outgoing_find(t->store, t->link, file));
    forget_finished(t);
    assert_true(ftx_list_empty(&t->link->sendings));
    assert_reads(t, file, "f", 1);
    rename_to(t, folder, "f", t->out, "Thumbs.db"); /* from one local place to another */
    assert_ops(t, "");
    box_reopen(t);
    assert_true(ftx_list_empty(&t->link->sendings));
    assert_reads(t, file, "f", 1);
}

static void there_and_back_is_another_item_to_the_peer(void **state)
{
    struct box_test *t = *state;
    uint64_t file = we_make_file(t, t->out, "f"), numbers[3];
    for (int i = 0; i < 3; i++) {
        numbers[i] = ftx_item_wire(box_item(t, file));
        rename_to(t, t->out, "f", t->out, ".nfs1");
        if (i == 1)
            forget_finished(t); /* else the loop has not let go of the last sending yet */
        rename_to(t, t->out, ".nfs1", t->out, "f");
        ftx_outgoing_refused(t->store, t->link, numbers[i], FTX_REFUSED_DELETED); /* a late one */
        assert_state_of(t, file, "queued");
        for (int j = 0; j <= i; j++)
            assert_int_not_equal(ftx_item_wire(box_item(t, file)), numbers[j]);
    }
    assert_ops(t, "make f, cancel , make f, cancel , make f, cancel , make f, ");
    forget_finished(t);
    const struct ftx_sending *sending = box_item(t, file)->as.sending;
    assert_true(sending && !sending->dropped && sending->pending.bytes == 1);
    assert_int_equal(sending->stream.id, ftx_item_wire(box_item(t, file)));
    ftx_outgoing_refused(t->store, t->link, sending->stream.id, FTX_REFUSED_NAME);
    assert_state_of(t, file, "refused");
}

static void local_name_over_and_under_ordinary_ones(void **state)
{
    struct box_test *t = *state;
    uint64_t local = we_make_file(t, t->out, "Thumbs.db"), file = we_make_file(t, t->out, "f");
    assert_ops(t, "make f, ");
    rename_to(t, t->out, "f", t->out, "Thumbs.db");
    assert_ops(t, "cancel , ");
    assert_null(box_item(t, local));
    assert_reads(t, file, "f", 1);
    we_make_file(t, t->out, "g");
    rename_to(t, t->out, "Thumbs.db", t->out, "g"); /* the MAKE replaces what is there */
    assert_ops(t, "make g, make g, ");
    assert_int_equal(ftx_folder_count(t->link->folders[FTX_OUTBOX]), 1);
}

/* Runs `body` in a child on a store that nobody closes. */
static void killed(struct box_test *t, void (*body)(struct box_test *t))
{
    ftx_store_close(t->store);
    t->store = NULL;
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        box_open(t);
        body(t);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    box_open(t);
}

static void offer_half_and_die(struct box_test *t)
{
    uint64_t trash = we_make(t, t->out, ".Trash-0", FTX_FOLDER);
    we_make_file(t, we_make(t, trash, "d", FTX_FOLDER), "f");
    uint64_t folder = we_make(t, t->out, "kept", FTX_FOLDER);
    we_make_file(t, folder, "g");
    /* as a kill in the middle of a rename leaves them: in their places, not settled */
    for (const char *const *name = (const char *const[]){"d", "kept", NULL}; *name; name++) {
        struct ftx_item *from = *name[0] == 'd' ? box_item(t, trash) : t->link->folders[FTX_OUTBOX];
        struct ftx_item *to = *name[0] == 'd' ? t->link->folders[FTX_OUTBOX] : box_item(t, trash);
        struct ftx_item *item = ftx_item_lookup(&t->store->index, from, *name, strlen(*name));
        struct ftx_log log;
        char *copy;
        assert_int_equal(ftx_log_begin(&log, t->store), 0);
        assert_int_equal(ftx_item_prepare(to, NULL, *name, strlen(*name), &copy), 0);
        ftx_item_unlink(&t->store->index, item);
        ftx_item_place(&t->store->index, item, to, copy, strlen(*name));
        ftx_log_item(&log, item);
        ftx_log_commit(&log);
    }
    uint64_t file = we_make_file(t, t->out, "Thumbs.db");
    int fd = ftx_object_open(&t->store->objects, box_item(t, file)->object, O_WRONLY);
    assert_int_equal(ftx_object_write(fd, "not answered", 12, 9), 0);
}

static void kill_leaves_nothing_between(void **state)
{
    struct box_test *t = *state;
    killed(t, offer_half_and_die);
    struct ftx_item *top = t->link->folders[FTX_OUTBOX];
    struct ftx_item *trash = ftx_item_lookup(&t->store->index, top, ".Trash-0", 8);
    struct ftx_item *offered = ftx_item_lookup(&t->store->index, top, "d", 1);
    struct ftx_item *kept = ftx_item_lookup(&t->store->index, trash, "kept", 4);
    assert_ops(t, "make kept, make g, cancel , drop , make d, make f, ");
    assert_true(offered->state != FTX_ITEM_LOCAL && kept->state == FTX_ITEM_LOCAL);
    assert_true(ftx_folder_after(kept, 0)->state == FTX_ITEM_LOCAL);
    assert_true(ftx_folder_after(offered, 0)->as.sending->pending.bytes == 1);
    struct ftx_item *file = ftx_item_lookup(&t->store->index, top, "Thumbs.db", 9);
    assert_int_equal(ftx_outbox_truncate(t->store, file->id, 12), 0);
    assert_reads(t, file->id, "Thumbs.db\0\0\0", 12);
    box_reopen(t);
    assert_ops(t, "");
}

#define fact(test) cmocka_unit_test_setup_teardown(test, box_setup, box_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        fact(local_items_are_used_and_never_told),
        fact(rename_to_an_ordinary_name_offers_all_of_it),
        fact(holes_of_what_is_offered_stay_holes),
        fact(rename_to_a_local_name_drops_it_at_the_peer),
        fact(there_and_back_is_another_item_to_the_peer),
        fact(local_name_over_and_under_ordinary_ones),
        fact(kill_leaves_nothing_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
