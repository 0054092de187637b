/* SPDX-License-Identifier: MIT */
/* The files in .ftx: one table (control.c), a file of this folder for each of them. */
#ifndef FTX_FUSE_CONTROL_H
#define FTX_FUSE_CONTROL_H

#include "fs/fuse/session.h"

struct ftx_control;

/* What an open control file is: the beginning of each file's own struct. An unmount can come before
 * its release does, so the mount knows them all. */
struct ftx_control_handle {
    struct ftx_list node; /* mount->controls */
    const struct ftx_control *control;
};

struct ftx_control {
    fuse_ino_t ino;
    const char *name;
    mode_t mode; /* 0400: only read, 0200: only written */
    bool stream; /* cannot be seeked in */
    /* *out_handle: any block that begins with a handle, which is filled by the caller. -errno */
    int (*open)(struct ftx_mount *mount, struct ftx_control_handle **out_handle);
    /* Each answers once. NULL: as the mode says */
    void (*read)(fuse_req_t req, struct ftx_control_handle *handle, size_t size, off_t offset,
                 const struct fuse_file_info *fi);
    void (*write)(fuse_req_t req, const char *bytes, size_t size);
    /* Would a read give something? Takes over `wait` (NULL: nobody waits). NULL: always */
    bool (*poll)(struct ftx_mount *mount, struct ftx_control_handle *handle,
                 struct fuse_pollhandle *wait);
    void (*close)(struct ftx_mount *mount, struct ftx_control_handle *handle); /* frees it */
    /* Its size and time, where they say something. NULL: 0, and the mount's beginning */
    void (*stat)(const struct ftx_mount *mount, struct stat *out);
};

extern const struct ftx_control ftx_control_status, ftx_control_events, ftx_control_history,
    ftx_control_ctl;

enum { FTX_CONTROLS = 4 };
extern const struct ftx_control *const ftx_controls[FTX_CONTROLS];

/* NULL: no control file. */
const struct ftx_control *ftx_control_of(fuse_ino_t ino);

/* The operations on one. */
void ftx_control_open(fuse_req_t req, const struct ftx_control *control, struct fuse_file_info *fi);
void ftx_control_read(fuse_req_t req, size_t size, off_t offset, const struct fuse_file_info *fi);
void ftx_control_write(fuse_req_t req, const char *bytes, size_t size,
                       const struct fuse_file_info *fi);
void ftx_control_poll(fuse_req_t req, const struct fuse_file_info *fi,
                      struct fuse_pollhandle *wait);
void ftx_control_release(fuse_req_t req, const struct fuse_file_info *fi);
void ftx_control_stat(const struct ftx_mount *mount, const struct ftx_control *control,
                      struct stat *out);

/* Answers with a part of a text: a copy, for once the reader has its bytes it may close. */
void ftx_control_reply(fuse_req_t req, const char *text, size_t text_size, size_t size,
                       uint64_t offset);

void ftx_controls_init(struct ftx_mount *mount);
void ftx_controls_close(struct ftx_mount *mount); /* with those still open */

/* Something happened: those who poll the events are told. */
void ftx_events_happened(struct ftx_mount *mount);

#endif
