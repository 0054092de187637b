/* SPDX-License-Identifier: MIT */
/*
 * Netlink only says that it is time to look: its messages also come when an address is confirmed by
 * a router, or when a wireless interface scans. What counts is the list of what is up, as a digest.
 */
#include "transport/net/netwatch.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/net/ip.h"

enum { SETTLE_MS = 250 };

struct ftx_netwatch {
    void (*changed)(void *owner);
    void *owner;
    int fd;
    uv_poll_t poll;
    uv_timer_t settle;
    uint64_t digest;
    unsigned n_handles;
};

static uint64_t mix(uint64_t digest, const void *bytes, size_t size)
{
    const uint8_t *at = bytes; /* FNV-1a */
    for (size_t i = 0; i < size; i++)
        digest = (digest ^ at[i]) * UINT64_C(0x100000001b3);
    return digest;
}

static uint64_t look(void)
{
    uint64_t digest = UINT64_C(0xcbf29ce484222325);
    struct ifaddrs *all;
    if (getifaddrs(&all) < 0)
        return 0;
    for (const struct ifaddrs *it = all; it; it = it->ifa_next) {
        struct ftx_ip ip;
        if (!(it->ifa_flags & IFF_UP) || !(it->ifa_flags & IFF_RUNNING) || !it->ifa_addr ||
            !ftx_ip_of(it->ifa_addr, &ip))
            continue;
        digest = mix(digest, it->ifa_name, strlen(it->ifa_name) + 1);
        digest = mix(digest, ip.bytes, sizeof ip.bytes);
    }
    freeifaddrs(all);
    return digest;
}

static void on_settled(uv_timer_t *timer)
{
    struct ftx_netwatch *watch = timer->data;
    uint64_t digest = look();
    bool changed = digest != watch->digest;
    watch->digest = digest;
    if (changed)
        watch->changed(watch->owner);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct ftx_netwatch *watch = poll->data;
    char bytes[4096];
    (void)status, (void)events;
    while (recv(watch->fd, bytes, sizeof bytes, 0) > 0 || errno == ENOBUFS)
        errno = 0;
    if (!uv_is_active((uv_handle_t *)&watch->settle))
        uv_timer_start(&watch->settle, on_settled, SETTLE_MS, 0);
}

int ftx_netwatch_start(uv_loop_t *loop, void (*changed)(void *owner), void *owner,
                       struct ftx_netwatch **out_watch)
{
    const struct sockaddr_nl address = {.nl_family = AF_NETLINK,
                                        .nl_groups =
                                            RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    struct ftx_netwatch *watch = calloc(1, sizeof *watch);
    int err;
    if (!watch)
        return -ENOMEM;
    *watch = (struct ftx_netwatch){.changed = changed, .owner = owner, .n_handles = 2};
    watch->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (watch->fd < 0 || bind(watch->fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        err = -errno;
        goto fail;
    }
    err = uv_poll_init(loop, &watch->poll, watch->fd);
    if (err)
        goto fail;
    uv_timer_init(loop, &watch->settle);
    watch->poll.data = watch->settle.data = watch;
    watch->digest = look();
    uv_poll_start(&watch->poll, UV_READABLE, on_readable);
    *out_watch = watch;
    return 0;

fail:
    if (watch->fd >= 0)
        close(watch->fd);
    free(watch);
    return err;
}

static void on_closed(uv_handle_t *handle)
{
    struct ftx_netwatch *watch = handle->data;
    if (--watch->n_handles > 0)
        return;
    close(watch->fd);
    free(watch);
}

void ftx_netwatch_stop(struct ftx_netwatch *watch)
{
    uv_close((uv_handle_t *)&watch->poll, on_closed);
    uv_close((uv_handle_t *)&watch->settle, on_closed);
}
