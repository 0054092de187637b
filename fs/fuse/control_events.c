/* SPDX-License-Identifier: MIT */
/*
 * .ftx/events: the feed as a file (docs/interface.md). It is read like a log that grows: its size is
 * where the next line will stand, a read at the end is parked. What is no longer kept is jumped
 * over, by the handle alone: `shift` is how far it has been moved on.
 */
#include "fs/fuse/control.h"

#include "fs/store/feed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

struct reader {
    struct ftx_control_handle handle;
    pthread_mutex_t lock;
    uint64_t shift; /* of the handle's offsets against the feed's, modulo 2^64 */
    uint64_t next;  /* in the feed: what a poll asks about */
    struct fuse_pollhandle *wait;
};

static struct reader *reader_of(struct ftx_control_handle *handle)
{
    return (struct reader *)handle;
}

static int open_events(struct ftx_mount *mount, struct ftx_control_handle **out_handle)
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return -ENOMEM;
    pthread_mutex_init(&reader->lock, NULL);
    ftx_feed_reader(mount->store, true);
    *out_handle = &reader->handle;
    return 0;
}

static void close_events(struct ftx_mount *mount, struct ftx_control_handle *handle)
{
    struct reader *reader = reader_of(handle);
    ftx_feed_reader(mount->store, false);
    if (reader->wait)
        fuse_pollhandle_destroy(reader->wait);
    pthread_mutex_destroy(&reader->lock);
    free(reader);
}

static int read_feed(struct ftx_mount *mount, struct reader *reader, size_t size, off_t offset,
                     struct ftx_reply *out)
{
    char *bytes = ftx_read_room();
    *out = (struct ftx_reply){.bytes = bytes};
    if (!bytes)
        return -ENOMEM;
    size = size < FTX_REQUEST_MAX ? size : FTX_REQUEST_MAX;
    pthread_mutex_lock(&reader->lock);
    uint64_t at = (uint64_t)offset + reader->shift;
    int err = ftx_feed_read(mount->store, &at, bytes, size, &out->size);
    reader->shift = at - (uint64_t)offset;
    reader->next = at + out->size;
    pthread_mutex_unlock(&reader->lock);
    return err;
}

static int try_read(struct ftx_mount *mount, const struct ftx_parked *parked, bool ask,
                    struct ftx_reply *out)
{
    (void)ask;
    return read_feed(mount, (struct reader *)(uintptr_t)parked->handle, parked->size,
                     parked->offset, out);
}

static void reply_read(fuse_req_t req, const struct ftx_reply *reply)
{
    fuse_reply_buf(req, reply->bytes, reply->size);
}

/* However long it takes. */
static const struct ftx_wait_kind waiting_event = {.attempt = try_read, .reply = reply_read};

static void read_events(fuse_req_t req, struct ftx_control_handle *handle, size_t size,
                        off_t offset, const struct fuse_file_info *fi)
{
    struct ftx_mount *mount = ftx_mount_of(req);
    struct ftx_reply reply;
    int err = read_feed(mount, reader_of(handle), size, offset, &reply);
    if (err == -EAGAIN && !(fi->flags & O_NONBLOCK))
        ftx_park_wait(mount->park, &waiting_event, req, FTX_ID_EVENTS, fi->fh, NULL, size, offset);
    else if (err)
        ftx_reply_err(req, err);
    else
        reply_read(req, &reply);
}

static bool poll_events(struct ftx_mount *mount, struct ftx_control_handle *handle,
                        struct fuse_pollhandle *wait)
{
    struct reader *reader = reader_of(handle);
    pthread_mutex_lock(&mount->controls_lock);
    struct fuse_pollhandle *old = wait ? reader->wait : NULL;
    if (wait)
        reader->wait = wait;
    pthread_mutex_unlock(&mount->controls_lock);
    if (old)
        fuse_pollhandle_destroy(old);
    pthread_mutex_lock(&reader->lock);
    uint64_t next = reader->next;
    pthread_mutex_unlock(&reader->lock);
    return ftx_feed_ready(mount->store, next);
}

/* One of those who wait, no longer waiting; NULL: none. */
static struct fuse_pollhandle *take_wait(struct ftx_mount *mount)
{
    struct fuse_pollhandle *wait = NULL;
    pthread_mutex_lock(&mount->controls_lock);
    for (struct ftx_list *node = mount->controls.next; node != &mount->controls && !wait;
         node = node->next) {
        struct ftx_control_handle *handle = ftx_list_of(node, struct ftx_control_handle, node);
        if (handle->control != &ftx_control_events)
            continue;
        wait = reader_of(handle)->wait;
        reader_of(handle)->wait = NULL;
    }
    pthread_mutex_unlock(&mount->controls_lock);
    return wait;
}

void ftx_events_happened(struct ftx_mount *mount)
{
    for (struct fuse_pollhandle *wait; (wait = take_wait(mount));) {
        (void)fuse_lowlevel_notify_poll(wait);
        fuse_pollhandle_destroy(wait);
    }
}

static void stat_events(const struct ftx_mount *mount, struct stat *out)
{
    int64_t last_ns;
    out->st_size = (off_t)ftx_feed_end(mount->store, &last_ns);
    if (last_ns)
        out->st_mtim = out->st_ctim =
            (struct timespec){.tv_sec = last_ns / 1000000000, .tv_nsec = last_ns % 1000000000};
}

const struct ftx_control ftx_control_events = {.ino = FTX_ID_EVENTS,
                                               .name = "events",
                                               .mode = 0400,
                                               .open = open_events,
                                               .read = read_events,
                                               .poll = poll_events,
                                               .close = close_events,
                                               .stat = stat_events};
