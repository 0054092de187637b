/* SPDX-License-Identifier: MIT */
/* The object is longer than its file, until the file is closed. */
#include "fs/store/remains.h"

#include "fs/store/outbox_internal.h"
#include "fs/store/released.h"
#include "fs/store/spool.h"
#include "transport/wire/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

bool ftx_remains_trusted(const struct ftx_item *item)
{
    bool known = item->state == FTX_ITEM_WRITING || item->state == FTX_ITEM_CLOSED ||
                 item->state == FTX_ITEM_DELIVERED;
    return known && !item->unsure && item->object && ftx_outbox_travels(item);
}

bool ftx_remains_any(const struct ftx_item *item)
{
    return item->opened && item->opened->remains_end > item->size;
}

uint64_t ftx_remains_end(const struct ftx_item *item)
{
    return ftx_remains_any(item) ? item->opened->remains_end : item->size;
}

uint64_t ftx_remains_known_end(const struct ftx_item *item)
{
    bool same = ftx_remains_any(item) && item->opened->remains_wire == ftx_item_wire(item);
    return same ? item->opened->remains_end : item->size;
}

bool ftx_remains_may(const struct ftx_item *item)
{
    const struct ftx_sending *sending = item->as.sending;
    return ftx_remains_trusted(item) && !ftx_outbox_closed(item) && item->opened->fd >= 0 &&
           !ftx_released_any(item, 0, item->size) &&
           (!sending || (sending->pending.count == 0 && sending->flying.count == 0));
}

void ftx_remains_keep(struct ftx_store *store, struct ftx_item *item, uint64_t end)
{
    item->opened->remains_end = end;
    item->opened->remains_wire = ftx_item_wire(item);
    if (!ftx_list_linked(&item->opened->remains))
        ftx_list_append(&store->remains, &item->opened->remains);
}

void ftx_remains_forget(struct ftx_item *item)
{
    if (!item->opened)
        return;
    item->opened->remains_end = 0;
    ftx_list_remove(&item->opened->remains);
    free(item->opened->prints);
    item->opened->prints = NULL;
}

void ftx_remains_printed(struct ftx_item *item, struct ftx_prints *prints, uint64_t end)
{
    item->opened->prints = prints;
    item->opened->prints_end = end;
    item->opened->remains_wire = ftx_item_wire(item);
}

const struct ftx_prints *ftx_remains_prints(const struct ftx_item *item)
{
    bool same = item->opened && ftx_outbox_travels(item) && item->state == FTX_ITEM_WRITING &&
                item->opened->remains_wire == ftx_item_wire(item);
    return same ? item->opened->prints : NULL;
}

static int cut(struct ftx_store *store, struct ftx_item *item)
{
    int err = ftx_object_cut(item->opened->fd, item->size);
    if (!err)
        ftx_remains_forget(item);
    ftx_spool_measure(store, item);
    return err;
}

int ftx_remains_drop(struct ftx_log *log, struct ftx_item *item)
{
    if (!ftx_remains_any(item)) {
        ftx_remains_forget(item);
        return 0;
    }
    int err = ftx_released_quiet(log, item, item->size, FTX_OFFSET_MAX);
    int cut_err = ftx_remains_any(item) ? cut(log->store, item) : 0;
    return cut_err ? cut_err : err;
}

int ftx_remains_gap(struct ftx_log *log, struct ftx_item *item, uint64_t end)
{
    uint64_t data;
    if (!ftx_remains_any(item) || end <= item->size)
        return 0;
    bool same = end <= ftx_remains_known_end(item) && ftx_outbox_travels(item) &&
                ftx_object_seek(item->opened->fd, item->size, end, SEEK_DATA, &data) == -ENXIO;
    return same ? 0 : ftx_remains_drop(log, item);
}

void ftx_remains_drop_all(struct ftx_store *store)
{
    for (struct ftx_list *node = store->remains.next, *next; node != &store->remains; node = next) {
        struct ftx_item *item = ftx_list_of(node, struct ftx_opened, remains)->item;
        next = node->next;
        if (!item->released ||
            !ftx_segments_overlap(&item->released->busy, item->size, FTX_OFFSET_MAX))
            (void)cut(store, item);
    }
}
