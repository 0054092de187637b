/* SPDX-License-Identifier: MIT */
/* Plain loopback sockets. */
#include "tests/net/sockets.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

static socklen_t fill(struct sockaddr_storage *out, const char *host, uint16_t port)
{
    memset(out, 0, sizeof(*out));
    if (strchr(host, ':')) {
        assert_int_equal(uv_ip6_addr(host, port, (struct sockaddr_in6 *)out), 0);
        return sizeof(struct sockaddr_in6);
    }
    assert_int_equal(uv_ip4_addr(host, port, (struct sockaddr_in *)out), 0);
    return sizeof(struct sockaddr_in);
}

static int open_with(int (*attach)(int, const struct sockaddr *, socklen_t), const char *host,
                     uint16_t port)
{
    struct sockaddr_storage address;
    socklen_t length = fill(&address, host, port);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int err;

    if (fd < 0 || attach(fd, (struct sockaddr *)&address, length) == 0)
        return fd < 0 ? -errno : fd;
    err = -errno;
    close(fd);
    return err;
}

bool have_ipv6(void)
{
    int fd = open_with(bind, "::1", 0);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

int socket_call(const char *host, uint16_t port)
{
    return open_with(connect, host, port);
}

int socket_refusing(const char *host, uint16_t *out_port)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);
    int fd = open_with(bind, host, 0);

    assert_true(fd >= 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    *out_port = ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                                    : ((struct sockaddr_in *)&address)->sin_port);
    return fd;
}

int socket_listening(const char *host, uint16_t *out_port)
{
    int fd = socket_refusing(host, out_port);

    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

void socket_silent(int out_fds[2], uint16_t *out_port)
{
    out_fds[0] = socket_refusing("127.0.0.1", out_port);
    assert_int_equal(listen(out_fds[0], 0), 0); /* room for one */
    out_fds[1] = socket_call("127.0.0.1", *out_port);
    assert_true(out_fds[1] >= 0);
}
