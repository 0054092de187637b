/* SPDX-License-Identifier: MIT */
/*
 * The conformance suite on TCP over both families, on memory whole and in single bytes, and through a
 * relay in the clear and in TLS.
 */
#include "tests/net/pipe_suite.h"

#include <stdio.h>
#include <string.h>

#include "tests/net/relay.h"
#include "tests/net/sockets.h"
#include "transport/net/memory.h"
#include "transport/net/tcp.h"
#include "transport/net/websocket.h"

enum { MIB = 1024 * 1024 };

static void on_accepted(void *owner, struct ftx_pipe *pipe)
{
    struct ftx_pipe **ends = owner;

    ends[1] = pipe;
}

static void on_dialled(void *owner, int err, struct ftx_pipe *pipe)
{
    struct ftx_pipe **ends = owner;

    assert_int_equal(err, 0);
    ends[0] = pipe;
}

static void open_tcp(struct test_loop *loop, const char *host, struct ftx_pipe *out_ends[2])
{
    struct ftx_listener *listener;
    struct ftx_dial *dial;
    struct ftx_address address = {.port = 0};

    strcpy(address.host, host);
    out_ends[0] = out_ends[1] = NULL;
    assert_int_equal(ftx_tcp_listen(&loop->uv, &address, on_accepted, out_ends, &listener), 0);
    address.port = ftx_listener_port(listener);
    assert_int_equal(ftx_tcp_dial(&loop->uv, &address, on_dialled, out_ends, &dial), 0);
    test_loop_await(loop, out_ends[0] && out_ends[1]);
    ftx_listener_stop(listener);
}

static void open_tcp4(struct test_loop *loop, struct ftx_pipe *out_ends[2])
{
    open_tcp(loop, "127.0.0.1", out_ends);
}

static void open_tcp6(struct test_loop *loop, struct ftx_pipe *out_ends[2])
{
    open_tcp(loop, "::1", out_ends);
}

static void open_memory(struct test_loop *loop, struct ftx_pipe *out_ends[2])
{
    assert_int_equal(ftx_memory_pipe(&loop->uv, 64 * 1024 + 7, 0, out_ends), 0);
}

static void open_memory_in_bytes(struct test_loop *loop, struct ftx_pipe *out_ends[2])
{
    assert_int_equal(ftx_memory_pipe(&loop->uv, 1000, 1, out_ends), 0);
}

static struct test_relay relay;

static void on_paired(void *owner, int err, struct ftx_pipe *pipe)
{
    struct ftx_pipe **end = owner;

    assert_int_equal(err, 0);
    *end = pipe;
}

static void open_websocket(struct test_loop *loop, const char *scheme, struct ftx_pipe *out_ends[2])
{
    static const struct ftx_websocket_events events = {.dialled = on_paired};
    static unsigned n_rooms;
    struct ftx_websocket_target target = {.ca_file = test_relay_cert()};
    struct ftx_websocket *dial;
    char url[64], room[16];

    (void)snprintf(url, sizeof(url), "%s://127.0.0.1:%u", scheme, relay.port);
    (void)snprintf(room, sizeof(room), "room-%u", n_rooms++);
    target.url = url;
    target.room = room;
    out_ends[0] = out_ends[1] = NULL;
    for (int i = 0; i < 2; i++) {
        target.role = i == 0 ? 's' : 'r';
        assert_int_equal(ftx_websocket_dial(&loop->uv, &target, &events, &out_ends[i], &dial), 0);
    }
    test_loop_await(loop, out_ends[0] && out_ends[1]);
}

static void open_ws(struct test_loop *loop, struct ftx_pipe *out_ends[2])
{
    open_websocket(loop, "ws", out_ends);
}

static void open_wss(struct test_loop *loop, struct ftx_pipe *out_ends[2])
{
    open_websocket(loop, "wss", out_ends);
}

static const struct pipe_kind ws = {"websocket", 16 * MIB, 128 * MIB, open_ws};
static const struct pipe_kind wss = {"websocket in TLS", 16 * MIB, 128 * MIB, open_wss};

static int run_websockets(void)
{
    const char *const options[] = {"--joins", "1000",           "--cert", test_relay_cert(),
                                   "--key",   test_relay_key(), NULL};
    int n_failed;

    test_relay_open(&relay, options);
    n_failed = pipe_suite_run(&ws) + pipe_suite_run(&wss);
    test_relay_close(&relay);
    return n_failed;
}

static const struct pipe_kind tcp4 = {"tcp 127.0.0.1", 64 * MIB, 128 * MIB, open_tcp4};
static const struct pipe_kind tcp6 = {"tcp ::1", 64 * MIB, 128 * MIB, open_tcp6};
static const struct pipe_kind memory = {"memory", 64 * MIB, 64 * 1024 + 8, open_memory};
static const struct pipe_kind memory_in_bytes = {"memory, segments of 1", 8 * MIB, 1001,
                                                 open_memory_in_bytes};

int main(void)
{
    int n_failed = pipe_suite_run(&memory) + pipe_suite_run(&memory_in_bytes);

    n_failed += pipe_suite_run(&tcp4);
    if (have_ipv6())
        n_failed += pipe_suite_run(&tcp6);
    n_failed += run_websockets();
    return n_failed > 0;
}
