/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as frames of a server, one after the other. Each head that is taken is the shortest one
 * of its frame: written again it is the same but for the mask.
 */
#include "transport/net/frame.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_head(const uint8_t *bytes, size_t n_head, const struct ftx_frame *frame)
{
    static const uint8_t mask[4] = {0};
    uint8_t written[FTX_FRAME_HEAD_MAX];

    if (ftx_frame_write(written, frame->kind, frame->size, mask) != n_head + sizeof(mask))
        abort();
    written[0] = (uint8_t)(frame->last ? written[0] : written[0] & 0x7f);
    written[1] &= 0x7f;
    if (memcmp(written, bytes, n_head) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ftx_frame frame;

    while (size > 0) {
        int n_head = ftx_frame_read(data, size, &frame);

        if (n_head <= 0 || frame.size > size - (size_t)n_head)
            break;
        check_head(data, (size_t)n_head, &frame);
        data += (size_t)n_head + (size_t)frame.size;
        size -= (size_t)n_head + (size_t)frame.size;
    }
    return 0;
}
