/* SPDX-License-Identifier: MIT */
/* Attributes: lookup, getattr, setattr, forget, statfs. */
#include "fs/fuse/control.h"

#include "fs/store/change_log.h"
#include "fs/store/inbox.h"
#include "fs/store/outbox.h"
#include "transport/base/err.h"
#include "transport/wire/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { BLOCK = 512, IO_SIZE = 1 << 20 /* what cp should write at once */ };

/* Only the kernel's own operations change an outbox; an inbox changes under it. */
enum {
    OUTBOX_TIMEOUT_S = 3600,
    ROOM_TIMEOUT_S = 1,  /* of what a file takes on the disk: it is released without a word */
    LINK_TIMEOUT_S = 1,  /* links come by pairing and are renamed with their other folder */
    FIXED_TIMEOUT_S = 1, /* of folders that never change: a dead mount is seen to be dead soon */
};

void ftx_reply_err(fuse_req_t req, int err)
{
    fuse_reply_err(req, ftx_err_errno(err));
}

static struct timespec to_timespec(int64_t ns)
{
    int64_t seconds = ns / 1000000000, rest = ns % 1000000000;
    if (rest < 0) {
        seconds--;
        rest += 1000000000;
    }
    return (struct timespec){.tv_sec = seconds, .tv_nsec = rest};
}

/* Times beyond the years 1677..2262 are kept at the edge. */
static int64_t from_timespec(struct timespec at)
{
    int64_t ns;
    if (__builtin_mul_overflow((int64_t)at.tv_sec, INT64_C(1000000000), &ns) ||
        __builtin_add_overflow(ns, (int64_t)at.tv_nsec, &ns))
        return at.tv_sec < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

/* The disk knows where a file has holes; small ones are not worth the question. */
static uint64_t bytes_on_disk(const struct ftx_mount *mount, const struct ftx_attr *attr)
{
    if (attr->kind != FTX_FILE || attr->size < IO_SIZE)
        return attr->bytes_here;
    return attr->object ? ftx_object_room(&mount->store->objects, attr->object) : 0;
}

/* A file without blocks is one hole to some programs (tar -S), which then do not read it. */
static blkcnt_t blocks_of(const struct ftx_mount *mount, const struct ftx_attr *attr)
{
    uint64_t blocks = (bytes_on_disk(mount, attr) + BLOCK - 1) / BLOCK;
    return (blkcnt_t)(blocks == 0 && attr->elsewhere ? 1 : blocks);
}

void ftx_stat_fill(const struct ftx_mount *mount, const struct ftx_attr *attr, struct stat *out)
{
    static const mode_t type[] = {
        [FTX_FILE] = S_IFREG, [FTX_FOLDER] = S_IFDIR, [FTX_SYMLINK] = S_IFLNK};
    memset(out, 0, sizeof *out);
    out->st_ino = attr->id;
    out->st_mode = type[attr->kind] | (attr->kind == FTX_SYMLINK ? 0777u : attr->mode);
    out->st_nlink = attr->n_links;
    out->st_uid = mount->uid;
    out->st_gid = mount->gid;
    out->st_size = (off_t)attr->size;
    out->st_blocks = blocks_of(mount, attr);
    out->st_blksize = IO_SIZE;
    out->st_mtim = to_timespec(attr->mtime_ns);
    out->st_ctim = to_timespec(attr->ctime_ns);
    out->st_atim = out->st_mtim;
}

double ftx_attr_timeout(const struct ftx_attr *attr)
{
    double entry_s = ftx_entry_timeout(attr);
    return attr->object && entry_s > ROOM_TIMEOUT_S ? ROOM_TIMEOUT_S : entry_s;
}

double ftx_entry_timeout(const struct ftx_attr *attr)
{
    if (!attr->settled)
        return 0;
    return attr->place == FTX_PLACE_ITEM ? OUTBOX_TIMEOUT_S : LINK_TIMEOUT_S;
}

static void fixed_stat(const struct ftx_mount *mount, fuse_ino_t ino, struct stat *out)
{
    memset(out, 0, sizeof *out);
    out->st_ino = ino;
    out->st_mode = S_IFDIR | (ino == FTX_ID_CONTROL ? 0500 : 0555);
    out->st_nlink = ino == FTX_ID_ROOT ? 5 : 2;
    out->st_uid = mount->uid;
    out->st_gid = mount->gid;
    out->st_mtim = out->st_ctim = out->st_atim = mount->started;
    const struct ftx_control *control = ftx_control_of(ino);
    if (control)
        ftx_control_stat(mount, control, out);
}

int ftx_stat_of(const struct ftx_mount *mount, fuse_ino_t ino, struct stat *out,
                double *out_timeout)
{
    struct ftx_attr attr;
    *out_timeout = 0;
    if (ino == FTX_ID_ROOT || ino == FTX_ID_CONTROL || ftx_control_of(ino)) {
        fixed_stat(mount, ino, out);
        *out_timeout = ftx_control_of(ino) ? 0 : FIXED_TIMEOUT_S;
        return 0;
    }
    int err = ftx_tree_attr(mount->store, ino, &attr);
    if (err)
        return err;
    ftx_stat_fill(mount, &attr, out);
    *out_timeout = ftx_attr_timeout(&attr);
    return 0;
}

void ftx_reply_entry(fuse_req_t req, const struct ftx_attr *attr)
{
    struct ftx_mount *mount = ftx_mount_of(req);
    struct fuse_entry_param entry = {.ino = attr->id,
                                     .attr_timeout = ftx_attr_timeout(attr),
                                     .entry_timeout = ftx_entry_timeout(attr)};
    ftx_stat_fill(mount, attr, &entry.attr);
    if (fuse_reply_entry(req, &entry) == -ENOENT) /* interrupted: the kernel does not know it */
        ftx_tree_forget(mount->store, attr->id, 1);
}

static void reply_fixed(fuse_req_t req, fuse_ino_t ino)
{
    struct fuse_entry_param entry = {.ino = ino};
    fixed_stat(ftx_mount_of(req), ino, &entry.attr);
    fuse_reply_entry(req, &entry);
}

static void lookup_in_root(fuse_req_t req, const char *name)
{
    struct ftx_mount *mount = ftx_mount_of(req);
    struct ftx_attr attr;
    uint64_t id = strcmp(name, "outbox") == 0  ? FTX_ID_OUTBOX
                  : strcmp(name, "inbox") == 0 ? FTX_ID_INBOX
                                               : 0;
    if (strcmp(name, ".ftx") == 0)
        reply_fixed(req, FTX_ID_CONTROL);
    else if (id && ftx_tree_attr(mount->store, id, &attr) == 0) {
        ftx_tree_ref(mount->store, id, true);
        ftx_reply_entry(req, &attr);
    } else
        fuse_reply_err(req, ENOENT);
}

static void lookup_control(fuse_req_t req, const char *name)
{
    for (size_t i = 0; i < FTX_CONTROLS; i++)
        if (strcmp(name, ftx_controls[i]->name) == 0) {
            reply_fixed(req, ftx_controls[i]->ino);
            return;
        }
    fuse_reply_err(req, ENOENT);
}

/* How long the kernel may remember what is not in a folder: where only it changes names. But the
 * folder of a group comes into that of a link by a command. */
static double missing_timeout(struct ftx_store *store, fuse_ino_t folder)
{
    struct ftx_attr attr;
    return ftx_tree_attr(store, folder, &attr) == 0 && attr.place != FTX_PLACE_BOX
               ? ftx_entry_timeout(&attr)
               : 0;
}

void ftx_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct ftx_attr attr;
    size_t size = strlen(name);
    if (ftx_repeat_lookup(req, parent, name))
        return;
    if (size > FTX_NAME_MAX) {
        fuse_reply_err(req, ENAMETOOLONG);
        return;
    }
    if (parent == FTX_ID_ROOT) {
        lookup_in_root(req, name);
        return;
    }
    if (parent == FTX_ID_CONTROL) {
        lookup_control(req, name);
        return;
    }
    struct ftx_store *store = ftx_mount_of(req)->store;
    int err = ftx_tree_lookup(store, parent, name, size, true, &attr);
    double missing_s = err == -ENOENT ? missing_timeout(store, parent) : 0;
    if (missing_s > 0)
        fuse_reply_entry(req, &(struct fuse_entry_param){.entry_timeout = missing_s});
    else if (err)
        ftx_reply_err(req, err);
    else
        ftx_reply_entry(req, &attr);
}

void ftx_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
    if (ino >= FTX_ID_FIRST)
        ftx_tree_forget(ftx_mount_of(req)->store, ino, n);
    fuse_reply_none(req);
}

void ftx_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        if (forgets[i].ino >= FTX_ID_FIRST)
            ftx_tree_forget(ftx_mount_of(req)->store, forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

static void reply_stat(fuse_req_t req, fuse_ino_t ino)
{
    struct stat st;
    double timeout;
    int err = ftx_stat_of(ftx_mount_of(req), ino, &st, &timeout);
    if (err)
        ftx_reply_err(req, err);
    else
        fuse_reply_attr(req, &st, timeout);
}

void ftx_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    if (!ftx_repeat_getattr(req, ino))
        reply_stat(req, ino);
}

/* Only asked where the kernel leaves permissions to us (mount.c): by root, who may do everything but
 * run what nobody may. */
void ftx_op_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
    struct stat st;
    double timeout;
    int err = ftx_stat_of(ftx_mount_of(req), ino, &st, &timeout);
    if (!err && (mask & X_OK) && S_ISREG(st.st_mode) && !(st.st_mode & 0111))
        err = -EACCES;
    ftx_reply_err(req, err);
}

static int set_outbox(struct ftx_store *store, fuse_ino_t ino, const struct stat *attr, int to_set)
{
    int err = 0;
    if (to_set & FUSE_SET_ATTR_SIZE)
        err = ftx_outbox_truncate(store, ino, (uint64_t)attr->st_size);
    uint16_t mode = attr->st_mode & 0777;
    int64_t mtime_ns =
        to_set & FUSE_SET_ATTR_MTIME_NOW ? ftx_now_ns() : from_timespec(attr->st_mtim);
    bool set_mode = (to_set & FUSE_SET_ATTR_MODE) != 0;
    bool set_mtime = (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)) != 0;
    if (!err && (set_mode || set_mtime))
        err =
            ftx_outbox_set_attr(store, ino, set_mode ? &mode : NULL, set_mtime ? &mtime_ns : NULL);
    return err; /* an owner or an access time is taken and ignored */
}

void ftx_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                    struct fuse_file_info *fi)
{
    (void)fi;
    if (ftx_repeat_setattr(req, ino))
        return;
    struct ftx_mount *mount = ftx_mount_of(req);
    struct ftx_attr now;
    int err = ftx_tree_attr(mount->store, ino, &now);
    int changes = to_set & (FUSE_SET_ATTR_SIZE | FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_MTIME |
                            FUSE_SET_ATTR_MTIME_NOW);
    if (err)
        err = ino < FTX_ID_FIRST ? -EPERM : err;
    else if (changes == FUSE_SET_ATTR_MODE && now.place == FTX_PLACE_ITEM && now.box == FTX_INBOX)
        err = ftx_inbox_set_mode(mount->store, ino, attr->st_mode & 0777);
    else if (changes && (now.place != FTX_PLACE_ITEM || now.box != FTX_OUTBOX))
        err = now.place == FTX_PLACE_LINK && !(changes & FUSE_SET_ATTR_SIZE) ? 0 : -EPERM;
    else
        err = set_outbox(mount->store, ino, attr, changes);
    if (err)
        ftx_reply_err(req, err);
    else
        reply_stat(req, ino);
}

void ftx_op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    (void)ino;
    enum { UNIT = 4096 };
    struct ftx_statfs now;
    ftx_store_statfs(ftx_mount_of(req)->store, &now);
    struct statvfs st = {.f_bsize = UNIT,
                         .f_frsize = UNIT,
                         .f_blocks = now.total_bytes / UNIT,
                         .f_bfree = now.free_bytes / UNIT,
                         .f_bavail = now.free_bytes / UNIT,
                         .f_files = now.items + (UINT64_C(1) << 32),
                         .f_ffree = UINT64_C(1) << 32,
                         .f_favail = UINT64_C(1) << 32,
                         .f_namemax = FTX_NAME_MAX};
    fuse_reply_statfs(req, &st);
}
