/* SPDX-License-Identifier: MIT */
/* Frames of zstd (RFC 8878): written with their content's size and its whole as the window; read
 * only like that, into room of exactly that size. */
#include "transport/session/codec.h"

#include "transport/base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum {
    WINDOW_LOG = 20, /* FTX_EXTENT_MAX: a frame is never more than one window */
    TABLE_LOG = 18,  /* entries of zstd's tables: its own choice for level 9 saves 0.5 % more bytes
                        and takes 13 MiB, these take 2 */
    SINGLE_SEGMENT =
        1 << 5, /* in the byte behind a frame's magic number: no window but the content */
    DESCRIPTOR_AT = 4,
};

static const uint8_t magic[DESCRIPTOR_AT] = {0x28, 0xb5, 0x2f,
                                             0xfd}; /* zstd reads older ones too */

struct ftx_codec {
    ZSTD_CCtx *packer;   /* made when first needed */
    ZSTD_DCtx *unpacker; /* likewise */
    int level;           /* the packer is set up for */
    uint8_t room[FTX_EXTENT_MAX];
};

struct ftx_codec *ftx_codec_new(void)
{
    struct ftx_codec *codec = malloc(sizeof *codec); /* its room stays untouched until it is used */
    if (!codec)
        return NULL;
    codec->packer = NULL;
    codec->unpacker = NULL;
    codec->level = 0;
    return codec;
}

void ftx_codec_free(struct ftx_codec *codec)
{
    if (!codec)
        return;
    ZSTD_freeCCtx(codec->packer);
    ZSTD_freeDCtx(codec->unpacker);
    free(codec);
}

static bool set(ZSTD_CCtx *context, ZSTD_cParameter parameter, int value)
{
    return !ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value));
}

/* The packer, ready for the level; NULL without memory. */
static ZSTD_CCtx *packer_for(struct ftx_codec *codec, int level)
{
    if (!codec->packer)
        codec->packer = ZSTD_createCCtx();
    if (!codec->packer || codec->level == level)
        return codec->packer;
    (void)ZSTD_CCtx_reset(codec->packer, ZSTD_reset_session_only); /* a frame may be unfinished */
    bool large = level >= 5; /* whose own tables for a MiB are larger than TABLE_LOG */
    bool ok = set(codec->packer, ZSTD_c_compressionLevel, level) &&
              set(codec->packer, ZSTD_c_windowLog, WINDOW_LOG) &&
              set(codec->packer, ZSTD_c_hashLog, large ? TABLE_LOG : 0) &&
              set(codec->packer, ZSTD_c_chainLog, large ? TABLE_LOG : 0);
    assert(ok); /* all of them are in range */
    (void)ok;
    codec->level = level;
    return codec->packer;
}

size_t ftx_codec_pack(struct ftx_codec *codec, const uint8_t *raw, size_t size, int level,
                      size_t most, const uint8_t **out_frame)
{
    assert(size <= FTX_EXTENT_MAX && level >= 1 && level <= FTX_PACK_LEVEL_MAX);
    ZSTD_CCtx *context = packer_for(codec, level);
    if (most > sizeof codec->room)
        most = sizeof codec->room;
    size_t packed = context ? ZSTD_compress2(context, codec->room, most, raw, size) : 0;
    if (ZSTD_isError(packed))
        return 0;
    *out_frame = codec->room;
    return packed;
}

/* One frame, and nothing else, that says to hold `raw_size` bytes and needs no more window. */
static bool frame_valid(const uint8_t *frame, size_t size, size_t raw_size)
{
    if (size <= DESCRIPTOR_AT || memcmp(frame, magic, sizeof magic) != 0 ||
        !(frame[DESCRIPTOR_AT] & SINGLE_SEGMENT))
        return false;
    return ZSTD_getFrameContentSize(frame, size) == raw_size && /* also false if it does not say */
           ZSTD_findFrameCompressedSize(frame, size) == size;
}

int ftx_codec_unpack(struct ftx_codec *codec, const uint8_t *frame, size_t size, size_t raw_size,
                     const uint8_t **out_raw)
{
    if (raw_size < 1 || raw_size > sizeof codec->room || !frame_valid(frame, size, raw_size))
        return FTX_EPROTO;
    if (!codec->unpacker)
        codec->unpacker = ZSTD_createDCtx();
    if (!codec->unpacker)
        return -ENOMEM;
    if (ZSTD_decompressDCtx(codec->unpacker, codec->room, raw_size, frame, size) != raw_size)
        return FTX_EPROTO;
    *out_raw = codec->room;
    return 0;
}

/* More than this is no saving. */
static size_t worth(size_t size)
{
    return size - size / 20;
}

static bool sample_shrinks(struct ftx_codec *codec, const uint8_t *data, size_t size)
{
    const uint8_t *frame;
    const uint8_t *middle = data + (size - FTX_PACK_SAMPLE) / 2;
    return ftx_codec_pack(codec, middle, FTX_PACK_SAMPLE, 1, worth(FTX_PACK_SAMPLE) - 1, &frame) !=
           0;
}

size_t ftx_pack_extent(struct ftx_packing *packing, const struct ftx_packer *packer, uint8_t *data,
                       size_t size)
{
    if (packing->level == 0 || !packer || !packer->codec)
        return size;
    uint64_t began_ns = packer->cpu_ns ? packer->cpu_ns() : 0;
    if (packing->sample && !sample_shrinks(packer->codec, data, size))
        return size;
    const uint8_t *frame;
    packing->tried = true;
    packing->after =
        (uint32_t)ftx_codec_pack(packer->codec, data, size, packing->level, worth(size), &frame);
    uint64_t ns = packer->cpu_ns ? packer->cpu_ns() - began_ns : 0;
    packing->ns = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
    if (packing->after == 0)
        return size;
    memcpy(data, frame, packing->after);
    return packing->after;
}
