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

#endif
