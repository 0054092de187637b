/* SPDX-License-Identifier: MIT */
/* One file's bytes, attributes and times from one place to another. */
#ifndef FTX_TOOLS_COPY_H
#define FTX_TOOLS_COPY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct ftx_copy {
    void *ctx;
    /* `n` more bytes are written. NULL: nobody asks. */
    void (*moved)(void *ctx, uint64_t n);
    /* The disk is full; true: try again. NULL: never. */
    bool (*full)(void *ctx);
};

/* All bytes, from the beginning of both; holes stay holes. -errno. */
int ftx_copy_bytes(int from, int to, const struct ftx_copy *copy);

/* user.* attributes, mode and times of `st`. What the other side has no room for is left out. -errno
 * for mode and times. */
int ftx_copy_attributes(int from, int to, const struct stat *st);

#endif
