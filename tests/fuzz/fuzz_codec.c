/* SPDX-License-Identifier: MIT */
/* Fuzz: bytes as a frame that came, for as many bytes as the first four say; bytes as content that
 * is packed come back. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "transport/base/err.h"
#include "transport/session/codec.h"
#include "transport/wire/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

static void unpack_as_it_came(struct ftx_codec *codec, const uint8_t *data, size_t size)
{
    struct ftx_reader r = ftx_reader(data, size);
    size_t raw_size = ftx_read_u32(&r) % (FTX_EXTENT_MAX + 3);
    if (r.failed)
        return;
    uint8_t *frame = malloc(r.left + 1);
    const uint8_t *raw = NULL;
    check(frame != NULL);
    memcpy(frame, data + 4, r.left);
    int err = ftx_codec_unpack(codec, frame, r.left, raw_size, &raw);
    check(err == 0 || err == FTX_EPROTO);
    check((err == 0) == (raw != NULL));
    volatile uint8_t last = err ? 0 : raw[raw_size - 1]; /* it is there */
    (void)last;
    free(frame);
}

static void pack_and_unpack(struct ftx_codec *codec, const uint8_t *data, size_t size)
{
    const uint8_t *frame, *raw;
    if (size < 1 || size > FTX_EXTENT_MAX)
        return;
    int level = 1 + data[0] % FTX_PACK_LEVEL_MAX;
    size_t packed = ftx_codec_pack(codec, data, size, level, size, &frame);
    if (packed == 0)
        return;
    uint8_t *copy = malloc(packed);
    check(copy != NULL);
    memcpy(copy, frame, packed);
    check(ftx_codec_unpack(codec, copy, packed, size, &raw) == 0);
    check(memcmp(raw, data, size) == 0);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ftx_codec *codec; /* as in a worker: one for all that comes */
    if (!codec)
        codec = ftx_codec_new();
    check(codec != NULL);
    unpack_as_it_came(codec, data, size);
    pack_and_unpack(codec, data, size);
    return 0;
}
