/* SPDX-License-Identifier: MIT */
/* The loop of the net tests; one limit for the whole test. */
#include "tests/net/loop.h"

enum {
    LIMIT_MS = 120 * 1000, /* generous: sanitizers on a busy machine */
    SETTLED_TURNS = 500
};

static void on_limit(uv_timer_t *timer)
{
    struct test_loop *loop = timer->data;

    loop->late = true;
}

void test_loop_open(struct test_loop *loop)
{
    assert_int_equal(uv_loop_init(&loop->uv), 0);
    assert_int_equal(uv_timer_init(&loop->uv, &loop->limit), 0);
    loop->late = false;
    loop->limit.data = loop;
    uv_timer_start(&loop->limit, on_limit, LIMIT_MS, 0);
    uv_unref((uv_handle_t *)&loop->limit);
}

void test_loop_turn(struct test_loop *loop, const char *what)
{
    if (loop->late)
        fail_msg("too late: %s", what);
    if (!uv_loop_alive(&loop->uv))
        fail_msg("cannot come any more: %s", what);
    uv_run(&loop->uv, UV_RUN_ONCE);
}

void test_loop_settle(struct test_loop *loop, const size_t *count)
{
    size_t seen = *count;

    for (int still = 0; still < SETTLED_TURNS; still++) {
        uv_run(&loop->uv, UV_RUN_NOWAIT);
        if (*count != seen)
            still = 0;
        seen = *count;
    }
}

void test_loop_close(struct test_loop *loop)
{
    test_loop_await(loop, !uv_loop_alive(&loop->uv));
    uv_close((uv_handle_t *)&loop->limit, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop->uv), 0);
}
