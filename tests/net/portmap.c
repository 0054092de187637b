/* SPDX-License-Identifier: MIT */
/* When the router is asked, and what is told of its answers; the router is the test. */
#include "tests/net/loop.h"

#include <string.h>

#include "transport/net/gateway.h"
#include "transport/net/portmap.h"

enum { HURRY = 1000 };

static struct {
    struct test_loop loop;
    struct ftx_portmap *portmap;
    /* the router */
    uint16_t gives; /* the port; 0: it does not map */
    uint32_t lifetime_s;
    size_t n_mapped, n_unmapped;
    /* what was told */
    size_t n_told;
    uint16_t port; /* 0: none */
} test;

int __real_uv_timer_start(uv_timer_t *timer, uv_timer_cb on_timer, uint64_t timeout_ms,
                          uint64_t repeat_ms);
int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb on_timer, uint64_t timeout_ms,
                          uint64_t repeat_ms);
bool __wrap_ftx_gateway_map(uint16_t port, struct ftx_mapping *out);
void __wrap_ftx_gateway_unmap(const struct ftx_mapping *mapping);

/* Half an hour takes seconds; what waits shorter is the test's own. */
int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb on_timer, uint64_t timeout_ms,
                          uint64_t repeat_ms)
{
    if (timer != &test.loop.limit)
        timeout_ms /= HURRY;
    return __real_uv_timer_start(timer, on_timer, timeout_ms, repeat_ms);
}

/* On a worker; the loop's thread looks when the job is done. */
bool __wrap_ftx_gateway_map(uint16_t port, struct ftx_mapping *out)
{
    assert_int_equal(port, 15820);
    test.n_mapped++;
    if (!test.gives)
        return false;
    *out = (struct ftx_mapping){.kind = FTX_GATEWAY_NATPMP,
                                .port = port,
                                .external_port = test.gives,
                                .lifetime_s = test.lifetime_s};
    return ftx_ip_parse("203.0.113.7", &out->external);
}

void __wrap_ftx_gateway_unmap(const struct ftx_mapping *mapping)
{
    assert_int_equal(mapping->external_port, test.gives);
    test.n_unmapped++;
}

static void on_mapped(void *owner, const struct ftx_ip *external, uint16_t port)
{
    struct ftx_ip expected;

    assert_ptr_equal(owner, &test);
    assert_int_equal(external != NULL, port != 0);
    assert_true(ftx_ip_parse("203.0.113.7", &expected));
    if (external)
        assert_memory_equal(external, &expected, sizeof(expected));
    test.n_told++;
    test.port = port;
}

static void start(uint16_t gives, uint32_t lifetime_s)
{
    test.gives = gives;
    test.lifetime_s = lifetime_s;
    assert_int_equal(ftx_portmap_start(&test.loop.uv, 15820, on_mapped, &test, &test.portmap), 0);
}

static void stop(void)
{
    ftx_portmap_stop(test.portmap);
    test_loop_await(&test.loop, !uv_loop_alive(&test.loop.uv));
}

static void mapping_is_told_once_refreshed_and_removed(void **state)
{
    (void)state;
    start(41000, 60);
    test_loop_await(&test.loop, test.n_told == 1);
    assert_int_equal(test.port, 41000);
    test_loop_await(&test.loop, test.n_mapped >= 3);
    assert_int_equal(test.n_told, 1);
    stop();
    assert_int_equal(test.n_unmapped, 1);
}

static void change_is_told(void **state)
{
    (void)state;
    start(41000, 60);
    test_loop_await(&test.loop, test.port == 41000);
    test.gives = 41001;
    test_loop_await(&test.loop, test.port == 41001);
    test.gives = 0;
    test_loop_await(&test.loop, test.port == 0);
    stop();
    assert_int_equal(test.n_unmapped, 0);
}

static void router_that_maps_nothing_is_asked_again_and_left_alone(void **state)
{
    (void)state;
    start(0, 0);
    test_loop_await(&test.loop, test.n_mapped >= 2);
    assert_int_equal(test.n_told, 0);
    stop();
    assert_int_equal(test.n_unmapped, 0);
}

static void mapping_that_comes_after_the_stop_is_removed(void **state)
{
    (void)state;
    start(41000, 60);
    uv_run(&test.loop.uv, UV_RUN_NOWAIT); /* the job begins; it may have ended too */
    size_t n_told = test.n_told;
    stop();
    assert_int_equal(test.n_told, n_told);
    assert_int_equal(test.n_unmapped, test.n_mapped);
}

static int set_up(void **state)
{
    (void)state;
    memset(&test, 0, sizeof(test));
    test_loop_open(&test.loop);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_loop_close(&test.loop);
    return 0;
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest cases[] = {
        CASE(mapping_is_told_once_refreshed_and_removed),
        CASE(change_is_told),
        CASE(router_that_maps_nothing_is_asked_again_and_left_alone),
        CASE(mapping_that_comes_after_the_stop_is_removed),
    };
#undef CASE

    return cmocka_run_group_tests_name("portmap", cases, NULL, NULL);
}
