/* SPDX-License-Identifier: MIT */
/* 1296 short English words: what codes and verifiers are made of and people say to each other. */
#ifndef FTX_BASE_WORDS_H
#define FTX_BASE_WORDS_H

#include <stddef.h>

enum {
    FTX_WORDS = 1296, /* 6^4: four dice pick one; a verifier takes from the first 1024 */
    FTX_WORD_MIN = 3, /* letters; no two words have the first three in common */
    FTX_WORD_MAX = 6,
};

/* Lower case, sorted. The order is part of what people compare (docs/protocol.md): it stays. */
extern const char ftx_words[FTX_WORDS][FTX_WORD_MAX + 1];

/* How many words begin with the `length` bytes at `start`; the first of them is *out_first. */
size_t ftx_words_find(const char *start, size_t length, size_t *out_first);

#endif
