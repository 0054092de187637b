/* SPDX-License-Identifier: MIT */
/*
 *   follower --the lead is free--> leader --quick request--> runs it, goes on leading
 *                                         --lone READ------> likewise, if it did not wait last time
 *                                         --other request--> frees the lead, runs it -> follower
 *   watcher: looks at the leader every few milliseconds while there is something to do; if it is
 *            still at the same request, the lead is free
 */
#include "fs/fuse/serve.h"

#include "transport/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    SPIN_NS = 100000, /* a program's next call comes sooner, if it has nothing else to do */
    RESTS_MAX = 255,
    WATCH_MS = 5,    /* what the leader runs for more than one to two of these was not quick */
    QUIET_MS = 1000, /* without a request: the watcher sleeps */
    QUICK_BYTES = 16 << 10,
    THREADS_KEPT = 10, /* making one costs more than keeping it */
    THREADS_MAX = 64,  /* those that wait for the disk (fsync) leave some for others */
};

struct server;

/* What does not always pay: in vain once, it is left out once, then 3 times, 7 ... RESTS_MAX. */
struct venture {
    unsigned rests, rests_left;
};

struct ftx_serve {
    struct fuse_session *session;
    int fd, end_fd;                  /* /dev/fuse, not blocking; an eventfd that is never read */
    atomic_bool spin;                /* the last request was a quick one */
    struct venture spinning;         /* looking for a request before sleeping; the leader's */
    struct venture reading;          /* leading and reading; the leader's */
    uint32_t reader;                 /* the thread that the last READ came from; the leader's */
    atomic_bool watcher_sleeps;      /* and is to be woken by the next that the leader runs */
    _Atomic(struct server *) leader; /* changes under the lock; NULL: the lead is free */

    pthread_mutex_t lock;
    pthread_cond_t lead_free, news; /* news: for the watcher */
    unsigned n_threads, n_followers;
    bool ended;
};

/* One thread. */
struct server {
    struct ftx_serve *serve;
    struct fuse_buf request;
    atomic_uint beats; /* beginnings and ends of what it ran as leader: odd while it does */
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static bool worth_it(struct venture *venture)
{
    if (venture->rests_left == 0)
        return true;
    venture->rests_left--;
    return false;
}

static void went_well(struct venture *venture)
{
    venture->rests /= 2;
}

static void was_in_vain(struct venture *venture)
{
    venture->rests = venture->rests * 2 + 1;
    if (venture->rests > RESTS_MAX)
        venture->rests = RESTS_MAX;
    venture->rests_left = venture->rests;
}

/* -- who leads -- */

static void *run_server(void *arg);

/* One thread more; under the lock. */
static bool add_server(struct ftx_serve *serve)
{
    struct server *server = calloc(1, sizeof *server);
    pthread_t thread;
    if (!server)
        return false;
    server->serve = serve;
    if (pthread_create(&thread, NULL, run_server, server)) {
        free(server);
        return false;
    }
    pthread_detach(thread);
    serve->n_threads++;
    return true;
}

/* Somebody else may read; under the lock. */
static void free_lead(struct ftx_serve *serve)
{
    serve->leader = NULL;
    if (serve->n_followers > 0)
        pthread_cond_signal(&serve->lead_free);
    else if (serve->n_threads < THREADS_MAX)
        (void)add_server(serve); /* else the next that is done leads */
}

/* Waits until the lead is free and takes it; false: it is over, or there are enough of us. */
static bool follow(struct server *server)
{
    struct ftx_serve *serve = server->serve;
    bool leads = false;
    pthread_mutex_lock(&serve->lock);
    if (!serve->leader || serve->n_followers < THREADS_KEPT) {
        serve->n_followers++;
        while (serve->leader && !serve->ended)
            pthread_cond_wait(&serve->lead_free, &serve->lock);
        serve->n_followers--;
        leads = !serve->ended;
    }
    if (leads)
        serve->leader = server;
    pthread_mutex_unlock(&serve->lock);
    return leads;
}

/* -- a request -- */

static const struct fuse_in_header *head_of(const struct server *server)
{
    return server->request.mem;
}

/* Does it neither wait for the disk or another request, nor move many bytes, as a rule? */
static bool is_quick(const struct server *server)
{
    switch (head_of(server)->opcode) {
    case FUSE_LOOKUP:
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_GETATTR:
    case FUSE_SETATTR:
    case FUSE_READLINK:
    case FUSE_SYMLINK:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_UNLINK:
    case FUSE_RMDIR:
    case FUSE_RENAME:
    case FUSE_RENAME2:
    case FUSE_CREATE:
    case FUSE_WRITE:
    case FUSE_FLUSH:
    case FUSE_RELEASE:
    case FUSE_OPENDIR:
    case FUSE_RELEASEDIR:
    case FUSE_GETXATTR:
    case FUSE_SETXATTR:
    case FUSE_LISTXATTR:
    case FUSE_REMOVEXATTR:
    case FUSE_STATFS:
    case FUSE_ACCESS:
    case FUSE_INTERRUPT:
        return server->request.size < QUICK_BYTES;
    default:
        return false;
    }
}

/* Sleeps until there is a request or the end. */
static void sleep_for_request(const struct ftx_serve *serve)
{
    struct pollfd fds[] = {{.fd = serve->fd, .events = POLLIN},
                           {.fd = serve->end_fd, .events = POLLIN}};
    (void)poll(fds, 2, -1);
}

static bool has_ended(struct ftx_serve *serve)
{
    pthread_mutex_lock(&serve->lock);
    bool ended = serve->ended;
    pthread_mutex_unlock(&serve->lock);
    return ended || fuse_session_exited(serve->session);
}

/*
 * Is the next request worth looking for? On a busy machine who looks takes the processor from the
 * very program whose request it waits for: so looks in vain become rare.
 */
static bool may_spin(struct ftx_serve *serve)
{
    return serve->spin && worth_it(&serve->spinning);
}

/* Takes the next request; false: it is over. */
static bool receive(struct server *server)
{
    struct ftx_serve *serve = server->serve;
    uint64_t until_ns = 0; /* 0: does not look again */
    for (;;) {
        int n = fuse_session_receive_buf(serve->session, &server->request);
        if (n > 0) {
            if (until_ns)
                went_well(&serve->spinning);
            return true;
        }
        if (n != -EAGAIN && n != -EINTR)
            return false;
        if (!until_ns && may_spin(serve))
            until_ns = now_ns() + SPIN_NS;
        if (until_ns && now_ns() < until_ns)
            continue;
        if (until_ns)
            was_in_vain(&serve->spinning);
        if (has_ended(serve))
            return false;
        sleep_for_request(serve);
        until_ns = 0;
    }
}

static void wake_watcher(struct ftx_serve *serve)
{
    pthread_mutex_lock(&serve->lock);
    serve->watcher_sleeps = false;
    pthread_cond_signal(&serve->news);
    pthread_mutex_unlock(&serve->lock);
}

static void process(struct server *server)
{
    fuse_session_process_buf(server->serve->session, &server->request);
}

/* Under the watcher's eyes. */
static void process_leading(struct server *server)
{
    server->beats++;
    if (server->serve->watcher_sleeps)
        wake_watcher(server->serve);
    process(server);
    server->beats++;
}

static void process_quick(struct server *server)
{
    server->serve->spin = true;
    process_leading(server);
}

/*
 * Is this a READ for the thread that the last one was for? Then somebody reads alone, and handing
 * on the lead would cost more than the READ: two threads would take turns, each waking the other.
 */
static bool is_lone_read(struct server *server)
{
    const struct fuse_in_header *head = head_of(server);
    if (head->opcode != FUSE_READ)
        return false;
    bool same = head->pid != 0 && head->pid == server->serve->reader; /* 0: of another namespace */
    server->serve->reader = head->pid;
    return same && worth_it(&server->serve->reading);
}

/* How often this thread has waited, for a disk, a lock, or a processor that others wanted too. */
static long waits(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) ? 0 : usage.ru_nvcsw + usage.ru_nivcsw;
}

/*
 * Who waits for a disk holds up other programs' requests; and on a busy machine one thread that
 * does all has to share its processor, while of several each has slept, and is served at once.
 */
static void process_lone_read(struct server *server)
{
    struct ftx_serve *serve = server->serve;
    struct venture before = serve->reading;
    long waited = waits();
    was_in_vain(&serve->reading); /* unless it turns out otherwise while this thread still leads */
    serve->spin = false;
    process_leading(server);
    bool at_once = waits() == waited;
    pthread_mutex_lock(&serve->lock);
    if (serve->leader == server && at_once) {
        serve->reading = before;
        went_well(&serve->reading);
    }
    pthread_mutex_unlock(&serve->lock);
}

static void process_other(struct server *server)
{
    struct ftx_serve *serve = server->serve;
    serve->spin = false;
    pthread_mutex_lock(&serve->lock);
    free_lead(serve);
    pthread_mutex_unlock(&serve->lock);
    process(server);
}

/* Leads until another does. */
static void lead(struct server *server)
{
    struct ftx_serve *serve = server->serve;
    while (serve->leader == server) {
        if (!receive(server)) {
            ftx_serve_end(serve);
            return;
        }
        if (is_quick(server))
            process_quick(server);
        else if (is_lone_read(server))
            process_lone_read(server);
        else
            process_other(server);
    }
}

static void *run_server(void *arg)
{
    struct server *server = arg;
    struct ftx_serve *serve = server->serve;
    while (follow(server))
        lead(server);
    pthread_mutex_lock(&serve->lock);
    if (serve->leader == server)
        serve->leader = NULL;
    serve->n_threads--;
    pthread_cond_signal(&serve->news);
    pthread_mutex_unlock(&serve->lock);
    free(server->request.mem);
    free(server);
    return NULL;
}

/* -- the watcher -- */

/* What the watcher saw. */
struct look {
    const struct server *leader;
    unsigned beats;
};

static struct look look(const struct ftx_serve *serve)
{
    const struct server *leader = serve->leader;
    return (struct look){leader, leader ? leader->beats : 0};
}

static bool same(struct look a, struct look b)
{
    return a.leader == b.leader && a.beats == b.beats;
}

static void wait_a_little(struct ftx_serve *serve)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WATCH_MS * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&serve->news, &serve->lock, &until);
}

/* Until the leader runs something; `last`: nothing came since then. */
static void sleep_for_news(struct ftx_serve *serve, struct look last)
{
    serve->watcher_sleeps = true;
    while (serve->watcher_sleeps && !serve->ended && same(look(serve), last))
        pthread_cond_wait(&serve->news, &serve->lock);
    serve->watcher_sleeps = false;
}

/* Until the last thread is gone. */
static void watch(struct ftx_serve *serve)
{
    struct look last = {NULL, 0};
    unsigned quiet_ms = 0;
    pthread_mutex_lock(&serve->lock);
    while (serve->n_threads > 0) {
        if (serve->ended) {
            pthread_cond_wait(&serve->news, &serve->lock);
            continue;
        }
        struct look now = look(serve);
        bool still = same(now, last);
        if (still && now.beats % 2 == 1)
            free_lead(serve);
        quiet_ms = still ? quiet_ms + WATCH_MS : 0;
        last = now;
        if (quiet_ms >= QUIET_MS)
            sleep_for_news(serve, now);
        else
            wait_a_little(serve);
    }
    pthread_mutex_unlock(&serve->lock);
}

/* -- its life -- */

struct ftx_serve *ftx_serve_new(struct fuse_session *session)
{
    struct ftx_serve *serve = calloc(1, sizeof *serve);
    if (!serve)
        return NULL;
    serve->session = session;
    serve->fd = fuse_session_fd(session);
    serve->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int flags = fcntl(serve->fd, F_GETFL);
    if (serve->end_fd < 0 || flags < 0 || fcntl(serve->fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        if (serve->end_fd >= 0)
            close(serve->end_fd);
        free(serve);
        return NULL;
    }
    pthread_mutex_init(&serve->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&serve->lead_free, &monotonic);
    pthread_cond_init(&serve->news, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return serve;
}

void ftx_serve_run(struct ftx_serve *serve)
{
    pthread_mutex_lock(&serve->lock);
    bool serves = serve->ended || add_server(serve);
    pthread_mutex_unlock(&serve->lock);
    if (!serves)
        ftx_log(FTX_LOG_ERROR, "no thread to serve the mount with");
    watch(serve);
}

void ftx_serve_end(struct ftx_serve *serve)
{
    fuse_session_exit(serve->session);
    pthread_mutex_lock(&serve->lock);
    serve->ended = true;
    (void)eventfd_write(serve->end_fd, 1);
    pthread_cond_broadcast(&serve->lead_free);
    pthread_cond_signal(&serve->news);
    pthread_mutex_unlock(&serve->lock);
}

void ftx_serve_free(struct ftx_serve *serve)
{
    if (!serve)
        return;
    close(serve->end_fd);
    pthread_cond_destroy(&serve->news);
    pthread_cond_destroy(&serve->lead_free);
    pthread_mutex_destroy(&serve->lock);
    free(serve);
}
