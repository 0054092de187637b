/* SPDX-License-Identifier: MIT */
/* A file leaves an inbox for a folder that its owner has open. */
#ifndef FTX_FUSE_TAKE_H
#define FTX_FUSE_TAKE_H

#include "fs/fuse/session.h"

#include <limits.h>

/* Not user.*: to set one of these the kernel wants write permission, which a file may not give its
 * own owner; whether system.* may be set is left to the file system (xattr(7)). */
#define FTX_TAKE  "system.ftx.take"
#define FTX_CLONE "system.ftx.clone"

/* FTX_TAKE = N/NAME was set on the inode: what ftx_take_out says; -EINVAL, -ENAMETOOLONG,
 * -EBADF: nothing is open as N; -EPERM: it is not the owner who asks. */
int ftx_take_asked(fuse_req_t req, fuse_ino_t ino, const char *value, size_t size);

/* FTX_CLONE = N, likewise: what ftx_take_clone says. */
int ftx_clone_asked(fuse_req_t req, fuse_ino_t ino, const char *value, size_t size);

/* The value of FTX_TAKE. -EINVAL, -ENAMETOOLONG. Pure, fuzzed. */
int ftx_take_parse(const char *value, size_t size, unsigned *out_fd, char name[NAME_MAX + 1]);

#endif
