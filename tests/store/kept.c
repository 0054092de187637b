/* SPDX-License-Identifier: MIT */
/* What an inbox's owner has given a name is never lost to a sender who has that name for something
 * else: it steps aside, and goes on arriving. */
#include "fs/store/feed.h"
#include "fs/store/tree.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/store/box.h"

/* The folder of a path, whose last part is *out_name. */
static uint64_t split(struct box_test *t, const char *path, const char **out_name)
{
    char folder[64] = "";
    const char *slash = strrchr(path, '/');
    *out_name = slash ? slash + 1 : path;
    memcpy(folder, path, (size_t)(*out_name - path));
    return in_inbox(t, folder)->id;
}

/* As the inbox's owner. */
static void rename_here(struct box_test *t, const char *from, const char *to)
{
    const char *name, *new_name;
    uint64_t parent = split(t, from, &name), new_parent = split(t, to, &new_name);
    assert_int_equal(ftx_inbox_rename(t->store, parent, name, strlen(name), new_parent, new_name,
                                      strlen(new_name), 0),
                     0);
}

/* The file at the path is complete and holds `bytes`. */
static void assert_holds(struct box_test *t, const char *path, const char *bytes)
{
    char room[64] = "";
    const struct ftx_item *item = in_inbox(t, path);
    assert_non_null(item);
    assert_true(item->kind == FTX_FILE && item->state == FTX_ITEM_COMPLETE);
    assert_int_equal(item->size, strlen(bytes));
    int fd = ftx_object_open(&t->store->objects, item->object, O_RDONLY);
    assert_int_equal(pread(fd, room, sizeof room, 0), (ssize_t)strlen(bytes));
    close(fd);
    assert_string_equal(room, bytes);
}

static void a_renamed_file_steps_aside_for_a_new_one(void **state)
{
    struct box_test *t = *state;
    peer_delivers(t, 1, 0, "report", "mine");
    rename_here(t, "report", "final");
    peer_delivers(t, 2, 0, "final", "theirs");
    assert_holds(t, "final", "theirs");
    assert_holds(t, "final.kept", "mine");
    rename_here(t, "final", "other");
    rename_here(t, "other", "final");
    peer_delivers(t, 3, 0, "final", "newest");
    for (int start = 0; start < 2; start++) {
        assert_holds(t, "final", "newest");
        assert_holds(t, "final.kept", "mine");
        assert_holds(t, "final.kept2", "theirs");
        box_reopen(t);
    }
    peer_delivers(t, 4, 0, "final.kept", "a name like any");
    assert_holds(t, "final.kept.kept", "mine");
    assert_int_equal(ftx_folder_count(t->link->folders[FTX_INBOX]), 4);
}

static void it_steps_aside_for_what_is_moved(void **state)
{
    struct box_test *t = *state;
    peer_delivers(t, 1, 0, "report", "mine");
    peer_delivers(t, 2, 0, "complete", "two");
    assert_int_equal(peer_makes(t, 3, 0, FTX_FILE, "unfinished"), 0);
    assert_int_equal(peer_makes(t, 4, 0, FTX_FOLDER, "folder"), 0);
    assert_int_equal(peer_makes(t, 5, 0, FTX_SYMLINK, "link"), 0);
    rename_here(t, "report", "final");
    assert_int_equal(peer_moves(t, 2, 0, "final"), 0);
    assert_true(of_peer(t, 2) == in_inbox(t, "final"));
    rename_here(t, "final.kept", "a");
    assert_int_equal(peer_moves(t, 3, 0, "a"), 0);
    assert_true(of_peer(t, 3) == in_inbox(t, "a"));
    rename_here(t, "a.kept", "b");
    assert_int_equal(peer_moves(t, 4, 0, "b"), 0);
    assert_true(of_peer(t, 4) == in_inbox(t, "b"));
    rename_here(t, "b.kept", "b/c");
    assert_int_equal(peer_moves(t, 5, 4, "c"), 0);
    assert_true(of_peer(t, 5) == in_inbox(t, "b/c"));
    assert_holds(t, "b/c.kept", "mine");
    assert_true(of_peer(t, 1) == in_inbox(t, "b/c.kept"));
}

static void unfinished_files_and_links_step_aside_too(void **state)
{
    struct box_test *t = *state;
    assert_int_equal(peer_makes(t, 1, 0, FTX_FILE, "report"), 0);
    assert_int_equal(peer_makes(t, 2, 0, FTX_SYMLINK, "link"), 0);
    peer_sends(t, 1, 1, 0, "ha");
    rename_here(t, "report", "final");
    rename_here(t, "link", "here");
    peer_delivers(t, 3, 0, "final", "theirs");
    peer_delivers(t, 4, 0, "here", "theirs");
    peer_sends(t, 1, 1, 2, "lf");
    peer_completes(t, 1, 1, 4);
    assert_holds(t, "final.kept", "half");
    assert_holds(t, "final", "theirs");
    assert_int_equal(in_inbox(t, "here.kept")->kind, FTX_SYMLINK);
}

static void its_next_version_comes_where_it_stands(void **state)
{
    struct box_test *t = *state;
    peer_delivers(t, 1, 0, "report", "one");
    rename_here(t, "report", "final");
    peer_sends(t, 1, 2, 0, "two");
    assert_int_equal(peer_makes(t, 2, 0, FTX_FILE, "final"), 0);
    peer_completes(t, 1, 2, 3);
    assert_holds(t, "final.kept", "two");
    assert_null(in_inbox(t, "report"));
    peer_sends(t, 1, 3, 0, "3");
    box_reopen(t);
    peer_completes(t, 1, 3, 1);
    peer_delivers(t, 3, 0, "final.kept", "theirs");
    assert_holds(t, "final.kept.kept", "3");
}

static void its_senders_rename_gives_it_back(void **state)
{
    struct box_test *t = *state;
    peer_delivers(t, 1, 0, "report", "one");
    rename_here(t, "report", "final");
    assert_int_equal(peer_moves(t, 1, 0, "theirs"), 0);
    assert_null(in_inbox(t, "final"));
    peer_delivers(t, 2, 0, "theirs", "two");
    assert_holds(t, "theirs", "two");
    assert_int_equal(ftx_folder_count(t->link->folders[FTX_INBOX]), 1);
}

static void its_senders_removal_leaves_it(void **state)
{
    struct box_test *t = *state;
    static const uint8_t kinds[] = {FTX_OP_DROP, FTX_OP_CANCEL};
    for (uint64_t n = 1; n <= 2; n++) {
        peer_delivers(t, n, 0, "report", "mine");
        rename_here(t, "report", n == 1 ? "one" : "two");
        assert_int_equal(peer_does(t, &(struct ftx_op){.kind = kinds[n - 1], .item = n}), 0);
        assert_null(of_peer(t, n));
    }
    peer_delivers(t, 3, 0, "one", "theirs");
    peer_delivers(t, 4, 0, "two", "theirs");
    assert_holds(t, "one.kept", "mine");
    assert_holds(t, "two.kept", "mine");
    peer_delivers(t, 5, 0, "three", "theirs");
    assert_int_equal(peer_does(t, &(struct ftx_op){.kind = FTX_OP_CANCEL, .item = 5}), 0);
    assert_null(in_inbox(t, "three"));
}

static void a_renamed_folder_stands_beside_a_new_one(void **state)
{
    struct box_test *t = *state;
    assert_int_equal(peer_makes(t, 1, 0, FTX_FOLDER, "a"), 0);
    peer_delivers(t, 2, 1, "f", "mine");
    rename_here(t, "a", "b");
    assert_int_equal(peer_makes(t, 3, 0, FTX_FOLDER, "b"), 0);
    peer_delivers(t, 4, 3, "f", "theirs");
    assert_holds(t, "b.kept/f", "mine");
    assert_holds(t, "b/f", "theirs");
    peer_delivers(t, 5, 1, "later", "mine too");
    assert_holds(t, "b.kept/later", "mine too");
    rename_here(t, "b.kept", "c");
    assert_int_equal(peer_moves(t, 3, 0, "c"), 0); /* a folder onto it */
    assert_holds(t, "c.kept/f", "mine");
    assert_holds(t, "c/f", "theirs");
    assert_int_equal(peer_drops(t, 1), 0);
    assert_int_equal(peer_makes(t, 6, 0, FTX_FILE, "c.kept"), 0);
    assert_holds(t, "c.kept.kept/f", "mine");
}

static void what_was_renamed_in_a_folder_is_not_lost_to_one_that_comes(void **state)
{
    struct box_test *t = *state;
    assert_int_equal(peer_makes(t, 1, 0, FTX_FOLDER, "d"), 0);
    peer_delivers(t, 2, 1, "f", "mine");
    peer_delivers(t, 3, 1, "g", "kept");
    rename_here(t, "d/f", "d/x");
    assert_int_equal(peer_drops(t, 2), 0);
    assert_int_equal(peer_drops(t, 3), 0);
    assert_int_equal(peer_makes(t, 4, 0, FTX_FOLDER, "e"), 0);
    peer_delivers(t, 5, 4, "x", "theirs");
    peer_delivers(t, 6, 4, "h", "renamed there");
    rename_here(t, "e/h", "e/g");
    assert_int_equal(peer_moves(t, 4, 0, "d"), 0); /* takes in what was kept */
    for (int start = 0; start < 2; start++) {
        assert_holds(t, "d/x", "theirs");
        assert_holds(t, "d/x.kept", "mine");
        assert_holds(t, "d/g", "renamed there");
        assert_holds(t, "d/g.kept", "kept");
        assert_int_equal(ftx_folder_count(in_inbox(t, "d")), 4);
        assert_int_equal(ftx_folder_count(t->link->folders[FTX_INBOX]), 1);
        box_reopen(t);
    }
}

/* A file that was saved anew under another number, as editors and rsync do it. */
static void what_was_to_be_replaced_is_not_once_it_is_renamed(void **state)
{
    struct box_test *t = *state;
    peer_delivers(t, 1, 0, "doc", "old");
    assert_int_equal(peer_makes(t, 2, 0, FTX_FILE, ".doc.tmp"), 0);
    assert_int_equal(peer_moves(t, 2, 0, "doc"), 0);
    assert_holds(t, "doc", "old");
    rename_here(t, "doc", "mine");
    assert_true(in_inbox(t, "doc") == of_peer(t, 2));
    box_reopen(t);
    peer_sends(t, 2, 1, 0, "new");
    peer_completes(t, 2, 1, 3);
    assert_holds(t, "mine", "old");
    assert_holds(t, "doc", "new");
}

/* Its sender has it elsewhere, refused; if its bytes were released, this is the only copy. */
static void what_could_not_be_moved_is_not_lost_to_a_new_one(void **state)
{
    struct box_test *t = *state;
    assert_int_equal(peer_makes(t, 1, 0, FTX_FOLDER, "d"), 0);
    peer_delivers(t, 2, 0, "x", "first");
    assert_int_equal(ftx_inbox_remove(t->store, t->in, "d", 1, true), 0);
    assert_true(peer_moves(t, 2, 1, "x") != 0);
    peer_delivers(t, 3, 0, "x", "second");
    assert_holds(t, "x", "second");
    assert_holds(t, "x.kept", "first");
}

/* How many refusals the events tell of the path. */
static unsigned refusals_of(struct box_test *t, const char *path)
{
    static char text[1 << 16];
    char wanted[128];
    uint64_t at = 0;
    size_t size = 0;
    unsigned n = 0;
    snprintf(wanted, sizeof wanted,
             "\"refused\",\"link\":\"7-boxes\",\"path\":\"inbox/7-boxes/%s\"", path);
    (void)ftx_feed_read(t->store, &at, text, sizeof text - 1, &size);
    text[size] = '\0';
    for (const char *found = text; (found = strstr(found, wanted)); found++)
        n++;
    return n;
}

static void what_arrives_and_is_taken_away_is_told_as_refused(void **state)
{
    struct box_test *t = *state;
    peer_delivers(t, 1, 0, "mine", "bytes");
    peer_delivers(t, 2, 0, "old", "bytes");
    for (uint64_t n = 3; n <= 5; n++)
        assert_int_equal(peer_makes(t, n, 0, FTX_FILE, n == 3 ? "a" : n == 4 ? "b" : "c"), 0);
    assert_int_equal(peer_moves(t, 5, 0, "old"), 0);
    assert_int_equal(ftx_inbox_remove(t->store, t->in, "a", 1, false), 0);
    rename_here(t, "mine", "b");
    assert_int_equal(ftx_inbox_remove(t->store, t->in, "old", 3, false), 0);
    assert_true(refusals_of(t, "a") == 1 && refusals_of(t, "b") == 1 && refusals_of(t, "old") == 1);
    assert_true(!of_peer(t, 3) && !of_peer(t, 4) && !of_peer(t, 5));
    peer_sends(t, 1, 2, 0, "next");
    assert_int_equal(ftx_inbox_remove(t->store, t->in, "b", 1, false), 0);
    assert_int_equal(refusals_of(t, "b"), 1); /* what was written again will come as a new file */
}

static void rename_and_die(struct box_test *t)
{
    rename_here(t, "report", "final");
    rename_here(t, "a", "b");
}

static void a_kill_does_not_forget_it(void **state)
{
    struct box_test *t = *state;
    peer_delivers(t, 1, 0, "report", "mine");
    assert_int_equal(peer_makes(t, 2, 0, FTX_FOLDER, "a"), 0);
    peer_delivers(t, 3, 2, "f", "mine too");
    box_killed(t, rename_and_die);
    box_open(t);
    peer_delivers(t, 4, 0, "final", "theirs");
    assert_int_equal(peer_makes(t, 5, 0, FTX_FOLDER, "b"), 0);
    assert_holds(t, "final.kept", "mine");
    assert_holds(t, "b.kept/f", "mine too");
}

/* SQL on the closed store from outside. */
static void tamper(struct box_test *t, const char *text)
{
    char path[PATH_MAX + 32];
    sqlite3 *sqlite;
    box_close(t);
    snprintf(path, sizeof path, "%s/.ftx/state.db", t->scratch.path);
    assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sqlite, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(sqlite);
}

static void in_a_store_of_version_four_nothing_was_named(void **state)
{
    struct box_test *t = *state;
    peer_delivers(t, 1, 0, "report", "one");
    rename_here(t, "report", "final");
    tamper(t, "DROP TABLE members; DROP TABLE reach; ALTER TABLE items DROP COLUMN named_here;"
              "DROP TABLE settings; CREATE TABLE settings(link INTEGER PRIMARY KEY, paused, "
              "priority, accept, up, down, max_size, max_files);"
              "PRAGMA user_version = 4");
    for (int start = 0; start < 2; start++) {
        box_open(t);
        assert_holds(t, "final", "one");
        assert_false(in_inbox(t, "final")->named_here);
        box_close(t);
    }
    box_open(t);
    rename_here(t, "final", "mine");
    box_reopen(t);
    assert_true(in_inbox(t, "mine")->named_here);
}

static void a_mark_that_no_store_makes_is_damage(void **state)
{
    struct box_test *t = *state;
    static const char *const damages[] = {"UPDATE items SET named_here = 2",
                                          "UPDATE items SET named_here = 1, box = 0",
                                          "UPDATE items SET named_here = 'yes'"};
    char room[512];
    peer_delivers(t, 1, 0, "report", "one");
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        tamper(t, damages[i]);
        assert_true(ftx_store_open(t->scratch.path, room, sizeof room, &t->store) < 0);
    }
    t->store = NULL;
}

#define with_box(test) cmocka_unit_test_setup_teardown(test, box_setup, box_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_box(a_renamed_file_steps_aside_for_a_new_one),
        with_box(it_steps_aside_for_what_is_moved),
        with_box(unfinished_files_and_links_step_aside_too),
        with_box(its_next_version_comes_where_it_stands),
        with_box(its_senders_rename_gives_it_back),
        with_box(its_senders_removal_leaves_it),
        with_box(a_renamed_folder_stands_beside_a_new_one),
        with_box(what_was_renamed_in_a_folder_is_not_lost_to_one_that_comes),
        with_box(what_was_to_be_replaced_is_not_once_it_is_renamed),
        with_box(what_could_not_be_moved_is_not_lost_to_a_new_one),
        with_box(what_arrives_and_is_taken_away_is_told_as_refused),
        with_box(a_kill_does_not_forget_it),
        with_box(in_a_store_of_version_four_nothing_was_named),
        with_box(a_mark_that_no_store_makes_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
