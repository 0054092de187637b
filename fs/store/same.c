/* SPDX-License-Identifier: MIT */
/* Block by block, and the first and the last one of a difference byte by byte. */
#include "fs/store/same.h"

#include "fs/store/objects.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void ftx_same_not(uint64_t offset, size_t size, struct ftx_differences *out)
{
    out->ranges[0] = (struct ftx_range){offset, size};
    out->n = size > 0;
}

/* Adds a range; one that is near to the last one becomes a part of it. */
static void add(struct ftx_differences *out, uint64_t offset, uint64_t end)
{
    struct ftx_range *last = out->n ? &out->ranges[out->n - 1] : NULL;
    if (last && offset - (last->offset + last->length) < FTX_SAME_NEAR)
        last->length = end - last->offset;
    else
        out->ranges[out->n++] = (struct ftx_range){offset, end - offset};
}

/* The part of one block that differs. */
static void add_block(struct ftx_differences *out, const uint8_t *a, const uint8_t *b, size_t size,
                      uint64_t offset)
{
    size_t from = 0, to = size;
    while (from < to && a[from] == b[from])
        from++;
    while (to > from && a[to - 1] == b[to - 1])
        to--;
    add(out, offset + from, offset + to);
}

int ftx_same_compare(int fd, const uint8_t *bytes, size_t size, uint64_t offset, uint64_t end,
                     struct ftx_differences *out)
{
    assert(size <= FTX_SAME_WRITE_MAX);
    uint64_t known = end > offset ? end - offset : 0;
    size_t there = known < size ? (size_t)known : size;
    uint8_t *old = malloc(there + 1);
    int err = old ? ftx_object_read_padded(fd, old, there, offset) : -ENOMEM;
    out->n = 0;
    for (size_t at = 0; !err && at < there;) {
        size_t left = there - at, n = left < FTX_SAME_BLOCK ? left : FTX_SAME_BLOCK;
        if (memcmp(bytes + at, old + at, n) != 0)
            add_block(out, bytes + at, old + at, n, offset + at);
        at += n;
    }
    if (!err && there < size)
        add(out, offset + there, offset + size);
    free(old);
    return err;
}
