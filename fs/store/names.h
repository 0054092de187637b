/* SPDX-License-Identifier: MIT */
/* Which names and link targets are allowed (docs/protocol.md 8): the one place that says so, for
 * local programs and for peers. Pure, fuzzed. */
#ifndef FTX_STORE_NAMES_H
#define FTX_STORE_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * 0 if `name` may stand in a folder; `at_root`: of a link. -ENAMETOOLONG over 255 bytes; -EINVAL
 * for an empty name, `.`, `..`, a `/`, NUL or control byte, or the reserved
 * `.ftx` at the root.
 */
int ftx_name_check(const char *name, size_t size, bool at_root);

/* 0 if `name` (without the `user.` before it) may be an attribute's: 1..250 bytes without NUL, not
 * one of ours (`ftx.` and more). -ERANGE, -EINVAL. */
int ftx_xattr_name_check(const char *name, size_t size);

/* True for what desktops and network file systems leave behind: such a name stays on this machine,
 * with all below it. */
bool ftx_name_is_local(const char *name, size_t size);

/* 0 if `target` may be a symlink's: 1..4095 bytes without NUL. -EINVAL, -ENAMETOOLONG. */
int ftx_target_check(const char *target, size_t size);

/* True if a symlink that stands `depth` folders below its link's root stays inside with this
 * target: relative, at first up (at most to the root), then only down. `..` behind a name could
 * leave through another symlink of that name. */
bool ftx_target_inside(const char *target, size_t size, unsigned depth);

#endif
