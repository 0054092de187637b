/* SPDX-License-Identifier: MIT */
/* `dialled` comes once, whatever the other end, the resolver, the clock and the caller do. */
#include "tests/net/loop.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/net/sockets.h"
#include "transport/net/tcp.h"

/* Between dial.c and libuv (see tests.cmake): the clock and the resolver as the case wants them. */
static struct {
    uint64_t hurry;       /* timers run that many times faster */
    uint64_t shortest_ms; /* of the timers that were started */
    uint16_t first_port;  /* if set, 127.0.0.1 with this port stands before what was found, */
    size_t n_first;       /* that many times */
    bool no_names;        /* the resolver knows no name */
    bool held;            /* the resolver does not even begin until release_resolver */
    uv_getaddrinfo_t *request;
    uv_getaddrinfo_cb answer;
} world;

int __real_uv_timer_start(uv_timer_t *timer, uv_timer_cb on_timer, uint64_t timeout_ms,
                          uint64_t repeat_ms);
int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb on_timer, uint64_t timeout_ms,
                          uint64_t repeat_ms);
int __real_uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *request, uv_getaddrinfo_cb answer,
                          const char *host, const char *port, const struct addrinfo *hints);
int __wrap_uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *request, uv_getaddrinfo_cb answer,
                          const char *host, const char *port, const struct addrinfo *hints);

int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb on_timer, uint64_t timeout_ms,
                          uint64_t repeat_ms)
{
    if (timeout_ms < world.shortest_ms)
        world.shortest_ms = timeout_ms;
    return __real_uv_timer_start(timer, on_timer, timeout_ms / world.hurry, repeat_ms);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    char port[sizeof("65535")];

    (void)snprintf(port, sizeof(port), "%u", world.first_port);
    for (size_t i = 0; world.first_port && i < world.n_first; i++) {
        struct addrinfo *first;

        assert_int_equal(getaddrinfo("127.0.0.1", port, &hints, &first), 0);
        first->ai_next = found;
        found = first;
    }
    world.answer(request, status, found);
}

int __wrap_uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *request, uv_getaddrinfo_cb answer,
                          const char *host, const char *port, const struct addrinfo *hints)
{
    struct addrinfo changed = *hints;

    if (!answer) /* from the listener */
        return __real_uv_getaddrinfo(loop, request, answer, host, port, hints);
    if (world.no_names)
        changed.ai_flags |= AI_NUMERICHOST;
    world.request = request;
    world.answer = answer;
    if (world.held)
        return 0;
    return __real_uv_getaddrinfo(loop, request, on_resolved, host, port, &changed);
}

struct call {
    struct test_loop loop;
    struct ftx_listener *listener;
    struct ftx_address address; /* the listener's, until a case says otherwise */
    size_t n_accepted;
    struct ftx_dial *dial;
    bool calling;
    size_t n_dialled;
    int err;
    struct ftx_pipe *pipe;
};

static struct call *call; /* of the running case */

static void on_accepted(void *owner, struct ftx_pipe *pipe)
{
    struct call *self = owner;

    self->n_accepted++;
    ftx_pipe_close(pipe);
}

static void on_dialled(void *owner, int err, struct ftx_pipe *pipe)
{
    struct call *self = owner;

    assert_false(self->calling);
    assert_true((err == 0) == (pipe != NULL));
    self->n_dialled++;
    self->err = err;
    self->pipe = pipe;
}

static void dial(void)
{
    call->calling = true;
    assert_int_equal(ftx_tcp_dial(&call->loop.uv, &call->address, on_dialled, call, &call->dial),
                     0);
    call->calling = false;
}

static void cancel(void)
{
    call->calling = true;
    ftx_dial_cancel(call->dial);
    call->calling = false;
}

static void await_dialled(int err)
{
    test_loop_await(&call->loop, call->n_dialled > 0);
    assert_int_equal(call->err, err);
}

static void count_tcp(uv_handle_t *handle, void *count)
{
    *(size_t *)count += handle->type == UV_TCP;
}

/* True while dial.c has a connection, or an attempt at one. */
static bool has_attempt(void)
{
    size_t n_tcp = 0;

    uv_walk(&call->loop.uv, count_tcp, &n_tcp);
    return n_tcp > 0;
}

static void connects_and_names_the_peer(void **state)
{
    char expected[64];

    (void)state;
    dial();
    await_dialled(0);
    (void)snprintf(expected, sizeof(expected), "127.0.0.1:%u", call->address.port);
    assert_string_equal(call->pipe->address, expected);
}

static void connects_to_a_name(void **state)
{
    (void)state;
    strcpy(call->address.host, "localhost");
    dial();
    await_dialled(0);
}

static void empty_host_is_this_machine(void **state)
{
    (void)state;
    strcpy(call->address.host, "");
    dial();
    await_dialled(0);
}

static void refused(const char *host)
{
    int fd = socket_refusing(host, &call->address.port);

    strcpy(call->address.host, host);
    dial();
    await_dialled(UV_ECONNREFUSED);
    close(fd);
}

static void closed_port_refuses(void **state)
{
    (void)state;
    refused("127.0.0.1");
}

static void closed_port_refuses_ipv6(void **state)
{
    (void)state;
    refused(have_ipv6() ? "::1" : "127.0.0.1");
}

static void unknown_name_fails(void **state)
{
    (void)state;
    world.no_names = true;
    strcpy(call->address.host, "no-such-name");
    dial();
    await_dialled(UV_EAI_NONAME);
}

static void refusing_address_is_followed_by_the_next(void **state)
{
    int fd = socket_refusing("127.0.0.1", &world.first_port);

    (void)state;
    dial();
    await_dialled(0);
    close(fd);
}

static void silent_addresses_hold_up_nobody(size_t n_silent)
{
    int fds[2];

    socket_silent(fds, &world.first_port);
    world.n_first = n_silent;
    world.hurry = 100;
    dial();
    await_dialled(0);
    assert_int_equal(world.shortest_ms, 250);
    close(fds[0]);
    close(fds[1]);
}

static void silent_address_is_raced(void **state)
{
    (void)state;
    silent_addresses_hold_up_nobody(1);
}

/* More than may race at once. */
static void crowd_of_silent_addresses_hides_nobody(void **state)
{
    (void)state;
    silent_addresses_hold_up_nobody(12);
}

/* While it waits for the first, which is then no longer wanted. */
static void cancels_a_race(void **state)
{
    int fds[2];

    (void)state;
    socket_silent(fds, &world.first_port);
    call->address.port = world.first_port;
    world.hurry = 100;
    dial();
    test_loop_await(&call->loop, world.shortest_ms == 250);
    cancel();
    await_dialled(UV_ECANCELED);
    close(fds[0]);
    close(fds[1]);
}

static void silent_address_times_out(void **state)
{
    int fds[2];

    (void)state;
    socket_silent(fds, &call->address.port);
    world.hurry = 100;
    dial();
    await_dialled(UV_ETIMEDOUT);
    close(fds[0]);
    close(fds[1]);
}

static void release_resolver(void)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};

    assert_int_equal(__real_uv_getaddrinfo(&call->loop.uv, world.request, world.answer, "127.0.0.1",
                                           "1", &hints),
                     0);
}

static void silent_resolver_times_out(void **state)
{
    (void)state;
    world.held = true;
    world.hurry = 100;
    dial();
    await_dialled(UV_ETIMEDOUT);
    release_resolver();
}

static void cancel_does_not_wait_for_the_resolver(void **state)
{
    (void)state;
    world.held = true;
    dial();
    cancel();
    await_dialled(UV_ECANCELED);
    release_resolver();
}

static void cancels_at_once(void **state)
{
    (void)state;
    dial();
    cancel();
    cancel(); /* harmless until dialled */
    await_dialled(UV_ECANCELED);
}

static void cancels_while_connecting(void **state)
{
    int fds[2];

    (void)state;
    socket_silent(fds, &call->address.port);
    dial();
    test_loop_await(&call->loop, has_attempt());
    cancel();
    await_dialled(UV_ECANCELED);
    close(fds[0]);
    close(fds[1]);
}

static void find_closing_timer(uv_handle_t *handle, void *found)
{
    *(bool *)found |= handle->type == UV_TIMER && uv_is_closing(handle);
}

static void cancel_when_connected(uv_check_t *check)
{
    bool connected = false;

    uv_walk(check->loop, find_closing_timer, &connected);
    if (!connected)
        return;
    cancel();
    uv_close((uv_handle_t *)check, NULL);
}

/* The connection stands and `dialled` is about to say so. */
static void cancels_once_connected(void **state)
{
    uv_check_t check;

    (void)state;
    uv_check_init(&call->loop.uv, &check);
    uv_check_start(&check, cancel_when_connected);
    dial();
    await_dialled(UV_ECANCELED);
}

/* The port from which the dialled socket is called. */
static uint16_t dial_from(const struct ftx_listener *listener, int fd, struct ftx_pipe **out_pipe)
{
    struct sockaddr_in from;
    socklen_t size = sizeof(from);
    int accepted;

    call->n_dialled = 0;
    dial();
    ftx_dial_from(call->dial, listener);
    await_dialled(0);
    accepted = accept(fd, (struct sockaddr *)&from, &size);
    assert_true(accepted >= 0);
    close(accepted);
    *out_pipe = call->pipe;
    call->pipe = NULL;
    assert_int_equal((*out_pipe)->own_port, ntohs(from.sin_port));
    return ntohs(from.sin_port);
}

/* If that is open everywhere, and for the first to each address. */
static void dials_from_the_port_that_it_listens_on(void **state)
{
    const struct ftx_address everywhere = {.host = ""};
    struct ftx_listener *listener;
    struct ftx_pipe *pipes[3];
    int fd = socket_listening("127.0.0.1", &call->address.port);

    (void)state;
    assert_int_equal(ftx_tcp_listen(&call->loop.uv, &everywhere, on_accepted, call, &listener), 0);
    assert_int_equal(dial_from(listener, fd, &pipes[0]), ftx_listener_port(listener));
    assert_int_not_equal(dial_from(listener, fd, &pipes[1]), ftx_listener_port(listener));
    assert_int_not_equal(dial_from(call->listener, fd, &pipes[2]),
                         ftx_listener_port(call->listener));
    for (int i = 0; i < 3; i++)
        ftx_pipe_close(pipes[i]);
    ftx_listener_stop(listener);
    close(fd);
}

/* The port refuses at first; meanwhile somebody begins to listen there. */
static void who_insists_outlasts_refusals(void **state)
{
    int fd = socket_refusing("127.0.0.1", &call->address.port);

    (void)state;
    dial();
    ftx_dial_insist(call->dial, true);
    for (int i = 0; i < 5; i++)
        test_loop_turn(&call->loop, "a call that is refused");
    assert_int_equal(call->n_dialled, 0);
    assert_int_equal(listen(fd, 1), 0);
    await_dialled(0);
    close(fd);
}

static void who_insists_gives_up_in_the_end(void **state)
{
    int fd = socket_refusing("127.0.0.1", &call->address.port);

    (void)state;
    dial();
    ftx_dial_insist(call->dial, true);
    await_dialled(UV_ECONNREFUSED);
    close(fd);
}

static void close_on_dialled(void *owner, int err, struct ftx_pipe *pipe)
{
    assert_int_equal(err, 0);
    ftx_pipe_close(pipe);
    on_dialled(owner, UV_ECANCELED, NULL);
}

static void closes_inside_dialled(void **state)
{
    (void)state;
    assert_int_equal(
        ftx_tcp_dial(&call->loop.uv, &call->address, close_on_dialled, call, &call->dial), 0);
    test_loop_await(&call->loop, call->n_dialled > 0);
}

static int set_up(void **state)
{
    (void)state;
    memset(&world, 0, sizeof(world));
    world.hurry = world.n_first = 1;
    world.shortest_ms = UINT64_MAX;
    call = test_calloc(1, sizeof(*call));
    test_loop_open(&call->loop);
    strcpy(call->address.host, "127.0.0.1");
    assert_int_equal(
        ftx_tcp_listen(&call->loop.uv, &call->address, on_accepted, call, &call->listener), 0);
    call->address.port = ftx_listener_port(call->listener);
    return 0;
}

/* Closing the loop takes the turns in which a second `dialled` could come. */
static int tear_down(void **state)
{
    (void)state;
    if (call->pipe)
        ftx_pipe_close(call->pipe);
    ftx_listener_stop(call->listener);
    test_loop_close(&call->loop);
    assert_int_equal(call->n_dialled, 1);
    test_free(call);
    return 0;
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest cases[] = {
        CASE(connects_and_names_the_peer),
        CASE(connects_to_a_name),
        CASE(empty_host_is_this_machine),
        CASE(closed_port_refuses),
        CASE(closed_port_refuses_ipv6),
        CASE(unknown_name_fails),
        CASE(refusing_address_is_followed_by_the_next),
        CASE(silent_address_is_raced),
        CASE(crowd_of_silent_addresses_hides_nobody),
        CASE(cancels_a_race),
        CASE(silent_address_times_out),
        CASE(silent_resolver_times_out),
        CASE(cancel_does_not_wait_for_the_resolver),
        CASE(cancels_at_once),
        CASE(cancels_while_connecting),
        CASE(cancels_once_connected),
        CASE(closes_inside_dialled),
        CASE(dials_from_the_port_that_it_listens_on),
        CASE(who_insists_outlasts_refusals),
        CASE(who_insists_gives_up_in_the_end),
    };
#undef CASE

    return cmocka_run_group_tests_name("dial", cases, NULL, NULL);
}
