/* SPDX-License-Identifier: MIT */
/* What the decoder takes and what it refuses: every cut, every field out of range, a body with one
 * byte more. */
#include "tests/wire/samples.h"
#include "transport/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct ftx_message untouched = {.type = FTX_MSG_PONG, .as.token = 0x5a5a};

/* Decodes exactly these bytes (in a block of their size, for the sanitizers); refused: nothing was
 * written. */
static int decode(const uint8_t *bytes, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, size);
    struct ftx_message m = untouched;
    size_t offset = 0;
    int err = ftx_message_decode(exact, size, &offset, &m);
    if (err) {
        assert_int_equal(offset, 0);
        assert_memory_equal(&m, &untouched, sizeof m);
    }
    free(exact);
    return err;
}

static void set_length(uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < 3; i++)
        bytes[1 + i] = (uint8_t)(length >> (8 * i));
}

static void refuses_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        uint8_t bytes[SAMPLE_MAX];
        struct ftx_message m = sample_message(i);
        size_t size = sample_encode(&m, bytes, sizeof bytes);
        assert_int_equal(decode(bytes, size), 0);
        for (size_t cut = 0; cut < size; cut++)
            assert_int_equal(decode(bytes, cut), FTX_EPROTO);
    }
}

/* Bodies cut to each length, with a head that says so: only those that are whole by themselves
 * pass. */
static void refuses_every_short_body(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        uint8_t bytes[SAMPLE_MAX];
        struct ftx_message m = sample_message(i);
        size_t size = sample_encode(&m, bytes, sizeof bytes);
        for (size_t cut = FTX_MESSAGE_HEAD; cut < size; cut++) {
            set_length(bytes, cut - FTX_MESSAGE_HEAD);
            size_t body = cut - FTX_MESSAGE_HEAD;
            bool whole = (m.type == FTX_MSG_HAVE && body == 12 + FTX_HAVE_ENTRY) ||
                         (m.type == FTX_MSG_MISSING && body == 12 + FTX_RANGE_ENTRY) ||
                         (m.type == FTX_MSG_OP && body > 8) ||
                         (m.type == FTX_MSG_ADDRESSES && body % FTX_ADDRESS_ENTRY == 0) ||
                         (m.type == FTX_MSG_SEAL && body >= 20);
            assert_int_equal(decode(bytes, cut), whole ? 0 : FTX_EPROTO);
        }
    }
}

static void refuses_a_body_with_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        uint8_t bytes[SAMPLE_MAX + 1];
        struct ftx_message m = sample_message(i);
        size_t size = sample_encode(&m, bytes, SAMPLE_MAX);
        bytes[size] = 0;
        set_length(bytes, size + 1 - FTX_MESSAGE_HEAD);
        bool longer = m.type == FTX_MSG_OP || m.type == FTX_MSG_SEAL; /* their last field is open */
        assert_int_equal(decode(bytes, size + 1), longer ? 0 : FTX_EPROTO);
    }
}

static void stops_at_the_end_of_the_message(void **state)
{
    (void)state;
    uint8_t bytes[SAMPLES * SAMPLE_MAX];
    size_t size = 0, offset = 0;
    for (size_t i = 0; i < SAMPLES; i++) {
        struct ftx_message m = sample_message(i);
        size += sample_encode(&m, bytes + size, sizeof bytes - size);
    }
    for (size_t i = 0; i < SAMPLES; i++) {
        struct ftx_message m;
        assert_int_equal(ftx_message_decode(bytes, size, &offset, &m), 0);
        assert_int_equal(m.type, i + 1);
    }
    assert_int_equal(offset, size);
}

static void refuses_unknown_types(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        uint8_t bytes[FTX_MESSAGE_HEAD] = {(uint8_t)type};
        bool empty = type == FTX_MSG_HAVE_END || type == FTX_MSG_ADDRESSES;
        assert_int_equal(decode(bytes, sizeof bytes), empty ? 0 : FTX_EPROTO);
    }
}

/* One field of a sample set to a value. */
struct field {
    enum ftx_message_type type;
    size_t at, size; /* behind the head */
    uint64_t value;
    bool taken;
};

static void refuses_fields_out_of_range(void **state)
{
    (void)state;
    enum { LAST = 8 + 4 };
    static const struct field fields[] = {
        {FTX_MSG_HAVE, LAST, 8, INT64_MAX - 11, true},
        {FTX_MSG_HAVE, LAST, 8, INT64_MAX - 10, false},
        {FTX_MSG_HAVE, LAST, 8, UINT64_MAX, false},
        {FTX_MSG_HAVE, LAST + 8, 8, 0, false},
        {FTX_MSG_HAVE, LAST + 8, 8, FTX_EXTENT_MAX, true},
        {FTX_MSG_HAVE, LAST + 8, 8, FTX_EXTENT_MAX + 1, false},
        {FTX_MSG_HAVE, LAST + 16, 1, 0, false},
        {FTX_MSG_HAVE, LAST + 16, 1, 3, false},
        {FTX_MSG_HAVE, LAST + 16, 1, FTX_EXTENT_HOLE, false}, /* with a hash */
        {FTX_MSG_HAVE, LAST + 33 + 8, 8, INT64_MAX - 4096, true},
        {FTX_MSG_HAVE, LAST + 33 + 8, 8, INT64_MAX - 4095, false},
        {FTX_MSG_HAVE, LAST + 33 + 17, 1, 1, false}, /* a hole's hash */
        {FTX_MSG_EXTENT, LAST, 8, INT64_MAX - 11, true},
        {FTX_MSG_EXTENT, LAST, 8, INT64_MAX - 10, false},
        {FTX_MSG_EXTENT, LAST, 8, UINT64_MAX - 5, false},
        {FTX_MSG_EXTENT, LAST + 8, 8, INT64_MAX, true},
        {FTX_MSG_EXTENT, LAST + 8, 8, (uint64_t)INT64_MAX + 1, false},
        {FTX_MSG_EXTENT, LAST + 16, 4, 10, false}, /* raw_length is not what follows */
        {FTX_MSG_EXTENT, LAST + 16, 4, 12, false},
        {FTX_MSG_EXTENT, LAST + 16, 4, FTX_EXTENT_MAX, false},
        {FTX_MSG_EXTENT, LAST + 20, 1, FTX_ENCODING_ZSTD, false}, /* not shorter than raw_length */
        {FTX_MSG_EXTENT, LAST + 20, 1, 2, false},
        {FTX_MSG_HOLE, LAST, 8, UINT64_MAX, false},
        {FTX_MSG_HOLE, LAST + 8, 8, (uint64_t)INT64_MAX + 1, false},
        {FTX_MSG_HOLE, LAST + 16, 8, 0, false},
        {FTX_MSG_HOLE, LAST + 16, 8, INT64_MAX - 8192, true},
        {FTX_MSG_HOLE, LAST + 16, 8, INT64_MAX - 8191, false},
        {FTX_MSG_HOLE, LAST + 16, 8, UINT64_MAX, false},
        {FTX_MSG_SIZE, LAST, 8, (uint64_t)INT64_MAX + 1, false},
        {FTX_MSG_SEAL, LAST, 8, INT64_MAX, true},
        {FTX_MSG_SEAL, LAST, 8, (uint64_t)INT64_MAX + 1, false},
        {FTX_MSG_ACK, 8, 8, 300, true},
        {FTX_MSG_ACK, 8, 8, 301, false},
        {FTX_MSG_MISSING, LAST + 8, 8, 0, false},
        {FTX_MSG_MISSING, LAST + 16, 8, UINT64_MAX, false},
        {FTX_MSG_REFUSED, 8, 1, 0, false},
        {FTX_MSG_REFUSED, 8, 1, 10, true},
        {FTX_MSG_REFUSED, 8, 1, 11, false},
        {FTX_MSG_WANT, 16, 8, 0, false},
        {FTX_MSG_WANT, 8, 8, INT64_MAX, false},
        {FTX_MSG_GOODBYE, 0, 1, 0, false},
        {FTX_MSG_GOODBYE, 0, 1, 3, true},
        {FTX_MSG_GOODBYE, 0, 1, 4, false},
        {FTX_MSG_FETCH, 8, 8, INT64_MAX - FTX_EXTENT_MAX, true},
        {FTX_MSG_FETCH, 8, 8, INT64_MAX - FTX_EXTENT_MAX + 1, false},
        {FTX_MSG_FETCH, 8, 8, UINT64_MAX, false},
        {FTX_MSG_FETCH, 16, 4, 0, false},
        {FTX_MSG_FETCH, 16, 4, 1, true},
        {FTX_MSG_FETCH, 16, 4, FTX_EXTENT_MAX + 1, false},
        {FTX_MSG_FETCH, 16, 4, UINT32_MAX, false},
        {FTX_MSG_FETCHED, 8, 8, INT64_MAX - 11, true},
        {FTX_MSG_FETCHED, 8, 8, INT64_MAX - 10, false},
        {FTX_MSG_FETCHED, 8, 8, UINT64_MAX - 5, false},
        {FTX_MSG_FETCHED, 16, 4, 0, false}, /* length is not what follows */
        {FTX_MSG_FETCHED, 16, 4, 10, false},
        {FTX_MSG_FETCHED, 16, 4, 12, false},
        {FTX_MSG_FETCHED, 20, 1, 0, false},
        {FTX_MSG_FETCHED, 20, 1, FTX_EXTENT_HOLE, false}, /* with data */
        {FTX_MSG_FETCHED, 20, 1, FTX_EXTENT_GONE, false},
        {FTX_MSG_FETCHED, 20, 1, 4, false},
        {FTX_MSG_FETCHED, 21, 1, FTX_ENCODING_ZSTD, false}, /* not shorter than the length */
        {FTX_MSG_FETCHED, 21, 1, 2, false},
        {FTX_MSG_ADDRESSES, 16, 2, 1, true},
        {FTX_MSG_ADDRESSES, 16, 2, 0, false},
        {FTX_MSG_ADDRESSES, 34, 2, 0, false},
        {FTX_MSG_DIGEST, 8, 1, 0, false},
        {FTX_MSG_DIGEST, 8, 1, 1, true},
        {FTX_MSG_DIGEST, 8, 1, 3, false},
        {FTX_MSG_DIGESTED, 8, 1, 3, false},
        {FTX_MSG_DIGESTED, 9, 1, 0, false},
        {FTX_MSG_DIGESTED, 9, 1, FTX_DIGEST_GONE, false}, /* with a hash */
        {FTX_MSG_DIGESTED, 9, 1, 5, false},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const struct field *field = &fields[i];
        uint8_t bytes[SAMPLE_MAX];
        struct ftx_message m = sample_message((size_t)field->type - 1);
        size_t size = sample_encode(&m, bytes, sizeof bytes);
        for (size_t k = 0; k < field->size; k++)
            bytes[FTX_MESSAGE_HEAD + field->at + k] = (uint8_t)(field->value >> (8 * k));
        if (decode(bytes, size) != (field->taken ? 0 : FTX_EPROTO))
            fail_msg("row %zu: type %d, byte %zu", i, (int)field->type, field->at);
    }
}

/* An answer that says only where, and of what kind; perhaps with a hash or a byte of data. */
static int decode_answer(uint8_t kind, uint64_t offset, uint64_t length, bool hash, bool data)
{
    uint8_t bytes[SAMPLE_MAX] = {0};
    struct ftx_message m = {.type = FTX_MSG_FETCHED};
    m.as.content.extent.stream = 5;
    m.as.content.extent.offset = offset;
    m.as.content.extent.length = length;
    m.as.content.extent.kind = kind;
    m.as.content.extent.hash[FTX_HASH_SIZE - 1] = hash;
    m.as.content.data_size = data;
    size_t size = ftx_message_encode(&m, bytes, sizeof bytes);
    assert_int_equal(size, FTX_FETCHED_HEAD);
    return decode(bytes, size + data);
}

static void answers_without_data_have_nothing_but_their_range(void **state)
{
    (void)state;
    for (uint8_t kind = 0; kind < 6; kind++) {
        int good = kind == FTX_EXTENT_HOLE || kind == FTX_EXTENT_GONE ? 0 : FTX_EPROTO;
        assert_int_equal(decode_answer(kind, 0, 1, false, false), kind == 1 ? FTX_EPROTO : good);
        assert_int_equal(decode_answer(kind, 0, FTX_EXTENT_MAX, false, false), good);
        assert_int_equal(decode_answer(kind, INT64_MAX - 9, 9, false, false), good);
        assert_int_equal(decode_answer(kind, INT64_MAX - 9, 10, false, false), FTX_EPROTO);
        assert_int_equal(decode_answer(kind, 0, 0, false, false), FTX_EPROTO);
        assert_int_equal(decode_answer(kind, 0, FTX_EXTENT_MAX + 1, false, false), FTX_EPROTO);
        assert_int_equal(decode_answer(kind, 0, 2, true, false), FTX_EPROTO);
        assert_int_equal(decode_answer(kind, 0, 2, false, true), FTX_EPROTO);
    }
}

static void an_answer_points_to_data_only_if_it_has_some(void **state)
{
    (void)state;
    uint8_t bytes[SAMPLE_MAX];
    struct ftx_message m = sample_message(FTX_MSG_FETCHED - 1), back;
    size_t offset = 0, size = sample_encode(&m, bytes, sizeof bytes);
    assert_int_equal(ftx_message_decode(bytes, size, &offset, &back), 0);
    assert_ptr_equal(back.as.content.data, bytes + FTX_FETCHED_HEAD);
    assert_int_equal(back.as.content.data_size, back.as.content.extent.length);
    assert_int_equal(back.as.content.extent.version, 0);
    assert_int_equal(back.as.content.extent.size_now, 0);
    m.as.content.extent.kind = FTX_EXTENT_GONE;
    memset(m.as.content.extent.hash, 0, FTX_HASH_SIZE);
    m.as.content.data_size = 0;
    offset = 0;
    size = sample_encode(&m, bytes, sizeof bytes);
    assert_int_equal(ftx_message_decode(bytes, size, &offset, &back), 0);
    assert_null(back.as.content.data);
    assert_int_equal(back.as.content.data_size, 0);
    assert_int_equal(back.as.content.extent.length, 11);
}

/* The sample with `data_size` bytes of data for `length`, encoded like this. */
static int decode_encoded(enum ftx_message_type type, uint8_t encoding, uint64_t length,
                          size_t data_size)
{
    static const uint8_t zeros[SAMPLE_MAX];
    uint8_t bytes[2 * SAMPLE_MAX];
    struct ftx_message m = sample_message((size_t)type - 1), back;
    m.as.content.encoding = encoding;
    m.as.content.extent.length = length;
    m.as.content.data = zeros;
    m.as.content.data_size = data_size;
    size_t size = sample_encode(&m, bytes, sizeof bytes), offset = 0;
    int err = decode(bytes, size);
    if (err)
        return err;
    assert_int_equal(ftx_message_decode(bytes, size, &offset, &back), 0);
    assert_int_equal(back.as.content.encoding, encoding);
    assert_int_equal(back.as.content.extent.length, length);
    assert_int_equal(back.as.content.data_size, data_size);
    assert_int_equal(ftx_message_saved(&back), length - data_size);
    return 0;
}

static void encoded_data_is_shorter_than_what_it_holds(void **state)
{
    (void)state;
    static const enum ftx_message_type types[] = {FTX_MSG_EXTENT, FTX_MSG_FETCHED};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(decode_encoded(types[i], FTX_ENCODING_ZSTD, 200, 199), 0);
        assert_int_equal(decode_encoded(types[i], FTX_ENCODING_ZSTD, FTX_EXTENT_MAX, 1), 0);
        assert_int_equal(decode_encoded(types[i], FTX_ENCODING_ZSTD, 200, 200), FTX_EPROTO);
        assert_int_equal(decode_encoded(types[i], FTX_ENCODING_ZSTD, 200, 201), FTX_EPROTO);
        assert_int_equal(decode_encoded(types[i], FTX_ENCODING_ZSTD, 200, 0), FTX_EPROTO);
        assert_int_equal(decode_encoded(types[i], FTX_ENCODING_ZSTD, 0, 0), FTX_EPROTO);
        assert_int_equal(decode_encoded(types[i], FTX_ENCODING_ZSTD, FTX_EXTENT_MAX + 1, 9),
                         FTX_EPROTO);
        assert_int_equal(decode_encoded(types[i], FTX_ENCODING_RAW, 200, 199), FTX_EPROTO);
        assert_int_equal(decode_encoded(types[i], FTX_ENCODING_RAW, 200, 200), 0);
        assert_int_equal(decode_encoded(types[i], 2, 200, 200), FTX_EPROTO);
    }
}

/* A message whose body is `head` bytes of a sample and then n zeros. */
static int decode_long(enum ftx_message_type type, size_t head, size_t n)
{
    struct ftx_message m = sample_message((size_t)type - 1);
    uint8_t *bytes = calloc(1, SAMPLE_MAX + n);
    assert_non_null(bytes);
    sample_encode(&m, bytes, SAMPLE_MAX);
    memset(bytes + FTX_MESSAGE_HEAD + head, 0, SAMPLE_MAX - FTX_MESSAGE_HEAD - head);
    size_t length_at = type == FTX_MSG_EXTENT ? 28 : 16;
    if (type == FTX_MSG_EXTENT || type == FTX_MSG_FETCHED)
        for (size_t i = 0; i < 4; i++)
            bytes[FTX_MESSAGE_HEAD + length_at + i] = (uint8_t)(n >> (8 * i));
    set_length(bytes, head + n);
    int err = decode(bytes, FTX_MESSAGE_HEAD + head + n);
    free(bytes);
    return err;
}

/* `n` entries like the sample's first. */
static int decode_entries(enum ftx_message_type type, size_t entry, size_t n)
{
    struct ftx_message m = sample_message((size_t)type - 1);
    size_t size = FTX_MESSAGE_HEAD + (type == FTX_MSG_ADDRESSES ? 0u : 12u) + n * entry;
    uint8_t *entries = malloc(n * entry), *bytes = malloc(size);
    assert_true(entries && bytes);
    for (size_t i = 0; i < n; i++)
        memcpy(entries + i * entry, m.as.list.entries, entry);
    m.as.list.entries = entries;
    m.as.list.n = (uint32_t)n;
    assert_int_equal(ftx_message_encode(&m, bytes, size), size);
    int err = decode(bytes, size);
    free(entries);
    free(bytes);
    return err;
}

static void refuses_more_than_the_limits(void **state)
{
    (void)state;
    assert_int_equal(decode_long(FTX_MSG_OP, 8, FTX_OP_MAX), 0);
    assert_int_equal(decode_long(FTX_MSG_OP, 8, FTX_OP_MAX + 1), FTX_EPROTO);
    assert_int_equal(decode_long(FTX_MSG_OP, 8, 0), FTX_EPROTO);
    assert_int_equal(decode_long(FTX_MSG_SEAL, 20, FTX_SEAL_ATTR_MAX), 0);
    assert_int_equal(decode_long(FTX_MSG_SEAL, 20, FTX_SEAL_ATTR_MAX + 1), FTX_EPROTO);
    assert_int_equal(decode_long(FTX_MSG_EXTENT, 49, FTX_EXTENT_MAX), 0);
    assert_int_equal(decode_long(FTX_MSG_EXTENT, 49, FTX_EXTENT_MAX + 1), FTX_EPROTO);
    assert_int_equal(decode_long(FTX_MSG_EXTENT, 49, 0), FTX_EPROTO);
    assert_int_equal(decode_long(FTX_MSG_FETCHED, 38, FTX_EXTENT_MAX), 0);
    assert_int_equal(decode_long(FTX_MSG_FETCHED, 38, FTX_EXTENT_MAX + 1), FTX_EPROTO);
    assert_int_equal(decode_long(FTX_MSG_FETCHED, 38, 0), FTX_EPROTO);
    assert_int_equal(decode_entries(FTX_MSG_ADDRESSES, FTX_ADDRESS_ENTRY, FTX_ADDRESSES_MAX), 0);
    assert_int_equal(decode_entries(FTX_MSG_ADDRESSES, FTX_ADDRESS_ENTRY, FTX_ADDRESSES_MAX + 1),
                     FTX_EPROTO);
    assert_int_equal(decode_entries(FTX_MSG_HAVE, FTX_HAVE_ENTRY, FTX_HAVE_MAX), 0);
    assert_int_equal(decode_entries(FTX_MSG_HAVE, FTX_HAVE_ENTRY, FTX_HAVE_MAX + 1), FTX_EPROTO);
    assert_int_equal(decode_entries(FTX_MSG_MISSING, FTX_RANGE_ENTRY, FTX_MISSING_MAX), 0);
    assert_int_equal(decode_entries(FTX_MSG_MISSING, FTX_RANGE_ENTRY, FTX_MISSING_MAX + 1),
                     FTX_EPROTO);
}

static void encodes_nothing_that_does_not_fit(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        uint8_t bytes[SAMPLE_MAX];
        struct ftx_message m = sample_message(i);
        size_t size = ftx_message_encode(&m, bytes, sizeof bytes);
        for (size_t capacity = 0; capacity < size; capacity++)
            assert_int_equal(ftx_message_encode(&m, bytes, capacity), 0);
        assert_int_equal(ftx_message_encode(&m, bytes, size), size);
    }
}

static void gives_back_every_entry(void **state)
{
    (void)state;
    struct ftx_message have = sample_message(FTX_MSG_HAVE - 1);
    struct ftx_message missing = sample_message(FTX_MSG_MISSING - 1);
    struct ftx_extent extent;
    struct ftx_range range;
    ftx_have_entry(&have, 0, &extent);
    assert_int_equal(extent.stream, 5);
    assert_int_equal(extent.version, 2);
    assert_int_equal(extent.length, 11);
    assert_int_equal(extent.kind, FTX_EXTENT_DATA);
    assert_int_equal(extent.hash[0], 0xdf);
    ftx_have_entry(&have, 1, &extent);
    assert_int_equal(extent.offset, 4096);
    assert_int_equal(extent.kind, FTX_EXTENT_HOLE);
    ftx_range_entry(&missing, 1, &range);
    assert_int_equal(range.offset, 1 << 20);
    assert_int_equal(range.length, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_every_cut),
        cmocka_unit_test(refuses_every_short_body),
        cmocka_unit_test(refuses_a_body_with_more),
        cmocka_unit_test(stops_at_the_end_of_the_message),
        cmocka_unit_test(refuses_unknown_types),
        cmocka_unit_test(refuses_fields_out_of_range),
        cmocka_unit_test(answers_without_data_have_nothing_but_their_range),
        cmocka_unit_test(an_answer_points_to_data_only_if_it_has_some),
        cmocka_unit_test(encoded_data_is_shorter_than_what_it_holds),
        cmocka_unit_test(refuses_more_than_the_limits),
        cmocka_unit_test(encodes_nothing_that_does_not_fit),
        cmocka_unit_test(gives_back_every_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
