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
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/store/support.h"

struct box_test {
    struct scratch scratch;
    struct ftx_store *store;
    struct ftx_link *link;
    uint64_t out;
    uint64_t told; /* operations up to this one were looked at */
};

static void open_store(struct box_test *t)
{
    char room[512];
    uint64_t folder;
    assert_int_equal(ftx_store_open(t->scratch.path, room, sizeof room, &t->store), 0);
    if (!ftx_link_find(t->store, 1))
        assert_int_equal(ftx_link_arm(t->store, FTX_OUTBOX, "7-local", 7, &folder), 0);
    t->link = ftx_link_find(t->store, 1);
    t->out = t->link->folders[FTX_OUTBOX]->id;
}

static int setup(void **state)
{
    struct box_test *t = calloc(1, sizeof *t);
    *state = t;
    if (!t || scratch_open(&t->scratch))
        return -1;
    open_store(t);
    return 0;
}

static int teardown(void **state)
{
    struct box_test *t = *state;
    if (t->store)
        ftx_store_close(t->store);
    int rc = scratch_close(&t->scratch);
    free(t);
    return rc;
}

static uint64_t make(struct box_test *t, uint64_t parent, const char *name, enum ftx_kind kind)
{
    uint64_t id = 0;
    assert_int_equal(ftx_outbox_make(t->store, parent, name, strlen(name), kind, 0755,
                                     kind == FTX_SYMLINK ? "t" : NULL, kind == FTX_FILE, &id),
                     0);
    return id;
}

static void close_file(struct box_test *t, uint64_t id)
{
    assert_int_equal(ftx_outbox_flush(t->store, id, false), 0);
    ftx_outbox_release(t->store, id, true);
}

/* A closed file that holds its name. */
static uint64_t make_file(struct box_test *t, uint64_t parent, const char *name)
{
    uint64_t id = make(t, parent, name, FTX_FILE);
    assert_int_equal(ftx_outbox_write(t->store, id, name, strlen(name), 0), 0);
    close_file(t, id);
    return id;
}

static void rename_to(struct box_test *t, uint64_t parent, const char *name, uint64_t to,
                      const char *new_name)
{
    assert_int_equal(
        ftx_outbox_rename(t->store, parent, name, strlen(name), to, new_name, strlen(new_name), 0),
        0);
}

static struct ftx_item *item_of(struct box_test *t, uint64_t id)
{
    return ftx_item_find(&t->store->index, id);
}

/* The operations that came since the last call, as text: kind, wire number (`+` for a later one
 * than the item's id), name. */
static void assert_told(struct box_test *t, const char *expected)
{
    static uint8_t room[FTX_OP_MAX];
    static const char *const kinds[] = {
        [FTX_OP_MAKE] = "make",    [FTX_OP_MOVE] = "move",   [FTX_OP_ATTR] = "attr",
        [FTX_OP_DROP] = "drop",    [FTX_OP_XATTR] = "xattr", [FTX_OP_HALT] = "halt",
        [FTX_OP_CANCEL] = "cancel"};
    char text[512] = "";
    while (t->told < t->link->op_next - 1) {
        struct ftx_op op;
        size_t size = ftx_outgoing_op(t->store, t->link, ++t->told, room), used = strlen(text);
        assert_int_equal(ftx_op_decode(room, size, &op), 0);
        snprintf(text + used, sizeof text - used, "%s %.*s, ", kinds[op.kind], (int)op.name_size,
                 op.name ? op.name : "");
    }
    assert_string_equal(text, expected);
}

static void assert_state(struct box_test *t, uint64_t id, const char *expected)
{
    char text[64] = "";
    int n = ftx_tree_xattr(t->store, id, "state", text, sizeof text);
    assert_true(n > 0);
    assert_string_equal(text, expected);
}

/* What the loop does with sendings that are finished. */
static void forget_finished(struct box_test *t)
{
    bool finished;
    for (struct ftx_sending *s; (s = ftx_outgoing_due(t->store, t->link, &finished));)
        if (finished)
            ftx_outgoing_forget(t->store, s);
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
    uint64_t trash = make(t, t->out, ".Trash-1000", FTX_FOLDER);
    uint64_t folder = make(t, trash, "files", FTX_FOLDER);
    uint64_t file = make_file(t, folder, "ordinary");
    uint64_t store = make_file(t, t->out, ".DS_Store");
    uint64_t link = make(t, folder, "link", FTX_SYMLINK);
    struct ftx_xattr xattr = {"a", 1, "1", 1};
    uint16_t mode = 0600;
    int64_t mtime_ns = 5;
    assert_int_equal(ftx_outbox_set_attr(t->store, file, &mode, &mtime_ns), 0);
    assert_int_equal(ftx_outbox_set_xattr(t->store, file, &xattr, FTX_XATTR_ANY), 0);
    rename_to(t, folder, "ordinary", trash, "moved");
    rename_to(t, t->out, ".DS_Store", trash, "store");
    assert_int_equal(ftx_outbox_open(t->store, store, true, false), 0);
    assert_int_equal(ftx_outbox_write(t->store, store, "xy", 2, 12), 0);
    close_file(t, store);
    assert_int_equal(ftx_outbox_truncate(t->store, store, 3), 0);
    assert_int_equal(ftx_outbox_truncate(t->store, store, 5), 0);
    for (int starts = 0; starts < 2; starts++) {
        assert_reads(t, store, ".DS\0\0", 5);
        assert_reads(t, file, "ordinary", 8);
        assert_state(t, file, "local");
        assert_state(t, folder, "local");
        assert_state(t, link, "local");
        assert_true(item_of(t, file)->mode == 0600 && item_of(t, file)->xattrs);
        assert_true(ftx_list_empty(&t->link->sendings) && ftx_list_empty(&t->link->due));
        assert_told(t, "");
        ftx_store_close(t->store);
        open_store(t);
    }
    assert_int_equal(ftx_outbox_remove(t->store, folder, "link", 4, false), 0);
    assert_int_equal(ftx_outbox_remove(t->store, trash, "files", 5, true), 0);
    assert_told(t, "");
    assert_false(ftx_link_busy(t->store, t->link));
}

static void rename_to_an_ordinary_name_offers_all_of_it(void **state)
{
    struct box_test *t = *state;
    uint64_t trash = make(t, t->out, ".Trash-0", FTX_FOLDER);
    uint64_t folder = make(t, trash, "d", FTX_FOLDER);
    uint64_t file = make_file(t, folder, "f"), open = make(t, folder, "open", FTX_FILE);
    make_file(t, folder, "Thumbs.db");
    make(t, folder, "l", FTX_SYMLINK);
    struct ftx_xattr xattr = {"a", 1, "1", 1};
    assert_int_equal(ftx_outbox_set_xattr(t->store, file, &xattr, FTX_XATTR_ANY), 0);
    assert_told(t, "");
    rename_to(t, trash, "d", t->out, "e");
    assert_told(t, "make e, make f, xattr a, make open, make l, ");
    assert_state(t, file, "queued");
    assert_state(t, open, "writing");
    const struct ftx_item *item = item_of(t, file);
    assert_true(item->state == FTX_ITEM_CLOSED && item->as.sending->pending.bytes == 1);
    assert_int_equal(item->as.sending->stream.id, ftx_item_wire(item));
    assert_ptr_equal(ftx_item_find_wire(&t->store->index, ftx_item_wire(item)), item);
    assert_null(ftx_item_find_wire(&t->store->index, item->id)); /* it has a number of its own */
    close_file(t, open);
    assert_state(t, open, "queued");
    uint64_t wire = ftx_item_wire(item);
    ftx_store_close(t->store);
    open_store(t);
    assert_int_equal(ftx_item_wire(item_of(t, file)), wire);
    assert_int_equal(ftx_item_find_wire(&t->store->index, wire)->id, file);
}

/* All of the file is pending, `bytes` of it as data, in a few segments. */
static void assert_offers(struct box_test *t, uint64_t id, uint64_t bytes)
{
    const struct ftx_item *item = item_of(t, id);
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
    uint64_t id = make(t, t->out, ".nfs1", FTX_FILE), empty = make(t, t->out, ".nfs2", FTX_FILE);
    assert_int_equal(ftx_outbox_write(t->store, id, "bytes", 5, 70 << 20), 0);
    assert_int_equal(ftx_outbox_truncate(t->store, id, UINT64_C(1) << 40), 0);
    assert_int_equal(ftx_outbox_truncate(t->store, empty, UINT64_C(1) << 40), 0);
    close_file(t, id);
    close_file(t, empty);
    rename_to(t, t->out, ".nfs1", t->out, "f");
    rename_to(t, t->out, ".nfs2", t->out, "e");
    assert_offers(t, id, 5);
    assert_offers(t, empty, 0);
    rename_to(t, t->out, "f", t->out, ".nfs1"); /* and back, before the loop has let go of it */
    rename_to(t, t->out, ".nfs1", t->out, "f");
    forget_finished(t);
    assert_offers(t, id, 5);
    ftx_store_close(t->store);
    open_store(t);
    assert_offers(t, id, 5);
    assert_offers(t, empty, 0);
}

static void rename_to_a_local_name_drops_it_at_the_peer(void **state)
{
    struct box_test *t = *state;
    uint64_t folder = make(t, t->out, "d", FTX_FOLDER), file = make_file(t, folder, "f");
    make_file(t, folder, ".nfs1");
    make(t, folder, "l", FTX_SYMLINK);
    make(t, t->out, ".Trash-0", FTX_FOLDER);
    uint64_t trash =
        ftx_item_lookup(&t->store->index, t->link->folders[FTX_OUTBOX], ".Trash-0", 8)->id;
    assert_told(t, "make d, make f, make l, ");
    rename_to(t, t->out, "d", trash, "d");
    assert_told(t, "cancel , cancel , drop , ");
    assert_state(t, file, "local");
    assert_null(ftx_item_find_wire(&t->store->index, file));
    assert_null(ftx_outgoing_find(t->store, t->link, file));
    forget_finished(t);
    assert_true(ftx_list_empty(&t->link->sendings));
    assert_reads(t, file, "f", 1);
    rename_to(t, folder, "f", t->out, "Thumbs.db"); /* from one local place to another */
    assert_told(t, "");
    ftx_store_close(t->store);
    open_store(t);
    assert_true(ftx_list_empty(&t->link->sendings));
    assert_reads(t, file, "f", 1);
}

static void there_and_back_is_another_item_to_the_peer(void **state)
{
    struct box_test *t = *state;
    uint64_t file = make_file(t, t->out, "f"), numbers[3];
    for (int i = 0; i < 3; i++) {
        numbers[i] = ftx_item_wire(item_of(t, file));
        rename_to(t, t->out, "f", t->out, ".nfs1");
        if (i == 1)
            forget_finished(t); /* else the loop has not let go of the last sending yet */
        rename_to(t, t->out, ".nfs1", t->out, "f");
        ftx_outgoing_refused(t->store, t->link, numbers[i], FTX_REFUSED_DELETED); /* a late one */
        assert_state(t, file, "queued");
        for (int j = 0; j <= i; j++)
            assert_int_not_equal(ftx_item_wire(item_of(t, file)), numbers[j]);
    }
    assert_told(t, "make f, cancel , make f, cancel , make f, cancel , make f, ");
    forget_finished(t);
    const struct ftx_sending *sending = item_of(t, file)->as.sending;
    assert_true(sending && !sending->dropped && sending->pending.bytes == 1);
    assert_int_equal(sending->stream.id, ftx_item_wire(item_of(t, file)));
    ftx_outgoing_refused(t->store, t->link, sending->stream.id, FTX_REFUSED_NAME);
    assert_state(t, file, "refused");
}

static void local_name_over_and_under_ordinary_ones(void **state)
{
    struct box_test *t = *state;
    uint64_t local = make_file(t, t->out, "Thumbs.db"), file = make_file(t, t->out, "f");
    assert_told(t, "make f, ");
    rename_to(t, t->out, "f", t->out, "Thumbs.db");
    assert_told(t, "cancel , ");
    assert_null(item_of(t, local));
    assert_reads(t, file, "f", 1);
    make_file(t, t->out, "g");
    rename_to(t, t->out, "Thumbs.db", t->out, "g"); /* the MAKE replaces what is there */
    assert_told(t, "make g, make g, ");
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
        open_store(t);
        body(t);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    open_store(t);
}

static void offer_half_and_die(struct box_test *t)
{
    uint64_t trash = make(t, t->out, ".Trash-0", FTX_FOLDER);
    make_file(t, make(t, trash, "d", FTX_FOLDER), "f");
    uint64_t folder = make(t, t->out, "kept", FTX_FOLDER);
    make_file(t, folder, "g");
    /* as a kill in the middle of a rename leaves them: in their places, not settled */
    for (const char *const *name = (const char *const[]){"d", "kept", NULL}; *name; name++) {
        struct ftx_item *from = *name[0] == 'd' ? item_of(t, trash) : t->link->folders[FTX_OUTBOX];
        struct ftx_item *to = *name[0] == 'd' ? t->link->folders[FTX_OUTBOX] : item_of(t, trash);
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
    uint64_t file = make_file(t, t->out, "Thumbs.db");
    int fd = ftx_object_open(&t->store->objects, item_of(t, file)->object, O_WRONLY);
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
    assert_told(t, "make kept, make g, cancel , drop , make d, make f, ");
    assert_true(offered->state != FTX_ITEM_LOCAL && kept->state == FTX_ITEM_LOCAL);
    assert_true(ftx_folder_after(kept, 0)->state == FTX_ITEM_LOCAL);
    assert_true(ftx_folder_after(offered, 0)->as.sending->pending.bytes == 1);
    struct ftx_item *file = ftx_item_lookup(&t->store->index, top, "Thumbs.db", 9);
    assert_int_equal(ftx_outbox_truncate(t->store, file->id, 12), 0);
    assert_reads(t, file->id, "Thumbs.db\0\0\0", 12);
    ftx_store_close(t->store);
    open_store(t);
    assert_told(t, "");
}

#define fact(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

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
