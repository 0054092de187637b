/* SPDX-License-Identifier: MIT */
/* Multicast on the loopback interface, of IPv4: for the kernel's IPv6 it has none. What is sent comes,
 * once, with its source; a flood does not keep the loop busy. */
#include "tests/net/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "tests/net/sockets.h"
#include "transport/net/multicast.h"

struct member {
    struct ftx_multicast *multicast;
    bool reachable; /* what it says of all addresses */
    size_t n_received4, n_received6;
    uint8_t last[FTX_MULTICAST_MAX];
    size_t last_size;
};

struct group {
    struct test_loop loop;
    struct member members[2];
    uint16_t port;
};

static struct group *group; /* of the running case */

static void on_received(void *owner, const uint8_t *bytes, size_t size,
                        const struct sockaddr *source)
{
    struct member *member = owner;

    memcpy(member->last, bytes, size);
    member->last_size = size;
    if (source->sa_family == AF_INET) {
        assert_int_equal(((const struct sockaddr_in *)source)->sin_addr.s_addr,
                         htonl(INADDR_LOOPBACK));
        member->n_received4++;
    } else {
        assert_int_equal(source->sa_family, AF_INET6);
        member->n_received6++;
    }
}

static bool is_reachable(void *owner, const struct sockaddr *own)
{
    (void)own;
    return ((struct member *)owner)->reachable;
}

static const struct ftx_multicast_host host = {.received = on_received, .reachable = is_reachable};

static struct member *join(size_t i, bool loopback)
{
    struct member *member = &group->members[i];

    member->reachable = true;
    assert_int_equal(ftx_multicast_start(&group->loop.uv, group->port, loopback, &host, member,
                                         &member->multicast),
                     0);
    return member;
}

static void every_member_hears_once(void **state)
{
    static const uint8_t bytes[] = "datagram";
    struct member *a = join(0, true), *b = join(1, true);

    (void)state;
    ftx_multicast_send(a->multicast, true, bytes, sizeof(bytes));
    test_loop_await(&group->loop, b->n_received4 == 1 && a->n_received4 == 1);
    assert_int_equal(b->last_size, sizeof(bytes));
    assert_memory_equal(b->last, bytes, sizeof(bytes));
    test_loop_settle(&group->loop, &b->n_received4);
    assert_int_equal(b->n_received4, 1);
}

static void nothing_is_sent_where_it_is_not_asked_for(void **state)
{
    static const uint8_t bytes[] = "datagram";
    struct member *a = join(0, true), *b = join(1, true);

    (void)state;
    assert_true(ftx_multicast_has(a->multicast, true));
    assert_false(ftx_multicast_has(a->multicast, false));
    ftx_multicast_send(a->multicast, false, bytes, sizeof(bytes));
    a->reachable = false;
    ftx_multicast_look(a->multicast);
    assert_false(ftx_multicast_has(a->multicast, true));
    ftx_multicast_send(a->multicast, true, bytes, sizeof(bytes));
    test_loop_settle(&group->loop, &b->n_received4);
    assert_int_equal(b->n_received4 + b->n_received6, 0);
    ftx_multicast_send(a->multicast, false, bytes, sizeof(bytes));
    test_loop_await(&group->loop, b->n_received4 == 1);
}

static void loopback_is_used_only_when_asked_for(void **state)
{
    static const uint8_t bytes[] = "datagram";
    struct member *a = join(0, true), *b = join(1, false);

    (void)state;
    ftx_multicast_send(a->multicast, true, bytes, sizeof(bytes));
    test_loop_await(&group->loop, a->n_received4 == 1);
    test_loop_settle(&group->loop, &b->n_received4);
    assert_int_equal(b->n_received4 + b->n_received6, 0);
}

static int socket_to_group(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(group->port)};
    struct ip_mreqn out = {.imr_ifindex = (int)if_nametoindex("lo")};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_int_equal(inet_pton(AF_INET, "239.255.70.84", &to.sin_addr), 1);
    assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &out.imr_address), 1);
    assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof(out)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void longest_datagram_comes_and_a_longer_one_does_not(void **state)
{
    static const uint8_t bytes[FTX_MULTICAST_MAX + 1];
    struct member *a = join(0, true);
    int fd = socket_to_group();

    (void)state;
    assert_int_equal(send(fd, bytes, FTX_MULTICAST_MAX + 1, 0), FTX_MULTICAST_MAX + 1);
    assert_int_equal(send(fd, bytes, 0, 0), 0);
    assert_int_equal(send(fd, bytes, FTX_MULTICAST_MAX, 0), FTX_MULTICAST_MAX);
    test_loop_await(&group->loop, a->n_received4 == 1);
    assert_int_equal(a->last_size, FTX_MULTICAST_MAX);
    test_loop_settle(&group->loop, &a->n_received4);
    assert_int_equal(a->n_received4, 1);
    close(fd);
}

static void datagrams_to_the_machine_itself_are_none_of_ours(void **state)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(group->port)};
    struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons(group->port)};
    struct member *a = join(0, true);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int fd6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)state;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to6.sin6_addr = in6addr_loopback;
    (void)sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to));
    if (have_ipv6())
        (void)sendto(fd6, "x", 1, 0, (struct sockaddr *)&to6, sizeof(to6));
    test_loop_settle(&group->loop, &a->n_received6);
    assert_int_equal(a->n_received4 + a->n_received6, 0);
    close(fd);
    close(fd6);
}

static void flood_is_cut_and_the_loop_sleeps(void **state)
{
    struct member *a = join(0, true);
    int fd = socket_to_group();

    (void)state;
    for (size_t i = 0; i < 1000; i++)
        (void)!send(fd, "junk", 4, 0);
    test_loop_await(&group->loop, a->n_received4 >= 64);
    test_loop_settle(&group->loop, &a->n_received4);
    for (size_t i = 0; i < 1000; i++)
        (void)!send(fd, "junk", 4, 0);
    test_loop_settle(&group->loop, &a->n_received4);
    assert_true(a->n_received4 < 128);
    assert_in_range(uv_backend_timeout(&group->loop.uv), 1, 250); /* sleeps: does not read */
    close(fd);
}

static void port_of_a_program_that_does_not_share_fails(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct sockaddr_in6 address6 = {.sin6_family = AF_INET6, .sin6_port = htons(group->port)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int fd6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ftx_multicast *multicast;

    (void)state;
    address.sin_port = htons(group->port);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    if (fd6 >= 0) {
        int on = 1;
        assert_int_equal(setsockopt(fd6, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)), 0);
        assert_int_equal(bind(fd6, (struct sockaddr *)&address6, sizeof(address6)), 0);
    }
    assert_int_equal(ftx_multicast_start(&group->loop.uv, group->port, true, &host,
                                         &group->members[0], &multicast),
                     -EADDRINUSE);
    close(fd);
    close(fd6);
}

static int set_up(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)state;
    group = test_calloc(1, sizeof(*group));
    test_loop_open(&group->loop);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    group->port = ntohs(address.sin_port);
    close(fd);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++)
        if (group->members[i].multicast)
            ftx_multicast_stop(group->members[i].multicast);
    test_loop_close(&group->loop);
    test_free(group);
    return 0;
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest cases[] = {
        CASE(every_member_hears_once),
        CASE(nothing_is_sent_where_it_is_not_asked_for),
        CASE(loopback_is_used_only_when_asked_for),
        CASE(longest_datagram_comes_and_a_longer_one_does_not),
        CASE(datagrams_to_the_machine_itself_are_none_of_ours),
        CASE(flood_is_cut_and_the_loop_sleeps),
        CASE(port_of_a_program_that_does_not_share_fails),
    };
#undef CASE

    return cmocka_run_group_tests_name("multicast", cases, NULL, NULL);
}
