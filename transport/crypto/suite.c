/* SPDX-License-Identifier: MIT */
/* The suite through libsodium, whose `final` calls wipe their states. */
#include "transport/crypto/suite.h"

#include <sodium.h>
#include <string.h>

#include "transport/base/err.h"
#include "transport/wire/cursor.h"

void ftx_aead_nonce(uint64_t counter, uint8_t out_nonce[FTX_AEAD_NONCE_SIZE])
{
    struct ftx_writer w = ftx_writer(out_nonce, FTX_AEAD_NONCE_SIZE);
    ftx_write_u32(&w, 0);
    ftx_write_u64(&w, counter);
}

void ftx_aead_seal(const uint8_t key[FTX_KEY_SIZE], uint64_t counter, const void *ad,
                   size_t ad_size, const void *plain, size_t size, uint8_t *out)
{
    uint8_t nonce[FTX_AEAD_NONCE_SIZE];
    ftx_aead_nonce(counter, nonce);
    crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain, size, ad, ad_size, NULL, nonce,
                                              key);
}

int ftx_aead_open(const uint8_t key[FTX_KEY_SIZE], uint64_t counter, const void *ad, size_t ad_size,
                  const uint8_t *box, size_t box_size, uint8_t *out)
{
    uint8_t nonce[FTX_AEAD_NONCE_SIZE];
    ftx_aead_nonce(counter, nonce);
    return crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, box, box_size, ad, ad_size,
                                                     nonce, key)
               ? FTX_EAUTH
               : 0;
}

void ftx_derive(const char *label, const void *a, size_t a_size, const void *b, size_t b_size,
                uint8_t out[FTX_SHA512_SIZE])
{
    crypto_hash_sha512_state hash;
    crypto_hash_sha512_init(&hash);
    crypto_hash_sha512_update(&hash, (const uint8_t *)label, strlen(label));
    crypto_hash_sha512_update(&hash, a, a_size);
    crypto_hash_sha512_update(&hash, b, b_size);
    crypto_hash_sha512_final(&hash, out);
}

void ftx_hmac(const void *key, size_t key_size, const void *message, size_t size,
              uint8_t out[FTX_SHA512_SIZE])
{
    crypto_auth_hmacsha512_state hmac;
    crypto_auth_hmacsha512_init(&hmac, key, key_size);
    crypto_auth_hmacsha512_update(&hmac, message, size);
    crypto_auth_hmacsha512_final(&hmac, out);
}
