/* SPDX-License-Identifier: MIT */
/* What handshakes are made of (docs/protocol.md): an AEAD with a counter, SHA-512, HMAC. */
#ifndef FTX_CRYPTO_SUITE_H
#define FTX_CRYPTO_SUITE_H

#include "transport/wire/limits.h"

#include <stddef.h>
#include <stdint.h>

enum { FTX_KEY_SIZE = 32, FTX_SHA512_SIZE = 64, FTX_AEAD_NONCE_SIZE = 12 };

/* 00000000 || u64 counter. */
void ftx_aead_nonce(uint64_t counter, uint8_t out_nonce[FTX_AEAD_NONCE_SIZE]);

/* Writes `size` + FTX_TAG_SIZE bytes to `out`, which may be `plain`. */
void ftx_aead_seal(const uint8_t key[FTX_KEY_SIZE], uint64_t counter, const void *ad,
                   size_t ad_size, const void *plain, size_t size, uint8_t *out);

/* Writes `box_size` - FTX_TAG_SIZE bytes to `out`, which may be `box`. FTX_EAUTH: nothing of the
 * plain text. */
int ftx_aead_open(const uint8_t key[FTX_KEY_SIZE], uint64_t counter, const void *ad, size_t ad_size,
                  const uint8_t *box, size_t box_size, uint8_t *out);

/* SHA-512(label || a || b), without the label's NUL: the form of all derived keys and hints. */
void ftx_derive(const char *label, const void *a, size_t a_size, const void *b, size_t b_size,
                uint8_t out[FTX_SHA512_SIZE]);

/* HMAC-SHA-512. */
void ftx_hmac(const void *key, size_t key_size, const void *message, size_t size,
              uint8_t out[FTX_SHA512_SIZE]);

#endif
