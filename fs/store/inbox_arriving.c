/* SPDX-License-Identifier: MIT */
/* What is known of an inbox file until it is complete. */
#include "fs/store/inbox.h"

#include "fs/store/change_log.h"
#include "fs/store/links.h"
#include "transport/base/err.h"

#include <errno.h>
#include <stdlib.h>

/* Of all files of which nothing has come; never changed. */
static struct ftx_landing nothing_landed;

struct ftx_arriving *ftx_arriving_get(struct ftx_item *item)
{
    if (item->as.arriving)
        return item->as.arriving;
    struct ftx_arriving *arriving = calloc(1, sizeof *arriving);
    if (!arriving)
        return NULL;
    arriving->landing = &nothing_landed;
    ftx_list_init(&arriving->node);
    arriving->item = item;
    arriving->progress_ms = ftx_now_ms();
    ftx_list_append(&item->link->arriving, &arriving->node);
    item->as.arriving = arriving;
    return arriving;
}

struct ftx_landing *ftx_landing_get(struct ftx_arriving *arriving)
{
    if (arriving->landing != &nothing_landed)
        return arriving->landing;
    struct ftx_landing *landing = calloc(1, sizeof *landing);
    if (!landing)
        return NULL;
    ftx_segments_init(&landing->have);
    arriving->landing = landing;
    return landing;
}

int ftx_arriving_put(struct ftx_arriving *arriving, const struct ftx_segment *segment)
{
    struct ftx_link *link = arriving->item->link;
    size_t before = arriving->landing->have.count;
    if (link->n_segments >= FTX_LINK_SEGMENTS_MAX)
        return FTX_ELIMIT;
    struct ftx_landing *landing = ftx_landing_get(arriving);
    int err = landing ? ftx_segments_put(&landing->have, segment) : -ENOMEM;
    link->n_segments += arriving->landing->have.count - before;
    return err;
}

int ftx_arriving_cut(struct ftx_arriving *arriving, uint64_t offset, uint64_t length)
{
    struct ftx_link *link = arriving->item->link;
    struct ftx_landing *landing = arriving->landing;
    size_t before = landing->have.count;
    if (landing->whole_to > offset)
        landing->whole_to = offset;
    int err = before ? ftx_segments_cut(&landing->have, offset, length) : 0;
    link->n_segments += landing->have.count - before;
    return err;
}

void ftx_arriving_end(struct ftx_item *item)
{
    item->link->n_segments -= item->as.arriving->landing->have.count;
    ftx_list_remove(&item->as.arriving->node);
    ftx_arriving_free(item->as.arriving);
    item->as.arriving = NULL;
}

void ftx_arriving_free(struct ftx_arriving *arriving)
{
    if (!arriving)
        return;
    if (arriving->landing != &nothing_landed) {
        ftx_segments_close(&arriving->landing->have);
        free(arriving->landing);
    }
    free(arriving);
}
