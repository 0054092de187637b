/* SPDX-License-Identifier: MIT */
/* Connections from nobody we know, and from friends gone wrong: they cost little, end soon, and
 * keep nobody out. */
#include "tests/peer/link.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/net/sockets.h"
#include "transport/base/err.h"
#include "transport/peer/peer_internal.h"
#include "transport/wire/cursor.h"

enum { PLACES = 64 };

static struct link both; /* of the running case */

static struct ftx_node *node_of(int end)
{
    return both.ends[end].node;
}

static int call(int end)
{
    int fd = socket_call("127.0.0.1", ftx_node_port(node_of(end)));
    assert_true(fd >= 0);
    return fd;
}

/* Drops what comes. */
static bool is_closed(int fd)
{
    uint8_t bytes[512];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        ;
    return n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

static void say(int fd, const void *bytes, size_t size)
{
    (void)send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static size_t make_hello(uint8_t out[FTX_HELLO_MIN], const char *label)
{
    struct ftx_writer w = ftx_writer(out, FTX_HELLO_MIN);
    uint8_t nonce[FTX_NONCE_SIZE], hint[FTX_HINT_SIZE];
    randombytes_buf(nonce, sizeof nonce);
    ftx_hint_pair(label, nonce, hint);
    ftx_write_bytes(&w, "FTXP", 4);
    ftx_write_u8(&w, FTX_HELLO_MIN);
    ftx_write_u8(&w, FTX_VERSION);
    ftx_write_u8(&w, FTX_VERSION);
    ftx_write_u8(&w, FTX_MODE_PAIR);
    ftx_write_u8(&w, FTX_ROLE_S);
    ftx_write_u8(&w, 0);
    ftx_write_bytes(&w, nonce, sizeof nonce);
    ftx_write_bytes(&w, hint, sizeof hint);
    assert_int_equal(w.size, FTX_HELLO_MIN);
    return w.size;
}

/* R alone, armed, listening. */
static void open_r(void)
{
    link_open(&both, CODE, CODE);
    both.dials[R] = false;
    link_start(&both, R);
}

static void friend_still_pairs(void)
{
    link_start(&both, S);
    test_loop_await(&both.loop, link_connected(&both));
}

/* -- who has no code -- */

static void garbage_is_closed_without_a_word(void **state)
{
    (void)state;
    open_r();
    for (size_t size = 1; size < 2000; size = size * 2 + 3) {
        uint8_t garbage[2048], answer;
        int fd = call(R);
        randombytes_buf(garbage, sizeof garbage);
        if (size > 100)
            (void)make_hello(garbage, "not-this-one");
        say(fd, garbage, size);
        if (size < FTX_HELLO_MIN)
            shutdown(fd, SHUT_WR);
        ssize_t n = -1;
        errno = EAGAIN;
        while (n < 0 && errno == EAGAIN) {
            test_loop_turn(&both.loop, "its end");
            n = recv(fd, &answer, 1, MSG_DONTWAIT);
        }
        assert_true(n <= 0);
        close(fd);
    }
    assert_int_equal(both.ends[R].n_saves, 0);
    friend_still_pairs();
    link_close(&both);
}

static void idle_connections_end_at_the_deadline(void **state)
{
    (void)state;
    uint8_t hello[FTX_HELLO_MIN];
    open_r();
    int silent = call(R), trickling = call(R);
    size_t size = make_hello(hello, "7"), said = 0;
    while (!is_closed(silent) || !is_closed(trickling)) {
        if (said < size - 1) /* a trickle buys no time */
            say(trickling, hello + said++, 1);
        test_loop_turn(&both.loop, "the deadline");
    }
    assert_int_equal(node_of(R)->n_pending, 0);
    close(silent);
    close(trickling);
    friend_still_pairs();
    link_close(&both);
}

/* Who knows the label can begin a handshake, and stall. */
static void stalled_handshake_spends_no_guess(void **state)
{
    (void)state;
    uint8_t hello[FTX_HELLO_MIN];
    open_r();
    int fd = call(R);
    say(fd, hello, make_hello(hello, "7"));
    test_loop_await(&both.loop, is_closed(fd));
    assert_int_equal(both.ends[R].n_saves, 0);
    close(fd);
    friend_still_pairs();
    link_close(&both);
}

static void crowd_takes_at_most_64_places_and_keeps_no_friend_out(void **state)
{
    (void)state;
    int fds[300];
    enum { N = sizeof fds / sizeof *fds };
    open_r();
    for (size_t i = 0; i < N; i++) {
        fds[i] = call(R);
        uv_run(&both.loop.uv, UV_RUN_NOWAIT);
        assert_true(node_of(R)->n_pending <= PLACES);
    }
    test_loop_await(&both.loop, node_of(R)->n_pending == PLACES);
    friend_still_pairs();
    size_t n_open = 0;
    for (size_t i = 0; i < N; i++) {
        n_open += !is_closed(fds[i]);
        close(fds[i]);
    }
    assert_true(n_open <= PLACES);
    link_close(&both);
}

/* -- who has the keys, but not the manners -- */

struct client {
    struct ftx_connection *connection;
    bool records, gone;
    int err;
    uint8_t goodbye;
};

static void on_client_wants(void *owner, struct ftx_connection *c, enum ftx_handshake_want want)
{
    struct client *client = owner;
    (void)c;
    assert_int_equal(want, FTX_WANT_RECORDS);
    client->records = true;
    ftx_connection_settle(c);
}

static void on_client_heard(void *owner, struct ftx_connection *c)
{
    (void)owner, (void)c;
}

static void on_client_record(void *owner, struct ftx_connection *c, const uint8_t *plain,
                             size_t size, void *whole)
{
    struct client *client = owner;
    struct ftx_message m;
    size_t offset = 0;
    (void)c;
    assert_int_equal(ftx_message_decode(plain, size, &offset, &m), 0);
    if (m.type == FTX_MSG_GOODBYE)
        client->goodbye = m.as.reason;
    ftx_block_free(whole);
}

static void on_client_built(void *owner, struct ftx_connection *c, struct ftx_plan *plan, bool sent)
{
    (void)owner, (void)c, (void)sent;
    ftx_plan_free(plan);
}

static void on_client_written(void *owner, struct ftx_connection *c, size_t size)
{
    (void)owner, (void)c, (void)size;
}

static void on_client_ended(void *owner, struct ftx_connection *c, int err)
{
    struct client *client = owner;
    client->err = err;
    ftx_connection_close(c);
}

static void on_client_gone(void *owner, struct ftx_connection *c)
{
    struct client *client = owner;
    (void)c;
    client->gone = true;
}

static const struct ftx_connection_events client_events = {
    .wants = on_client_wants,
    .heard = on_client_heard,
    .record = on_client_record,
    .built = on_client_built,
    .written = on_client_written,
    .ended = on_client_ended,
    .gone = on_client_gone,
};

static void on_client_dialled(void *owner, int err, struct ftx_pipe *pipe)
{
    struct client *client = owner;
    const struct ftx_handshake_link as_s = {
        .mode = FTX_MODE_RESUME, .role = FTX_ROLE_S, .keys = &both.ends[S].disk.keys};
    assert_int_equal(err, 0);
    assert_int_equal(
        ftx_connection_new(&both.loop.uv, pipe, &client_events, client, &as_s, &client->connection),
        0);
}

/* A connection that R takes for one of S, up to its records. */
static void resume_as_s(struct client *client)
{
    struct ftx_address address = {.host = "127.0.0.1", .port = ftx_node_port(node_of(R))};
    struct ftx_dial *dial;
    memset(client, 0, sizeof *client);
    assert_int_equal(ftx_tcp_dial(&both.loop.uv, &address, on_client_dialled, client, &dial), 0);
    test_loop_await(&both.loop, client->records);
}

static void send_message(struct client *client, const struct ftx_message *m)
{
    struct ftx_plan *plan = ftx_plan_new(0, 0);
    assert_int_equal(ftx_plan_add_message(plan, m), 0);
    ftx_connection_send(client->connection, plan, NULL, NULL);
}

/* S has paired and stopped: R waits for it. */
static void open_paired_r(void)
{
    open_r();
    friend_still_pairs();
    end_stop(&both.ends[S]);
    test_loop_await(&both.loop, both.ends[R].n_ended == 1);
}

static void resume_without_a_record_ends_at_the_deadline(void **state)
{
    (void)state;
    struct client client;
    open_paired_r();
    resume_as_s(&client);
    test_loop_await(&both.loop, client.gone);
    assert_int_equal(client.err, UV_EOF);
    assert_int_equal(both.ends[R].n_begun, 1);
    friend_still_pairs();
    link_close(&both);
}

static void first_record_must_start_or_join(void **state)
{
    (void)state;
    const struct ftx_message firsts[] = {
        {.type = FTX_MSG_PING},
        {.type = FTX_MSG_HAVE_END},
        {.type = FTX_MSG_JOIN}, /* there is no session */
        {.type = FTX_MSG_GOODBYE, .as.reason = FTX_BYE_LEAVING},
    };
    open_paired_r();
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        struct client client;
        resume_as_s(&client);
        send_message(&client, &firsts[i]);
        test_loop_await(&both.loop, client.gone);
        assert_int_equal(client.goodbye, 0);
    }
    assert_int_equal(both.ends[R].n_begun, 1);
    friend_still_pairs();
    link_close(&both);
}

static void used_session_number_is_refused_and_harms_nothing(void **state)
{
    (void)state;
    struct client client;
    open_r();
    friend_still_pairs();
    resume_as_s(&client);
    struct ftx_message start = {.type = FTX_MSG_START};
    start.as.start.session = both.ends[R].engine->session;
    send_message(&client, &start);
    test_loop_await(&both.loop, client.gone);
    assert_int_equal(client.goodbye, FTX_BYE_REPLACED);
    end_send(&both.ends[S], PIECE);
    test_loop_await(&both.loop, end_delivered(&both.ends[S]));
    assert_int_equal(both.ends[R].n_begun, 1);
    link_close(&both);
}

static void join_of_another_session_is_refused_and_harms_nothing(void **state)
{
    (void)state;
    struct client client;
    open_r();
    friend_still_pairs();
    resume_as_s(&client);
    struct ftx_message join = {.type = FTX_MSG_JOIN};
    join.as.start.session = both.ends[R].engine->session + 1;
    send_message(&client, &join);
    test_loop_await(&both.loop, client.gone);
    end_send(&both.ends[S], PIECE);
    test_loop_await(&both.loop, end_delivered(&both.ends[S]));
    assert_int_equal(both.ends[R].n_begun, 1);
    link_close(&both);
}

/* -- the gate -- */

static bool admit(struct ftx_gate *gate, const char *address, unsigned n, uint64_t now_ms)
{
    bool all = true;
    for (unsigned i = 0; i < n; i++)
        all = ftx_gate_admit(gate, address, now_ms) && all;
    return all;
}

static void source_has_20_at_once_and_5_a_second(void **state)
{
    (void)state;
    struct ftx_gate gate = {0};
    assert_true(admit(&gate, "1.2.3.4:1", 20, 0));
    assert_false(admit(&gate, "1.2.3.4:2", 1, 0)); /* the port makes no other source */
    assert_true(admit(&gate, "1.2.3.5:1", 20, 0));
    assert_false(admit(&gate, "1.2.3.4:3", 1, 199));
    assert_true(admit(&gate, "1.2.3.4:4", 1, 200));
    assert_false(admit(&gate, "1.2.3.4:5", 1, 200));
    assert_true(admit(&gate, "1.2.3.4:6", 5, 1200));
    assert_false(admit(&gate, "1.2.3.4:7", 1, 1200));
    assert_true(admit(&gate, "1.2.3.4:8", 20, 1000000));
    assert_false(admit(&gate, "1.2.3.4:9", 1, 1000000));
}

static void ipv6_source_is_a_64(void **state)
{
    (void)state;
    struct ftx_gate gate = {0};
    assert_true(admit(&gate, "[2001:db8::1]:1", 10, 5));
    assert_true(admit(&gate, "[2001:db8::ffff:1]:1", 10, 5));
    assert_false(admit(&gate, "[2001:db8::2]:1", 1, 5));
    assert_true(admit(&gate, "[2001:db8:0:1::1]:1", 20, 5));
    assert_true(admit(&gate, "[fe80::1%eth0]:1", 20, 5));
    assert_false(admit(&gate, "[fe80::2%eth1]:1", 1, 5));
}

static void this_machine_has_more(void **state)
{
    (void)state;
    struct ftx_gate gate = {0};
    assert_true(admit(&gate, "127.0.0.1:1", 1000, 5));
    assert_true(admit(&gate, "[::1]:1", 1000, 5));
    assert_false(admit(&gate, "127.0.0.1:1", 5000, 5));
}

static void many_sources_do_not_shut_the_gate(void **state)
{
    (void)state;
    struct ftx_gate gate = {0};
    char address[32];
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(address, sizeof address, "10.1.%u.%u:1", i / 256, i % 256);
        assert_true(admit(&gate, address, 1, i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(garbage_is_closed_without_a_word),
        cmocka_unit_test(idle_connections_end_at_the_deadline),
        cmocka_unit_test(stalled_handshake_spends_no_guess),
        cmocka_unit_test(crowd_takes_at_most_64_places_and_keeps_no_friend_out),
        cmocka_unit_test(resume_without_a_record_ends_at_the_deadline),
        cmocka_unit_test(first_record_must_start_or_join),
        cmocka_unit_test(used_session_number_is_refused_and_harms_nothing),
        cmocka_unit_test(join_of_another_session_is_refused_and_harms_nothing),
        cmocka_unit_test(source_has_20_at_once_and_5_a_second),
        cmocka_unit_test(ipv6_source_is_a_64),
        cmocka_unit_test(this_machine_has_more),
        cmocka_unit_test(many_sources_do_not_shut_the_gate),
    };
    signal(SIGPIPE, SIG_IGN);
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
