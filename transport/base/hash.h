/* SPDX-License-Identifier: MIT */
/* xxHash; on x86 the variant that asks the CPU and takes AVX2 or AVX-512 where they are. */
#ifndef FTX_BASE_HASH_H
#define FTX_BASE_HASH_H

#include <xxhash.h>

#if defined(__x86_64__) && defined(__has_include)
#if __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h>
#endif
#endif

#include <stdint.h>
#include <string.h>

/* XXH3-128 with seed 0 in its canonical (big-endian) form. */
static inline void ftx_hash_canonical(XXH128_hash_t hash, uint8_t out[16])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, hash);
    memcpy(out, canonical.digest, sizeof canonical.digest);
}

static inline void ftx_hash(const void *bytes, size_t size, uint8_t out[16])
{
    ftx_hash_canonical(XXH3_128bits(bytes, size), out);
}

#endif
