/* SPDX-License-Identifier: MIT */
/* Copying is what cp -a does. */
#include "tools/ftx/fill.h"

#include "fs/store/change_log.h"
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
#include <time.h>
#include <unistd.h>

enum { LOOK_EACH = 1000 }; /* some ten thousand events are kept */

struct filling {
    const struct ftx_pick *pick;
    const char *folder;
    struct ftx_refusals *refusals;
    struct ftx_progress *progress;
    struct ftx_filled *out;
    int64_t began_ns; /* when this run was, or the one that it goes on with */
    bool unread;      /* what failed is the source */
};

static void on_moved(void *ctx, uint64_t n)
{
    struct ftx_progress *progress = ctx;
    ftx_progress_set(progress, progress->done + n);
}

/* Is it of an earlier run, and the peer has, or had, it? */
static bool is_old(const struct filling *f, const struct stat *st, const char *there)
{
    return ftx_time_ns(&st->st_ctim) < f->began_ns && ftx_look_is(there, "delivered");
}

/* The same size and time, and nothing that went wrong: it needs no copy. */
static bool is_same(const struct filling *f, const struct stat *st, const char *there)
{
    static const char *const wrong[] = {"interrupted", "refused", "failed", "cancelled"};
    struct stat is;
    if (lstat(there, &is) < 0 || !S_ISREG(is.st_mode) || is.st_size != st->st_size ||
        ftx_time_ns(&is.st_mtim) != ftx_time_ns(&st->st_mtim) || is_old(f, &is, there))
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

static int copy_file(struct filling *f, int from, const struct stat *st, const char *there)
{
    struct ftx_copy copy = {.ctx = f->progress, .moved = on_moved};
    unfinished = there;
    if (st->st_size == 0)
        (void)unlink(there); /* nothing that is written would make it a new version */
    int to = open(there, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    int err = to < 0 ? -errno : ftx_copy_bytes(from, to, &copy);
    if (!err)
        err = ftx_copy_attributes(from, to, st);
    if (err && to >= 0)
        (void)unlink(there);
    unfinished = NULL;
    if (to >= 0 && close(to) < 0 && !err)
        err = -errno;
    return err;
}

static int fill_file(struct filling *f, const struct ftx_pick_entry *entry, const char *there)
{
    struct stat st;
    int from = open(entry->source, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int err = from < 0 || fstat(from, &st) < 0 ? -errno : 0;
    if (!err && !S_ISREG(st.st_mode))
        err = -ESTALE; /* it was one when it was looked for */
    f->unread = err;
    if (!err && is_same(f, &st, there))
        on_moved(f->progress, entry->size);
    else if (!err)
        err = copy_file(f, from, &st, there);
    if (from >= 0)
        close(from);
    if (!err) {
        f->out->files++;
        f->out->bytes += (uint64_t)st.st_size;
    }
    return err;
}

/* Made anew in any case: there is no state that tells whether the peer has it. */
static int fill_symlink(struct filling *f, const struct ftx_pick_entry *entry, const char *there)
{
    char target[PATH_MAX];
    struct stat st;
    ssize_t n = readlink(entry->source, target, sizeof target - 1);
    f->unread = n < 0 || lstat(entry->source, &st) < 0;
    if (f->unread)
        return -errno;
    const struct timespec times[] = {st.st_atim, st.st_mtim};
    target[n] = '\0';
    (void)unlink(there);
    if (symlink(target, there) < 0)
        return -errno;
    return utimensat(AT_FDCWD, there, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* An empty one that is there is made anew: nothing that follows would have it made at the peer. */
static int begin_folder(struct filling *f, const char *there)
{
    struct stat st;
    if (lstat(there, &st) == 0 && ftx_time_ns(&st.st_ctim) < f->began_ns)
        (void)rmdir(there);
    return mkdir(there, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int finish_folder(struct filling *f, const struct ftx_pick_entry *entry, const char *there)
{
    struct stat st;
    int from = open(entry->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = from < 0 || fstat(from, &st) < 0 ? -errno : 0;
    f->unread = err;
    int to = err ? -1 : open(there, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!err)
        err = to < 0 ? -errno : ftx_copy_attributes(from, to, &st);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return err;
}

static int fill_entry(struct filling *f, const struct ftx_pick_entry *entry, const char *there)
{
    f->unread = false;
    switch (entry->kind) {
    case FTX_PICK_FOLDER:
        return begin_folder(f, there);
    case FTX_PICK_FOLDER_END:
        return finish_folder(f, entry, there);
    case FTX_PICK_SYMLINK:
        return fill_symlink(f, entry, there);
    default:
        return fill_file(f, entry, there);
    }
}

/* -- what is said of the whole -- */

static char *first_of(const struct ftx_pick *pick, const char *folder)
{
    for (size_t i = 0; i < pick->n; i++) {
        const struct ftx_pick_entry *entry = &pick->entries[i];
        if (entry->kind != FTX_PICK_SYMLINK)
            return ftx_place_join(folder, entry->source + entry->name, "");
    }
    return NULL;
}

/* When the run was begun that was cut off there. */
static bool find_cut(const char *first, int64_t *out_ns)
{
    unsigned long long files, bytes;
    long long began_ns;
    char text[96];
    ssize_t n = first ? lgetxattr(first, FTX_FILL_OFFER, text, sizeof text - 1) : -1;
    text[n > 0 ? n : 0] = '\0';
    if (sscanf(text, "%llu %llu %lld", &files, &bytes, &began_ns) != 3)
        return false;
    *out_ns = began_ns;
    return true;
}

bool ftx_fill_is_cut(const struct ftx_pick *pick, const char *folder)
{
    int64_t began_ns;
    char *first = first_of(pick, folder);
    bool cut = find_cut(first, &began_ns);
    free(first);
    return cut;
}

/* Nothing depends on it: who receives with ftx knows when all is there. */
static void offer(const struct filling *f, const char *there, uint64_t files, uint64_t bytes,
                  bool over)
{
    char text[96];
    int n = snprintf(text, sizeof text, "%llu %llu", (unsigned long long)files,
                     (unsigned long long)bytes);
    if (!over)
        n += snprintf(text + n, sizeof text - (size_t)n, " %lld", (long long)f->began_ns);
    (void)lsetxattr(there, FTX_FILL_OFFER, text, (size_t)n, 0);
}

/* -- all of it -- */

void ftx_fill_say_left(const char *path, const char *why)
{
    ftx_fail("%s: %s; left out", path, why);
}

/* The entry's own fault: the rest is sent. */
static bool may_leave(const struct filling *f, int err)
{
    return f->unread || err == -EINVAL || err == -ELOOP || err == -ENAMETOOLONG;
}

/* The last entry of what begins with this one. */
static size_t last_of(const struct ftx_pick *pick, size_t at)
{
    const char *source = pick->entries[at].source;
    if (pick->entries[at].kind != FTX_PICK_FOLDER)
        return at;
    do
        at++;
    while (pick->entries[at].kind != FTX_PICK_FOLDER_END ||
           strcmp(pick->entries[at].source, source) != 0);
    return at;
}

static int fill_all(struct filling *f, const char *first)
{
    const struct ftx_pick *pick = f->pick;
    bool offered = false;
    for (size_t i = 0; i < pick->n; i++) {
        const struct ftx_pick_entry *entry = &pick->entries[i];
        char *there = ftx_place_join(f->folder, entry->source + entry->name, "");
        if (i % LOOK_EACH == LOOK_EACH - 1)
            ftx_refusals_look(f->refusals);
        int err = fill_entry(f, entry, there);
        if (!err && !offered && entry->kind != FTX_PICK_SYMLINK) {
            offer(f, there, pick->files, pick->bytes, false);
            offered = true;
        }
        free(there);
        if (!err)
            continue;
        ftx_progress_end(f->progress);
        if (!may_leave(f, err))
            return ftx_fail("%s: %s; what is copied already is sent", entry->source,
                            strerror(-err));
        ftx_fill_say_left(entry->source, strerror(-err));
        f->out->left++;
        i = last_of(pick, i);
    }
    if (first)
        offer(f, first, f->out->files, f->out->bytes, true);
    return 0;
}

int ftx_fill(const struct ftx_pick *pick, const char *folder, struct ftx_refusals *refusals,
             struct ftx_progress *progress, struct ftx_filled *out)
{
    struct filling f = {
        .pick = pick, .folder = folder, .refusals = refusals, .progress = progress, .out = out};
    char *first = first_of(pick, folder);
    *out = (struct ftx_filled){0};
    if (!find_cut(first, &f.began_ns))
        f.began_ns = ftx_now_ns();
    watch_for_end(on_end);
    ftx_progress_begin(progress, "copying", pick->bytes);
    int status = fill_all(&f, first);
    ftx_progress_end(progress);
    watch_for_end(SIG_DFL);
    free(first);
    return status;
}
