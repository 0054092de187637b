/* SPDX-License-Identifier: MIT */
/* Outbox and inbox of one store, each call by itself: what tests/sim/store.c found, one by one, and
 * a database that cannot be written. */
#include "fs/store/fetch.h"
#include "fs/store/inbox_room.h"
#include "fs/store/outgoing.h"
#include "fs/store/tree.h"
#include "transport/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/store/box.h"

static uint64_t make_file(struct box_test *t, const char *name)
{
    uint64_t id = 0;
    assert_int_equal(
        ftx_outbox_make(t->store, t->out, name, strlen(name), FTX_FILE, 0644, NULL, true, &id), 0);
    return id;
}

/* -- the outbox -- */

static void an_open_file_that_was_removed_is_used_on(void **state)
{
    struct box_test *t = *state;
    uint64_t id = make_file(t, "gone");
    char room[8];
    assert_int_equal(ftx_outbox_remove(t->store, t->out, "gone", 4, false), 0);
    forget_finished(t);
    assert_int_equal(ftx_outbox_write(t->store, id, "bytes", 5, 3), 0);
    assert_int_equal(ftx_outbox_truncate(t->store, id, 6), 0);
    assert_int_equal(ftx_outbox_flush(t->store, id, false), 0);
    assert_int_equal(ftx_outbox_read(t->store, id, room, sizeof room, 0, true), 6);
    assert_memory_equal(room, "\0\0\0byt", 6);
    ftx_outbox_release(t->store, id, true);
    forget_finished(t);
    assert_true(ftx_list_empty(&t->link->sendings));
    assert_null(ftx_item_find(&t->store->index, id));
}

static void a_removed_file_stays_removed_while_it_is_open(void **state)
{
    struct box_test *t = *state;
    struct ftx_attr attr;
    uint64_t id = make_file(t, "gone");
    assert_int_equal(ftx_outbox_open(t->store, id, true, false), 0);
    we_close(t, id); /* one of two */
    assert_int_equal(ftx_outbox_remove(t->store, t->out, "gone", 4, false), 0);
    (void)ftx_outbox_settle(t->store, INT64_MAX);
    box_reopen(t);
    assert_int_equal(ftx_tree_lookup(t->store, t->out, "gone", 4, false, &attr), -ENOENT);
}

static void writes_make_segments_of_cells(void **state)
{
    struct box_test *t = *state;
    static uint8_t bytes[1 << 20];
    enum { CELL = 1 << 20 };
    uint64_t id = make_file(t, "f");
    assert_int_equal(ftx_outbox_write(t->store, id, bytes, 100, CELL - 50), 0);
    const struct ftx_segments *pending = &ftx_item_find(&t->store->index, id)->as.sending->pending;
    static const struct {
        uint64_t offset, length;
        uint8_t kind, state;
    } expected[] = {{0, CELL - 50, FTX_SEGMENT_HOLE, FTX_PENDING_DUE},
                    {CELL - 50, 50, FTX_SEGMENT_DATA, FTX_PENDING_DUE},
                    {CELL, 50, FTX_SEGMENT_DATA, FTX_PENDING_OPEN}};
    assert_int_equal(pending->count, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct ftx_segment *s = ftx_segments_at(pending, expected[i].offset);
        assert_true(s->offset == expected[i].offset && s->length == expected[i].length &&
                    s->kind == expected[i].kind && s->state == expected[i].state);
    }
    assert_int_equal(ftx_outbox_write(t->store, id, bytes, 10, CELL + 50), 0);
    assert_int_equal(ftx_segments_at(pending, CELL)->length, 60);
    we_close(t, id);
    const struct ftx_item *item = ftx_item_find(&t->store->index, id);
    assert_int_equal(ftx_segments_at(pending, CELL)->state, FTX_PENDING_DUE);
    assert_int_equal(item->state, FTX_ITEM_CLOSED);
    assert_int_equal(item->version, 1);
    assert_int_equal(ftx_outbox_truncate(t->store, id, 10), 0);
    assert_true(item->version == 2 && item->state == FTX_ITEM_CLOSED && pending->count == 1);
}

static void punched_range_is_sent_as_a_hole(void **state)
{
    struct box_test *t = *state;
    static uint8_t bytes[1000], got[1000];
    memset(bytes, 'x', sizeof bytes);
    uint64_t id = make_file(t, "f"), at;
    assert_int_equal(ftx_outbox_write(t->store, id, bytes, sizeof bytes, 0), 0);
    assert_int_equal(ftx_outbox_punch(t->store, id, 100, 200), 0);
    assert_int_equal(ftx_outbox_punch(t->store, id, 900, UINT64_MAX / 4), 0);
    assert_int_equal(ftx_outbox_punch(t->store, id, 1000, 10), 0);
    const struct ftx_segments *pending = &ftx_item_find(&t->store->index, id)->as.sending->pending;
    static const uint8_t kinds[] = {FTX_SEGMENT_DATA, FTX_SEGMENT_HOLE, FTX_SEGMENT_DATA,
                                    FTX_SEGMENT_HOLE};
    static const uint64_t starts[] = {0, 100, 300, 900};
    assert_int_equal(pending->count, 4);
    for (size_t i = 0; i < 4; i++) {
        const struct ftx_segment *s = ftx_segments_at(pending, starts[i]);
        assert_true(s->offset == starts[i] && s->kind == kinds[i] && s->state == FTX_PENDING_DUE);
        memset(bytes + starts[i], kinds[i] == FTX_SEGMENT_HOLE ? 0 : 'x', 100);
    }
    memset(bytes + 200, 0, 100);
    assert_int_equal(ftx_outbox_read(t->store, id, got, sizeof got, 0, true), 1000);
    assert_memory_equal(got, bytes, sizeof got);
    assert_int_equal(ftx_outbox_seek(t->store, id, 1000, SEEK_DATA, &at), -ENXIO);
    we_close(t, id);
    assert_int_equal(ftx_outbox_punch(t->store, id, 0, 10), -EBADF);
}

/* What is a hole already needs no look, no claim and no room. */
static void holes_of_any_size_are_punched_at_once(void **state)
{
    struct box_test *t = *state;
    uint64_t id = make_file(t, "f"), huge = UINT64_C(1) << 40;
    assert_int_equal(ftx_outbox_write(t->store, id, "front", 5, 0), 0);
    assert_int_equal(ftx_outbox_write(t->store, id, "middle", 6, huge / 2), 0);
    assert_int_equal(ftx_outbox_truncate(t->store, id, huge), 0);
    uint64_t before = t->store->appended;
    assert_int_equal(ftx_outbox_punch(t->store, id, 0, huge), 0);
    assert_true(t->store->appended - before < 10); /* entries of the journal */
    const struct ftx_segments *pending = &ftx_item_find(&t->store->index, id)->as.sending->pending;
    assert_true(pending->count == 1 && pending->bytes == huge);
    assert_int_equal(ftx_segments_at(pending, 0)->kind, FTX_SEGMENT_HOLE);
    we_close(t, id);
}

static void allocated_room_changes_no_version(void **state)
{
    struct box_test *t = *state;
    uint64_t id = make_file(t, "f"), at;
    const struct ftx_item *item = ftx_item_find(&t->store->index, id);
    assert_int_equal(ftx_outbox_write(t->store, id, "bytes", 5, 0), 0);
    assert_int_equal(ftx_outbox_flush(t->store, id, false), 0);
    assert_int_equal(ftx_outbox_allocate(t->store, id, 0, 1 << 20, true), 0);
    assert_int_equal(ftx_outbox_allocate(t->store, id, 0, 5, false), 0);
    assert_true(item->size == 5 && item->version == 1 && item->state == FTX_ITEM_CLOSED);
    assert_int_equal(ftx_outbox_allocate(t->store, id, 0, INT64_MAX / 2, true), -ENOSPC);
    assert_int_equal(ftx_outbox_allocate(t->store, id, INT64_MAX, 1, true), -EFBIG);
    assert_int_equal(ftx_outbox_allocate(t->store, id, 0, 1 << 20, false), 0);
    assert_true(item->size == 1 << 20 && item->version == 2 && item->state == FTX_ITEM_WRITING);
    const struct ftx_segment *hole = ftx_segments_at(&item->as.sending->pending, 5);
    assert_true(hole->offset == 5 && hole->kind == FTX_SEGMENT_HOLE);
    assert_int_equal(ftx_outbox_seek(t->store, id, 0, SEEK_DATA, &at), 0);
    assert_int_equal(at, 0);
    we_close(t, id);
}

static void handles_past_the_cache_keep_others_out_of_it(void **state)
{
    struct box_test *t = *state;
    uint64_t id = make_file(t, "f");
    bool direct, keep;
    ftx_outbox_caching(t->store, id, true, true, &direct, &keep);
    assert_true(direct);
    assert_int_equal(ftx_outbox_open(t->store, id, false, false), 0);
    ftx_outbox_caching(t->store, id, false, false, &direct, &keep);
    assert_true(direct); /* a writer past the cache is there */
    ftx_outbox_direct_left(t->store, id, true);
    we_close(t, id);
    assert_int_equal(ftx_outbox_open(t->store, id, true, false), 0);
    ftx_outbox_caching(t->store, id, true, false, &direct, &keep);
    assert_true(!direct && !keep); /* it is gone; a reader past the cache stays */
    ftx_outbox_direct_left(t->store, id, false);
    ftx_outbox_release(t->store, id, false);
    assert_int_equal(ftx_outbox_open(t->store, id, true, false), 0);
    ftx_outbox_caching(t->store, id, true, true, &direct, &keep);
    assert_true(!direct); /* one that could only write goes through it, too */
    we_close(t, id);
    we_close(t, id);
}

static void says_what_is_wrong(void **state)
{
    struct box_test *t = *state;
    uint64_t id = make_file(t, "f"), folder, other;
    struct ftx_store *s = t->store;
    we_close(t, id);
    assert_int_equal(ftx_outbox_make(s, t->out, "d", 1, FTX_FOLDER, 0755, NULL, false, &folder), 0);
    assert_int_equal(ftx_outbox_make(s, folder, "x", 1, FTX_SYMLINK, 0777, "f", false, &other), 0);
    assert_int_equal(ftx_outbox_make(s, t->out, "f", 1, FTX_FILE, 0644, NULL, true, &other),
                     -EEXIST);
    assert_int_equal(ftx_outbox_make(s, t->out, ".ftx", 4, FTX_FILE, 0644, NULL, true, &other),
                     -EINVAL);
    assert_int_equal(ftx_outbox_make(s, 99999, "f", 1, FTX_FILE, 0644, NULL, true, &other),
                     -ENOENT);
    assert_int_equal(ftx_outbox_remove(s, t->out, "d", 1, false), -EISDIR);
    assert_int_equal(ftx_outbox_remove(s, t->out, "d", 1, true), -ENOTEMPTY);
    assert_int_equal(ftx_outbox_remove(s, t->out, "f", 1, true), -ENOTDIR);
    assert_int_equal(ftx_outbox_remove(s, t->out, "g", 1, false), -ENOENT);
    assert_int_equal(ftx_outbox_rename(s, t->out, "f", 1, t->out, "d", 1, 0), -EISDIR);
    assert_int_equal(ftx_outbox_rename(s, t->out, "d", 1, t->out, "f", 1, 0), -ENOTDIR);
    assert_int_equal(ftx_outbox_rename(s, t->out, "d", 1, folder, "d", 1, 0), -EINVAL);
    assert_int_equal(ftx_outbox_rename(s, t->out, "f", 1, folder, "x", 1, FTX_RENAME_NOREPLACE),
                     -EEXIST);
    assert_int_equal(ftx_outbox_write(s, id, "x", 1, INT64_MAX), -EFBIG);
    assert_int_equal(ftx_outbox_write(s, id, "x", 1, 0), -EBADF);
    assert_int_equal(ftx_outbox_truncate(s, id, UINT64_MAX), -EFBIG);
    assert_int_equal(ftx_outbox_open(s, folder, true, false), -ENOENT);
}

static void make_and_die(struct box_test *t)
{
    uint64_t id = make_file(t, "early");
    if (ftx_outbox_write(t->store, id, "12345", 5, 0))
        _exit(3);
}

/* Nothing stands where the disk has no place for it, so nothing is to be cut there. */
static void make_huge_and_die(struct box_test *t)
{
    uint64_t id = make_file(t, "huge");
    for (int shift = 0; shift < 3; shift++)
        if (ftx_outbox_truncate(t->store, id, (UINT64_C(1) << 62) >> shift) ||
            ftx_outbox_write(t->store, id, "12345", 5, 0))
            _exit(3);
}

static void a_file_may_be_larger_than_the_disk_lets_one_be(void **state)
{
    struct box_test *t = *state;
    box_killed(t, make_huge_and_die);
    box_open(t);
    struct ftx_item *item =
        ftx_item_lookup(&t->store->index, t->link->folders[FTX_OUTBOX], "huge", 4);
    assert_true(item->state == FTX_ITEM_INTERRUPTED && item->size == UINT64_C(1) << 60);
    assert_int_equal(ftx_outbox_truncate(t->store, item->id, UINT64_C(1) << 59), 0);
    assert_int_equal(ftx_outbox_truncate(t->store, item->id, 2), 0);
    assert_int_equal(item->state, FTX_ITEM_CLOSED);
}

static void a_kill_takes_nothing_and_numbers_are_not_used_again(void **state)
{
    struct box_test *t = *state;
    box_killed(t, make_and_die);
    box_open(t);
    struct ftx_attr attr;
    char word[32] = "";
    assert_int_equal(ftx_tree_lookup(t->store, t->out, "early", 5, true, &attr), 0);
    ftx_tree_forget(t->store, attr.id, 1);
    assert_int_equal(attr.size, 5);
    assert_true(ftx_tree_xattr(t->store, attr.id, "state", word, sizeof word) > 0);
    assert_string_equal(word, "interrupted");
    assert_true(attr.id != t->out && attr.id != t->in);
    uint64_t id = make_file(t, "late");
    assert_true(id > attr.id);
    we_close(t, id);
    box_reopen(t);
    assert_int_equal(ftx_folder_count(t->link->folders[FTX_OUTBOX]), 2);
}

/* Files keep coming until there is an error: every one is answered, none hangs. */
static void fill_until_it_fails(struct box_test *t)
{
    struct rlimit limit = {.rlim_cur = 4 << 10, .rlim_max = RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    for (unsigned i = 0; i < 1000000; i++) {
        char name[16];
        uint64_t id;
        int n = snprintf(name, sizeof name, "f%u", i);
        int err =
            ftx_outbox_make(t->store, t->out, name, (size_t)n, FTX_FILE, 0644, NULL, true, &id);
        if (err)
            _exit(err < 0 && ftx_store_sync(t->store) < 0 ? 0 : 4);
    }
    _exit(5);
}

static void a_database_that_cannot_be_written_is_an_error(void **state)
{
    struct box_test *t = *state;
    box_killed(t, fill_until_it_fails);
    box_open(t);
    assert_true(ftx_folder_count(t->link->folders[FTX_OUTBOX]) > 1000);
}

/* -- the inbox -- */

static void what_was_delivered_is_not_lost_for_a_name(void **state)
{
    struct box_test *t = *state;
    assert_int_equal(peer_makes(t, 1, 0, FTX_FOLDER, "d"), 0);
    assert_int_equal(peer_makes(t, 2, 1, FTX_FILE, "kept"), 0);
    peer_sends(t, 2, 1, 0, "bytes");
    peer_completes(t, 2, 1, 5);
    struct ftx_item *kept = of_peer(t, 2);
    assert_int_equal(peer_drops(t, 2), 0);
    assert_int_equal(peer_drops(t, 1), 0);
    assert_true(kept->linked && !of_peer(t, 2) && !of_peer(t, 1));
    assert_int_equal(peer_makes(t, 3, 0, FTX_FOLDER, "d"), 0); /* takes it over */
    assert_true(of_peer(t, 3) == kept->parent);
    assert_int_equal(peer_drops(t, 3), 0);
    assert_int_equal(peer_makes(t, 4, 0, FTX_FILE, "d"), 0); /* makes it step aside */
    assert_string_equal(kept->parent->name, "d.kept");
    assert_string_equal(of_peer(t, 4)->name, "d");
    assert_int_equal(peer_makes(t, 5, 0, FTX_FOLDER, "e"), 0);
    assert_int_equal(peer_makes(t, 6, 5, FTX_FILE, "new"), 0);
    assert_int_equal(peer_moves(t, 5, 0, "d.kept"), 0); /* it has stepped aside: it does so again */
    assert_true(kept->linked && of_peer(t, 6)->parent == of_peer(t, 5));
    assert_string_equal(kept->parent->name, "d.kept.kept");
    assert_int_equal(peer_makes(t, 7, 5, FTX_FOLDER, "kept.d"), 0);
    assert_int_equal(peer_moves(t, 4, 5, "kept"), 0); /* one file takes another's place, as ever */
}

static void what_a_peer_makes_us_remember_is_bounded(void **state)
{
    struct box_test *t = *state;
    assert_int_equal(peer_makes(t, 1, 0, FTX_FILE, "f"), 0);
    assert_int_equal(t->link->n_items[FTX_INBOX], 2); /* and the link's folder */
    peer_sends(t, 1, 1, 0, "bytes");
    peer_sends(t, 1, 1, 10, "bytes");
    assert_int_equal(t->link->n_segments, 2);
    uint32_t n_items = t->link->n_items[FTX_INBOX];
    t->link->n_items[FTX_INBOX] = FTX_LINK_ITEMS_MAX;
    assert_int_equal(peer_makes(t, 2, 0, FTX_FILE, "g"), FTX_REFUSED_POLICY);
    t->link->n_items[FTX_INBOX] = n_items;
    t->link->n_segments = FTX_LINK_SEGMENTS_MAX;
    struct ftx_segment segment = {.offset = 20, .length = 1, .kind = FTX_SEGMENT_HOLE};
    assert_int_equal(ftx_arriving_put(of_peer(t, 1)->as.arriving, &segment), FTX_ELIMIT);
    t->link->n_segments = 2;
    assert_int_equal(peer_drops(t, 1), 0);
    assert_int_equal(t->link->n_items[FTX_INBOX], 1);
    assert_int_equal(t->link->n_segments, 0);
}

static void a_seal_after_the_drop_begins_nothing(void **state)
{
    struct box_test *t = *state;
    assert_int_equal(peer_makes(t, 1, 0, FTX_FILE, "f"), 0);
    peer_sends(t, 1, 1, 0, "one");
    peer_completes(t, 1, 1, 3);
    struct ftx_item *item = of_peer(t, 1);
    peer_sends(t, 1, 2, 0, "TWO");
    struct ftx_plan_seal seal = peer_seal(1, 2, 3);
    struct ftx_seal_check check;
    assert_int_equal(peer_drops(t, 1), 0);
    assert_int_equal(ftx_inbox_seal(t->store, t->link, &seal, &check), -ENOENT);
    assert_true(item->linked && item->state == FTX_ITEM_COMPLETE && !item->shadow);
}

static void what_the_base_cannot_have_is_missing(void **state)
{
    struct box_test *t = *state;
    assert_int_equal(peer_makes(t, 1, 0, FTX_FILE, "f"), 0);
    peer_sends(t, 1, 1, 0, "base");
    peer_completes(t, 1, 1, 4);
    struct ftx_plan_seal seal = peer_seal(1, 2, 10);
    struct ftx_seal_check check;
    assert_int_equal(ftx_inbox_seal(t->store, t->link, &seal, &check), -ENODATA);
    assert_true(check.n == 1 && check.ranges[0].offset == 4 && check.ranges[0].length == 6);
    seal = peer_seal(1, 3, 3);
    assert_int_equal(ftx_inbox_seal(t->store, t->link, &seal, &check), 0);
    assert_true(check.n == 1 && check.base_object && check.ranges[0].length == 3);
    assert_int_equal(ftx_inbox_copied(t->store, &check, 0), 0);
    struct ftx_extent held;
    uint64_t at = 0;
    assert_int_equal(ftx_inbox_held(t->store, check.item, &at, &held, 1), 0);
}

/* An update of a sparse file may leave a million of them. */
static void holes_of_the_base_are_left_without_noting_them(void **state)
{
    struct box_test *t = *state;
    struct ftx_extent hole = {.stream = 1, .version = 1, .length = 1000, .kind = FTX_EXTENT_HOLE};
    uint64_t id, object, entry;
    assert_int_equal(peer_makes(t, 1, 0, FTX_FILE, "f"), 0);
    assert_int_equal(ftx_inbox_begin(t->store, t->link, &hole, &id, &object), 0);
    assert_int_equal(ftx_inbox_wrote(t->store, id, &hole, 0, &entry), 0);
    peer_completes(t, 1, 1, 1000);
    assert_int_equal(of_peer(t, 1)->object, 0);
    for (uint64_t offset = 0; offset < 1000; offset += 5)
        peer_sends(t, 1, 2, offset, "x");
    struct ftx_plan_seal seal = peer_seal(1, 2, 1000);
    struct ftx_seal_check check;
    uint64_t appended = t->store->appended;
    assert_int_equal(ftx_inbox_seal(t->store, t->link, &seal, &check), 0);
    assert_true(check.n == 0 && t->store->appended == appended);
    struct ftx_item *item = ftx_item_find(&t->store->index, check.item);
    assert_int_equal(ftx_arriving_cut(item->as.arriving, 500, 1),
                     0); /* lost on its way to the disk */
    assert_int_equal(ftx_inbox_complete(t->store, t->link, &seal, check.item, &entry), -EALREADY);
    peer_sends(t, 1, 2, 500, "x");
    peer_completes(t, 1, 2, 1000);
    assert_int_equal(of_peer(t, 1)->state, FTX_ITEM_COMPLETE);
}

static void a_version_like_the_one_before_stays_where_it_is(void **state)
{
    struct box_test *t = *state;
    assert_int_equal(peer_makes(t, 1, 0, FTX_FILE, "f"), 0);
    peer_sends(t, 1, 1, 0, "base");
    peer_completes(t, 1, 1, 4);
    struct ftx_item *item = of_peer(t, 1);
    uint64_t id = item->id, object = item->object, entry;
    struct ftx_plan_seal seal = peer_seal(1, 2, 4);
    struct ftx_seal_check check;
    seal.attributes_size = ftx_seal_attr_encode(0600, 77, seal.attributes);
    assert_int_equal(ftx_inbox_seal_comes(t->store, t->link, &seal), 0);
    assert_int_equal(ftx_inbox_seal(t->store, t->link, &seal, &check), 0);
    assert_int_equal(check.n, 0);
    assert_int_equal(ftx_inbox_complete(t->store, t->link, &seal, check.item, &entry), 0);
    item = of_peer(t, 1);
    assert_true(item->id == id && item->object == object && !item->shadow && !item->as.arriving);
    assert_true(item->version == 2 && item->mode == 0600 && item->mtime_ns == 77);
    struct ftx_extent late = {.stream = 1, .version = 2, .length = 4, .kind = FTX_EXTENT_DATA};
    uint64_t again; /* a repetition */
    assert_int_equal(ftx_inbox_begin(t->store, t->link, &late, &again, &object), -EALREADY);
}

static void a_file_renamed_over_another_takes_it_along(void **state)
{
    struct box_test *t = *state;
    assert_int_equal(peer_makes(t, 1, 0, FTX_FILE, "f"), 0);
    peer_completes(t, 1, 1, 0);
    assert_int_equal(peer_makes(t, 2, 0, FTX_FILE, "new"), 0);
    assert_int_equal(peer_moves(t, 2, 0, "f"), 0);
    assert_int_equal(ftx_folder_count(t->link->folders[FTX_INBOX]), 1);
    assert_int_equal(peer_drops(t, 2), 0);
    assert_int_equal(ftx_folder_count(t->link->folders[FTX_INBOX]), 0);
}

static void moves_do_not_make_it_deeper_than_allowed(void **state)
{
    struct box_test *t = *state;
    uint64_t item = 1;
    for (uint64_t tree = 0; tree < 2; tree++)
        for (uint64_t depth = 0; depth < 40; depth++, item++)
            assert_int_equal(
                peer_makes(t, item, depth ? item - 1 : 0, FTX_FOLDER, tree ? "a" : "b"), 0);
    assert_int_equal(peer_moves(t, 41, 40, "a"), FTX_REFUSED_NAME);
    assert_int_equal(peer_makes(t, 100, 80, FTX_FOLDER, "x"), 0);
}

static void the_owner_may_turn_the_tree_around(void **state)
{
    struct box_test *t = *state;
    assert_int_equal(peer_makes(t, 1, 0, FTX_FOLDER, "a"), 0);
    assert_int_equal(peer_makes(t, 2, 0, FTX_FOLDER, "b"), 0);
    uint64_t b = of_peer(t, 2)->id;
    assert_int_equal(ftx_inbox_rename(t->store, t->in, "a", 1, b, "a", 1, 0), 0);
    assert_int_equal(peer_moves(t, 2, 1, "b"), FTX_REFUSED_NAME);
}

static void a_folder_that_its_owner_removed_is_told_and_can_be_made_again(void **state)
{
    struct box_test *t = *state;
    uint64_t told;
    assert_int_equal(peer_makes(t, 1, 0, FTX_FOLDER, "d"), 0);
    assert_int_equal(peer_makes(t, 2, 0, FTX_FOLDER, "e"), 0);
    assert_int_equal(peer_makes(t, 3, 0, FTX_FILE, "f"), 0);
    peer_sends(t, 3, 1, 0, "kept");
    peer_completes(t, 3, 1, 4);
    assert_false(ftx_inbox_removed_folder(t->store, t->link, &told));
    assert_int_equal(ftx_inbox_remove(t->store, t->in, "d", 1, true), 0);
    assert_true(ftx_inbox_removed_folder(t->store, t->link, &told) && told == 1);
    assert_false(ftx_inbox_removed_folder(t->store, t->link, &told));
    assert_int_equal(peer_makes(t, 4, 1, FTX_FILE, "g"), FTX_REFUSED_FOLDER);
    assert_int_equal(peer_moves(t, 3, 1, "f"), FTX_REFUSED_FOLDER);
    assert_int_equal(peer_moves(t, 2, 1, "e"), FTX_REFUSED_FOLDER);
    assert_int_equal(peer_makes(t, 2, 1, FTX_FOLDER, "e"), 0); /* it is there, somewhere */
    assert_int_equal(peer_makes(t, 1, 0, FTX_FOLDER, "d"), 0);
    assert_int_equal(peer_makes(t, 1, 0, FTX_FOLDER, "d"), 0);
    assert_int_equal(peer_makes(t, 4, 1, FTX_FILE, "g"), 0);
    assert_int_equal(peer_moves(t, 3, 1, "f"), 0);
    assert_int_equal(peer_moves(t, 2, 1, "e"), 0);
    assert_int_equal(ftx_folder_count(of_peer(t, 1)), 3);
    assert_int_equal(of_peer(t, 3)->state, FTX_ITEM_COMPLETE);
}

static void what_is_being_written_is_counted_once(void **state)
{
    struct box_test *t = *state;
    enum { MIB = 1 << 20 };
    static uint8_t bytes[3 * MIB];
    struct ftx_extent e[3];
    uint64_t item, object, entry;
    ftx_inbox_limit(t->store, sizeof bytes + MIB / 2);
    assert_int_equal(peer_makes(t, 1, 0, FTX_FILE, "f"), 0);
    for (size_t i = 0; i < 3; i++) {
        e[i] = (struct ftx_extent){
            .stream = 1, .version = 1, .offset = i * MIB, .length = MIB, .kind = FTX_EXTENT_DATA};
        ftx_hash(bytes, MIB, e[i].hash);
        assert_int_equal(ftx_inbox_begin(t->store, t->link, &e[i], &item, &object), 0);
        if (i == 1) { /* both are on the disk, one of them was told of */
            int fd = ftx_object_open(&t->store->objects, object, O_WRONLY | O_CREAT);
            assert_true(fd >= 0);
            memset(bytes, 'x', sizeof bytes);
            assert_int_equal(ftx_object_write(fd, bytes, 2 * (size_t)MIB, 0), 0);
            close(fd);
            assert_int_equal(ftx_inbox_wrote(t->store, item, &e[0], 0, &entry), 0);
        }
    }
    assert_int_equal(ftx_inbox_wrote(t->store, item, &e[1], 0, &entry), 0);
    assert_int_equal(ftx_inbox_wrote(t->store, item, &e[2], 0, &entry), 0);
    assert_true(t->link->inbox_claimed == 0 && t->link->inbox_used < 3 * (uint64_t)MIB);
}

static void a_file_that_cannot_be_moved_can_be_fetched(void **state)
{
    struct box_test *t = *state;
    struct ftx_source source;
    uint64_t item = 1;
    for (; item < FTX_DEPTH_MAX + 1; item++)
        assert_int_equal(peer_makes(t, item, item - 1, FTX_FOLDER, "d"), 0);
    assert_int_equal(peer_makes(t, item, 0, FTX_FILE, "f"), 0);
    peer_sends(t, item, 1, 0, "kept");
    peer_completes(t, item, 1, 4);
    assert_int_equal(peer_moves(t, item, item - 1, "f"), FTX_REFUSED_NAME);
    ftx_fetch_serve(t->store, t->link, item, &(struct ftx_range){1, 9}, &source);
    assert_true(source.extent.kind == FTX_EXTENT_DATA && source.extent.length == 3);
}

static void of_an_interrupted_file_what_is_missing_is_not_waited_for(void **state)
{
    struct box_test *t = *state;
    int fd;
    size_t n;
    bool direct, keep;
    assert_int_equal(peer_makes(t, 1, 0, FTX_FILE, "f"), 0);
    peer_sends(t, 1, 1, 0, "half");
    uint64_t id = of_peer(t, 1)->id;
    assert_int_equal(ftx_inbox_open(t->store, id, &direct, &keep), 0);
    assert_int_equal(ftx_inbox_read(t->store, id, 4, 4, true, &fd, &n), -EAGAIN);
    assert_int_equal(peer_does(t, &(struct ftx_op){.kind = FTX_OP_HALT, .item = 1}), 0);
    assert_int_equal(ftx_inbox_read(t->store, id, 4, 0, true, &fd, &n), 0);
    assert_int_equal(n, 4);
    assert_int_equal(ftx_inbox_read(t->store, id, 4, 4, true, &fd, &n), -ENODATA);
    peer_sends(t, 1, 2, 8, "more"); /* written again */
    assert_int_equal(ftx_inbox_read(t->store, id, 4, 4, true, &fd, &n), -EAGAIN);
    ftx_inbox_release(t->store, id);
}

static void a_large_folder_goes_at_once(void **state)
{
    struct box_test *t = *state;
    enum { FILES = 20000 };
    assert_int_equal(peer_makes(t, 1, 0, FTX_FOLDER, "d"), 0);
    for (uint64_t i = 0; i < FILES; i++) {
        char name[16];
        snprintf(name, sizeof name, "%u", (unsigned)i);
        assert_int_equal(peer_makes(t, 2 + i, 1, FTX_FILE, name), 0);
    }
    assert_int_equal(peer_makes(t, FILES + 2, 0, FTX_FILE, "f"), 0);
    assert_int_equal(ftx_inbox_remove(t->store, t->in, "d", 1, true), -ENOTEMPTY);
    for (uint64_t i = 0; i < FILES; i++)
        assert_int_equal(peer_drops(t, 2 + i), 0);
    assert_int_equal(peer_drops(t, 1), 0);
    assert_true(!of_peer(t, 1));
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, box_setup, box_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(an_open_file_that_was_removed_is_used_on),
        with_store(a_removed_file_stays_removed_while_it_is_open),
        with_store(writes_make_segments_of_cells),
        with_store(punched_range_is_sent_as_a_hole),
        with_store(holes_of_any_size_are_punched_at_once),
        with_store(allocated_room_changes_no_version),
        with_store(handles_past_the_cache_keep_others_out_of_it),
        with_store(says_what_is_wrong),
        with_store(a_file_may_be_larger_than_the_disk_lets_one_be),
        with_store(a_kill_takes_nothing_and_numbers_are_not_used_again),
        with_store(a_database_that_cannot_be_written_is_an_error),
        with_store(what_was_delivered_is_not_lost_for_a_name),
        with_store(what_a_peer_makes_us_remember_is_bounded),
        with_store(a_seal_after_the_drop_begins_nothing),
        with_store(what_the_base_cannot_have_is_missing),
        with_store(holes_of_the_base_are_left_without_noting_them),
        with_store(a_version_like_the_one_before_stays_where_it_is),
        with_store(a_file_renamed_over_another_takes_it_along),
        with_store(moves_do_not_make_it_deeper_than_allowed),
        with_store(the_owner_may_turn_the_tree_around),
        with_store(a_folder_that_its_owner_removed_is_told_and_can_be_made_again),
        with_store(what_is_being_written_is_counted_once),
        with_store(a_file_that_cannot_be_moved_can_be_fetched),
        with_store(of_an_interrupted_file_what_is_missing_is_not_waited_for),
        with_store(a_large_folder_goes_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
