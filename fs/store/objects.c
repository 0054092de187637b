/* SPDX-License-Identifier: MIT */
/* Files under 64-bit ids, and the few things done with their bytes: whole reads and writes, holes,
 * copies that share blocks. */
#include "fs/store/objects.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_SIZE = sizeof "ab/cdef0123456789",
    FOLDER_SIZE = 2,
    BLOCK = 64 << 10 /* what a copy or a fill holds on the stack */
};

/* The path of an object, below the objects' folder. */
static const char *object_path(char path[PATH_SIZE], uint64_t id)
{
    char *to = path;
    for (int shift = 60; shift >= 0; shift -= 4) {
        *to++ = "0123456789abcdef"[id >> shift & 0xf];
        if (to == path + FOLDER_SIZE)
            *to++ = '/';
    }
    *to = '\0';
    return path;
}

static int make_dir(int dir_fd, const char *name)
{
    return mkdirat(dir_fd, name, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int ftx_objects_open(struct ftx_objects *objects, int state_dir_fd)
{
    int rc = make_dir(state_dir_fd, "objects");
    if (rc < 0)
        return rc;
    int fd = openat(state_dir_fd, "objects", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    objects->dir_fd = fd;
    return 0;
}

void ftx_objects_close(struct ftx_objects *objects)
{
    close(objects->dir_fd);
    objects->dir_fd = -1;
}

static int open_path(const struct ftx_objects *objects, const char *path, int flags)
{
    int fd;
    do
        fd = openat(objects->dir_fd, path, flags | O_NOFOLLOW | O_CLOEXEC, 0600);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

int ftx_object_open(const struct ftx_objects *objects, uint64_t id, int flags)
{
    char path[PATH_SIZE];
    int fd = open_path(objects, object_path(path, id), flags);
    if (fd != -ENOENT || !(flags & O_CREAT))
        return fd;
    path[FOLDER_SIZE] = '\0'; /* the first one there */
    int rc = make_dir(objects->dir_fd, path);
    path[FOLDER_SIZE] = '/';
    return rc < 0 ? rc : open_path(objects, path, flags);
}

int ftx_object_remove(const struct ftx_objects *objects, uint64_t id)
{
    char path[PATH_SIZE];
    return unlinkat(objects->dir_fd, object_path(path, id), 0) < 0 && errno != ENOENT ? -errno : 0;
}

int ftx_object_move(const struct ftx_objects *objects, uint64_t id, int to_fd, const char *name)
{
    char path[PATH_SIZE];
    object_path(path, id);
    if (renameat2(objects->dir_fd, path, to_fd, name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL)
        return -errno;
    /* a file system that knows no such rename */
    if (linkat(objects->dir_fd, path, to_fd, name, 0) < 0)
        return -errno;
    return unlinkat(objects->dir_fd, path, 0) < 0 ? -errno : 0;
}

bool ftx_object_is_here(const struct ftx_objects *objects, uint64_t id)
{
    char path[PATH_SIZE];
    return faccessat(objects->dir_fd, object_path(path, id), F_OK, 0) == 0;
}

int ftx_object_own(const struct ftx_objects *objects, uint64_t id)
{
    char path[PATH_SIZE];
    struct stat st;
    if (fstatat(objects->dir_fd, object_path(path, id), &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (st.st_nlink > 1) /* ftx_object_move was cut off */
        return unlinkat(objects->dir_fd, path, 0) < 0 ? -errno : -ENOENT;
    return fchmodat(objects->dir_fd, path, 0600, 0) < 0 ? -errno : 0;
}

/* No request to the file system: it may be a FUSE mount of our own. */
static bool find_mount(int fd, struct statx *out)
{
    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, out) == 0;
}

static bool same_disk(const struct ftx_objects *objects, int fd, bool mount)
{
    struct statx ours, its;
    return find_mount(objects->dir_fd, &ours) && find_mount(fd, &its) &&
           ours.stx_dev_major == its.stx_dev_major && ours.stx_dev_minor == its.stx_dev_minor &&
           (!mount || ours.stx_mnt_id == its.stx_mnt_id);
}

bool ftx_objects_near(const struct ftx_objects *objects, int fd)
{
    return same_disk(objects, fd, false);
}

bool ftx_objects_beside(const struct ftx_objects *objects, int fd)
{
    return same_disk(objects, fd, true);
}

/* No file reaches past INT64_MAX, and off_t could not say it. */
static bool past_any_file(uint64_t offset, uint64_t length)
{
    return offset > INT64_MAX || length > INT64_MAX - offset;
}

int ftx_object_read(int fd, void *out, size_t size, uint64_t offset)
{
    if (past_any_file(offset, size))
        return -ENODATA;
    for (char *to = out; size > 0;) {
        ssize_t n = pread(fd, to, size, (off_t)offset);
        if (n == 0)
            return -ENODATA;
        if (n < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        to += n;
        size -= (size_t)n;
        offset += (size_t)n;
    }
    return 0;
}

int ftx_object_read_padded(int fd, void *out, size_t size, uint64_t offset)
{
    if (past_any_file(offset, size))
        return -ENODATA;
    char *to = out;
    while (fd >= 0 && size > 0) {
        ssize_t n = pread(fd, to, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        to += n;
        size -= (size_t)n;
        offset += (size_t)n;
    }
    memset(to, 0, size);
    return 0;
}

int ftx_object_write(int fd, const void *bytes, size_t size, uint64_t offset)
{
    if (past_any_file(offset, size))
        return -EFBIG;
    for (const char *from = bytes; size > 0;) {
        ssize_t n = pwrite(fd, from, size, (off_t)offset);
        if (n == 0)
            return -EIO;
        if (n < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        from += n;
        size -= (size_t)n;
        offset += (size_t)n;
    }
    return 0;
}

static int size_of(int fd, uint64_t *out_size)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    *out_size = (uint64_t)st.st_size;
    return 0;
}

/* The first run of data in [offset, end): true and its bounds. A filesystem that knows no holes has
 * only data. */
static bool next_data(int fd, uint64_t offset, uint64_t end, uint64_t *out_start, uint64_t *out_end)
{
    if (offset >= end)
        return false;
    off_t data = lseek(fd, (off_t)offset, SEEK_DATA);
    if (data < 0 && errno == ENXIO)
        return false;
    uint64_t start = data < 0 ? offset : (uint64_t)data;
    if (start >= end)
        return false;
    off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
    *out_start = start;
    *out_end = hole > data && (uint64_t)hole < end ? (uint64_t)hole : end;
    return true;
}

static int write_zeros(int fd, uint64_t offset, uint64_t end)
{
    static const char zeros[BLOCK];
    while (offset < end) {
        size_t n = end - offset < BLOCK ? (size_t)(end - offset) : BLOCK;
        int rc = ftx_object_write(fd, zeros, n, offset);
        if (rc < 0)
            return rc;
        offset += n;
    }
    return 0;
}

/* punch without the filesystem's help. */
static int clear_data(int fd, uint64_t offset, uint64_t end)
{
    uint64_t start, data_end;
    int rc = 0;
    while (rc == 0 && next_data(fd, offset, end, &start, &data_end)) {
        rc = write_zeros(fd, start, data_end);
        offset = data_end;
    }
    return rc;
}

int ftx_object_punch(int fd, uint64_t offset, uint64_t length)
{
    uint64_t size;
    int rc = size_of(fd, &size);
    if (rc < 0 || length == 0 || offset >= size)
        return rc;
    if (length > size - offset)
        length = size - offset; /* some refuse to look past the largest size that they know */
    do
        rc =
            fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length);
    while (rc < 0 && errno == EINTR);
    if (rc == 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != ENOSYS)
        return -errno;
    return clear_data(fd, offset, offset + length);
}

int ftx_object_reserve(int fd, uint64_t offset, uint64_t length)
{
    int rc;
    if (past_any_file(offset, length))
        return -EFBIG;
    do
        rc = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length);
    while (rc < 0 && errno == EINTR);
    return rc < 0 && errno != EOPNOTSUPP && errno != ENOSYS ? -errno : 0;
}

int ftx_object_cut(int fd, uint64_t size)
{
    uint64_t has;
    int rc = size_of(fd, &has);
    return rc == 0 && has >= size && ftruncate(fd, (off_t)size) < 0 ? -errno : rc;
}

int ftx_object_trim(int fd)
{
    uint64_t size, start = 0, end, at = 0;
    int rc = size_of(fd, &size);
    while (rc == 0 && next_data(fd, at, size, &start, &end)) {
        rc = ftx_object_punch(fd, at, start - at);
        at = end;
    }
    if (rc == 0)
        rc = ftx_object_punch(fd, at, size - at);
    if (rc == 0 && ftruncate(fd, (off_t)size) < 0) /* to its own size: what lies behind it goes */
        rc = -errno;
    return rc;
}

int ftx_object_seek(int fd, uint64_t offset, uint64_t size, int whence, uint64_t *out_offset)
{
    off_t found = fd < 0 ? -1 : lseek(fd, (off_t)offset, whence);
    if (found < 0 && fd >= 0 && errno != ENXIO)
        return -errno;
    bool none = found < 0 || (uint64_t)found >= size;
    if (none && whence == SEEK_DATA)
        return -ENXIO;
    if (found < 0) /* behind the object's end */
        *out_offset = offset;
    else
        *out_offset = none ? size : (uint64_t)found;
    return 0;
}

static int copy_by_hand(int from_fd, int to_fd, uint64_t offset, uint64_t end)
{
    char block[BLOCK];
    while (offset < end) {
        size_t n = end - offset < BLOCK ? (size_t)(end - offset) : BLOCK;
        int rc = ftx_object_read(from_fd, block, n, offset);
        if (rc == 0)
            rc = ftx_object_write(to_fd, block, n, offset);
        if (rc < 0)
            return rc;
        offset += n;
    }
    return 0;
}

/* Copies bytes; what the kernel will not copy by itself goes through our memory, which also finds
 * the true error. */
static int copy_data(int from_fd, int to_fd, uint64_t offset, uint64_t end)
{
    off_t from = (off_t)offset, to = (off_t)offset;
    while ((uint64_t)to < end) {
        ssize_t n = copy_file_range(from_fd, &from, to_fd, &to, (size_t)(end - (uint64_t)to), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return copy_by_hand(from_fd, to_fd, (uint64_t)to, end);
    }
    return 0;
}

/* True if the filesystem shares the blocks of the whole range, holes too; it wants all bounds on
 * blocks. */
static bool clone_range(int from_fd, int to_fd, uint64_t offset, uint64_t length)
{
    struct file_clone_range range = {
        .src_fd = from_fd, .src_offset = offset, .src_length = length, .dest_offset = offset};
    return ioctl(to_fd, FICLONERANGE, &range) == 0;
}

/* Makes the file reach `end`; a byte there and not ftruncate, which could cut what another thread
 * has just written. */
static int reach(int fd, uint64_t end)
{
    uint64_t size;
    int rc = size_of(fd, &size);
    return rc < 0 || size >= end ? rc : write_zeros(fd, end - 1, end);
}

int ftx_object_copy(int from_fd, int to_fd, uint64_t offset, uint64_t length)
{
    uint64_t size, start, data_end;
    int rc = size_of(from_fd, &size);
    if (rc < 0)
        return rc;
    if (offset > size || length > size - offset)
        return -ENODATA;
    if (length == 0 || clone_range(from_fd, to_fd, offset, length))
        return 0;

    uint64_t end = offset + length;
    while (next_data(from_fd, offset, end, &start, &data_end)) {
        rc = ftx_object_punch(to_fd, offset, start - offset);
        if (rc == 0)
            rc = copy_data(from_fd, to_fd, start, data_end);
        if (rc < 0)
            return rc;
        offset = data_end;
    }
    rc = ftx_object_punch(to_fd, offset, end - offset);
    return rc < 0 ? rc : reach(to_fd, end);
}

uint64_t ftx_object_room(const struct ftx_objects *objects, uint64_t id)
{
    char path[PATH_SIZE];
    struct stat st;
    if (fstatat(objects->dir_fd, object_path(path, id), &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return (uint64_t)st.st_blocks * 512;
}

int ftx_objects_sync(const struct ftx_objects *objects)
{
    return syncfs(objects->dir_fd) < 0 ? -errno : 0;
}
