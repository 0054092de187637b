/* SPDX-License-Identifier: MIT */
/* $XDG_CONFIG_HOME/ftxfs/hooks, or what --hooks names. */
#include "tools/ftxfs/hooks.h"

#include "tools/common/paths.h"
#include "transport/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 60000 };

int ftx_start_hooks(struct ftx_store *store, const char *folder, const char *mount, char *message,
                    size_t room, struct ftx_hooks **out_hooks)
{
    *out_hooks = NULL;
    if (folder && strcmp(folder, "none") == 0)
        return 0;
    char *own = folder ? NULL : ftx_paths_named("XDG_CONFIG_HOME", ".config", "ftxfs/hooks");
    const char *used = folder ? folder : own, *why = NULL;
    const struct ftx_hooks_config config = {
        .folder = used, .mount = mount, .timeout_ms = TIMEOUT_MS};
    int err = used ? ftx_hooks_start(store, &config, out_hooks, &why) : 0;
    if (err && folder)
        snprintf(message, room, "%s: %s", folder, why);
    else if (err && err != -ENOENT)
        ftx_log(FTX_LOG_WARNING, "%s: %s", own, why);
    free(own);
    return folder ? err : 0;
}
