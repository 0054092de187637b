/* SPDX-License-Identifier: MIT */
/* The worker pool: libuv's, whose queue has no limit; who queues bounds what is under way. */
#include "transport/net/work.h"

#include <assert.h>

static void on_run(uv_work_t *request)
{
    struct ftx_work *work = request->data;

    work->run(work);
}

static void on_done(uv_work_t *request, int status)
{
    struct ftx_work *work = request->data;

    assert(status == 0); /* nobody cancels */
    (void)status;
    work->done(work);
}

void ftx_work_queue(uv_loop_t *loop, struct ftx_work *work)
{
    int err;

    work->uv.data = work;
    err = uv_queue_work(loop, &work->uv, on_run, on_done);
    assert(err == 0); /* fails only without a callback */
    (void)err;
}
