/* SPDX-License-Identifier: MIT */
/* fs/store/database: what was committed comes back, and only that. With -b [folder]: how many
 * changes it takes per second. */
#include "fs/store/database.h"
#include "transport/base/err.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "tests/store/support.h"

/* Allocations of ours (not SQLite's) left until one fails; negative: never. */
static int allocations_left = -1;

void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
    return allocations_left >= 0 && allocations_left-- == 0 ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return allocations_left >= 0 && allocations_left-- == 0 ? NULL : __real_realloc(old, size);
}

/* SQLite's calls come here: how often was a write-ahead log synced, and what is answered. */
static int log_syncs;
static int sync_err;

static int count_sync(int fd, long call)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path);
    if (n > 4 && memcmp(path + n - 4, "-wal", 4) == 0) {
        log_syncs++;
        if (sync_err) {
            errno = sync_err;
            return -1;
        }
    }
    return (int)syscall(call, fd);
}

int fsync(int fd)
{
    return count_sync(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return count_sync(fd, SYS_fdatasync);
}

static struct scratch scratch;
static struct ftx_database *db;
static uint64_t journal_last, next_item;
static char path[PATH_MAX + 16];

static int open_database(void)
{
    const char *message = NULL;
    ftx_database_close(db);
    db = NULL;
    int rc = ftx_database_open(path, &db, &journal_last, &next_item, &message);
    if (rc < 0)
        assert_non_null(message);
    return rc;
}

static int setup(void **state)
{
    (void)state;
    db = NULL;
    allocations_left = -1;
    sync_err = 0;
    if (scratch_open(&scratch) < 0)
        return -1;
    snprintf(path, sizeof path, "%s/state.db", scratch.path);
    return open_database();
}

static int teardown(void **state)
{
    (void)state;
    allocations_left = -1;
    sync_err = 0;
    ftx_database_close(db);
    return scratch_close(&scratch);
}

static int apply(const struct ftx_change *change)
{
    uint8_t bytes[FTX_CHANGE_MAX];
    size_t size = ftx_change_encode(change, bytes, 0, sizeof bytes);
    assert_true(size > 0);
    return ftx_database_apply(db, bytes, size);
}

#define APPLY(...) assert_int_equal(apply(&(struct ftx_change){__VA_ARGS__}), 0)
#define COMMIT()   assert_int_equal(ftx_database_commit(db, ++journal_last, false), 0)

static struct ftx_item_row item_row(uint64_t id, uint64_t size, const char *name)
{
    return (struct ftx_item_row){.id = id,
                                 .link = 3,
                                 .parent = UINT64_MAX,
                                 .object = UINT64_C(0xfedcba9876543210),
                                 .remote = 4,
                                 .base = 5,
                                 .size = size,
                                 .mtime_ns = -1500000000,
                                 .ctime_ns = INT64_MAX,
                                 .mode = 0640,
                                 .version = UINT32_MAX,
                                 .box = 1,
                                 .kind = 3,
                                 .state = 200,
                                 .error = 7,
                                 .named_here = true,
                                 .name = name,
                                 .name_size = strlen(name),
                                 .target = "\xff/\x01",
                                 .target_size = 3};
}

static struct ftx_link_row link_row(uint64_t id, const char *code)
{
    struct ftx_link_row row = {.id = id,
                               .name = "alice",
                               .label = "7",
                               .role = 2,
                               .state = 4,
                               .guesses = 9,
                               .enrolled = true,
                               .session = 1234567890123};
    snprintf(row.code, sizeof row.code, "%s", code);
    memset(row.static_secret, 0xa1, 32);
    memset(row.static_public, 0xa2, 32);
    memset(row.peer_public, 0xa3, 32);
    memset(row.link_secret, 0xa4, 32);
    return row;
}

static void put_link(uint64_t id)
{
    struct ftx_link_row row = link_row(id, "7-guitar-harvest");
    assert_int_equal(ftx_database_put_link(db, &row), 0);
}

/* Everything a load tells, one line each: two states are equal if their texts are. */
struct text {
    char *bytes;
    size_t size;
    FILE *file;
};

static void hex(FILE *file, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        fprintf(file, "%02x", ((const uint8_t *)bytes)[i]);
    fputc(' ', file);
}

static int tell_link(void *ctx, const struct ftx_link_row *row)
{
    struct text *text = ctx;
    fprintf(text->file, "link %" PRIu64 " %s '%s' %s %d %d %d %d %" PRIu64 " %" PRIu64 " ", row->id,
            row->name, row->code, row->label, row->role, row->state, row->guesses, row->enrolled,
            row->session, row->op_seen);
    hex(text->file, row->static_secret, 128);
    fputc('\n', text->file);
    return 0;
}

static int tell_item(void *ctx, const struct ftx_item_row *row)
{
    struct text *text = ctx;
    fprintf(text->file,
            "item %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIx64 " %" PRIu64 " %" PRIu64 " %" PRIu64
            " %" PRId64 " %" PRId64 " %o %u %d %d %d %d %d %.*s ",
            row->id, row->link, row->parent, row->object, row->remote, row->base, row->size,
            row->mtime_ns, row->ctime_ns, row->mode, row->version, row->box, row->kind, row->state,
            row->error, row->named_here, (int)row->name_size, row->name);
    hex(text->file, row->target, row->target_size);
    fputc('\n', text->file);
    return 0;
}

static int tell_segment(void *ctx, uint64_t item, const struct ftx_segment *segment)
{
    struct text *text = ctx;
    fprintf(text->file, "segment %" PRIu64 " %" PRIu64 "+%" PRIu64 " %d ", item, segment->offset,
            segment->length, segment->kind);
    if (segment->hashed)
        hex(text->file, segment->hash, sizeof segment->hash);
    fputc('\n', text->file);
    return 0;
}

static int tell_op(void *ctx, uint64_t link, uint64_t number, const uint8_t *bytes, size_t size)
{
    struct text *text = ctx;
    fprintf(text->file, "op %" PRIu64 " %" PRIu64 " %.*s\n", link, number, (int)size,
            (const char *)bytes);
    return 0;
}

static int tell_trash(void *ctx, uint64_t object)
{
    struct text *text = ctx;
    fprintf(text->file, "trash %" PRIx64 "\n", object);
    return 0;
}

static int tell_xattr(void *ctx, uint64_t item, const struct ftx_xattr *xattr)
{
    struct text *text = ctx;
    fprintf(text->file, "xattr %" PRIu64 " %.*s=%.*s\n", item, (int)xattr->name_size, xattr->name,
            (int)xattr->value_size, (const char *)xattr->value);
    return 0;
}

static const struct ftx_database_visitor teller = {
    tell_link, tell_item, tell_segment, tell_op, tell_trash, tell_xattr, NULL, NULL, NULL};

/* The caller frees it. */
static char *told(void)
{
    struct text text;
    text.file = open_memstream(&text.bytes, &text.size);
    assert_non_null(text.file);
    assert_int_equal(ftx_database_load(db, &teller, &text), 0);
    fclose(text.file);
    return text.bytes;
}

static void assert_told(const char *expected)
{
    char *text = told();
    assert_string_equal(text, expected);
    free(text);
    assert_int_equal(open_database(), 0); /* and it is in the file */
    text = told();
    assert_string_equal(text, expected);
    free(text);
}

static void new_database_is_empty_and_private(void **state)
{
    (void)state;
    static const char *const names[] = {"state.db", "state.db-wal", "state.db-shm"};
    struct stat st;
    assert_true(journal_last == 0 && next_item == 1);
    assert_told("");
    for (int round = 0; round < 2; round++) {
        COMMIT();
        for (size_t i = 0; i < 3; i++) {
            if (fstatat(scratch.fd, names[i], &st, 0) == 0)
                assert_int_equal(st.st_mode, S_IFREG | 0600);
            else
                assert_int_equal(i, 2); /* shared memory is not needed by one process */
        }
        ftx_database_close(db);
        db = NULL;
        assert_int_equal(fchmodat(scratch.fd, "state.db", 0644, 0), 0); /* somebody was careless */
        umask(0);
        assert_int_equal(open_database(), 0);
        umask(022);
    }
}

static void refuses_a_symlink(void **state)
{
    (void)state;
    ftx_database_close(db);
    db = NULL;
    assert_int_equal(renameat(scratch.fd, "state.db", scratch.fd, "other.db"), 0);
    assert_int_equal(symlinkat("other.db", scratch.fd, "state.db"), 0);
    assert_int_equal(open_database(), -ELOOP);
}

static void apply_every_kind(void)
{
    const struct ftx_segment hashed = {
        .offset = 0, .length = 100, .kind = FTX_SEGMENT_DATA, .hashed = true, .hash = {0xab, 0xcd}};
    const struct ftx_segment hole = {
        .offset = 100, .length = (uint64_t)INT64_MAX - 100, .kind = FTX_SEGMENT_HOLE};
    APPLY(.kind = FTX_CHANGE_ITEM, .as.item = item_row(1, 10, "gone"));
    APPLY(.kind = FTX_CHANGE_SEGMENT, .id = 1, .as.segment = hashed);
    APPLY(.kind = FTX_CHANGE_ITEM, .as.item = item_row(2, 20, "kept"));
    APPLY(.kind = FTX_CHANGE_SEGMENT, .id = 2, .as.segment = hole);
    APPLY(.kind = FTX_CHANGE_SEGMENT, .id = 2, .as.segment = hashed);
    APPLY(.kind = FTX_CHANGE_SEGMENT_CUT, .id = 2, .as.range = {1000, UINT64_MAX});
    APPLY(.kind = FTX_CHANGE_SEGMENT_CUT, .id = 2, .as.range = {200, 100});
    APPLY(.kind = FTX_CHANGE_SEGMENT_CUT, .id = 2, .as.range = {UINT64_MAX, 1});
    APPLY(.kind = FTX_CHANGE_SEGMENT_CUT, .id = 2, .as.range = {10, 0});
    APPLY(.kind = FTX_CHANGE_ITEM_GONE, .id = 1);
    for (uint64_t i = 1; i <= 4; i++)
        APPLY(.kind = FTX_CHANGE_OP, .id = 3, .number = i,
              .as.bytes = {(const uint8_t *)"operation", 5 + i});
    APPLY(.kind = FTX_CHANGE_OPS_GONE, .id = 3, .number = 2);
    APPLY(.kind = FTX_CHANGE_OP_SEEN, .id = 3, .number = 77);
    APPLY(.kind = FTX_CHANGE_TRASH, .id = 0x10);
    APPLY(.kind = FTX_CHANGE_TRASH, .id = UINT64_MAX);
    APPLY(.kind = FTX_CHANGE_TRASH_GONE, .id = 0x10);
    APPLY(.kind = FTX_CHANGE_NEXT_ITEM, .number = 50);
    for (uint64_t id = 1; id <= 4; id++)
        APPLY(.kind = FTX_CHANGE_XATTR, .id = id, .as.xattr.xattr = {"a", 1, "first", 5});
    APPLY(.kind = FTX_CHANGE_XATTR, .id = 2, .as.xattr.xattr = {"b", 1, "second", 6});
    APPLY(.kind = FTX_CHANGE_XATTR, .id = 3, .as.xattr.xattr = {"b", 1, "", 0});
    APPLY(.kind = FTX_CHANGE_XATTR, .id = 2, .as.xattr.xattr = {"a", 1, NULL, 0});
    APPLY(.kind = FTX_CHANGE_ITEM_GONE, .id = 1);
    APPLY(.kind = FTX_CHANGE_XATTRS_MOVED, .id = 5, .number = 3);
    APPLY(.kind = FTX_CHANGE_XATTRS_GONE, .id = 4);
}

static const char after_every_kind[] =
    "link 3 alice '7-guitar-harvest' 7 2 4 9 1 1234567890123 77 "
    "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
    "a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2"
    "a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3"
    "a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4 \n"
    "item 2 3 18446744073709551615 fedcba9876543210 4 5 20 -1500000000 9223372036854775807 640 "
    "4294967295 1 3 200 7 1 kept ff2f01 \n"
    "segment 2 0+100 1 abcd0000000000000000000000000000 \n"
    "segment 2 100+100 2 \n"
    "segment 2 300+700 2 \n"
    "op 3 3 operatio\n"
    "op 3 4 operation\n"
    "trash ffffffffffffffff\n"
    "xattr 2 b=second\n"
    "xattr 5 a=first\n"
    "xattr 5 b=\n";

static void every_kind_comes_back(void **state)
{
    (void)state;
    put_link(3);
    apply_every_kind();
    assert_int_equal(ftx_database_commit(db, 17, false), 0);
    assert_told(after_every_kind);
    assert_true(journal_last == 17 && next_item == 50);
}

static void twice_is_as_good_as_once(void **state)
{
    (void)state;
    put_link(3);
    apply_every_kind();
    apply_every_kind();
    COMMIT();
    assert_told(after_every_kind);
    apply_every_kind();
    COMMIT();
    assert_told(after_every_kind);
}

static void what_is_not_committed_is_gone(void **state)
{
    (void)state;
    put_link(3);
    apply_every_kind();
    COMMIT();
    APPLY(.kind = FTX_CHANGE_ITEM_GONE, .id = 2);
    APPLY(.kind = FTX_CHANGE_NEXT_ITEM, .number = 99);
    assert_told(after_every_kind);
    assert_true(journal_last == 1 && next_item == 50);
}

static void last_image_of_a_batch_wins(void **state)
{
    (void)state;
    const struct ftx_segment segment = {.length = 5, .kind = FTX_SEGMENT_DATA};
    for (uint64_t size = 1; size <= 300; size++)
        for (uint64_t id = 1; id <= 200; id++)
            APPLY(.kind = FTX_CHANGE_ITEM, .as.item = item_row(id, size + id, ""));
    for (uint64_t id = 3; id <= 200; id++)
        APPLY(.kind = FTX_CHANGE_ITEM_GONE, .id = id);
    APPLY(.kind = FTX_CHANGE_SEGMENT, .id = 1, .as.segment = segment);
    COMMIT();
    /* gone and there again: the old segments must not come back with it */
    APPLY(.kind = FTX_CHANGE_ITEM, .as.item = item_row(1, 7, ""));
    APPLY(.kind = FTX_CHANGE_ITEM_GONE, .id = 1);
    APPLY(.kind = FTX_CHANGE_ITEM, .as.item = item_row(1, 8, ""));
    COMMIT();
    assert_told("item 1 3 18446744073709551615 fedcba9876543210 4 5 8 -1500000000 "
                "9223372036854775807 640 4294967295 1 3 200 7 1  ff2f01 \n"
                "item 2 3 18446744073709551615 fedcba9876543210 4 5 302 -1500000000 "
                "9223372036854775807 640 4294967295 1 3 200 7 1  ff2f01 \n");
}

/* Which box a segment belongs to is asked of its item's row: it must be there by then. */
static void lost_contents_are_missing_whatever_image_follows(void **state)
{
    (void)state;
    const struct ftx_segment segment = {.length = 5, .kind = FTX_SEGMENT_DATA};
    APPLY(.kind = FTX_CHANGE_ITEM, .as.item = item_row(1, 7, ""));
    APPLY(.kind = FTX_CHANGE_SEGMENT, .id = 1, .as.segment = segment);
    APPLY(.kind = FTX_CHANGE_ITEM, .as.item = item_row(1, 8, ""));
    ftx_database_contents_lost(db);
    COMMIT();
    assert_told("item 1 3 18446744073709551615 fedcba9876543210 4 5 8 -1500000000 "
                "9223372036854775807 640 4294967295 1 3 200 7 1  ff2f01 \n");
}

static void damaged_entry_is_refused_whole(void **state)
{
    (void)state;
    uint8_t bytes[64];
    struct ftx_change change = {.kind = FTX_CHANGE_TRASH, .id = 1};
    size_t size = ftx_change_encode(&change, bytes, 0, sizeof bytes);
    bytes[size++] = 99;
    assert_int_equal(ftx_database_apply(db, bytes, size), FTX_ECORRUPT);
    assert_int_equal(ftx_database_apply(db, bytes, size - 2), FTX_ECORRUPT);
    assert_int_equal(ftx_database_apply(db, bytes, 0), 0);
    APPLY(.kind = FTX_CHANGE_TRASH, .id = 2);
    COMMIT();
    assert_told("trash 2\n");
}

static void failed_allocation_changes_nothing(void **state)
{
    (void)state;
    const char *message;
    struct ftx_database *other = NULL;
    int failures = 0;
    allocations_left = 0;
    assert_int_equal(ftx_database_open(path, &other, &journal_last, &next_item, &message), -ENOMEM);
    for (uint64_t id = 1; id <= 2000; id++) {
        struct ftx_change change = {.kind = FTX_CHANGE_ITEM, .as.item = item_row(id, id, "x")};
        int rc = -ENOMEM;
        for (int n = 0; rc == -ENOMEM; n++) {
            allocations_left = n;
            rc = apply(&change);
            failures += rc == -ENOMEM;
        }
        allocations_left = -1;
        assert_int_equal(rc, 0);
    }
    assert_true(failures >= 3);
    COMMIT();
    char *text = told();
    size_t lines = 0;
    for (const char *at = text; *at; at++)
        lines += *at == '\n';
    assert_int_equal(lines, 2000);
    free(text);
}

static void failed_write_rolls_back(void **state)
{
    (void)state;
    struct rlimit before, small = {.rlim_cur = 20000, .rlim_max = RLIM_INFINITY};
    put_link(3);
    apply_every_kind();
    COMMIT();
    for (uint64_t id = 100; id < 2000; id++)
        APPLY(.kind = FTX_CHANGE_ITEM, .as.item = item_row(id, id, "too much"));
    APPLY(.kind = FTX_CHANGE_NEXT_ITEM, .number = 2000);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(ftx_database_commit(db, 2, false), -EFBIG);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);

    char *text = told();
    assert_string_equal(text, after_every_kind);
    free(text);
    assert_int_equal(ftx_database_commit(db, 2, false), 0); /* of an empty batch */
    assert_told(after_every_kind);
    assert_true(journal_last == 2 && next_item == 50);
}

static void only_a_durable_commit_syncs(void **state)
{
    (void)state;
    COMMIT();
    log_syncs = 0;
    for (uint64_t id = 1; id <= 10; id++) {
        APPLY(.kind = FTX_CHANGE_TRASH, .id = id);
        COMMIT();
    }
    assert_int_equal(log_syncs, 0);
    for (int i = 1; i <= 3; i++) { /* with nothing new as well: what went before is meant */
        assert_int_equal(ftx_database_commit(db, ++journal_last, true), 0);
        assert_int_equal(log_syncs, i);
    }
    COMMIT();
    assert_int_equal(log_syncs, 3);
    put_link(1);
    assert_true(log_syncs > 3);
}

static void failed_sync_rolls_back(void **state)
{
    (void)state;
    put_link(3);
    apply_every_kind();
    COMMIT();
    APPLY(.kind = FTX_CHANGE_ITEM_GONE, .id = 2);
    sync_err = EIO;
    assert_int_equal(ftx_database_commit(db, 2, true), -EIO);
    sync_err = 0;
    assert_told(after_every_kind);
    assert_int_equal(journal_last, 1);
}

static void link_keeps_what_the_peer_did(void **state)
{
    (void)state;
    put_link(3);
    APPLY(.kind = FTX_CHANGE_OP_SEEN, .id = 3, .number = 5);
    COMMIT();
    struct ftx_link_row row = link_row(3, "");
    snprintf(row.name, sizeof row.name, "bob");
    assert_int_equal(ftx_database_put_link(db, &row), 0);
    char *text = told();
    assert_non_null(strstr(text, "link 3 bob '' 7 2 4 9 1 1234567890123 5 "));
    free(text);
}

static void dropped_link_takes_its_operations(void **state)
{
    (void)state;
    static const uint8_t bytes[] = "op";
    put_link(3);
    put_link(4);
    for (uint64_t link = 3; link <= 4; link++)
        APPLY(.kind = FTX_CHANGE_OP, .id = link, .number = 1, .as.bytes = {bytes, 2});
    COMMIT();
    APPLY(.kind = FTX_CHANGE_OP, .id = 3, .number = 2, .as.bytes = {bytes, 2});
    assert_int_equal(ftx_database_drop_link(db, 3), 0);
    assert_int_equal(ftx_database_drop_link(db, 3), 0);
    COMMIT();
    APPLY(.kind = FTX_CHANGE_OP, .id = 3, .number = 1, .as.bytes = {bytes, 2}); /* replayed */
    APPLY(.kind = FTX_CHANGE_OP_SEEN, .id = 3, .number = 1);
    COMMIT();
    char *text = told();
    assert_null(strstr(text, "link 3"));
    assert_null(strstr(text, "op 3"));
    assert_non_null(strstr(text, "op 4 1 op"));
    free(text);
}

static bool file_holds(const char *name, const void *bytes, size_t size)
{
    static char content[1 << 20];
    int fd = openat(scratch.fd, name, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : pread(fd, content, sizeof content, 0);
    if (fd >= 0)
        close(fd);
    assert_true(n >= 0);
    return memmem(content, (size_t)n, bytes, size) != NULL;
}

static bool files_hold(const void *bytes, size_t size)
{
    return file_holds("state.db", bytes, size) || file_holds("state.db-wal", bytes, size);
}

static void secrets_leave_the_files(void **state)
{
    (void)state;
    struct ftx_link_row row = link_row(3, "7-guitar-harvest");
    assert_int_equal(ftx_database_put_link(db, &row), 0);
    put_link(4);
    assert_true(files_hold("7-guitar-harvest", 16));
    row.code[0] = '\0';
    assert_int_equal(ftx_database_put_link(db, &row), 0);
    assert_int_equal(ftx_database_drop_link(db, 4), 0);
    assert_false(files_hold("7-guitar-harvest", 16));
    assert_true(files_hold(row.link_secret, 32));
    uint8_t old[32];
    memcpy(old, row.link_secret, 32);
    memset(row.link_secret, 0xb4, 32);
    assert_int_equal(ftx_database_put_link(db, &row), 0);
    assert_false(files_hold(old, 32));
    assert_int_equal(ftx_database_drop_link(db, 3), 0);
    assert_false(files_hold(row.static_secret, 32));
    assert_false(files_hold(row.link_secret, 32));
}

/* The rows of item 1 beside the set that had the same changes. */
struct comparison {
    const struct ftx_segments *set;
    uint64_t offset;
    size_t count;
    bool differ;
};

static int compare_segment(void *ctx, uint64_t item, const struct ftx_segment *row)
{
    struct comparison *comparison = ctx;
    const struct ftx_segment *segment = ftx_segments_at(comparison->set, comparison->offset);
    if (item != 1)
        return 0;
    if (!segment || segment->offset != row->offset || segment->length != row->length ||
        segment->kind != row->kind || segment->hashed != row->hashed ||
        (row->hashed && memcmp(segment->hash, row->hash, sizeof row->hash) != 0))
        comparison->differ = true;
    comparison->offset = row->offset + row->length;
    comparison->count++;
    return 0;
}

static void segments_are_cut_as_in_memory(void **state)
{
    (void)state;
    enum { SPACE = 2000 };
    static const struct ftx_database_visitor visitor = {.segment = compare_segment};
    const struct ftx_segment neighbour = {.length = SPACE, .kind = FTX_SEGMENT_DATA};
    uint64_t first = first_seed(), seed = first;
    struct ftx_segments set;
    ftx_segments_init(&set);
    APPLY(.kind = FTX_CHANGE_SEGMENT, .id = 0, .as.segment = neighbour);
    APPLY(.kind = FTX_CHANGE_SEGMENT, .id = 2, .as.segment = neighbour);
    for (int i = 0; i < 6000; i++) {
        uint64_t longest = below(&seed, 10) ? 30 : SPACE;
        uint64_t length = 1 + below(&seed, longest), offset = below(&seed, SPACE - length + 1);
        if (below(&seed, 4) == 0) {
            APPLY(.kind = FTX_CHANGE_SEGMENT_CUT, .id = 1, .as.range = {offset, length});
            assert_int_equal(ftx_segments_cut(&set, offset, length), 0);
        } else {
            struct ftx_segment segment = {.offset = offset,
                                          .length = length,
                                          .kind = (uint8_t)(1 + below(&seed, 2)),
                                          .hashed = below(&seed, 2) != 0};
            memset(segment.hash, i & 0xff, sizeof segment.hash);
            APPLY(.kind = FTX_CHANGE_SEGMENT, .id = 1, .as.segment = segment);
            assert_int_equal(ftx_segments_put(&set, &segment), 0);
        }
        if (i % 20 == 19) {
            struct comparison comparison = {.set = &set};
            COMMIT();
            assert_int_equal(ftx_database_load(db, &visitor, &comparison), 0);
            assert_true_seed(first, !comparison.differ && comparison.count == set.count);
        }
    }
    ftx_segments_close(&set);
}

static int stop(void *ctx, uint64_t object)
{
    uint64_t *count = ctx;
    (*count)++;
    return object == 2 ? -EINTR : 0;
}

static void load_ends_with_the_visitors_error(void **state)
{
    (void)state;
    static const struct ftx_database_visitor visitor = {.trash = stop};
    uint64_t count = 0;
    for (uint64_t id = 1; id <= 3; id++)
        APPLY(.kind = FTX_CHANGE_TRASH, .id = id);
    COMMIT();
    assert_int_equal(ftx_database_load(db, &visitor, &count), -EINTR);
    assert_int_equal(count, 2);
}

/* Runs SQL on the closed file from outside. */
static void tamper(const char *text)
{
    sqlite3 *sqlite;
    ftx_database_close(db);
    db = NULL;
    assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sqlite, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(sqlite);
}

static void assert_refused(const char *word)
{
    const char *message = NULL;
    assert_int_equal(ftx_database_open(path, &db, &journal_last, &next_item, &message),
                     FTX_ECORRUPT);
    assert_non_null(strstr(message, word));
}

static void newer_and_foreign_files_are_refused(void **state)
{
    (void)state;
    tamper("PRAGMA user_version = 6");
    assert_refused("newer");
    tamper("PRAGMA user_version = 0");
    assert_refused("damaged");
    tamper("PRAGMA user_version = 5; PRAGMA application_id = 1");
    assert_refused("not a database of ftxfs");
    tamper("PRAGMA application_id = 1718909030; DROP TABLE ops");
    assert_refused("damaged");
    assert_int_equal(unlink(path), 0);
    tamper("CREATE TABLE other(x)");
    assert_refused("not a database of ftxfs");
}

static void impossible_rows_are_damage(void **state)
{
    (void)state;
    static const char *const damages[] = {
        "UPDATE items SET kind = 4",
        "UPDATE items SET kind = 0",
        "UPDATE items SET box = 2",
        "UPDATE items SET mode = 512",
        "UPDATE items SET name = 'text'",
        "UPDATE items SET version = -1",
        "UPDATE items SET size = 'many'",
        "UPDATE segments SET length = 0",
        "UPDATE segments SET length = -5",
        "UPDATE segments SET kind = 4",
        "UPDATE segments SET hash = x'00'",
        "UPDATE segments SET offset = -offset - 1",
        "UPDATE links SET link_secret = x'00'",
        "UPDATE links SET code = zeroblob(65)",
        "UPDATE links SET enrolled = 2",
        "UPDATE ops SET bytes = 5",
        "UPDATE xattrs SET name = zeroblob(251) WHERE name = x'61'",
        "UPDATE xattrs SET value = 'text'",
    };
    put_link(3);
    apply_every_kind();
    COMMIT();
    tamper("VACUUM INTO '/proc/self/cwd/unused.db'");
    unlink("unused.db");
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        assert_int_equal(open_database(), 0);
        apply_every_kind();
        put_link(3);
        COMMIT();
        tamper(damages[i]);
        assert_int_equal(open_database(), 0);
        struct text text;
        text.file = open_memstream(&text.bytes, &text.size);
        assert_int_equal(ftx_database_load(db, &teller, &text), FTX_ECORRUPT);
        fclose(text.file);
        free(text.bytes);
        tamper("DELETE FROM items; DELETE FROM segments; DELETE FROM links; DELETE FROM ops;"
               "DELETE FROM xattrs");
    }
}

static void write_file(const char *bytes, size_t size)
{
    unlinkat(scratch.fd, "state.db-wal", 0);
    unlinkat(scratch.fd, "state.db-shm", 0);
    int fd = openat(scratch.fd, "state.db", O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
}

static int open_and_load(void)
{
    struct text text;
    int rc = open_database();
    if (rc < 0)
        return rc;
    text.file = open_memstream(&text.bytes, &text.size);
    rc = ftx_database_load(db, &teller, &text);
    fclose(text.file);
    free(text.bytes);
    ftx_database_close(db);
    db = NULL;
    return rc;
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    static char bytes[1 << 20], broken[1 << 20];
    uint64_t first = first_seed(), seed = first;
    put_link(3);
    for (uint64_t id = 1; id < 1000; id++)
        APPLY(.kind = FTX_CHANGE_ITEM, .as.item = item_row(id, id, "a name of some length"));
    apply_every_kind();
    COMMIT();
    ftx_database_close(db);
    db = NULL;
    int fd = openat(scratch.fd, "state.db", O_RDONLY);
    ssize_t size = pread(fd, bytes, sizeof bytes, 0);
    close(fd);
    assert_true(size > 20 * 4096);

    memset(broken, 'x', 5000);
    write_file(broken, 5000);
    assert_refused("damaged");
    write_file(broken, 10);
    assert_int_equal(open_and_load(), FTX_ECORRUPT);
    for (size_t cut = 512; cut < (size_t)size; cut += 4096) {
        write_file(bytes, cut);
        assert_int_equal(open_and_load(), FTX_ECORRUPT);
    }
    int noticed = 0;
    for (int i = 0; i < 200; i++) {
        memcpy(broken, bytes, (size_t)size);
        size_t page = below(&seed, (uint64_t)size / 4096) * 4096;
        memset(broken + page, (int)below(&seed, 256), 4096);
        write_file(broken, (size_t)size);
        int rc = open_and_load();
        assert_true_seed(first, rc == 0 || rc == FTX_ECORRUPT);
        noticed += rc == FTX_ECORRUPT;
    }
    assert_true_seed(first, noticed > 100);
    write_file(bytes, (size_t)size);
    assert_int_equal(open_and_load(), 0);
}

static void commits_survive_kill(void **state)
{
    (void)state;
    uint64_t first = first_seed(), seed = first, said = 0;
    ftx_database_close(db);
    db = NULL;
    for (int round = 0; round < 10; round++) {
        int fds[2], status;
        uint64_t reports = below(&seed, 50), number;
        assert_int_equal(pipe(fds), 0);
        pid_t child = fork();
        if (child == 0) {
            if (open_database() < 0)
                _exit(1);
            for (;;) {
                struct ftx_change change = {.kind = FTX_CHANGE_TRASH, .id = journal_last + 1};
                if (apply(&change) < 0 || ftx_database_commit(db, ++journal_last, false) < 0 ||
                    write(fds[1], &journal_last, sizeof journal_last) != sizeof journal_last)
                    _exit(1);
            }
        }
        close(fds[1]);
        for (uint64_t i = 0; read(fds[0], &number, sizeof number) == sizeof number; i++) {
            if (i == reports)
                kill(child, SIGKILL);
            said = number;
        }
        close(fds[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(open_database(), 0);
        assert_true_seed(first, journal_last == said || journal_last == said + 1);
        static const struct ftx_database_visitor visitor = {.trash = stop};
        uint64_t count = 0;
        (void)ftx_database_load(db, &visitor, &count);
        ftx_database_close(db);
        db = NULL;
    }
}

/* A small file from its creation to its delivery, as the index writes it: ten changes. */
static size_t small_file(uint64_t id, uint64_t op, int step, uint8_t *out, size_t size)
{
    static const uint8_t operation[120];
    struct ftx_item_row row = item_row(id, 4000, "a-file-name-of-medium-length.txt");
    struct ftx_segment segment = {.length = 4000, .kind = FTX_SEGMENT_DATA, .hashed = true};
    struct ftx_change image = {.kind = FTX_CHANGE_ITEM, .as.item = row};
    struct ftx_change put = {.kind = FTX_CHANGE_SEGMENT, .id = id, .as.segment = segment};
    struct ftx_change cut = {.kind = FTX_CHANGE_SEGMENT_CUT, .id = id, .as.range = {0, 4000}};
    struct ftx_change make = {
        .kind = FTX_CHANGE_OP, .id = 3, .number = op, .as.bytes = {operation, sizeof operation}};
    struct ftx_change seal = make;
    struct ftx_change acked = {.kind = FTX_CHANGE_OPS_GONE, .id = 3, .number = op};
    seal.number++;
    image.as.item.target_size = 0;
    size_t used = 0;
    switch (step) {
    case 0: /* create */
        used = ftx_change_encode(&image, out, used, size);
        return ftx_change_encode(&make, out, used, size);
    case 1: /* write */
        used = ftx_change_encode(&image, out, used, size);
        return ftx_change_encode(&put, out, used, size);
    case 2: /* close */
        used = ftx_change_encode(&image, out, used, size);
        return ftx_change_encode(&seal, out, used, size);
    case 3: /* sent */
        return ftx_change_encode(&image, out, used, size);
    default: /* durable at the peer */
        used = ftx_change_encode(&cut, out, used, size);
        used = ftx_change_encode(&image, out, used, size);
        return ftx_change_encode(&acked, out, used, size);
    }
}

/* 10,000 small files in batches of 1000 entries; each file's life reaches over `spread` other
 * files, as it does when the network lags behind. */
static void bench_files(uint64_t spread, bool durable)
{
    enum { FILES = 10000, STEPS = 5, CHANGES = 10, BATCH = 1000 };
    uint8_t bytes[2048];
    int entries = 0;
    double start = now_s();
    for (uint64_t turn = 0; turn < FILES + (STEPS - 1) * spread; turn++)
        for (int step = 0; step < STEPS; step++) {
            uint64_t id = turn - (uint64_t)step * spread;
            if (turn < (uint64_t)step * spread || id >= FILES)
                continue;
            size_t size = small_file(id + 1, 2 * id + 1, step, bytes, sizeof bytes);
            if (ftx_database_apply(db, bytes, size) < 0)
                abort();
            if (++entries % BATCH == 0 && ftx_database_commit(db, (uint64_t)entries, durable) < 0)
                abort();
        }
    if (ftx_database_commit(db, (uint64_t)entries, true) < 0)
        abort();
    double seconds = now_s() - start;
    printf("10,000 small files, steps %4" PRIu64 " files apart, %-12s %7.0f changes/s\n", spread,
           durable ? "durable:" : "not durable:", FILES * CHANGES / seconds);
}

static void bench_segments(void)
{
    enum { N = 200000, BATCH = 1000 };
    uint8_t bytes[64];
    uint64_t seed = 1;
    double start = now_s();
    for (uint64_t i = 1; i <= N; i++) {
        struct ftx_segment segment = {.offset = below(&seed, N) * 4096,
                                      .length = 4096,
                                      .kind = FTX_SEGMENT_DATA,
                                      .hashed = true};
        struct ftx_change change = {.kind = FTX_CHANGE_SEGMENT, .id = 1, .as.segment = segment};
        size_t size = ftx_change_encode(&change, bytes, 0, sizeof bytes);
        if (ftx_database_apply(db, bytes, size) < 0)
            abort();
        if (i % BATCH == 0 && ftx_database_commit(db, i, false) < 0)
            abort();
    }
    printf("random 4 KiB segments of one file:                    %7.0f changes/s\n",
           N / (now_s() - start));
}

static int bench(const char *folder)
{
    const char *message;
    static const struct {
        uint64_t spread;
        bool durable;
    } runs[] = {{1, false}, {100, false}, {1000, false}, {1, true}, {1000, true}};
    for (size_t i = 0; i <= sizeof runs / sizeof *runs; i++) {
        snprintf(path, sizeof path, "%s/bench.db", folder);
        if (ftx_database_open(path, &db, &journal_last, &next_item, &message) < 0) {
            fprintf(stderr, "%s: %s\n", path, message);
            return 1;
        }
        put_link(3);
        if (i < sizeof runs / sizeof *runs)
            bench_files(runs[i].spread, runs[i].durable);
        else
            bench_segments();
        ftx_database_close(db);
        unlink(path);
    }
    return 0;
}

#define fact(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "-b") == 0)
        return bench(argc > 2 ? argv[2] : FTX_SCRATCH);
    const struct CMUnitTest tests[] = {
        fact(new_database_is_empty_and_private),
        fact(refuses_a_symlink),
        fact(every_kind_comes_back),
        fact(twice_is_as_good_as_once),
        fact(what_is_not_committed_is_gone),
        fact(last_image_of_a_batch_wins),
        fact(lost_contents_are_missing_whatever_image_follows),
        fact(damaged_entry_is_refused_whole),
        fact(failed_allocation_changes_nothing),
        fact(failed_write_rolls_back),
        fact(only_a_durable_commit_syncs),
        fact(failed_sync_rolls_back),
        fact(link_keeps_what_the_peer_did),
        fact(dropped_link_takes_its_operations),
        fact(secrets_leave_the_files),
        fact(segments_are_cut_as_in_memory),
        fact(load_ends_with_the_visitors_error),
        fact(newer_and_foreign_files_are_refused),
        fact(impossible_rows_are_damage),
        fact(damaged_files_are_refused),
        fact(commits_survive_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
