/* SPDX-License-Identifier: MIT */
/* Finds mounts of ftxfs in /proc/self/mountinfo (proc(5)) and paths in them. */
#include "tools/ftx/place.h"

#include "tools/common/network_options.h"
#include "transport/crypto/identity.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TYPE "fuse.ftxfs"

/* -- what is mounted -- */

struct mounts {
    char **points;
    bool *ours;
    size_t n;
};

/* \040 and its like are bytes that would end a field. In place. */
static void unescape(char *field)
{
    char *out = field;
    for (const char *at = field; *at;) {
        if (at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' &&
            at[3] >= '0' && at[3] <= '7') {
            *out++ = (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
            at += 4;
        } else {
            *out++ = *at++;
        }
    }
    *out = '\0';
}

/* The options of a FUSE mount have user_id=N. */
static bool is_ours(const char *options)
{
    char wanted[32];
    int n = snprintf(wanted, sizeof wanted, "user_id=%u", (unsigned)getuid());
    const char *at = strstr(options, wanted);
    return at && (at[n] == ',' || at[n] == '\n' || at[n] == '\0');
}

static void add_line(struct mounts *mounts, char *line)
{
    char *behind = strstr(line, " - "), *rest = line, *point = NULL;
    if (!behind || strncmp(behind + 3, TYPE " ", sizeof TYPE) != 0)
        return;
    *behind = '\0';
    for (int i = 0; i < 5; i++)
        point = strsep(&rest, " ");
    if (!point)
        return;
    unescape(point);
    mounts->points = realloc(mounts->points, (mounts->n + 1) * sizeof *mounts->points);
    mounts->ours = realloc(mounts->ours, (mounts->n + 1) * sizeof *mounts->ours);
    if (!mounts->points || !mounts->ours || !(mounts->points[mounts->n] = strdup(point)))
        abort();
    mounts->ours[mounts->n++] = is_ours(behind + 3);
}

static void mounts_open(struct mounts *mounts)
{
    char *line = NULL;
    size_t room = 0;
    FILE *table = fopen("/proc/self/mountinfo", "re");
    *mounts = (struct mounts){0};
    while (table && getline(&line, &room, table) > 0)
        add_line(mounts, line);
    free(line);
    if (table)
        fclose(table);
}

static void mounts_close(struct mounts *mounts)
{
    for (size_t i = 0; i < mounts->n; i++)
        free(mounts->points[i]);
    free(mounts->points);
    free(mounts->ours);
}

/* The mount that an absolute path lies in; the innermost. NULL: in none. */
static const char *mount_around(const struct mounts *mounts, const char *path)
{
    const char *found = NULL;
    for (size_t i = 0; i < mounts->n; i++) {
        size_t n = strlen(mounts->points[i]);
        if (strncmp(path, mounts->points[i], n) == 0 && (path[n] == '/' || path[n] == '\0') &&
            (!found || strlen(found) < n))
            found = mounts->points[i];
    }
    return found;
}

/* -- the mount that is meant -- */

enum finding { FOUND, NONE_RUNS, SEVERAL, NOT_THERE, DEAD };

/* The daemon of a mount that is still in the table may be gone. */
static bool is_dead(const char *mount)
{
    struct stat st;
    return stat(mount, &st) < 0 && errno == ENOTCONN;
}

/* *out is borrowed from `mounts`; what it is about, in any case. */
static enum finding choose(const struct mounts *mounts, const char *wanted, const char **out)
{
    char path[PATH_MAX];
    *out = wanted;
    if (wanted) {
        const char *real = realpath(wanted, path) ? path : wanted; /* a dead one has none */
        const char *found = mount_around(mounts, real);
        if (!found)
            return NOT_THERE;
        *out = found;
        return is_dead(found) ? DEAD : FOUND;
    }
    if (getcwd(path, sizeof path) && (*out = mount_around(mounts, path)))
        return is_dead(*out) ? DEAD : FOUND;
    enum finding finding = NONE_RUNS;
    const char *dead = NULL;
    for (size_t i = 0; i < mounts->n; i++) {
        if (!mounts->ours[i])
            continue;
        if (is_dead(mounts->points[i])) {
            dead = mounts->points[i];
            continue;
        }
        if (finding == FOUND)
            return SEVERAL;
        finding = FOUND;
        *out = mounts->points[i];
    }
    if (finding == NONE_RUNS && dead) {
        *out = dead;
        return DEAD;
    }
    return finding;
}

int ftx_place_mount(const struct ftx_call *call, char **out_mount)
{
    struct mounts mounts;
    const char *about;
    mounts_open(&mounts);
    switch (choose(&mounts, call->mount, &about)) {
    case FOUND:
        *out_mount = strdup(about);
        if (!*out_mount)
            abort();
        mounts_close(&mounts);
        return 0;
    case NONE_RUNS:
        ftx_fail("no ftxfs is mounted; mount one with ftxfs DIR");
        break;
    case SEVERAL:
        ftx_fail("several ftxfs are mounted, %s is one; say which with --mount DIR", about);
        break;
    case NOT_THERE:
        ftx_fail("%s: no ftxfs is mounted there; mount one with ftxfs %s", about, about);
        break;
    case DEAD:
        ftx_fail("%s: its ftxfs has ended; mount it again with ftxfs %s", about, about);
        break;
    }
    mounts_close(&mounts);
    return FTX_EXIT_NO_MOUNT;
}

/* The option that says, by being there, that no mount is meant; NULL: none does. */
static const char *without_mount(const struct ftx_call *call)
{
    if (ftx_call_flag(call, "no-mount") || ftx_call_flag(call, "store"))
        return ftx_call_flag(call, "no-mount") ? "no-mount" : "store";
    for (size_t i = 0; i < FTX_NETWORK_OPTIONS; i++)
        if (ftx_call_flag(call, ftx_network_option[i].name))
            return ftx_network_option[i].name;
    return NULL;
}

int ftx_place_mount_if_any(const struct ftx_call *call, char **out_mount)
{
    struct mounts mounts;
    const char *about, *option = without_mount(call);
    *out_mount = NULL;
    if (option && ftx_call_flag(call, "mount"))
        return ftx_usage(call, "--%s is for what goes without a mount, and --mount names one",
                         option);
    mounts_open(&mounts);
    bool none = option || (!call->mount && choose(&mounts, NULL, &about) == NONE_RUNS);
    mounts_close(&mounts);
    return none ? 0 : ftx_place_mount(call, out_mount);
}

char *ftx_place_quiet(const struct ftx_call *call)
{
    struct mounts mounts;
    const char *about;
    mounts_open(&mounts);
    char *found = choose(&mounts, call->mount, &about) == FOUND ? strdup(about) : NULL;
    mounts_close(&mounts);
    return found;
}

/* -- what is in it -- */

char *ftx_place_absolute(const char *word)
{
    char folder[PATH_MAX], *joined = NULL;
    struct stat st;
    size_t n = strlen(word);
    if (n >= sizeof folder || lstat(word, &st) < 0)
        return NULL;
    while (n > 1 && word[n - 1] == '/')
        n--;
    const char *slash = memrchr(word, '/', n);
    const char *name = slash ? slash + 1 : word;
    size_t name_size = n - (size_t)(name - word);
    if (name_size == 0 ||
        (name[0] == '.' && (name_size == 1 || (name_size == 2 && name[1] == '.'))))
        return realpath(word, NULL);
    memcpy(folder, word, n);
    folder[slash ? (size_t)(slash - word) + (slash == word) : 0] = '\0';
    char *real = realpath(slash ? folder : ".", NULL);
    if (real &&
        asprintf(&joined, "%s/%.*s", strcmp(real, "/") == 0 ? "" : real, (int)name_size, name) < 0)
        joined = NULL;
    free(real);
    return joined;
}

char *ftx_place_join(const char *mount, const char *box, const char *name)
{
    char *joined;
    if (asprintf(&joined, "%s/%s%s%s", mount, box, *name ? "/" : "", name) < 0)
        abort();
    return joined;
}

static bool is_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static bool is_in_box(const char *item)
{
    static const char *const boxes[] = {"outbox", "inbox"};
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(boxes[i]);
        if (strncmp(item, boxes[i], n) == 0 && (item[n] == '\0' || item[n] == '/'))
            return true;
    }
    return false;
}

/* A word that is no path into any mount: outbox/..., or a link's name. NULL: neither. */
static char *inside_mount(const char *mount, const char *word)
{
    char *path = NULL;
    if (is_in_box(word)) {
        path = ftx_place_join(mount, word, "");
    } else if (ftx_code_valid(word, strlen(word))) {
        path = ftx_place_join(mount, "outbox", word);
        if (!is_there(path)) {
            free(path);
            path = ftx_place_join(mount, "inbox", word);
        }
    }
    char *real = path ? ftx_place_absolute(path) : NULL;
    free(path);
    return real;
}

int ftx_place_find(const struct ftx_call *call, const char *word, struct ftx_place *out)
{
    struct mounts mounts;
    char *path = ftx_place_absolute(word);
    *out = (struct ftx_place){0};
    mounts_open(&mounts);
    const char *around = path ? mount_around(&mounts, path) : NULL;
    int status = 0;
    if (around) {
        out->mount = strdup(around);
        if (!out->mount)
            abort();
    } else {
        status = ftx_place_mount(call, &out->mount);
        free(path);
        path = status ? NULL : inside_mount(out->mount, word);
    }
    mounts_close(&mounts);
    size_t n = status ? 0 : strlen(out->mount);
    if (!status && !path && ftx_code_valid(word, strlen(word))) {
        ftx_fail("%s: no such link; ftx links shows those that are", word);
        status = FTX_EXIT_NO_LINK;
    }
    if (!status &&
        (!path || strncmp(path, out->mount, n) != 0 || path[n] != '/' || !is_in_box(path + n + 1)))
        status =
            ftx_usage(call, "%s: not there; name something in outbox or inbox, or a link", word);
    if (status) {
        free(path);
        free(out->mount);
        *out = (struct ftx_place){0};
        return status;
    }
    out->path = path;
    out->item = path + n + 1;
    return 0;
}

void ftx_place_close(struct ftx_place *place)
{
    free(place->mount);
    free(place->path);
}

int ftx_place_check_code(const struct ftx_call *call, const char *word)
{
    if (ftx_code_valid(word, strlen(word)))
        return 0;
    return ftx_usage(call, "'%s': a code has 4 to 64 of a-z 0-9 -", word);
}
