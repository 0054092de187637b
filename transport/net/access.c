/* SPDX-License-Identifier: MIT */
/* Access: the ranges stand still; the tailnet is asked by a worker, and its answer kept a while. */
#include "transport/net/access.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transport/base/err.h"
#include "transport/base/list.h"
#include "transport/base/log.h"
#include "transport/net/tailnet.h"
#include "transport/net/work.h"

enum {
    KEPT_MS = 60 * 1000,
    FAILED_MS = 5 * 1000,
};

struct ftx_access {
    uv_loop_t *loop;
    bool ask; /* the tailnet's nodes may connect */
    bool asking;
    int err; /* of the last answer: a repeat is not news */
    uint64_t until_ms;
    struct ftx_tailnet tailnet;
    struct {
        struct ftx_work work; /* a worker's until it is done */
        struct ftx_tailnet tailnet;
        int err;
    } question;
    void (*ready)(void *owner);
    void *owner;
    size_t n_ranges;
    struct ftx_cidr ranges[];
};

int ftx_access_new(uv_loop_t *loop, const struct ftx_cidr *ranges, size_t n_ranges, bool tailnet,
                   struct ftx_access **out_access)
{
    struct ftx_access *access = calloc(1, sizeof(*access) + n_ranges * sizeof(*ranges));

    if (!access)
        return -ENOMEM;
    access->loop = loop;
    access->ask = tailnet;
    access->n_ranges = n_ranges;
    if (n_ranges > 0)
        memcpy(access->ranges, ranges, n_ranges * sizeof(*ranges));
    *out_access = access;
    return 0;
}

void ftx_access_free(struct ftx_access *access)
{
    if (access)
        ftx_tailnet_free(&access->tailnet);
    free(access);
}

static void on_run(struct ftx_work *work)
{
    struct ftx_access *access = ftx_list_of(work, struct ftx_access, question.work);

    access->question.err = ftx_tailnet_read(&access->question.tailnet);
}

static void on_done(struct ftx_work *work)
{
    struct ftx_access *access = ftx_list_of(work, struct ftx_access, question.work);
    void (*ready)(void *owner) = access->ready;
    int err = access->question.err;

    ftx_tailnet_free(&access->tailnet);
    access->tailnet = access->question.tailnet;
    access->question.tailnet = (struct ftx_tailnet){0};
    if (err < 0 && err != access->err)
        ftx_log(FTX_LOG_WARNING, "tailscale status: %s; nobody of the tailnet is let in",
                ftx_err_text(err));
    access->err = err;
    access->asking = false;
    access->until_ms = uv_now(access->loop) + (err < 0 ? FAILED_MS : KEPT_MS);
    access->ready = NULL;
    if (ready)
        ready(access->owner);
}

bool ftx_access_ready(struct ftx_access *access, void (*ready)(void *owner), void *owner)
{
    access->ready = NULL;
    if (!ready || !access->ask || (!access->asking && uv_now(access->loop) < access->until_ms))
        return true;
    access->ready = ready;
    access->owner = owner;
    if (!access->asking) {
        access->asking = true;
        access->question.work = (struct ftx_work){.run = on_run, .done = on_done};
        ftx_work_queue(access->loop, &access->question.work);
    }
    return false;
}

bool ftx_access_allows(const struct ftx_access *access, const struct sockaddr *address)
{
    for (size_t i = 0; i < access->n_ranges; i++)
        if (ftx_cidr_contains(&access->ranges[i], address))
            return true;
    return access->ask && ftx_tailnet_contains(&access->tailnet, address);
}
