/* SPDX-License-Identifier: MIT */
/* The ranges of a file that are at the peer only, and those that somebody is busy with. */
#include "fs/store/released.h"

#include <errno.h>
#include <stdlib.h>

bool ftx_released_next(const struct ftx_item *item, uint64_t offset, uint64_t end, uint64_t *out_at,
                       uint64_t *out_end)
{
    if (end > item->size)
        end = item->size;
    uint64_t at = offset, to = end;
    if (!item->away) {
        const struct ftx_segment *segment =
            item->released ? ftx_segments_at(&item->released->ranges, offset) : NULL;
        if (!segment)
            return false;
        if (segment->offset > at)
            at = segment->offset;
        if (segment->offset + segment->length < to)
            to = segment->offset + segment->length;
    }
    if (at >= to)
        return false;
    *out_at = at;
    *out_end = to;
    return true;
}

uint64_t ftx_released_bytes(const struct ftx_item *item)
{
    if (item->away)
        return item->size;
    return item->released ? item->released->ranges.bytes : 0;
}

bool ftx_released_any(const struct ftx_item *item, uint64_t offset, uint64_t end)
{
    uint64_t at, to;
    return ftx_released_next(item, offset, end, &at, &to);
}

static struct ftx_released *get(struct ftx_item *item)
{
    if (!item->released && (item->released = calloc(1, sizeof *item->released))) {
        ftx_segments_init(&item->released->ranges);
        ftx_segments_init(&item->released->busy);
    }
    return item->released;
}

void ftx_released_free(struct ftx_item *item)
{
    if (item->released) {
        ftx_segments_close(&item->released->ranges);
        ftx_segments_close(&item->released->busy);
    }
    free(item->released);
    item->released = NULL;
}

/* Without anything to say the set goes. */
static void tidy(struct ftx_item *item)
{
    if (item->released && item->released->ranges.count == 0 && item->released->busy.count == 0)
        ftx_released_free(item);
}

int ftx_released_put(struct ftx_item *item, uint64_t offset, uint64_t end)
{
    if (item->away || end <= offset)
        return 0;
    struct ftx_segment segment = {
        .offset = offset, .length = end - offset, .kind = FTX_SEGMENT_RELEASED};
    int err = get(item) ? ftx_segments_put(&item->released->ranges, &segment) : -ENOMEM;
    tidy(item);
    return err;
}

int ftx_released_spread(struct ftx_item *item)
{
    if (!item->away)
        return 0;
    item->away = false;
    int err = ftx_released_put(item, 0, item->size);
    item->away = err != 0;
    return err;
}

int ftx_released_cut(struct ftx_item *item, uint64_t offset, uint64_t end)
{
    if (end <= offset || !ftx_released_any(item, offset, end))
        return 0;
    int err = ftx_released_spread(item);
    if (!err)
        err = ftx_segments_cut(&item->released->ranges, offset, end - offset);
    tidy(item);
    return err;
}

void ftx_released_whole(struct ftx_item *item)
{
    ftx_released_free(item);
    item->away = true;
    item->unsure = false;
    item->object = 0;
}

int ftx_released_occupy(struct ftx_item *item, uint64_t offset, uint64_t end)
{
    if (!get(item))
        return -ENOMEM;
    struct ftx_segment segment = {.offset = offset, .length = end - offset};
    int err = ftx_segments_overlap(&item->released->busy, offset, end)
                  ? -EBUSY
                  : ftx_segments_put(&item->released->busy, &segment);
    tidy(item);
    return err;
}

void ftx_released_leave(struct ftx_store *store, struct ftx_item *item, uint64_t offset,
                        uint64_t end)
{
    if (item->released)
        (void)ftx_segments_cut(&item->released->busy, offset, end - offset); /* a whole segment */
    tidy(item);
    pthread_cond_broadcast(&store->left);
}

int ftx_released_quiet(struct ftx_log *log, const struct ftx_item *item, uint64_t offset,
                       uint64_t end)
{
    if (!item->released || !ftx_segments_overlap(&item->released->busy, offset, end))
        return 0;
    ftx_log_flush(log);
    while (item->released && ftx_segments_overlap(&item->released->busy, offset, end))
        pthread_cond_wait(&log->store->left, &log->store->lock);
    return ftx_log_room(log);
}
