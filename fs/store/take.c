/* SPDX-License-Identifier: MIT */
/* An object becomes a file with a name. */
#include "fs/store/take.h"

#include "fs/store/change_log.h"
#include "fs/store/inbox.h"
#include "fs/store/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
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
    int fd = ftx_object_open(&store->objects, taking->object,
                             O_WRONLY | (taking->empty ? O_CREAT | O_EXCL : 0));
    if (fd < 0)
        return fd == -ENOENT ? -ENODATA : fd;
    int err = dress(store, id, taking, fd);
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
