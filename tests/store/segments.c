/* SPDX-License-Identifier: MIT */
/* fs/store/segments against a model that knows of every byte who put it there. */
#include "fs/store/segments.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/store/support.h"

enum { SPACE = 4096, PUTS_MAX = 100000 };

/* Allocations left until one fails; negative: never. */
static int allocations_left = -1;
static int allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool refuse(void)
{
    allocations++;
    return allocations_left >= 0 && allocations_left-- == 0;
}

void *__wrap_malloc(size_t size)
{
    return refuse() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return refuse() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return refuse() ? NULL : __real_realloc(old, size);
}

/* Of each byte the number of the put that it came with, 0: none. */
struct model {
    uint32_t by[SPACE];
    struct ftx_segment puts[PUTS_MAX];
    uint32_t n_puts;
};

static struct model model;
static struct ftx_segments set;

static int setup(void **state)
{
    (void)state;
    memset(&model, 0, sizeof model);
    ftx_segments_init(&set);
    allocations_left = -1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    allocations_left = -1;
    ftx_segments_close(&set);
    return 0;
}

static struct ftx_segment random_segment(uint64_t *seed)
{
    uint64_t longest = below(seed, 20) == 0 ? SPACE / 2 : 12;
    struct ftx_segment segment = {.length = 1 + below(seed, longest)};
    segment.offset = below(seed, SPACE - segment.length + 1);
    segment.tag = next_random(seed);
    segment.state = (uint8_t)below(seed, 256);
    segment.kind = below(seed, 4) ? FTX_SEGMENT_DATA : FTX_SEGMENT_HOLE;
    segment.hashed = below(seed, 2) != 0;
    memset(segment.hash, (int)below(seed, 256), sizeof segment.hash);
    return segment;
}

static void model_put(const struct ftx_segment *segment)
{
    model.puts[++model.n_puts] = *segment;
    for (uint64_t i = 0; i < segment->length; i++)
        model.by[segment->offset + i] = model.n_puts;
}

static void model_cut(uint64_t offset, uint64_t length)
{
    for (uint64_t i = offset; i < SPACE && i - offset < length; i++)
        model.by[i] = 0;
}

/* A piece of a put has its kind, tag and state; only the whole is still hashed. */
static bool is_piece(const struct ftx_segment *segment, const struct ftx_segment *put)
{
    bool whole = segment->length == put->length;
    return segment->tag == put->tag && segment->state == put->state && segment->kind == put->kind &&
           segment->hashed == (whole && put->hashed) &&
           (!segment->hashed || memcmp(segment->hash, put->hash, sizeof put->hash) == 0);
}

static bool same_as_model(void)
{
    size_t count = 0;
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < SPACE;) {
        uint64_t end = i + 1;
        while (end < SPACE && model.by[end] == model.by[i])
            end++;
        if (model.by[i]) {
            const struct ftx_segment *segment = ftx_segments_at(&set, i);
            if (!segment || segment->offset != i || segment->length != end - i ||
                !is_piece(segment, &model.puts[model.by[i]]))
                return false;
            count++;
            bytes += end - i;
        }
        i = end;
    }
    return set.count == count && set.bytes == bytes && (count > 0) == (set.table != NULL);
}

static bool same_answers(uint64_t *seed)
{
    uint64_t offset = below(seed, SPACE), end = offset + below(seed, SPACE - offset + 1);
    uint64_t first = offset, gap_end, gap_offset, gap_length;
    while (first < end && model.by[first])
        first++;
    for (gap_end = first; gap_end < end && !model.by[gap_end];)
        gap_end++;
    bool gap = ftx_segments_gap(&set, offset, end, &gap_offset, &gap_length);
    if (gap != (first < end) || ftx_segments_cover(&set, offset, end - offset) == gap)
        return false;
    if (gap && (gap_offset != first || gap_length != gap_end - first))
        return false;
    while (offset < SPACE && !model.by[offset])
        offset++;
    const struct ftx_segment *at = ftx_segments_at(&set, offset);
    return offset == SPACE ? !at : at && at->offset <= offset && offset < at->offset + at->length;
}

static int random_step(uint64_t *seed)
{
    struct ftx_segment segment = random_segment(seed);
    if (below(seed, 4) == 0) {
        int rc = ftx_segments_cut(&set, segment.offset, segment.length);
        if (rc == 0)
            model_cut(segment.offset, segment.length);
        return rc;
    }
    int rc = ftx_segments_put(&set, &segment);
    if (rc == 0)
        model_put(&segment);
    return rc;
}

static void agrees_with_a_byte_model(void **state)
{
    (void)state;
    uint64_t first = first_seed(), seed = first;
    for (int i = 0; i < 20000; i++) {
        assert_true_seed(first, random_step(&seed) == 0);
        if (i % 16 == 0)
            assert_true_seed(first, same_as_model());
        assert_true_seed(first, same_answers(&seed));
        if (i % 5000 == 4999) {
            assert_int_equal(ftx_segments_cut(&set, 0, UINT64_MAX), 0);
            model_cut(0, SPACE);
        }
    }
}

static void failed_allocation_changes_nothing(void **state)
{
    (void)state;
    uint64_t first = first_seed(), seed = first;
    int failures = 0;
    for (int i = 0; i < 40000; i++) {
        allocations_left = (int)below(&seed, 3);
        int rc = random_step(&seed);
        allocations_left = -1;
        assert_true_seed(first, rc == 0 || rc == -ENOMEM);
        if (rc < 0) {
            failures++;
            assert_true_seed(first, same_as_model());
        }
        if (i % 1000 == 999) {
            assert_int_equal(ftx_segments_cut(&set, 0, SPACE), 0);
            model_cut(0, SPACE);
        }
    }
    assert_true_seed(first, failures > 100);
}

static void empty_set_owns_no_memory(void **state)
{
    (void)state;
    int before = allocations;
    assert_null(ftx_segments_at(&set, 0));
    assert_int_equal(ftx_segments_cut(&set, 5, 10), 0);
    assert_false(ftx_segments_cover(&set, 0, 1));
    assert_true(ftx_segments_cover(&set, 7, 0));
    assert_int_equal(allocations, before);

    struct ftx_segment segment = {.length = 10, .kind = FTX_SEGMENT_DATA};
    assert_int_equal(ftx_segments_put(&set, &segment), 0);
    assert_int_equal(ftx_segments_cut(&set, 0, 10), 0);
    assert_null(set.table);
}

static void reaches_the_end_of_the_largest_file(void **state)
{
    (void)state;
    uint64_t offset, length;
    struct ftx_segment segment = {
        .offset = INT64_MAX - 10, .length = 10, .kind = FTX_SEGMENT_DATA, .hashed = true};
    assert_int_equal(ftx_segments_put(&set, &segment), 0);
    assert_true(ftx_segments_gap(&set, 0, INT64_MAX, &offset, &length));
    assert_true(offset == 0 && length == INT64_MAX - 10);
    assert_int_equal(ftx_segments_cut(&set, INT64_MAX - 4, UINT64_MAX), 0);
    const struct ftx_segment *left = ftx_segments_at(&set, 0);
    assert_true(left && left->offset == segment.offset && left->length == 6 && !left->hashed);
}

static void puts_back_a_segment_of_its_own(void **state)
{
    (void)state;
    struct ftx_segment segment = {
        .offset = 100, .length = 50, .kind = FTX_SEGMENT_DATA, .hashed = true, .tag = 7};
    assert_int_equal(ftx_segments_put(&set, &segment), 0);
    assert_int_equal(ftx_segments_put(&set, ftx_segments_at(&set, 100)), 0);
    assert_int_equal(set.count, 1);
    assert_true(ftx_segments_at(&set, 100)->hashed && ftx_segments_at(&set, 100)->tag == 7);
}

/* 300,000 random blocks: a bound on time would fail on a busy machine; a quadratic set takes
 * minutes and is noticed. */
static void takes_many_random_blocks(void **state)
{
    (void)state;
    enum { N = 300000 };
    uint32_t *order = malloc(N * sizeof *order);
    uint64_t first = first_seed(), seed = first;
    assert_non_null(order);
    for (uint32_t i = 0; i < N; i++)
        order[i] = i;
    for (uint32_t i = N - 1; i > 0; i--) {
        uint32_t j = (uint32_t)below(&seed, i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    double start = now_s();
    for (uint32_t i = 0; i < N; i++) {
        struct ftx_segment segment = {
            .offset = (uint64_t)order[i] * 4096, .length = 4096, .kind = FTX_SEGMENT_DATA};
        assert_int_equal(ftx_segments_put(&set, &segment), 0);
    }
    double put = now_s();
    assert_int_equal(set.count, N);
    assert_true(ftx_segments_cover(&set, 0, UINT64_C(4096) * N));
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(ftx_segments_cut(&set, (uint64_t)order[i] * 4096, 4096), 0);
    print_message("%d random blocks: put %.0f ns, cut %.0f ns each\n", N, (put - start) * 1e9 / N,
                  (now_s() - put) * 1e9 / N);
    assert_null(set.table);
    free(order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(agrees_with_a_byte_model, setup, teardown),
        cmocka_unit_test_setup_teardown(failed_allocation_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_set_owns_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(reaches_the_end_of_the_largest_file, setup, teardown),
        cmocka_unit_test_setup_teardown(puts_back_a_segment_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(takes_many_random_blocks, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
