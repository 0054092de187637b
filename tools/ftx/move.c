/* SPDX-License-Identifier: MIT */
/* Everything is opened by folder descriptor and name, so that no symlink that a peer sent, or that
 * somebody puts there meanwhile, leads anywhere else. */
#include "tools/ftx/move.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/xattr.h>
#include <unistd.h>

static void conflict(struct ftx_move *move, const char *name)
{
    move->conflicts++;
    free(move->conflict);
    move->conflict = strdup(name);
}

static bool is_complete(int fd)
{
    static const char complete[] = "complete";
    char state[32];
    ssize_t n = fgetxattr(fd, "user.ftx.state", state, sizeof state);
    return n == sizeof complete - 1 && memcmp(state, complete, (size_t)n) == 0;
}

/* -- a file without a name, or with one of its own where the file system knows no such thing -- */

struct draft {
    int fd;
    char name[32]; /* "": it has none */
};

static int draft_open(int folder, struct draft *out)
{
    unsigned long long number;
    out->name[0] = '\0';
    out->fd = openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (out->fd >= 0)
        return 0;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        return -errno;
    snprintf(out->name, sizeof out->name, ".ftx-%016llx", number);
    out->fd = openat(folder, out->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return out->fd < 0 ? -errno : 0;
}

/* Gives it its name, if nothing has that yet. -EEXIST. */
static int draft_publish(struct draft *draft, int folder, const char *name)
{
    char path[64];
    if (draft->name[0]) {
        if (renameat2(folder, draft->name, folder, name, RENAME_NOREPLACE) < 0)
            return -errno;
        draft->name[0] = '\0';
        return 0;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", draft->fd);
    return linkat(AT_FDCWD, path, folder, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static void draft_close(struct draft *draft, int folder)
{
    if (draft->fd >= 0)
        close(draft->fd);
    if (draft->name[0])
        (void)unlinkat(folder, draft->name, 0);
}

/* -- a file -- */

/* The same bytes stand in `to` already: an earlier run was cut between the two steps. */
static bool is_moved(const struct stat *st, int to, const char *name)
{
    struct stat there;
    return fstatat(to, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(there.st_mode) &&
           there.st_size == st->st_size && there.st_mtim.tv_sec == st->st_mtim.tv_sec &&
           there.st_mtim.tv_nsec == st->st_mtim.tv_nsec;
}

static void tell_moved(const struct ftx_move *move, const struct stat *st)
{
    if (move->copy.moved)
        move->copy.moved(move->copy.ctx, (uint64_t)st->st_size);
}

/* The daemon moves it, where both are in one mount of a file system; nothing is copied. */
static int take(struct ftx_move *move, int from, const char *name, int to, const char *to_name)
{
    char path[32 + NAME_MAX], value[16 + NAME_MAX];
    if (move->elsewhere)
        return -EXDEV;
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", from, name);
    int n = snprintf(value, sizeof value, "%d/%s", to, to_name);
    if (lsetxattr(path, "system.ftx.take", value, (size_t)n, 0) == 0)
        return 0;
    move->elsewhere = errno == EXDEV || errno == EPERM;
    return -errno;
}

/* The draft shares its bytes, where the file system knows that. */
static bool clone(const struct ftx_move *move, int source, const struct stat *st, int draft)
{
    char value[16];
    int n = snprintf(value, sizeof value, "%d", draft);
    if (fsetxattr(source, "system.ftx.clone", value, (size_t)n, 0) < 0)
        return false;
    tell_moved(move, st);
    return true;
}

/* What was copied is still what has the name: an update may have taken its place. */
static int remove_source(int from, const char *name, const struct stat *st)
{
    struct stat now;
    if (fstatat(from, name, &now, AT_SYMLINK_NOFOLLOW) < 0 || now.st_ino != st->st_ino)
        return 0; /* it stays, and is moved next time */
    return unlinkat(from, name, 0) < 0 ? -errno : 0;
}

static int copy_durably(struct ftx_move *move, int source, const struct stat *st, int to,
                        const char *to_name)
{
    struct draft draft;
    struct stat copied;
    int err = draft_open(to, &draft);
    if (err)
        return err;
    if (!clone(move, source, st, draft.fd))
        err = ftx_copy_bytes(source, draft.fd, &move->copy);
    if (!err && (fstat(draft.fd, &copied) < 0 || copied.st_size != st->st_size))
        err = -EIO;
    if (!err)
        err = ftx_copy_attributes(source, draft.fd, st);
    if (!err && fsync(draft.fd) < 0)
        err = -errno;
    if (!err)
        err = draft_publish(&draft, to, to_name);
    draft_close(&draft, to);
    if (!err && fsync(to) < 0)
        err = -errno;
    return err;
}

static void count(struct ftx_move *move, const struct stat *st)
{
    move->files++;
    move->bytes += (uint64_t)st->st_size;
}

static int copy_file(struct ftx_move *move, int from, const char *name, int to, const char *to_name)
{
    struct stat st;
    int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (source < 0)
        return errno == ENOENT ? 0 : -errno;
    int err = fstat(source, &st) < 0 ? -errno : 0;
    if (!err && !is_complete(source)) {
        move->waiting++;
        close(source);
        return 0;
    }
    if (!err && !is_moved(&st, to, to_name))
        err = copy_durably(move, source, &st, to, to_name);
    close(source);
    if (err == -EEXIST) {
        conflict(move, to_name);
        return 0;
    }
    if (err)
        return err;
    count(move, &st);
    return remove_source(from, name, &st);
}

/* It must not be open: what somebody has open is not moved, but copied. */
static int move_file(struct ftx_move *move, int from, const char *name, int to, const char *to_name,
                     const struct stat *st)
{
    int err = is_moved(st, to, to_name) ? -EALREADY : take(move, from, name, to, to_name);
    if (err == -EEXIST) {
        conflict(move, to_name);
        return 0;
    }
    if (err)
        return copy_file(move, from, name, to, to_name);
    tell_moved(move, st);
    count(move, st);
    return 0;
}

static int move_symlink(struct ftx_move *move, int from, const char *name, int to,
                        const char *to_name, const struct stat *st)
{
    char target[PATH_MAX], there[PATH_MAX];
    const struct timespec times[] = {st->st_atim, st->st_mtim};
    ssize_t n = readlinkat(from, name, target, sizeof target - 1);
    if (n < 0)
        return errno == ENOENT ? 0 : -errno;
    target[n] = '\0';
    if (symlinkat(target, to, to_name) < 0) {
        if (errno != EEXIST)
            return -errno;
        if (readlinkat(to, to_name, there, sizeof there) != n ||
            memcmp(target, there, (size_t)n) != 0) {
            conflict(move, to_name);
            return 0;
        }
    }
    (void)utimensat(to, to_name, times, AT_SYMLINK_NOFOLLOW);
    return unlinkat(from, name, 0) < 0 ? -errno : 0;
}

/* -- a folder -- */

static bool is_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/* The times that a folder shall have in the end: what it had (`before`) when it was there already
 * and taking something out of the inbox may have changed those of its source. */
static void keep_times(const struct ftx_move *move, const struct stat *source, int target,
                       const struct stat *before)
{
    const struct stat *st = before && !is_before(&source->st_mtim, &move->begun) ? before : source;
    const struct timespec times[] = {st->st_atim, st->st_mtim};
    (void)futimens(target, times);
}

static int move_folder(struct ftx_move *move, int from, const char *name, int to,
                       const char *to_name)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    struct stat st, before;
    int err = 0, target = -1, source = openat(from, name, flags);
    if (source < 0)
        return errno == ENOENT ? 0 : -errno;
    bool made = mkdirat(to, to_name, 0700) == 0;
    if ((!made && errno != EEXIST) || fstat(source, &st) < 0)
        err = -errno;
    if (!err && (target = openat(to, to_name, flags)) < 0) {
        if (errno == ENOTDIR || errno == ELOOP)
            conflict(move, to_name);
        else
            err = -errno;
    }
    if (target >= 0) {
        err = fstat(target, &before) < 0 ? -errno : ftx_move_all(move, source, target);
        if (!err)
            keep_times(move, &st, target, made ? NULL : &before);
        if (!err && move->last && unlinkat(from, name, AT_REMOVEDIR) == 0)
            (void)fchmod(target, st.st_mode & 0777);
        close(target);
    }
    close(source);
    return err;
}

int ftx_move_item(struct ftx_move *move, int from, const char *name, int to, const char *to_name)
{
    struct stat st;
    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (S_ISDIR(st.st_mode))
        return move_folder(move, from, name, to, to_name);
    if (S_ISLNK(st.st_mode))
        return move_symlink(move, from, name, to, to_name, &st);
    return move_file(move, from, name, to, to_name, &st);
}

/* The names first, then the moves: what is removed while it is listed may be skipped. */
static int list(int folder, char ***out_names, size_t *out_n)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    *out_names = NULL;
    *out_n = 0;
    if (!dir)
        return -errno;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if ((*out_n & (*out_n - 1)) == 0) { /* full at each power of two */
            *out_names = realloc(*out_names, (*out_n ? 2 * *out_n : 1) * sizeof **out_names);
            if (!*out_names)
                abort();
        }
        if (!((*out_names)[(*out_n)++] = strdup(entry->d_name)))
            abort();
    }
    closedir(dir);
    return 0;
}

int ftx_move_all(struct ftx_move *move, int from, int to)
{
    char **names;
    size_t n;
    int err = list(from, &names, &n);
    for (size_t i = 0; i < n; i++) {
        if (!err)
            err = ftx_move_item(move, from, names[i], to, names[i]);
        free(names[i]);
    }
    free(names);
    return err;
}
