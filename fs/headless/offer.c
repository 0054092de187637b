/* SPDX-License-Identifier: MIT */
/* Names, and what stands behind them, into the outbox: the bytes stay where they are. */
#include "fs/headless/internal.h"

#include "fs/store/borrow.h"
#include "fs/store/change_log.h"
#include "fs/store/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* A name that is being offered, and what of an earlier run has it. */
struct spot {
    uint64_t parent;
    const char *name; /* the last part */
    size_t size;
    bool top; /* in the link's folder itself */
    bool there;
    struct ftx_attr attr; /* if it is there */
};

static int find_spot(struct ftx_headless *h, const char *name, struct spot *out)
{
    const char *slash = strrchr(name, '/');
    char *folder = strndup(name, slash ? (size_t)(slash - name) : 0);
    uint64_t id;
    if (!folder)
        return -ENOMEM;
    *out = (struct spot){.name = slash ? slash + 1 : name, .top = !slash};
    out->size = strlen(out->name);
    int err = ftx_headless_id(h, folder, &out->parent);
    free(folder);
    if (!err && ftx_headless_id(h, name, &id) == 0)
        out->there = ftx_tree_attr(h->store, id, &out->attr) == 0;
    return err;
}

/* An item, and all below it. */
static int take_back(struct ftx_headless *h, uint64_t parent, const char *name,
                     const struct ftx_attr *attr)
{
    int err = 0;
    if (attr->kind == FTX_FOLDER) {
        struct ftx_children children;
        err = ftx_children_list(h, attr->id, &children);
        for (size_t i = 0; i < children.n && !err; i++)
            err = take_back(h, attr->id, children.at[i].name, &children.at[i].attr);
        ftx_children_free(&children);
    }
    return err ? err
               : ftx_outbox_remove(h->store, parent, name, strlen(name), attr->kind == FTX_FOLDER);
}

static int make(struct ftx_headless *h, struct spot *spot, enum ftx_kind kind, uint16_t mode,
                const char *target, const char *source)
{
    int err = spot->there ? take_back(h, spot->parent, spot->name, &spot->attr) : 0;
    if (!err)
        err = ftx_outbox_make(h->store, spot->parent, spot->name, spot->size, kind, mode, target,
                              false, &spot->attr.id);
    if (!err)
        err = ftx_tree_attr(h->store, spot->attr.id, &spot->attr);
    if (!err && spot->top && kind != FTX_SYMLINK)
        err = ftx_borrow_root(h->store, spot->attr.id, source);
    return err;
}

static void copy_xattr(struct ftx_headless *h, uint64_t id, int fd, const char *name)
{
    char *value = malloc(XATTR_SIZE_MAX);
    ssize_t n = value ? fgetxattr(fd, name, value, XATTR_SIZE_MAX) : -1;
    struct ftx_xattr xattr = {.name = name + FTX_USER_SIZE,
                              .name_size = strlen(name + FTX_USER_SIZE),
                              .value = value,
                              .value_size = n < 0 ? 0 : (size_t)n};
    if (n >= 0)
        (void)ftx_outbox_set_xattr(h->store, id, &xattr, FTX_XATTR_ANY);
    free(value);
}

/* Its user.* attributes, but for what there is no room for. */
static void copy_xattrs(struct ftx_headless *h, uint64_t id, int fd)
{
    ssize_t size = flistxattr(fd, NULL, 0);
    char *names = size > 0 ? malloc((size_t)size) : NULL;
    size = names ? flistxattr(fd, names, (size_t)size) : 0;
    for (char *name = names; size > 0 && name < names + size; name += strlen(name) + 1)
        if (strncmp(name, FTX_USER, FTX_USER_SIZE) == 0)
            copy_xattr(h, id, fd, name);
    free(names);
}

/* Did it come to no good, or was it cut off? Then it is offered as something new. */
static bool went_wrong(const struct ftx_attr *attr)
{
    return attr->state == FTX_ITEM_WRITING || attr->state == FTX_ITEM_INTERRUPTED ||
           attr->state == FTX_ITEM_REFUSED || attr->state == FTX_ITEM_FAILED ||
           attr->state == FTX_ITEM_CANCELLED;
}

static int offer_open_file(struct ftx_headless *h, struct spot *spot, int fd, const char *source)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return FTX_OFFER_UNREAD;
    if (!S_ISREG(st.st_mode)) {
        errno = ESTALE; /* it was one when it was looked for */
        return FTX_OFFER_UNREAD;
    }
    bool kept = spot->there && spot->attr.kind == FTX_FILE && !went_wrong(&spot->attr);
    if (kept && spot->attr.state == FTX_ITEM_LOCAL)
        return FTX_OFFER_STAYS;
    if (kept && ftx_borrow_same(h->store, spot->attr.id, &st))
        return 0;
    int err = make(h, spot, FTX_FILE, st.st_mode & 0777, NULL, source);
    if (err || spot->attr.state == FTX_ITEM_LOCAL)
        return err ? err : FTX_OFFER_STAYS;
    copy_xattrs(h, spot->attr.id, fd);
    return ftx_borrow_file(h->store, spot->attr.id, fd, &st);
}

static int offer_file(struct ftx_headless *h, struct spot *spot, const char *source)
{
    int fd = open(source, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return FTX_OFFER_UNREAD;
    int err = offer_open_file(h, spot, fd, source), of_source = errno;
    close(fd);
    errno = of_source;
    return err;
}

static int offer_symlink(struct ftx_headless *h, struct spot *spot, const char *source)
{
    char target[PATH_MAX], old[PATH_MAX];
    struct stat st;
    ssize_t n = readlink(source, target, sizeof target - 1);
    if (n < 0 || lstat(source, &st) < 0)
        return FTX_OFFER_UNREAD;
    target[n] = '\0';
    if (spot->there && spot->attr.kind == FTX_SYMLINK && !went_wrong(&spot->attr) &&
        ftx_tree_readlink(h->store, spot->attr.id, true, old, sizeof old) == 0 &&
        strcmp(old, target) == 0)
        return 0;
    int64_t mtime_ns = ftx_time_ns(&st.st_mtim);
    int err = make(h, spot, FTX_SYMLINK, 0777, target, source);
    return err ? err : ftx_outbox_set_attr(h->store, spot->attr.id, NULL, &mtime_ns);
}

static int offer_folder(struct ftx_headless *h, struct spot *spot, const char *source)
{
    if (spot->there && spot->attr.kind == FTX_FOLDER && !went_wrong(&spot->attr))
        return 0;
    return make(h, spot, FTX_FOLDER, 0700, NULL, source);
}

static int finish_open_folder(struct ftx_headless *h, const struct spot *spot, int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return FTX_OFFER_UNREAD;
    if (!spot->there)
        return -ENOENT;
    uint16_t mode = st.st_mode & 0777;
    int64_t mtime_ns = ftx_time_ns(&st.st_mtim);
    if (spot->attr.mode == mode && spot->attr.mtime_ns == mtime_ns)
        return 0;
    copy_xattrs(h, spot->attr.id, fd);
    return ftx_outbox_set_attr(h->store, spot->attr.id, &mode, &mtime_ns);
}

static int finish_folder(struct ftx_headless *h, const struct spot *spot, const char *source)
{
    int fd = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return FTX_OFFER_UNREAD;
    int err = finish_open_folder(h, spot, fd), of_source = errno;
    close(fd);
    errno = of_source;
    return err;
}

int ftx_headless_offer(struct ftx_headless *h, enum ftx_offer_kind kind, const char *source,
                       const char *name)
{
    struct spot spot;
    int err = find_spot(h, name, &spot);
    if (err)
        return err;
    switch (kind) {
    case FTX_OFFER_FOLDER:
        return offer_folder(h, &spot, source);
    case FTX_OFFER_FOLDER_END:
        return finish_folder(h, &spot, source);
    case FTX_OFFER_SYMLINK:
        return offer_symlink(h, &spot, source);
    default:
        return offer_file(h, &spot, source);
    }
}

/* -- the whole of it -- */

static bool is_gone(const char *path)
{
    struct stat st;
    return lstat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* What is below the folder and stands at `path` no more. What the peer has is its own. */
static int prune(struct ftx_headless *h, uint64_t folder, const char *path)
{
    struct ftx_children children;
    int err = ftx_children_list(h, folder, &children);
    for (size_t i = 0; i < children.n && !err; i++) {
        const struct ftx_child *child = &children.at[i];
        char *there = NULL;
        if (asprintf(&there, "%s/%s", path, child->name) < 0)
            there = NULL;
        if (!there)
            err = -ENOMEM;
        else if (is_gone(there))
            err = take_back(h, folder, child->name, &child->attr);
        else if (child->attr.kind == FTX_FOLDER)
            err = prune(h, child->attr.id, there);
        free(there);
    }
    ftx_children_free(&children);
    return err;
}

static int prune_tops(struct ftx_headless *h)
{
    struct ftx_children tops;
    uint64_t folder;
    int err = ftx_headless_id(h, "", &folder);
    if (!err)
        err = ftx_children_list(h, folder, &tops);
    for (size_t i = 0; !err && i < tops.n; i++) {
        void *path;
        size_t size;
        if (tops.at[i].attr.kind != FTX_FOLDER ||
            ftx_tree_get_xattr(h->store, tops.at[i].attr.id, FTX_BORROW_SOURCE,
                               sizeof FTX_BORROW_SOURCE - 1, &path, &size))
            continue;
        ((char *)path)[size] = '\0';
        err = prune(h, tops.at[i].attr.id, path);
        free(path);
    }
    if (!err)
        ftx_children_free(&tops);
    return err;
}

/* Last of all, so that who has read it has all names. */
int ftx_headless_offered(struct ftx_headless *h, const char *name, uint64_t files, uint64_t bytes)
{
    char text[64];
    uint64_t id;
    void *old = NULL;
    size_t old_size = 0;
    int err = prune_tops(h);
    if (err || !name)
        return err;
    err = ftx_headless_id(h, name, &id);
    if (err)
        return err;
    struct ftx_xattr offer = {
        .name = FTX_HEADLESS_OFFER, .name_size = sizeof FTX_HEADLESS_OFFER - 1, .value = text};
    offer.value_size = (size_t)snprintf(text, sizeof text, "%llu %llu", (unsigned long long)files,
                                        (unsigned long long)bytes);
    bool same =
        ftx_tree_get_xattr(h->store, id, offer.name, offer.name_size, &old, &old_size) == 0 &&
        old_size == offer.value_size && memcmp(old, text, old_size) == 0;
    free(old);
    return same ? 0 : ftx_outbox_set_xattr(h->store, id, &offer, FTX_XATTR_ANY);
}

void ftx_headless_fate(struct ftx_headless *h, const char *name, char *out_state, char *out_error,
                       size_t room)
{
    uint64_t id;
    int n =
        ftx_headless_id(h, name, &id) ? -1 : ftx_tree_xattr(h->store, id, "state", out_state, room);
    int error = n < 0 ? -1 : ftx_tree_xattr(h->store, id, "error", out_error, room);
    out_state[n < 0 ? 0 : n] = '\0';
    out_error[error < 0 ? 0 : error] = '\0';
}
