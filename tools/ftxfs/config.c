/* SPDX-License-Identifier: MIT */
/* Finds the configuration file, sees whose it is, takes its lines one after the other. */
#include "tools/ftxfs/config.h"

#include "tools/common/paths.h"
#include "tools/ftxfs/option_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_MAX = 64 << 10, /* a larger one is something else */
    NAME_SHOWN = 64,
    PLACE_MAX = 4112,                       /* a path and a number */
    WHERE_MAX = PLACE_MAX + NAME_SHOWN + 4, /* and a name */
};

/* -- lines -- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* [*at, end) without the blanks around it. */
static void trim(const char **at, const char **end)
{
    while (*at < *end && is_blank(**at))
        ++*at;
    while (*at < *end && is_blank((*end)[-1]))
        --*end;
}

static const char *find_comment(const char *at, const char *end)
{
    for (const char *c = at; c < end; c++)
        if (*c == '#' && (c == at || is_blank(c[-1])))
            return c;
    return end;
}

static int take(struct ftx_options *o, const char *name, size_t size, const char *value)
{
    int err = ftx_option_take_named(o, name, size, value);
    return err == -ENOENT ? ftx_option_bad(o, "no such option") : err;
}

/* One line without its end; `place` is its file and number. */
static int read_line(struct ftx_options *o, const char *place, const char *at, const char *end)
{
    if (memchr(at, '\0', (size_t)(end - at)))
        return ftx_option_bad(o, "the line holds a NUL");
    end = find_comment(at, end);
    trim(&at, &end);
    if (at == end)
        return 0;
    const char *equals = memchr(at, '=', (size_t)(end - at));
    const char *name_end = equals ? equals : end, *value_at = equals ? equals + 1 : end;
    trim(&at, &name_end);
    trim(&value_at, &end);
    if (at == name_end)
        return ftx_option_bad(o, "nothing stands before the =");
    char where[WHERE_MAX];
    snprintf(where, sizeof where, "%s: %.*s", place,
             (int)(name_end - at < NAME_SHOWN ? name_end - at : NAME_SHOWN), at);
    char *value = equals ? strndup(value_at, (size_t)(end - value_at)) : NULL;
    if (equals && !value)
        return -ENOMEM;
    o->where = where;
    int err = equals && !*value ? ftx_option_bad(o, "nothing stands behind the =")
                                : take(o, at, (size_t)(name_end - at), value);
    o->where = NULL;
    free(value);
    return err;
}

int ftx_config_read(struct ftx_options *o, const char *path, const char *text, size_t size)
{
    const char *end = text + size;
    int err = 0;
    o->from_file = true;
    for (unsigned number = 1; !err && text < end; number++) {
        char place[PLACE_MAX];
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        snprintf(place, sizeof place, "%s:%u", path, number);
        o->where = place;
        err = read_line(o, place, text, line_end ? line_end : end);
        text = line_end ? line_end + 1 : end;
    }
    o->from_file = false;
    o->where = NULL;
    return err;
}

/* -- the file -- */

/* Whoever may write to it decides where our bytes go. */
static int check(const struct ftx_options *o, const char *path, const struct stat *st)
{
    if (!S_ISREG(st->st_mode))
        return ftx_option_bad(o, "is not a file");
    if (st->st_uid != 0 && st->st_uid != geteuid())
        return ftx_option_bad(o, "belongs to somebody else; name another with --config");
    if (st->st_mode & (S_IWGRP | S_IWOTH))
        return ftx_option_bad(o, "others may write to it; chmod go-w %s", path);
    if (st->st_size > FILE_MAX)
        return ftx_option_bad(o, "has more than 64 KiB");
    return 0;
}

/* Reads what is open. */
static int read_file(struct ftx_options *o, const char *path, int fd)
{
    struct stat st;
    int err = fstat(fd, &st) < 0 ? ftx_option_bad(o, "%s", strerror(errno)) : check(o, path, &st);
    if (err)
        return err;
    char *text = malloc(FILE_MAX);
    size_t size = 0;
    ssize_t n = 1;
    while (text && size < FILE_MAX && (n = read(fd, text + size, FILE_MAX - size)) > 0)
        size += (size_t)n;
    if (!text)
        err = -ENOMEM;
    else if (n < 0)
        err = ftx_option_bad(o, "%s", strerror(errno));
    else
        err = ftx_config_read(o, path, text, size);
    free(text);
    return err;
}

int ftx_config_load(struct ftx_options *o)
{
    if (o->config && strcmp(o->config, "none") == 0)
        return 0;
    char *path = o->config ? strdup(o->config)
                           : ftx_paths_named("XDG_CONFIG_HOME", ".config", "ftxfs/config");
    if (!path)
        return o->config ? -ENOMEM : 0; /* there is no home */
    int err = 0, fd = open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    o->where = path;
    if (fd >= 0)
        err = read_file(o, path, fd);
    else if (o->config || (errno != ENOENT && errno != ENOTDIR))
        err = ftx_option_bad(o, "%s", strerror(errno));
    o->where = NULL;
    if (fd >= 0)
        close(fd);
    free(path);
    return err;
}
