/* SPDX-License-Identifier: MIT */
/* A mount without a kernel: its FUSE requests are written here and handed to libfuse in memory. */
#ifndef FTX_TESTS_COST_MOUNT_H
#define FTX_TESTS_COST_MOUNT_H

#include "fs/store/store.h"

#include <stddef.h>
#include <stdint.h>

struct cost_mount;

/* An open file: its inode, and the handle that open gave. */
struct cost_file {
    uint64_t id, handle;
};

struct cost_mount *cost_mount_new(struct ftx_store *store);
void cost_mount_free(struct cost_mount *mount);

/* What the kernel asks for a program's calls; it ends the program if the answer is an error. */

/* The inode, or 0. */
uint64_t cost_lookup(struct cost_mount *mount, uint64_t parent, const char *name);
void cost_getattr(struct cost_mount *mount, uint64_t id);
uint64_t cost_mkdir(struct cost_mount *mount, uint64_t parent, const char *name);
struct cost_file cost_create(struct cost_mount *mount, uint64_t parent, const char *name);
/* Room for at most COST_WRITE_MAX bytes of the next write. */
enum { COST_WRITE_MAX = 1 << 20 };
uint8_t *cost_write_room(struct cost_mount *mount);
/* With the question about a capability that comes before each write. */
void cost_write(struct cost_mount *mount, struct cost_file file, uint64_t offset, uint32_t size);
/* close(2): FLUSH and RELEASE. */
void cost_close(struct cost_mount *mount, struct cost_file file);
/* All of a folder, in steps of 32 KiB; returns how many bytes that was. */
size_t cost_readdir(struct cost_mount *mount, uint64_t id);

#endif
