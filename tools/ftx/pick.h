/* SPDX-License-Identifier: MIT */
/* What is to be sent of some paths: everything but what is ignored. */
#ifndef FTX_TOOLS_PICK_H
#define FTX_TOOLS_PICK_H

#include "tools/ftx/ignore.h"

#include <stdint.h>
#include <sys/stat.h>

/* Folders last: they are there once something in them is. */
enum ftx_pick_kind { FTX_PICK_FILE, FTX_PICK_SYMLINK, FTX_PICK_FOLDER, FTX_PICK_FOLDER_END };

/* Folders of which a person may say that they are not to be sent. */
enum ftx_pick_spare {
    FTX_PICK_CACHES, /* environments and caches: the other end can make them anew */
    FTX_PICK_GIT,    /* .git */
    FTX_PICK_SPARES,
};

struct ftx_pick_entry {
    enum ftx_pick_kind kind;
    char *source; /* owned; the path on this machine */
    size_t name;  /* in it: where the name at the other end begins */
    uint64_t size;
};

struct ftx_pick {
    struct ftx_pick_entry *entries; /* a folder's end stands behind all that is in it */
    size_t n;
    uint64_t files, bytes;
    char **spare[FTX_PICK_SPARES]; /* owned; those that were left out */
    size_t n_spare[FTX_PICK_SPARES];
    struct ftx_pick_left *left; /* what cannot be sent, with all below it */
    size_t n_left;
};

struct ftx_pick_left {
    char *source; /* owned */
    const char *why;
};

struct ftx_pick_rules {
    struct ftx_ignore exclude; /* relative to each of the paths */
    bool keep[FTX_PICK_SPARES];
    dev_t mount_dev; /* the mount's own folder, which holds what is sent, is not sent */
    ino_t mount_ino;
};

/* Looks through `path` (no slash at its end) and adds what is to be sent. */
void ftx_pick_add(struct ftx_pick *pick, char *path, const struct ftx_pick_rules *rules);
void ftx_pick_close(struct ftx_pick *pick);

#endif
