/* SPDX-License-Identifier: MIT */
/*
 * zstd for the bytes of extents: one frame each (docs/protocol.md 5.1). A codec holds the contexts
 * and the room that packing and unpacking need, so that one of them serves many extents in turn;
 * what it gives stands in it until its next use. Any thread, one at a time.
 */
#ifndef FTX_SESSION_CODEC_H
#define FTX_SESSION_CODEC_H

#include "transport/wire/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FTX_PACK_LEVEL_MAX = 9,
    FTX_PACK_MIN = 128, /* raw bytes: less saves nothing worth a frame */
    FTX_PACK_SAMPLE =
        16 << 10, /* bytes from an extent's middle that tell whether to try the rest */
};

struct ftx_codec;

/* NULL without memory. */
struct ftx_codec *ftx_codec_new(void);
void ftx_codec_free(struct ftx_codec *codec);

/* Packs `size` <= FTX_EXTENT_MAX bytes at a level of 1..FTX_PACK_LEVEL_MAX; returns the size of the
 * frame, 0 if it would be longer than `most` or nearly so (or there is no memory). */
size_t ftx_codec_pack(struct ftx_codec *codec, const uint8_t *raw, size_t size, int level,
                      size_t most, const uint8_t **out_frame);

/* Unpacks a frame that must hold exactly `raw_size` <= FTX_EXTENT_MAX bytes. FTX_EPROTO: it is not
 * what docs/protocol.md 5.1 allows; -ENOMEM. */
int ftx_codec_unpack(struct ftx_codec *codec, const uint8_t *frame, size_t size, size_t raw_size,
                     const uint8_t **out_raw);

/* What is to be done with an extent while its record is built, and what came of it. */
struct ftx_packing {
    uint8_t level;  /* 0: it travels as it is */
    bool sample;    /* only if a sample of it shrinks */
    bool tried;     /* of the result: all of it was given to zstd */
    uint32_t after; /* size of the frame; 0: it did not pay */
    uint32_t ns;    /* what that cost in processor time, 0: not known */
};

/* What packing needs besides. */
struct ftx_packer {
    struct ftx_codec *codec;
    uint64_t (*cpu_ns)(void); /* processor time of the calling thread; NULL: not measured */
};

/* As `packing` says: puts a frame in the place of the `size` bytes at `data` if that saves 5 % of
 * them. Returns how many bytes stand there now: packing->after, or all. */
size_t ftx_pack_extent(struct ftx_packing *packing, const struct ftx_packer *packer, uint8_t *data,
                       size_t size);

#endif
