/* SPDX-License-Identifier: MIT */
/* Two ends on one local network, which is 127.0.0.1 here, and no address given: they meet; who is
 * not meant neither understands nor disturbs it. */
#include "tests/peer/link.h"

#include <netinet/in.h>
#include <signal.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "transport/net/multicast.h"
#include "transport/session/announce.h"

enum { HEARD_MAX = 256 };

static struct link both; /* of the running case */

/* Hears what is announced, and sends what it likes. */
static struct {
    struct ftx_multicast *multicast;
    uint8_t heard[HEARD_MAX][FTX_ANNOUNCE_SIZE];
    size_t n_heard;
} bystander;

static void on_received(void *owner, const uint8_t *bytes, size_t size,
                        const struct sockaddr *source)
{
    (void)owner;
    (void)source;
    if (size == FTX_ANNOUNCE_SIZE && bystander.n_heard < HEARD_MAX)
        memcpy(bystander.heard[bystander.n_heard++], bytes, size);
}

static bool on_reachable(void *owner, const struct sockaddr *own)
{
    (void)owner;
    (void)own;
    return true;
}

static const struct ftx_multicast_host host = {.received = on_received, .reachable = on_reachable};

static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void open_network(const char *code_s, const char *code_r)
{
    uint16_t port = free_port();
    link_open(&both, code_s, code_r);
    both.dials[S] = both.dials[R] = false;
    both.ends[S].lan_port = both.ends[R].lan_port = port;
    bystander.n_heard = 0;
    assert_int_equal(
        ftx_multicast_start(&both.loop.uv, port, true, &host, NULL, &bystander.multicast), 0);
}

static void close_network(void)
{
    ftx_multicast_stop(bystander.multicast);
    link_close(&both);
}

static void say(const uint8_t *bytes, size_t size)
{
    ftx_multicast_send(bystander.multicast, true, bytes, size);
}

static void two_ends_meet_without_an_address(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++) {
        open_network(CODE, CODE);
        link_start(&both, first);
        test_loop_await(&both.loop, bystander.n_heard >= 4); /* it is alone for a while */
        link_start(&both, 1 - first);
        test_loop_await(&both.loop, link_connected(&both));

        for (int end = 0; end < 2; end++) { /* its port changes */
            end_stop(&both.ends[end]);
            link_start(&both, end);
            test_loop_await(&both.loop, link_connected(&both));
        }
        close_network();
    }
}

static void end_that_does_not_listen_is_answered(void **state)
{
    (void)state;
    for (int deaf = 0; deaf < 2; deaf++) {
        open_network(CODE, CODE);
        both.ends[deaf].deaf = true;
        link_start(&both, 1 - deaf);
        test_loop_await(&both.loop, bystander.n_heard >= 4);
        link_start(&both, deaf);
        test_loop_await(&both.loop, link_connected(&both));
        close_network();
    }
}

static void ends_in_one_role_do_not_answer_each_other(void **state)
{
    (void)state;
    open_network(CODE, CODE);
    both.ends[R].disk.role = FTX_ROLE_S;
    link_start(&both, S);
    link_start(&both, R);
    test_loop_await(&both.loop, bystander.n_heard >= 8);
    for (int end = 0; end < 2; end++) {
        assert_int_equal(both.ends[end].n_saves, 0);
        assert_false(both.ends[end].was_same_role); /* nor did they meet */
    }
    close_network();
}

static void codes_with_other_labels_do_not_meet(void **state)
{
    (void)state;
    open_network(CODE, "8-guitar-harvest");
    link_start(&both, S);
    link_start(&both, R);
    test_loop_await(&both.loop, bystander.n_heard >= 8);
    assert_int_equal(both.ends[S].disk.guesses + both.ends[R].disk.guesses, 0);
    assert_int_equal(both.ends[S].n_saves + both.ends[R].n_saves, 0);
    close_network();
}

static void announcements_of_one_link_have_nothing_in_common(void **state)
{
    (void)state;
    open_network(CODE, CODE);
    link_start(&both, S);
    test_loop_await(&both.loop, bystander.n_heard >= 4);
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < i; k++)
            for (size_t a = 8; a < FTX_ANNOUNCE_SIZE; a += FTX_LAN_TAG_SIZE)
                for (size_t b = 8; b < FTX_ANNOUNCE_SIZE; b += FTX_LAN_TAG_SIZE)
                    assert_memory_not_equal(bystander.heard[i] + a, bystander.heard[k] + b,
                                            FTX_LAN_TAG_SIZE);
    close_network();
}

/* What a recorded announcement brings about is one more look at an address that is known. */
static void junk_and_repetitions_change_nothing(void **state)
{
    (void)state;
    uint8_t junk[FTX_ANNOUNCE_SIZE];
    open_network(CODE, CODE);
    link_start(&both, S);
    test_loop_await(&both.loop, bystander.n_heard >= 1);
    for (unsigned i = 0; i < 2000; i++) {
        randombytes_buf(junk, sizeof junk);
        memcpy(junk, bystander.heard[0], i % 8);
        say(junk, i % 2 ? sizeof junk : i % sizeof junk);
        say(bystander.heard[0], sizeof bystander.heard[0] - i % 2);
    }
    link_start(&both, R);
    test_loop_await(&both.loop, link_connected(&both));
    assert_int_equal(both.ends[S].disk.guesses + both.ends[R].disk.guesses, 0);
    for (unsigned i = 0; i < 200; i++)
        say(bystander.heard[i % bystander.n_heard], sizeof bystander.heard[0]);
    end_send(&both.ends[S], PIECE);
    test_loop_await(&both.loop, end_delivered(&both.ends[S]));
    assert_int_equal(both.ends[S].n_begun, 1);
    close_network();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_ends_meet_without_an_address),
        cmocka_unit_test(end_that_does_not_listen_is_answered),
        cmocka_unit_test(ends_in_one_role_do_not_answer_each_other),
        cmocka_unit_test(codes_with_other_labels_do_not_meet),
        cmocka_unit_test(announcements_of_one_link_have_nothing_in_common),
        cmocka_unit_test(junk_and_repetitions_change_nothing),
    };
    signal(SIGPIPE, SIG_IGN);
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests_name("lan", tests, NULL, NULL);
}
