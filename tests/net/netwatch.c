/* SPDX-License-Identifier: MIT */
/* Changes of a network of the test's own: it has nothing but a loopback device. */
#include "tests/net/loop.h"

#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/net/netwatch.h"

static struct test_loop loop;
static unsigned n_changes;

static void on_changed(void *owner)
{
    (void)owner;
    n_changes++;
}

static void set_up(bool up)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo"};
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &request), 0);
    request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    close(fd);
}

static void interfaces_that_come_and_go_are_told(void **state)
{
    struct ftx_netwatch *watch;
    (void)state;
    if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        skip();
    test_loop_open(&loop);
    assert_int_equal(ftx_netwatch_start(&loop.uv, on_changed, NULL, &watch), 0);
    for (unsigned i = 1; i <= 3; i++) {
        set_up(i % 2);
        set_up(i % 2); /* again changes nothing */
        test_loop_await(&loop, n_changes == i);
    }
    ftx_netwatch_stop(watch);
    test_loop_close(&loop);
    assert_int_equal(n_changes, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interfaces_that_come_and_go_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
