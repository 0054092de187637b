/* SPDX-License-Identifier: MIT */
/* Records through libcrypto's EVP, which is two to three times as fast as libsodium's ciphers. */
#include "transport/crypto/record.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "transport/base/err.h"
#include "transport/crypto/suite.h"
#include "transport/wire/cursor.h"

bool ftx_aes_is_quick(void)
{
    return crypto_aead_aes256gcm_is_available() == 1;
}

/* The cipher, fetched by the first that asks and kept while the process lives; NULL: no memory. */
static EVP_CIPHER *shared_cipher(enum ftx_cipher which)
{
    static const char *const names[] = {
        [FTX_CIPHER_CHACHA20_POLY1305] = "ChaCha20-Poly1305",
        [FTX_CIPHER_AES_256_GCM] = "AES-256-GCM",
    };
    static _Atomic(EVP_CIPHER *) shared[sizeof names / sizeof *names];
    EVP_CIPHER *cipher = atomic_load(&shared[which]);
    if (cipher)
        return cipher;

    EVP_CIPHER *fetched = EVP_CIPHER_fetch(NULL, names[which], NULL);
    if (atomic_compare_exchange_strong(&shared[which], &cipher, fetched))
        return fetched;
    EVP_CIPHER_free(fetched); /* another thread was faster */
    return cipher;
}

/* As Noise has them (rev 34, 12.3 and 12.4): AESGCM's counter is big-endian. */
static void make_nonce(const struct ftx_record_key *key, uint8_t out_nonce[FTX_AEAD_NONCE_SIZE])
{
    ftx_aead_nonce(key->cipher == FTX_CIPHER_AES_256_GCM ? __builtin_bswap64(key->number)
                                                         : key->number,
                   out_nonce);
}

/*
 * Seals or opens text[size] in place; the tag is written or checked. The context lives for one
 * call, which costs half a microsecond: no key outlives its use.
 */
static int run_cipher(const struct ftx_record_key *key, bool seal, const uint8_t *ad,
                      size_t ad_size, uint8_t *text, size_t size, uint8_t tag[FTX_TAG_SIZE])
{
    uint8_t nonce[FTX_AEAD_NONCE_SIZE];
    int err = -ENOMEM; /* no step but the tag's check fails for another reason */
    int n;

    EVP_CIPHER *cipher = shared_cipher(key->cipher);
    EVP_CIPHER_CTX *ctx = cipher ? EVP_CIPHER_CTX_new() : NULL;
    if (!ctx)
        return err;
    make_nonce(key, nonce);
    if (EVP_CipherInit_ex2(ctx, cipher, key->key, nonce, seal, NULL) != 1)
        goto done;
    if (!seal && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, FTX_TAG_SIZE, tag) != 1)
        goto done;
    if ((ad_size > 0 && EVP_CipherUpdate(ctx, NULL, &n, ad, (int)ad_size) != 1) ||
        EVP_CipherUpdate(ctx, text, &n, text, (int)size) != 1)
        goto done;
    if (EVP_CipherFinal_ex(ctx, tag, &n) != 1) {
        err = seal ? -ENOMEM : FTX_EAUTH;
        goto done;
    }
    if (seal && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, FTX_TAG_SIZE, tag) != 1)
        goto done;
    err = 0;
done:
    EVP_CIPHER_CTX_free(ctx);
    return err;
}

void ftx_record_key_init(struct ftx_record_key *key, enum ftx_cipher cipher,
                         const uint8_t bytes[32])
{
    key->cipher = cipher;
    memcpy(key->key, bytes, sizeof key->key);
    key->number = 0;
}

/* Noise's REKEY: the first 32 bytes of AEAD(key, 2^64-1, "", 32 zeros). */
static int rekey(struct ftx_record_key *key)
{
    struct ftx_record_key last = *key;
    uint8_t next[sizeof key->key] = {0}, tag[FTX_TAG_SIZE];
    last.number = UINT64_MAX;
    int err = run_cipher(&last, true, NULL, 0, next, sizeof next, tag);
    if (!err)
        memcpy(key->key, next, sizeof next);
    sodium_memzero(next, sizeof next);
    ftx_record_key_close(&last);
    return err;
}

int ftx_record_key_take(struct ftx_record_key *key, struct ftx_record_key *out_taken)
{
    struct ftx_record_key next = *key;
    int err = ++next.number % FTX_REKEY_RECORDS == 0 ? rekey(&next) : 0;
    if (!err) {
        *out_taken = *key;
        *key = next;
    }
    ftx_record_key_close(&next);
    return err;
}

void ftx_record_key_close(struct ftx_record_key *key)
{
    sodium_memzero(key, sizeof *key);
}

/* record: head[FTX_RECORD_HEAD] (AD) | text[size] | tag[FTX_TAG_SIZE] */
static int run_record(const struct ftx_record_key *taken, bool seal, uint8_t *record, size_t size)
{
    uint8_t *text = record + FTX_RECORD_HEAD;
    return run_cipher(taken, seal, record, FTX_RECORD_HEAD, text, size, text + size);
}

int ftx_record_seal(const struct ftx_record_key *taken, uint8_t *record, size_t plain_size)
{
    assert(plain_size >= 1 && plain_size <= FTX_RECORD_PLAIN_MAX);
    struct ftx_writer head = ftx_writer(record, FTX_RECORD_HEAD);
    ftx_write_u32(&head, (uint32_t)(plain_size + FTX_TAG_SIZE));
    return run_record(taken, true, record, plain_size);
}

size_t ftx_record_size(const uint8_t head[FTX_RECORD_HEAD])
{
    struct ftx_reader r = ftx_reader(head, FTX_RECORD_HEAD);
    size_t box_size = ftx_read_u32(&r);
    if (box_size < FTX_TAG_SIZE + 1 || box_size > FTX_TAG_SIZE + FTX_RECORD_PLAIN_MAX)
        return 0;
    return FTX_RECORD_HEAD + box_size;
}

int ftx_record_open(const struct ftx_record_key *taken, uint8_t *record, size_t record_size,
                    size_t *out_plain_size)
{
    if (record_size < FTX_RECORD_HEAD || ftx_record_size(record) != record_size)
        return FTX_EPROTO;
    size_t plain_size = record_size - FTX_RECORD_HEAD - FTX_TAG_SIZE;
    int err = run_record(taken, false, record, plain_size);
    if (err)
        sodium_memzero(record + FTX_RECORD_HEAD, plain_size);
    else
        *out_plain_size = plain_size;
    return err;
}
