/* SPDX-License-Identifier: MIT */
/* What the operations share; private to fs/fuse. Each operation: context, validate, call the store,
 * reply once. */
#ifndef FTX_FUSE_SESSION_H
#define FTX_FUSE_SESSION_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "fs/fuse/mount.h"
#include "fs/fuse/notify.h"
#include "fs/fuse/serve.h"
#include "fs/store/tree.h"
#include "transport/base/list.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Inodes that stand in no store. */
enum {
    FTX_ID_CONTROL = 4,
    FTX_ID_STATUS = 5,
    FTX_ID_GONE_FILE = 6, /* what the notifier removes once more */
    FTX_ID_GONE_FOLDER = 7,
    FTX_ID_EVENTS = 8,
    FTX_ID_HISTORY = 9,
    FTX_ID_CTL = 10,
};

/* fi->fh of files that stand in a store; DIRECT, in the outbox: past the page cache. */
enum {
    FTX_HANDLE_READ = 0,
    FTX_HANDLE_WRITE = 1,
    FTX_HANDLE_REPEAT = 2, /* the notifier's */
    FTX_HANDLE_DIRECT = 4,
};

enum { FTX_REQUEST_MAX = 1 << 20 }; /* bytes of a read or write: as agreed on with the kernel */

struct ftx_park;
struct ftx_parked;

struct ftx_mount {
    struct ftx_store *store;
    struct fuse_session *session;
    struct ftx_serve *serve;
    struct ftx_park *park;
    struct ftx_digest *digest;
    struct ftx_notify *notify; /* NULL: nothing is repeated for watchers */
    struct ftx_repeat repeat;
    pthread_mutex_t controls_lock;
    struct ftx_list controls; /* struct ftx_control_handle: control files that are open */
    atomic_bool happened;     /* an event, not yet told to those who poll */
    char *path;               /* the mount point */
    bool any_target;
    bool close_delivered;
    bool mounted;
    dev_t device; /* of the mount, once it is mounted */
    uid_t uid;
    gid_t gid;
    struct timespec started;
    struct ftx_mount_surroundings surroundings;
};

static inline struct ftx_mount *ftx_mount_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

/* Answers with the errno of an error of ours (0: success). */
void ftx_reply_err(fuse_req_t req, int err);

/* attr of the store as stat(2) shows it, and how long the kernel may keep it, seconds. */
void ftx_stat_fill(const struct ftx_mount *mount, const struct ftx_attr *attr, struct stat *out);
double ftx_attr_timeout(const struct ftx_attr *attr);
double ftx_entry_timeout(const struct ftx_attr *attr); /* the same for its name */

/* attr.c: of any inode, also those of the control files. -ENOENT. */
int ftx_stat_of(const struct ftx_mount *mount, fuse_ino_t ino, struct stat *out,
                double *out_timeout);
/* Answers lookup, mkdir, symlink with the entry of an item; its reference is counted already. */
void ftx_reply_entry(fuse_req_t req, const struct ftx_attr *attr);

/* file.c: a handle of an outbox file was just opened: sets fi->fh and how the kernel caches it; and
 * its release. */
void ftx_handle_opened(struct ftx_store *store, fuse_ino_t ino, bool writer,
                       struct fuse_file_info *fi);
void ftx_handle_closed(struct ftx_store *store, fuse_ino_t ino, const struct fuse_file_info *fi);

/* file.c: FTX_REQUEST_MAX bytes where a thread reads to: it answers with that before it reads again.
 * NULL: no memory. */
char *ftx_read_room(void);

/*
 * park.c: requests that wait for the peer. What waits, and for what, is its kind's: `attempt`
 * (any number of times, park's thread) gives -EAGAIN to wait on, or what the request is to be
 * answered with: an error, or 0 with the bytes of a read, which hold until the thread's next.
 */
struct ftx_reply {
    const char *bytes;
    size_t size;
};

struct ftx_wait_kind {
    int (*attempt)(struct ftx_mount *mount, const struct ftx_parked *parked, bool ask,
                   struct ftx_reply *out);
    int64_t (*progress_ms)(struct ftx_mount *mount, fuse_ino_t ino); /* ftx_now_ms; if it ends */
    void (*reply)(fuse_req_t req, const struct ftx_reply *reply);
    void (*leave)(struct ftx_mount *mount, fuse_ino_t ino); /* however it ended; NULL: nothing */
    int timeout_err; /* after read_timeout without progress; 0: it waits on, for ever */
};

struct ftx_parked {
    struct ftx_list node;
    struct ftx_park *park;
    const struct ftx_wait_kind *kind;
    fuse_req_t req;
    fuse_ino_t ino;
    uint64_t handle; /* fi->fh, where the kind wants it */
    size_t size;
    off_t offset;
    char *bytes; /* of a write: a copy, owned */
    int64_t since_ms, asked_ms;
    bool interrupted; /* under the park's lock */
};

struct ftx_park *ftx_park_new(struct ftx_mount *mount, unsigned timeout_ms);
void ftx_park_stop(struct ftx_park *park); /* answers all of them */
void ftx_park_free(struct ftx_park *park);
/* Takes over the request: answered when its kind can, with EINTR on a signal, with the kind's error
 * without progress. `bytes` (NULL: none) are copied. */
void ftx_park_wait(struct ftx_park *park, const struct ftx_wait_kind *kind, fuse_req_t req,
                   fuse_ino_t ino, uint64_t handle, const char *bytes, size_t size, off_t offset);
void ftx_park_arrived(struct ftx_park *park);
/* The same though nothing may be parked: mount->happened was set. */
void ftx_park_happened(struct ftx_park *park);

/* The operations, by theme. */
void ftx_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void ftx_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n);
void ftx_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void ftx_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ftx_op_access(fuse_req_t req, fuse_ino_t ino, int mask);
void ftx_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                    struct fuse_file_info *fi);
void ftx_op_readlink(fuse_req_t req, fuse_ino_t ino);
void ftx_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void ftx_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void ftx_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void ftx_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void ftx_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void ftx_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                   const char *new_name, unsigned flags);
void ftx_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name);
void ftx_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ftx_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *fi);
void ftx_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                   struct fuse_file_info *fi);
void ftx_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ftx_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                 struct fuse_file_info *fi);
void ftx_op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
                 struct fuse_pollhandle *wait);
void ftx_op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
                  struct fuse_file_info *fi);
void ftx_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ftx_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ftx_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void ftx_op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void ftx_op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                      struct fuse_file_info *fi);
void ftx_op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
                  struct fuse_file_info *fi);
void ftx_op_statfs(fuse_req_t req, fuse_ino_t ino);
void ftx_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void ftx_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                     size_t size, int flags);
void ftx_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
void ftx_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);

#endif
