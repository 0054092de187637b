/* SPDX-License-Identifier: MIT */
/* What a hook is started with. */
#ifndef FTX_HOOKS_CALL_H
#define FTX_HOOKS_CALL_H

#include "fs/store/feed.h"
#include "transport/base/list.h"

#include <stdbool.h>
#include <stddef.h>

enum { FTX_HOOK_ENV_MAX = 24 };

/* One call of a hook; freed by ftx_hook_call_free. */
struct ftx_hook_call {
    struct ftx_list node;
    const char *hook;  /* on-complete and so on; static */
    const char *event; /* FTX_EVENT; static */
    char *item;        /* in the mount, as inbox/CODE/a; NULL: of a link */
    char *path;        /* the same, absolute */
    char *env[FTX_HOOK_ENV_MAX + 1];
    size_t n_env;
};

/* The hook that is called for an event, NULL: none is. Static. */
const char *ftx_hook_of(const struct ftx_happening *happening);

/* The call for an event of a mount. NULL: no memory. */
struct ftx_hook_call *ftx_hook_call_new(const struct ftx_happening *happening, const char *mount);
/* The call of on-link-complete. */
struct ftx_hook_call *ftx_hook_call_link(const char *link, const char *mount);
void ftx_hook_call_free(struct ftx_hook_call *call);

#endif
