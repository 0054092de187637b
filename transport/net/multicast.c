/* SPDX-License-Identifier: MIT */
/*
 * Multicast: a socket for each family, a membership and a source address for each interface.
 *
 * Sockets are ours, watched with uv_poll_t: libuv's own tell neither where a datagram was sent to
 * nor can they choose the interface of a single one.
 */
#include "transport/net/multicast.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transport/base/err.h"
#include "transport/base/log.h"

enum {
    LOOK_MS = 15 * 1000,
    BURST = 64, /* datagrams */
    PER_SECOND = 20,
    PAUSE_MS = 250,          /* without tokens: what comes waits in the kernel, or is lost there */
    RECEIVE_BUFFER = 1 << 16 /* bytes */
};

/* 239.255.70.84 and ff12::4654:5850: of no authority, as transient groups are. */
static const uint8_t group4[4] = {239, 255, 70, 84};
static const uint8_t group6[16] = {0xff, 0x12, [12] = 0x46, 0x54, 0x58, 0x50};

enum { V4, V6, N_FAMILIES };

/* An interface in one family. */
struct way {
    unsigned interface;
    struct sockaddr_storage source; /* the address of ours that others shall answer to */
    bool reachable;
    bool joined;
    bool seen; /* by the look that is under way */
};

struct side {
    struct ftx_multicast *multicast;
    uv_poll_t poll;
    int fd; /* -1: this machine does not have this family */
    struct way ways[FTX_MULTICAST_INTERFACES];
    size_t n_ways;
};

struct ftx_multicast {
    const struct ftx_multicast_host *host;
    void *owner;
    uint16_t port;
    bool loopback;
    uv_timer_t look, pause;
    unsigned n_handles; /* not closed yet */
    uint64_t tokens;    /* thousandths of a datagram that may come */
    uint64_t tokens_at_ms;
    struct side sides[N_FAMILIES];
};

/* -- interfaces -- */

static bool is_suitable(const struct ftx_multicast *m, unsigned flags)
{
    if (!(flags & IFF_UP))
        return false;
    if (m->loopback)
        return flags & IFF_LOOPBACK;
    return flags & IFF_MULTICAST && !(flags & (IFF_LOOPBACK | IFF_POINTOPOINT));
}

/* How good an address is for answers: one that can be connected to, then one that stays on this
 * network. */
static int worth(const struct sockaddr *address, bool reachable)
{
    bool local = address->sa_family == AF_INET6 &&
                 IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)address)->sin6_addr);

    return 2 * reachable + local;
}

static void see(struct ftx_multicast *m, const struct ifaddrs *it)
{
    bool v6 = it->ifa_addr->sa_family == AF_INET6;
    struct side *side = &m->sides[v6 ? V6 : V4];
    unsigned interface = if_nametoindex(it->ifa_name);
    bool reachable = m->host->reachable(m->owner, it->ifa_addr);
    struct way *way = side->ways;

    while (way < side->ways + side->n_ways && way->interface != interface)
        way++;
    if (way == side->ways + FTX_MULTICAST_INTERFACES || interface == 0)
        return;
    if (way == side->ways + side->n_ways)
        side->ways[side->n_ways++] = (struct way){.interface = interface};
    if (way->seen && worth(it->ifa_addr, reachable) <=
                         worth((const struct sockaddr *)&way->source, way->reachable))
        return;
    way->seen = true;
    way->reachable = reachable;
    memcpy(&way->source, it->ifa_addr,
           v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
}

static int set_membership(const struct side *side, unsigned interface, bool join)
{
    bool v6 = side == &side->multicast->sides[V6];
    struct ip_mreqn request4 = {.imr_ifindex = (int)interface};
    struct ipv6_mreq request6 = {.ipv6mr_interface = interface};

    memcpy(&request4.imr_multiaddr, group4, sizeof(group4));
    memcpy(&request6.ipv6mr_multiaddr, group6, sizeof(group6));
    if (v6)
        return setsockopt(side->fd, IPPROTO_IPV6, join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP,
                          &request6, sizeof(request6));
    return setsockopt(side->fd, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP,
                      &request4, sizeof(request4));
}

/* The kernel keeps a membership while an interface is down, and forgets it with the interface. */
static void settle(struct side *side)
{
    for (size_t i = 0; i < side->n_ways;) {
        struct way *way = &side->ways[i];

        if (!way->seen) {
            if (way->joined)
                (void)set_membership(side, way->interface, false);
            *way = side->ways[--side->n_ways];
            continue;
        }
        if (!way->joined)
            way->joined = set_membership(side, way->interface, true) == 0 || errno == EADDRINUSE;
        i++;
    }
}

void ftx_multicast_look(struct ftx_multicast *m)
{
    struct ifaddrs *all;

    if (getifaddrs(&all) < 0)
        return; /* the next look may see more */
    for (unsigned i = 0; i < N_FAMILIES; i++)
        for (size_t k = 0; k < m->sides[i].n_ways; k++)
            m->sides[i].ways[k].seen = false;
    for (const struct ifaddrs *it = all; it; it = it->ifa_next)
        if (it->ifa_addr && is_suitable(m, it->ifa_flags) &&
            (it->ifa_addr->sa_family == AF_INET || it->ifa_addr->sa_family == AF_INET6))
            see(m, it);
    freeifaddrs(all);
    for (unsigned i = 0; i < N_FAMILIES; i++)
        if (m->sides[i].fd >= 0)
            settle(&m->sides[i]);
}

static void on_look(uv_timer_t *timer)
{
    ftx_multicast_look(timer->data);
}

/* -- what comes -- */

static void on_readable(uv_poll_t *poll, int status, int events);

static void watch(struct ftx_multicast *m)
{
    for (unsigned i = 0; i < N_FAMILIES; i++)
        if (m->sides[i].fd >= 0)
            uv_poll_start(&m->sides[i].poll, UV_READABLE, on_readable);
}

static void on_pause_over(uv_timer_t *timer)
{
    watch(timer->data);
}

/* Takes a token; without one nothing is read for a while. */
static bool may_receive(struct ftx_multicast *m)
{
    uint64_t now_ms = uv_now(m->look.loop);

    m->tokens += (now_ms - m->tokens_at_ms) * PER_SECOND;
    m->tokens_at_ms = now_ms;
    if (m->tokens > BURST * 1000)
        m->tokens = BURST * 1000;
    if (m->tokens >= 1000) {
        m->tokens -= 1000;
        return true;
    }
    for (unsigned i = 0; i < N_FAMILIES; i++)
        if (m->sides[i].fd >= 0)
            uv_poll_stop(&m->sides[i].poll);
    uv_timer_start(&m->pause, on_pause_over, PAUSE_MS, 0);
    return false;
}

/* IPv4 is bound to the group; IPv6 cannot be without an interface. */
static bool is_to_group(struct msghdr *message, bool v6)
{
    if (!v6)
        return true;
    for (struct cmsghdr *it = CMSG_FIRSTHDR(message); it; it = CMSG_NXTHDR(message, it)) {
        struct in6_pktinfo info;

        if (it->cmsg_level != IPPROTO_IPV6 || it->cmsg_type != IPV6_PKTINFO)
            continue;
        memcpy(&info, CMSG_DATA(it), sizeof(info));
        return memcmp(&info.ipi6_addr, group6, sizeof(group6)) == 0;
    }
    return false;
}

/* Level-triggered: one datagram for each turn. */
static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct side *side = poll->data;
    struct ftx_multicast *m = side->multicast;
    uint8_t bytes[FTX_MULTICAST_MAX];
    struct sockaddr_storage source = {0};
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof(bytes)};
    union {
        struct cmsghdr aligned;
        uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    } control;
    struct msghdr message = {.msg_name = &source,
                             .msg_namelen = sizeof(source),
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t n;

    (void)status;
    (void)events;
    if (!may_receive(m))
        return;
    n = recvmsg(side->fd, &message, MSG_DONTWAIT);
    if (n > 0 && !(message.msg_flags & MSG_TRUNC) && is_to_group(&message, side == &m->sides[V6]))
        m->host->received(m->owner, bytes, (size_t)n, (const struct sockaddr *)&source);
}

/* -- what goes -- */

bool ftx_multicast_has(const struct ftx_multicast *m, bool reachable)
{
    for (unsigned i = 0; i < N_FAMILIES; i++)
        for (size_t k = 0; k < m->sides[i].n_ways; k++)
            if (m->sides[i].ways[k].reachable == reachable)
                return true;
    return false;
}

/* From the address that others shall answer to, through its interface. */
static void send_through(const struct side *side, const struct way *way, const uint8_t *bytes,
                         size_t size)
{
    const struct ftx_multicast *m = side->multicast;
    bool v6 = side == &m->sides[V6];
    struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = htons(m->port)};
    struct sockaddr_in6 to6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(m->port), .sin6_scope_id = way->interface};
    struct in_pktinfo info4 = {.ipi_ifindex = (int)way->interface};
    struct in6_pktinfo info6 = {.ipi6_ifindex = way->interface};
    const void *info = v6 ? (const void *)&info6 : (const void *)&info4;
    size_t info_size = v6 ? sizeof(info6) : sizeof(info4);
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    union {
        struct cmsghdr aligned;
        uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    } control = {0};
    struct msghdr message = {.msg_name = v6 ? (void *)&to6 : (void *)&to4,
                             .msg_namelen = v6 ? sizeof(to6) : sizeof(to4),
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(info_size)};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);

    memcpy(&to4.sin_addr, group4, sizeof(group4));
    memcpy(&to6.sin6_addr, group6, sizeof(group6));
    info4.ipi_spec_dst = ((const struct sockaddr_in *)&way->source)->sin_addr;
    info6.ipi6_addr = ((const struct sockaddr_in6 *)&way->source)->sin6_addr;
    head->cmsg_level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
    head->cmsg_type = v6 ? IPV6_PKTINFO : IP_PKTINFO;
    head->cmsg_len = CMSG_LEN(info_size);
    memcpy(CMSG_DATA(head), info, info_size);
    (void)sendmsg(side->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void ftx_multicast_send(struct ftx_multicast *m, bool reachable, const uint8_t *bytes, size_t size)
{
    for (unsigned i = 0; i < N_FAMILIES; i++)
        for (size_t k = 0; k < m->sides[i].n_ways; k++)
            if (m->sides[i].ways[k].reachable == reachable)
                send_through(&m->sides[i], &m->sides[i].ways[k], bytes, size);
}

/* -- life -- */

static int set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value));
}

static int open4(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int err;

    memcpy(&address.sin_addr, group4, sizeof(group4));
    if (fd >= 0 && set(fd, SOL_SOCKET, SO_REUSEADDR, 1) == 0 &&
        set(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0) == 0 &&
        set(fd, IPPROTO_IP, IP_MULTICAST_TTL, 1) == 0 &&
        set(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER) == 0 &&
        bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    err = -errno;
    if (fd >= 0)
        close(fd);
    return err;
}

static int open6(uint16_t port)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int err;

    if (fd >= 0 && set(fd, SOL_SOCKET, SO_REUSEADDR, 1) == 0 &&
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) == 0 &&
        set(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0) == 0 &&
        set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 1) == 0 &&
        set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) == 0 &&
        set(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER) == 0 &&
        bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    err = -errno;
    if (fd >= 0)
        close(fd);
    return err;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct ftx_multicast *m = handle->data;

    if (--m->n_handles == 0)
        free(m);
}

static void on_poll_closed(uv_handle_t *handle)
{
    handle->data = ((struct side *)handle->data)->multicast;
    on_handle_closed(handle);
}

static void add_timer(struct ftx_multicast *m, uv_loop_t *loop, uv_timer_t *timer)
{
    uv_timer_init(loop, timer);
    timer->data = m;
    m->n_handles++;
}

/* A family that fails is done without. */
static int add_side(struct ftx_multicast *m, uv_loop_t *loop, struct side *side, int fd)
{
    int err = fd;

    side->multicast = m;
    side->fd = fd;
    if (fd >= 0 && (err = uv_poll_init(loop, &side->poll, fd)) < 0)
        close(fd);
    if (err < 0) {
        side->fd = -1;
        return err;
    }
    side->poll.data = side;
    m->n_handles++;
    return 0;
}

int ftx_multicast_start(uv_loop_t *loop, uint16_t port, bool loopback,
                        const struct ftx_multicast_host *host, void *owner,
                        struct ftx_multicast **out_multicast)
{
    struct ftx_multicast *m = calloc(1, sizeof(*m));
    int err4, err6;

    if (!m)
        return UV_ENOMEM;
    *m = (struct ftx_multicast){.host = host,
                                .owner = owner,
                                .port = port,
                                .loopback = loopback,
                                .tokens = BURST * 1000,
                                .tokens_at_ms = uv_now(loop)};
    add_timer(m, loop, &m->look);
    add_timer(m, loop, &m->pause);
    err4 = add_side(m, loop, &m->sides[V4], open4(port));
    err6 = add_side(m, loop, &m->sides[V6], open6(port));
    if (err4 < 0 && err6 < 0) {
        ftx_multicast_stop(m);
        return err4;
    }
    if (err4 < 0 || err6 < 0)
        ftx_log(FTX_LOG_DEBUG, "local network: without %s: %s", err4 < 0 ? "IPv4" : "IPv6",
                ftx_err_text(err4 < 0 ? err4 : err6));
    ftx_multicast_look(m);
    uv_timer_start(&m->look, on_look, LOOK_MS, LOOK_MS);
    watch(m);
    *out_multicast = m;
    return 0;
}

void ftx_multicast_stop(struct ftx_multicast *m)
{
    for (unsigned i = 0; i < N_FAMILIES; i++) {
        if (m->sides[i].fd < 0)
            continue;
        uv_close((uv_handle_t *)&m->sides[i].poll, on_poll_closed);
        close(m->sides[i].fd);
    }
    uv_close((uv_handle_t *)&m->look, on_handle_closed);
    uv_close((uv_handle_t *)&m->pause, on_handle_closed);
}
