/* SPDX-License-Identifier: MIT */
/* fs/store/history, database_history, settings: what ended is remembered in order, once, and no more
 * of it than is asked for. */
#include "fs/store/history.h"
#include "transport/base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "tests/store/support.h"

static struct scratch scratch;
static struct ftx_store store; /* of which the history needs little */
static uint64_t journal_last;
static char database[PATH_MAX + 24];

static void open_database(void)
{
    const char *message = "";
    uint64_t next_item;
    if (ftx_database_open(database, &store.db, &journal_last, &next_item, &message))
        fail_msg("%s", message);
    ftx_database_set_history_max(store.db, store.history_max);
}

static int setup(void **state)
{
    char folder[PATH_MAX + 8];
    (void)state;
    memset(&store, 0, sizeof store);
    pthread_mutex_init(&store.lock, NULL);
    if (scratch_open(&scratch) < 0)
        return -1;
    store.path = scratch.path;
    store.history_max = 100000;
    snprintf(folder, sizeof folder, "%.4000s/.ftx", scratch.path);
    snprintf(database, sizeof database, "%s/state.db", folder);
    if (mkdir(folder, 0700) < 0)
        return -1;
    open_database();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ftx_database_close(store.db);
    return scratch_close(&scratch);
}

static void add(uint64_t id, const char *path)
{
    uint8_t bytes[8192];
    const struct ftx_change change = {
        .kind = FTX_CHANGE_HISTORY,
        .as.history = {.id = id,
                       .time_ns = INT64_C(1796058011123456789),
                       .size = 5,
                       .ms = id % 2 ? 2713 : FTX_HISTORY_UNKNOWN,
                       .box = id % 2 ? 0 : 1,
                       .result = id % 2 ? FTX_HISTORY_DELIVERED : FTX_HISTORY_REFUSED,
                       .reason = id % 2 ? 0 : 6,
                       .link = "alice",
                       .link_size = 5,
                       .path = path,
                       .path_size = strlen(path)}};
    size_t size = ftx_change_encode(&change, bytes, 0, sizeof bytes);
    assert_true(size > 0);
    assert_int_equal(ftx_database_apply(store.db, bytes, size), 0);
}

static void commit(void)
{
    assert_int_equal(ftx_database_commit(store.db, ++journal_last, false), 0);
}

/* How many lines there are; their numbers are first, first + 1, ... */
static unsigned count(uint64_t *out_first, size_t *out_largest_page)
{
    struct ftx_history *history;
    const char *text;
    size_t size;
    unsigned n = 0;
    uint64_t id = 1;
    *out_largest_page = 0;
    assert_int_equal(ftx_history_open(&store, &history), 0);
    while (ftx_history_page(history, &id, &text, &size) == 0 && size > 0) {
        *out_largest_page = size > *out_largest_page ? size : *out_largest_page;
        for (const char *line = text; line < text + size;
             line = memchr(line, '\n', (size_t)(text + size - line)) + 1) {
            uint64_t number = strtoull(strstr(line, "\"id\":") + 5, NULL, 10);
            *out_first = n ? *out_first : number;
            assert_int_equal(number, *out_first + n);
            n++;
        }
    }
    ftx_history_close(history);
    return n;
}

static void lines_are_as_documented(void **state)
{
    (void)state;
    struct ftx_history *history;
    const char *text;
    size_t size;
    uint64_t id = 1;
    add(1, "outbox/alice/caf\xe9");
    add(2, "inbox/alice/b");
    commit();
    assert_int_equal(ftx_history_open(&store, &history), 0);
    assert_int_equal(ftx_history_page(history, &id, &text, &size), 0);
    assert_int_equal(id, 3);
    static const char expected[] =
        "{\"format\":1,\"id\":1,\"time\":\"2026-11-30T17:00:11.123456Z\",\"result\":\"delivered\","
        "\"direction\":\"out\",\"link\":\"alice\",\"path\":\"outbox/alice/caf\\udce9\",\"size\":5,"
        "\"seconds\":2.713,\"reason\":null}\n"
        "{\"format\":1,\"id\":2,\"time\":\"2026-11-30T17:00:11.123456Z\",\"result\":\"refused\","
        "\"direction\":\"in\",\"link\":\"alice\",\"path\":\"inbox/alice/b\",\"size\":5,"
        "\"seconds\":null,\"reason\":\"policy\"}\n";
    assert_int_equal(size, sizeof expected - 1);
    assert_memory_equal(text, expected, size);
    assert_int_equal(ftx_history_page(history, &id, &text, &size), 0);
    assert_int_equal(size, 0);
    add(3, "outbox/alice/c"); /* an open reader sees what comes */
    commit();
    assert_int_equal(ftx_history_page(history, &id, &text, &size), 0);
    assert_true(size > 0 && id == 4);
    ftx_history_close(history);
}

static void it_is_read_in_pages(void **state)
{
    (void)state;
    uint64_t first;
    size_t largest;
    for (uint64_t id = 1; id <= 5000; id++) {
        add(id, "outbox/alice/a name that is neither long nor short");
        if (id % 1700 == 0)
            commit();
    }
    commit();
    assert_int_equal(count(&first, &largest), 5000);
    assert_int_equal(first, 1);
    assert_true(largest < 2 * FTX_HISTORY_PAGE);
}

static void same_number_counts_once(void **state)
{
    (void)state;
    uint64_t first;
    size_t largest;
    for (int twice = 0; twice < 2; twice++) {
        for (uint64_t id = 1; id <= 10; id++)
            add(id, "x");
        commit();
    }
    assert_int_equal(count(&first, &largest), 10);
    assert_int_equal(ftx_database_history_last(store.db), 10);
}

static void it_survives_a_restart(void **state)
{
    (void)state;
    uint64_t first;
    size_t largest;
    add(1, "x");
    commit();
    ftx_database_close(store.db);
    open_database();
    assert_int_equal(ftx_database_history_last(store.db), 1);
    add(1, "x");
    add(2, "x");
    commit();
    assert_int_equal(count(&first, &largest), 2);
}

static void only_the_last_are_kept(void **state)
{
    (void)state;
    uint64_t first;
    size_t largest;
    store.history_max = 100;
    ftx_database_set_history_max(store.db, 100);
    for (uint64_t id = 1; id <= 1000; id++) {
        add(id, "x");
        if (id % 7 == 0)
            commit();
    }
    commit();
    assert_int_equal(count(&first, &largest), 100);
    assert_int_equal(first, 901);
    sqlite3 *sqlite;
    sqlite3_stmt *rows;
    assert_int_equal(sqlite3_open(database, &sqlite), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(sqlite, "SELECT count(*) FROM history", -1, &rows, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(rows), SQLITE_ROW);
    assert_true(sqlite3_column_int(rows, 0) < 20);
    sqlite3_finalize(rows);
    sqlite3_close(sqlite);
}

static void long_names_take_no_more_room(void **state)
{
    (void)state;
    char path[4001] = "";
    uint64_t first, next = 0;
    size_t largest;
    memset(path, 'x', sizeof path - 1);
    store.history_max = 3000;
    ftx_database_set_history_max(store.db, 3000);
    for (int twice = 0; twice < 2; twice++) { /* also what was there before the start counts */
        for (uint64_t id = 1; id <= 1000; id++) {
            add(++next, path);
            if (id % 7 == 0)
                commit();
        }
        commit();
        ftx_database_close(store.db);
        open_database();
        ftx_database_set_history_max(store.db, 3000);
    }
    unsigned n = count(&first, &largest);
    assert_in_range(n, 3000 * FTX_HISTORY_BYTES / 4100 - 20, 3000 * FTX_HISTORY_BYTES / 4000);
    assert_int_equal(first + n - 1, 2000);
}

static void failed_commit_is_not_remembered(void **state)
{
    (void)state;
    uint64_t first;
    size_t largest;
    sqlite3 *sqlite;
    add(1, "x");
    commit();
    assert_int_equal(sqlite3_open(database, &sqlite), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sqlite, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    add(2, "x");
    assert_int_equal(ftx_database_commit(store.db, 2, false), -EBUSY);
    sqlite3_close(sqlite);
    assert_int_equal(ftx_database_history_last(store.db), 1);
    add(2, "x");
    commit();
    assert_int_equal(count(&first, &largest), 2);
}

static void version_three_is_brought_up(void **state)
{
    (void)state;
    sqlite3 *sqlite;
    uint64_t first;
    size_t largest;
    ftx_database_close(store.db);
    assert_int_equal(sqlite3_open(database, &sqlite), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sqlite,
                                  "DROP TABLE history; DROP TABLE settings; DROP TABLE reach;"
                                  "ALTER TABLE items DROP COLUMN named_here;"
                                  "DROP TABLE members;"
                                  "PRAGMA user_version = 3",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(sqlite);
    open_database();
    add(1, "x");
    commit();
    assert_int_equal(count(&first, &largest), 1);
}

static struct ftx_link_settings seen;
static unsigned n_seen;

static int see_settings(void *ctx, uint64_t link, const struct ftx_link_settings *settings)
{
    (void)ctx;
    assert_int_equal(link, 7);
    seen = *settings;
    n_seen++;
    return 0;
}

static void settings_come_back(void **state)
{
    (void)state;
    static const struct ftx_database_visitor visitor = {.settings = see_settings};
    const struct ftx_link_settings settings = {.paused = true,
                                               .priority = 10,
                                               .accept = FTX_ACCEPT_NONE,
                                               .limit = {{.rest = 1}, {.rest = INT64_MAX}},
                                               .max_size = 3,
                                               .max_files = 4};
    n_seen = 0;
    for (int i = 0; i < 2; i++)
        assert_int_equal(ftx_database_put_settings(store.db, 7, &settings), 0);
    assert_int_equal(ftx_database_load(store.db, &visitor, NULL), 0);
    assert_true(n_seen == 1 && seen.paused && seen.priority == 10 &&
                seen.accept == FTX_ACCEPT_NONE && seen.limit[0].rest == 1 &&
                seen.limit[1].rest == INT64_MAX && seen.max_size == 3 && seen.max_files == 4);
    assert_int_equal(ftx_database_drop_link(store.db, 7), 0);
    assert_int_equal(ftx_database_load(store.db, &visitor, NULL), 0);
    assert_int_equal(n_seen, 1);
}

static struct ftx_link_reach reached;

static int see_reach(void *ctx, uint64_t link, const struct ftx_link_reach *reach)
{
    (void)ctx;
    assert_int_equal(link, 7);
    reached = *reach;
    n_seen++;
    return 0;
}

static void reach_comes_back(void **state)
{
    (void)state;
    static const struct ftx_database_visitor visitor = {.reach = see_reach};
    const struct ftx_link_row row = {.id = 7, .role = 1, .state = 3, .name = "guitar"};
    struct ftx_link_reach reach = {.told_s = 1000, .n = FTX_ADDRESSES_MAX};
    n_seen = 0;
    memset(&reached, 0, sizeof reached);
    for (size_t i = 0; i < reach.n; i++)
        reach.at[i] = (struct ftx_told_address){{0xfd, [15] = (uint8_t)i}, (uint16_t)(60000 + i)};
    assert_int_equal(ftx_database_put_reach(store.db, 7, &reach), 0); /* no such link */
    assert_int_equal(ftx_database_put_link(store.db, &row), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(ftx_database_put_reach(store.db, 7, &reach), 0);
    assert_int_equal(ftx_database_load(store.db, &visitor, NULL), 0);
    assert_int_equal(n_seen, 1);
    assert_memory_equal(&reached, &reach, sizeof reach);
    assert_int_equal(ftx_database_drop_link(store.db, 7), 0);
    assert_int_equal(ftx_database_load(store.db, &visitor, NULL), 0);
    assert_int_equal(n_seen, 1);
}

static void impossible_reach_is_damage(void **state)
{
    (void)state;
    static const struct ftx_database_visitor visitor = {.reach = see_reach};
    static const char *const rows[] = {"x'00'", "zeroblob(17 * 18)", "'text'", "5"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[64];
        sqlite3 *sqlite;
        snprintf(text, sizeof text, "REPLACE INTO reach VALUES(7, 0, %s)", rows[i]);
        assert_int_equal(sqlite3_open(database, &sqlite), SQLITE_OK);
        assert_int_equal(sqlite3_exec(sqlite, text, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(sqlite);
        assert_int_equal(ftx_database_load(store.db, &visitor, NULL), FTX_ECORRUPT);
    }
}

/* What was set before there were timetables and rules. */
static void settings_of_version_four_hold(void **state)
{
    (void)state;
    static const struct ftx_database_visitor visitor = {.settings = see_settings};
    sqlite3 *sqlite;
    ftx_database_close(store.db);
    assert_int_equal(sqlite3_open(database, &sqlite), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(
            sqlite,
            "DROP TABLE members; DROP TABLE reach; ALTER TABLE items DROP COLUMN named_here;"
            "DROP TABLE settings; CREATE TABLE settings(link INTEGER PRIMARY KEY, paused, "
            "priority, accept, up, down, max_size, max_files);"
            "INSERT INTO settings VALUES(7, 0, 9, 1, 5, 0, 3, 4); PRAGMA user_version = 4",
            NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(sqlite);
    open_database();
    n_seen = 0;
    assert_int_equal(ftx_database_load(store.db, &visitor, NULL), 0);
    assert_true(n_seen == 1 && seen.priority == 9 && seen.accept == FTX_ACCEPT_NONE &&
                seen.limit[0].rest == 5 && seen.limit[0].n == 0 && seen.max_files == 4);
    assert_true(ftx_rules_take_name(&seen.rules, "a", 1) && !ftx_rules_look(&seen.rules));
}

static int see_member(void *ctx, uint64_t group, uint64_t link)
{
    *(uint64_t *)ctx = *(uint64_t *)ctx * 100 + group * 10 + link;
    return 0;
}

static uint64_t members(void)
{
    static const struct ftx_database_visitor visitor = {.member = see_member};
    uint64_t digits = 0;
    assert_int_equal(ftx_database_load(store.db, &visitor, &digits), 0);
    return digits;
}

static void members_are_kept_until_one_of_the_two_goes(void **state)
{
    (void)state;
    for (uint64_t link = 4; link < 7; link++)
        assert_int_equal(ftx_database_put_member(store.db, 3, link, true), 0);
    assert_int_equal(ftx_database_put_member(store.db, 9, 5, true), 0);
    assert_int_equal(ftx_database_put_member(store.db, 3, 4, true), 0);
    assert_int_equal(members(), 34353695);
    assert_int_equal(ftx_database_put_member(store.db, 3, 4, false), 0);
    assert_int_equal(members(), 353695);
    assert_int_equal(ftx_database_drop_link(store.db, 5), 0);
    assert_int_equal(members(), 36);
    assert_int_equal(ftx_database_drop_link(store.db, 3), 0);
    assert_int_equal(members(), 0);
}

static void version_four_is_brought_up(void **state)
{
    (void)state;
    sqlite3 *sqlite;
    ftx_database_close(store.db);
    assert_int_equal(sqlite3_open(database, &sqlite), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(
            sqlite,
            "DROP TABLE members; DROP TABLE reach; ALTER TABLE items DROP COLUMN named_here;"
            "DROP TABLE settings; CREATE TABLE settings(link INTEGER PRIMARY KEY, paused, "
            "priority, accept, up, down, max_size, max_files);"
            "PRAGMA user_version = 4",
            NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(sqlite);
    open_database();
    assert_int_equal(ftx_database_put_member(store.db, 3, 4, true), 0);
    assert_int_equal(members(), 34);
}

#define fact(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        fact(lines_are_as_documented),
        fact(it_is_read_in_pages),
        fact(same_number_counts_once),
        fact(it_survives_a_restart),
        fact(only_the_last_are_kept),
        fact(long_names_take_no_more_room),
        fact(failed_commit_is_not_remembered),
        fact(version_three_is_brought_up),
        fact(settings_come_back),
        fact(reach_comes_back),
        fact(impossible_reach_is_damage),
        fact(settings_of_version_four_hold),
        fact(members_are_kept_until_one_of_the_two_goes),
        fact(version_four_is_brought_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
