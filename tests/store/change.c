/* SPDX-License-Identifier: MIT */
/* fs/store/change: the bytes of docs/store.md 3, and what decode makes of other bytes. */
#include "fs/store/change.h"
#include "transport/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define ITEM                                                                                       \
    {                                                                                              \
        .id = 0x0102030405060708, .link = 0x11, .parent = 0x12, .object = 0xf1f2f3f4f5f6f7f8,      \
        .remote = 0x13, .base = 0x14, .size = 0x15, .mtime_ns = -2, .ctime_ns = INT64_MAX,         \
        .mode = 0644, .version = 0x21222324, .box = 1, .kind = 3, .state = 0x31, .error = 0x32,    \
        .name = "n\xff", .name_size = 2, .target = "../t", .target_size = 4                        \
    }
#define HASH                                                                                       \
    {                                                                                              \
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16                                      \
    }
#define HASHED                                                                                     \
    {                                                                                              \
        .offset = 0x1000, .length = 0x2000, .hash = HASH, .kind = FTX_SEGMENT_DATA, .hashed = true \
    }
#define HOLE                                                                                       \
    {                                                                                              \
        .offset = 7, .length = 8, .kind = FTX_SEGMENT_HOLE                                         \
    }

#define INT64(byte) byte, 0, 0, 0, 0, 0, 0, 0

static const uint8_t golden_item[] = {
    1,           8,           7,    6,    5,    4,    3,    2,    1,    INT64(0x11),
    INT64(0x12), 0xf8,        0xf7, 0xf6, 0xf5, 0xf4, 0xf3, 0xf2, 0xf1, INT64(0x13),
    INT64(0x14), INT64(0x15), 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* mtime */
    0xff,        0xff,        0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,             /* ctime */
    0x24,        0x23,        0x22, 0x21, 0xa4, 0x01, 1,    3,    0x31, 0x32,
    2,           0,           'n',  0xff, 4,    0,    '.',  '.',  '/',  't'};
static const uint8_t golden_named_here[] = {
    1,        INT64(9), INT64(3), INT64(0), INT64(0), INT64(4), INT64(0), INT64(0), INT64(0),
    INT64(0), 0,        0,        0,        0,        0xa4,     0x81,     1,        1,
    5,        0,        1,        0,        'n',      0,        0};
static const uint8_t golden_item_gone[] = {2, INT64(9)};
static const uint8_t golden_segment[] = {3, INT64(9), 0, 0x10, 0,  0,  0,  0,  0,  0,  0, 0x20, 0,
                                         0, 0,        0, 0,    0,  1,  16, 0,  1,  2,  3, 4,    5,
                                         6, 7,        8, 9,    10, 11, 12, 13, 14, 15, 16};
static const uint8_t golden_hole[] = {3, INT64(9), INT64(7), INT64(8), 2, 0, 0};
static const uint8_t golden_cut[] = {4,    INT64(9), INT64(5), 0xff, 0xff, 0xff,
                                     0xff, 0xff,     0xff,     0xff, 0xff};
static const uint8_t golden_op[] = {5, INT64(9), INT64(6), 3, 0, 'a', 'b', 'c'};
static const uint8_t golden_ops_gone[] = {6, INT64(9), INT64(6)};
static const uint8_t golden_op_seen[] = {7, INT64(9), INT64(6)};
static const uint8_t golden_trash[] = {8, INT64(9)};
static const uint8_t golden_trash_gone[] = {9, INT64(9)};
static const uint8_t golden_next_item[] = {10, INT64(6)};
static const uint8_t golden_xattr[] = {11,  INT64(9), INT64(6), INT64(3), INT64(8), 1, 2,  0,
                                       'a', 'b',      3,        0,        'v',      0, 'w'};
static const uint8_t golden_no_value[] = {11, INT64(9), INT64(0), INT64(3), INT64(9), 1,
                                          1,  0,        'a',      0,        0};
static const uint8_t golden_removed[] = {11, INT64(9), INT64(6), INT64(3), INT64(9), 0,
                                         1,  0,        'a',      0,        0};
static const uint8_t golden_xattrs_gone[] = {12, INT64(9)};
static const uint8_t golden_xattrs_moved[] = {13, INT64(9), INT64(6)};
static const uint8_t golden_history[] = {
    14, INT64(9), INT64(5), INT64(7), INT64(8), 1, 3, 6, 2, 0, 'a', 'b', 3, 0, 'i', '/', 'c'};

#define GOLDEN(bytes, ...)                                                                         \
    {                                                                                              \
        bytes, sizeof bytes,                                                                       \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

static const struct {
    const uint8_t *bytes;
    size_t size;
    struct ftx_change change;
} golden[] = {
    GOLDEN(golden_item, .kind = FTX_CHANGE_ITEM, .id = 0x0102030405060708, .as.item = ITEM),
    GOLDEN(golden_named_here, .kind = FTX_CHANGE_ITEM, .id = 9,
           .as.item = {.id = 9,
                       .link = 3,
                       .remote = 4,
                       .mode = 0644,
                       .box = 1,
                       .kind = 1,
                       .state = 5,
                       .named_here = true,
                       .name = "n",
                       .name_size = 1,
                       .target = ""}),
    GOLDEN(golden_item_gone, .kind = FTX_CHANGE_ITEM_GONE, .id = 9),
    GOLDEN(golden_segment, .kind = FTX_CHANGE_SEGMENT, .id = 9, .as.segment = HASHED),
    GOLDEN(golden_hole, .kind = FTX_CHANGE_SEGMENT, .id = 9, .as.segment = HOLE),
    GOLDEN(golden_cut, .kind = FTX_CHANGE_SEGMENT_CUT, .id = 9, .as.range = {5, UINT64_MAX}),
    GOLDEN(golden_op, .kind = FTX_CHANGE_OP, .id = 9, .number = 6,
           .as.bytes = {(const uint8_t *)"abc", 3}),
    GOLDEN(golden_ops_gone, .kind = FTX_CHANGE_OPS_GONE, .id = 9, .number = 6),
    GOLDEN(golden_op_seen, .kind = FTX_CHANGE_OP_SEEN, .id = 9, .number = 6),
    GOLDEN(golden_trash, .kind = FTX_CHANGE_TRASH, .id = 9),
    GOLDEN(golden_trash_gone, .kind = FTX_CHANGE_TRASH_GONE, .id = 9),
    GOLDEN(golden_next_item, .kind = FTX_CHANGE_NEXT_ITEM, .number = 6),
    GOLDEN(golden_xattr, .kind = FTX_CHANGE_XATTR, .id = 9, .number = 6,
           .as.xattr = {3, 8, {"ab", 2, "v\0w", 3}}),
    GOLDEN(golden_no_value, .kind = FTX_CHANGE_XATTR, .id = 9, .as.xattr = {3, 9, {"a", 1, "", 0}}),
    GOLDEN(golden_removed, .kind = FTX_CHANGE_XATTR, .id = 9, .number = 6,
           .as.xattr = {3, 9, {"a", 1, NULL, 0}}),
    GOLDEN(golden_xattrs_gone, .kind = FTX_CHANGE_XATTRS_GONE, .id = 9),
    GOLDEN(golden_xattrs_moved, .kind = FTX_CHANGE_XATTRS_MOVED, .id = 9, .number = 6),
    GOLDEN(golden_history, .kind = FTX_CHANGE_HISTORY, .id = 9,
           .as.history = {9, 5, 7, 8, 1, FTX_HISTORY_REFUSED, 6, "ab", "i/c", 2, 3}),
};
enum { N_GOLDEN = sizeof golden / sizeof *golden };

static bool same_item(const struct ftx_item_row *a, const struct ftx_item_row *b)
{
    return a->id == b->id && a->link == b->link && a->parent == b->parent &&
           a->object == b->object && a->remote == b->remote && a->base == b->base &&
           a->size == b->size && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns &&
           a->mode == b->mode && a->version == b->version && a->box == b->box &&
           a->kind == b->kind && a->state == b->state && a->error == b->error &&
           a->named_here == b->named_here && a->name_size == b->name_size &&
           memcmp(a->name, b->name, a->name_size) == 0 && a->target_size == b->target_size &&
           memcmp(a->target, b->target, a->target_size) == 0;
}

static bool same_segment(const struct ftx_segment *a, const struct ftx_segment *b)
{
    return a->offset == b->offset && a->length == b->length && a->kind == b->kind &&
           a->hashed == b->hashed && memcmp(a->hash, b->hash, sizeof a->hash) == 0;
}

static bool same_xattr(const struct ftx_xattr *a, const struct ftx_xattr *b)
{
    return a->name_size == b->name_size && memcmp(a->name, b->name, a->name_size) == 0 &&
           !a->value == !b->value && a->value_size == b->value_size &&
           (!a->value || memcmp(a->value, b->value, a->value_size) == 0);
}

static bool same_history(const struct ftx_history_row *a, const struct ftx_history_row *b)
{
    return a->id == b->id && a->time_ns == b->time_ns && a->size == b->size && a->ms == b->ms &&
           a->box == b->box && a->result == b->result && a->reason == b->reason &&
           a->link_size == b->link_size && memcmp(a->link, b->link, a->link_size) == 0 &&
           a->path_size == b->path_size && memcmp(a->path, b->path, a->path_size) == 0;
}

static bool same_change(const struct ftx_change *a, const struct ftx_change *b)
{
    if (a->kind != b->kind || a->id != b->id || a->number != b->number)
        return false;
    switch ((enum ftx_change_kind)a->kind) {
    case FTX_CHANGE_ITEM:
        return same_item(&a->as.item, &b->as.item);
    case FTX_CHANGE_HISTORY:
        return same_history(&a->as.history, &b->as.history);
    case FTX_CHANGE_SEGMENT:
        return same_segment(&a->as.segment, &b->as.segment);
    case FTX_CHANGE_SEGMENT_CUT:
        return a->as.range.offset == b->as.range.offset && a->as.range.length == b->as.range.length;
    case FTX_CHANGE_OP:
        return a->as.bytes.size == b->as.bytes.size &&
               memcmp(a->as.bytes.data, b->as.bytes.data, a->as.bytes.size) == 0;
    case FTX_CHANGE_XATTR:
        return a->as.xattr.link == b->as.xattr.link && a->as.xattr.wire == b->as.xattr.wire &&
               same_xattr(&a->as.xattr.xattr, &b->as.xattr.xattr);
    default:
        return true;
    }
}

static int decode(const uint8_t *bytes, size_t size)
{
    struct ftx_change change = {.kind = 99};
    size_t offset = 0;
    int rc = ftx_change_decode(bytes, size, &offset, &change);
    if (rc < 0)
        assert_true(offset == 0 && change.kind == 99); /* outputs only on success */
    return rc;
}

static void encodes_to_the_golden_bytes(void **state)
{
    (void)state;
    uint8_t out[256];
    for (size_t i = 0; i < N_GOLDEN; i++) {
        assert_int_equal(ftx_change_encode(&golden[i].change, out, 0, sizeof out), golden[i].size);
        assert_memory_equal(out, golden[i].bytes, golden[i].size);
    }
}

static void decodes_a_run_of_every_kind(void **state)
{
    (void)state;
    uint8_t out[1024];
    size_t used = 0, offset = 0;
    for (size_t i = 0; i < N_GOLDEN; i++) {
        used = ftx_change_encode(&golden[i].change, out, used, sizeof out);
        assert_true(used > 0);
    }
    for (size_t i = 0; i < N_GOLDEN; i++) {
        struct ftx_change change;
        assert_int_equal(ftx_change_decode(out, used, &offset, &change), 0);
        assert_true(same_change(&change, &golden[i].change));
    }
    assert_int_equal(offset, used);
}

static void encode_stops_at_the_capacity(void **state)
{
    (void)state;
    uint8_t out[256];
    for (size_t i = 0; i < N_GOLDEN; i++)
        for (size_t size = 0; size < golden[i].size; size++) {
            memset(out, 0xee, sizeof out);
            assert_int_equal(ftx_change_encode(&golden[i].change, out, 10, 10 + size), 0);
            assert_int_equal(out[10 + size], 0xee);
            assert_int_equal(out[9], 0xee);
        }
}

static void refuses_every_truncation(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_GOLDEN; i++) {
        for (size_t size = 0; size < golden[i].size; size++)
            assert_int_equal(decode(golden[i].bytes, size), FTX_ECORRUPT);
        assert_int_equal(decode(golden[i].bytes, golden[i].size), 0);
    }
}

static void refuses_an_unknown_kind(void **state)
{
    (void)state;
    uint8_t bytes[256] = {0};
    for (unsigned kind = 0; kind < 256; kind++) {
        bytes[0] = (uint8_t)kind;
        if (kind == 0 || kind > FTX_CHANGE_HISTORY)
            assert_int_equal(decode(bytes, sizeof bytes), FTX_ECORRUPT);
    }
    struct ftx_change change = {.kind = FTX_CHANGE_HISTORY + 1};
    assert_int_equal(ftx_change_encode(&change, bytes, 0, sizeof bytes), 0);
}

static void refuse_segment(struct ftx_segment segment)
{
    uint8_t out[64];
    struct ftx_change change = {.kind = FTX_CHANGE_SEGMENT, .as.segment = segment};
    assert_int_equal(ftx_change_encode(&change, out, 0, sizeof out), 0);
    assert_true(out[0] == FTX_CHANGE_SEGMENT); /* what it wrote is what decode refuses */
    assert_int_equal(decode(out, segment.hashed ? sizeof golden_segment : sizeof golden_hole),
                     FTX_ECORRUPT);
}

static void refuses_impossible_segments(void **state)
{
    (void)state;
    const struct ftx_segment good = HASHED;
    struct ftx_segment bad = good;
    bad.length = 0;
    refuse_segment(bad);
    bad.length = (uint64_t)INT64_MAX - bad.offset + 1;
    refuse_segment(bad);
    bad.length = UINT64_MAX;
    refuse_segment(bad);
    bad = good;
    bad.kind = FTX_SEGMENT_RELEASED + 1;
    refuse_segment(bad);
    bad.kind = 0;
    bad.hashed = false;
    refuse_segment(bad);

    uint8_t bytes[sizeof golden_segment];
    memcpy(bytes, golden_segment, sizeof bytes);
    bytes[26] = 15; /* the hash's length */
    assert_int_equal(decode(bytes, sizeof bytes), FTX_ECORRUPT);
    bytes[26] = 16;
    assert_int_equal(decode(bytes, sizeof bytes), 0);
}

static void refuse_item(struct ftx_item_row row)
{
    uint8_t out[256];
    struct ftx_change change = {.kind = FTX_CHANGE_ITEM, .as.item = row};
    assert_int_equal(ftx_change_encode(&change, out, 0, sizeof out), 0);
    assert_int_equal(decode(out, sizeof golden_item), FTX_ECORRUPT);
}

static void refuses_impossible_items(void **state)
{
    (void)state;
    const struct ftx_item_row good = ITEM;
    struct ftx_item_row bad = good;
    bad.box = 2;
    refuse_item(bad);
    bad = good;
    bad.kind = 0;
    refuse_item(bad);
    bad.kind = 4;
    refuse_item(bad);
    bad = good;
    bad.mode = 01000;
    refuse_item(bad);
    bad = good;
    bad.box = 0;
    bad.named_here = true;
    refuse_item(bad);
}

static void refuses_impossible_attributes(void **state)
{
    (void)state;
    uint8_t out[512], bytes[sizeof golden_xattr];
    static char name[251];
    struct ftx_change change = {.kind = FTX_CHANGE_XATTR, .as.xattr.xattr = {name, 0, "v", 1}};
    assert_int_equal(ftx_change_encode(&change, out, 0, sizeof out), 0);
    change.as.xattr.xattr.name_size = sizeof name;
    assert_int_equal(ftx_change_encode(&change, out, 0, sizeof out), 0);
    change.as.xattr.xattr.name_size = sizeof name - 1;
    assert_true(ftx_change_encode(&change, out, 0, sizeof out) > 0);
    change.as.xattr.xattr.value = NULL; /* removed, with a value */
    assert_int_equal(ftx_change_encode(&change, out, 0, sizeof out), 0);
    memcpy(bytes, golden_xattr, sizeof bytes);
    for (uint8_t set = 0; set < 3; set++) {
        bytes[33] = set;
        assert_int_equal(decode(bytes, sizeof bytes), set == 1 ? 0 : FTX_ECORRUPT);
    }
}

static void holds_the_largest_operation(void **state)
{
    (void)state;
    static uint8_t data[FTX_CHANGE_MAX], out[2 * FTX_CHANGE_MAX];
    struct ftx_change change = {.kind = FTX_CHANGE_OP, .as.bytes = {data, 8192}}, found;
    size_t offset = 3, used = ftx_change_encode(&change, out, offset, sizeof out);
    assert_int_equal(used, 3 + 19 + 8192);
    assert_int_equal(ftx_change_decode(out, used, &offset, &found), 0);
    assert_true(found.as.bytes.size == 8192 && found.as.bytes.data == out + 3 + 19);
    change.as.bytes.size = UINT16_MAX;
    assert_int_equal(ftx_change_encode(&change, out, 0, sizeof out), 19 + UINT16_MAX);
    change.as.bytes.size++;
    assert_int_equal(ftx_change_encode(&change, out, 0, sizeof out), 0);
}

static void holds_the_largest_attribute(void **state)
{
    (void)state;
    static uint8_t data[FTX_CHANGE_MAX], out[2 * FTX_CHANGE_MAX];
    struct ftx_change change = {.kind = FTX_CHANGE_XATTR}, found;
    change.as.xattr.xattr = (struct ftx_xattr){(char *)data, FTX_XATTR_NAME_MAX, data, UINT16_MAX};
    size_t offset = 0, used = ftx_change_encode(&change, out, 0, sizeof out);
    assert_int_equal(used, FTX_CHANGE_MAX);
    assert_int_equal(ftx_change_decode(out, used, &offset, &found), 0);
    assert_int_equal(found.as.xattr.xattr.value_size, UINT16_MAX);
    change.as.xattr.xattr.value_size++;
    assert_int_equal(ftx_change_encode(&change, out, 0, sizeof out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_to_the_golden_bytes),
        cmocka_unit_test(decodes_a_run_of_every_kind),
        cmocka_unit_test(encode_stops_at_the_capacity),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(refuses_an_unknown_kind),
        cmocka_unit_test(refuses_impossible_segments),
        cmocka_unit_test(refuses_impossible_items),
        cmocka_unit_test(refuses_impossible_attributes),
        cmocka_unit_test(holds_the_largest_operation),
        cmocka_unit_test(holds_the_largest_attribute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
