/* SPDX-License-Identifier: MIT */
/* Which folder of hooks a mount has, and its start. */
#ifndef FTX_TOOLS_HOOKS_H
#define FTX_TOOLS_HOOKS_H

#include "fs/hooks/hooks.h"

#include <stddef.h>

/*
 * `folder`: what --hooks said, or NULL: the user's own, if it is there. No hooks: 0 and *out_hooks
 * NULL. A folder that was named and cannot be used is an error, with a message; the user's own is only
 * passed over, and the log says why.
 */
int ftx_start_hooks(struct ftx_store *store, const char *folder, const char *mount, char *message,
                    size_t room, struct ftx_hooks **out_hooks);

#endif
