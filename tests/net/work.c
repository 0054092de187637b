/* SPDX-License-Identifier: MIT */
/* Work runs elsewhere, and is done here, once. */
#include "tests/net/loop.h"

#include "transport/base/list.h"
#include "transport/net/work.h"

enum { N_JOBS = 100 };

struct job {
    struct ftx_work work;
    struct test_loop *loop;
    bool calling;
    size_t n_again; /* how often it queues itself once more */
    size_t n_run;
    size_t n_done;
    uv_thread_t runner;
};

static size_t n_finished;

static void run(struct ftx_work *work)
{
    struct job *job = ftx_list_of(work, struct job, work);

    job->runner = uv_thread_self();
    job->n_run++;
}

static void done(struct ftx_work *work)
{
    struct job *job = ftx_list_of(work, struct job, work);
    uv_thread_t self = uv_thread_self();

    assert_false(job->calling);
    assert_false(uv_thread_equal(&self, &job->runner));
    assert_int_equal(++job->n_done, job->n_run);
    if (job->n_again == 0) {
        n_finished++;
        return;
    }
    job->n_again--;
    ftx_work_queue(&job->loop->uv, &job->work);
}

static void each_job_is_run_and_done_once(void **state)
{
    struct test_loop loop;
    struct job jobs[N_JOBS];

    (void)state;
    test_loop_open(&loop);
    for (size_t i = 0; i < N_JOBS; i++) {
        jobs[i] = (struct job){.work = {.run = run, .done = done}, .loop = &loop, .n_again = i % 3};
        jobs[i].calling = true;
        ftx_work_queue(&loop.uv, &jobs[i].work);
        jobs[i].calling = false;
    }
    test_loop_await(&loop, n_finished == N_JOBS);
    for (size_t i = 0; i < N_JOBS; i++) {
        assert_int_equal(jobs[i].n_run, 1 + i % 3);
        assert_int_equal(jobs[i].n_done, 1 + i % 3);
    }
    test_loop_close(&loop);
}

int main(void)
{
    const struct CMUnitTest cases[] = {cmocka_unit_test(each_job_is_run_and_done_once)};

    return cmocka_run_group_tests_name("work", cases, NULL, NULL);
}
