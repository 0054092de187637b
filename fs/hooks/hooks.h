/* SPDX-License-Identifier: MIT */
/*
 * Hooks: programs of the owner's, in a folder, that are started when something happens. They are told
 * of what the feed tells (.ftx/events), by a thread of their own: a hook may read the mount, hang or
 * fail, and nobody but the next hook waits for it. docs/interface.md, Hooks.
 *
 *   hooks.c    the thread: the feed in, calls into a queue, children out of it
 *   call.c     from an event to a hook's name, arguments and environment
 *   child.c    one that runs: its output, its time, its end
 *   folder.c   whose the folder and the programs in it have to be
 */
#ifndef FTX_HOOKS_HOOKS_H
#define FTX_HOOKS_HOOKS_H

#include "fs/store/store.h"

struct ftx_hooks;

struct ftx_hooks_config {
    const char *folder, *mount; /* absolute */
    unsigned timeout_ms;        /* of each hook */
};

/* Begins with what happens from now on. On failure *out_message (static) says what is wrong with the
 * folder: -ENOENT; -ENOTDIR: it is none; -EPERM: others may write to it, or it is theirs. */
int ftx_hooks_start(struct ftx_store *store, const struct ftx_hooks_config *config,
                    struct ftx_hooks **out_hooks, const char **out_message);

/* The feed has an event more; with the store's lock. */
void ftx_hooks_happened(struct ftx_hooks *hooks);

/* Ends hooks that run, waits for the thread, frees. NULL is fine. */
void ftx_hooks_stop(struct ftx_hooks *hooks);

#endif
