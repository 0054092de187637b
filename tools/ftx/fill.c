/* SPDX-License-Identifier: MIT */
/* Copying is what cp -a does. */
#include "tools/ftx/fill.h"

#include "tools/ftx/command.h"
#include "tools/ftx/copy.h"
#include "tools/ftx/look.h"
#include "tools/ftx/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

static void on_moved(void *ctx, uint64_t n)
{
    struct ftx_progress *progress = ctx;
    ftx_progress_set(progress, progress->done + n);
}

/* The same size and time, and nothing that went wrong: it needs no copy. */
static bool is_same(const struct stat *st, const char *there)
{
    static const char *const wrong[] = {"interrupted", "refused", "failed", "cancelled"};
    struct stat is;
    if (lstat(there, &is) < 0 || !S_ISREG(is.st_mode) || is.st_size != st->st_size ||
        is.st_mtim.tv_sec != st->st_mtim.tv_sec || is.st_mtim.tv_nsec != st->st_mtim.tv_nsec)
        return false;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (ftx_look_is(there, wrong[i]))
            return false;
    return true;
}

/* A file that is cut off here would be complete at the peer: it goes before we do. */
static const char *volatile unfinished;

static void on_end(int number)
{
    if (unfinished)
        (void)unlink(unfinished);
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void watch_for_end(void (*handler)(int))
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        (void)signal(numbers[i], handler);
}

static int fill_file(const struct ftx_pick_entry *entry, const char *there,
                     struct ftx_progress *progress)
{
    struct ftx_copy copy = {.ctx = progress, .moved = on_moved};
    struct stat st;
    int from = open(entry->source, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (from < 0 || fstat(from, &st) < 0) {
        int err = errno;
        if (from >= 0)
            close(from);
        return -err;
    }
    if (is_same(&st, there)) {
        on_moved(progress, entry->size);
        close(from);
        return 0;
    }
    unfinished = there;
    int to = open(there, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    int err = to < 0 ? -errno : ftx_copy_bytes(from, to, &copy);
    if (!err)
        err = ftx_copy_attributes(from, to, &st);
    if (err && to >= 0)
        (void)unlink(there);
    unfinished = NULL;
    close(from);
    if (to >= 0 && close(to) < 0 && !err)
        err = -errno;
    return err;
}

static int fill_symlink(const struct ftx_pick_entry *entry, const char *there)
{
    char target[PATH_MAX], is[PATH_MAX];
    struct stat st;
    ssize_t n = readlink(entry->source, target, sizeof target - 1);
    if (n < 0 || lstat(entry->source, &st) < 0)
        return -errno;
    const struct timespec times[] = {st.st_atim, st.st_mtim};
    target[n] = '\0';
    if (symlink(target, there) < 0) {
        int err = errno;
        if (err != EEXIST || readlink(there, is, sizeof is) != n ||
            memcmp(target, is, (size_t)n) != 0)
            return -err;
    }
    return utimensat(AT_FDCWD, there, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int finish_folder(const struct ftx_pick_entry *entry, const char *there)
{
    struct stat st;
    int from = open(entry->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int to = open(there, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = from < 0 || to < 0 || fstat(from, &st) < 0 ? -errno : 0;
    if (!err)
        err = ftx_copy_attributes(from, to, &st);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return err;
}

static int fill_entry(const struct ftx_pick_entry *entry, const char *there,
                      struct ftx_progress *progress)
{
    switch (entry->kind) {
    case FTX_PICK_FOLDER:
        return mkdir(there, 0700) < 0 && errno != EEXIST ? -errno : 0;
    case FTX_PICK_FOLDER_END:
        return finish_folder(entry, there);
    case FTX_PICK_SYMLINK:
        return fill_symlink(entry, there);
    default:
        return fill_file(entry, there, progress);
    }
}

/* Nothing depends on it: who receives with ftx knows when all is there. */
static void offer(const struct ftx_pick *pick, const char *there)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%llu %llu", (unsigned long long)pick->files,
                     (unsigned long long)pick->bytes);
    (void)lsetxattr(there, FTX_FILL_OFFER, text, (size_t)n, 0);
}

int ftx_fill(const struct ftx_pick *pick, const char *folder, struct ftx_progress *progress)
{
    int status = 0;
    bool offered = false;
    watch_for_end(on_end);
    ftx_progress_begin(progress, "copying", pick->bytes);
    for (size_t i = 0; i < pick->n && !status; i++) {
        const struct ftx_pick_entry *entry = &pick->entries[i];
        char *there = ftx_place_join(folder, entry->source + entry->name, "");
        int err = fill_entry(entry, there, progress);
        if (!err && !offered && entry->kind != FTX_PICK_SYMLINK) {
            offer(pick, there);
            offered = true;
        }
        free(there);
        if (err) {
            ftx_progress_end(progress);
            status =
                ftx_fail("%s: %s; what is copied already is sent", entry->source, strerror(-err));
        }
    }
    ftx_progress_end(progress);
    watch_for_end(SIG_DFL);
    return status;
}
