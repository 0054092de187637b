/* SPDX-License-Identifier: MIT */
/*
 * The notifier's thread: takes the store's news one by one and repeats each through the mount, with
 * the one system call that raises the right inotify event.
 *
 *   MADE      mknod, mkdir, symlink      IN_CREATE (a complete file: open O_CREAT, close)
 *   COMPLETE  open for writing, close    IN_CLOSE_WRITE
 *   MOVED     rename                     IN_MOVED_FROM, IN_MOVED_TO
 *   GONE      unlink, rmdir              IN_DELETE
 *   ATTR      utimensat                  IN_ATTRIB
 *
 * It uses the mount only in short bursts and rests in between: a mount in use cannot be unmounted,
 * and a storm of small files must not cost more than it is worth. A path is walked below the
 * mount's root only, through no symlink and no other mount: a name that a peer sent cannot lead it
 * astray. A change that cannot be repeated is left out; nothing but a watcher depends on it.
 *
 * A folder that was only listed once is known to the kernel for long, but nobody watches it. So
 * where many changes come, the kernel is made to let go of the folder now and then (a look-up that
 * finds nothing); if it forgets the folder, there is no watch on it.
 *
 * The thread has a table of descriptors of its own, without that of /dev/fuse. Killed while it
 * waits for an answer, it would else keep the connection open that must end for the wait to end.
 */
#include "fs/fuse/notify.h"

#include "fs/fuse/session.h"
#include "transport/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h> /* renameat */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    BURST_US = 2000,      /* with the mount in use */
    REST_FACTOR = 4,      /* times the burst, while there is more */
    REST_MAX_US = 100000, /* after one that took long */
    GATHER_US = 20000,    /* rest when all is told: many small changes become few bursts */
    PROBE_FIRST = 64,     /* changes in a folder until it is asked whether anybody watches it, */
    PROBE_MAX = 4096,     /* twice as many each time that somebody does */
    PROBED_FOLDERS = 16,  /* are counted at a time */
};

/* A folder in which changes are counted. */
struct probed {
    uint64_t folder;
    unsigned told, next;
    bool asked;
};

struct ftx_notify {
    struct ftx_mount *mount;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool begun, news, stopping;
    uint64_t lost; /* changes, to be logged */
    /* of the burst; the thread's own */
    int root_fd;
    uint64_t folder; /* the last one used, open as folder_fd */
    int folder_fd;
    struct probed probed[PROBED_FOLDERS]; /* the thread's own; the last used first */
};

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static bool is_stopping(struct ftx_notify *notify)
{
    pthread_mutex_lock(&notify->lock);
    bool stopping = notify->stopping;
    pthread_mutex_unlock(&notify->lock);
    return stopping;
}

/* -- the mount from outside -- */

static int open_below(int fd, const char *path, uint64_t flags, uint64_t mode)
{
    struct open_how how = {.flags = flags | O_CLOEXEC | O_NOFOLLOW,
                           .mode = mode,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
    return (int)syscall(SYS_openat2, fd, path, &how, sizeof how);
}

/* What the FUSE threads are to expect from here on. */
static void expect(struct ftx_notify *notify, const struct ftx_news *news)
{
    struct ftx_repeat *repeat = &notify->mount->repeat;
    struct ftx_repeated now = {0};
    if (news) {
        now.item = news->item;
        now.folder = news->folder;
        now.to_folder = news->to_folder;
        now.what = news->what;
        now.kind = news->kind;
        strncpy(now.name, news->name, sizeof now.name - 1);
        if (news->to)
            strncpy(now.to, news->to, sizeof now.to - 1);
    }
    pthread_mutex_lock(&repeat->lock);
    repeat->now = now;
    repeat->root_seen = false;
    pthread_mutex_unlock(&repeat->lock);
}

/* The name is not to be found until the next expectation. */
static void hide(struct ftx_notify *notify, uint64_t folder, const char *name)
{
    struct ftx_repeat *repeat = &notify->mount->repeat;
    struct ftx_repeated now = {.folder = folder, .what = FTX_NEWS_NOTHING, .hidden = true};
    strncpy(now.name, name, sizeof now.name - 1);
    pthread_mutex_lock(&repeat->lock);
    repeat->now = now;
    pthread_mutex_unlock(&repeat->lock);
}

/* Opens the mount's root. The path may lead elsewhere by now, to what lies below the mount: it is
 * ours only if we are asked about it. */
static bool begin_burst(struct ftx_notify *notify)
{
    struct ftx_repeat *repeat = &notify->mount->repeat;
    struct statx st;
    expect(notify, NULL);
    notify->folder_fd = -1;
    notify->root_fd = open(notify->mount->path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (notify->root_fd < 0)
        return false;
    bool answered = statx(notify->root_fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC,
                          STATX_BASIC_STATS, &st) == 0; /* the kernel may have kept them */
    pthread_mutex_lock(&repeat->lock);
    answered = answered && repeat->root_seen;
    pthread_mutex_unlock(&repeat->lock);
    if (!answered)
        close(notify->root_fd);
    return answered;
}

static void close_folder(struct ftx_notify *notify)
{
    if (notify->folder_fd >= 0)
        close(notify->folder_fd);
    notify->folder_fd = -1;
}

static void end_burst(struct ftx_notify *notify)
{
    close_folder(notify);
    close(notify->root_fd);
}

/* Room for the path of any folder. */
enum { PATH_ROOM = sizeof "outbox/" + 64 + FTX_PATH_MAX + 1 };

static int open_folder(struct ftx_notify *notify, uint64_t folder)
{
    char path[PATH_ROOM];
    uint64_t parent;
    expect(notify, NULL);
    int err = ftx_news_path(notify->mount->store, folder, path, sizeof path, &parent);
    return err ? -1 : open_below(notify->root_fd, path, O_PATH | O_DIRECTORY, 0);
}

/* Stays open until another folder's turn; -1. */
static int folder_of(struct ftx_notify *notify, uint64_t folder)
{
    if (notify->folder_fd >= 0 && notify->folder == folder)
        return notify->folder_fd;
    close_folder(notify);
    notify->folder = folder;
    notify->folder_fd = open_folder(notify, folder);
    return notify->folder_fd;
}

/* -- one change -- */

static int open_and_close(int folder_fd, const char *name, uint64_t flags)
{
    /* O_NONBLOCK: a lease on the file makes it fail, not wait */
    int fd = open_below(folder_fd, name, O_WRONLY | O_NONBLOCK | flags, flags & O_CREAT ? 0600 : 0);
    return fd < 0 ? -1 : close(fd);
}

static int repeat_made(int folder_fd, const struct ftx_news *news)
{
    switch (news->kind) {
    case FTX_FOLDER:
        return mkdirat(folder_fd, news->name, 0700);
    case FTX_SYMLINK:
        return symlinkat(".", folder_fd, news->name);
    default:
        return news->complete ? open_and_close(folder_fd, news->name, O_CREAT | O_EXCL)
                              : mknodat(folder_fd, news->name, S_IFREG | 0600, 0);
    }
}

static int repeat_moved(struct ftx_notify *notify, int folder_fd, struct ftx_news *news)
{
    int to_fd = news->to_folder == news->folder ? folder_fd : open_folder(notify, news->to_folder);
    expect(notify, news);
    int err;
    if (to_fd >= 0) {
        err = renameat(folder_fd, news->name, to_fd, news->to);
    } else { /* the folder it went to is gone */
        news->what = FTX_NEWS_GONE;
        expect(notify, news);
        err = unlinkat(folder_fd, news->name, news->kind == FTX_FOLDER ? AT_REMOVEDIR : 0);
    }
    if (to_fd >= 0 && to_fd != folder_fd)
        close(to_fd);
    return err;
}

/* The folder it came from is gone: it appears where it went. */
static struct ftx_news *made_of_moved(const struct ftx_news *news)
{
    struct ftx_news *made = calloc(1, sizeof *made + strlen(news->to) + 1);
    if (!made)
        return NULL;
    made->item = news->item;
    made->folder = news->to_folder;
    made->what = FTX_NEWS_MADE;
    made->kind = news->kind;
    made->complete = news->complete;
    memcpy(made->name, news->to, strlen(news->to) + 1);
    return made;
}

static int repeat_change(struct ftx_notify *notify, struct ftx_news *news)
{
    int folder_fd = folder_of(notify, news->folder);
    if (folder_fd < 0 && news->what == FTX_NEWS_MOVED) {
        struct ftx_news *made = made_of_moved(news);
        int err = made ? repeat_change(notify, made) : -1;
        free(made);
        return err;
    }
    if (folder_fd < 0)
        return -1;
    expect(notify, news);
    switch (news->what) {
    case FTX_NEWS_MADE:
        return repeat_made(folder_fd, news);
    case FTX_NEWS_COMPLETE:
        return open_and_close(folder_fd, news->name, 0);
    case FTX_NEWS_MOVED:
        return repeat_moved(notify, folder_fd, news);
    case FTX_NEWS_GONE:
        return unlinkat(folder_fd, news->name, news->kind == FTX_FOLDER ? AT_REMOVEDIR : 0);
    case FTX_NEWS_ATTR:
        return utimensat(folder_fd, news->name, NULL, AT_SYMLINK_NOFOLLOW);
    default:
        return 0;
    }
}

/* -- who watches -- */

/* The count of a folder, which moves to the front. */
static struct probed *probed_of(struct ftx_notify *notify, uint64_t folder)
{
    struct probed *all = notify->probed, found = {.folder = folder, .next = PROBE_FIRST};
    size_t at = 0;
    while (at < PROBED_FOLDERS - 1 && all[at].folder != folder)
        at++;
    if (all[at].folder == folder)
        found = all[at];
    memmove(&all[1], &all[0], at * sizeof *all);
    all[0] = found;
    return &all[0];
}

/* Makes the kernel drop what it has cached of the folder, and of all in it that is not in use. */
static void let_go(struct ftx_notify *notify, uint64_t folder)
{
    char path[PATH_ROOM];
    uint64_t parent;
    struct stat st;
    close_folder(notify); /* ours would hold it */
    if (ftx_news_path(notify->mount->store, folder, path, sizeof path, &parent))
        return;
    char *slash = strrchr(path, '/');
    if (!slash)
        return; /* a box: few changes come there */
    *slash = '\0';
    expect(notify, NULL);
    int fd = open_below(notify->root_fd, path, O_PATH | O_DIRECTORY, 0);
    if (fd < 0)
        return;
    hide(notify, parent, slash + 1);
    (void)fstatat(fd, slash + 1, &st, AT_SYMLINK_NOFOLLOW);
    expect(notify, NULL);
    close(fd);
}

/* Counts one change in the folder; asks now and then whether it is watched at all. Goes on without
 * an answer: the folder is looked up again at once, as a program may be in it. */
static void count_change(struct ftx_notify *notify, uint64_t folder)
{
    struct ftx_store *store = notify->mount->store;
    struct probed *probed = probed_of(notify, folder);
    if (probed->told++ < probed->next)
        return;
    bool watched = probed->asked && !ftx_news_forgotten(store, folder);
    if (!watched)
        probed->next = PROBE_FIRST;
    else if (probed->next < PROBE_MAX)
        probed->next *= 2;
    probed->told = 0;
    probed->asked = true;
    ftx_log(FTX_LOG_DEBUG, "asking the kernel whether folder %" PRIu64 " is watched", folder);
    ftx_news_ask(store, folder);
    let_go(notify, folder);
    (void)folder_of(notify, folder);
}

static void repeat(struct ftx_notify *notify, struct ftx_news *news)
{
    static const char *const words[] = {
        [FTX_NEWS_NOTHING] = "nothing", [FTX_NEWS_MADE] = "made", [FTX_NEWS_COMPLETE] = "complete",
        [FTX_NEWS_MOVED] = "moved",     [FTX_NEWS_GONE] = "gone", [FTX_NEWS_ATTR] = "attributes"};
    const char *word = words[news->what];
    int err = repeat_change(notify, news) < 0 ? errno : 0;
    ftx_log(FTX_LOG_DEBUG, "repeated for watchers: item %" PRIu64 " %s%s%s", news->item, word,
            err ? ": " : "", err ? strerror(err) : "");
    expect(notify, NULL);
}

/* -- the thread -- */

/* For another thread to log: syslog(3) may open a descriptor, for all threads and in our table. */
static void note_lost(struct ftx_notify *notify, uint64_t n)
{
    pthread_mutex_lock(&notify->lock);
    notify->lost += n;
    pthread_mutex_unlock(&notify->lock);
}

static void log_lost(struct ftx_notify *notify)
{
    pthread_mutex_lock(&notify->lock);
    uint64_t lost = notify->lost;
    notify->lost = 0;
    pthread_mutex_unlock(&notify->lock);
    if (lost)
        ftx_log(FTX_LOG_WARNING, "watchers were not told of %" PRIu64 " changes: too many at once",
                lost);
}

/* Tells what there is, as long as a burst may take. Returns how long to rest; 0: there was none. */
static int64_t run_burst(struct ftx_notify *notify)
{
    struct ftx_store *store = notify->mount->store;
    struct ftx_news *news = ftx_news_take(store);
    if (!news)
        return 0;
    int64_t start_us = now_us(), took_us = 0;
    bool ours = begin_burst(notify);
    do {
        if (ours && ftx_news_wanted(store, news))
            count_change(notify, news->folder);
        if (ours && ftx_news_wanted(store, news))
            repeat(notify, news);
        free(news);
        took_us = now_us() - start_us;
    } while (took_us < BURST_US && !is_stopping(notify) && (news = ftx_news_take(store)));
    if (ours)
        end_burst(notify);
    bool more = took_us >= BURST_US;
    if (!more)
        note_lost(notify, ftx_news_lost(store));
    int64_t rest_us = REST_FACTOR * took_us < REST_MAX_US ? REST_FACTOR * took_us : REST_MAX_US;
    return more || rest_us > GATHER_US ? rest_us : GATHER_US;
}

/* Waits for news, or for rest_us; false: the end. */
static bool wait_for_news(struct ftx_notify *notify, int64_t rest_us)
{
    int64_t until_us = now_us() + rest_us;
    struct timespec until = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
    pthread_mutex_lock(&notify->lock);
    while (rest_us && !notify->stopping && now_us() < until_us)
        pthread_cond_timedwait(&notify->changed, &notify->lock, &until);
    while (!rest_us && !notify->stopping && !notify->news)
        pthread_cond_wait(&notify->changed, &notify->lock);
    notify->news = false;
    bool stopping = notify->stopping;
    pthread_mutex_unlock(&notify->lock);
    return !stopping;
}

/* Until the mount is served: by then standard output and error are those that stay, and this thread
 * keeps no others open. False: the end. */
static bool wait_to_begin(struct ftx_notify *notify)
{
    pthread_mutex_lock(&notify->lock);
    while (!notify->begun && !notify->stopping)
        pthread_cond_wait(&notify->changed, &notify->lock);
    bool begun = notify->begun;
    pthread_mutex_unlock(&notify->lock);
    return begun;
}

static void *run(void *arg)
{
    struct ftx_notify *notify = arg;
    struct ftx_repeat *repeat = &notify->mount->repeat;
    int64_t rest_us = 0;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    if (!wait_to_begin(notify))
        return NULL;
    if (syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, CLOSE_RANGE_UNSHARE) < 0) {
        ftx_log(FTX_LOG_WARNING, "inotify will not see what arrives: close_range: %s",
                strerror(errno));
        return NULL;
    }
    atomic_store_explicit(&repeat->thread, (int)gettid(), memory_order_relaxed);
    while (wait_for_news(notify, rest_us))
        rest_us = run_burst(notify);
    return NULL;
}

struct ftx_notify *ftx_notify_start(struct ftx_mount *mount)
{
    struct ftx_notify *notify = calloc(1, sizeof *notify);
    if (!notify)
        return NULL;
    notify->mount = mount;
    pthread_mutex_init(&notify->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&notify->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&notify->thread, NULL, run, notify) == 0)
        return notify;
    pthread_cond_destroy(&notify->changed);
    pthread_mutex_destroy(&notify->lock);
    free(notify);
    return NULL;
}

void ftx_notify_begin(struct ftx_notify *notify)
{
    pthread_mutex_lock(&notify->lock);
    notify->begun = true;
    pthread_cond_signal(&notify->changed);
    pthread_mutex_unlock(&notify->lock);
}

void ftx_notify_wake(struct ftx_notify *notify)
{
    log_lost(notify);
    pthread_mutex_lock(&notify->lock);
    if (!notify->news)
        pthread_cond_signal(&notify->changed);
    notify->news = true;
    pthread_mutex_unlock(&notify->lock);
}

void ftx_notify_stop(struct ftx_notify *notify)
{
    if (!notify)
        return;
    pthread_mutex_lock(&notify->lock);
    notify->stopping = true;
    pthread_cond_signal(&notify->changed);
    pthread_mutex_unlock(&notify->lock);
}

void ftx_notify_free(struct ftx_notify *notify)
{
    if (!notify)
        return;
    pthread_join(notify->thread, NULL);
    log_lost(notify);
    pthread_cond_destroy(&notify->changed);
    pthread_mutex_destroy(&notify->lock);
    free(notify);
}
