/* SPDX-License-Identifier: MIT */
/*
 * How ftxfs ends. SIGTERM, SIGINT and SIGHUP are blocked in all threads but one, which waits for
 * them: it gets the main thread out of the mount's loop, and sees to it that the process is gone in
 * time, whatever hangs: all state survives a kill at any moment.
 */
#ifndef FTX_TOOLS_ENDING_H
#define FTX_TOOLS_ENDING_H

#include "fs/fuse/mount.h"

#include <signal.h>

/* The signals. */
void ftx_ending_signals(sigset_t *out_set);

/* Blocks them; before any thread is made. Main thread. */
void ftx_ending_prepare(void);

/* Begins to wait for them; `path` (borrowed) is where `mount` is. -errno. Main thread, once. */
int ftx_ending_start(struct ftx_mount *mount, const char *path);

/* The mount's loop has ended, by a signal or by itself: the rest has to follow in time. `mount` is
 * not used any more. Main thread. */
void ftx_ending_begun(void);

#endif
