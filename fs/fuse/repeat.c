/* SPDX-License-Identifier: MIT */
/*
 * How requests of the notifier's thread are answered. The store has changed already: names that the
 * news make, or move to, are "not there yet" for it, those that they remove are "still there", and
 * the change itself succeeds. Nothing that it asks reaches the store, whatever the kernel makes of
 * it. Answers are valid for no time at all, so every other program's view is corrected by its own
 * next look-up.
 */
#include "fs/fuse/notify.h"

#include "fs/fuse/session.h"

#include <errno.h>
#include <string.h>

/* True if the notifier asks: *out is what it is doing. */
static bool is_repeat(fuse_req_t req, struct ftx_repeated *out)
{
    struct ftx_repeat *repeat = &ftx_mount_of(req)->repeat;
    int thread = atomic_load_explicit(&repeat->thread, memory_order_relaxed);
    if (thread == 0 || fuse_req_ctx(req)->pid != thread)
        return false;
    pthread_mutex_lock(&repeat->lock);
    *out = repeat->now;
    pthread_mutex_unlock(&repeat->lock);
    return true;
}

static bool is_its_name(const struct ftx_repeated *now, fuse_ino_t parent, const char *name)
{
    return (now->what || now->hidden) && parent == now->folder && strcmp(name, now->name) == 0;
}

static bool is_its_target(const struct ftx_repeated *now, fuse_ino_t parent, const char *name)
{
    return now->what == FTX_NEWS_MOVED && parent == now->to_folder && strcmp(name, now->to) == 0;
}

/* As for everybody, but that its owner may do everything: a sender's mode keeps no watcher from
 * being told. */
static void widen(struct stat *st)
{
    st->st_mode |= S_ISDIR(st->st_mode) ? 0700 : 0600;
    if (st->st_nlink == 0)
        st->st_nlink = 1; /* gone, but not yet as far as the kernel is told */
}

static struct fuse_entry_param entry_of(const struct ftx_mount *mount, const struct ftx_attr *attr)
{
    struct fuse_entry_param entry = {.ino = attr->id};
    ftx_stat_fill(mount, attr, &entry.attr);
    widen(&entry.attr);
    return entry;
}

/* Its reference is counted already. */
static void reply_entry(fuse_req_t req, const struct ftx_attr *attr)
{
    struct ftx_mount *mount = ftx_mount_of(req);
    struct fuse_entry_param entry = entry_of(mount, attr);
    if (fuse_reply_entry(req, &entry) == -ENOENT)
        ftx_tree_forget(mount->store, attr->id, 1);
}

/* Counts a reference that no watcher is behind. -ENOENT. */
static int refer(const struct ftx_mount *mount, uint64_t id, struct ftx_attr *out)
{
    return ftx_tree_ref(mount->store, id, false) ? ftx_tree_attr(mount->store, id, out) : -ENOENT;
}

static void reply_item(fuse_req_t req, uint64_t id)
{
    struct ftx_attr attr;
    int err = refer(ftx_mount_of(req), id, &attr);
    if (err)
        ftx_reply_err(req, err);
    else
        reply_entry(req, &attr);
}

/* The item is gone and the kernel does not know it: something else stands in, to be removed. */
static void reply_stand_in(fuse_req_t req, const struct ftx_repeated *now)
{
    struct ftx_mount *mount = ftx_mount_of(req);
    bool folder = now->kind == FTX_FOLDER;
    struct fuse_entry_param entry = {.ino = folder ? FTX_ID_GONE_FOLDER : FTX_ID_GONE_FILE};
    pthread_mutex_lock(&mount->repeat.lock);
    entry.generation = ++mount->repeat.generation;
    pthread_mutex_unlock(&mount->repeat.lock);
    entry.attr = (struct stat){.st_ino = entry.ino,
                               .st_mode = folder ? S_IFDIR | 0700 : S_IFREG | 0600,
                               .st_nlink = folder ? 2 : 1,
                               .st_uid = mount->uid,
                               .st_gid = mount->gid};
    fuse_reply_entry(req, &entry);
}

/* On its way to the folder. */
static void reply_step(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct ftx_store *store = ftx_mount_of(req)->store;
    struct ftx_attr attr;
    if (parent == FTX_ID_ROOT && strcmp(name, "outbox") == 0)
        reply_item(req, FTX_ID_OUTBOX);
    else if (parent == FTX_ID_ROOT && strcmp(name, "inbox") == 0)
        reply_item(req, FTX_ID_INBOX);
    else if (ftx_tree_lookup(store, parent, name, strlen(name), false, &attr) == 0)
        reply_entry(req, &attr);
    else
        fuse_reply_err(req, ENOENT);
}

bool ftx_repeat_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct ftx_repeated now;
    struct ftx_attr attr;
    if (!is_repeat(req, &now))
        return false;
    if (is_its_target(&now, parent, name) ||
        (is_its_name(&now, parent, name) && (now.hidden || now.what == FTX_NEWS_MADE)))
        fuse_reply_err(req, ENOENT);
    else if (!is_its_name(&now, parent, name))
        reply_step(req, parent, name);
    else if (now.what == FTX_NEWS_GONE && ftx_tree_attr(ftx_mount_of(req)->store, now.item, &attr))
        reply_stand_in(req, &now);
    else
        reply_item(req, now.item);
    return true;
}

bool ftx_repeat_getattr(fuse_req_t req, fuse_ino_t ino)
{
    struct ftx_mount *mount = ftx_mount_of(req);
    struct ftx_repeated now;
    struct stat st;
    double timeout;
    if (!is_repeat(req, &now))
        return false;
    if (ino == FTX_ID_ROOT) {
        pthread_mutex_lock(&mount->repeat.lock);
        mount->repeat.root_seen = true;
        pthread_mutex_unlock(&mount->repeat.lock);
    }
    int err = ftx_stat_of(mount, ino, &st, &timeout);
    if (err) {
        ftx_reply_err(req, err);
    } else {
        if (ino >= FTX_ID_FIRST)
            widen(&st);
        fuse_reply_attr(req, &st, ino == FTX_ID_ROOT ? timeout : 0);
    }
    return true;
}

bool ftx_repeat_setattr(fuse_req_t req, fuse_ino_t ino)
{
    struct ftx_repeated now;
    if (!is_repeat(req, &now))
        return false;
    if (now.what == FTX_NEWS_ATTR && ino == now.item)
        return ftx_repeat_getattr(req, ino);
    fuse_reply_err(req, EPERM);
    return true;
}

bool ftx_repeat_make(fuse_req_t req, fuse_ino_t parent, const char *name, enum ftx_kind kind)
{
    struct ftx_repeated now;
    if (!is_repeat(req, &now))
        return false;
    if (now.what == FTX_NEWS_MADE && now.kind == kind && is_its_name(&now, parent, name))
        reply_item(req, now.item);
    else
        fuse_reply_err(req, EPERM);
    return true;
}

/* A handle that only opens and closes; the page cache stays as it is. */
static void set_handle(struct fuse_file_info *fi)
{
    fi->fh = FTX_HANDLE_REPEAT;
    fi->keep_cache = 1;
    fi->noflush = 1;
}

bool ftx_repeat_create(fuse_req_t req, fuse_ino_t parent, const char *name,
                       struct fuse_file_info *fi)
{
    struct ftx_mount *mount = ftx_mount_of(req);
    struct ftx_repeated now;
    struct ftx_attr attr;
    if (!is_repeat(req, &now))
        return false;
    int err = -EPERM;
    if (now.what == FTX_NEWS_MADE && now.kind == FTX_FILE && is_its_name(&now, parent, name))
        err = refer(mount, now.item, &attr);
    if (err) {
        ftx_reply_err(req, err);
        return true;
    }
    struct fuse_entry_param entry = entry_of(mount, &attr);
    set_handle(fi);
    if (fuse_reply_create(req, &entry, fi) == -ENOENT)
        ftx_tree_forget(mount->store, now.item, 1);
    return true;
}

bool ftx_repeat_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct ftx_repeated now;
    if (!is_repeat(req, &now))
        return false;
    set_handle(fi);
    if (now.what == FTX_NEWS_COMPLETE && ino == now.item)
        fuse_reply_open(req, fi);
    else
        fuse_reply_err(req, EPERM);
    return true;
}

bool ftx_repeat_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct ftx_repeated now;
    if (!is_repeat(req, &now))
        return false;
    bool expected = now.what == FTX_NEWS_GONE && is_its_name(&now, parent, name);
    fuse_reply_err(req, expected ? 0 : EPERM);
    return true;
}

bool ftx_repeat_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                       const char *new_name)
{
    struct ftx_repeated now;
    if (!is_repeat(req, &now))
        return false;
    bool expected = is_its_name(&now, parent, name) && is_its_target(&now, new_parent, new_name);
    fuse_reply_err(req, expected ? 0 : EPERM);
    return true;
}
