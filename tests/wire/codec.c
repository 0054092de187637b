/* SPDX-License-Identifier: MIT */
/* Frames: what comes back, what is refused, and when packing an extent pays. */
#include "transport/session/codec.h"

#include "transport/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zstd.h>

enum { BOUND = FTX_EXTENT_MAX + 8192, MAGIC = 4 };

static struct ftx_codec *codec;
static uint8_t raw[FTX_EXTENT_MAX + 1], frame[BOUND];

static void fill_text(size_t size)
{
    static const char words[] = "a folder that sends and a folder that receives, the same bytes: ";
    for (size_t i = 0; i < size; i++)
        raw[i] = (uint8_t)((size_t)words[i % (sizeof words - 1)] + i / 5000 % 3);
}

static void fill_noise(uint8_t *out, size_t size)
{
    uint64_t state = 1;
    for (size_t i = 0; i < size; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        out[i] = (uint8_t)(state >> 56);
    }
}

/* A frame of any kind: what zstd's advanced calls can be told. */
static size_t make(size_t size, int window_log, bool content_size, bool checksum)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    assert_non_null(context);
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, content_size);
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, checksum);
    size_t packed = ZSTD_compress2(context, frame, sizeof frame, raw, size);
    assert_false(ZSTD_isError(packed));
    ZSTD_freeCCtx(context);
    return packed;
}

/* Unpacks exactly these bytes, in a block of their size, for the sanitizers. */
static int unpack(size_t size, size_t raw_size)
{
    uint8_t *exact = malloc(size ? size : 1);
    assert_non_null(exact);
    memcpy(exact, frame, size);
    const uint8_t *out = NULL;
    int err = ftx_codec_unpack(codec, exact, size, raw_size, &out);
    if (!err)
        assert_memory_equal(out, raw, raw_size);
    else
        assert_null(out);
    free(exact);
    return err;
}

static void what_is_packed_comes_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {200, 4096, 65536, 100000, FTX_EXTENT_MAX - 1, FTX_EXTENT_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int level = 1; level <= FTX_PACK_LEVEL_MAX; level++) {
            const uint8_t *packed;
            fill_text(sizes[i]);
            raw[sizes[i] / 2] = (uint8_t)level;
            size_t size = ftx_codec_pack(codec, raw, sizes[i], level, sizes[i], &packed);
            assert_in_range(size, 1, sizes[i] - 1);
            memcpy(frame, packed, size);
            assert_int_equal(unpack(size, sizes[i]), 0);
        }
    }
}

static void packs_nothing_that_would_be_longer(void **state)
{
    (void)state;
    const uint8_t *packed;
    fill_noise(raw, 100000);
    assert_int_equal(ftx_codec_pack(codec, raw, 100000, 3, 100000, &packed), 0);
    fill_text(100000);
    size_t size = ftx_codec_pack(codec, raw, 100000, 3, 100000, &packed);
    assert_int_equal(ftx_codec_pack(codec, raw, 100000, 3, size + 64, &packed), size);
    assert_int_equal(ftx_codec_pack(codec, raw, 100000, 3, size - 1, &packed), 0);
    assert_int_equal(ftx_codec_pack(codec, raw, 100000, 3, 0, &packed), 0);
}

static void refuses_another_content_size(void **state)
{
    (void)state;
    fill_text(5000);
    size_t size = make(5000, 20, true, false);
    assert_int_equal(unpack(size, 5000), 0);
    assert_int_equal(unpack(size, 4999), FTX_EPROTO);
    assert_int_equal(unpack(size, 5001), FTX_EPROTO);
    assert_int_equal(unpack(size, 0), FTX_EPROTO);
    assert_int_equal(unpack(size, FTX_EXTENT_MAX), FTX_EPROTO);
    assert_int_equal(unpack(size, SIZE_MAX), FTX_EPROTO);
    frame[MAGIC + 1]++; /* the frame says one (256) more than it has */
    assert_int_equal(unpack(size, 5001), FTX_EPROTO);
    assert_int_equal(unpack(size, 5000), FTX_EPROTO);
}

static void refuses_a_frame_that_does_not_say_its_size(void **state)
{
    (void)state;
    fill_text(5000);
    assert_int_equal(unpack(make(5000, 20, false, false), 5000), FTX_EPROTO);
}

static void refuses_a_window_that_is_not_the_content(void **state)
{
    (void)state;
    fill_text(100000);
    assert_int_equal(unpack(make(100000, 17, true, false), 100000), 0);
    assert_int_equal(unpack(make(100000, 16, true, false), 100000), FTX_EPROTO);
}

static void refuses_more_than_an_extent(void **state)
{
    (void)state;
    fill_text(FTX_EXTENT_MAX + 1);
    size_t size = make(FTX_EXTENT_MAX + 1, 21, true, false);
    assert_int_equal(unpack(size, FTX_EXTENT_MAX + 1), FTX_EPROTO);
}

static void refuses_two_frames(void **state)
{
    (void)state;
    fill_text(5000);
    size_t size = make(5000, 20, true, false);
    memcpy(frame + size, frame, size);
    assert_int_equal(unpack(2 * size, 5000), FTX_EPROTO);
    assert_int_equal(unpack(2 * size, 10000), FTX_EPROTO);
    assert_int_equal(unpack(size + 1, 5000), FTX_EPROTO);
}

static void refuses_every_cut(void **state)
{
    (void)state;
    fill_text(5000);
    size_t size = make(5000, 20, true, true);
    assert_int_equal(unpack(size, 5000), 0);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(unpack(cut, 5000), FTX_EPROTO);
}

static void refuses_what_is_no_frame(void **state)
{
    (void)state;
    static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 'n', 'o'};
    fill_noise(frame, 1000);
    assert_int_equal(unpack(1000, 5000), FTX_EPROTO);
    memset(frame, 0, 1000);
    assert_int_equal(unpack(1000, 5000), FTX_EPROTO);
    memcpy(frame, skippable, sizeof skippable);
    assert_int_equal(unpack(sizeof skippable, 5000), FTX_EPROTO);
    fill_text(5000);
    size_t size = make(5000, 20, true, false);
    for (uint8_t old = 0x22; old < 0x28; old++) { /* formats of the past */
        frame[0] = old;
        assert_int_equal(unpack(size, 5000), FTX_EPROTO);
    }
}

static void refuses_damage(void **state)
{
    (void)state;
    fill_text(5000);
    size_t size = make(5000, 20, true, true); /* its checksum tells what its form does not */
    size_t refused = 0;
    for (size_t bit = 0; bit < 8 * size; bit++) {
        frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
        refused += unpack(size, 5000) != 0; /* else it looks at what came out */
        frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_in_range(refused, 8 * size - 16, 8 * size); /* some bits tell nothing */
}

/* -- an extent in its record -- */

static uint64_t clock_ns;

static uint64_t tick(void)
{
    return clock_ns += 1000;
}

static struct ftx_packing pack(int level, bool sample, size_t size)
{
    struct ftx_packing packing = {.level = (uint8_t)level, .sample = sample};
    struct ftx_packer packer = {codec, tick};
    memcpy(frame, raw, size);
    size_t now = ftx_pack_extent(&packing, &packer, frame, size);
    if (packing.after) {
        assert_int_equal(now, packing.after);
        assert_int_equal(unpack(now, size), 0);
    } else {
        assert_int_equal(now, size);
        assert_memory_equal(frame, raw, size);
    }
    return packing;
}

static void an_extent_is_packed_in_its_place(void **state)
{
    (void)state;
    fill_text(FTX_EXTENT_MAX);
    struct ftx_packing packing = pack(3, false, FTX_EXTENT_MAX);
    assert_true(packing.tried && packing.after < FTX_EXTENT_MAX / 2);
    assert_int_equal(packing.ns, 1000);
    assert_true(pack(3, true, FTX_EXTENT_MAX).after == packing.after);
    assert_true(pack(1, true, FTX_PACK_SAMPLE).after > 0);
    packing = pack(0, true, FTX_EXTENT_MAX);
    assert_false(packing.tried || packing.after || packing.ns);
}

static void what_does_not_shrink_stays_as_it_is(void **state)
{
    (void)state;
    fill_noise(raw, 100000);
    struct ftx_packing packing = pack(3, false, 100000);
    assert_true(packing.tried && packing.after == 0 && packing.ns == 1000);
    fill_text(3000); /* saves less than 5 % */
    packing = pack(3, false, 100000);
    assert_true(packing.tried && packing.after == 0);
    fill_text(20000);
    assert_true(pack(3, false, 100000).after > 0);
}

static void a_sample_of_the_middle_decides(void **state)
{
    (void)state;
    size_t size = 200000, middle = (size - FTX_PACK_SAMPLE) / 2;
    fill_text(size);
    fill_noise(raw + middle, FTX_PACK_SAMPLE);
    assert_false(pack(3, true, size).tried);
    assert_true(pack(3, false, size).after > 0);
    fill_noise(raw, size);
    memset(raw + middle, 'x', FTX_PACK_SAMPLE);
    struct ftx_packing packing = pack(3, true, size);
    assert_true(packing.tried && packing.after > 0);
}

static void without_a_codec_nothing_is_packed(void **state)
{
    (void)state;
    struct ftx_packing packing = {.level = 3};
    struct ftx_packer none = {NULL, tick}, no_clock = {codec, NULL};
    fill_text(5000);
    assert_int_equal(ftx_pack_extent(&packing, NULL, raw, 5000), 5000);
    assert_int_equal(ftx_pack_extent(&packing, &none, raw, 5000), 5000);
    assert_false(packing.tried);
    assert_true(ftx_pack_extent(&packing, &no_clock, raw, 5000) < 5000);
    assert_int_equal(packing.ns, 0);
}

static int open_codec(void **state)
{
    (void)state;
    codec = ftx_codec_new();
    return codec ? 0 : -1;
}

static int close_codec(void **state)
{
    (void)state;
    ftx_codec_free(codec);
    ftx_codec_free(NULL);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_comes_back),
        cmocka_unit_test(packs_nothing_that_would_be_longer),
        cmocka_unit_test(refuses_another_content_size),
        cmocka_unit_test(refuses_a_frame_that_does_not_say_its_size),
        cmocka_unit_test(refuses_a_window_that_is_not_the_content),
        cmocka_unit_test(refuses_more_than_an_extent),
        cmocka_unit_test(refuses_two_frames),
        cmocka_unit_test(refuses_every_cut),
        cmocka_unit_test(refuses_what_is_no_frame),
        cmocka_unit_test(refuses_damage),
        cmocka_unit_test(an_extent_is_packed_in_its_place),
        cmocka_unit_test(what_does_not_shrink_stays_as_it_is),
        cmocka_unit_test(a_sample_of_the_middle_decides),
        cmocka_unit_test(without_a_codec_nothing_is_packed),
    };
    return cmocka_run_group_tests(tests, open_codec, close_codec);
}
