/* SPDX-License-Identifier: MIT */
/*
 * Changes into rows. apply checks an entry and adds it to the batch in memory; the commit writes
 * the batch, change by change, but for the images of an item that a later one of the same batch
 * overtakes: of a small file four out of five, and nearly all of its folder (docs/store.md 4).
 */
#include "fs/store/database_internal.h"
#include "fs/store/ops.h"
#include "transport/base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_MIN = 64 << 10, IMAGES_MIN = 1024 };

/* An array with room for `n` elements of `size` bytes; NULL: no memory, it is as it was. */
static void *reserve(void *array, size_t n, size_t least, size_t size, size_t *in_out_capacity)
{
    size_t capacity = *in_out_capacity ? *in_out_capacity : least;
    while (capacity < n)
        capacity *= 2;
    if (capacity == *in_out_capacity)
        return array;
    void *bigger = realloc(array, capacity * size);
    if (bigger)
        *in_out_capacity = capacity;
    return bigger;
}

static int add_image(struct ftx_batch *batch, size_t n, uint64_t item)
{
    struct ftx_batch_image *images =
        reserve(batch->images, n + 1, IMAGES_MIN, sizeof *images, &batch->images_capacity);
    if (!images)
        return -ENOMEM;
    batch->images = images;
    images[n] = (struct ftx_batch_image){.item = item};
    return 0;
}

int ftx_database_apply(struct ftx_database *db, const void *changes, size_t size)
{
    struct ftx_batch *batch = &db->batch;
    struct ftx_change change;
    size_t n_images = batch->n_images;
    for (size_t offset = 0; offset < size;) {
        int rc = ftx_change_decode(changes, size, &offset, &change);
        if (rc == 0 && change.kind == FTX_CHANGE_ITEM)
            rc = add_image(batch, n_images++, change.id);
        if (rc < 0)
            return rc;
    }
    uint8_t *bytes = reserve(batch->bytes, batch->size + size, BATCH_MIN, 1, &batch->capacity);
    if (!bytes)
        return -ENOMEM;
    batch->bytes = bytes;
    if (size > 0)
        memcpy(batch->bytes + batch->size, changes, size);
    batch->size += size;
    batch->n_images = n_images;
    return 0;
}

/*
 * Finds the images that a later one of their item overtakes: they need not be written. Rows of
 * other kinds do not depend on an item's row, but where contents were lost: then, and without
 * memory, all are written.
 */
static void find_overtaken(struct ftx_batch *batch)
{
    struct ftx_batch_image *images = batch->images;
    size_t n_places = 2; /* a power of two, of which half stay empty */
    while (n_places < 2 * batch->n_images)
        n_places *= 2;
    bool some = batch->n_images > 1 && !batch->contents_lost;
    size_t *set = some ? calloc(n_places, sizeof *set) : NULL; /* of images: index + 1 */
    for (size_t i = batch->n_images; set && i-- > 0;) {
        size_t at = (size_t)(images[i].item * UINT64_C(0x9e3779b97f4a7c15) >> 32);
        while (set[at &= n_places - 1] && images[set[at] - 1].item != images[i].item)
            at++;
        images[i].overtaken = set[at] != 0;
        if (!set[at])
            set[at] = i + 1;
    }
    free(set);
}

void ftx_database_contents_lost(struct ftx_database *db)
{
    db->batch.contents_lost = true;
}

static int run(struct ftx_database *db, enum ftx_sql which, size_t n, const uint64_t *values)
{
    return ftx_database_run(db, ftx_database_bind(db, which, n, values));
}

/* An empty blob is not NULL, even if nothing points at it. */
static void bind_blob(sqlite3_stmt *statement, int column, const void *bytes, size_t size)
{
    sqlite3_bind_blob64(statement, column, size > 0 ? bytes : "", size, SQLITE_STATIC);
}

static int put_item(struct ftx_database *db, const struct ftx_item_row *item)
{
    const uint64_t values[] = {item->id,
                               item->link,
                               item->parent,
                               item->object,
                               item->remote,
                               item->base,
                               item->size,
                               (uint64_t)item->mtime_ns,
                               (uint64_t)item->ctime_ns,
                               item->mode,
                               item->version,
                               item->box,
                               item->kind,
                               item->state,
                               item->error,
                               item->named_here};
    enum { N = sizeof values / sizeof *values };
    sqlite3_stmt *statement = ftx_database_bind(db, FTX_SQL_PUT_ITEM, N, values);
    bind_blob(statement, N + 1, item->name, item->name_size);
    bind_blob(statement, N + 2, item->target, item->target_size);
    return ftx_database_run(db, statement);
}

static uint64_t end_of(const struct ftx_segment *segment)
{
    return segment->offset + segment->length;
}

/* The last segment that begins before `offset`; length 0 if there is none. */
static int last_segment(struct ftx_database *db, uint64_t item, uint64_t offset,
                        struct ftx_segment *out)
{
    sqlite3_stmt *statement =
        ftx_database_bind(db, FTX_SQL_LAST_SEGMENT, 2, (uint64_t[]){item, offset});
    *out = (struct ftx_segment){0};
    if (sqlite3_step(statement) == SQLITE_ROW) {
        out->offset = (uint64_t)sqlite3_column_int64(statement, 0);
        out->length = (uint64_t)sqlite3_column_int64(statement, 1);
        out->kind = (uint8_t)sqlite3_column_int(statement, 2);
    }
    return ftx_database_err(db, sqlite3_reset(statement));
}

static int put_row(struct ftx_database *db, uint64_t item, const struct ftx_segment *segment)
{
    sqlite3_stmt *statement =
        ftx_database_bind(db, FTX_SQL_PUT_SEGMENT, 4,
                          (uint64_t[]){item, segment->offset, segment->length, segment->kind});
    if (segment->hashed)
        bind_blob(statement, 5, segment->hash, sizeof segment->hash);
    return ftx_database_run(db, statement);
}

/* Takes [offset, end) out of an item's rows, as ftx_segments_cut does. */
static int cut(struct ftx_database *db, uint64_t item, uint64_t offset, uint64_t end)
{
    struct ftx_segment first, last;
    int rc = last_segment(db, item, end, &last);
    if (rc < 0 || end_of(&last) <= offset)
        return rc;
    if (last.offset < offset) {
        first = last;
    } else {
        first = (struct ftx_segment){0}; /* before one that begins at offset, none reaches there */
        if (last.offset > offset)
            rc = last_segment(db, item, offset, &first);
        if (rc == 0)
            rc = run(db, FTX_SQL_DROP_SEGMENTS, 3, (uint64_t[]){item, offset, end});
    }
    if (rc == 0 && end_of(&first) > offset)
        rc = run(db, FTX_SQL_TRIM_SEGMENT, 3,
                 (uint64_t[]){item, first.offset, offset - first.offset});
    if (rc < 0 || end_of(&last) <= end)
        return rc;
    struct ftx_segment rest = {.offset = end, .length = end_of(&last) - end, .kind = last.kind};
    return put_row(db, item, &rest);
}

static int cut_range(struct ftx_database *db, uint64_t item, uint64_t offset, uint64_t length)
{
    if (length == 0 || offset >= INT64_MAX)
        return 0;
    uint64_t end = length > INT64_MAX - offset ? INT64_MAX : offset + length;
    return cut(db, item, offset, end);
}

static int put_segment(struct ftx_database *db, uint64_t item, const struct ftx_segment *segment)
{
    int rc = cut(db, item, segment->offset, end_of(segment));
    return rc < 0 ? rc : put_row(db, item, segment);
}

/* 1: an item of the inbox; 0: not, or none. */
static int in_inbox(struct ftx_database *db, uint64_t item)
{
    sqlite3_stmt *statement = ftx_database_bind(db, FTX_SQL_ITEM_BOX, 1, &item);
    int found = sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_int(statement, 0) == 1;
    int rc = ftx_database_err(db, sqlite3_reset(statement));
    return rc < 0 ? rc : found;
}

/* A segment, or the gap that is in its place. */
static int take_segment(struct ftx_database *db, const struct ftx_change *change)
{
    const struct ftx_segment *segment = &change->as.segment;
    int lost = db->batch.contents_lost ? in_inbox(db, change->id) : 0;
    if (lost < 0)
        return lost;
    return lost ? cut(db, change->id, segment->offset, end_of(segment))
                : put_segment(db, change->id, segment);
}

static int put_op(struct ftx_database *db, uint64_t link, uint64_t number, const void *bytes,
                  size_t size)
{
    sqlite3_stmt *statement = ftx_database_bind(db, FTX_SQL_PUT_OP, 2, (uint64_t[]){link, number});
    bind_blob(statement, 3, bytes, size);
    return ftx_database_run(db, statement);
}

static int put_xattr(struct ftx_database *db, const struct ftx_change *change)
{
    const struct ftx_xattr *xattr = &change->as.xattr.xattr;
    sqlite3_stmt *statement = ftx_database_bind(
        db, xattr->value ? FTX_SQL_PUT_XATTR : FTX_SQL_DROP_XATTR, 1, &change->id);
    bind_blob(statement, 2, xattr->name, xattr->name_size);
    if (xattr->value)
        bind_blob(statement, 3, xattr->value, xattr->value_size);
    int rc = ftx_database_run(db, statement);
    if (rc < 0 || change->number == 0)
        return rc;
    uint8_t bytes[FTX_OP_ENCODED_MAX];
    size_t size = ftx_op_encode_xattr(change->as.xattr.wire, xattr, bytes);
    return put_op(db, change->as.xattr.link, change->number, bytes, size);
}

static int write_change(struct ftx_database *db, const struct ftx_change *change,
                        uint64_t *out_next_item)
{
    const uint64_t values[] = {change->id, change->number};
    int rc;
    switch ((enum ftx_change_kind)change->kind) {
    case FTX_CHANGE_ITEM:
        return put_item(db, &change->as.item);
    case FTX_CHANGE_ITEM_GONE:
        rc = run(db, FTX_SQL_DROP_ITEM, 1, values);
        if (rc == 0)
            rc = run(db, FTX_SQL_DROP_ALL_SEGMENTS, 1, values);
        return rc < 0 ? rc : run(db, FTX_SQL_DROP_XATTRS, 1, values);
    case FTX_CHANGE_SEGMENT:
        return take_segment(db, change);
    case FTX_CHANGE_SEGMENT_CUT:
        return cut_range(db, change->id, change->as.range.offset, change->as.range.length);
    case FTX_CHANGE_OP:
        return put_op(db, change->id, change->number, change->as.bytes.data, change->as.bytes.size);
    case FTX_CHANGE_OPS_GONE:
        rc = run(db, FTX_SQL_DROP_OPS, 2, values);
        return rc < 0 ? rc : run(db, FTX_SQL_PUT_OP_ACKED, 2, values);
    case FTX_CHANGE_OP_SEEN:
        return run(db, FTX_SQL_PUT_OP_SEEN, 2, values);
    case FTX_CHANGE_TRASH:
        return run(db, FTX_SQL_PUT_TRASH, 1, values);
    case FTX_CHANGE_TRASH_GONE:
        return run(db, FTX_SQL_DROP_TRASH, 1, values);
    case FTX_CHANGE_NEXT_ITEM:
        *out_next_item = change->number;
        return 0;
    case FTX_CHANGE_XATTR:
        return put_xattr(db, change);
    case FTX_CHANGE_XATTRS_GONE:
        return run(db, FTX_SQL_DROP_XATTRS, 1, values);
    case FTX_CHANGE_XATTRS_MOVED:
        return run(db, FTX_SQL_MOVE_XATTRS, 2, values);
    case FTX_CHANGE_HISTORY:
        break; /* gathered */
    }
    return FTX_ECORRUPT;
}

int ftx_database_write_batch(struct ftx_database *db, uint64_t *in_out_next_item)
{
    struct ftx_batch *batch = &db->batch;
    struct ftx_change change;
    size_t n_images = 0;
    find_overtaken(batch);
    for (size_t offset = 0; offset < batch->size;) {
        size_t from = offset;
        int rc = ftx_change_decode(batch->bytes, batch->size, &offset, &change);
        bool image = rc == 0 && change.kind == FTX_CHANGE_ITEM;
        if (rc == 0 && change.kind == FTX_CHANGE_HISTORY)
            rc = ftx_database_add_history(db, change.id, batch->bytes + from, offset - from);
        else if (rc == 0 && !(image && batch->images[n_images++].overtaken))
            rc = write_change(db, &change, in_out_next_item);
        if (rc < 0)
            return rc;
    }
    return ftx_database_flush_history(db);
}
