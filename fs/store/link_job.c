/* SPDX-License-Identifier: MIT */
/* Link rows on their way to the database. */
#include "fs/store/link_job.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

struct link_job {
    struct ftx_list node;
    enum ftx_link_job_kind kind;
    struct ftx_link_row row;
    ftx_link_written_fn done;
    void *ctx;
};

static int queue(struct ftx_store *store, enum ftx_link_job_kind kind,
                 const struct ftx_link_row *row, ftx_link_written_fn done, void *ctx)
{
    struct link_job *job = calloc(1, sizeof *job);
    if (!job)
        return -ENOMEM;
    job->kind = kind;
    job->row = *row;
    job->done = done;
    job->ctx = ctx;
    ftx_list_append(&store->jobs, &job->node);
    pthread_cond_signal(&store->work);
    return 0;
}

int ftx_link_job_queue(struct ftx_store *store, const struct ftx_link_row *row,
                       ftx_link_written_fn done, void *ctx)
{
    return queue(store, FTX_LINK_JOB_PUT, row, done, ctx);
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

int ftx_link_job_wait(struct ftx_store *store, enum ftx_link_job_kind kind,
                      const struct ftx_link_row *row)
{
    struct waiter waiter = {.store = store};
    int err = queue(store, kind, row, on_waited, &waiter);
    if (err)
        return err;
    while (!waiter.done)
        pthread_cond_wait(&store->drained, &store->lock);
    return waiter.err;
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
        int err = job->kind == FTX_LINK_JOB_PUT ? ftx_database_put_link(store->db, &job->row)
                                                : ftx_database_drop_link(store->db, job->row.id);
        if (job->done)
            job->done(job->ctx, err);
        sodium_memzero(&job->row, sizeof job->row);
        free(job);
    }
}
