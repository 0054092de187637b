/* SPDX-License-Identifier: MIT */
/* A hook that runs. Owner's thread only. */
#ifndef FTX_HOOKS_CHILD_H
#define FTX_HOOKS_CHILD_H

#include "fs/hooks/call.h"

#include <stdint.h>
#include <sys/types.h>

enum { FTX_HOOK_LINE_MAX = 512, FTX_HOOK_LINES_MAX = 64 };

struct ftx_hook_child {
    struct ftx_hook_call *call; /* NULL: this place is free */
    pid_t pid;
    int pid_fd, out_fd; /* to be polled: its end, its output (-1: that has ended) */
    int64_t until_ms;
    unsigned n_lines;
    size_t size;
    char line[FTX_HOOK_LINE_MAX];
};

/* How it ended. */
enum ftx_hook_end {
    FTX_HOOK_RUNS,
    FTX_HOOK_GOOD,    /* exit status 0 */
    FTX_HOOK_BAD,     /* another one */
    FTX_HOOK_UNKNOWN, /* a signal, or its time was over */
};

/* Starts the program at `path`; takes the call in any case. -ENOENT and the like, in the log. */
int ftx_hook_child_start(struct ftx_hook_child *child, const char *path, struct ftx_hook_call *call,
                         int64_t until_ms);
/* Its output goes to the log, a line each, as far as there is some now. */
void ftx_hook_child_read(struct ftx_hook_child *child);
/* After its end, or at `now_ms` when its time is over (INT64_MAX: it is, for all): all of its process
 * group is gone then. The call is the caller's again, unless it still runs. */
enum ftx_hook_end ftx_hook_child_look(struct ftx_hook_child *child, int64_t now_ms,
                                      struct ftx_hook_call **out_call);

#endif
