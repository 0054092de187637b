/* SPDX-License-Identifier: MIT */
/* The files in .ftx (docs/interface.md): which there are, and who has them open. */
#include "fs/fuse/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

const struct ftx_control *const ftx_controls[FTX_CONTROLS] = {
    &ftx_control_status, &ftx_control_events, &ftx_control_history, &ftx_control_ctl};

const struct ftx_control *ftx_control_of(fuse_ino_t ino)
{
    if (ino >= FTX_ID_FIRST)
        return NULL;
    for (size_t i = 0; i < FTX_CONTROLS; i++)
        if (ftx_controls[i]->ino == ino)
            return ftx_controls[i];
    return NULL;
}

static struct ftx_control_handle *handle_of(const struct fuse_file_info *fi)
{
    return (struct ftx_control_handle *)(uintptr_t)fi->fh;
}

void ftx_controls_init(struct ftx_mount *mount)
{
    pthread_mutex_init(&mount->controls_lock, NULL);
    ftx_list_init(&mount->controls);
}

/* The list's alone no more: freed. */
static void close_handle(struct ftx_mount *mount, struct ftx_control_handle *handle)
{
    pthread_mutex_lock(&mount->controls_lock);
    ftx_list_remove(&handle->node);
    pthread_mutex_unlock(&mount->controls_lock);
    handle->control->close(mount, handle);
}

void ftx_controls_close(struct ftx_mount *mount)
{
    while (!ftx_list_empty(&mount->controls))
        close_handle(mount, ftx_list_of(mount->controls.next, struct ftx_control_handle, node));
    pthread_mutex_destroy(&mount->controls_lock);
}

/* Root passes the permission bits. */
static bool may_open(const struct ftx_control *control, const struct fuse_file_info *fi)
{
    if (control->write)
        return (fi->flags & O_ACCMODE) == O_WRONLY;
    return (fi->flags & O_ACCMODE) == O_RDONLY && !(fi->flags & O_TRUNC);
}

void ftx_control_open(fuse_req_t req, const struct ftx_control *control, struct fuse_file_info *fi)
{
    struct ftx_mount *mount = ftx_mount_of(req);
    struct ftx_control_handle *handle;
    int err = may_open(control, fi) ? control->open(mount, &handle) : -EPERM;
    if (err) {
        ftx_reply_err(req, err);
        return;
    }
    handle->control = control;
    ftx_list_init(&handle->node);
    pthread_mutex_lock(&mount->controls_lock);
    ftx_list_append(&mount->controls, &handle->node);
    pthread_mutex_unlock(&mount->controls_lock);
    fi->fh = (uint64_t)(uintptr_t)handle;
    fi->direct_io = 1;
    fi->nonseekable = control->stream;
    if (fuse_reply_open(req, fi) == -ENOENT)
        close_handle(mount, handle);
}

void ftx_control_read(fuse_req_t req, size_t size, off_t offset, const struct fuse_file_info *fi)
{
    struct ftx_control_handle *handle = handle_of(fi);
    handle->control->read(req, handle, size, offset, fi);
}

void ftx_control_write(fuse_req_t req, const char *bytes, size_t size,
                       const struct fuse_file_info *fi)
{
    handle_of(fi)->control->write(req, bytes, size);
}

void ftx_control_poll(fuse_req_t req, const struct fuse_file_info *fi, struct fuse_pollhandle *wait)
{
    struct ftx_control_handle *handle = handle_of(fi);
    const struct ftx_control *control = handle->control;
    bool ready = true;
    if (control->poll)
        ready = control->poll(ftx_mount_of(req), handle, wait);
    else if (wait)
        fuse_pollhandle_destroy(wait);
    fuse_reply_poll(req, !ready ? 0 : control->write ? POLLOUT | POLLWRNORM : POLLIN | POLLRDNORM);
}

void ftx_control_release(fuse_req_t req, const struct fuse_file_info *fi)
{
    close_handle(ftx_mount_of(req), handle_of(fi));
    fuse_reply_err(req, 0);
}

void ftx_control_stat(const struct ftx_mount *mount, const struct ftx_control *control,
                      struct stat *out)
{
    out->st_mode = S_IFREG | control->mode;
    out->st_nlink = 1;
    if (control->stat)
        control->stat(mount, out);
}

void ftx_control_reply(fuse_req_t req, const char *text, size_t text_size, size_t size,
                       uint64_t offset)
{
    size_t at = offset < text_size ? (size_t)offset : text_size;
    size_t n = text_size - at < size ? text_size - at : size;
    char *copy = malloc(n ? n : 1);
    if (!copy) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    if (n)
        memcpy(copy, text + at, n);
    fuse_reply_buf(req, copy, n);
    free(copy);
}
