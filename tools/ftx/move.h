/* SPDX-License-Identifier: MIT */
/* Takes what is complete out of an inbox, into a folder of any file system. */
#ifndef FTX_TOOLS_MOVE_H
#define FTX_TOOLS_MOVE_H

#include "tools/ftx/copy.h"

#include <time.h>

struct ftx_move {
    struct ftx_copy copy;
    struct timespec begun; /* when the first of the calls was made */
    bool last;             /* nothing more comes: folders get their modes, and go from the inbox */
    bool elsewhere;        /* the daemon cannot move files to there: they are copied */
    uint64_t files;        /* were moved, durably, up to now */
    uint64_t bytes;
    uint64_t waiting;   /* are not complete; of the last call */
    uint64_t conflicts; /* could not be moved, because something else has their name; likewise */
    char *conflict;     /* owned; the last such name */
};

/*
 * Moves one name of the folder `from` into the folder `to`: a file if it is complete, a symlink, or
 * a folder with all below that can be moved. A file is renamed where it can be, else it shares its
 * blocks, else it is copied. Names in `to` are never followed and never replaced; a
 * file is synced before it goes from the inbox. -errno; what is left over is in `move`.
 */
int ftx_move_item(struct ftx_move *move, int from, const char *name, int to, const char *to_name);

/* Each name of the folder `from`. */
int ftx_move_all(struct ftx_move *move, int from, int to);

#endif
