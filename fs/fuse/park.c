/* SPDX-License-Identifier: MIT */
/*
 * Requests that cannot be answered yet wait here, not in a FUSE thread. One thread looks at them
 * whenever something arrived, a signal came or a deadline passed, and answers those whose time has
 * come.
 */
#include "fs/fuse/control.h"

#include "fs/store/change_log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    ASK_AGAIN_MS = 1000,   /* the wish may have been lost with a connection */
    BYTES_MAX = 256 << 20, /* of writes that wait */
};

struct ftx_park {
    struct ftx_mount *mount;
    unsigned timeout_ms;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    struct ftx_list parked;
    size_t bytes; /* of writes that wait */
    bool look, stopping;
};

static void look(struct ftx_park *park)
{
    park->look = true;
    pthread_cond_signal(&park->changed);
}

/* libfuse calls this with the request's lock held, so it only leaves a mark. */
static void on_interrupt(fuse_req_t req, void *data)
{
    struct ftx_parked *parked = data;
    (void)req;
    pthread_mutex_lock(&parked->park->lock);
    parked->interrupted = true;
    look(parked->park);
    pthread_mutex_unlock(&parked->park->lock);
}

/* False: too much waits already. */
static bool take_bytes(struct ftx_parked *parked, const char *bytes, size_t size)
{
    struct ftx_park *park = parked->park;
    char *copy = malloc(size);
    pthread_mutex_lock(&park->lock);
    bool room = copy && park->bytes + size <= BYTES_MAX;
    park->bytes += room ? size : 0;
    pthread_mutex_unlock(&park->lock);
    if (!room) {
        free(copy);
        return false;
    }
    parked->bytes = memcpy(copy, bytes, size);
    return true;
}

void ftx_park_wait(struct ftx_park *park, const struct ftx_wait_kind *kind, fuse_req_t req,
                   fuse_ino_t ino, uint64_t handle, const char *bytes, size_t size, off_t offset)
{
    struct ftx_parked *parked = calloc(1, sizeof *parked);
    if (parked)
        *parked = (struct ftx_parked){.park = park,
                                      .kind = kind,
                                      .req = req,
                                      .ino = ino,
                                      .handle = handle,
                                      .size = size,
                                      .offset = offset};
    if (!parked || (bytes && !take_bytes(parked, bytes, size))) {
        if (kind->leave)
            kind->leave(park->mount, ino);
        fuse_reply_err(req, parked ? (int)-kind->timeout_err : ENOMEM);
        free(parked);
        return;
    }
    parked->since_ms = parked->asked_ms = ftx_now_ms();
    ftx_list_init(&parked->node);
    fuse_req_interrupt_func(req, on_interrupt, parked);
    pthread_mutex_lock(&park->lock);
    ftx_list_append(&park->parked, &parked->node);
    look(park); /* it may have come in between */
    pthread_mutex_unlock(&park->lock);
}

void ftx_park_arrived(struct ftx_park *park)
{
    pthread_mutex_lock(&park->lock);
    if (!ftx_list_empty(&park->parked))
        look(park);
    pthread_mutex_unlock(&park->lock);
}

void ftx_park_happened(struct ftx_park *park)
{
    pthread_mutex_lock(&park->lock);
    look(park);
    pthread_mutex_unlock(&park->lock);
}

/* Waits for nothing any more: out of the list, where no interrupt can reach it, and answered. Not
 * under the lock. */
static void answer(struct ftx_parked *parked, int err, const struct ftx_reply *reply)
{
    struct ftx_park *park = parked->park;
    pthread_mutex_lock(&park->lock);
    ftx_list_remove(&parked->node);
    park->bytes -= parked->bytes ? parked->size : 0;
    pthread_mutex_unlock(&park->lock);
    fuse_req_interrupt_func(parked->req, NULL, NULL);
    if (parked->kind->leave)
        parked->kind->leave(park->mount, parked->ino);
    if (err)
        ftx_reply_err(parked->req, err);
    else
        parked->kind->reply(parked->req, reply);
    free(parked->bytes);
    free(parked);
}

/* When its wait ends if nothing comes. */
static int64_t deadline_of(const struct ftx_park *park, const struct ftx_parked *parked)
{
    if (!parked->kind->timeout_err)
        return INT64_MAX;
    int64_t progress_ms = parked->kind->progress_ms(park->mount, parked->ino);
    return (progress_ms > parked->since_ms ? progress_ms : parked->since_ms) + park->timeout_ms;
}

/*
 * Whoever asked has ended. A signal takes back a read, but not what a page fault asks for: its
 * pages would stay locked, and the next program that maps them wait for nobody.
 */
static bool is_gone(const struct ftx_parked *parked)
{
    pid_t thread = fuse_req_ctx(parked->req)->pid;
    return thread > 0 && kill(thread, 0) < 0 && errno == ESRCH;
}

/* Answers if it can; else returns when to look again. */
static int64_t try_answer(struct ftx_park *park, struct ftx_parked *parked, bool interrupted,
                          int64_t now_ms)
{
    bool ask = now_ms >= parked->asked_ms + ASK_AGAIN_MS;
    struct ftx_reply reply = {.size = parked->size};
    int err = interrupted || (ask && is_gone(parked)) ? -EINTR
              : park->stopping                        ? -EIO
                               : parked->kind->attempt(park->mount, parked, ask, &reply);
    if (ask)
        parked->asked_ms = now_ms;
    int64_t deadline_ms = deadline_of(park, parked);
    if (err == -EAGAIN && now_ms >= deadline_ms)
        err = parked->kind->timeout_err;
    if (err != -EAGAIN) {
        answer(parked, err, &reply);
        return INT64_MAX;
    }
    if (deadline_ms == INT64_MAX)
        return INT64_MAX;
    int64_t ask_ms = parked->asked_ms + ASK_AGAIN_MS;
    return deadline_ms < ask_ms ? deadline_ms : ask_ms;
}

/* One look at all of them. This thread alone takes nodes out, so `next` stays good without the
 * lock. */
static int64_t look_at_all(struct ftx_park *park)
{
    int64_t next_ms = INT64_MAX, now_ms = ftx_now_ms();
    pthread_mutex_lock(&park->lock);
    for (struct ftx_list *node = park->parked.next; node != &park->parked;) {
        struct ftx_parked *parked = ftx_list_of(node, struct ftx_parked, node);
        struct ftx_list *last = park->parked.prev;
        bool interrupted = parked->interrupted, at_end = node == last;
        node = node->next;
        pthread_mutex_unlock(&park->lock);
        int64_t at_ms = try_answer(park, parked, interrupted, now_ms);
        next_ms = at_ms < next_ms ? at_ms : next_ms;
        pthread_mutex_lock(&park->lock);
        if (at_end)
            break; /* what was added behind it has asked for its own look */
    }
    pthread_mutex_unlock(&park->lock);
    return next_ms;
}

static void *run(void *arg)
{
    struct ftx_park *park = arg;
    int64_t next_ms = INT64_MAX;
    for (;;) {
        pthread_mutex_lock(&park->lock);
        while (!park->look && !park->stopping && ftx_now_ms() < next_ms) {
            if (next_ms == INT64_MAX) {
                pthread_cond_wait(&park->changed, &park->lock);
            } else {
                struct timespec until = {.tv_sec = next_ms / 1000,
                                         .tv_nsec = next_ms % 1000 * 1000000};
                pthread_cond_timedwait(&park->changed, &park->lock, &until);
            }
        }
        park->look = false;
        bool last = park->stopping && ftx_list_empty(&park->parked);
        pthread_mutex_unlock(&park->lock);
        if (last)
            return NULL;
        if (atomic_exchange(&park->mount->happened, false))
            ftx_events_happened(park->mount);
        next_ms = look_at_all(park);
    }
}

struct ftx_park *ftx_park_new(struct ftx_mount *mount, unsigned timeout_ms)
{
    struct ftx_park *park = calloc(1, sizeof *park);
    if (!park)
        return NULL;
    park->mount = mount;
    park->timeout_ms = timeout_ms;
    ftx_list_init(&park->parked);
    pthread_mutex_init(&park->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&park->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&park->thread, NULL, run, park)) {
        pthread_cond_destroy(&park->changed);
        pthread_mutex_destroy(&park->lock);
        free(park);
        return NULL;
    }
    return park;
}

void ftx_park_stop(struct ftx_park *park)
{
    if (!park)
        return;
    pthread_mutex_lock(&park->lock);
    park->stopping = true;
    pthread_cond_signal(&park->changed);
    pthread_mutex_unlock(&park->lock);
    pthread_join(park->thread, NULL);
}

void ftx_park_free(struct ftx_park *park)
{
    if (!park)
        return;
    pthread_cond_destroy(&park->changed);
    pthread_mutex_destroy(&park->lock);
    free(park);
}
