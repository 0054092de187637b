/* SPDX-License-Identifier: MIT */
/*
 * system.ftx.take and system.ftx.clone, set on a complete file of an inbox (docs/interface.md).
 * Where to, is what the asking process has open: so nobody reaches by us what he cannot reach
 * himself, and no path is looked up that could lead elsewhere by now.
 */
#include "fs/fuse/take.h"

#include "fs/store/take.h"
#include "fs/store/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROC_PATH_SIZE = sizeof "/proc//fd/" + 2 * 10 };

/* The number that the value begins with: how long it is, 0: none. */
static size_t parse_number(const char *value, size_t size, unsigned *out)
{
    size_t n = 0;
    for (*out = 0; n < size && n < 6 && value[n] >= '0' && value[n] <= '9'; n++)
        *out = *out * 10 + (unsigned)(value[n] - '0');
    return n;
}

int ftx_take_parse(const char *value, size_t size, unsigned *out_fd, char name[NAME_MAX + 1])
{
    size_t n = parse_number(value, size, out_fd);
    if (!n || n == size || value[n] != '/')
        return -EINVAL;
    value += n + 1;
    size -= n + 1;
    if (size > NAME_MAX)
        return -ENAMETOOLONG;
    if (!size || memchr(value, '/', size) || memchr(value, '\0', size))
        return -EINVAL;
    memcpy(name, value, size);
    name[size] = '\0';
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ? -EINVAL : 0;
}

/* Only its owner's: another one's file would be ours there. */
static int may_ask(fuse_req_t req, fuse_ino_t ino)
{
    struct ftx_attr attr;
    int err = ino < FTX_ID_FIRST ? -EPERM : ftx_tree_attr(ftx_mount_of(req)->store, ino, &attr);
    bool may = !err && attr.box == FTX_INBOX && attr.kind == FTX_FILE &&
               fuse_req_ctx(req)->uid == geteuid();
    return err ? err : may ? 0 : -EPERM;
}

/* What the asking process has open, as O_PATH: nothing of it is asked yet, for it may be a file of
 * our own mount. */
static int open_asker(fuse_req_t req, unsigned number)
{
    char path[PROC_PATH_SIZE];
    const struct fuse_ctx *asker = fuse_req_ctx(req);
    if (asker->pid <= 0) /* in no PID namespace that we see */
        return -EXDEV;
    snprintf(path, sizeof path, "/proc/%d/fd/%u", (int)asker->pid, number);
    int fd = open(path, O_PATH | O_CLOEXEC);
    return fd >= 0 ? fd : errno == ENOENT ? -EBADF : -EXDEV;
}

int ftx_take_asked(fuse_req_t req, fuse_ino_t ino, const char *value, size_t size)
{
    unsigned number;
    char name[NAME_MAX + 1];
    int err = may_ask(req, ino);
    if (!err)
        err = ftx_take_parse(value, size, &number, name);
    int folder = err ? err : open_asker(req, number);
    if (folder < 0)
        return folder;
    err = ftx_take_out(ftx_mount_of(req)->store, ino, folder, name);
    close(folder);
    return err;
}

/* Opens the file for writing, if it is an empty one beside the store. */
static int open_empty(const struct ftx_store *store, int fd)
{
    char path[PROC_PATH_SIZE];
    struct stat st;
    if (!ftx_objects_near(&store->objects, fd))
        return -EXDEV;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > 0)
        return -EINVAL;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    return file < 0 ? -errno : file;
}

int ftx_clone_asked(fuse_req_t req, fuse_ino_t ino, const char *value, size_t size)
{
    unsigned number;
    size_t n = parse_number(value, size, &number);
    int err = may_ask(req, ino);
    int found = err ? err : !n || n != size ? -EINVAL : open_asker(req, number);
    if (found < 0)
        return found;
    struct ftx_store *store = ftx_mount_of(req)->store;
    int file = open_empty(store, found);
    err = file;
    if (file >= 0) {
        err = ftx_take_clone(store, ino, file);
        close(file);
    }
    close(found);
    return err;
}
