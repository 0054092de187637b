/* SPDX-License-Identifier: MIT */
/* Any one allocation may fail: what was under way ends, the ends meet again, and everything
 * arrives. */
#include "tests/peer/link.h"

#include <signal.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>

/* See tests.cmake: only what our own code allocates. */
static atomic_int countdown; /* the allocation that fails is the one that finds 1 */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool fails(void)
{
    return atomic_load(&countdown) > 0 && atomic_fetch_sub(&countdown, 1) == 1;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

static struct link both; /* of the running case */

static void any_allocation_may_fail(void **state)
{
    (void)state;
    bool failed = true;
    for (int n = 1; failed; n += 1 + n / 40) {
        struct proxy direct = {0};
        link_open(&both, CODE, CODE);
        both.dials[R] = false;
        link_start(&both, R);
        direct.port = ftx_node_port(both.ends[R].node);
        end_start(&both.ends[S], &direct);
        ftx_node_set_data_connections(both.ends[S].node, 1, 1);
        for (int i = 0; i < 2; i++) {
            end_send(&both.ends[i], 3 * PIECE);
            end_send(&both.ends[i], 1);
        }
        atomic_store(&countdown, n);
        test_loop_await(&both.loop, end_delivered(&both.ends[S]) && end_delivered(&both.ends[R]));
        failed = atomic_exchange(&countdown, 0) <= 0;
        assert_arrived(&both.ends[S], &both.ends[R]);
        assert_arrived(&both.ends[R], &both.ends[S]);
        link_close(&both);
        assert_true(failed || n > 50);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_allocation_may_fail),
    };
    signal(SIGPIPE, SIG_IGN);
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
