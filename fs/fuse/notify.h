/* SPDX-License-Identifier: MIT */
/*
 * The notifier: lets inotify see what a peer changes in the inbox. The kernel raises inotify events
 * for what programs do through the mount, and for nothing that FUSE can tell it; so one thread of
 * ours does every change once more, through our own mount (notify.c), and its requests are answered
 * as repeats, with no effect on the store (repeat.c). Only for the store's news: nothing happens
 * in folders that nobody looked at. Private to fs/fuse.
 */
#ifndef FTX_FUSE_NOTIFY_H
#define FTX_FUSE_NOTIFY_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "fs/store/news.h"
#include "transport/wire/limits.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct ftx_mount;
struct ftx_notify;

/* The news that the notifier is repeating right now; what is 0: it is on its way there. */
struct ftx_repeated {
    uint64_t item, folder, to_folder;
    uint8_t what, kind;
    bool hidden; /* the name is not there, whatever the store says */
    char name[FTX_NAME_MAX + 1], to[FTX_NAME_MAX + 1];
};

/* Between the notifier and the FUSE threads that answer it; stands in the mount. */
struct ftx_repeat {
    atomic_int thread;    /* its thread id, as requests carry it; 0: none */
    pthread_mutex_t lock; /* of all below */
    struct ftx_repeated now;
    bool root_seen;      /* it asked for the root since this was cleared */
    uint64_t generation; /* of the last stand-in for an item that is gone */
};

/* Starts the thread; `path` is the mount point. NULL: it cannot be started. */
struct ftx_notify *ftx_notify_start(struct ftx_mount *mount);
/* The mount is being served. */
void ftx_notify_begin(struct ftx_notify *notify);
/* There are news. Any thread, short. */
void ftx_notify_wake(struct ftx_notify *notify);
/* Nothing is repeated from here on; what is under way may take until the connection has ended. */
void ftx_notify_stop(struct ftx_notify *notify);
/* After the connection has ended: waits for the thread, frees. */
void ftx_notify_free(struct ftx_notify *notify);

/* The operations begin with these. True: the request is the notifier's, and answered. */
bool ftx_repeat_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
bool ftx_repeat_getattr(fuse_req_t req, fuse_ino_t ino);
bool ftx_repeat_setattr(fuse_req_t req, fuse_ino_t ino);
bool ftx_repeat_make(fuse_req_t req, fuse_ino_t parent, const char *name, enum ftx_kind kind);
bool ftx_repeat_create(fuse_req_t req, fuse_ino_t parent, const char *name,
                       struct fuse_file_info *fi);
bool ftx_repeat_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
bool ftx_repeat_remove(fuse_req_t req, fuse_ino_t parent, const char *name);
bool ftx_repeat_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                       const char *new_name);

#endif
