/* SPDX-License-Identifier: MIT */
/* A read gives whole lines, as many as are there. */
#include "tools/ftx/events.h"

#include "tools/ftx/place.h"
#include "tools/ftx/value.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROOM = 1 << 18 };

static int open_events(const char *mount)
{
    char *path = ftx_place_join(mount, ".ftx", "events");
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    free(path);
    return fd;
}

int64_t ftx_events_end(const char *mount)
{
    int fd = open_events(mount);
    int64_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    if (fd >= 0)
        close(fd);
    return end < 0 ? 0 : end;
}

static void take_lines(const char *text, size_t size, void (*take)(void *ctx, const cJSON *event),
                       void *ctx)
{
    const char *line_end;
    for (; (line_end = memchr(text, '\n', size)); text = line_end + 1) {
        cJSON *event = ftx_value_read(text, (size_t)(line_end - text));
        take(ctx, event);
        cJSON_Delete(event);
        size -= (size_t)(line_end - text) + 1;
    }
}

void ftx_events_read(const char *mount, int64_t *in_out_offset,
                     void (*take)(void *ctx, const cJSON *event), void *ctx)
{
    char *text = malloc(ROOM);
    int fd = open_events(mount);
    ssize_t n;
    if (fd >= 0 && *in_out_offset > lseek(fd, 0, SEEK_END))
        *in_out_offset = 0;
    while (fd >= 0 && text && (n = pread(fd, text, ROOM, *in_out_offset)) > 0) {
        take_lines(text, (size_t)n, take, ctx);
        *in_out_offset += n;
    }
    if (fd >= 0)
        close(fd);
    free(text);
}
