/* SPDX-License-Identifier: MIT */
/* Extended attributes: user.ftx.* tell what goes on, other user.* ones travel with their item, and
 * no other namespace exists here. */
#include "fs/fuse/digest.h"
#include "fs/fuse/take.h"

#include "fs/store/outbox.h"
#include "fs/store/steer.h"
#include "fs/store/xattrs.h"
#include "transport/base/err.h"
#include "transport/session/scheduler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#define OURS "ftx."
enum { OURS_SIZE = sizeof OURS - 1 };

static bool is_user(const char *name)
{
    return strncmp(name, FTX_USER, FTX_USER_SIZE) == 0;
}

static bool is_ours(const char *name)
{
    return strncmp(name + FTX_USER_SIZE, OURS, OURS_SIZE) == 0;
}

/* Answers what getxattr and listxattr ask for: the size, or the bytes if there is room for them. */
static void reply_bytes(fuse_req_t req, const void *bytes, size_t n, size_t room)
{
    if (room == 0)
        fuse_reply_xattr(req, n);
    else if (room < n)
        fuse_reply_err(req, ERANGE);
    else
        fuse_reply_buf(req, bytes, n);
}

static void get_ours(fuse_req_t req, fuse_ino_t ino, const char *name, size_t room)
{
    char text[8192]; /* members: 64 codes with a state each */
    if (ino >= FTX_ID_FIRST && strcmp(name, "sha256") == 0) {
        ftx_digest_answer(ftx_mount_of(req)->digest, req, ino, room);
        return;
    }
    if (ino >= FTX_ID_FIRST && strcmp(name, "peer_sha256") == 0) {
        ftx_peer_digest_answer(req, ino, room);
        return;
    }
    int n = ftx_tree_xattr(ftx_mount_of(req)->store, ino, name, text, sizeof text);
    if (n < 0)
        fuse_reply_err(req, ino < FTX_ID_FIRST ? ENODATA : ftx_err_errno(n));
    else
        reply_bytes(req, text, (size_t)n, room);
}

void ftx_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    if (!is_user(name)) { /* asked before each write: answered first */
        fuse_reply_err(req, ENODATA);
        return;
    }
    if (is_ours(name)) {
        get_ours(req, ino, name + FTX_USER_SIZE + OURS_SIZE, size);
        return;
    }
    void *value;
    size_t n;
    name += FTX_USER_SIZE;
    int err = ftx_tree_get_xattr(ftx_mount_of(req)->store, ino, name, strlen(name), &value, &n);
    if (err) {
        ftx_reply_err(req, err);
        return;
    }
    reply_bytes(req, value, n, size);
    free(value);
}

void ftx_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    char *names; /* without ours: cp -a and rsync -X would carry them away */
    size_t n;
    int err = ftx_tree_list_xattrs(ftx_mount_of(req)->store, ino, &names, &n);
    if (err) {
        ftx_reply_err(req, err);
        return;
    }
    reply_bytes(req, names, n, size);
    free(names);
}

/* May attributes of this inode be changed? The name is one that travels. */
static int check_change(const struct ftx_mount *mount, fuse_ino_t ino, const char *name)
{
    struct ftx_attr attr;
    if (!is_user(name))
        return -EOPNOTSUPP;
    if (is_ours(name))
        return -EPERM;
    int err = ino < FTX_ID_FIRST ? -EOPNOTSUPP : ftx_tree_attr(mount->store, ino, &attr);
    return !err && attr.box == FTX_INBOX ? -EPERM : err;
}

/* The only one of ours that is kept: 0 to 10; removed without a value. */
static int set_priority(const struct ftx_mount *mount, fuse_ino_t ino, const char *value,
                        size_t size)
{
    int priority = FTX_PRIORITY_INHERIT;
    if (value && size == 2 && memcmp(value, "10", 2) == 0)
        priority = FTX_PRIORITY_MAX;
    else if (value && size == 1 && *value >= '0' && *value <= '9')
        priority = *value - '0';
    else if (value)
        return -EINVAL;
    int err = ino < FTX_ID_FIRST ? -EOPNOTSUPP : ftx_item_set_priority(mount->store, ino, priority);
    return err == -EOPNOTSUPP ? -EPERM : err;
}

/* Sets, or removes without a value. */
static void change(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
                   enum ftx_xattr_how how)
{
    const struct ftx_mount *mount = ftx_mount_of(req);
    if (strcmp(name, FTX_USER OURS "priority") == 0) {
        ftx_reply_err(req, set_priority(mount, ino, value, size));
        return;
    }
    if (value && strcmp(name, FTX_TAKE) == 0) {
        ftx_reply_err(req, ftx_take_asked(req, ino, value, size));
        return;
    }
    if (value && strcmp(name, FTX_CLONE) == 0) {
        ftx_reply_err(req, ftx_clone_asked(req, ino, value, size));
        return;
    }
    int err = check_change(mount, ino, name);
    if (!err) {
        const struct ftx_xattr xattr = {.name = name + FTX_USER_SIZE,
                                        .name_size = strlen(name + FTX_USER_SIZE),
                                        .value = value,
                                        .value_size = size};
        err = ftx_outbox_set_xattr(mount->store, ino, &xattr, how);
    }
    ftx_reply_err(req, err);
}

void ftx_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                     size_t size, int flags)
{
    change(req, ino, name, value ? value : "", size,
           flags & XATTR_CREATE    ? FTX_XATTR_CREATE
           : flags & XATTR_REPLACE ? FTX_XATTR_REPLACE
                                   : FTX_XATTR_ANY);
}

void ftx_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    change(req, ino, name, NULL, 0, FTX_XATTR_ANY);
}
