/* SPDX-License-Identifier: MIT */
/* Copies by the kernel where it can (copy_file_range: reflinks and server side), else by hand. */
#include "tools/ftx/copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { PIECE = 1 << 20, NAMES_MAX = 1 << 16 };

static void tell(const struct ftx_copy *copy, size_t n)
{
    if (copy->moved)
        copy->moved(copy->ctx, n);
}

/* True: the kernel copies nothing between these two. */
static bool is_beyond(int err)
{
    return err == EXDEV || err == EINVAL || err == ENOSYS || err == EOPNOTSUPP || err == EBADF;
}

/* Writes all of it; waits for room if somebody wants to. -errno. */
static int write_all(int to, const char *bytes, size_t size, const struct ftx_copy *copy)
{
    while (size > 0) {
        ssize_t n = write(to, bytes, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == ENOSPC || errno == EDQUOT) && copy->full && copy->full(copy->ctx))
            continue;
        if (n < 0)
            return -errno;
        bytes += n;
        size -= (size_t)n;
        tell(copy, (size_t)n);
    }
    return 0;
}

/* Where the data that begin at or behind `at` stand; *out_end: where they end. -ENXIO: none follow. */
static off_t find_data(int from, off_t at, off_t *out_end)
{
    off_t data = lseek(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO)
        return -ENXIO;
    *out_end = data < 0 ? INT64_MAX : lseek(from, data, SEEK_HOLE); /* < 0: all is data here */
    if (data < 0)
        data = at;
    return lseek(from, data, SEEK_SET) < 0 ? -errno : data;
}

/* What stands up to `end`, or the end of the file: then *out_over. */
static int copy_range(int from, int to, off_t *at, off_t end, char *piece, bool *out_over,
                      const struct ftx_copy *copy)
{
    while (*at < end) {
        size_t wanted = end - *at < PIECE ? (size_t)(end - *at) : PIECE;
        ssize_t n = read(from, piece, wanted);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            *out_over = n == 0;
            return n < 0 ? -errno : 0;
        }
        int err = write_all(to, piece, (size_t)n, copy);
        if (err)
            return err;
        *at += n;
    }
    return 0;
}

/* Goes on where both stand; holes stay holes. */
static int copy_by_hand(int from, int to, const struct ftx_copy *copy)
{
    char *piece = malloc(PIECE);
    off_t at = lseek(from, 0, SEEK_CUR);
    int err = !piece ? -ENOMEM : at < 0 ? -errno : 0;
    for (bool over = false; !err && !over;) {
        off_t end, data = find_data(from, at, &end);
        if (data == -ENXIO)
            break;
        if (data < 0 || lseek(to, data, SEEK_SET) < 0) {
            err = data < 0 ? (int)data : -errno;
            break;
        }
        tell(copy, (size_t)(data - at));
        at = data;
        err = copy_range(from, to, &at, end, piece, &over, copy);
    }
    struct stat st; /* a hole at the end is not written */
    if (!err && (fstat(from, &st) < 0 || (st.st_size > at && ftruncate(to, st.st_size) < 0)))
        err = -errno;
    if (!err && st.st_size > at)
        tell(copy, (size_t)(st.st_size - at));
    free(piece);
    return err;
}

int ftx_copy_bytes(int from, int to, const struct ftx_copy *copy)
{
    bool any = false;
    for (;;) {
        ssize_t n = copy_file_range(from, NULL, to, NULL, PIECE, 0);
        if (n > 0) {
            any = true;
            tell(copy, (size_t)n);
        } else if (n == 0 && any) {
            return 0;
        } else if (n == 0 || is_beyond(errno) || errno == ENOSPC || errno == EDQUOT) {
            return copy_by_hand(from, to, copy); /* goes on where this one stood */
        } else if (errno != EINTR) {
            return -errno;
        }
    }
}

static void copy_xattr(int from, int to, const char *name, char *value)
{
    ssize_t n = fgetxattr(from, name, value, NAMES_MAX);
    if (n >= 0)
        (void)fsetxattr(to, name, value, (size_t)n, 0);
}

int ftx_copy_attributes(int from, int to, const struct stat *st)
{
    static const char prefix[] = "user.";
    char *names = malloc(2 * NAMES_MAX);
    ssize_t size = names ? flistxattr(from, names, NAMES_MAX) : -1;
    for (char *name = names; size > 0 && name < names + size; name += strlen(name) + 1)
        if (strncmp(name, prefix, sizeof prefix - 1) == 0)
            copy_xattr(from, to, name, names + NAMES_MAX);
    free(names);
    const struct timespec times[] = {st->st_atim, st->st_mtim};
    if (fchmod(to, st->st_mode & 0777) < 0 || futimens(to, times) < 0)
        return -errno;
    return 0;
}
