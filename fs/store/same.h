/* SPDX-License-Identifier: MIT */
/* Which bytes of a write are others than those that are there already. Any thread, no lock. */
#ifndef FTX_STORE_SAME_H
#define FTX_STORE_SAME_H

#include "transport/wire/message.h"

#include <stddef.h>
#include <stdint.h>

enum {
    FTX_SAME_BLOCK = 16 << 10, /* of a block, what lies between its first and last difference counts
                                  as one */
    FTX_SAME_NEAR = 4 << 10,   /* a gap of less than this is not worth a segment */
    FTX_SAME_WRITE_MAX = 3 << 20,
    FTX_SAME_RANGES_MAX = FTX_SAME_WRITE_MAX / FTX_SAME_BLOCK + 2,
};

/* Ranges in ascending order. */
struct ftx_differences {
    struct ftx_range ranges[FTX_SAME_RANGES_MAX];
    size_t n;
};

/* Everything differs. */
void ftx_same_not(uint64_t offset, size_t size, struct ftx_differences *out);

/*
 * Compares `size` bytes (at most FTX_SAME_WRITE_MAX) with those of the object at `offset`; what
 * lies behind `end` differs. -ENOMEM, or what the disk said.
 */
int ftx_same_compare(int fd, const uint8_t *bytes, size_t size, uint64_t offset, uint64_t end,
                     struct ftx_differences *out);

#endif
