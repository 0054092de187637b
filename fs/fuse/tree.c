/* SPDX-License-Identifier: MIT */
/* Operations on names: make, remove, rename, read folders and links. */
#include "fs/fuse/control.h"

#include "fs/store/inbox.h"
#include "fs/store/links.h"
#include "fs/store/outbox.h"
#include "transport/wire/limits.h"

#include <errno.h>
#include <stdio.h> /* RENAME_NOREPLACE */
#include <stdlib.h>
#include <string.h>

/* What may be done below a folder. */
enum where { NOWHERE, IN_BOX, IN_OUTBOX, IN_INBOX };

static enum where where(const struct ftx_mount *mount, fuse_ino_t parent, struct ftx_attr *out)
{
    if (parent < FTX_ID_FIRST && parent != FTX_ID_OUTBOX && parent != FTX_ID_INBOX)
        return NOWHERE;
    if (ftx_tree_attr(mount->store, parent, out))
        return NOWHERE;
    if (out->place == FTX_PLACE_BOX)
        return IN_BOX;
    return out->box == FTX_OUTBOX ? IN_OUTBOX : IN_INBOX;
}

/* Answers with a new item, whose first reference this is. */
static void reply_new(fuse_req_t req, int err, uint64_t id)
{
    struct ftx_store *store = ftx_mount_of(req)->store;
    struct ftx_attr attr;
    if (!err) {
        ftx_tree_ref(store, id, true);
        err = ftx_tree_attr(store, id, &attr);
    }
    if (err)
        ftx_reply_err(req, err);
    else
        ftx_reply_entry(req, &attr);
}

static void make(fuse_req_t req, fuse_ino_t parent, const char *name, enum ftx_kind kind,
                 mode_t mode, const char *target)
{
    struct ftx_mount *mount = ftx_mount_of(req);
    struct ftx_attr at;
    uint64_t id = 0;
    int err = -EPERM;
    switch (where(mount, parent, &at)) {
    case IN_BOX:
        if (kind == FTX_FOLDER)
            err = ftx_link_arm(mount->store, at.box, name, strlen(name), &id);
        break;
    case IN_OUTBOX:
        err = ftx_outbox_make(mount->store, parent, name, strlen(name), kind, mode & 0777, target,
                              kind == FTX_FILE, &id);
        if (!err && kind == FTX_FILE) { /* mknod: made and closed */
            ftx_tree_ref(mount->store, id, true);
            (void)ftx_outbox_flush(mount->store, id, false);
            ftx_outbox_release(mount->store, id, true);
            reply_new(req, 0, id);
            ftx_tree_forget(mount->store, id, 1);
            return;
        }
        break;
    default:
        break;
    }
    reply_new(req, err, id);
}

void ftx_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    if (!ftx_repeat_make(req, parent, name, FTX_FOLDER))
        make(req, parent, name, FTX_FOLDER, mode, NULL);
}

void ftx_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    if (!ftx_repeat_make(req, parent, name, FTX_SYMLINK))
        make(req, parent, name, FTX_SYMLINK, 0777, target);
}

void ftx_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    (void)rdev;
    if (ftx_repeat_make(req, parent, name, FTX_FILE))
        return;
    if (S_ISREG(mode))
        make(req, parent, name, FTX_FILE, mode, NULL);
    else
        fuse_reply_err(req, EPERM);
}

void ftx_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
{
    (void)ino;
    (void)new_parent;
    (void)new_name;
    fuse_reply_err(req, EPERM);
}

void ftx_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                   struct fuse_file_info *fi)
{
    struct ftx_mount *mount = ftx_mount_of(req);
    struct ftx_attr attr;
    uint64_t id;
    int err = -EPERM;
    if (ftx_repeat_create(req, parent, name, fi))
        return;
    if (where(mount, parent, &attr) == IN_OUTBOX)
        err = ftx_outbox_make(mount->store, parent, name, strlen(name), FTX_FILE, mode & 0777, NULL,
                              true, &id);
    if (!err) { /* the handle keeps it until the reference is counted */
        ftx_tree_ref(mount->store, id, true);
        err = ftx_tree_attr(mount->store, id, &attr);
    }
    if (err) {
        ftx_reply_err(req, err);
        return;
    }
    struct fuse_entry_param entry = {.ino = id,
                                     .attr_timeout = ftx_attr_timeout(&attr),
                                     .entry_timeout = ftx_entry_timeout(&attr)};
    ftx_stat_fill(mount, &attr, &entry.attr);
    ftx_handle_opened(mount->store, id, true, fi); /* a writing handle, whatever the flags say */
    if (fuse_reply_create(req, &entry, fi) == -ENOENT) {
        ftx_handle_closed(mount->store, id, fi);
        ftx_tree_forget(mount->store, id, 1);
    }
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name, bool folder)
{
    struct ftx_mount *mount = ftx_mount_of(req);
    struct ftx_attr at;
    int err = -EPERM;
    if (ftx_repeat_remove(req, parent, name))
        return;
    switch (where(mount, parent, &at)) {
    case IN_BOX:
        err = folder ? ftx_link_disarm(mount->store, at.box, name, strlen(name)) : -EISDIR;
        break;
    case IN_OUTBOX:
        err = ftx_outbox_remove(mount->store, parent, name, strlen(name), folder);
        break;
    case IN_INBOX:
        err = ftx_inbox_remove(mount->store, parent, name, strlen(name), folder);
        break;
    default:
        break;
    }
    ftx_reply_err(req, err);
}

void ftx_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_name(req, parent, name, false);
}

void ftx_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_name(req, parent, name, true);
}

void ftx_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                   const char *new_name, unsigned flags)
{
    if (ftx_repeat_rename(req, parent, name, new_parent, new_name))
        return;
    struct ftx_mount *mount = ftx_mount_of(req);
    struct ftx_attr from_at, to_at;
    enum where from = where(mount, parent, &from_at), to = where(mount, new_parent, &to_at);
    unsigned how = flags & RENAME_NOREPLACE ? FTX_RENAME_NOREPLACE : 0;
    int err = -EPERM;
    if (flags & ~(unsigned)RENAME_NOREPLACE)
        err = -EINVAL;
    else if (from == NOWHERE || to == NOWHERE)
        err = -EPERM;
    else if (from != to)
        err = -EXDEV;
    else if (from == IN_BOX)
        err = parent == new_parent
                  ? ftx_link_rename(mount->store, name, strlen(name), new_name, strlen(new_name))
                  : -EXDEV;
    else if (from == IN_OUTBOX)
        err = ftx_outbox_rename(mount->store, parent, name, strlen(name), new_parent, new_name,
                                strlen(new_name), how);
    else
        err = ftx_inbox_rename(mount->store, parent, name, strlen(name), new_parent, new_name,
                               strlen(new_name), how);
    ftx_reply_err(req, err);
}

void ftx_op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct ftx_mount *mount = ftx_mount_of(req);
    char target[FTX_TARGET_MAX + 1];
    int err = ftx_tree_readlink(mount->store, ino, mount->any_target, target, sizeof target);
    if (err)
        ftx_reply_err(req, err);
    else
        fuse_reply_readlink(req, target);
}

void ftx_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    fuse_reply_open(req, fi);
}

/* A reply being filled with folder entries. */
struct listing {
    fuse_req_t req;
    char *bytes;
    size_t size, used;
};

static bool add_name(struct listing *listing, const char *name, const struct stat *st,
                     uint64_t next)
{
    size_t n = fuse_add_direntry(listing->req, listing->bytes + listing->used,
                                 listing->size - listing->used, name, st, (off_t)next);
    if (n > listing->size - listing->used)
        return false;
    listing->used += n;
    return true;
}

/* Cookies of the store come after those of the two dots. */
enum { DOTS = 2 };

static bool add_item(void *ctx, const char *name, uint64_t cookie, const struct ftx_attr *attr)
{
    static const mode_t type[] = {
        [FTX_FILE] = S_IFREG, [FTX_FOLDER] = S_IFDIR, [FTX_SYMLINK] = S_IFLNK};
    struct listing *listing = ctx;
    struct stat st = {.st_ino = attr->id, .st_mode = type[attr->kind]};
    return add_name(listing, name, &st, cookie + DOTS);
}

static void list_root(struct listing *listing, uint64_t at)
{
    static const struct {
        fuse_ino_t ino;
        const char *name;
    } boxes[] = {{FTX_ID_INBOX, "inbox"}, {FTX_ID_OUTBOX, "outbox"}};
    for (size_t i = at; i < sizeof boxes / sizeof *boxes; i++) {
        struct stat st = {.st_ino = boxes[i].ino, .st_mode = S_IFDIR};
        if (!add_name(listing, boxes[i].name, &st, i + 1 + DOTS))
            return;
    }
}

static void list_controls(struct listing *listing, uint64_t at)
{
    for (size_t i = at; i < FTX_CONTROLS; i++) {
        struct stat st = {.st_ino = ftx_controls[i]->ino, .st_mode = S_IFREG};
        if (!add_name(listing, ftx_controls[i]->name, &st, i + 1 + DOTS))
            return;
    }
}

static fuse_ino_t parent_of(const struct ftx_mount *mount, fuse_ino_t ino)
{
    return ino < FTX_ID_OUTBOX || ino == FTX_ID_CONTROL ? FTX_ID_ROOT
                                                        : ftx_tree_parent(mount->store, ino);
}

void ftx_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
    (void)fi;
    struct listing listing = {.req = req, .bytes = malloc(size), .size = size};
    if (!listing.bytes) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    uint64_t at = (uint64_t)offset;
    for (; at < DOTS; at++) {
        struct stat dot = {.st_ino = at == 0 ? ino : parent_of(ftx_mount_of(req), ino),
                           .st_mode = S_IFDIR};
        if (!add_name(&listing, at == 0 ? "." : "..", &dot, at + 1))
            break;
    }
    int err = 0;
    if (at < DOTS)
        ; /* no room for more */
    else if (ino == FTX_ID_ROOT)
        list_root(&listing, at - DOTS);
    else if (ino == FTX_ID_CONTROL)
        list_controls(&listing, at - DOTS);
    else
        err = ftx_tree_list(ftx_mount_of(req)->store, ino, at - DOTS, add_item, &listing);
    if (err)
        ftx_reply_err(req, err);
    else
        fuse_reply_buf(req, listing.bytes, listing.used);
    free(listing.bytes);
}
