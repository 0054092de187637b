/* SPDX-License-Identifier: MIT */
/* The pending segments of an outbox file: what of it is to be sent, in memory and in the journal. */
#include "fs/store/outbox_internal.h"
#include "fs/store/mirror.h"
#include "fs/store/released.h"

#include "fs/store/outbox.h"
#include "transport/wire/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { CELL = FTX_EXTENT_MAX };

struct ftx_sending *ftx_sending_get(struct ftx_item *item)
{
    if (item->as.sending)
        return item->as.sending;
    struct ftx_sending *sending = calloc(1, sizeof *sending);
    if (!sending)
        return NULL;
    ftx_stream_init(&sending->stream, ftx_item_wire(item), item->op);
    ftx_list_init(&sending->all);
    ftx_list_init(&sending->due);
    ftx_list_init(&sending->tail);
    ftx_segments_init(&sending->pending);
    ftx_segments_init(&sending->flying);
    sending->item = item;
    ftx_list_append(&item->link->sendings, &sending->all);
    item->link->n_sendings++;
    item->as.sending = sending;
    ftx_item_wake(item);
    return sending;
}

void ftx_sending_due(struct ftx_log *log, struct ftx_sending *sending)
{
    if (ftx_link_is_group(sending->item->link)) {
        ftx_mirrors_due(log, sending->item);
        return;
    }
    ftx_list_remove(&sending->due); /* it may stand in link->undurable */
    ftx_list_append(&sending->item->link->due, &sending->due);
    log->wake = true;
}

void ftx_sending_let_go(struct ftx_log *log, struct ftx_item *item)
{
    struct ftx_sending *sending = item->as.sending;
    if (!ftx_link_is_group(item->link)) {
        sending->dropped = true;
        ftx_sending_due(log, sending);
        return;
    }
    ftx_sending_remove(sending); /* the loop never had it */
}

void ftx_sending_close_tail(struct ftx_log *log, struct ftx_sending *sending)
{
    if (!sending->has_open)
        return;
    sending->has_open = false;
    struct ftx_segment *open = ftx_segments_at(&sending->pending, sending->open_at);
    if (open && open->state == FTX_PENDING_OPEN)
        open->state = FTX_PENDING_DUE;
    if (sending->open_at < sending->scan)
        sending->scan = sending->open_at;
    ftx_mirrors_close_tail(log, sending->item, sending->open_at);
    ftx_sending_due(log, sending);
}

int ftx_sending_put(struct ftx_log *log, struct ftx_sending *sending,
                    const struct ftx_segment *segment)
{
    int err = ftx_segments_put(&sending->pending, segment);
    if (!err)
        err = ftx_released_cut(sending->item, segment->offset, segment->offset + segment->length);
    if (err)
        return err;
    if (segment->offset < sending->scan)
        sending->scan = segment->offset;
    ftx_log_segment(log, sending->item->id, segment);
    return ftx_mirrors_put(log, sending->item, segment);
}

/* It was refused while it was being written: what its writer adds is, too. */
static bool is_refused_meanwhile(const struct ftx_store *store, struct ftx_item *item)
{
    const struct ftx_opened *opened = ftx_mirror_contents(store, item)->opened;
    return item->state == FTX_ITEM_REFUSED && opened && opened->n_writers && !opened->again;
}

void ftx_sending_reopen(struct ftx_log *log, struct ftx_item *item)
{
    struct ftx_sending *sending = item->as.sending;
    sending->sealed = false;
    if (item->state == FTX_ITEM_WRITING || is_refused_meanwhile(log->store, item))
        return;
    free(item->prints);
    item->prints = NULL;
    sending->updates |= item->state == FTX_ITEM_DELIVERED;
    item->version++;
    item->state = FTX_ITEM_WRITING;
    sending->seal_left = false;
    sending->since_ms = ftx_since_ms();
    item->error = 0;
    ftx_log_item(log, item);
    sending->began = ftx_log_promise(log, item->link);
    ftx_mirrors_reopen(log, item);
}

/* Who writes to a released range has it to himself, in memory: killed, he never wrote. */
static int claim_released(struct ftx_sending *sending, const struct ftx_segment *segment)
{
    return segment->state == FTX_PENDING_OPEN ? ftx_segments_put(&sending->pending, segment) : 0;
}

int ftx_sending_claim(struct ftx_log *log, struct ftx_sending *sending, uint64_t offset,
                      uint64_t end, enum ftx_pending_state state)
{
    struct ftx_item *item = ftx_mirror_contents(log->store, sending->item);
    while (offset < end) {
        uint64_t cell = (offset / CELL + 1) * CELL, to = cell < end ? cell : end;
        uint64_t away_at = to, away_end = to;
        (void)ftx_released_next(item, offset, to, &away_at, &away_end);
        bool away = away_at == offset;
        struct ftx_segment segment = {.offset = offset,
                                      .length = (away ? away_end : away_at) - offset,
                                      .kind = item->object ? FTX_SEGMENT_DATA : FTX_SEGMENT_HOLE,
                                      .state = (uint8_t)state};
        int err =
            away ? claim_released(sending, &segment) : ftx_sending_put(log, sending, &segment);
        if (err)
            return err;
        offset += segment.length;
    }
    return 0;
}

int ftx_sending_pull(struct ftx_log *log, struct ftx_item *mirror, uint64_t offset, uint64_t end)
{
    const struct ftx_item *item = ftx_mirror_origin(log->store, mirror);
    uint64_t at, to;
    int err = 0;
    while (item && !err && ftx_released_next(item, offset, end, &at, &to)) {
        uint64_t cell = (at / CELL + 1) * CELL;
        offset = to < cell ? to : cell;
        struct ftx_segment segment = {.offset = at,
                                      .length = offset - at,
                                      .kind = FTX_SEGMENT_DATA,
                                      .state = FTX_PENDING_DUE};
        err = ftx_sending_put(log, mirror->as.sending, &segment);
    }
    return err;
}

bool ftx_sending_bytes(const struct ftx_item *item, int fd, uint64_t offset, uint64_t end,
                       uint64_t *out_at, uint64_t *out_end)
{
    uint64_t data = item->object ? offset : end, away = end, away_end;
    int err = item->object && fd >= 0 ? ftx_object_seek(fd, offset, end, SEEK_DATA, &data) : 0;
    if (err)
        data = err == -ENXIO ? end : offset;
    (void)ftx_released_next(item, offset, end, &away, &away_end);
    uint64_t at = data < away ? data : away, cell = (at / CELL + 1) * CELL;
    *out_at = at;
    *out_end = cell < end ? cell : end;
    return at < end;
}

int ftx_sending_claim_bytes(struct ftx_log *log, struct ftx_sending *sending, int fd,
                            uint64_t offset, uint64_t end, enum ftx_pending_state state)
{
    const struct ftx_item *item = ftx_mirror_contents(log->store, sending->item);
    uint64_t at, to;
    int err = 0;
    for (; offset < end && !err; offset = to) {
        if (!ftx_sending_bytes(item, fd, offset, end, &at, &to))
            at = to = end;
        if (state == FTX_PENDING_DUE)
            err = ftx_sending_hole(log, sending->item, offset, at);
        if (!err)
            err = ftx_sending_claim(log, sending, at, to, state);
    }
    return err;
}

int ftx_sending_resend(struct ftx_log *log, struct ftx_item *item, uint64_t offset, uint64_t end)
{
    uint64_t object = ftx_mirror_contents(log->store, item)->object;
    int fd = object ? ftx_object_open(&log->store->objects, object, O_RDONLY) : -1;
    int err = ftx_sending_claim_bytes(log, item->as.sending, fd, offset, end, FTX_PENDING_DUE);
    if (fd >= 0)
        close(fd);
    return err;
}

int ftx_sending_hole(struct ftx_log *log, struct ftx_item *item, uint64_t offset, uint64_t end)
{
    if (end <= offset)
        return 0;
    struct ftx_segment hole = {.offset = offset,
                               .length = end - offset,
                               .kind = FTX_SEGMENT_HOLE,
                               .state = FTX_PENDING_DUE};
    ftx_sending_close_tail(log, item->as.sending);
    ftx_sending_due(log, item->as.sending);
    return ftx_sending_put(log, item->as.sending, &hole);
}
