/* SPDX-License-Identifier: MIT */
/* The folder of hooks: whoever may write there decides what runs in its owner's name. */
#ifndef FTX_HOOKS_FOLDER_H
#define FTX_HOOKS_FOLDER_H

#include <limits.h>
#include <stdbool.h>

/* 0, or an error with *out_message (static): it is no folder, or somebody else's, or others may write
 * to it. Only the owner and root are trusted. */
int ftx_hooks_check(const char *folder, const char **out_message);

/* True, and the path, if the folder has a hook of this name that may run; says in the log why one
 * that is there may not. */
bool ftx_hooks_find(const char *folder, const char *name, char out_path[PATH_MAX]);

#endif
