/* SPDX-License-Identifier: MIT */
/* Reading and writing little-endian fields within bounds: one failed step makes all later ones
 * fail. */
#ifndef FTX_WIRE_CURSOR_H
#define FTX_WIRE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Reads from `bytes`; a read past the end gives 0 and sets `failed`. */
struct ftx_reader {
    const uint8_t *bytes;
    size_t left;
    bool failed;
};

/* Writes to `bytes`; a write past the capacity writes nothing and sets `failed`. */
struct ftx_writer {
    uint8_t *bytes;
    size_t capacity;
    size_t size;
    bool failed;
};

static inline struct ftx_reader ftx_reader(const void *bytes, size_t size)
{
    return (struct ftx_reader){.bytes = bytes, .left = size};
}

static inline const uint8_t *ftx_read_bytes(struct ftx_reader *r, size_t n)
{
    if (r->failed || n > r->left) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *at = r->bytes;
    r->bytes += n;
    r->left -= n;
    return at;
}

static inline uint64_t ftx_read_uint(struct ftx_reader *r, size_t n)
{
    const uint8_t *at = ftx_read_bytes(r, n);
    uint64_t value = 0;
    for (size_t i = n; at && i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

static inline uint8_t ftx_read_u8(struct ftx_reader *r)
{
    return (uint8_t)ftx_read_uint(r, 1);
}

static inline uint16_t ftx_read_u16(struct ftx_reader *r)
{
    return (uint16_t)ftx_read_uint(r, 2);
}

static inline uint32_t ftx_read_u32(struct ftx_reader *r)
{
    return (uint32_t)ftx_read_uint(r, 4);
}

static inline uint64_t ftx_read_u64(struct ftx_reader *r)
{
    return ftx_read_uint(r, 8);
}

static inline struct ftx_writer ftx_writer(void *bytes, size_t capacity)
{
    return (struct ftx_writer){.bytes = bytes, .capacity = capacity};
}

static inline void ftx_write_bytes(struct ftx_writer *w, const void *from, size_t n)
{
    if (w->failed || n > w->capacity - w->size) {
        w->failed = true;
        return;
    }
    if (n)
        memcpy(w->bytes + w->size, from, n);
    w->size += n;
}

static inline void ftx_write_uint(struct ftx_writer *w, uint64_t value, size_t n)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    ftx_write_bytes(w, bytes, n);
}

static inline void ftx_write_u8(struct ftx_writer *w, uint8_t value)
{
    ftx_write_uint(w, value, 1);
}

static inline void ftx_write_u16(struct ftx_writer *w, uint16_t value)
{
    ftx_write_uint(w, value, 2);
}

static inline void ftx_write_u32(struct ftx_writer *w, uint32_t value)
{
    ftx_write_uint(w, value, 4);
}

static inline void ftx_write_u64(struct ftx_writer *w, uint64_t value)
{
    ftx_write_uint(w, value, 8);
}

#endif
