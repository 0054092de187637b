/* SPDX-License-Identifier: MIT */
/* Changes to bytes and back. docs/store.md 3 has the byte table; integers are little-endian,
 * strings carry their length. */
#include "fs/store/change.h"
#include "transport/base/err.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

/* In the mode of an item's image: the name was given here. */
#define NAMED_HERE UINT16_C(0x8000)

static bool item_valid(const struct ftx_item_row *item)
{
    return item->box <= 1 && item->kind >= 1 && item->kind <= 3 && item->mode <= 0777 &&
           (!item->named_here || item->box == 1);
}

static bool segment_valid(const struct ftx_segment *segment)
{
    return segment->kind >= FTX_SEGMENT_DATA && segment->kind <= FTX_SEGMENT_RELEASED &&
           segment->length > 0 && segment->length <= INT64_MAX &&
           segment->offset <= INT64_MAX - segment->length;
}

static bool xattr_valid(const struct ftx_xattr *xattr)
{
    return xattr->name_size >= 1 && xattr->name_size <= FTX_XATTR_NAME_MAX &&
           (xattr->value || xattr->value_size == 0);
}

/* Fails once, then takes nothing more: the caller looks at the end. */
struct writer {
    uint8_t *out;
    size_t used;
    size_t size;
    bool bad;
};

static inline void put_bytes(struct writer *writer, const void *bytes, size_t size)
{
    if (writer->bad || size > writer->size - writer->used) {
        writer->bad = true;
        return;
    }
    if (size > 0)
        memcpy(writer->out + writer->used, bytes, size);
    writer->used += size;
}

/* Inlined, like get_int: with a width that the compiler knows it is one store. */
static inline void put_int(struct writer *writer, uint64_t value, size_t width)
{
    uint64_t little = htole64(value);
    put_bytes(writer, &little, width);
}

static void put_string(struct writer *writer, const void *bytes, size_t size)
{
    if (size > UINT16_MAX)
        writer->bad = true;
    put_int(writer, size, 2);
    put_bytes(writer, bytes, size);
}

static void put_item(struct writer *writer, const struct ftx_item_row *item)
{
    put_int(writer, item->link, 8);
    put_int(writer, item->parent, 8);
    put_int(writer, item->object, 8);
    put_int(writer, item->remote, 8);
    put_int(writer, item->base, 8);
    put_int(writer, item->size, 8);
    put_int(writer, (uint64_t)item->mtime_ns, 8);
    put_int(writer, (uint64_t)item->ctime_ns, 8);
    put_int(writer, item->version, 4);
    put_int(writer, item->mode | (item->named_here ? NAMED_HERE : 0u), 2);
    put_int(writer, item->box, 1);
    put_int(writer, item->kind, 1);
    put_int(writer, item->state, 1);
    put_int(writer, item->error, 1);
    put_string(writer, item->name, item->name_size);
    put_string(writer, item->target, item->target_size);
    if (!item_valid(item))
        writer->bad = true;
}

static void put_segment(struct writer *writer, const struct ftx_segment *segment)
{
    put_int(writer, segment->offset, 8);
    put_int(writer, segment->length, 8);
    put_int(writer, segment->kind, 1);
    put_string(writer, segment->hash, segment->hashed ? sizeof segment->hash : 0);
    if (!segment_valid(segment))
        writer->bad = true;
}

static void put_xattr(struct writer *writer, const struct ftx_change *change)
{
    const struct ftx_xattr *xattr = &change->as.xattr.xattr;
    if (!xattr_valid(xattr)) {
        writer->bad = true;
        return;
    }
    put_int(writer, change->number, 8);
    put_int(writer, change->as.xattr.link, 8);
    put_int(writer, change->as.xattr.wire, 8);
    put_int(writer, xattr->value ? 1 : 0, 1);
    put_string(writer, xattr->name, xattr->name_size);
    put_string(writer, xattr->value, xattr->value_size);
}

static bool history_valid(const struct ftx_history_row *row)
{
    return row->box <= 1 && row->result >= FTX_HISTORY_DELIVERED &&
           row->result <= FTX_HISTORY_FAILED;
}

static void put_history(struct writer *writer, const struct ftx_history_row *row)
{
    put_int(writer, (uint64_t)row->time_ns, 8);
    put_int(writer, row->size, 8);
    put_int(writer, row->ms, 8);
    put_int(writer, row->box, 1);
    put_int(writer, row->result, 1);
    put_int(writer, row->reason, 1);
    put_string(writer, row->link, row->link_size);
    put_string(writer, row->path, row->path_size);
    if (!history_valid(row))
        writer->bad = true;
}

/* The number of the row that the change is about. */
static uint64_t id_of(const struct ftx_change *change)
{
    switch (change->kind) {
    case FTX_CHANGE_ITEM:
        return change->as.item.id;
    case FTX_CHANGE_HISTORY:
        return change->as.history.id;
    default:
        return change->id;
    }
}

size_t ftx_change_encode(const struct ftx_change *change, uint8_t *out, size_t used, size_t size)
{
    assert(used <= size);
    if (size - used > FTX_CHANGE_MAX)
        size = used + FTX_CHANGE_MAX;
    struct writer writer = {.out = out, .used = used, .size = size};
    put_int(&writer, change->kind, 1);
    if (change->kind != FTX_CHANGE_NEXT_ITEM)
        put_int(&writer, id_of(change), 8);
    switch ((enum ftx_change_kind)change->kind) {
    case FTX_CHANGE_ITEM:
        put_item(&writer, &change->as.item);
        break;
    case FTX_CHANGE_SEGMENT:
        put_segment(&writer, &change->as.segment);
        break;
    case FTX_CHANGE_SEGMENT_CUT:
        put_int(&writer, change->as.range.offset, 8);
        put_int(&writer, change->as.range.length, 8);
        break;
    case FTX_CHANGE_OP:
        put_int(&writer, change->number, 8);
        put_string(&writer, change->as.bytes.data, change->as.bytes.size);
        break;
    case FTX_CHANGE_XATTR:
        put_xattr(&writer, change);
        break;
    case FTX_CHANGE_HISTORY:
        put_history(&writer, &change->as.history);
        break;
    case FTX_CHANGE_OPS_GONE:
    case FTX_CHANGE_OP_SEEN:
    case FTX_CHANGE_NEXT_ITEM:
    case FTX_CHANGE_XATTRS_MOVED:
        put_int(&writer, change->number, 8);
        break;
    case FTX_CHANGE_ITEM_GONE:
    case FTX_CHANGE_XATTRS_GONE:
    case FTX_CHANGE_TRASH:
    case FTX_CHANGE_TRASH_GONE:
        break;
    default:
        return 0;
    }
    return writer.bad ? 0 : writer.used;
}

/* Fails once, then gives only zeros: the caller looks at the end. */
struct reader {
    const uint8_t *bytes;
    size_t used;
    size_t size;
    bool bad;
};

static inline const uint8_t *get_bytes(struct reader *reader, size_t size)
{
    if (reader->bad || size > reader->size - reader->used) {
        reader->bad = true;
        return NULL;
    }
    const uint8_t *bytes = reader->bytes + reader->used;
    reader->used += size;
    return bytes;
}

static inline uint64_t get_int(struct reader *reader, size_t width)
{
    const uint8_t *bytes = get_bytes(reader, width);
    uint64_t little = 0;
    if (bytes)
        memcpy(&little, bytes, width);
    return le64toh(little);
}

static const uint8_t *get_string(struct reader *reader, size_t *out_size)
{
    *out_size = (size_t)get_int(reader, 2);
    return get_bytes(reader, *out_size);
}

static void get_item(struct reader *reader, struct ftx_item_row *item)
{
    item->link = get_int(reader, 8);
    item->parent = get_int(reader, 8);
    item->object = get_int(reader, 8);
    item->remote = get_int(reader, 8);
    item->base = get_int(reader, 8);
    item->size = get_int(reader, 8);
    item->mtime_ns = (int64_t)get_int(reader, 8);
    item->ctime_ns = (int64_t)get_int(reader, 8);
    item->version = (uint32_t)get_int(reader, 4);
    uint32_t mode = (uint32_t)get_int(reader, 2);
    item->mode = mode & ~(uint32_t)NAMED_HERE;
    item->named_here = (mode & NAMED_HERE) != 0;
    item->box = (uint8_t)get_int(reader, 1);
    item->kind = (uint8_t)get_int(reader, 1);
    item->state = (uint8_t)get_int(reader, 1);
    item->error = (uint8_t)get_int(reader, 1);
    item->name = (const char *)get_string(reader, &item->name_size);
    item->target = (const char *)get_string(reader, &item->target_size);
    if (!item_valid(item))
        reader->bad = true;
}

static void get_segment(struct reader *reader, struct ftx_segment *segment)
{
    size_t hash_size;
    segment->offset = get_int(reader, 8);
    segment->length = get_int(reader, 8);
    segment->kind = (uint8_t)get_int(reader, 1);
    const uint8_t *hash = get_string(reader, &hash_size);
    if (hash && hash_size == sizeof segment->hash) {
        memcpy(segment->hash, hash, sizeof segment->hash);
        segment->hashed = true;
    } else if (hash_size != 0) {
        reader->bad = true;
    }
    if (!segment_valid(segment))
        reader->bad = true;
}

static void get_xattr(struct reader *reader, struct ftx_change *change)
{
    struct ftx_xattr *xattr = &change->as.xattr.xattr;
    change->number = get_int(reader, 8);
    change->as.xattr.link = get_int(reader, 8);
    change->as.xattr.wire = get_int(reader, 8);
    uint64_t set = get_int(reader, 1);
    xattr->name = (const char *)get_string(reader, &xattr->name_size);
    xattr->value = get_string(reader, &xattr->value_size);
    if (set == 0 && xattr->value_size == 0)
        xattr->value = NULL;
    else if (set != 1)
        reader->bad = true;
    if (!xattr_valid(xattr))
        reader->bad = true;
}

static void get_history(struct reader *reader, struct ftx_history_row *row)
{
    row->time_ns = (int64_t)get_int(reader, 8);
    row->size = get_int(reader, 8);
    row->ms = get_int(reader, 8);
    row->box = (uint8_t)get_int(reader, 1);
    row->result = (uint8_t)get_int(reader, 1);
    row->reason = (uint8_t)get_int(reader, 1);
    row->link = (const char *)get_string(reader, &row->link_size);
    row->path = (const char *)get_string(reader, &row->path_size);
    if (!history_valid(row))
        reader->bad = true;
}

int ftx_change_decode(const uint8_t *bytes, size_t size, size_t *in_out_offset,
                      struct ftx_change *out)
{
    assert(*in_out_offset <= size);
    struct reader reader = {.bytes = bytes, .used = *in_out_offset, .size = size};
    struct ftx_change change = {.kind = (uint8_t)get_int(&reader, 1)};
    if (change.kind != FTX_CHANGE_NEXT_ITEM)
        change.id = get_int(&reader, 8);
    switch ((enum ftx_change_kind)change.kind) {
    case FTX_CHANGE_ITEM:
        change.as.item.id = change.id;
        get_item(&reader, &change.as.item);
        break;
    case FTX_CHANGE_SEGMENT:
        get_segment(&reader, &change.as.segment);
        break;
    case FTX_CHANGE_SEGMENT_CUT:
        change.as.range.offset = get_int(&reader, 8);
        change.as.range.length = get_int(&reader, 8);
        break;
    case FTX_CHANGE_OP:
        change.number = get_int(&reader, 8);
        change.as.bytes.data = get_string(&reader, &change.as.bytes.size);
        break;
    case FTX_CHANGE_XATTR:
        get_xattr(&reader, &change);
        break;
    case FTX_CHANGE_HISTORY:
        change.as.history.id = change.id;
        get_history(&reader, &change.as.history);
        break;
    case FTX_CHANGE_OPS_GONE:
    case FTX_CHANGE_OP_SEEN:
    case FTX_CHANGE_NEXT_ITEM:
    case FTX_CHANGE_XATTRS_MOVED:
        change.number = get_int(&reader, 8);
        break;
    case FTX_CHANGE_ITEM_GONE:
    case FTX_CHANGE_XATTRS_GONE:
    case FTX_CHANGE_TRASH:
    case FTX_CHANGE_TRASH_GONE:
        break;
    default:
        return FTX_ECORRUPT;
    }
    if (reader.bad || reader.used - *in_out_offset > FTX_CHANGE_MAX)
        return FTX_ECORRUPT;
    *in_out_offset = reader.used;
    *out = change;
    return 0;
}
