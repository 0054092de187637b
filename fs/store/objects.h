/* SPDX-License-Identifier: MIT */
/* File contents under random ids: STORE/.ftx/objects/ab/cdef0123456789. No name from outside is
 * ever a path here. Any thread. */
#ifndef FTX_STORE_OBJECTS_H
#define FTX_STORE_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ftx_objects {
    int dir_fd;
};

/* Opens (making it, mode 0700, if missing) `objects` in `state_dir_fd`. -errno. */
int ftx_objects_open(struct ftx_objects *objects, int state_dir_fd);
void ftx_objects_close(struct ftx_objects *objects);

/* Opens an object, O_NOFOLLOW|O_CLOEXEC added to `flags`, mode 0600; with O_CREAT the folder that
 * it lies in, one of 256, is made too. Returns the descriptor or -errno. */
int ftx_object_open(const struct ftx_objects *objects, uint64_t id, int flags);

/* Removes it; it need not exist. -errno. */
int ftx_object_remove(const struct ftx_objects *objects, uint64_t id);

/* It leaves, for `name` in the folder `to_fd` of the same file system, where nothing has that name.
 * -EEXIST, -EXDEV, -ENOENT: there is no such object. */
int ftx_object_move(const struct ftx_objects *objects, uint64_t id, int to_fd, const char *name);

bool ftx_object_is_here(const struct ftx_objects *objects, uint64_t id);

/* Whatever was begun to move it away, it is ours with mode 0600. -ENOENT: it is elsewhere. */
int ftx_object_own(const struct ftx_objects *objects, uint64_t id);

/* Is `fd`, which may be an O_PATH one, on the same file system; and in the same mount of it, so that
 * objects can be renamed to there? */
bool ftx_objects_near(const struct ftx_objects *objects, int fd);
bool ftx_objects_beside(const struct ftx_objects *objects, int fd);

/* Whole reads and writes: all `size` bytes or an error; -ENODATA where a read meets the end. EINTR
 * and short counts are handled. */
int ftx_object_read(int fd, void *out, size_t size, uint64_t offset);
int ftx_object_write(int fd, const void *bytes, size_t size, uint64_t offset);

/* A read with zeros behind the object's end, and where there is no object (fd -1). -errno. */
int ftx_object_read_padded(int fd, void *out, size_t size, uint64_t offset);

/* What lies behind `size` goes, with its room. An object that is shorter stays so: a file may be larger
 * than the disk lets one be, as long as nothing stands there. -errno. */
int ftx_object_cut(int fd, uint64_t size);

/* Makes a range read as zeros, giving its blocks back where the filesystem can; never changes the
 * size. -errno. */
int ftx_object_punch(int fd, uint64_t offset, uint64_t length);

/* Copies a range between objects, sharing blocks where the filesystem can (reflink,
 * copy_file_range, else read and write); holes may stay holes. -errno. */
int ftx_object_copy(int from_fd, int to_fd, uint64_t offset, uint64_t length);

/* Reserves room on the disk for a range, where the filesystem can; never changes the size. -ENOSPC,
 * -errno. */
int ftx_object_reserve(int fd, uint64_t offset, uint64_t length);

/* Gives back what is reserved and holds nothing. Nobody may write meanwhile. -errno. */
int ftx_object_trim(int fd);

/* lseek with SEEK_DATA or SEEK_HOLE in a file of `size` bytes, offset below that, whose object this
 * is (fd < 0: none, so it is one hole). -ENXIO: no data from there on. */
int ftx_object_seek(int fd, uint64_t offset, uint64_t size, int whence, uint64_t *out_offset);

/* What the object takes on the disk, bytes; 0 if there is none. */
uint64_t ftx_object_room(const struct ftx_objects *objects, uint64_t id);

/* Makes everything written so far durable: syncfs. -errno. */
int ftx_objects_sync(const struct ftx_objects *objects);

#endif
