/* SPDX-License-Identifier: MIT */
/* The mount: a FUSE session whose operations are answered from a store. */
#ifndef FTX_FUSE_MOUNT_H
#define FTX_FUSE_MOUNT_H

#include "fs/store/store.h"

#include <stdbool.h>

struct ftx_mount;

/* How it is reached and what it lives on, for .ftx/status: strings are kept. */
struct ftx_mount_surroundings {
    uint16_t port;       /* where peers may connect; 0: nowhere */
    char *const *relays; /* URLs, n_relays of them */
    size_t n_relays;
    const char *relay_token, *relay_ca; /* files; NULL: none */
};

struct ftx_mount_options {
    const char *path;         /* the mount point: absolute */
    const char *source;       /* as the mount table shall show it; NULL: "ftxfs" */
    const char *fuse_options; /* comma list for libfuse ("allow_other,..."), or NULL */
    unsigned read_timeout_ms; /* what waits for the peer ends after this long without progress */
    bool close_delivered;     /* close(2) waits until the peer has the file durably */
    bool any_target;          /* readlink answers targets outside the link */
    bool debug;               /* libfuse prints every request */
    struct ftx_mount_surroundings surroundings;
};

/*
 * Mounts; operations are answered once ftx_mount_run is called (the kernel queues them until then).
 * The store's `arrived` and `news` events are to call the functions below. -errno, with a sentence
 * for people in `message`.
 */
int ftx_mount_open(struct ftx_store *store, const struct ftx_mount_options *options, char *message,
                   size_t room, struct ftx_mount **out_mount);

/* Serves until it is unmounted, or until ftx_mount_end. Main thread. */
void ftx_mount_run(struct ftx_mount *mount);
/* Ends ftx_mount_run. Any thread. */
void ftx_mount_end(struct ftx_mount *mount);
/* Takes what is mounted at the path out of the tree, whoever uses it. -errno. */
int ftx_mount_detach(const char *path);

/* An inbox file got bytes, its end, or went away: parked reads are looked at. Any thread. */
void ftx_mount_arrived(void *mount);

/* The feed has an event more: who reads or polls .ftx/events is told. Any thread; with the store's
 * lock. */
void ftx_mount_happened(void *mount);

/* The store has news: watchers are told. Any thread. */
void ftx_mount_news(void *mount);

/* Answers what is parked, unmounts. ftx_mount_free after the store is closed, whose thread may call
 * ftx_mount_arrived to its end. */
void ftx_mount_close(struct ftx_mount *mount);
void ftx_mount_free(struct ftx_mount *mount);

/*
 * Before anything is opened: is `path` an empty folder to mount on? A mount that a killed ftxfs
 * left there is detached. -errno with a sentence in `message`.
 */
int ftx_mount_check(const char *path, char *message, size_t room);

#endif
