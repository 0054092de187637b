/* SPDX-License-Identifier: MIT */
/* Attributes one after the other: u8 size of the name, u16 size of the value, name, value. */
#include "fs/store/xattrs.h"

#include "transport/wire/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD = 3 };

struct ftx_xattrs {
    uint32_t count;
    uint32_t size; /* of `packed` */
    uint8_t packed[];
};

bool ftx_xattrs_next(const struct ftx_xattrs *set, size_t *in_out_at, struct ftx_xattr *out)
{
    if (!set || *in_out_at == set->size)
        return false;
    const uint8_t *at = set->packed + *in_out_at;
    out->name_size = at[0];
    out->value_size = at[1] | (size_t)at[2] << 8;
    out->name = (const char *)at + HEAD;
    out->value = at + HEAD + out->name_size;
    *in_out_at += HEAD + out->name_size + out->value_size;
    return true;
}

bool ftx_xattrs_find(const struct ftx_xattrs *set, const char *name, size_t size,
                     struct ftx_xattr *out)
{
    size_t at = 0;
    while (ftx_xattrs_next(set, &at, out))
        if (out->name_size == size && memcmp(out->name, name, size) == 0)
            return true;
    return false;
}

bool ftx_xattr_is_ours(const struct ftx_xattr *xattr)
{
    return xattr->name_size >= 4 && memcmp(xattr->name, "ftx.", 4) == 0;
}

size_t ftx_xattrs_bytes(const struct ftx_xattrs *set)
{
    return set ? set->size + set->count * (size_t)(FTX_USER_SIZE - HEAD) : 0;
}

static void append(struct ftx_xattrs *set, const struct ftx_xattr *xattr)
{
    uint8_t *at = set->packed + set->size;
    at[0] = (uint8_t)xattr->name_size;
    at[1] = (uint8_t)xattr->value_size;
    at[2] = (uint8_t)(xattr->value_size >> 8);
    memcpy(at + HEAD, xattr->name, xattr->name_size);
    if (xattr->value_size)
        memcpy(at + HEAD + xattr->name_size, xattr->value, xattr->value_size);
    set->size += (uint32_t)(HEAD + xattr->name_size + xattr->value_size);
    set->count++;
}

int ftx_xattrs_with(const struct ftx_xattrs *set, const struct ftx_xattr *xattr,
                    struct ftx_xattrs **out)
{
    if (xattr->value_size > FTX_XATTRS_ITEM_BYTES)
        return -ENOSPC;
    size_t most = (set ? set->size : 0) + HEAD + xattr->name_size + xattr->value_size;
    struct ftx_xattrs *made = malloc(sizeof *made + most);
    if (!made)
        return -ENOMEM;
    made->count = made->size = 0;
    struct ftx_xattr kept;
    for (size_t at = 0; ftx_xattrs_next(set, &at, &kept);)
        if (kept.name_size != xattr->name_size ||
            memcmp(kept.name, xattr->name, xattr->name_size) != 0)
            append(made, &kept);
    if (xattr->value)
        append(made, xattr);
    if (xattr->value &&
        (ftx_xattrs_bytes(made) > FTX_XATTRS_ITEM_BYTES || made->count > FTX_XATTRS_ITEM_MAX)) {
        free(made);
        return -ENOSPC;
    }
    if (made->count == 0) {
        free(made);
        made = NULL;
    }
    *out = made;
    return 0;
}
