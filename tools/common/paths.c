/* SPDX-License-Identifier: MIT */
/* The XDG folders, and paths of what need not exist. */
#include "tools/common/paths.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The user's; mount(8) at the start of the machine has no HOME. */
static const char *home_folder(void)
{
    const char *home = getenv("HOME");
    const struct passwd *user = home && home[0] ? NULL : getpwuid(geteuid());
    return user ? user->pw_dir : home;
}

char *ftx_paths_named(const char *variable, const char *otherwise, const char *name)
{
    const char *folder = getenv(variable), *home = home_folder();
    char *path = NULL;
    int n = folder && folder[0] == '/' ? asprintf(&path, "%s/%s", folder, name)
            : home && home[0]          ? asprintf(&path, "%s/%s/%s", home, otherwise, name)
                                       : -1;
    return n < 0 ? NULL : path;
}

char *ftx_paths_user(const char *variable, const char *otherwise, const char *name)
{
    char *path = ftx_paths_named(variable, otherwise, name);
    for (char *slash = path ? strchr(path + 1, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700); /* what is missing shows when the store is opened */
        *slash = '/';
    }
    return path;
}

char *ftx_paths_absolute(const char *path)
{
    char *real = realpath(path, NULL);
    char *copy = real ? NULL : strdup(path);
    if (!copy)
        return real;
    for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
        copy[n - 1] = '\0';
    char *slash = strrchr(copy, '/');
    char *folder = NULL, *joined = NULL;
    if (slash)
        *slash = '\0';
    folder = realpath(slash ? (*copy ? copy : "/") : ".", NULL);
    const char *top = folder && strcmp(folder, "/") == 0 ? "" : folder;
    if (folder && asprintf(&joined, "%s/%s", top, slash ? slash + 1 : copy) < 0)
        joined = NULL;
    free(folder);
    free(copy);
    return joined;
}
