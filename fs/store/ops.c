/* SPDX-License-Identifier: MIT */
/* Operation codec. */
#include "fs/store/ops.h"

#include "fs/store/item.h"
#include "fs/store/names.h"
#include "transport/base/err.h"
#include "transport/wire/cursor.h"

#include <errno.h>
#include <stdbool.h>

static bool placed(const struct ftx_op *op)
{
    return op->kind == FTX_OP_MAKE || op->kind == FTX_OP_MOVE;
}

static bool dropped(const struct ftx_op *op)
{
    return op->kind == FTX_OP_DROP || op->kind == FTX_OP_CANCEL;
}

static bool about_xattr(const struct ftx_op *op)
{
    return op->kind == FTX_OP_XATTR || op->kind == FTX_OP_XATTR_GONE;
}

static bool named(const struct ftx_op *op)
{
    return placed(op) || about_xattr(op);
}

size_t ftx_op_encode(const struct ftx_op *op, uint8_t *out)
{
    struct ftx_writer w = ftx_writer(out, FTX_OP_ENCODED_MAX);
    ftx_write_u8(&w, (uint8_t)op->kind);
    ftx_write_u64(&w, op->item);
    if (placed(op))
        ftx_write_u64(&w, op->parent);
    if (op->kind == FTX_OP_MAKE)
        ftx_write_u8(&w, op->what);
    if (op->kind == FTX_OP_MAKE || op->kind == FTX_OP_ATTR) {
        ftx_write_u16(&w, op->mode);
        ftx_write_u64(&w, (uint64_t)op->mtime_ns);
    }
    if (placed(op) || dropped(op))
        ftx_write_u64(&w, (uint64_t)op->when_ns);
    if (named(op)) {
        ftx_write_u8(&w, (uint8_t)op->name_size);
        ftx_write_bytes(&w, op->name, op->name_size);
    }
    if (op->kind == FTX_OP_MAKE)
        ftx_write_bytes(&w, op->target, op->target_size);
    if (op->kind == FTX_OP_XATTR)
        ftx_write_bytes(&w, op->value, op->value_size);
    return w.size;
}

size_t ftx_op_encode_xattr(uint64_t item, const struct ftx_xattr *xattr, uint8_t *out)
{
    const struct ftx_op op = {.kind = xattr->value ? FTX_OP_XATTR : FTX_OP_XATTR_GONE,
                              .item = item,
                              .name = xattr->name,
                              .name_size = xattr->name_size,
                              .value = xattr->value,
                              .value_size = xattr->value_size};
    return ftx_op_encode(&op, out);
}

static int xattr_check(const struct ftx_op *op)
{
    bool fits = FTX_USER_SIZE + op->name_size + op->value_size <= FTX_XATTRS_ITEM_BYTES;
    return fits ? ftx_xattr_name_check(op->name, op->name_size) : -ENOSPC;
}

int ftx_op_decode(const uint8_t *bytes, size_t size, struct ftx_op *out)
{
    struct ftx_reader r = ftx_reader(bytes, size);
    struct ftx_op op = {.kind = ftx_read_u8(&r), .item = ftx_read_u64(&r)};
    if (op.kind < FTX_OP_MAKE || op.kind > FTX_OP_LAST || op.item == 0)
        return FTX_EPROTO;
    if (placed(&op))
        op.parent = ftx_read_u64(&r);
    if (op.kind == FTX_OP_MAKE)
        op.what = ftx_read_u8(&r);
    if (op.kind == FTX_OP_MAKE || op.kind == FTX_OP_ATTR) {
        op.mode = ftx_read_u16(&r);
        op.mtime_ns = (int64_t)ftx_read_u64(&r);
    }
    if (placed(&op) || dropped(&op))
        op.when_ns = (int64_t)ftx_read_u64(&r);
    if (named(&op)) {
        op.name_size = ftx_read_u8(&r);
        op.name = (const char *)ftx_read_bytes(&r, op.name_size);
    }
    if (op.kind == FTX_OP_MAKE && op.what == FTX_SYMLINK) {
        op.target_size = r.left;
        op.target = (const char *)ftx_read_bytes(&r, r.left);
    }
    if (op.kind == FTX_OP_XATTR) {
        op.value_size = r.left;
        op.value = ftx_read_bytes(&r, r.left);
    }
    if (r.failed || r.left || op.mode > 0777)
        return FTX_EPROTO;
    if (about_xattr(&op) && xattr_check(&op))
        return FTX_EPROTO;
    if (placed(&op) && ftx_name_check(op.name, op.name_size, op.parent == 0))
        return FTX_EPROTO;
    if (op.kind == FTX_OP_MAKE && (op.what < FTX_FILE || op.what > FTX_SYMLINK))
        return FTX_EPROTO;
    if (op.target && ftx_target_check(op.target, op.target_size))
        return FTX_EPROTO;
    if (op.kind == FTX_OP_MAKE && op.what == FTX_SYMLINK && !op.target_size)
        return FTX_EPROTO;
    *out = op;
    return 0;
}

size_t ftx_seal_attr_encode(uint16_t mode, int64_t mtime_ns, uint8_t *out)
{
    struct ftx_writer w = ftx_writer(out, 2 + 8);
    ftx_write_u16(&w, mode);
    ftx_write_u64(&w, (uint64_t)mtime_ns);
    return w.size;
}

int ftx_seal_attr_decode(const uint8_t *bytes, size_t size, uint16_t *out_mode,
                         int64_t *out_mtime_ns)
{
    struct ftx_reader r = ftx_reader(bytes, size);
    uint16_t mode = ftx_read_u16(&r);
    int64_t mtime_ns = (int64_t)ftx_read_u64(&r);
    if (r.failed || r.left || mode > 0777)
        return FTX_EPROTO;
    *out_mode = mode;
    *out_mtime_ns = mtime_ns;
    return 0;
}
