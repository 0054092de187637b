/* SPDX-License-Identifier: MIT */
/* Starts another program, without a shell, and with nothing of ours that it was not given. */
#ifndef FTX_BASE_SPAWN_H
#define FTX_BASE_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

struct ftx_spawn {
    char *const *argv;
    char *const *envp; /* NULL: as ours */
    int out_fd;        /* its stdout */
    bool search;       /* argv[0] is looked for in PATH; else it is a path */
    bool err_too;      /* stderr goes where stdout goes; else nowhere */
};

/*
 * Runs it in / and in a process group of its own (the one to be killed), without stdin, with signals
 * as for any program, and no descriptor but these three. *out_pid is to be waited for. -ENOENT,
 * -EACCES and the like. Any thread.
 */
int ftx_spawn(const struct ftx_spawn *spawn, pid_t *out_pid);

#endif
