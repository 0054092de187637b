/* SPDX-License-Identifier: MIT */
/* A name that is a hash of all that makes a send the same one. */
#include "tools/ftx/begun.h"

#include "tools/common/paths.h"
#include "tools/ftx/place.h"
#include "transport/base/hash.h"
#include "transport/crypto/identity.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add_path(FILE *all, const char *path)
{
    char *absolute = ftx_place_absolute(path);
    fputs(absolute ? absolute : path, all);
    putc('\0', all);
    free(absolute);
}

char *ftx_begun_path(const struct ftx_call *call, char *const *paths, const char *mount)
{
    const char *to = ftx_call_flag(call, "to");
    char *text = NULL, *path = NULL, name[64] = "ftxfs/send/";
    size_t size = 0;
    uint8_t hash[16];
    FILE *all = open_memstream(&text, &size);
    if (!all)
        return NULL;
    for (int i = 0; i < call->n_words; i++)
        add_path(all, paths[i]);
    fputs(to ? to : "", all);
    if (mount)
        fprintf(all, "%c%s", '\0', mount);
    if (fclose(all) == 0) {
        ftx_hash(text, size, hash);
        size_t n = strlen(name);
        for (size_t i = 0; i < sizeof hash; i++)
            n += (size_t)snprintf(name + n, sizeof name - n, "%02x", hash[i]);
        path = ftx_paths_user("XDG_STATE_HOME", ".local/state", name);
    }
    free(text);
    return path;
}

bool ftx_begun_read(const char *path, char out[FTX_CODE_MAX + 1])
{
    int fd = path ? open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
    ssize_t n = fd < 0 ? -1 : read(fd, out, FTX_CODE_MAX + 1);
    if (fd >= 0)
        close(fd);
    bool good = n > 0 && n <= FTX_CODE_MAX && ftx_code_valid(out, (size_t)n);
    out[good ? n : 0] = '\0';
    return good;
}

void ftx_begun_write(const char *path, const char *code)
{
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
    if (fd >= 0 && write(fd, code, strlen(code)) < 0)
        (void)unlink(path);
    if (fd >= 0)
        close(fd);
}
