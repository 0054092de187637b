/* SPDX-License-Identifier: MIT */
/* What has come, into a folder: everything is opened by folder descriptor and name, so that no
 * symlink that a peer sent, or that somebody puts there meanwhile, leads anywhere else. */
#include "fs/headless/internal.h"

#include "fs/store/change_log.h"
#include "fs/store/take.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One round. */
struct round {
    struct ftx_headless *h;
    struct ftx_placing *placing;
    struct stat state; /* the store's folder: nothing goes in there */
    struct moved {
        uint64_t id;
        bool copied; /* the same stood there already */
    } * moved;       /* since the last sync */
    size_t n_moved;
};

static int note_moved(struct round *r, uint64_t id, bool copied)
{
    if ((r->n_moved & (r->n_moved - 1)) == 0) { /* full at each power of two */
        struct moved *grown = realloc(r->moved, (r->n_moved ? 2 * r->n_moved : 1) * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        r->moved = grown;
    }
    r->moved[r->n_moved++] = (struct moved){id, copied};
    return 0;
}

/* Files below, and their sizes. */
static void count_below(struct ftx_headless *h, uint64_t folder, uint64_t *files, uint64_t *bytes)
{
    struct ftx_children children;
    if (ftx_children_list(h, folder, &children))
        return;
    for (size_t i = 0; i < children.n; i++) {
        const struct ftx_attr *attr = &children.at[i].attr;
        if (attr->kind == FTX_FOLDER) {
            count_below(h, attr->id, files, bytes);
        } else if (attr->kind == FTX_FILE) {
            ++*files;
            *bytes += attr->size;
        }
    }
    ftx_children_free(&children);
}

static int conflict(struct round *r, const struct ftx_child *child)
{
    uint64_t files = child->attr.kind == FTX_FILE, bytes = 0;
    if (child->attr.kind == FTX_FOLDER)
        count_below(r->h, child->attr.id, &files, &bytes);
    r->placing->stuck += files;
    r->placing->conflicts++;
    free(r->placing->conflict);
    r->placing->conflict = strdup(child->name);
    return 0;
}

static void count(struct round *r, const struct ftx_attr *attr)
{
    r->placing->files++;
    r->placing->bytes += attr->size;
}

/* A file of the same size and time stands there: an earlier run was killed after it had moved it. */
static bool is_there(const struct ftx_attr *attr, int to, const char *name)
{
    struct stat st;
    return fstatat(to, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           (uint64_t)st.st_size == attr->size && ftx_time_ns(&st.st_mtim) == attr->mtime_ns;
}

/* It went since it was listed: its sender has taken it back, or somebody removed the folder that it
 * was to go to. The next round sees. */
static int look_again(struct round *r)
{
    r->h->news = true;
    return 0;
}

static int place_file(struct round *r, const struct ftx_child *child, int to)
{
    int err = ftx_take_file(r->h->store, child->attr.id, to, child->name);
    if (err == -ENOENT)
        return look_again(r);
    if (err == -EAGAIN) {
        r->placing->waiting++;
        return 0;
    }
    bool same = err == -EEXIST && is_there(&child->attr, to, child->name);
    if (err == -EEXIST && !same) {
        ftx_take_not(r->h->store, child->attr.id);
        return conflict(r, child);
    }
    if (err && err != -ENODATA && !same)
        return err;
    count(r, &child->attr);
    return note_moved(r, child->attr.id, same);
}

static int place_symlink(struct round *r, const struct ftx_child *child, int to)
{
    char target[PATH_MAX], there[PATH_MAX];
    struct timespec times[2];
    int err = ftx_tree_readlink(r->h->store, child->attr.id, false, target, sizeof target);
    if (err) /* -EPERM: it would lead out of here */
        return err == -ENOENT ? look_again(r) : conflict(r, child);
    if (symlinkat(target, to, child->name) < 0) {
        if (errno != EEXIST)
            return errno == ENOENT ? look_again(r) : -errno;
        ssize_t n = readlinkat(to, child->name, there, sizeof there);
        if (n < 0 || (size_t)n != strlen(target) || memcmp(target, there, (size_t)n) != 0)
            return conflict(r, child);
    }
    ftx_take_times(child->attr.mtime_ns, times);
    (void)utimensat(to, child->name, times, AT_SYMLINK_NOFOLLOW);
    return note_moved(r, child->attr.id, false);
}

static int place_children(struct round *r, uint64_t folder, int to);

static int place_folder(struct round *r, const struct ftx_child *child, int to)
{
    struct stat st;
    int err = 0;
    if (mkdirat(to, child->name, 0700) == 0)
        err = note_moved(r, child->attr.id, false); /* TAKEN: it is ours to finish */
    else if (errno != EEXIST)
        err = -errno;
    if (err)
        return err == -ENOENT ? look_again(r) : err;
    int fd = openat(to, child->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOTDIR || errno == ELOOP ? conflict(r, child)
               : errno == ENOENT                  ? look_again(r)
                                                  : -errno;
    if (fstat(fd, &st) < 0)
        err = -errno;
    else if (st.st_dev == r->state.st_dev && st.st_ino == r->state.st_ino)
        err = conflict(r, child);
    else
        err = place_children(r, child->attr.id, fd);
    if (!err && r->placing->last && child->attr.state == FTX_ITEM_TAKEN)
        err = ftx_take_dress(r->h->store, child->attr.id, child->attr.mode, child->attr.mtime_ns,
                             fd); /* made by us, and all is in it */
    close(fd);
    return err;
}

static int place_child(struct round *r, const struct ftx_child *child, int to)
{
    if (child->attr.kind == FTX_FOLDER)
        return place_folder(r, child, to);
    bool taken = child->attr.state == FTX_ITEM_TAKEN;
    if (child->attr.kind == FTX_SYMLINK)
        return taken ? 0 : place_symlink(r, child, to);
    if (taken)
        count(r, &child->attr);
    return taken ? 0 : place_file(r, child, to);
}

static int place_children(struct round *r, uint64_t folder, int to)
{
    struct ftx_children children;
    int err = ftx_children_list(r->h, folder, &children);
    for (size_t i = 0; i < children.n && !err; i++)
        err = place_child(r, &children.at[i], to);
    ftx_children_free(&children);
    return err == -ENOENT ? look_again(r) : err;
}

/* What was moved is durable first, then the store lets go of it. */
static int settle(struct round *r, int to_fd)
{
    int err = r->n_moved && syncfs(to_fd) < 0 ? -errno : 0;
    for (size_t i = 0; i < r->n_moved && !err; i++) {
        err = ftx_take_done(r->h->store, r->moved[i].id, r->moved[i].copied);
        if (err == -ENOENT)
            err = 0; /* its sender has taken it back meanwhile */
    }
    return err;
}

int ftx_headless_place(struct ftx_headless *h, int to_fd, int state_fd, struct ftx_placing *placing)
{
    struct round r = {.h = h, .placing = placing};
    uint64_t folder;
    placing->files = placing->bytes = placing->waiting = placing->conflicts = placing->stuck = 0;
    int err = fstat(state_fd, &r.state) < 0 ? -errno : ftx_headless_id(h, "", &folder);
    if (!err)
        err = ftx_store_sync(h->store); /* that they are complete */
    if (!err)
        err = place_children(&r, folder, to_fd);
    int settled = settle(&r, to_fd); /* what was moved was moved, whatever came then */
    free(r.moved);
    return err ? err : settled;
}

/* -- what is offered -- */

bool ftx_headless_offer_read(struct ftx_headless *h, uint64_t *out_files, uint64_t *out_bytes)
{
    struct ftx_children tops;
    uint64_t folder;
    bool any = false;
    *out_files = *out_bytes = 0;
    if (ftx_headless_id(h, "", &folder) || ftx_children_list(h, folder, &tops))
        return false;
    for (size_t i = 0; i < tops.n; i++) {
        void *value;
        size_t size;
        unsigned long long files, bytes;
        if (ftx_tree_get_xattr(h->store, tops.at[i].attr.id, FTX_HEADLESS_OFFER,
                               sizeof FTX_HEADLESS_OFFER - 1, &value, &size))
            continue;
        ((char *)value)[size] = '\0';
        if (sscanf(value, "%llu %llu", &files, &bytes) == 2) {
            any = true;
            *out_files += files;
            *out_bytes += bytes;
        }
        free(value);
    }
    ftx_children_free(&tops);
    return any;
}

void ftx_headless_count(struct ftx_headless *h, uint64_t *out_files, uint64_t *out_bytes)
{
    uint64_t folder;
    *out_files = *out_bytes = 0;
    if (ftx_headless_id(h, "", &folder) == 0)
        count_below(h, folder, out_files, out_bytes);
}
