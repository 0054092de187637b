/* SPDX-License-Identifier: MIT */
/* Operations on open files. fi->fh: FTX_HANDLE_...; for the files in .ftx see control.h. */
#include "fs/fuse/control.h"

#include "fs/store/inbox.h"
#include "fs/store/outbox.h"
#include "fs/store/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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
    const struct ftx_control *control = ftx_control_of(ino);
    if (control) {
        ftx_control_open(req, control, fi);
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

/* -- reading -- */

static pthread_key_t room_key;

static void make_room_key(void)
{
    (void)pthread_key_create(&room_key, free);
}

/* A block for each read would be mapped and unmapped; a static one per thread would be cleared. */
char *ftx_read_room(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, make_room_key);
    char *room = pthread_getspecific(room_key);
    if (!room) {
        room = malloc(FTX_REQUEST_MAX);
        (void)pthread_setspecific(room_key, room);
    }
    return room;
}

/* Gives -EAGAIN for bytes that are not here but may come; if `want`, the peer is asked for them. */
static int read_inbox(struct ftx_store *store, fuse_ino_t ino, char *bytes, size_t size,
                      off_t offset, bool want, size_t *out_size)
{
    int fd;
    int err = ftx_inbox_read(store, ino, size, (uint64_t)offset, want, &fd, out_size);
    return err ? err : ftx_object_read_padded(fd, bytes, *out_size, (uint64_t)offset);
}

static int read_outbox(struct ftx_store *store, fuse_ino_t ino, char *bytes, size_t size,
                       off_t offset, bool want, size_t *out_size)
{
    ssize_t n = ftx_outbox_read(store, ino, bytes, size, (uint64_t)offset, want);
    *out_size = n < 0 ? 0 : (size_t)n;
    return n < 0 ? (int)n : 0;
}

static int read_file(struct ftx_mount *mount, fuse_ino_t ino, size_t size, off_t offset, bool want,
                     struct ftx_reply *out)
{
    struct ftx_attr attr;
    char *bytes = ftx_read_room();
    *out = (struct ftx_reply){.bytes = bytes};
    if (!bytes)
        return -ENOMEM;
    if (size > FTX_REQUEST_MAX) /* more than was agreed on with the kernel */
        return -EINVAL;
    int err = ftx_tree_attr(mount->store, ino, &attr);
    if (err)
        return err;
    return attr.box == FTX_OUTBOX
               ? read_outbox(mount->store, ino, bytes, size, offset, want, &out->size)
               : read_inbox(mount->store, ino, bytes, size, offset, want, &out->size);
}

static int try_read(struct ftx_mount *mount, const struct ftx_parked *parked, bool ask,
                    struct ftx_reply *out)
{
    struct ftx_attr attr; /* the inbox asks before it makes room for the bytes, the outbox after */
    int err = ftx_tree_attr(mount->store, parked->ino, &attr);
    if (!err && attr.box == FTX_OUTBOX)
        err = ftx_outbox_at_hand(mount->store, parked->ino, parked->size, (uint64_t)parked->offset,
                                 true);
    return err ? err : read_file(mount, parked->ino, parked->size, parked->offset, ask, out);
}

static int64_t read_progress(struct ftx_mount *mount, fuse_ino_t ino)
{
    int64_t in_ms = ftx_inbox_progress(mount->store, ino);
    int64_t out_ms = ftx_outbox_progress(mount->store, ino);
    return in_ms > out_ms ? in_ms : out_ms;
}

static void reply_read(fuse_req_t req, const struct ftx_reply *reply)
{
    fuse_reply_buf(req, reply->bytes, reply->size);
}

static const struct ftx_wait_kind waiting_read = {.attempt = try_read,
                                                  .progress_ms = read_progress,
                                                  .reply = reply_read,
                                                  .timeout_err = -ETIMEDOUT};

void ftx_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                 struct fuse_file_info *fi)
{
    if (ftx_control_of(ino)) {
        ftx_control_read(req, size, offset, fi);
        return;
    }
    struct ftx_mount *mount = ftx_mount_of(req);
    bool wait = !(fi->flags & O_NONBLOCK);
    struct ftx_reply reply;
    int err = read_file(mount, ino, size, offset, wait, &reply);
    if (err == -EAGAIN && wait)
        ftx_park_wait(mount->park, &waiting_read, req, ino, fi->fh, NULL, size, offset);
    else if (err)
        ftx_reply_err(req, err);
    else
        reply_read(req, &reply);
}

/* -- writing -- */

static int try_write(struct ftx_mount *mount, const struct ftx_parked *parked, bool ask,
                     struct ftx_reply *out)
{
    (void)ask;
    (void)out;
    return ftx_outbox_write(mount->store, parked->ino, parked->bytes, parked->size,
                            (uint64_t)parked->offset);
}

static int64_t spool_progress(struct ftx_mount *mount, fuse_ino_t ino)
{
    (void)ino;
    return ftx_spool_progress(mount->store);
}

static void reply_write(fuse_req_t req, const struct ftx_reply *reply)
{
    fuse_reply_write(req, reply->size);
}

/* There was no room in the spool: it is given back as the link drains. */
static const struct ftx_wait_kind waiting_write = {.attempt = try_write,
                                                   .progress_ms = spool_progress,
                                                   .reply = reply_write,
                                                   .timeout_err = -ENOSPC};

void ftx_op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
                  struct fuse_file_info *fi)
{
    struct ftx_mount *mount = ftx_mount_of(req);
    if (ftx_control_of(ino)) {
        ftx_control_write(req, bytes, size, fi);
        return;
    }
    int err = ftx_outbox_write(mount->store, ino, bytes, size, (uint64_t)offset);
    if (err == -EAGAIN)
        ftx_park_wait(mount->park, &waiting_write, req, ino, fi->fh, bytes, size, offset);
    else if (err)
        ftx_reply_err(req, err);
    else
        fuse_reply_write(req, size);
}

/* -- closing -- */

static int try_close(struct ftx_mount *mount, const struct ftx_parked *parked, bool ask,
                     struct ftx_reply *out)
{
    (void)ask;
    (void)out;
    return ftx_outbox_delivered(mount->store, parked->ino);
}

static void leave_close(struct ftx_mount *mount, fuse_ino_t ino)
{
    ftx_outbox_flushed(mount->store, ino);
}

static void reply_done(fuse_req_t req, const struct ftx_reply *reply)
{
    (void)reply;
    fuse_reply_err(req, 0);
}

static const struct ftx_wait_kind waiting_close = {.attempt = try_close,
                                                   .progress_ms = spool_progress,
                                                   .reply = reply_done,
                                                   .leave = leave_close,
                                                   .timeout_err = -ETIMEDOUT};

void ftx_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct ftx_mount *mount = ftx_mount_of(req);
    int err = 0;
    if (!ftx_control_of(ino) && (fi->fh & FTX_HANDLE_WRITE))
        err = ftx_outbox_flush(mount->store, ino, mount->close_delivered);
    if (err == -EAGAIN)
        ftx_park_wait(mount->park, &waiting_close, req, ino, fi->fh, NULL, 0, 0);
    else
        ftx_reply_err(req, err);
}

/* Files can always be read and written, as far as poll is concerned. */
void ftx_op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
                 struct fuse_pollhandle *wait)
{
    if (ftx_control_of(ino)) {
        ftx_control_poll(req, fi, wait);
        return;
    }
    if (wait)
        fuse_pollhandle_destroy(wait);
    fuse_reply_poll(req, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
}

void ftx_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct ftx_store *store = ftx_mount_of(req)->store;
    struct ftx_attr attr;
    if (ftx_control_of(ino)) {
        ftx_control_release(req, fi);
        return;
    }
    if (fi->fh != FTX_HANDLE_REPEAT && ftx_tree_attr(store, ino, &attr) == 0) {
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

static int try_allocate(struct ftx_mount *mount, const struct ftx_parked *parked, bool ask,
                        struct ftx_reply *out)
{
    (void)ask;
    (void)out;
    return ftx_outbox_allocate(mount->store, parked->ino, (uint64_t)parked->offset, parked->size,
                               (parked->handle & FALLOC_FL_KEEP_SIZE) != 0);
}

/* Likewise; `handle` is the mode. */
static const struct ftx_wait_kind waiting_allocate = {.attempt = try_allocate,
                                                      .progress_ms = spool_progress,
                                                      .reply = reply_done,
                                                      .timeout_err = -ENOSPC};

void ftx_op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                      struct fuse_file_info *fi)
{
    (void)fi; /* the kernel asks for handles that write only */
    struct ftx_mount *mount = ftx_mount_of(req);
    struct ftx_store *store = mount->store;
    int known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
    bool clear = (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0;
    bool reserve = !(mode & FALLOC_FL_PUNCH_HOLE);
    int err = mode & ~known ? -EOPNOTSUPP : 0;
    if (!err && clear)
        err = ftx_outbox_punch(store, ino, (uint64_t)offset, (uint64_t)length);
    if (!err && reserve)
        err = ftx_outbox_allocate(store, ino, (uint64_t)offset, (uint64_t)length,
                                  (mode & FALLOC_FL_KEEP_SIZE) != 0);
    if (err == -EAGAIN)
        ftx_park_wait(mount->park, &waiting_allocate, req, ino, (uint64_t)mode, NULL,
                      (size_t)length, offset);
    else
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
