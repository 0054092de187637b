/* SPDX-License-Identifier: MIT */
/*
 * What released bytes looked like: a keyed hash of each extent (1 MiB, the last one what is left) of
 * a delivered file all of which was released, so that the file can be written again without being
 * sent again. The key is the link's: contents may be made by somebody who knows the function.
 */
#ifndef FTX_STORE_PRINTS_H
#define FTX_STORE_PRINTS_H

#include "fs/store/objects.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ftx_link;

enum { FTX_PRINT_SIZE = 16 };

struct ftx_prints {
    uint64_t n; /* extents */
    uint8_t at[][FTX_PRINT_SIZE];
};

struct ftx_print_key {
    uint8_t bytes[32];
};

/* How many extents a file of this size has; the length of one. */
uint64_t ftx_prints_count(uint64_t size);
uint64_t ftx_prints_length(uint64_t index, uint64_t size);

/* None is known yet. NULL: no memory. */
struct ftx_prints *ftx_prints_new(uint64_t size);

/* Under the lock. */
void ftx_print_key(const struct ftx_link *link, struct ftx_print_key *out);
/* BLAKE2b of an extent, 128 bits. Any thread. */
void ftx_print(const struct ftx_print_key *key, const uint8_t *bytes, size_t size,
               uint8_t out[FTX_PRINT_SIZE]);

/* The prints of an object that are being made, some MiB at a time. Database thread. */
struct ftx_printing {
    uint64_t item, object, size;
    uint32_t version;
    uint64_t done;             /* extents */
    struct ftx_prints *prints; /* NULL: they cannot be made */
    struct ftx_print_key key;
};

/* What was being made is let go of; the others are the caller's to fill in. */
void ftx_printing_begin(struct ftx_printing *printing, uint64_t size);
/* Goes on; true: that is all. */
bool ftx_printing_go_on(struct ftx_printing *printing, const struct ftx_objects *objects);
void ftx_printing_end(struct ftx_printing *printing);

#endif
