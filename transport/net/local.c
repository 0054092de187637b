/* SPDX-License-Identifier: MIT */
/* Words for addresses of this machine: three of our own, then interfaces, then the resolver's. */
#include "transport/net/local.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "transport/net/tailnet.h"

struct list {
    struct sockaddr_storage *addresses;
    size_t n;
};

static socklen_t size_of(int family)
{
    return family == AF_INET    ? sizeof(struct sockaddr_in)
           : family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                : 0;
}

/* Once each (/etc/hosts may name one twice); of other families none. */
static int add(struct list *list, const struct sockaddr *address)
{
    struct sockaddr_storage added = {0}, *addresses;
    size_t at = list->n;

    if (size_of(address->sa_family) == 0)
        return 0;
    memcpy(&added, address, size_of(address->sa_family));
    for (size_t i = 0; i < list->n; i++)
        if (memcmp(&list->addresses[i], &added, sizeof(added)) == 0)
            return 0;
    addresses = realloc(list->addresses, (list->n + 1) * sizeof(*addresses));
    if (!addresses)
        return -ENOMEM;
    list->addresses = addresses;
    while (added.ss_family == AF_INET && at > 0 && addresses[at - 1].ss_family == AF_INET6) {
        addresses[at] = addresses[at - 1];
        at--;
    }
    addresses[at] = added;
    list->n++;
    return 0;
}

static int add_pair(struct list *list, in_addr_t v4, const struct in6_addr *v6)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(v4)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = *v6};
    int err = add(list, (const struct sockaddr *)&in4);

    return err < 0 ? err : add(list, (const struct sockaddr *)&in6);
}

static int add_tailnet(struct list *list)
{
    struct ftx_tailnet tailnet;
    int err = ftx_tailnet_read(&tailnet);

    if (err < 0)
        return err;
    for (size_t i = 0; i < tailnet.n_own && err == 0; i++) {
        const uint8_t *bytes = tailnet.nodes[i].prefix;
        struct sockaddr_in in4 = {.sin_family = AF_INET};
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

        memcpy(&in4.sin_addr, bytes + 12, sizeof(in4.sin_addr));
        memcpy(&in6.sin6_addr, bytes, sizeof(in6.sin6_addr));
        err = add(list, IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) ? (const struct sockaddr *)&in4
                                                             : (const struct sockaddr *)&in6);
    }
    ftx_tailnet_free(&tailnet);
    return err;
}

static int add_interface(struct list *list, const char *name)
{
    struct ifaddrs *all;
    int err = 0;

    if (getifaddrs(&all) < 0)
        return -errno;
    for (const struct ifaddrs *it = all; it && err == 0; it = it->ifa_next)
        if (it->ifa_addr && strcmp(it->ifa_name, name) == 0)
            err = add(list, it->ifa_addr);
    freeifaddrs(all);
    return err;
}

static int add_resolved(struct list *list, uv_loop_t *loop, const char *host)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICSERV | AI_PASSIVE};
    uv_getaddrinfo_t resolve;
    int err = uv_getaddrinfo(loop, &resolve, NULL, host, "0", &hints); /* answers at once */

    if (err < 0)
        return err;
    for (const struct addrinfo *it = resolve.addrinfo; it && err == 0; it = it->ai_next)
        err = add(list, it->ai_addr);
    uv_freeaddrinfo(resolve.addrinfo);
    return err;
}

int ftx_local_addresses(uv_loop_t *loop, const char *host, struct sockaddr_storage **out_addresses,
                        size_t *out_n)
{
    struct list list = {0};
    int err;

    if (host[0] == '\0')
        err = add_pair(&list, INADDR_ANY, &in6addr_any);
    else if (strcmp(host, "localhost") == 0)
        err = add_pair(&list, INADDR_LOOPBACK, &in6addr_loopback);
    else if (strcmp(host, "tailscale") == 0)
        err = add_tailnet(&list);
    else if (if_nametoindex(host) != 0)
        err = add_interface(&list, host);
    else
        err = add_resolved(&list, loop, host);
    if (err == 0 && list.n == 0)
        err = -EADDRNOTAVAIL;
    if (err < 0) {
        free(list.addresses);
        return err;
    }
    *out_addresses = list.addresses;
    *out_n = list.n;
    return 0;
}
