/* SPDX-License-Identifier: MIT */
/*
 * The thread of the hooks. It takes events as they come, so that the feed's ring loses none of them
 * while a hook takes its time; what is to be called waits in a queue, four at a time run. It holds no
 * lock while it waits, and nobody waits for it.
 */
#include "fs/hooks/hooks.h"

#include "fs/hooks/child.h"
#include "fs/hooks/folder.h"
#include "fs/store/change_log.h"
#include "fs/store/offer.h"
#include "fs/store/steer.h"
#include "transport/base/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    RUNNING_MAX = 4,
    WAITING_MAX = 1024, /* calls; what comes beyond them is lost, but for offers */
    LINKS_MAX = 256,    /* that are watched for their end */
    QUIET_MS = 1000,    /* a link is done when nothing came for so long */
};

/* A link of which something got through since it was told to be done. */
struct busy_link {
    char name[65];
    int64_t look_ms;
};

struct ftx_hooks {
    struct ftx_store *store;
    char *folder, *mount;
    unsigned timeout_ms;
    int wake_fd;
    atomic_bool woken, stopping;
    pthread_t thread;
    struct ftx_feed_cursor cursor;
    struct ftx_list waiting; /* struct ftx_hook_call */
    size_t n_waiting;
    uint64_t n_lost;
    struct ftx_hook_child running[RUNNING_MAX];
    struct busy_link links[LINKS_MAX];
    size_t n_links;
    char room[FTX_FEED_ROOM];
};

static void signal_thread(struct ftx_hooks *hooks)
{
    if (!atomic_exchange(&hooks->woken, true))
        (void)eventfd_write(hooks->wake_fd, 1);
}

/* -- what is to be called -- */

static bool exists(const struct ftx_hooks *hooks, const char *hook)
{
    char path[PATH_MAX];
    return ftx_hooks_find(hooks->folder, hook, path);
}

static void queue(struct ftx_hooks *hooks, struct ftx_hook_call *call)
{
    bool offer = call && strcmp(call->hook, "on-offer") == 0;
    if (!call || (hooks->n_waiting >= WAITING_MAX && !offer)) {
        if (hooks->n_lost++ == 0)
            ftx_log(FTX_LOG_WARNING, "hooks are slower than what happens: some are not called");
        if (call)
            ftx_hook_call_free(call);
        return;
    }
    ftx_list_append(&hooks->waiting, &call->node);
    hooks->n_waiting++;
}

/* Something of the link got through. */
static void touch_link(struct ftx_hooks *hooks, const char *name)
{
    size_t i = 0;
    while (i < hooks->n_links && strcmp(hooks->links[i].name, name) != 0)
        i++;
    if (i == LINKS_MAX)
        return;
    if (i == hooks->n_links)
        snprintf(hooks->links[hooks->n_links++].name, sizeof hooks->links[i].name, "%s", name);
    hooks->links[i].look_ms = ftx_now_ms() + QUIET_MS;
}

static void take_event(struct ftx_hooks *hooks, const struct ftx_happening *h)
{
    const char *hook = ftx_hook_of(h);
    if (!hook || !h->link)
        return;
    if (h->event == FTX_EVENT_COMPLETE || h->event == FTX_EVENT_DELIVERED)
        touch_link(hooks, h->link);
    if (exists(hooks, hook))
        queue(hooks, ftx_hook_call_new(h, hooks->mount));
}

static void take_events(struct ftx_hooks *hooks)
{
    struct ftx_happening happening;
    uint64_t lost;
    while (ftx_feed_next(hooks->store, &hooks->cursor, &happening, hooks->room, &lost)) {
        if (lost)
            ftx_log(FTX_LOG_WARNING, "%llu events came too fast for the hooks",
                    (unsigned long long)lost);
        take_event(hooks, &happening);
    }
}

/* Links that are done by now; returns when the next is to be looked at. */
static int64_t look_at_links(struct ftx_hooks *hooks)
{
    int64_t now_ms = ftx_now_ms(), next_ms = INT64_MAX;
    for (size_t i = 0; i < hooks->n_links;) {
        struct busy_link *link = &hooks->links[i];
        if (link->look_ms <= now_ms &&
            ftx_link_done(hooks->store, link->name, strlen(link->name))) {
            if (exists(hooks, "on-link-complete"))
                queue(hooks, ftx_hook_call_link(link->name, hooks->mount));
            *link = hooks->links[--hooks->n_links];
            continue;
        }
        if (link->look_ms <= now_ms)
            link->look_ms = now_ms + QUIET_MS;
        next_ms = link->look_ms < next_ms ? link->look_ms : next_ms;
        i++;
    }
    return next_ms;
}

/* -- what runs -- */

/* The validator has spoken; an end that says nothing leaves it to the owner. */
static void decide(struct ftx_hooks *hooks, const struct ftx_hook_call *call, enum ftx_hook_end end)
{
    uint64_t id;
    if (strcmp(call->hook, "on-offer") != 0 || end == FTX_HOOK_UNKNOWN)
        return;
    int err = ftx_path_find(hooks->store, call->item, strlen(call->item), &id);
    if (!err)
        err = end == FTX_HOOK_GOOD ? ftx_item_accept(hooks->store, id)
                                   : ftx_item_reject(hooks->store, id);
    if (err && err != -EALREADY && err != -ENOENT)
        ftx_log(FTX_LOG_WARNING, "hook on-offer: %s: its word cannot be noted: %s", call->item,
                strerror(-err));
}

/* Children that ended, or whose time is over; returns when that of the next is. */
static int64_t look_at_children(struct ftx_hooks *hooks)
{
    int64_t now_ms = ftx_now_ms(), next_ms = INT64_MAX;
    for (size_t i = 0; i < RUNNING_MAX; i++) {
        struct ftx_hook_child *child = &hooks->running[i];
        struct ftx_hook_call *call = NULL;
        if (!child->call)
            continue;
        enum ftx_hook_end end = ftx_hook_child_look(child, now_ms, &call);
        if (end == FTX_HOOK_RUNS) {
            next_ms = child->until_ms < next_ms ? child->until_ms : next_ms;
            continue;
        }
        decide(hooks, call, end);
        ftx_hook_call_free(call);
    }
    return next_ms;
}

/* Fills free places from the queue. */
static void start_waiting(struct ftx_hooks *hooks)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < RUNNING_MAX; i++) {
        while (!hooks->running[i].call && !ftx_list_empty(&hooks->waiting)) {
            struct ftx_hook_call *call =
                ftx_list_of(ftx_list_pop(&hooks->waiting), struct ftx_hook_call, node);
            hooks->n_waiting--;
            if (ftx_hooks_find(hooks->folder, call->hook, path))
                (void)ftx_hook_child_start(&hooks->running[i], path, call,
                                           ftx_now_ms() + hooks->timeout_ms);
            else
                ftx_hook_call_free(call);
        }
    }
    if (hooks->n_lost && !hooks->n_waiting) {
        ftx_log(FTX_LOG_WARNING, "hooks: %llu calls were left out",
                (unsigned long long)hooks->n_lost);
        hooks->n_lost = 0;
    }
}

/* -- the thread -- */

/* Waits for events, output, ends, and the clock. */
static void wait(struct ftx_hooks *hooks, int64_t until_ms)
{
    struct pollfd fds[1 + 2 * RUNNING_MAX] = {{.fd = hooks->wake_fd, .events = POLLIN}};
    struct ftx_hook_child *readers[1 + 2 * RUNNING_MAX] = {NULL};
    nfds_t n = 1;
    for (size_t i = 0; i < RUNNING_MAX; i++) {
        struct ftx_hook_child *child = &hooks->running[i];
        if (!child->call)
            continue;
        fds[n++] = (struct pollfd){.fd = child->pid_fd, .events = POLLIN};
        readers[n] = child;
        if (child->out_fd >= 0)
            fds[n++] = (struct pollfd){.fd = child->out_fd, .events = POLLIN};
    }
    int64_t left_ms = until_ms == INT64_MAX ? -1 : until_ms - ftx_now_ms();
    int wait_ms = until_ms == INT64_MAX ? -1
                  : left_ms < 0         ? 0
                  : left_ms > 60000     ? 60000
                                        : (int)left_ms;
    if (poll(fds, n, wait_ms) <= 0)
        return;
    eventfd_t counted;
    if (fds[0].revents)
        (void)eventfd_read(hooks->wake_fd, &counted);
    for (nfds_t i = 1; i < n; i++)
        if (readers[i] && fds[i].fd == readers[i]->out_fd && fds[i].revents)
            ftx_hook_child_read(readers[i]);
}

static void end_all(struct ftx_hooks *hooks)
{
    for (size_t i = 0; i < RUNNING_MAX; i++) {
        struct ftx_hook_call *call;
        if (!hooks->running[i].call)
            continue;
        (void)ftx_hook_child_look(&hooks->running[i], INT64_MAX, &call);
        ftx_hook_call_free(call);
    }
    for (struct ftx_list *node; (node = ftx_list_pop(&hooks->waiting));)
        ftx_hook_call_free(ftx_list_of(node, struct ftx_hook_call, node));
}

static void *run(void *arg)
{
    struct ftx_hooks *hooks = arg;
    while (!hooks->stopping) {
        atomic_store(&hooks->woken, false);
        take_events(hooks);
        int64_t links_ms = look_at_links(hooks);
        (void)look_at_children(hooks);
        start_waiting(hooks);
        int64_t children_ms = look_at_children(hooks);
        wait(hooks, links_ms < children_ms ? links_ms : children_ms);
    }
    end_all(hooks);
    return NULL;
}

static int start_thread(struct ftx_hooks *hooks)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = -pthread_create(&hooks->thread, NULL, run, hooks);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

static void free_hooks(struct ftx_hooks *hooks)
{
    if (hooks->wake_fd >= 0)
        close(hooks->wake_fd);
    free(hooks->folder);
    free(hooks->mount);
    free(hooks);
}

int ftx_hooks_start(struct ftx_store *store, const struct ftx_hooks_config *config,
                    struct ftx_hooks **out_hooks, const char **out_message)
{
    int err = ftx_hooks_check(config->folder, out_message);
    if (err)
        return err;
    *out_message = "hooks cannot be started: out of memory, descriptors or threads";
    struct ftx_hooks *hooks = calloc(1, sizeof *hooks);
    if (!hooks)
        return -ENOMEM;
    ftx_list_init(&hooks->waiting);
    hooks->store = store;
    hooks->timeout_ms = config->timeout_ms;
    hooks->folder = realpath(config->folder, NULL);
    hooks->mount = strdup(config->mount);
    hooks->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ftx_feed_to_end(store, &hooks->cursor);
    ftx_feed_reader(store, true);
    err = !hooks->folder || !hooks->mount || hooks->wake_fd < 0 ? -ENOMEM : start_thread(hooks);
    if (err) {
        ftx_feed_reader(store, false);
        free_hooks(hooks);
        return err;
    }
    *out_hooks = hooks;
    return 0;
}

void ftx_hooks_happened(struct ftx_hooks *hooks)
{
    signal_thread(hooks);
}

void ftx_hooks_stop(struct ftx_hooks *hooks)
{
    if (!hooks)
        return;
    ftx_feed_reader(hooks->store, false);
    hooks->stopping = true;
    (void)eventfd_write(hooks->wake_fd, 1);
    pthread_join(hooks->thread, NULL);
    free_hooks(hooks);
}
