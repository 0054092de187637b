/* SPDX-License-Identifier: MIT */
/* What is here: of unfinished files a session begins with telling the sender. */
#include "fs/store/inbox.h"

#include <stdlib.h>
#include <string.h>

bool ftx_inbox_has(struct ftx_store *store, struct ftx_link *link, uint64_t remote)
{
    pthread_mutex_lock(&store->lock);
    bool here = ftx_item_find_remote(&store->index, link, remote) != NULL;
    pthread_mutex_unlock(&store->lock);
    return here;
}

size_t ftx_inbox_unfinished(struct ftx_store *store, struct ftx_link *link, uint64_t **out_items)
{
    size_t n = 0, capacity = 0;
    uint64_t *items = NULL;
    pthread_mutex_lock(&store->lock);
    for (struct ftx_list *node = link->arriving.next; node != &link->arriving; node = node->next) {
        if (n == capacity) {
            capacity = capacity ? 2 * capacity : 64;
            uint64_t *grown = realloc(items, capacity * sizeof *grown);
            if (!grown)
                break; /* what is not told is sent again */
            items = grown;
        }
        items[n++] = ftx_list_of(node, struct ftx_arriving, node)->item->id;
    }
    pthread_mutex_unlock(&store->lock);
    *out_items = items;
    return n;
}

size_t ftx_inbox_held(struct ftx_store *store, uint64_t id, uint64_t *in_out_offset,
                      struct ftx_extent *out, size_t capacity)
{
    size_t n = 0;
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_inbox_file_of(store, id);
    while (item && item->as.arriving && n < capacity) {
        struct ftx_segment *segment =
            ftx_segments_at(&item->as.arriving->landing->have, *in_out_offset);
        if (!segment)
            break;
        *in_out_offset = segment->offset + segment->length;
        if (segment->kind == FTX_SEGMENT_DATA && !segment->hashed)
            continue; /* copied from the base, or cut: no extent of the sender's */
        out[n] = (struct ftx_extent){.stream = item->remote,
                                     .offset = segment->offset,
                                     .length = segment->length,
                                     .version = item->version,
                                     .kind = segment->kind};
        memcpy(out[n++].hash, segment->hash, FTX_HASH_SIZE);
    }
    pthread_mutex_unlock(&store->lock);
    return n;
}
