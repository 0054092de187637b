/* SPDX-License-Identifier: MIT */
/* user.* attributes: sets of them, in the database, set in an outbox and come to an inbox. */
#include "fs/store/xattrs.h"

#include "fs/store/inbox.h"
#include "fs/store/ops.h"
#include "fs/store/outbox.h"
#include "fs/store/outgoing.h"
#include "fs/store/tree.h"
#include "transport/base/err.h"
#include "transport/wire/limits.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/store/support.h"

static struct ftx_xattr text(const char *name, const char *value)
{
    return (struct ftx_xattr){name, strlen(name), value, value ? strlen(value) : 0};
}

/* -- sets -- */

static int with(struct ftx_xattrs **set, struct ftx_xattr xattr)
{
    struct ftx_xattrs *next;
    int err = ftx_xattrs_with(*set, &xattr, &next);
    if (!err) {
        free(*set);
        *set = next;
    }
    return err;
}

static void set_holds_the_last_value_of_each_name(void **state)
{
    (void)state;
    struct ftx_xattrs *set = NULL;
    struct ftx_xattr found;
    assert_int_equal(with(&set, text("a", "1")), 0);
    assert_int_equal(with(&set, text("b", "")), 0);
    assert_int_equal(with(&set, text("a", "22")), 0);
    assert_int_equal(with(&set, text("c", NULL)), 0);
    assert_true(ftx_xattrs_find(set, "a", 1, &found));
    assert_true(found.value_size == 2 && memcmp(found.value, "22", 2) == 0);
    assert_true(ftx_xattrs_find(set, "b", 1, &found) && found.value && found.value_size == 0);
    assert_false(ftx_xattrs_find(set, "c", 1, &found));
    assert_false(ftx_xattrs_find(set, "aa", 2, &found));
    assert_int_equal(ftx_xattrs_bytes(set), 2 * FTX_USER_SIZE + 2 + 2);
    assert_int_equal(with(&set, text("a", NULL)), 0);
    assert_false(ftx_xattrs_find(set, "a", 1, &found));
    assert_int_equal(with(&set, text("b", NULL)), 0);
    assert_null(set);
    assert_int_equal(ftx_xattrs_bytes(set), 0);
}

static void set_ends_at_its_limits(void **state)
{
    (void)state;
    static char value[FTX_XATTRS_ITEM_BYTES + 1];
    struct ftx_xattrs *set = NULL;
    struct ftx_xattr most = {"a", 1, value, FTX_XATTRS_ITEM_BYTES - FTX_USER_SIZE - 1};
    assert_int_equal(with(&set, most), 0);
    assert_int_equal(ftx_xattrs_bytes(set), FTX_XATTRS_ITEM_BYTES);
    assert_int_equal(with(&set, most), 0); /* in its own place */
    assert_int_equal(with(&set, text("b", "")), -ENOSPC);
    most.value_size++;
    assert_int_equal(with(&set, most), -ENOSPC);
    most.value_size = sizeof value;
    assert_int_equal(with(&set, most), -ENOSPC);
    struct ftx_xattr found;
    assert_true(ftx_xattrs_find(set, "a", 1, &found));
    assert_int_equal(found.value_size, FTX_XATTRS_ITEM_BYTES - FTX_USER_SIZE - 1);
    assert_int_equal(with(&set, text("a", NULL)), 0);
    for (int i = 0; i < FTX_XATTRS_ITEM_MAX; i++) {
        char name[8];
        snprintf(name, sizeof name, "%d", i);
        assert_int_equal(with(&set, text(name, "v")), 0);
    }
    assert_int_equal(with(&set, text("more", "v")), -ENOSPC);
    assert_int_equal(with(&set, text("0", "w")), 0);
    free(set);
}

/* -- in the database -- */

struct seen {
    char text[256];
    uint8_t ops[2][64];
    size_t op_sizes[2], n_ops;
};

static int see_xattr(void *ctx, uint64_t item, const struct ftx_xattr *xattr)
{
    struct seen *seen = ctx;
    size_t used = strlen(seen->text);
    snprintf(seen->text + used, sizeof seen->text - used, "%d.%.*s=%.*s ", (int)item,
             (int)xattr->name_size, xattr->name, (int)xattr->value_size,
             (const char *)xattr->value);
    return 0;
}

static int see_op(void *ctx, uint64_t link, uint64_t number, const uint8_t *bytes, size_t size)
{
    struct seen *seen = ctx;
    assert_true(link == 3 && number == 6 + seen->n_ops && size <= 64);
    memcpy(seen->ops[seen->n_ops], bytes, size);
    seen->op_sizes[seen->n_ops++] = size;
    return 0;
}

static void apply(struct ftx_database *db, const struct ftx_change *change)
{
    uint8_t bytes[512];
    size_t size = ftx_change_encode(change, bytes, 0, sizeof bytes);
    assert_true(size > 0);
    assert_int_equal(ftx_database_apply(db, bytes, size), 0);
}

static struct ftx_database *open_database(const struct scratch *scratch, char path[PATH_MAX])
{
    struct ftx_database *db = NULL;
    uint64_t journal_last, next_item;
    const char *message = "";
    snprintf(path, PATH_MAX, "%.4000s/state.db", scratch->path);
    int err = ftx_database_open(path, &db, &journal_last, &next_item, &message);
    if (err)
        fail_msg("%s", message);
    return db;
}

static void attribute_is_its_own_operation(void **state)
{
    (void)state;
    struct scratch scratch;
    char path[PATH_MAX];
    assert_int_equal(scratch_open(&scratch), 0);
    struct ftx_database *db = open_database(&scratch, path);
    struct ftx_link_row row = {.id = 3, .role = 1, .state = 3};
    assert_int_equal(ftx_database_put_link(db, &row), 0);
    for (int twice = 0; twice < 2; twice++) {
        apply(db, &(struct ftx_change){.kind = FTX_CHANGE_XATTR,
                                       .id = 9,
                                       .number = 6,
                                       .as.xattr = {3, 8, text("a", "value")}});
        apply(db, &(struct ftx_change){.kind = FTX_CHANGE_XATTR,
                                       .id = 9,
                                       .number = 7,
                                       .as.xattr = {3, 8, text("a", NULL)}});
        apply(db, &(struct ftx_change){
                      .kind = FTX_CHANGE_XATTR, .id = 9, .as.xattr = {3, 9, text("b", "told")}});
    }
    assert_int_equal(ftx_database_commit(db, 1, false), 0);
    struct seen seen = {.n_ops = 0};
    static const struct ftx_database_visitor visitor = {.op = see_op, .xattr = see_xattr};
    assert_int_equal(ftx_database_load(db, &visitor, &seen), 0);
    static const uint8_t set[] = {6, 8, 0, 0, 0, 0, 0, 0, 0, 1, 'a', 'v', 'a', 'l', 'u', 'e'};
    static const uint8_t gone[] = {7, 8, 0, 0, 0, 0, 0, 0, 0, 1, 'a'};
    assert_true(seen.n_ops == 2 && seen.op_sizes[0] == sizeof set &&
                seen.op_sizes[1] == sizeof gone);
    assert_memory_equal(seen.ops[0], set, sizeof set);
    assert_memory_equal(seen.ops[1], gone, sizeof gone);
    assert_string_equal(seen.text, "9.b=told ");
    ftx_database_close(db);
    scratch_close(&scratch);
}

static void older_schema_is_brought_up(void **state)
{
    (void)state;
    struct scratch scratch;
    char path[PATH_MAX];
    sqlite3 *sqlite;
    assert_int_equal(scratch_open(&scratch), 0);
    ftx_database_close(open_database(&scratch, path));
    assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sqlite,
                                  "DROP TABLE xattrs; DROP TABLE settings; DROP TABLE history;"
                                  "DROP TABLE reach;"
                                  "ALTER TABLE items DROP COLUMN named_here;"
                                  "DROP TABLE members;"
                                  "PRAGMA user_version = 1",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(sqlite);
    for (int i = 0; i < 2; i++) {
        struct ftx_database *db = open_database(&scratch, path);
        apply(db, &(struct ftx_change){
                      .kind = FTX_CHANGE_XATTR, .id = 9, .as.xattr.xattr = text("a", "1")});
        assert_int_equal(ftx_database_commit(db, 1, false), 0);
        struct seen seen = {.n_ops = 0};
        static const struct ftx_database_visitor visitor = {.xattr = see_xattr};
        assert_int_equal(ftx_database_load(db, &visitor, &seen), 0);
        assert_string_equal(seen.text, "9.a=1 ");
        ftx_database_close(db);
    }
    scratch_close(&scratch);
}

/* -- in the boxes -- */

struct box_test {
    struct scratch scratch;
    struct ftx_store *store;
    struct ftx_link *link;
    uint64_t out, in; /* the link's folders */
    uint64_t op;      /* the peer's last */
};

static void on_row(void *ctx, int err)
{
    (void)ctx;
    assert_int_equal(err, 0);
}

static void open_store(struct box_test *t)
{
    char room[512];
    assert_int_equal(ftx_store_open(t->scratch.path, room, sizeof room, &t->store), 0);
    struct ftx_link_row row;
    uint64_t folder;
    if (ftx_link_get(t->store, 1, &row)) {
        assert_int_equal(ftx_link_arm(t->store, FTX_OUTBOX, "7-boxes", 7, &folder), 0);
        assert_int_equal(ftx_link_get(t->store, 1, &row), 0);
        row.state = FTX_LINK_PAIRED;
        row.enrolled = true;
        assert_int_equal(ftx_link_put(t->store, &row, on_row, NULL), 0);
        assert_int_equal(ftx_store_sync(t->store), 0);
    }
    t->link = ftx_link_find(t->store, 1);
    t->out = t->link->folders[FTX_OUTBOX]->id;
    t->in = t->link->folders[FTX_INBOX]->id;
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

static uint64_t make(struct box_test *t, const char *name, enum ftx_kind kind)
{
    uint64_t id = 0;
    const char *target = kind == FTX_SYMLINK ? "t" : NULL;
    assert_int_equal(ftx_outbox_make(t->store, t->out, name, strlen(name), kind, 0755, target,
                                     kind == FTX_FILE, &id),
                     0);
    if (kind == FTX_FILE) {
        assert_int_equal(ftx_outbox_flush(t->store, id, false), 0);
        ftx_outbox_release(t->store, id, true);
    }
    return id;
}

static int set(struct box_test *t, uint64_t id, const char *name, const char *value,
               enum ftx_xattr_how how)
{
    struct ftx_xattr xattr = text(name, value);
    return ftx_outbox_set_xattr(t->store, id, &xattr, how);
}

static void assert_value(struct box_test *t, uint64_t id, const char *name, const char *value)
{
    void *found = NULL;
    size_t size = 0;
    int err = ftx_tree_get_xattr(t->store, id, name, strlen(name), &found, &size);
    assert_int_equal(err, value ? 0 : -ENODATA);
    if (!value)
        return;
    assert_int_equal(size, strlen(value));
    assert_memory_equal(found, value, size);
    free(found);
}

/* The last operation of the outbox. */
static struct ftx_op last_op(struct box_test *t, uint8_t room[FTX_OP_MAX])
{
    struct ftx_op op;
    size_t size = ftx_outgoing_op(t->store, t->link, t->link->op_next - 1, room);
    assert_int_equal(ftx_op_decode(room, size, &op), 0);
    return op;
}

static void set_attribute_is_told_and_changes_ctime_only(void **state)
{
    struct box_test *t = *state;
    static uint8_t room[FTX_OP_MAX];
    uint64_t id = make(t, "f", FTX_FILE);
    struct ftx_item *item = ftx_item_find(&t->store->index, id);
    item->ctime_ns = item->mtime_ns = 5;
    uint32_t version = item->version;
    assert_int_equal(set(t, id, "a", "value", FTX_XATTR_ANY), 0);
    assert_true(item->mtime_ns == 5 && item->ctime_ns > 5 && item->version == version);
    struct ftx_op op = last_op(t, room);
    assert_true(op.kind == FTX_OP_XATTR && op.item == id && op.name_size == 1 &&
                op.value_size == 5 && memcmp(op.value, "value", 5) == 0);
    assert_int_equal(item->op, t->link->op_next - 1);
    assert_int_equal(set(t, id, "a", NULL, FTX_XATTR_ANY), 0);
    assert_true(last_op(t, room).kind == FTX_OP_XATTR_GONE);
    assert_value(t, id, "a", NULL);
    assert_int_equal(t->link->xattr_bytes[FTX_OUTBOX], 0);
}

static void says_what_is_wrong(void **state)
{
    struct box_test *t = *state;
    uint64_t file = make(t, "f", FTX_FILE), folder = make(t, "d", FTX_FOLDER),
             link = make(t, "l", FTX_SYMLINK);
    char name[252];
    memset(name, 'n', sizeof name);
    name[251] = '\0';
    uint64_t ops = t->link->op_next;
    assert_int_equal(set(t, file, name, "v", FTX_XATTR_ANY), -ERANGE);
    assert_int_equal(set(t, file, "", "v", FTX_XATTR_ANY), -EINVAL);
    assert_int_equal(set(t, file, "ftx.state", "v", FTX_XATTR_ANY), -EINVAL);
    assert_int_equal(set(t, file, "a", NULL, FTX_XATTR_ANY), -ENODATA);
    assert_int_equal(set(t, file, "a", "v", FTX_XATTR_REPLACE), -ENODATA);
    assert_int_equal(set(t, link, "a", "v", FTX_XATTR_ANY), -EPERM);
    assert_int_equal(set(t, t->out, "a", "v", FTX_XATTR_ANY), -EOPNOTSUPP);
    assert_int_equal(set(t, t->in, "a", "v", FTX_XATTR_ANY), -ENOENT);
    assert_int_equal(set(t, 999999, "a", "v", FTX_XATTR_ANY), -ENOENT);
    assert_int_equal(t->link->op_next, ops);
    assert_int_equal(set(t, folder, "a", "v", FTX_XATTR_CREATE), 0);
    assert_int_equal(set(t, folder, "a", "w", FTX_XATTR_CREATE), -EEXIST);
    assert_int_equal(set(t, folder, "a", "w", FTX_XATTR_REPLACE), 0);
    assert_value(t, folder, "a", "w");
    t->link->xattr_bytes[FTX_OUTBOX] += FTX_XATTRS_LINK_BYTES - 7;
    assert_int_equal(set(t, folder, "a", "x", FTX_XATTR_ANY), 0);
    assert_int_equal(set(t, folder, "a", "xx", FTX_XATTR_ANY), -ENOSPC);
    assert_int_equal(set(t, file, "a", "", FTX_XATTR_ANY), -ENOSPC);
    assert_int_equal(t->link->op_next, ops + 3);
}

static void names_are_listed_as_programs_know_them(void **state)
{
    struct box_test *t = *state;
    uint64_t id = make(t, "f", FTX_FILE);
    char *names;
    size_t size;
    assert_int_equal(ftx_tree_list_xattrs(t->store, id, &names, &size), 0);
    assert_int_equal(size, 0);
    free(names);
    set(t, id, "a", "1", FTX_XATTR_ANY);
    set(t, id, "bb", "", FTX_XATTR_ANY);
    assert_int_equal(ftx_tree_list_xattrs(t->store, id, &names, &size), 0);
    assert_int_equal(size, sizeof "user.a\0user.bb");
    assert_memory_equal(names, "user.a\0user.bb", size);
    free(names);
}

static void set_and_die(struct box_test *t)
{
    uint64_t file = make(t, "f", FTX_FILE), folder = make(t, "d", FTX_FOLDER);
    static char large[60000];
    memset(large, 'x', sizeof large - 1);
    assert_int_equal(set(t, file, "a", "1", FTX_XATTR_ANY), 0);
    assert_int_equal(set(t, file, "large", large, FTX_XATTR_ANY), 0);
    assert_int_equal(set(t, folder, "gone", "1", FTX_XATTR_ANY), 0);
    assert_int_equal(set(t, folder, "gone", NULL, FTX_XATTR_ANY), 0);
    assert_int_equal(ftx_outbox_rename(t->store, t->out, "f", 1, folder, "g", 1, 0), 0);
    assert_int_equal(set(t, file, "a", "2", FTX_XATTR_ANY), 0);
}

static void attributes_survive_kill_and_restart(void **state)
{
    struct box_test *t = *state;
    ftx_store_close(t->store);
    t->store = NULL;
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        open_store(t);
        set_and_die(t);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    for (int starts = 0; starts < 2; starts++) {
        struct ftx_attr folder, file;
        open_store(t);
        assert_int_equal(ftx_tree_lookup(t->store, t->out, "d", 1, false, &folder), 0);
        assert_int_equal(ftx_tree_lookup(t->store, folder.id, "g", 1, false, &file), 0);
        ftx_tree_forget(t->store, folder.id, 1);
        ftx_tree_forget(t->store, file.id, 1);
        void *value;
        size_t size;
        assert_int_equal(ftx_tree_get_xattr(t->store, file.id, "large", 5, &value, &size), 0);
        assert_true(size == 59999 && ((char *)value)[59998] == 'x');
        free(value);
        assert_value(t, file.id, "a", "2");
        assert_value(t, folder.id, "gone", NULL);
        assert_int_equal(t->link->xattr_bytes[FTX_OUTBOX], 5 + 1 + 1 + 5 + 5 + 59999);
        assert_int_equal(t->link->op_next, 1 + 2 + 6); /* two makes, and all of set_and_die */
        if (starts == 0) {
            ftx_store_close(t->store);
            t->store = NULL;
        }
    }
    assert_int_equal(ftx_store_sync(t->store), 0);
}

static void removed_file_takes_its_attributes_along(void **state)
{
    struct box_test *t = *state;
    uint64_t id = make(t, "f", FTX_FILE);
    bool finished;
    set(t, id, "a", "1", FTX_XATTR_ANY);
    ftx_tree_ref(t->store, id, false);
    assert_int_equal(ftx_outbox_remove(t->store, t->out, "f", 1, false), 0);
    uint64_t ops = t->link->op_next;
    assert_value(t, id, "a", "1"); /* somebody has it open */
    assert_int_equal(set(t, id, "a", "2", FTX_XATTR_ANY), 0);
    assert_value(t, id, "a", "2");
    assert_int_equal(t->link->op_next, ops);
    ftx_tree_forget(t->store, id, 1);
    for (struct ftx_sending *s; (s = ftx_outgoing_due(t->store, t->link, &finished));)
        ftx_outgoing_forget(t->store, s);
    assert_int_equal(t->link->xattr_bytes[FTX_OUTBOX], 0);
    ftx_store_close(t->store);
    char path[PATH_MAX];
    struct ftx_database *db;
    uint64_t journal_last, next_item;
    const char *message;
    struct seen seen = {.n_ops = 0};
    static const struct ftx_database_visitor visitor = {.xattr = see_xattr};
    snprintf(path, sizeof path, "%.4000s/.ftx/state.db", t->scratch.path);
    assert_int_equal(ftx_database_open(path, &db, &journal_last, &next_item, &message), 0);
    assert_int_equal(ftx_database_load(db, &visitor, &seen), 0);
    assert_string_equal(seen.text, "");
    ftx_database_close(db);
    open_store(t);
}

/* -- what the peer says -- */

static void peer(struct box_test *t, const struct ftx_op *op)
{
    static uint8_t bytes[FTX_OP_ENCODED_MAX];
    uint64_t entry, item;
    uint8_t refused;
    size_t size = ftx_op_encode(op, bytes);
    assert_int_equal(ftx_inbox_apply(t->store, t->link, ++t->op, bytes, size, FTX_LINKS_ALL, &entry,
                                     &item, &refused),
                     0);
}

static uint64_t peer_makes(struct box_test *t, uint64_t number, enum ftx_kind kind,
                           const char *name)
{
    const char *target = kind == FTX_SYMLINK ? "t" : NULL;
    peer(t, &(struct ftx_op){.kind = FTX_OP_MAKE,
                             .item = number,
                             .what = (uint8_t)kind,
                             .mode = 0644,
                             .name = name,
                             .name_size = strlen(name),
                             .target = target,
                             .target_size = target ? 1 : 0});
    return ftx_item_find_remote(&t->store->index, t->link, number)->id;
}

static void peer_sets(struct box_test *t, uint64_t number, const char *name, const char *value)
{
    peer(t, &(struct ftx_op){.kind = value ? FTX_OP_XATTR : FTX_OP_XATTR_GONE,
                             .item = number,
                             .name = name,
                             .name_size = strlen(name),
                             .value = value,
                             .value_size = value ? strlen(value) : 0});
}

static void peer_seals(struct box_test *t, uint64_t number, uint32_t version)
{
    struct ftx_seal_check check;
    uint64_t entry;
    struct ftx_plan_seal seal = {.stream = number, .version = version};
    seal.attributes_size = ftx_seal_attr_encode(0644, 7, seal.attributes);
    assert_int_equal(ftx_inbox_seal_comes(t->store, t->link, &seal), 0);
    assert_int_equal(ftx_inbox_seal(t->store, t->link, &seal, &check), 0);
    assert_int_equal(ftx_inbox_complete(t->store, t->link, &seal, check.item, &entry), 0);
}

static void update_keeps_the_attributes_of_its_file(void **state)
{
    struct box_test *t = *state;
    uint64_t first = peer_makes(t, 1, FTX_FILE, "f");
    peer_sets(t, 1, "a", "1");
    peer_seals(t, 1, 1);
    assert_value(t, first, "a", "1");
    struct ftx_plan_seal seal = {.stream = 1, .version = 2};
    seal.attributes_size = ftx_seal_attr_encode(0644, 8, seal.attributes);
    assert_int_equal(ftx_inbox_seal_comes(t->store, t->link, &seal), 0); /* the update begins */
    peer_sets(t, 1, "b", "2");
    assert_value(t, first, "b", "2"); /* at once, on what is seen */
    struct ftx_extent hole = {.stream = 1, .version = 2, .length = 3, .kind = FTX_EXTENT_HOLE};
    uint64_t item, object, entry;
    assert_int_equal(ftx_inbox_begin(t->store, t->link, &hole, &item, &object), 0);
    assert_int_equal(ftx_inbox_wrote(t->store, item, &hole, 0, &entry), 0);
    peer_seals(t, 1, 2);
    uint64_t second = ftx_item_find_remote(&t->store->index, t->link, 1)->id;
    assert_int_not_equal(second, first);
    for (int starts = 0; starts < 2; starts++) {
        assert_value(t, second, "a", "1");
        assert_value(t, second, "b", "2");
        assert_int_equal(t->link->xattr_bytes[FTX_INBOX], 14);
        ftx_store_close(t->store);
        open_store(t);
    }
}

static void replacing_file_brings_its_own_attributes(void **state)
{
    struct box_test *t = *state;
    uint64_t old = peer_makes(t, 1, FTX_FILE, "f");
    peer_sets(t, 1, "a", "old");
    peer_seals(t, 1, 1);
    uint64_t new = peer_makes(t, 2, FTX_FILE, "f");
    peer_sets(t, 2, "b", "new");
    assert_value(t, old, "a", "old"); /* shown until the new one is complete */
    assert_value(t, old, "b", NULL);
    peer_seals(t, 2, 1);
    assert_value(t, new, "a", NULL);
    assert_value(t, new, "b", "new");
    assert_int_equal(t->link->xattr_bytes[FTX_INBOX], 9);
}

static void folder_taken_over_has_the_new_ones_only(void **state)
{
    struct box_test *t = *state;
    uint64_t id = peer_makes(t, 1, FTX_FOLDER, "d");
    peer_makes(t, 2, FTX_FOLDER, "kept");
    peer_sets(t, 1, "a", "1");
    assert_int_equal(peer_makes(t, 3, FTX_FOLDER, "d"), id);
    assert_value(t, id, "a", NULL);
    peer_sets(t, 3, "b", "2");
    assert_value(t, id, "b", "2");
    peer_sets(t, 1, "c", "3"); /* a number that is free of it */
    peer_sets(t, 77, "c", "3");
    assert_value(t, id, "c", NULL);
}

static void too_many_of_a_peer_are_not_kept(void **state)
{
    struct box_test *t = *state;
    uint64_t id = peer_makes(t, 1, FTX_FILE, "f");
    peer_sets(t, peer_makes(t, 2, FTX_SYMLINK, "l") ? 2 : 0, "a", "1");
    assert_int_equal(t->link->xattr_bytes[FTX_INBOX], 0);
    t->link->xattr_bytes[FTX_INBOX] = FTX_XATTRS_LINK_BYTES - 7;
    peer_sets(t, 1, "a", "1");
    peer_sets(t, 1, "b", "1");
    assert_value(t, id, "a", "1");
    assert_value(t, id, "b", NULL);
    peer_sets(t, 1, "a", NULL);
    peer_sets(t, 1, "b", "1");
    assert_value(t, id, "b", "1");
}

#define fact(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_holds_the_last_value_of_each_name),
        cmocka_unit_test(set_ends_at_its_limits),
        cmocka_unit_test(attribute_is_its_own_operation),
        cmocka_unit_test(older_schema_is_brought_up),
        fact(set_attribute_is_told_and_changes_ctime_only),
        fact(says_what_is_wrong),
        fact(names_are_listed_as_programs_know_them),
        fact(attributes_survive_kill_and_restart),
        fact(removed_file_takes_its_attributes_along),
        fact(update_keeps_the_attributes_of_its_file),
        fact(replacing_file_brings_its_own_attributes),
        fact(folder_taken_over_has_the_new_ones_only),
        fact(too_many_of_a_peer_are_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
