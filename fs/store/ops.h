/* SPDX-License-Identifier: MIT */
/* Operations on a link's tree as bytes (docs/protocol.md 7). Pure, fuzzed. */
#ifndef FTX_STORE_OPS_H
#define FTX_STORE_OPS_H

#include "fs/store/xattrs.h"
#include "transport/wire/limits.h"

#include <stddef.h>
#include <stdint.h>

/*
 * MAKE        u8 1, u64 item, u64 parent, u8 what, u16 mode, i64 mtime, i64 when,
 *             u8 name_length, name, target
 * MOVE        u8 2, u64 item, u64 parent, i64 when, u8 name_length, name
 * ATTR        u8 3, u64 item, u16 mode, i64 mtime
 * DROP        u8 4, u64 item, i64 when
 * HALT        u8 5, u64 item
 * XATTR       u8 6, u64 item, u8 name_length, name, value
 * XATTR_GONE  u8 7, u64 item, u8 name_length, name
 * CANCEL      u8 8, u64 item, i64 when
 */
enum ftx_op_kind {
    FTX_OP_MAKE = 1,
    FTX_OP_MOVE,
    FTX_OP_ATTR,
    FTX_OP_DROP,
    FTX_OP_HALT,
    FTX_OP_XATTR,
    FTX_OP_XATTR_GONE,
    FTX_OP_CANCEL,
    FTX_OP_LAST = FTX_OP_CANCEL,
};

struct ftx_op {
    enum ftx_op_kind kind;
    uint64_t item;
    uint64_t parent;  /* MAKE, MOVE; 0: the link's root */
    int64_t mtime_ns; /* MAKE, ATTR */
    int64_t when_ns;  /* MAKE, MOVE, DROP, CANCEL */
    uint16_t mode;    /* MAKE, ATTR: nine permission bits */
    uint8_t what;     /* MAKE: enum ftx_kind */
    const char *name; /* MAKE, MOVE; XATTR, XATTR_GONE without `user.`: borrowed, not NUL-ended */
    size_t name_size;
    const char *target; /* MAKE of a symlink */
    size_t target_size;
    const void *value; /* XATTR */
    size_t value_size;
};

enum { FTX_OP_ENCODED_MAX = FTX_OP_MAX };

/* Writes an operation (its fields valid) to `out`, FTX_OP_ENCODED_MAX bytes of room; returns its
 * size. */
size_t ftx_op_encode(const struct ftx_op *op, uint8_t *out);

/* The same for an attribute of `item`: XATTR, or XATTR_GONE if it has no value. */
size_t ftx_op_encode_xattr(uint64_t item, const struct ftx_xattr *xattr, uint8_t *out);

/* Reads one; names and targets are checked as docs/protocol.md 8 says, but for what depends on the
 * place; an attribute as section 7 says. FTX_EPROTO. */
int ftx_op_decode(const uint8_t *bytes, size_t size, struct ftx_op *out);

/* The attributes of a SEAL: u16 mode, i64 mtime. Returns the size; decode: FTX_EPROTO. */
size_t ftx_seal_attr_encode(uint16_t mode, int64_t mtime_ns, uint8_t *out);
int ftx_seal_attr_decode(const uint8_t *bytes, size_t size, uint16_t *out_mode,
                         int64_t *out_mtime_ns);

#endif
