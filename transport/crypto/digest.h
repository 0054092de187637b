/* SPDX-License-Identifier: MIT */
/* SHA-256, for people and other programs: nothing in the protocol uses it. */
#ifndef FTX_CRYPTO_DIGEST_H
#define FTX_CRYPTO_DIGEST_H

#include <stddef.h>
#include <stdint.h>

enum { FTX_SHA256_SIZE = 32 };

struct ftx_sha256;

/* NULL: no memory. */
struct ftx_sha256 *ftx_sha256_new(void);
void ftx_sha256_add(struct ftx_sha256 *sha256, const void *bytes, size_t size);
/* Frees it; `out` NULL: without a result. */
void ftx_sha256_end(struct ftx_sha256 *sha256, uint8_t out[FTX_SHA256_SIZE]);

#endif
