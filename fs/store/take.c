/* SPDX-License-Identifier: MIT */
/*
 * An object becomes a file with a name.
 *
 * Out of a mount, where programs read the inbox: TAKEN, durably, with its object -> mode, time,
 * attributes -> rename -> the folder is synced -> the item goes. Killed in between, the next start
 * finds the object, and the item is complete as before, or does not, and the item goes.
 */
#include "fs/store/take.h"

#include "fs/store/change_log.h"
#include "fs/store/inbox.h"
#include "fs/store/inbox_room.h"
#include "fs/store/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* What `ftx send` tells `ftx receive` by is nothing to keep. */
static const char offer[] = FTX_USER "ftx-send";

static int copy_xattrs(struct ftx_store *store, uint64_t id, int fd)
{
    char *names;
    size_t size;
    int err = ftx_tree_list_xattrs(store, id, &names, &size);
    if (err)
        return err;
    for (char *name = names; name < names + size; name += strlen(name) + 1) {
        void *value;
        size_t n;
        const char *bare = name + FTX_USER_SIZE;
        if (strcmp(name, offer) == 0 ||
            ftx_tree_get_xattr(store, id, bare, strlen(bare), &value, &n))
            continue;
        (void)fsetxattr(fd, name, value, n, 0);
        free(value);
    }
    free(names);
    return 0;
}

/* Of the file, what it needs to become one of its own; without bytes it gets an object now. */
struct taking {
    uint64_t object, size;
    int64_t mtime_ns;
    uint16_t mode;
    bool empty;
    bool sync;
};

/* No update of it begins from here on: it would take from these bytes what it does not bring. One
 * that has begun is waited for. */
static int begin(struct ftx_store *store, uint64_t id, struct taking *out)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_inbox_file_of(store, id);
    int err = !item ? -ENOENT : item->state != FTX_ITEM_COMPLETE || item->shadow ? -EAGAIN : 0;
    if (!err) {
        item->going = true;
        *out = (struct taking){.object = item->object ? item->object : ftx_random_id(),
                               .size = item->size,
                               .mtime_ns = item->mtime_ns,
                               .mode = item->mode,
                               .empty = item->object == 0};
    }
    pthread_mutex_unlock(&store->lock);
    return err;
}

void ftx_take_times(int64_t mtime_ns, struct timespec out[2])
{
    const int64_t second = 1000000000;
    int64_t rest = (mtime_ns % second + second) % second; /* it may be before 1970 */
    out[0] = (struct timespec){.tv_nsec = UTIME_NOW};
    out[1] = (struct timespec){.tv_sec = (mtime_ns - rest) / second, .tv_nsec = rest};
}

int ftx_take_dress(struct ftx_store *store, uint64_t id, uint16_t mode, int64_t mtime_ns, int fd)
{
    struct timespec times[2];
    ftx_take_times(mtime_ns, times);
    int err = copy_xattrs(store, id, fd);
    if (!err && (fchmod(fd, mode) < 0 || futimens(fd, times) < 0))
        err = -errno;
    return err;
}

void ftx_take_not(struct ftx_store *store, uint64_t id)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_inbox_file_of(store, id);
    if (item)
        item->going = false;
    pthread_mutex_unlock(&store->lock);
}

/* As its sender has it. An object may end before or behind the file. */
static int dress(struct ftx_store *store, uint64_t id, const struct taking *taking, int fd)
{
    if (ftruncate(fd, (off_t)taking->size) < 0)
        return -errno;
    return ftx_take_dress(store, id, taking->mode, taking->mtime_ns, fd);
}

/* The bytes, wherever they are, become the file. */
static int publish(struct ftx_store *store, uint64_t id, const struct taking *taking, int to_fd,
                   const char *name)
{
    int flags = O_WRONLY | (taking->empty ? O_CREAT | O_EXCL : 0);
    int fd = ftx_object_open(&store->objects, taking->object, flags);
    if (fd == -EACCES && !ftx_object_own(&store->objects, taking->object)) /* killed after dress */
        fd = ftx_object_open(&store->objects, taking->object, flags);
    if (fd < 0)
        return fd == -ENOENT ? -ENODATA : fd;
    int err = dress(store, id, taking, fd);
    if (!err && taking->sync && fsync(fd) < 0)
        err = -errno;
    close(fd);
    if (!err)
        err = ftx_object_move(&store->objects, taking->object, to_fd, name);
    if (err && taking->empty)
        (void)ftx_object_remove(&store->objects, taking->object);
    return err;
}

int ftx_take_file(struct ftx_store *store, uint64_t id, int to_fd, const char *name)
{
    struct taking taking;
    int err = begin(store, id, &taking);
    if (err)
        return err;
    err = publish(store, id, &taking, to_fd, name);
    if (err && err != -ENODATA && err != -EEXIST)
        ftx_take_not(store, id);
    return err;
}

int ftx_take_done(struct ftx_store *store, uint64_t id, bool copied)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_item_find(&store->index, id);
    bool complete = item && item->link && item->box == FTX_INBOX && !ftx_item_is_root(item) &&
                    item->linked && item->state == FTX_ITEM_COMPLETE;
    if (complete && item->kind == FTX_FILE && item->object && copied) {
        ftx_log_trash(&log, item->object);
        ftx_trash_add(store, item);
    }
    if (complete) {
        if (item->kind == FTX_FILE)
            item->object = 0;
        item->state = FTX_ITEM_TAKEN;
        item->going = false;
        ftx_log_item(&log, item);
    }
    ftx_log_commit(&log);
    return complete ? 0 : -ENOENT;
}

/* -- out of a mount -- */

bool ftx_take_runs(const struct ftx_item *item)
{
    return item->state == FTX_ITEM_TAKEN && item->object != 0;
}

/* What programs and the peer cannot reach any more, and nobody reads. */
static int begin_out(struct ftx_store *store, uint64_t id, struct taking *out)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_inbox_file_of(store, id);
    if (!item || !item->linked)
        err = -ENOENT;
    else if (item->state != FTX_ITEM_COMPLETE || item->shadow || item->opened)
        err = -EBUSY;
    else if (!item->object)
        err = -EOPNOTSUPP;
    if (!err) {
        item->state = FTX_ITEM_TAKEN;
        ftx_log_item(&log, item);
        *out = (struct taking){.object = item->object,
                               .size = item->size,
                               .mtime_ns = item->mtime_ns,
                               .mode = item->mode,
                               .sync = true};
    }
    ftx_log_commit(&log);
    return err;
}

/* Who opens it waits for this. `left` with an error: the next start finds out what holds. */
static void end_out(struct ftx_store *store, uint64_t id, bool left, int err, uint64_t room)
{
    struct ftx_log log;
    bool noted = ftx_log_begin(&log, store) == 0;
    if (!noted) /* then the next start finds out */
        ftx_log_lock(&log, store);
    struct ftx_item *item = ftx_inbox_file_of(store, id);
    if (item && left) {
        item->object = 0;
        ftx_inbox_gained(store, item->link->row.id, room);
        if (noted && !err && item->linked)
            ftx_inbox_left(&log, item);
    } else if (item) {
        item->state = FTX_ITEM_COMPLETE;
        if (noted && item->linked)
            ftx_log_item(&log, item);
    }
    pthread_cond_broadcast(&store->left);
    ftx_log_commit(&log);
}

int ftx_take_out(struct ftx_store *store, uint64_t id, int to_fd, const char *name)
{
    struct taking taking;
    if (!ftx_objects_beside(&store->objects, to_fd))
        return -EXDEV;
    int folder = openat(to_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = folder < 0 ? -errno : begin_out(store, id, &taking);
    if (!err) {
        uint64_t room = ftx_object_room(&store->objects, taking.object);
        err = ftx_store_sync(store); /* that it is complete, and may be gone */
        if (!err)
            err = publish(store, id, &taking, folder, name);
        if (!err && fsync(folder) < 0)
            err = -errno;
        bool left =
            !err || (err != -ENODATA && ftx_object_own(&store->objects, taking.object) == -ENOENT);
        end_out(store, id, left, err, room);
    }
    if (folder >= 0)
        close(folder);
    return err;
}

int ftx_take_clone(struct ftx_store *store, uint64_t id, int to_fd)
{
    pthread_mutex_lock(&store->lock);
    const struct ftx_item *item = ftx_inbox_file_of(store, id);
    int err = !item                              ? -ENOENT
              : item->state != FTX_ITEM_COMPLETE ? -EBUSY
              : !item->object                    ? -EOPNOTSUPP
                                                 : 0;
    uint64_t object = err ? 0 : item->object, size = err ? 0 : item->size;
    pthread_mutex_unlock(&store->lock);
    int fd = err ? err : ftx_object_open(&store->objects, object, O_RDONLY);
    if (fd < 0)
        return fd;
    if (ioctl(to_fd, FICLONE, fd) < 0 || ftruncate(to_fd, (off_t)size) < 0)
        err = -errno;
    close(fd);
    return err;
}

static int settle(struct ftx_store *store, uint64_t id)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_item_find(&store->index, id);
    if (ftx_object_own(&store->objects, item->object) == -ENOENT) {
        item->object = 0;
        ftx_inbox_left(&log, item);
    } else {
        item->state = FTX_ITEM_COMPLETE;
        ftx_log_item(&log, item);
    }
    ftx_log_commit(&log);
    return 0;
}

int ftx_take_settle(struct ftx_store *store)
{
    int err = 0;
    struct ftx_item *next, *item = store->takes ? ftx_item_next(&store->index, NULL) : NULL;
    for (; item && !err; item = next) {
        next = ftx_item_next(&store->index, item);
        if (item->box == FTX_INBOX && item->kind == FTX_FILE && ftx_take_runs(item))
            err = settle(store, item->id);
    }
    store->takes = false;
    return err;
}
