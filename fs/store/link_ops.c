/* SPDX-License-Identifier: MIT */
/* A link's operations that wait for their acknowledgement: 64 stand in one block, one
 * behind the other, for a million may wait. */
#include "fs/store/links.h"

#include <errno.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_OPS = 64,
    BLOCK_BYTES = 128, /* of room in a new one: most get no second operation before the first is
                          acknowledged */
    RING_MIN = 8,
};

struct ftx_op_block {
    uint64_t first; /* number of its first operation */
    size_t used, room;
    uint64_t at; /* the one that was asked for last: mostly the next one is next */
    size_t at_byte;
    alignas(struct ftx_stored_op) uint8_t bytes[];
};

static size_t stored_size(size_t size)
{
    size_t align = alignof(struct ftx_stored_op);
    return (offsetof(struct ftx_stored_op, bytes) + size + align - 1) & ~(align - 1);
}

static struct ftx_op_block **block_of(const struct ftx_link *link, uint64_t number)
{
    return &link->ops[number / BLOCK_OPS & (link->ops_capacity - 1)];
}

/* A place in the ring for the block of the next operation. */
static int ring_reserve(struct ftx_link *link)
{
    uint64_t first = link->op_first / BLOCK_OPS, next = link->op_next / BLOCK_OPS;
    if (next - first < link->ops_capacity)
        return 0;
    size_t capacity = link->ops_capacity ? 2 * link->ops_capacity : RING_MIN;
    struct ftx_op_block **grown = calloc(capacity, sizeof(struct ftx_op_block *));
    if (!grown)
        return -ENOMEM;
    for (uint64_t n = first; n < next; n++)
        grown[n & (capacity - 1)] = *block_of(link, n * BLOCK_OPS);
    free(link->ops);
    link->ops = grown;
    link->ops_capacity = capacity;
    return 0;
}

/* A block with `more` bytes of room behind what is in it. The last operation of a block takes no
 * more than it needs. */
static int block_reserve(struct ftx_link *link, struct ftx_op_block **block, size_t more)
{
    bool last = link->op_next % BLOCK_OPS == BLOCK_OPS - 1;
    size_t used = *block ? (*block)->used : 0, room = *block ? (*block)->room : BLOCK_BYTES;
    while (room < used + more)
        room *= 2;
    if (last)
        room = used + more;
    if (*block && (*block)->room == room)
        return 0;
    struct ftx_op_block *grown = realloc(*block, sizeof *grown + room);
    if (!grown)
        return -ENOMEM;
    if (!*block)
        *grown = (struct ftx_op_block){.first = link->op_next, .at = link->op_next};
    grown->room = room;
    *block = grown;
    return 0;
}

int ftx_link_push_op(struct ftx_link *link, const uint8_t *bytes, size_t size)
{
    if (ring_reserve(link))
        return -ENOMEM;
    struct ftx_op_block **block = block_of(link, link->op_next);
    if (block_reserve(link, block, stored_size(size)))
        return -ENOMEM;
    struct ftx_stored_op *op = (void *)((*block)->bytes + (*block)->used);
    op->entry = 0;
    op->size = (uint32_t)size;
    memcpy(op->bytes, bytes, size);
    (*block)->used += stored_size(size);
    link->op_next++;
    return 0;
}

struct ftx_stored_op *ftx_link_op(const struct ftx_link *link, uint64_t number)
{
    struct ftx_op_block *block = *block_of(link, number);
    if (number < block->at) {
        block->at = block->first;
        block->at_byte = 0;
    }
    for (; block->at < number; block->at++)
        block->at_byte +=
            stored_size(((struct ftx_stored_op *)(block->bytes + block->at_byte))->size);
    return (void *)(block->bytes + block->at_byte);
}

void ftx_link_drop_ops(struct ftx_link *link, uint64_t upto)
{
    uint64_t next = upto < link->op_next ? upto + 1 : link->op_next;
    while (link->op_first < next) {
        struct ftx_op_block **block = block_of(link, link->op_first);
        uint64_t end = (link->op_first / BLOCK_OPS + 1) * BLOCK_OPS;
        if (end <= next || next == link->op_next) {
            free(*block);
            *block = NULL;
        }
        link->op_first = end < next ? end : next;
    }
    if (link->op_first == link->op_next &&
        link->ops_capacity > RING_MIN) { /* it was as large as the longest queue */
        free(link->ops);
        link->ops = NULL;
        link->ops_capacity = 0;
    }
}
