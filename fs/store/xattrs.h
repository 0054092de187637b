/* SPDX-License-Identifier: MIT */
/* The user.* attributes of one item, in one block of memory; names stand without `user.`. A set is
 * never changed: another one takes its place. Pure. */
#ifndef FTX_STORE_XATTRS_H
#define FTX_STORE_XATTRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FTX_USER "user." /* what programs see before each name */
enum { FTX_USER_SIZE = 5 };

/* Borrowed from whoever has the set or the message. */
struct ftx_xattr {
    const char *name; /* not NUL-ended */
    size_t name_size;
    const void *value; /* NULL: removed */
    size_t value_size;
};

/* NULL is the empty set, for every function here. */
struct ftx_xattrs;

bool ftx_xattrs_find(const struct ftx_xattrs *set, const char *name, size_t size,
                     struct ftx_xattr *out);

/* One of ours (`ftx.`): it does not travel, and no program sees it in a list. */
bool ftx_xattr_is_ours(const struct ftx_xattr *xattr);

/* Walks all of them, *in_out_at 0 at first; false: no more. */
bool ftx_xattrs_next(const struct ftx_xattrs *set, size_t *in_out_at, struct ftx_xattr *out);

/* Names (with `user.`) and values together: what counts against the limits. */
size_t ftx_xattrs_bytes(const struct ftx_xattrs *set);

/*
 * *out is a new set, to be free()d: `set` and this one in place of any of its name, or without that
 * one if the value is NULL. -ENOSPC: over the limits of an item, -ENOMEM.
 */
int ftx_xattrs_with(const struct ftx_xattrs *set, const struct ftx_xattr *xattr,
                    struct ftx_xattrs **out);

#endif
