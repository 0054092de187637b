/* SPDX-License-Identifier: MIT */
/* A loop for tests: waits for conditions with a limit, and ends only when nothing is left in it. */
#ifndef FTX_TESTS_NET_LOOP_H
#define FTX_TESTS_NET_LOOP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <uv.h>

struct test_loop {
    uv_loop_t uv;
    uv_timer_t limit;
    bool late;
};

void test_loop_open(struct test_loop *loop);

/* Waits until nothing is alive, then asserts that no handle is left. */
void test_loop_close(struct test_loop *loop);

/* One turn, which may wait for an event; fails the test if `what` is late or cannot come. */
void test_loop_turn(struct test_loop *loop, const char *what);

/* Turns without waiting until `count` stays as it is: what can happen has happened. */
void test_loop_settle(struct test_loop *loop, const size_t *count);

#define test_loop_await(loop, condition)                                                           \
    do {                                                                                           \
        while (!(condition))                                                                       \
            test_loop_turn(loop, #condition);                                                      \
    } while (0)

#endif
