/* SPDX-License-Identifier: MIT */
/* What may run: files of the owner or of root that nobody else can change. */
#include "fs/hooks/folder.h"

#include "transport/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_trusted(const struct stat *st)
{
    return (st->st_uid == geteuid() || st->st_uid == 0) && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

int ftx_hooks_check(const char *folder, const char **out_message)
{
    struct stat st;
    if (stat(folder, &st) < 0) {
        int err = errno == ENOTDIR ? -ENOENT : -errno; /* what is above it is no folder */
        *out_message = "cannot be looked into; name another folder with --hooks, or none";
        return err;
    }
    if (!S_ISDIR(st.st_mode)) {
        *out_message = "is no folder; name another with --hooks, or none";
        return -ENOTDIR;
    }
    if (!is_trusted(&st)) {
        *out_message = "others may write to it, or it is theirs; what is in it would run in your "
                       "name: chown and chmod go-w it";
        return -EPERM;
    }
    return 0;
}

bool ftx_hooks_find(const char *folder, const char *name, char out_path[PATH_MAX])
{
    struct stat st;
    const char *message;
    int n = snprintf(out_path, PATH_MAX, "%s/%s", folder, name);
    if (n < 0 || n >= PATH_MAX || stat(out_path, &st) < 0)
        return false;
    if (!S_ISREG(st.st_mode) || !(st.st_mode & S_IXUSR))
        return false; /* switched off */
    if (is_trusted(&st) && ftx_hooks_check(folder, &message) == 0)
        return true;
    ftx_log(FTX_LOG_WARNING, "%s does not run: others may write to it or to its folder", out_path);
    return false;
}
