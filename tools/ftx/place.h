/* SPDX-License-Identifier: MIT */
/* Which mount is meant, and what in it. */
#ifndef FTX_TOOLS_PLACE_H
#define FTX_TOOLS_PLACE_H

#include "tools/ftx/command.h"

/*
 * The mount point that is meant: --mount or FTX_MOUNT, else the one that the current folder lies
 * in, else the only one of this user that runs. 0 and *out_mount (to be freed), or an exit status
 * after one line about it.
 */
int ftx_place_mount(const struct ftx_call *call, char **out_mount);

/* The same for what can do without: *out_mount is NULL if none runs and none was named, or if an
 * option says so: --no-mount, --store, those of the network. */
int ftx_place_mount_if_any(const struct ftx_call *call, char **out_mount);

/* The same without a word: NULL where ftx_place_mount would fail. To be freed. */
char *ftx_place_quiet(const struct ftx_call *call);

struct ftx_place {
    char *mount;      /* owned */
    char *path;       /* owned; absolute */
    const char *item; /* in `path`: what stands behind the mount point, as outbox/CODE/a */
};

/*
 * What a word names that a person gave: a path into a mount, outbox/... or inbox/... of the mount
 * that is meant, or a link's name (its folder in the outbox, or in the inbox). 0, or an exit status
 * after one line about it.
 */
int ftx_place_find(const struct ftx_call *call, const char *word, struct ftx_place *out);
void ftx_place_close(struct ftx_place *place);

/* The path without links in it, but for its last name, which may be one; to be freed. NULL: it is
 * not there. */
char *ftx_place_absolute(const char *word);

/* mount/box/name, to be freed; never NULL. */
char *ftx_place_join(const char *mount, const char *box, const char *name);

/* 0, or an exit status after one line: the word cannot be a code. */
int ftx_place_check_code(const struct ftx_call *call, const char *word);

#endif
