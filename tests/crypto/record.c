/* SPDX-License-Identifier: MIT */
/* Records of libcrypto against libsodium, their sizes, their keys, and what must not open. */
#include "transport/crypto/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "transport/base/err.h"

enum { OVERHEAD = FTX_RECORD_HEAD + FTX_TAG_SIZE };

static const uint8_t secret[32] = "thirty-two bytes of a secret key";
static const size_t sizes[] = {1, 2, 63, 64, 65, 4096, FTX_EXTENT_MAX, FTX_RECORD_PLAIN_MAX};

static uint8_t *new_record(size_t plain_size)
{
    uint8_t *record = malloc(OVERHEAD + plain_size);
    assert_non_null(record);
    randombytes_buf_deterministic(record + FTX_RECORD_HEAD, plain_size, secret);
    return record;
}

/* Head and nonce as docs/protocol.md 4 writes them. */
static void spell(uint64_t number, size_t plain_size, uint8_t head[4], uint8_t nonce[12])
{
    for (int i = 0; i < 4; i++) {
        head[i] = (uint8_t)((plain_size + FTX_TAG_SIZE) >> 8 * i);
        nonce[i] = 0;
    }
    for (int i = 0; i < 8; i++)
        nonce[4 + i] = (uint8_t)(number >> 8 * i);
}

/* Seals with libsodium what stands at record + FTX_RECORD_HEAD. */
static void seal_with_sodium(const struct ftx_record_key *key, uint8_t *record, size_t plain_size)
{
    uint8_t nonce[12];
    spell(key->number, plain_size, record, nonce);
    crypto_aead_chacha20poly1305_ietf_encrypt(record + FTX_RECORD_HEAD, NULL,
                                              record + FTX_RECORD_HEAD, plain_size, record,
                                              FTX_RECORD_HEAD, NULL, nonce, key->key);
}

static struct ftx_record_key key_at(uint64_t number)
{
    struct ftx_record_key key;
    ftx_record_key_init(&key, secret);
    assert_int_equal(key.number, 0);
    key.number = number;
    return key;
}

static void sodium_opens_what_we_seal(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct ftx_record_key key = key_at(0x0123456789abcdef + i);
        uint8_t *record = new_record(sizes[i]), *plain = new_record(sizes[i]);
        uint8_t head[4], nonce[12];
        assert_int_equal(ftx_record_seal(&key, record, sizes[i]), 0);
        spell(key.number, sizes[i], head, nonce);
        assert_memory_equal(record, head, 4);
        assert_int_equal(ftx_record_size(record), OVERHEAD + sizes[i]);
        assert_int_equal(crypto_aead_chacha20poly1305_ietf_decrypt(
                             record + FTX_RECORD_HEAD, NULL, NULL, record + FTX_RECORD_HEAD,
                             sizes[i] + FTX_TAG_SIZE, head, 4, nonce, secret),
                         0);
        assert_memory_equal(record + FTX_RECORD_HEAD, plain + FTX_RECORD_HEAD, sizes[i]);
        free(record);
        free(plain);
    }
}

static void we_open_what_sodium_seals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct ftx_record_key key = key_at(i);
        uint8_t *record = new_record(sizes[i]), *plain = new_record(sizes[i]);
        size_t size;
        seal_with_sodium(&key, record, sizes[i]);
        assert_int_equal(ftx_record_open(&key, record, OVERHEAD + sizes[i], &size), 0);
        assert_int_equal(size, sizes[i]);
        assert_memory_equal(record + FTX_RECORD_HEAD, plain + FTX_RECORD_HEAD, sizes[i]);
        free(record);
        free(plain);
    }
}

static void key_changes_after_1024_records(void **state)
{
    (void)state;
    struct ftx_record_key key, taken;
    uint8_t expected[32], box[32 + 16], nonce[12], zeros[32] = {0};
    memcpy(expected, secret, sizeof expected);
    ftx_record_key_init(&key, secret);
    for (uint64_t number = 0; number < 3 * 1024 + 2; number++) {
        if (number > 0 && number % 1024 == 0) {
            memset(nonce, 0, 4);
            memset(nonce + 4, 0xff, 8);
            crypto_aead_chacha20poly1305_ietf_encrypt(box, NULL, zeros, 32, NULL, 0, NULL, nonce,
                                                      expected);
            memcpy(expected, box, sizeof expected);
        }
        ftx_record_key_take(&key, &taken);
        assert_int_equal(taken.number, number);
        assert_memory_equal(taken.key, expected, sizeof expected);
        ftx_record_key_close(&taken);
    }
    ftx_record_key_close(&key);
    assert_true(sodium_is_zero((const uint8_t *)&key, sizeof key));
}

static void flipped_bit_fails_and_leaves_no_plain_text(void **state)
{
    (void)state;
    enum { PLAIN = 40, WHOLE = OVERHEAD + PLAIN };
    struct ftx_record_key key = key_at(7);
    uint8_t *sealed = new_record(PLAIN);
    assert_int_equal(ftx_record_seal(&key, sealed, PLAIN), 0);
    for (size_t bit = 0; bit < 8 * WHOLE; bit++) {
        uint8_t copy[WHOLE];
        size_t size = 99;
        memcpy(copy, sealed, WHOLE);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(ftx_record_open(&key, copy, WHOLE, &size),
                         bit / 8 < FTX_RECORD_HEAD ? FTX_EPROTO : FTX_EAUTH);
        assert_int_equal(size, 99);
        if (bit / 8 >= FTX_RECORD_HEAD)
            assert_true(sodium_is_zero(copy + FTX_RECORD_HEAD, PLAIN));
    }
    free(sealed);
}

/* A cut record whose head was made to agree: the length is authenticated, not only checked. */
static void changed_length_fails(void **state)
{
    (void)state;
    struct ftx_record_key key = key_at(0);
    uint8_t *record = new_record(100);
    size_t size;
    assert_int_equal(ftx_record_seal(&key, record, 100), 0);
    record[0]--;
    assert_int_equal(ftx_record_open(&key, record, OVERHEAD + 99, &size), FTX_EAUTH);
    free(record);
}

static void another_number_or_key_fails(void **state)
{
    (void)state;
    struct ftx_record_key key = key_at(5), next = key_at(6), other = key_at(5);
    uint8_t *record = new_record(8), copy[OVERHEAD + 8];
    size_t size;
    other.key[31] ^= 1;
    assert_int_equal(ftx_record_seal(&key, record, 8), 0);
    memcpy(copy, record, sizeof copy);
    assert_int_equal(ftx_record_open(&next, copy, sizeof copy, &size), FTX_EAUTH);
    memcpy(copy, record, sizeof copy);
    assert_int_equal(ftx_record_open(&other, copy, sizeof copy, &size), FTX_EAUTH);
    free(record);
}

static void size_comes_from_the_head_within_limits(void **state)
{
    (void)state;
    static const struct {
        uint8_t head[4];
        size_t size;
    } cases[] = {
        {{0, 0, 0, 0}, 0},
        {{15, 0, 0, 0}, 0},
        {{16, 0, 0, 0}, 0},
        {{17, 0, 0, 0}, 4 + 17},
        {{0x10, 0x10, 0x10, 0}, FTX_RECORD_MAX},
        {{0x11, 0x10, 0x10, 0}, 0},
        {{0, 0, 0, 1}, 0},
        {{0xff, 0xff, 0xff, 0xff}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(ftx_record_size(cases[i].head), cases[i].size);
}

static void rejects_authentic_records_out_of_range(void **state)
{
    (void)state;
    const size_t bad[] = {0, FTX_RECORD_PLAIN_MAX + 1};
    struct ftx_record_key key = key_at(0);
    for (size_t i = 0; i < 2; i++) {
        uint8_t *record = new_record(bad[i]);
        size_t size;
        seal_with_sodium(&key, record, bad[i]);
        assert_int_equal(ftx_record_open(&key, record, OVERHEAD + bad[i], &size), FTX_EPROTO);
        free(record);
    }
}

static void rejects_sizes_other_than_the_heads(void **state)
{
    (void)state;
    struct ftx_record_key key = key_at(0);
    uint8_t record[OVERHEAD + 9] = {0};
    size_t size;
    assert_int_equal(ftx_record_seal(&key, record, 8), 0);
    for (size_t n = 0; n <= sizeof record; n++)
        if (n != OVERHEAD + 8)
            assert_int_equal(ftx_record_open(&key, record, n, &size), FTX_EPROTO);
    assert_int_equal(ftx_record_open(&key, record, OVERHEAD + 8, &size), 0);
}

static int init(void **state)
{
    (void)state;
    return sodium_init() < 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sodium_opens_what_we_seal),
        cmocka_unit_test(we_open_what_sodium_seals),
        cmocka_unit_test(key_changes_after_1024_records),
        cmocka_unit_test(flipped_bit_fails_and_leaves_no_plain_text),
        cmocka_unit_test(changed_length_fails),
        cmocka_unit_test(another_number_or_key_fails),
        cmocka_unit_test(size_comes_from_the_head_within_limits),
        cmocka_unit_test(rejects_authentic_records_out_of_range),
        cmocka_unit_test(rejects_sizes_other_than_the_heads),
    };
    return cmocka_run_group_tests(tests, init, NULL);
}
