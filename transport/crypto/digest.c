/* SPDX-License-Identifier: MIT */
/* libcrypto's: with the CPU's instructions for it six times as fast as libsodium's. */
#include "transport/crypto/digest.h"

#include <assert.h>
#include <openssl/evp.h>

static EVP_MD_CTX *context(struct ftx_sha256 *sha256)
{
    return (EVP_MD_CTX *)sha256;
}

struct ftx_sha256 *ftx_sha256_new(void)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(ctx);
        ctx = NULL;
    }
    return (struct ftx_sha256 *)ctx;
}

void ftx_sha256_add(struct ftx_sha256 *sha256, const void *bytes, size_t size)
{
    int ok = EVP_DigestUpdate(context(sha256), bytes, size);
    assert(ok == 1);
    (void)ok;
}

void ftx_sha256_end(struct ftx_sha256 *sha256, uint8_t out[FTX_SHA256_SIZE])
{
    int ok = !out || EVP_DigestFinal_ex(context(sha256), out, NULL);
    assert(ok == 1);
    (void)ok;
    EVP_MD_CTX_free(context(sha256));
}
