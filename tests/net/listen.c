/* SPDX-License-Identifier: MIT */
/* Listening: which addresses, many callers, stopping, and what happens without descriptors. */
#include "tests/net/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/net/sockets.h"
#include "transport/net/tcp.h"

struct door {
    struct test_loop loop;
    struct ftx_listener *listener;
    bool stopped;
    uint16_t port;
    size_t n_accepted;
    size_t n_dialled;
};

static struct door *door; /* of the running case */

static void stop(void)
{
    ftx_listener_stop(door->listener);
    door->stopped = true;
}

static void on_accepted(void *owner, struct ftx_pipe *pipe)
{
    assert_ptr_equal(owner, door);
    assert_false(door->stopped);
    door->n_accepted++;
    ftx_pipe_close(pipe);
}

static int open_door(const char *host, uint16_t port)
{
    struct ftx_address address = {.port = port};
    int err;

    strcpy(address.host, host);
    err = ftx_tcp_listen(&door->loop.uv, &address, on_accepted, door, &door->listener);
    door->stopped = err < 0;
    if (err == 0)
        door->port = ftx_listener_port(door->listener);
    return err;
}

static int call(const char *host)
{
    int fd = socket_call(host, door->port);

    assert_true(fd >= 0);
    return fd;
}

static void all_addresses_share_one_port(void **state)
{
    size_t n_callers = 0;

    (void)state;
    assert_int_equal(open_door("", 0), 0);
    assert_int_not_equal(door->port, 0);
    close(call("127.0.0.1"));
    n_callers++;
    if (have_ipv6()) {
        close(call("::1"));
        n_callers++;
    }
    test_loop_await(&door->loop, door->n_accepted == n_callers);
}

static void address_binds_no_other(void **state)
{
    (void)state;
    assert_int_equal(open_door("127.0.0.1", 0), 0);
    assert_int_equal(socket_call("127.0.0.2", door->port), -ECONNREFUSED);
    if (have_ipv6())
        assert_int_equal(socket_call("::1", door->port), -ECONNREFUSED);
}

static void name_can_be_listened_on(void **state)
{
    (void)state;
    assert_int_equal(open_door("localhost", 0), 0);
    close(call("127.0.0.1"));
    test_loop_await(&door->loop, door->n_accepted == 1);
}

static void port_in_use_fails(void **state)
{
    struct ftx_listener *first;

    (void)state;
    assert_int_equal(open_door("127.0.0.1", 0), 0);
    first = door->listener;
    assert_int_equal(open_door("127.0.0.1", door->port), UV_EADDRINUSE);
    assert_int_equal(open_door("", door->port), UV_EADDRINUSE);
    door->listener = first;
    door->stopped = false;
}

/* The first family could have the port. */
static void port_in_use_in_one_family_fails_for_both(void **state)
{
    struct ftx_listener *first;

    (void)state;
    if (!have_ipv6())
        skip();
    assert_int_equal(open_door("::1", 0), 0);
    first = door->listener;
    assert_int_equal(open_door("", door->port), UV_EADDRINUSE);
    assert_int_equal(socket_call("127.0.0.1", door->port), -ECONNREFUSED);
    door->listener = first;
    door->stopped = false;
}

static void address_of_another_machine_fails(void **state)
{
    (void)state;
    assert_int_equal(open_door("203.0.113.1", 0), UV_EADDRNOTAVAIL);
    assert_int_equal(open_door("2001:db8::1", 0), UV_EADDRNOTAVAIL);
}

static void close_on_dialled(void *owner, int err, struct ftx_pipe *pipe)
{
    (void)owner;
    assert_int_equal(err, 0);
    door->n_dialled++;
    ftx_pipe_close(pipe);
}

static void accepts_200_connections(void **state)
{
    struct ftx_address address = {.host = "127.0.0.1"};
    struct ftx_dial *dial;

    (void)state;
    assert_int_equal(open_door("127.0.0.1", 0), 0);
    address.port = door->port;
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(ftx_tcp_dial(&door->loop.uv, &address, close_on_dialled, NULL, &dial), 0);
    test_loop_await(&door->loop, door->n_dialled == 200);
    test_loop_await(&door->loop, door->n_accepted == 200);
}

static void caller_who_left_harms_nobody(void **state)
{
    const struct linger reset = {.l_onoff = 1};
    int fd;

    (void)state;
    assert_int_equal(open_door("127.0.0.1", 0), 0);
    fd = call("127.0.0.1");
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    close(fd);
    close(call("127.0.0.1"));
    test_loop_await(&door->loop, door->n_accepted >= 1);
}

static void stop_with_callers_waiting_accepts_none(void **state)
{
    int fds[5];

    (void)state;
    assert_int_equal(open_door("127.0.0.1", 0), 0);
    for (size_t i = 0; i < 5; i++)
        fds[i] = call("127.0.0.1");
    stop();
    test_loop_await(&door->loop, !uv_loop_alive(&door->loop.uv));
    assert_int_equal(door->n_accepted, 0);
    assert_int_equal(socket_call("127.0.0.1", door->port), -ECONNREFUSED);
    for (size_t i = 0; i < 5; i++)
        close(fds[i]);
}

static void stop_on_accepted(void *owner, struct ftx_pipe *pipe)
{
    on_accepted(owner, pipe);
    stop();
}

static void stops_inside_accepted(void **state)
{
    struct ftx_address address = {.host = ""};

    (void)state;
    assert_int_equal(
        ftx_tcp_listen(&door->loop.uv, &address, stop_on_accepted, door, &door->listener), 0);
    door->stopped = false;
    door->port = ftx_listener_port(door->listener);
    close(call("127.0.0.1"));
    close(call(have_ipv6() ? "::1" : "127.0.0.1"));
    test_loop_await(&door->loop, !uv_loop_alive(&door->loop.uv));
    assert_int_equal(door->n_accepted, 1);
}

static rlim_t set_descriptor_limit(rlim_t n_descriptors)
{
    struct rlimit limit;
    rlim_t before;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    before = limit.rlim_cur;
    limit.rlim_cur = n_descriptors;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

/* Not one descriptor more than are open now, until the limit that it returns is set again. */
static rlim_t exhaust_descriptors(void)
{
    int next = fcntl(0, F_DUPFD, 0);

    assert_true(next >= 0);
    close(next);
    return set_descriptor_limit((rlim_t)next);
}

static void without_descriptors_callers_wait_a_second(void **state)
{
    rlim_t before;
    uint64_t paused_at_ms;
    int fds[3];

    (void)state;
    assert_int_equal(open_door("127.0.0.1", 0), 0);
    for (size_t i = 0; i < 3; i++)
        fds[i] = call("127.0.0.1");
    before = exhaust_descriptors();
    paused_at_ms = uv_now(&door->loop.uv);
    test_loop_settle(&door->loop, &door->n_accepted);
    set_descriptor_limit(before);

    assert_int_equal(door->n_accepted, 0);
    assert_in_range(uv_backend_timeout(&door->loop.uv), 1, 1000); /* sleeps: does not try */
    test_loop_await(&door->loop, door->n_accepted == 3);
    assert_true(uv_now(&door->loop.uv) - paused_at_ms >= 1000);
    for (size_t i = 0; i < 3; i++)
        close(fds[i]);
}

static int set_up(void **state)
{
    (void)state;
    door = test_calloc(1, sizeof(*door));
    door->stopped = true;
    test_loop_open(&door->loop);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (!door->stopped)
        stop();
    test_loop_close(&door->loop);
    test_free(door);
    return 0;
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest cases[] = {
        CASE(all_addresses_share_one_port),
        CASE(address_binds_no_other),
        CASE(name_can_be_listened_on),
        CASE(port_in_use_fails),
        CASE(port_in_use_in_one_family_fails_for_both),
        CASE(address_of_another_machine_fails),
        CASE(accepts_200_connections),
        CASE(caller_who_left_harms_nobody),
        CASE(stop_with_callers_waiting_accepts_none),
        CASE(stops_inside_accepted),
        CASE(without_descriptors_callers_wait_a_second),
    };
#undef CASE

    return cmocka_run_group_tests_name("listen", cases, NULL, NULL);
}
