/* SPDX-License-Identifier: MIT */
/* Operations on open files. fi->fh: FTX_HANDLE_...; for .ftx/status see control.c. */
#include "fs/fuse/session.h"

#include "fs/store/inbox.h"
#include "fs/store/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void ftx_handle_opened(struct ftx_store *store, fuse_ino_t ino, bool writer,
                       struct fuse_file_info *fi)
{
    bool direct, keep;
    ftx_outbox_caching(store, ino, writer, (fi->flags & O_ACCMODE) == O_WRONLY, &direct, &keep);
    fi->fh = (writer ? FTX_HANDLE_WRITE : FTX_HANDLE_READ) | (direct ? FTX_HANDLE_DIRECT : 0);
    fi->direct_io = direct;
    fi->keep_cache = keep;
}

void ftx_handle_closed(struct ftx_store *store, fuse_ino_t ino, const struct fuse_file_info *fi)
{
    bool writer = (fi->fh & FTX_HANDLE_WRITE) != 0;
    if (fi->fh & FTX_HANDLE_DIRECT)
        ftx_outbox_direct_left(store, ino, writer);
    ftx_outbox_release(store, ino, writer);
}

static int open_outbox(struct ftx_store *store, fuse_ino_t ino, struct fuse_file_info *fi)
{
    bool writer = (fi->flags & O_ACCMODE) != O_RDONLY;
    int err = ftx_outbox_open(store, ino, writer, writer && (fi->flags & O_TRUNC));
    if (!err)
        ftx_handle_opened(store, ino, writer, fi);
    return err;
}

static int open_inbox(struct ftx_store *store, fuse_ino_t ino, struct fuse_file_info *fi)
{
    if ((fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC))
        return -EPERM;
    bool direct, keep;
    int err = ftx_inbox_open(store, ino, &direct, &keep);
    if (err)
        return err;
    fi->fh = FTX_HANDLE_READ;
    fi->direct_io = direct;
    fi->keep_cache = keep;
    return 0;
}

void ftx_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct ftx_store *store = ftx_mount_of(req)->store;
    struct ftx_attr attr;
    if (ftx_repeat_open(req, ino, fi))
        return;
    if (ino == FTX_ID_STATUS) {
        ftx_status_open(req, fi);
        return;
    }
    int err = ftx_tree_attr(store, ino, &attr);
    if (!err)
        err = attr.box == FTX_OUTBOX ? open_outbox(store, ino, fi) : open_inbox(store, ino, fi);
    if (err) {
        ftx_reply_err(req, err);
        return;
    }
    if (fuse_reply_open(req, fi) == -ENOENT) {
        if (attr.box == FTX_OUTBOX)
            ftx_handle_closed(store, ino, fi);
        else
            ftx_inbox_release(store, ino);
    }
}

void ftx_reply_object(fuse_req_t req, int fd, size_t size, off_t offset)
{
    char *bytes = malloc(size ? size : 1);
    if (!bytes) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    int err = ftx_object_read_padded(fd, bytes, size, (uint64_t)offset);
    if (err)
        ftx_reply_err(req, err);
    else
        fuse_reply_buf(req, bytes, size);
    free(bytes);
}

static void read_outbox(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset)
{
    char *bytes = malloc(size ? size : 1);
    if (!bytes) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    ssize_t n = ftx_outbox_read(ftx_mount_of(req)->store, ino, bytes, size, (uint64_t)offset);
    if (n < 0)
        ftx_reply_err(req, (int)n);
    else
        fuse_reply_buf(req, bytes, (size_t)n);
    free(bytes);
}

static void read_inbox(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       const struct fuse_file_info *fi)
{
    struct ftx_mount *mount = ftx_mount_of(req);
    bool wait = !(fi->flags & O_NONBLOCK);
    size_t ready;
    int fd;
    int err = ftx_inbox_read(mount->store, ino, size, (uint64_t)offset, wait, &fd, &ready);
    if (err == -EAGAIN && wait)
        ftx_park_read(mount->park, req, ino, size, offset);
    else if (err)
        ftx_reply_err(req, err);
    else
        ftx_reply_object(req, fd, ready, offset);
}

void ftx_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                 struct fuse_file_info *fi)
{
    struct ftx_attr attr;
    if (ino == FTX_ID_STATUS) {
        ftx_status_read(req, size, offset, fi);
        return;
    }
    int err = ftx_tree_attr(ftx_mount_of(req)->store, ino, &attr);
    if (err)
        ftx_reply_err(req, err);
    else if (attr.box == FTX_OUTBOX)
        read_outbox(req, ino, size, offset);
    else
        read_inbox(req, ino, size, offset, fi);
}

void ftx_op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
                  struct fuse_file_info *fi)
{
    (void)fi;
    int err = ftx_outbox_write(ftx_mount_of(req)->store, ino, bytes, size, (uint64_t)offset);
    if (err)
        ftx_reply_err(req, err);
    else
        fuse_reply_write(req, size);
}

void ftx_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    if (ino != FTX_ID_STATUS && (fi->fh & FTX_HANDLE_WRITE))
        ftx_reply_err(req, ftx_outbox_flush(ftx_mount_of(req)->store, ino));
    else
        fuse_reply_err(req, 0);
}

void ftx_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct ftx_store *store = ftx_mount_of(req)->store;
    struct ftx_attr attr;
    if (ino == FTX_ID_STATUS) {
        ftx_status_close(ftx_mount_of(req), fi);
    } else if (fi->fh != FTX_HANDLE_REPEAT && ftx_tree_attr(store, ino, &attr) == 0) {
        if (attr.box == FTX_OUTBOX)
            ftx_handle_closed(store, ino, fi);
        else
            ftx_inbox_release(store, ino);
    }
    fuse_reply_err(req, 0);
}

void ftx_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    struct ftx_store *store = ftx_mount_of(req)->store;
    struct ftx_attr attr;
    (void)datasync;
    (void)fi;
    if (ftx_tree_attr(store, ino, &attr) == 0 && attr.box == FTX_OUTBOX)
        ftx_reply_err(req, ftx_outbox_fsync(store, ino));
    else
        fuse_reply_err(req, 0); /* what came is durable before it is complete */
}

void ftx_op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                      struct fuse_file_info *fi)
{
    (void)fi; /* the kernel asks for handles that write only */
    struct ftx_store *store = ftx_mount_of(req)->store;
    int known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
    bool clear = (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0;
    bool reserve = !(mode & FALLOC_FL_PUNCH_HOLE);
    int err = mode & ~known ? -EOPNOTSUPP : 0;
    if (!err && clear)
        err = ftx_outbox_punch(store, ino, (uint64_t)offset, (uint64_t)length);
    if (!err && reserve)
        err = ftx_outbox_allocate(store, ino, (uint64_t)offset, (uint64_t)length,
                                  (mode & FALLOC_FL_KEEP_SIZE) != 0);
    ftx_reply_err(req, err);
}

void ftx_op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
                  struct fuse_file_info *fi)
{
    (void)fi;
    struct ftx_store *store = ftx_mount_of(req)->store;
    struct ftx_attr attr;
    uint64_t found;
    int err = offset < 0 ? -ENXIO : ftx_tree_attr(store, ino, &attr);
    if (!err)
        err = attr.box == FTX_OUTBOX ? ftx_outbox_seek(store, ino, (uint64_t)offset, whence, &found)
                                     : ftx_inbox_seek(store, ino, (uint64_t)offset, whence, &found);
    if (err)
        ftx_reply_err(req, err);
    else
        fuse_reply_lseek(req, (off_t)found);
}

void ftx_op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    (void)ino;
    (void)datasync;
    (void)fi;
    ftx_reply_err(req, ftx_store_sync(ftx_mount_of(req)->store));
}
