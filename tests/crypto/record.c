/* SPDX-License-Identifier: MIT */
/* Records of libcrypto, with both ciphers: against libsodium, their sizes, their keys, and what must
 * not open. */
#include "transport/crypto/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <sodium.h>

#include "transport/base/err.h"

enum { OVERHEAD = FTX_RECORD_HEAD + FTX_TAG_SIZE };

enum { N_CIPHERS = 2, N_SIZES = 8 };

static const uint8_t secret[32] = "thirty-two bytes of a secret key";
static const enum ftx_cipher ciphers[N_CIPHERS] = {FTX_CIPHER_CHACHA20_POLY1305,
                                                   FTX_CIPHER_AES_256_GCM};
static const size_t sizes[N_SIZES] = {1, 2, 63, 64, 65, 4096, FTX_EXTENT_MAX, FTX_RECORD_PLAIN_MAX};

static uint8_t *new_record(size_t plain_size)
{
    uint8_t *record = malloc(OVERHEAD + plain_size);
    assert_non_null(record);
    randombytes_buf_deterministic(record + FTX_RECORD_HEAD, plain_size, secret);
    return record;
}

/* Head and nonce as docs/protocol.md 4 writes them. */
static void spell(enum ftx_cipher cipher, uint64_t number, size_t plain_size, uint8_t head[4],
                  uint8_t nonce[12])
{
    for (int i = 0; i < 4; i++) {
        head[i] = (uint8_t)((plain_size + FTX_TAG_SIZE) >> 8 * i);
        nonce[i] = 0;
    }
    for (int i = 0; i < 8; i++)
        nonce[cipher == FTX_CIPHER_AES_256_GCM ? 11 - i : 4 + i] = (uint8_t)(number >> 8 * i);
}

/* libsodium has AES only for processors that have it. */
static bool sodium_has(enum ftx_cipher cipher)
{
    return cipher == FTX_CIPHER_CHACHA20_POLY1305 || crypto_aead_aes256gcm_is_available();
}

static void sodium_seals(enum ftx_cipher cipher, const uint8_t *key, const uint8_t *nonce,
                         const uint8_t *ad, size_t ad_size, uint8_t *text, size_t size)
{
    if (cipher == FTX_CIPHER_AES_256_GCM)
        crypto_aead_aes256gcm_encrypt(text, NULL, text, size, ad, ad_size, NULL, nonce, key);
    else
        crypto_aead_chacha20poly1305_ietf_encrypt(text, NULL, text, size, ad, ad_size, NULL, nonce,
                                                  key);
}

static int open_with_sodium(enum ftx_cipher cipher, const uint8_t *key, const uint8_t *nonce,
                            const uint8_t *ad, size_t ad_size, uint8_t *box, size_t size)
{
    return cipher == FTX_CIPHER_AES_256_GCM
               ? crypto_aead_aes256gcm_decrypt(box, NULL, NULL, box, size, ad, ad_size, nonce, key)
               : crypto_aead_chacha20poly1305_ietf_decrypt(box, NULL, NULL, box, size, ad, ad_size,
                                                           nonce, key);
}

/* Seals with libsodium what stands at record + FTX_RECORD_HEAD. */
static void seal_with_sodium(const struct ftx_record_key *key, uint8_t *record, size_t plain_size)
{
    uint8_t nonce[12];
    spell(key->cipher, key->number, plain_size, record, nonce);
    sodium_seals(key->cipher, key->key, nonce, record, FTX_RECORD_HEAD, record + FTX_RECORD_HEAD,
                 plain_size);
}

static struct ftx_record_key key_at(enum ftx_cipher cipher, uint64_t number)
{
    struct ftx_record_key key;
    ftx_record_key_init(&key, cipher, secret);
    assert_int_equal(key.number, 0);
    key.number = number;
    return key;
}

static void sodium_opens(enum ftx_cipher cipher, size_t plain_size, uint64_t number)
{
    struct ftx_record_key key = key_at(cipher, number);
    uint8_t *record = new_record(plain_size), *plain = new_record(plain_size);
    uint8_t head[4], nonce[12];
    assert_int_equal(ftx_record_seal(&key, record, plain_size), 0);
    spell(cipher, key.number, plain_size, head, nonce);
    assert_memory_equal(record, head, 4);
    assert_int_equal(ftx_record_size(record), OVERHEAD + plain_size);
    assert_int_equal(open_with_sodium(cipher, secret, nonce, head, 4, record + FTX_RECORD_HEAD,
                                      plain_size + FTX_TAG_SIZE),
                     0);
    assert_memory_equal(record + FTX_RECORD_HEAD, plain + FTX_RECORD_HEAD, plain_size);
    free(record);
    free(plain);
}

static void sodium_opens_what_we_seal(void **state)
{
    (void)state;
    for (size_t c = 0; c < N_CIPHERS; c++)
        for (size_t i = 0; i < N_SIZES && sodium_has(ciphers[c]); i++)
            sodium_opens(ciphers[c], sizes[i], 0x0123456789abcdef + i);
}

static void we_open(enum ftx_cipher cipher, size_t plain_size, uint64_t number)
{
    struct ftx_record_key key = key_at(cipher, number);
    uint8_t *record = new_record(plain_size), *plain = new_record(plain_size);
    size_t size;
    seal_with_sodium(&key, record, plain_size);
    assert_int_equal(ftx_record_open(&key, record, OVERHEAD + plain_size, &size), 0);
    assert_int_equal(size, plain_size);
    assert_memory_equal(record + FTX_RECORD_HEAD, plain + FTX_RECORD_HEAD, plain_size);
    free(record);
    free(plain);
}

static void we_open_what_sodium_seals(void **state)
{
    (void)state;
    for (size_t c = 0; c < N_CIPHERS; c++)
        for (size_t i = 0; i < N_SIZES && sodium_has(ciphers[c]); i++)
            we_open(ciphers[c], sizes[i], i);
}

static void key_changes_after_1024_records(void **state)
{
    (void)state;
    for (size_t c = 0; c < N_CIPHERS && sodium_has(ciphers[c]); c++) {
        struct ftx_record_key key, taken;
        uint8_t expected[32], box[32 + 16], nonce[12];
        memcpy(expected, secret, sizeof expected);
        ftx_record_key_init(&key, ciphers[c], secret);
        for (uint64_t number = 0; number < 3 * 1024 + 2; number++) {
            if (number > 0 && number % 1024 == 0) {
                memset(nonce, 0, 4);
                memset(nonce + 4, 0xff, 8);
                memset(box, 0, sizeof box);
                sodium_seals(ciphers[c], expected, nonce, NULL, 0, box, 32);
                memcpy(expected, box, sizeof expected);
            }
            assert_int_equal(ftx_record_key_take(&key, &taken), 0);
            assert_int_equal(taken.number, number);
            assert_memory_equal(taken.key, expected, sizeof expected);
            ftx_record_key_close(&taken);
        }
        ftx_record_key_close(&key);
        assert_true(sodium_is_zero((const uint8_t *)&key, sizeof key));
    }
}

/* libcrypto finds no memory while this is set. */
static bool starved;

EVP_CIPHER_CTX *__real_EVP_CIPHER_CTX_new(void);
EVP_CIPHER_CTX *__wrap_EVP_CIPHER_CTX_new(void);

EVP_CIPHER_CTX *__wrap_EVP_CIPHER_CTX_new(void)
{
    return starved ? NULL : __real_EVP_CIPHER_CTX_new();
}

static void without_memory_nothing_is_taken_or_sealed(void **state)
{
    (void)state;
    for (size_t c = 0; c < N_CIPHERS; c++) {
        struct ftx_record_key key = key_at(ciphers[c], 1023), before = key, taken, last;
        uint8_t *record = new_record(8);
        size_t size;
        starved = true;
        assert_int_equal(ftx_record_key_take(&key, &taken), -ENOMEM);
        assert_memory_equal(&key, &before, sizeof key);
        assert_int_equal(ftx_record_seal(&key, record, 8), -ENOMEM);
        starved = false;
        assert_int_equal(ftx_record_key_take(&key, &last), 0);
        assert_memory_equal(&last, &before, sizeof last);
        assert_memory_not_equal(key.key, before.key, sizeof key.key);
        assert_int_equal(key.number, 1024);
        assert_int_equal(ftx_record_seal(&last, record, 8), 0);
        starved = true;
        assert_int_equal(ftx_record_open(&last, record, OVERHEAD + 8, &size), -ENOMEM);
        starved = false;
        free(record);
    }
}

static void flip_each_bit(enum ftx_cipher cipher)
{
    enum { PLAIN = 40, WHOLE = OVERHEAD + PLAIN };
    struct ftx_record_key key = key_at(cipher, 7);
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

static void flipped_bit_fails_and_leaves_no_plain_text(void **state)
{
    (void)state;
    for (size_t c = 0; c < N_CIPHERS; c++)
        flip_each_bit(ciphers[c]);
}

/* A cut record whose head was made to agree: the length is authenticated, not only checked. */
static void changed_length_fails(void **state)
{
    (void)state;
    for (size_t c = 0; c < N_CIPHERS; c++) {
        struct ftx_record_key key = key_at(ciphers[c], 0);
        uint8_t *record = new_record(100);
        size_t size;
        assert_int_equal(ftx_record_seal(&key, record, 100), 0);
        record[0]--;
        assert_int_equal(ftx_record_open(&key, record, OVERHEAD + 99, &size), FTX_EAUTH);
        free(record);
    }
}

static void another_cipher_number_or_key_fails(void **state)
{
    (void)state;
    for (size_t c = 0; c < N_CIPHERS; c++) {
        struct ftx_record_key key = key_at(ciphers[c], 5);
        struct ftx_record_key others[] = {key, key, key};
        uint8_t *record = new_record(8), copy[OVERHEAD + 8];
        size_t size;
        others[0].number++;
        others[1].key[31] ^= 1;
        others[2].cipher = ciphers[1 - c];
        assert_int_equal(ftx_record_seal(&key, record, 8), 0);
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
            memcpy(copy, record, sizeof copy);
            assert_int_equal(ftx_record_open(&others[i], copy, sizeof copy, &size), FTX_EAUTH);
        }
        free(record);
    }
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
    struct ftx_record_key key = key_at(FTX_CIPHER_CHACHA20_POLY1305, 0);
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
    struct ftx_record_key key = key_at(FTX_CIPHER_CHACHA20_POLY1305, 0);
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
        cmocka_unit_test(without_memory_nothing_is_taken_or_sealed),
        cmocka_unit_test(flipped_bit_fails_and_leaves_no_plain_text),
        cmocka_unit_test(changed_length_fails),
        cmocka_unit_test(another_cipher_number_or_key_fails),
        cmocka_unit_test(size_comes_from_the_head_within_limits),
        cmocka_unit_test(rejects_authentic_records_out_of_range),
        cmocka_unit_test(rejects_sizes_other_than_the_heads),
    };
    return cmocka_run_group_tests(tests, init, NULL);
}
