/* SPDX-License-Identifier: MIT */
/*
 * The changes of durable state: what a journal entry holds and what the database applies. Each is
 * an image ("the row is now this") or a removal, so applying one twice is harmless, and only the
 * last image of a row in a batch needs to be written. An entry is one or more changes that belong
 * together.
 */
#ifndef FTX_STORE_CHANGE_H
#define FTX_STORE_CHANGE_H

#include "fs/store/segments.h"
#include "fs/store/xattrs.h"
#include "transport/wire/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ftx_change_kind {
    FTX_CHANGE_ITEM = 1,  /* item */
    FTX_CHANGE_ITEM_GONE, /* id: the row, its segments and attributes */
    FTX_CHANGE_SEGMENT, /* id, segment: put, cutting what it overlaps (as ftx_segments_put; tag and
                           state are not kept) */
    FTX_CHANGE_SEGMENT_CUT, /* id, range: its end may lie past any file */
    FTX_CHANGE_OP,       /* id = link, number, bytes: an operation the peer has not acknowledged */
    FTX_CHANGE_OPS_GONE, /* id = link, number: all up to this one */
    FTX_CHANGE_OP_SEEN, /* id = link, number: the last operation of the peer that is applied here */
    FTX_CHANGE_TRASH,   /* id = object: to be removed once nobody has it open */
    FTX_CHANGE_TRASH_GONE,   /* id = object */
    FTX_CHANGE_NEXT_ITEM,    /* number: no item id below it is free */
    FTX_CHANGE_XATTR,        /* id = item, number, xattr: set or removed; number != 0: and this is
                                operation `number` of xattr.link, not acknowledged by the peer */
    FTX_CHANGE_XATTRS_GONE,  /* id = item: all of them */
    FTX_CHANGE_XATTRS_MOVED, /* id, number = items: those of `number` are now those of `id` */
    FTX_CHANGE_HISTORY,      /* history: a transfer has ended */
};

/* A row of items. Strings are borrowed, not NUL-ended. */
struct ftx_item_row {
    uint64_t id;
    uint64_t link;
    uint64_t parent; /* 0: the root of the link's box; meaningless for a shadow */
    uint64_t object; /* 0: no bytes yet */
    uint64_t remote; /* inbox: the sender's item number */
    uint64_t base;   /* inbox: the item that this shadow will replace, 0: none */
    uint64_t size;
    int64_t mtime_ns;
    int64_t ctime_ns;
    uint32_t mode; /* nine permission bits */
    uint32_t version;
    uint8_t box;  /* 0 outbox, 1 inbox */
    uint8_t kind; /* 1 file, 2 folder, 3 symlink */
    uint8_t state;
    uint8_t error;   /* protocol reason of REFUSED and the like */
    bool named_here; /* inbox: the name was given here, not by the sender */
    const char *name;
    size_t name_size;
    const char *target; /* symlinks */
    size_t target_size;
};

/* On disk: values are never reused. */
enum ftx_history_result {
    FTX_HISTORY_DELIVERED = 1,
    FTX_HISTORY_COMPLETE,
    FTX_HISTORY_REFUSED,
    FTX_HISTORY_CANCELLED,
    FTX_HISTORY_FAILED,
};

#define FTX_HISTORY_UNKNOWN UINT64_MAX /* how long it took */

/* A transfer that ended. Strings are borrowed, not NUL-ended. */
struct ftx_history_row {
    uint64_t id; /* 1, 2, 3 ...: one that is in the database already is passed over */
    int64_t time_ns;
    uint64_t size, ms;
    uint8_t box, result, reason; /* reason: of the wire, of REFUSED */
    const char *link, *path;     /* as they were then; path from the mount's root */
    size_t link_size, path_size;
};

struct ftx_change {
    uint8_t kind;
    uint64_t id; /* of an item or history: encode takes as.item.id, decode sets both */
    uint64_t number;
    union {
        struct ftx_item_row item;
        struct ftx_segment segment;
        struct {
            uint64_t offset, length;
        } range;
        struct {
            const uint8_t *data;
            size_t size;
        } bytes;
        struct {
            uint64_t link, wire; /* `wire`: the item in the operation */
            struct ftx_xattr xattr;
        } xattr;
        struct ftx_history_row history;
    } as;
};

/* The largest single change, encoded: that of an attribute. */
enum { FTX_CHANGE_MAX = 1 + 4 * 8 + 1 + 2 + FTX_XATTR_NAME_MAX + 2 + UINT16_MAX };

/*
 * Encodes one change after `used` bytes of `out` (capacity `size`); returns the new length, or 0 if
 * it does not fit or is one that decode would refuse (a mode of more than nine bits, an empty
 * segment). Pure.
 */
size_t ftx_change_encode(const struct ftx_change *change, uint8_t *out, size_t used, size_t size);

/* Decodes the change at *in_out_offset and moves it on; strings point into `bytes`. FTX_ECORRUPT.
 * Pure, fuzzed. */
int ftx_change_decode(const uint8_t *bytes, size_t size, size_t *in_out_offset,
                      struct ftx_change *out);

#endif
