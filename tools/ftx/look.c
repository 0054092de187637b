/* SPDX-License-Identifier: MIT */
/* Status and attributes of a mount. */
#include "tools/ftx/look.h"

#include "tools/ftx/place.h"
#include "tools/ftx/value.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

char *ftx_look_file(const char *path, size_t *out_size)
{
    size_t room = 1 << 16, size = 0;
    char *bytes = malloc(room);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 0;
    while (fd >= 0 && bytes && (n = read(fd, bytes + size, room - size - 1)) > 0) {
        size += (size_t)n;
        if (room - size < 1 << 15) {
            char *more = realloc(bytes, room *= 2);
            if (!more)
                n = -1;
            if (!more)
                break;
            bytes = more;
        }
    }
    int err = errno;
    if (fd >= 0)
        close(fd);
    if (n < 0 || !bytes) {
        free(bytes);
        errno = bytes ? err : ENOMEM;
        return NULL;
    }
    bytes[size] = '\0';
    *out_size = size;
    return bytes;
}

int ftx_look_status(const char *mount, cJSON **out_status)
{
    size_t size;
    char *path = ftx_place_join(mount, ".ftx", "status");
    char *text = ftx_look_file(path, &size);
    int err = errno;
    cJSON *status = text ? ftx_value_read(text, size) : NULL;
    free(text);
    bool gone = !text && (err == ENOENT || err == ENOTCONN || err == ENOTDIR);
    if (gone)
        ftx_fail("%s: no ftxfs runs there any more; mount it again with ftxfs %s", mount, mount);
    else if (!text)
        ftx_fail("%s: %s", path, strerror(err));
    else if (!status)
        ftx_fail("%s: this is no JSON; are ftx and ftxfs of one version?", path);
    free(path);
    if (!status)
        return gone ? FTX_EXIT_NO_MOUNT : FTX_EXIT_FAILED;
    *out_status = status;
    return 0;
}

static const cJSON *find(const cJSON *array, const char *name)
{
    const cJSON *object;
    cJSON_ArrayForEach(object, array)
    {
        if (strcmp(ftx_value_text(object, "name"), name) == 0)
            return object;
    }
    return NULL;
}

const cJSON *ftx_look_link(const cJSON *status, const char *name)
{
    return find(cJSON_GetObjectItemCaseSensitive(status, "links"), name);
}

const cJSON *ftx_look_group(const cJSON *status, const char *name)
{
    return find(cJSON_GetObjectItemCaseSensitive(status, "groups"), name);
}

bool ftx_look_paired(const cJSON *link)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(link, "paired"));
}

int ftx_look_open(const struct ftx_call *call, const char *code, struct ftx_look *out)
{
    *out = (struct ftx_look){0};
    int status = ftx_place_check_code(call, code);
    if (!status)
        status = ftx_place_mount(call, &out->mount);
    if (!status)
        status = ftx_look_status(out->mount, &out->status);
    if (status)
        return status;
    out->link = ftx_look_link(out->status, code);
    if (!out->link) {
        ftx_fail("%s: no such link; ftx links shows those that are", code);
        return FTX_EXIT_NO_LINK;
    }
    return 0;
}

void ftx_look_close(struct ftx_look *look)
{
    cJSON_Delete(look->status);
    free(look->mount);
}

char *ftx_look_xattr(const char *path, const char *name)
{
    char full[64], value[8192]; /* members of a group */
    snprintf(full, sizeof full, "user.ftx.%s", name);
    ssize_t n = lgetxattr(path, full, value, sizeof value);
    return n < 0 ? NULL : strndup(value, (size_t)n);
}

bool ftx_look_is(const char *path, const char *state)
{
    char *is = ftx_look_xattr(path, "state");
    bool same = is && strcmp(is, state) == 0;
    free(is);
    return same;
}

bool ftx_look_progress(const char *path, uint64_t *out_bytes, uint64_t *out_total)
{
    char *text = ftx_look_xattr(path, "progress");
    unsigned long long bytes, total;
    bool good = text && sscanf(text, "%llu/%llu", &bytes, &total) == 2;
    free(text);
    if (good) {
        *out_bytes = bytes;
        *out_total = total;
    }
    return good;
}

double ftx_look_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void ftx_look_rest(double begun)
{
    const double least = 0.1;
    double seconds = ftx_look_clock() - begun;
    if (seconds < least)
        seconds = least;
    nanosleep(&(struct timespec){.tv_sec = (time_t)seconds,
                                 .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)},
              NULL);
}
