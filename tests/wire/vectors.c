/* SPDX-License-Identifier: MIT */
/* Our bytes are those of tests/vectors: each message, and a record plain and sealed, across REKEYs.
 */
#include "tests/wire/golden.h"
#include "tests/wire/samples.h"
#include "transport/base/hash.h"
#include "transport/crypto/record.h"
#include "transport/session/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { VECTOR_MAX = 1024 };

static size_t read_vector(const char *folder, const char *name, uint8_t out[VECTOR_MAX])
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return golden_read(path, out, VECTOR_MAX);
}

static void messages_are_the_golden_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        uint8_t golden[VECTOR_MAX], bytes[SAMPLE_MAX];
        size_t size = read_vector("messages", sample_names[i], golden);
        struct ftx_message m = sample_message(i), back;
        assert_int_equal(sample_encode(&m, bytes, sizeof bytes), size);
        assert_memory_equal(bytes, golden, size);
        size_t offset = 0;
        assert_int_equal(ftx_message_decode(golden, size, &offset, &back), 0);
        assert_int_equal(offset, size);
        assert_int_equal(sample_encode(&back, bytes, sizeof bytes), size);
        assert_memory_equal(bytes, golden, size);
    }
}

/* Any encoder may make another frame of it: only what is in it is golden. */
static void compressed_extents_hold_the_golden_bytes(void **state)
{
    (void)state;
    static const char *const names[] = {"extent-zstd", "fetched-zstd"};
    char text[VECTOR_MAX];
    size_t length = 0;
    for (int line = 0; line < 24; line++)
        length += (size_t)snprintf(text + length, sizeof text - length,
                                   "line %d of a file that shrinks\n", line);
    struct ftx_codec *codec = ftx_codec_new();
    assert_non_null(codec);
    for (size_t i = 0; i < 2; i++) {
        uint8_t golden[VECTOR_MAX], hash[FTX_HASH_SIZE];
        size_t size = read_vector("messages", names[i], golden), offset = 0;
        const uint8_t *raw;
        struct ftx_message m;
        assert_int_equal(ftx_message_decode(golden, size, &offset, &m), 0);
        assert_int_equal(offset, size);
        assert_int_equal(m.type, i ? FTX_MSG_FETCHED : FTX_MSG_EXTENT);
        assert_int_equal(m.as.content.encoding, FTX_ENCODING_ZSTD);
        assert_int_equal(m.as.content.extent.length, length);
        assert_int_equal(
            ftx_codec_unpack(codec, m.as.content.data, m.as.content.data_size, length, &raw), 0);
        assert_memory_equal(raw, text, length);
        ftx_hash(raw, length, hash);
        assert_memory_equal(hash, m.as.content.extent.hash, sizeof hash);
    }
    ftx_codec_free(codec);
}

static void a_record_holds_the_golden_messages(void **state)
{
    (void)state;
    static const enum ftx_message_type mixed[] = {FTX_MSG_OP,   FTX_MSG_EXTENT, FTX_MSG_HOLE,
                                                  FTX_MSG_SEAL, FTX_MSG_ACK,    FTX_MSG_PING};
    uint8_t golden[VECTOR_MAX];
    size_t size = read_vector("records", "mixed-plain", golden), offset = 0;
    for (size_t i = 0; i < sizeof mixed / sizeof *mixed; i++) {
        struct ftx_message m;
        assert_int_equal(ftx_message_decode(golden, size, &offset, &m), 0);
        assert_int_equal(m.type, mixed[i]);
    }
    assert_int_equal(offset, size);
}

static void sealed_as(enum ftx_cipher cipher, const char *prefix)
{
    static const uint64_t numbers[] = {0, 1023, 1024, 2050};
    uint8_t plain[VECTOR_MAX], golden[VECTOR_MAX], record[VECTOR_MAX], secret[32];
    size_t plain_size = read_vector("records", "mixed-plain", plain);
    for (size_t i = 0; i < sizeof secret; i++)
        secret[i] = (uint8_t)i;
    struct ftx_record_key key, taken;
    ftx_record_key_init(&key, cipher, secret);
    size_t next = 0;
    for (uint64_t number = 0; next < sizeof numbers / sizeof *numbers; number++) {
        assert_int_equal(ftx_record_key_take(&key, &taken), 0);
        if (number == numbers[next]) {
            char name[32];
            snprintf(name, sizeof name, "%s-%u", prefix, (unsigned)number);
            size_t size = read_vector("records", name, golden);
            assert_int_equal(size, FTX_RECORD_HEAD + plain_size + FTX_TAG_SIZE);
            memcpy(record + FTX_RECORD_HEAD, plain, plain_size);
            assert_int_equal(ftx_record_seal(&taken, record, plain_size), 0);
            assert_memory_equal(record, golden, size);
            size_t opened;
            assert_int_equal(ftx_record_open(&taken, golden, size, &opened), 0);
            assert_int_equal(opened, plain_size);
            assert_memory_equal(golden + FTX_RECORD_HEAD, plain, plain_size);
            next++;
        }
        ftx_record_key_close(&taken);
    }
    ftx_record_key_close(&key);
}

static void sealed_records_are_the_golden_ones(void **state)
{
    (void)state;
    sealed_as(FTX_CIPHER_CHACHA20_POLY1305, "mixed");
    sealed_as(FTX_CIPHER_AES_256_GCM, "mixed-aes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_the_golden_ones),
        cmocka_unit_test(compressed_extents_hold_the_golden_bytes),
        cmocka_unit_test(a_record_holds_the_golden_messages),
        cmocka_unit_test(sealed_records_are_the_golden_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
