/* SPDX-License-Identifier: MIT */
/* Link rows on their way to the database. */
#include "fs/store/link_job.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

struct link_job {
    struct ftx_list node;
    enum ftx_link_job_kind kind;
    struct ftx_link_row row; /* SETTINGS, REACH, JOIN, LEAVE: its id */
    uint64_t group;
    struct ftx_link_settings settings;
    struct ftx_link_reach reach;
    ftx_link_written_fn done;
    void *ctx;
};

/* The job, queued: what else it needs is filled in before the lock is given away. NULL: no memory. */
static struct link_job *queue(struct ftx_store *store, enum ftx_link_job_kind kind,
                              ftx_link_written_fn done, void *ctx)
{
    struct link_job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    job->kind = kind;
    job->done = done;
    job->ctx = ctx;
    ftx_list_append(&store->jobs, &job->node);
    pthread_cond_signal(&store->work);
    return job;
}

int ftx_link_job_queue(struct ftx_store *store, const struct ftx_link_row *row,
                       ftx_link_written_fn done, void *ctx)
{
    struct link_job *job = queue(store, FTX_LINK_JOB_PUT, done, ctx);
    if (!job)
        return -ENOMEM;
    job->row = *row;
    return 0;
}

struct waiter {
    struct ftx_store *store;
    bool done;
    int err;
};

static void on_waited(void *ctx, int err)
{
    struct waiter *waiter = ctx;
    pthread_mutex_lock(&waiter->store->lock);
    waiter->err = err;
    waiter->done = true;
    pthread_cond_broadcast(&waiter->store->drained);
    pthread_mutex_unlock(&waiter->store->lock);
}

static int wait_for(struct waiter *waiter)
{
    while (!waiter->done)
        pthread_cond_wait(&waiter->store->drained, &waiter->store->lock);
    return waiter->err;
}

int ftx_link_job_wait(struct ftx_store *store, enum ftx_link_job_kind kind,
                      const struct ftx_link_row *row)
{
    struct waiter waiter = {.store = store};
    struct link_job *job = queue(store, kind, on_waited, &waiter);
    if (!job)
        return -ENOMEM;
    job->row = *row;
    return wait_for(&waiter);
}

int ftx_link_job_settings(struct ftx_store *store, uint64_t link,
                          const struct ftx_link_settings *settings)
{
    struct waiter waiter = {.store = store};
    struct link_job *job = queue(store, FTX_LINK_JOB_SETTINGS, on_waited, &waiter);
    if (!job)
        return -ENOMEM;
    job->row.id = link;
    job->settings = *settings;
    return wait_for(&waiter);
}

int ftx_link_job_reach(struct ftx_store *store, uint64_t link, const struct ftx_link_reach *reach)
{
    struct link_job *job = queue(store, FTX_LINK_JOB_REACH, NULL, NULL);
    if (!job)
        return -ENOMEM;
    job->row.id = link;
    job->reach = *reach;
    return 0;
}

int ftx_link_job_member(struct ftx_store *store, uint64_t group, uint64_t link, bool member)
{
    struct waiter waiter = {.store = store};
    struct link_job *job =
        queue(store, member ? FTX_LINK_JOB_JOIN : FTX_LINK_JOB_LEAVE, on_waited, &waiter);
    if (!job)
        return -ENOMEM;
    job->row.id = link;
    job->group = group;
    return wait_for(&waiter);
}

static int run_job(struct ftx_store *store, const struct link_job *job)
{
    switch (job->kind) {
    case FTX_LINK_JOB_PUT:
        return ftx_database_put_link(store->db, &job->row);
    case FTX_LINK_JOB_DROP:
        return ftx_database_drop_link(store->db, job->row.id);
    case FTX_LINK_JOB_REACH:
        return ftx_database_put_reach(store->db, job->row.id, &job->reach);
    case FTX_LINK_JOB_JOIN:
    case FTX_LINK_JOB_LEAVE:
        return ftx_database_put_member(store->db, job->group, job->row.id,
                                       job->kind == FTX_LINK_JOB_JOIN);
    default:
        return ftx_database_put_settings(store->db, job->row.id, &job->settings);
    }
}

void ftx_link_jobs_run(struct ftx_store *store)
{
    struct ftx_list jobs;
    ftx_list_init(&jobs);
    pthread_mutex_lock(&store->lock);
    ftx_list_splice(&jobs, &store->jobs);
    pthread_mutex_unlock(&store->lock);
    for (struct ftx_list *node; (node = ftx_list_pop(&jobs));) {
        struct link_job *job = ftx_list_of(node, struct link_job, node);
        int err = run_job(store, job);
        if (job->done)
            job->done(job->ctx, err);
        sodium_memzero(&job->row, sizeof job->row);
        free(job);
    }
}
