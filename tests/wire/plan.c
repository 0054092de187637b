/* SPDX-License-Identifier: MIT */
/* Plans: what fits, what the build leaves out and takes along, and every allocation failed in turn.
 */
#include "transport/session/plan.h"

#include "transport/base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static unsigned countdown; /* 0: never fail; n: the n-th allocation from now fails */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static bool fails(void)
{
    return countdown && --countdown == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : __real_realloc(memory, size);
}

static uint8_t out[FTX_RECORD_PLAIN_MAX];

/* Reads the low byte of the stream; streams above 100 are gone. */
static int read_source(void *ctx, struct ftx_source *source, uint8_t *bytes)
{
    (void)ctx;
    if (source->extent.stream > 100)
        return FTX_ECHANGED;
    memset(bytes, (int)source->extent.stream, source->extent.length);
    memset(source->extent.hash, 0xab, FTX_HASH_SIZE);
    return 0;
}

static int add_extent(struct ftx_plan *plan, uint64_t stream, uint64_t length)
{
    struct ftx_source source = {.extent = {.stream = stream, .length = length}};
    source.extent.kind = FTX_EXTENT_DATA;
    return ftx_plan_add_extent(plan, &source);
}

static int add_hole(struct ftx_plan *plan, uint64_t stream)
{
    struct ftx_source source = {.extent = {.stream = stream, .length = UINT64_C(1) << 40}};
    source.extent.kind = FTX_EXTENT_HOLE;
    return ftx_plan_add_extent(plan, &source);
}

static int add_answer(struct ftx_plan *plan, uint64_t stream, uint8_t kind, uint64_t length)
{
    struct ftx_source source = {.extent = {.stream = stream, .length = length, .kind = kind}};
    source.answer = true;
    return ftx_plan_add_answer(plan, &source);
}

static int add_seal(struct ftx_plan *plan, uint64_t stream)
{
    struct ftx_plan_seal seal = {.stream = stream, .version = 1, .attributes_size = 10};
    return ftx_plan_add_seal(plan, &seal);
}

static int add_ping(struct ftx_plan *plan)
{
    struct ftx_message m = {.type = FTX_MSG_PING};
    return ftx_plan_add_message(plan, &m);
}

static char letter(enum ftx_message_type type)
{
    switch (type) {
    case FTX_MSG_EXTENT:
        return 'e';
    case FTX_MSG_HOLE:
        return 'h';
    case FTX_MSG_SEAL:
        return 's';
    case FTX_MSG_FETCHED:
        return 'f';
    case FTX_MSG_PING:
        return 'i';
    case FTX_MSG_PONG:
        return 'o';
    default:
        return '?';
    }
}

/* What was built as text: extent, hole, seal, fetched with their streams, pIng, pOng. */
static const char *built(struct ftx_plan *plan)
{
    static char text[256];
    size_t size = ftx_plan_build(plan, read_source, NULL, NULL, out), used = 0;
    for (size_t offset = 0; offset < size;) {
        struct ftx_message m;
        assert_int_equal(ftx_message_decode(out, size, &offset, &m), 0);
        text[used++] = letter(m.type);
        uint64_t stream = m.type == FTX_MSG_SEAL ? m.as.seal.stream : m.as.content.extent.stream;
        if (m.type != FTX_MSG_PING && m.type != FTX_MSG_PONG)
            used += (size_t)snprintf(text + used, sizeof text - used, "%u", (unsigned)stream);
        text[used++] = ' ';
    }
    assert_true(used > 0);
    text[used - 1] = 0;
    return text;
}

static void keeps_the_order(void **state)
{
    (void)state;
    struct ftx_plan *plan = ftx_plan_new(0, 1);
    assert_false(plan->ackable);
    assert_int_equal(add_ping(plan), 0);
    assert_false(plan->ackable);
    assert_int_equal(add_extent(plan, 1, 100), 0);
    assert_int_equal(add_ping(plan), 0);
    assert_int_equal(add_ping(plan), 0);
    assert_int_equal(add_hole(plan, 2), 0);
    assert_int_equal(add_seal(plan, 1), 0);
    assert_true(plan->ackable);
    assert_string_equal(built(plan), "i e1 i i h2 s1");
    assert_true(plan->ackable);
    assert_int_equal(plan->left_out_bytes, 0);
    ftx_plan_free(plan);
}

static void the_size_is_exact(void **state)
{
    (void)state;
    struct ftx_plan *plan = ftx_plan_new(0, 1);
    add_ping(plan);
    add_extent(plan, 1, 77);
    add_hole(plan, 1);
    add_seal(plan, 1);
    assert_int_equal(ftx_plan_room(plan), FTX_RECORD_PLAIN_MAX - plan->size);
    assert_int_equal(ftx_plan_build(plan, read_source, NULL, NULL, out), plan->size);
    assert_int_equal(plan->window_bytes, FTX_EXTENT_HEAD + 77 + FTX_MESSAGE_HEAD + 36);
    ftx_plan_free(plan);
}

static void hashes_are_filled_in(void **state)
{
    (void)state;
    struct ftx_plan *plan = ftx_plan_new(0, 1);
    add_extent(plan, 9, 3);
    size_t size = ftx_plan_build(plan, read_source, NULL, NULL, out), offset = 0;
    struct ftx_message m;
    assert_int_equal(ftx_message_decode(out, size, &offset, &m), 0);
    assert_int_equal(m.as.content.extent.hash[15], 0xab);
    assert_int_equal(m.as.content.data[2], 9);
    assert_int_equal(plan->entries[0].as.source.extent.hash[0], 0xab);
    ftx_plan_free(plan);
}

static void leaves_out_what_cannot_be_read_and_its_seal(void **state)
{
    (void)state;
    struct ftx_plan *plan = ftx_plan_new(0, 1);
    add_extent(plan, 1, 10);
    add_seal(plan, 101); /* stands before the extent that fails: it is not about that one */
    add_extent(plan, 101, 10);
    add_extent(plan, 2, 10);
    add_seal(plan, 1);
    add_seal(plan, 101);
    add_seal(plan, 2);
    assert_string_equal(built(plan), "e1 s101 e2 s1 s2");
    assert_int_equal(plan->entries[2].err, FTX_ECHANGED);
    assert_int_equal(plan->entries[5].err, FTX_ECHANGED);
    assert_int_equal(plan->left_out_bytes, FTX_EXTENT_HEAD + 10);
    assert_true(plan->ackable);
    ftx_plan_free(plan);
}

static void a_plan_of_which_nothing_is_left_is_a_pong(void **state)
{
    (void)state;
    struct ftx_plan *plan = ftx_plan_new(0, 1);
    add_extent(plan, 101, 10);
    add_extent(plan, 102, 10);
    add_seal(plan, 101);
    assert_string_equal(built(plan), "o");
    assert_false(plan->ackable);
    assert_int_equal(plan->left_out_bytes, plan->window_bytes);
    ftx_plan_free(plan);
}

static void operations_keep_it_ackable(void **state)
{
    (void)state;
    struct ftx_plan *plan = ftx_plan_new(0, 1);
    add_ping(plan);
    add_extent(plan, 101, 10);
    plan->op_last = 3;
    assert_string_equal(built(plan), "i");
    assert_true(plan->ackable);
    ftx_plan_free(plan);
}

static void answers_have_no_effect(void **state)
{
    (void)state;
    struct ftx_plan *plan = ftx_plan_new(0, 1);
    assert_int_equal(add_answer(plan, 1, FTX_EXTENT_HOLE, FTX_EXTENT_MAX), 0);
    assert_int_equal(add_answer(plan, 2, FTX_EXTENT_GONE, FTX_EXTENT_MAX), 0);
    assert_false(plan->reads);
    assert_int_equal(add_answer(plan, 3, FTX_EXTENT_DATA, 100), 0);
    assert_true(plan->reads);
    assert_int_equal(plan->size, 3 * FTX_FETCHED_HEAD + 100);
    assert_int_equal(plan->window_bytes, 0);
    assert_string_equal(built(plan), "f1 f2 f3");
    assert_false(plan->ackable);
    assert_int_equal(out[2 * FTX_FETCHED_HEAD + FTX_FETCHED_HEAD - 1], 0xab);
    assert_int_equal(out[plan->size - 1], 3);
    ftx_plan_free(plan);
}

static void an_answer_that_cannot_be_read_is_left_out_alone(void **state)
{
    (void)state;
    struct ftx_plan *plan = ftx_plan_new(0, 1);
    add_extent(plan, 1, 10);
    add_answer(plan, 101, FTX_EXTENT_DATA, 10);
    add_answer(plan, 2, FTX_EXTENT_DATA, 10);
    add_seal(plan, 101); /* ours; the answer is of a stream of the peer's */
    assert_string_equal(built(plan), "e1 f2 s101");
    assert_int_equal(plan->entries[1].err, FTX_ECHANGED);
    assert_int_equal(plan->left_out_bytes, 0);
    assert_true(plan->ackable);
    ftx_plan_free(plan);
    plan = ftx_plan_new(0, 1);
    add_answer(plan, 101, FTX_EXTENT_DATA, FTX_EXTENT_MAX);
    assert_string_equal(built(plan), "o");
    assert_int_equal(plan->left_out_bytes, 0);
    ftx_plan_free(plan);
}

/* Text of the stream's letter; streams above 100 are gone. */
static int read_letters(void *ctx, struct ftx_source *source, uint8_t *bytes)
{
    int err = read_source(ctx, source, bytes);
    for (size_t i = 0; !err && i < source->extent.length; i += 97)
        bytes[i] = (uint8_t)i;
    return err;
}

static void assert_unpacks(struct ftx_codec *codec, const struct ftx_content *content)
{
    static uint8_t expected[FTX_EXTENT_MAX];
    struct ftx_source source = {.extent = content->extent};
    const uint8_t *raw;
    assert_int_equal(content->encoding, FTX_ENCODING_ZSTD);
    assert_int_equal(ftx_codec_unpack(codec, content->data, content->data_size,
                                      (size_t)content->extent.length, &raw),
                     0);
    read_letters(NULL, &source, expected);
    assert_memory_equal(raw, expected, (size_t)content->extent.length);
}

static void what_is_compressed_makes_the_record_shorter(void **state)
{
    (void)state;
    struct ftx_codec *codec = ftx_codec_new();
    assert_non_null(codec);
    struct ftx_packer packer = {codec, NULL};
    struct ftx_plan *plan = ftx_plan_new(0, 1);
    add_extent(plan, 1, 500000);
    add_answer(plan, 2, FTX_EXTENT_DATA, 300000);
    add_extent(plan, 3, 1000);
    add_extent(plan, 101, 1000);
    add_seal(plan, 1);
    uint64_t window = plan->window_bytes;
    for (size_t i = 0; i < 4; i++)
        plan->entries[i].packing.level = i == 2 ? 0 : 3;
    size_t size = ftx_plan_build(plan, read_letters, NULL, &packer, out), offset = 0;
    struct ftx_message m[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(ftx_message_decode(out, size, &offset, &m[i]), 0);
    assert_int_equal(offset, size);
    assert_true(size < plan->size / 4);
    assert_int_equal(m[1].type, FTX_MSG_FETCHED);
    assert_int_equal(m[3].type, FTX_MSG_SEAL);
    for (size_t i = 0; i < 2; i++) {
        assert_unpacks(codec, &m[i].as.content);
        assert_int_equal(plan->entries[i].packing.after, m[i].as.content.data_size);
        assert_int_equal(m[i].as.content.extent.hash[0], 0xab);
    }
    assert_int_equal(m[2].as.content.encoding, FTX_ENCODING_RAW);
    assert_int_equal(plan->packed_before, 800000);
    assert_int_equal(plan->packed_after, m[0].as.content.data_size + m[1].as.content.data_size);
    assert_int_equal(plan->window_bytes, window); /* counts what the peer has to write */
    assert_int_equal(plan->left_out_bytes, FTX_EXTENT_HEAD + 1000);
    assert_false(plan->entries[3].packing.tried);
    ftx_plan_free(plan);
    ftx_codec_free(codec);
}

static void takes_an_answer_that_just_fits(void **state)
{
    (void)state;
    struct ftx_plan *plan = ftx_plan_new(0, 1);
    assert_int_equal(add_answer(plan, 1, FTX_EXTENT_DATA, FTX_EXTENT_MAX), 0);
    uint64_t room = ftx_plan_room(plan) - FTX_FETCHED_HEAD;
    assert_int_equal(add_answer(plan, 1, FTX_EXTENT_DATA, room + 1), -EMSGSIZE);
    assert_int_equal(add_answer(plan, 1, FTX_EXTENT_DATA, room), 0);
    assert_int_equal(plan->size, FTX_RECORD_PLAIN_MAX);
    assert_int_equal(add_answer(plan, 1, FTX_EXTENT_GONE, 1), -EMSGSIZE);
    assert_int_equal(ftx_plan_build(plan, read_source, NULL, NULL, out), FTX_RECORD_PLAIN_MAX);
    ftx_plan_free(plan);
}

static void takes_a_largest_extent_and_no_more_than_fits(void **state)
{
    (void)state;
    struct ftx_plan *plan = ftx_plan_new(0, 1);
    assert_int_equal(add_extent(plan, 1, FTX_EXTENT_MAX), 0);
    assert_int_equal(add_extent(plan, 1, 4096), -EMSGSIZE);
    size_t size = plan->size, entries = plan->n_entries;
    while (add_ping(plan) == 0)
        ;
    assert_int_equal(add_ping(plan), -EMSGSIZE);
    assert_int_equal(add_hole(plan, 1), -EMSGSIZE);
    assert_int_equal(add_seal(plan, 1), -EMSGSIZE);
    assert_true(plan->size > size && plan->n_entries == entries + 1);
    assert_int_equal(ftx_plan_build(plan, read_source, NULL, NULL, out), plan->size);
    ftx_plan_free(plan);
}

/* A plan of every kind of entry, large enough that each array grows; the first error. */
static int fill(struct ftx_plan *plan)
{
    for (uint64_t i = 0; i < 20; i++) {
        int err = add_ping(plan);
        if (!err)
            err = add_extent(plan, 1, 100 + i);
        if (!err)
            err = add_seal(plan, 2);
        if (!err)
            err = add_answer(plan, 1, FTX_EXTENT_DATA, 10);
        if (err)
            return err;
    }
    return 0;
}

static void without_memory_nothing_changes(void **state)
{
    (void)state;
    for (unsigned n = 1;; n++) {
        countdown = n;
        struct ftx_plan *plan = ftx_plan_new(0, 1);
        if (!plan)
            continue;
        int err = fill(plan);
        bool done = countdown != 0;
        countdown = 0;
        if (done) {
            assert_int_equal(err, 0);
            assert_in_range(n, 20, 100);
            ftx_plan_free(plan);
            return;
        }
        assert_int_equal(err, -ENOMEM);
        size_t size = plan->size;
        assert_int_equal(ftx_plan_room(plan), FTX_RECORD_PLAIN_MAX - size);
        if (plan->n_entries)
            assert_int_equal(ftx_plan_build(plan, read_source, NULL, NULL, out), size);
        assert_int_equal(add_extent(plan, 1, 7), 0);
        assert_int_equal(ftx_plan_build(plan, read_source, NULL, NULL, out),
                         size + FTX_EXTENT_HEAD + 7);
        ftx_plan_free(plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_order),
        cmocka_unit_test(the_size_is_exact),
        cmocka_unit_test(hashes_are_filled_in),
        cmocka_unit_test(leaves_out_what_cannot_be_read_and_its_seal),
        cmocka_unit_test(a_plan_of_which_nothing_is_left_is_a_pong),
        cmocka_unit_test(operations_keep_it_ackable),
        cmocka_unit_test(answers_have_no_effect),
        cmocka_unit_test(an_answer_that_cannot_be_read_is_left_out_alone),
        cmocka_unit_test(what_is_compressed_makes_the_record_shorter),
        cmocka_unit_test(takes_an_answer_that_just_fits),
        cmocka_unit_test(takes_a_largest_extent_and_no_more_than_fits),
        cmocka_unit_test(without_memory_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
