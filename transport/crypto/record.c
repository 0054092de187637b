/* SPDX-License-Identifier: MIT */
/* Records through libcrypto's EVP, which is two to three times as fast as libsodium's cipher. */
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

void ftx_record_key_init(struct ftx_record_key *key, const uint8_t bytes[32])
{
    memcpy(key->key, bytes, sizeof key->key);
    key->number = 0;
}

void ftx_record_key_take(struct ftx_record_key *key, struct ftx_record_key *out_taken)
{
    *out_taken = *key;
    if (++key->number % FTX_REKEY_RECORDS == 0)
        ftx_aead_rekey(key->key);
}

void ftx_record_key_close(struct ftx_record_key *key)
{
    sodium_memzero(key, sizeof *key);
}

/* The cipher, fetched by the first that asks and kept while the process lives; NULL: no memory. */
static EVP_CIPHER *shared_cipher(void)
{
    static _Atomic(EVP_CIPHER *) shared;
    EVP_CIPHER *cipher = atomic_load(&shared);
    if (cipher)
        return cipher;

    EVP_CIPHER *fetched = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    if (atomic_compare_exchange_strong(&shared, &cipher, fetched))
        return fetched;
    EVP_CIPHER_free(fetched); /* another thread was faster */
    return cipher;
}

/*
 *   record: head[FTX_RECORD_HEAD] (AD) | text[size] | tag[FTX_TAG_SIZE]
 *
 * The context lives for one record, which costs half a microsecond: no key outlives its use.
 */
static int run_cipher(const struct ftx_record_key *taken, bool seal, uint8_t *record, size_t size)
{
    uint8_t *text = record + FTX_RECORD_HEAD, *tag = text + size;
    uint8_t nonce[FTX_AEAD_NONCE_SIZE];
    int err = -ENOMEM; /* no step but the tag's check fails for another reason */
    int n;

    EVP_CIPHER *cipher = shared_cipher();
    EVP_CIPHER_CTX *ctx = cipher ? EVP_CIPHER_CTX_new() : NULL;
    if (!ctx)
        return err;
    ftx_aead_nonce(taken->number, nonce);
    if (EVP_CipherInit_ex2(ctx, cipher, taken->key, nonce, seal, NULL) != 1)
        goto done;
    if (!seal && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, FTX_TAG_SIZE, tag) != 1)
        goto done;
    if (EVP_CipherUpdate(ctx, NULL, &n, record, FTX_RECORD_HEAD) != 1 ||
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

int ftx_record_seal(const struct ftx_record_key *taken, uint8_t *record, size_t plain_size)
{
    assert(plain_size >= 1 && plain_size <= FTX_RECORD_PLAIN_MAX);
    struct ftx_writer head = ftx_writer(record, FTX_RECORD_HEAD);
    ftx_write_u32(&head, (uint32_t)(plain_size + FTX_TAG_SIZE));
    return run_cipher(taken, true, record, plain_size);
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
    int err = run_cipher(taken, false, record, plain_size);
    if (err)
        sodium_memzero(record + FTX_RECORD_HEAD, plain_size);
    else
        *out_plain_size = plain_size;
    return err;
}
