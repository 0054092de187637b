/* SPDX-License-Identifier: MIT */
/* Operations and names: golden bytes, every truncation, every rule of docs/protocol.md 8. */
#include "fs/store/ops.h"

#include "fs/store/item.h"
#include "fs/store/names.h"
#include "tests/wire/golden.h"
#include "transport/base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t make_link[] = {1, 7, 0, 0,    0, 0, 0, 0,   0,   2,   0,   0,   0,  0, 0,
                                    0, 0, 3, 0xed, 1, 1, 0, 0,   0,   0,   0,   0,   0,  2, 0,
                                    0, 0, 0, 0,    0, 0, 2, 'a', 'b', '.', '.', '/', 'c'};
static const uint8_t move[] = {2, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  0,
                               0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 'x'};
static const uint8_t attr[] = {3, 7, 0, 0, 0, 0, 0, 0, 0, 0xa4, 1, 5, 0, 0, 0, 0, 0, 0, 0};
static const uint8_t drop[] = {4, 7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0};
static const uint8_t cancel[] = {8, 7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0};
static const uint8_t halt[] = {5, 7, 0, 0, 0, 0, 0, 0, 0};

static const uint8_t xattr[] = {6, 7, 0, 0, 0, 0, 0, 0, 0, 2, 'a', 0xff, 'v', 0, 'w'};
static const uint8_t xattr_gone[] = {7, 7, 0, 0, 0, 0, 0, 0, 0, 1, 'a'};

static const struct {
    const uint8_t *bytes;
    size_t size;
    size_t least; /* a target or value may end anywhere behind this, */
    bool open;    /* and a value anywhere later */
} golden[] = {{make_link, sizeof make_link, sizeof make_link - 3, false},
              {move, sizeof move, sizeof move, false},
              {attr, sizeof attr, sizeof attr, false},
              {drop, sizeof drop, sizeof drop, false},
              {cancel, sizeof cancel, sizeof cancel, false},
              {halt, sizeof halt, sizeof halt, false},
              {xattr, sizeof xattr, sizeof xattr - 3, true},
              {xattr_gone, sizeof xattr_gone, sizeof xattr_gone, false}};

static void golden_bytes_decode_and_encode(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        struct ftx_op op;
        uint8_t again[FTX_OP_ENCODED_MAX];
        assert_int_equal(ftx_op_decode(golden[i].bytes, golden[i].size, &op), 0);
        assert_int_equal(op.item, 7);
        assert_int_equal(ftx_op_encode(&op, again), golden[i].size);
        assert_memory_equal(again, golden[i].bytes, golden[i].size);
    }
    struct ftx_op op;
    assert_int_equal(ftx_op_decode(make_link, sizeof make_link, &op), 0);
    assert_true(op.kind == FTX_OP_MAKE && op.parent == 2 && op.what == FTX_SYMLINK &&
                op.mode == 0755 && op.mtime_ns == 1 && op.when_ns == 2);
    assert_true(op.name_size == 2 && memcmp(op.name, "ab", 2) == 0);
    assert_true(op.target_size == 4 && memcmp(op.target, "../c", 4) == 0);
}

static void vectors_are_ours(void **state)
{
    (void)state;
    static const char *const names[] = {"make-file",  "make-folder", "make-symlink", "move",
                                        "attr",       "drop",        "halt",         "xattr",
                                        "xattr-gone", "cancel"};
    unsigned seen = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[32];
        uint8_t bytes[256], again[FTX_OP_ENCODED_MAX];
        struct ftx_op op;
        snprintf(path, sizeof path, "ops/%s", names[i]);
        size_t size = golden_read(path, bytes, sizeof bytes);
        assert_int_equal(ftx_op_decode(bytes, size, &op), 0);
        assert_int_equal(ftx_op_encode(&op, again), size);
        assert_memory_equal(again, bytes, size);
        seen |= 1U << op.kind;
    }
    assert_int_equal(seen, (2U << FTX_OP_LAST) - 2); /* each kind has one */
}

static void refuses_every_truncation_and_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        struct ftx_op op;
        uint8_t longer[64];
        for (size_t size = 0; size < golden[i].least; size++)
            assert_int_equal(ftx_op_decode(golden[i].bytes, size, &op), FTX_EPROTO);
        memcpy(longer, golden[i].bytes, golden[i].size);
        longer[golden[i].size] = 0;
        assert_int_equal(ftx_op_decode(longer, golden[i].size + 1, &op),
                         golden[i].open ? 0 : FTX_EPROTO);
    }
}

static void refuses_what_is_out_of_range(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
    } bad[] = {{0, 0}, {0, 9}, {1, 0}, {17, 0}, {17, 4}, {19, 2}, {36, 0}, {37, '/'}, {38, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t bytes[sizeof make_link];
        struct ftx_op op;
        memcpy(bytes, make_link, sizeof bytes);
        bytes[bad[i].at] = bad[i].value;
        assert_int_equal(ftx_op_decode(bytes, sizeof bytes, &op), FTX_EPROTO);
    }
}

static int decode_xattr(enum ftx_op_kind kind, const char *name, size_t name_size,
                        size_t value_size)
{
    static uint8_t value[FTX_OP_MAX], bytes[2 * FTX_OP_MAX];
    struct ftx_op op = {0};
    size_t size = 0;
    bytes[size++] = (uint8_t)kind;
    memset(bytes + size, 1, 8);
    size += 8;
    bytes[size++] = (uint8_t)name_size;
    memcpy(bytes + size, name, name_size);
    size += name_size;
    memcpy(bytes + size, value, value_size);
    int err = ftx_op_decode(bytes, size + value_size, &op);
    assert_true(err || (op.kind == kind && op.value_size == value_size));
    return err;
}

static void attributes_have_names_and_sizes_in_range(void **state)
{
    (void)state;
    static const char name[255] = {[0 ... 254] = 'n'};
    enum { MOST = FTX_XATTRS_ITEM_BYTES - FTX_USER_SIZE };
    assert_int_equal(decode_xattr(FTX_OP_XATTR, name, 1, 0), 0);
    assert_int_equal(decode_xattr(FTX_OP_XATTR, name, 1, MOST - 1), 0);
    assert_int_equal(decode_xattr(FTX_OP_XATTR, name, 1, MOST), FTX_EPROTO);
    assert_int_equal(decode_xattr(FTX_OP_XATTR, name, 250, MOST - 250), 0);
    assert_int_equal(decode_xattr(FTX_OP_XATTR, name, 251, 0), FTX_EPROTO);
    assert_int_equal(decode_xattr(FTX_OP_XATTR_GONE, name, 1, 1), FTX_EPROTO);
    static const char *const bad[] = {"", "ftx.state", "ftx."};
    static const char *const good[] = {"ftx", "Ftx.", "\n", "a/b", "."};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(decode_xattr(FTX_OP_XATTR, bad[i], strlen(bad[i]), 3), FTX_EPROTO);
        assert_int_equal(decode_xattr(FTX_OP_XATTR_GONE, bad[i], strlen(bad[i]), 0), FTX_EPROTO);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(decode_xattr(FTX_OP_XATTR, good[i], strlen(good[i]), 3), 0);
    assert_int_equal(decode_xattr(FTX_OP_XATTR, "a\0b", 3, 3), FTX_EPROTO);
}

static void seal_attributes_are_ten_bytes(void **state)
{
    (void)state;
    uint8_t bytes[11] = {0};
    uint16_t mode;
    int64_t mtime;
    assert_int_equal(ftx_seal_attr_encode(0640, -2, bytes), 10);
    assert_int_equal(ftx_seal_attr_decode(bytes, 10, &mode, &mtime), 0);
    assert_true(mode == 0640 && mtime == -2);
    for (size_t size = 0; size < 12; size++)
        if (size != 10)
            assert_int_equal(ftx_seal_attr_decode(bytes, size < 11 ? size : 11, &mode, &mtime),
                             FTX_EPROTO);
}

static void names_follow_the_rules(void **state)
{
    (void)state;
    char name[256];
    memset(name, 'n', sizeof name);
    assert_int_equal(ftx_name_check(name, 255, true), 0);
    assert_int_equal(ftx_name_check(name, 256, true), -ENAMETOOLONG);
    static const char *const good[] = {"a", "...", ".x", "\xff\xfe", " ", "\\", ".ftxx"};
    static const char *const bad[] = {"", ".", "..", "a/b", "/", "\n", "\x7f", "\x1f"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(ftx_name_check(good[i], strlen(good[i]), true), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ftx_name_check(bad[i], strlen(bad[i]), false), -EINVAL);
    assert_int_equal(ftx_name_check("a\0b", 3, false), -EINVAL);
    assert_int_equal(ftx_name_check(".ftx", 4, true), -EINVAL);
    assert_int_equal(ftx_name_check(".ftx", 4, false), 0);
}

static void names_that_desktops_leave_stay_here(void **state)
{
    (void)state;
    static const char *const local[] = {".Trash-1000", ".Trash-",         ".DS_Store",
                                        "Thumbs.db",   "desktop.ini",     ".nfs00000001",
                                        ".nfs",        ".fuse_hidden0001"};
    static const char *const ordinary[] = {
        ".Trash",     "Trash-1000", ".DS_Store2", "DS_Store", "Thumbs.dbx",
        "desktop.in", "nfs1",       ".fuse",      "x.nfs",    ""};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        assert_true(ftx_name_is_local(local[i], strlen(local[i])));
    for (size_t i = 0; i < sizeof ordinary / sizeof *ordinary; i++)
        assert_false(ftx_name_is_local(ordinary[i], strlen(ordinary[i])));
}

static void targets_stay_inside_or_do_not(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        unsigned depth;
        bool inside;
    } cases[] = {{"a", 0, true},
                 {"..", 0, false},
                 {"..", 1, true},
                 {"../..", 1, false},
                 {"a/../..", 0, false},
                 {"a/../b", 5, false},
                 {"/etc", 5, false},
                 {"", 3, false},
                 {"./.././a", 1, true},
                 {"a//..//..", 5, false},
                 {"../a/../..", 5, false},
                 {"../../a", 2, true},
                 {"..//.//../a/b", 2, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(
            ftx_target_inside(cases[i].target, strlen(cases[i].target), cases[i].depth),
            cases[i].inside);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_bytes_decode_and_encode),
        cmocka_unit_test(vectors_are_ours),
        cmocka_unit_test(refuses_every_truncation_and_more),
        cmocka_unit_test(refuses_what_is_out_of_range),
        cmocka_unit_test(attributes_have_names_and_sizes_in_range),
        cmocka_unit_test(seal_attributes_are_ten_bytes),
        cmocka_unit_test(names_follow_the_rules),
        cmocka_unit_test(names_that_desktops_leave_stay_here),
        cmocka_unit_test(targets_stay_inside_or_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
