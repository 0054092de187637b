/* SPDX-License-Identifier: MIT */
/* What getifaddrs tells, read anew each time: it is asked rarely, and networks change. */
#include "transport/net/ip.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool ftx_ip_parse(const char *host, struct ftx_ip *out)
{
    char literal[FTX_IP_TEXT];
    size_t size = strcspn(host, "%");
    if (size >= sizeof literal)
        return false;
    snprintf(literal, sizeof literal, "%.*s", (int)size, host);
    memcpy(out->bytes, v4_prefix, sizeof v4_prefix);
    return inet_pton(AF_INET, literal, out->bytes + 12) == 1 ||
           inet_pton(AF_INET6, literal, out->bytes) == 1;
}

bool ftx_ip_of(const struct sockaddr *address, struct ftx_ip *out)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in4 = (const struct sockaddr_in *)(const void *)address;
        memcpy(out->bytes, v4_prefix, sizeof v4_prefix);
        memcpy(out->bytes + 12, &in4->sin_addr, 4);
        return true;
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
        memcpy(out->bytes, &in6->sin6_addr, 16);
        return true;
    }
    return false;
}

void ftx_ip_text(const struct ftx_ip *ip, char out[FTX_IP_TEXT])
{
    bool v4 = ftx_ip_is_v4(ip);
    inet_ntop(v4 ? AF_INET : AF_INET6, ip->bytes + (v4 ? 12 : 0), out, FTX_IP_TEXT);
}

bool ftx_ip_is_v4(const struct ftx_ip *ip)
{
    return memcmp(ip->bytes, v4_prefix, sizeof v4_prefix) == 0;
}

static bool is_v6(const struct ftx_ip *ip, const char *text)
{
    struct ftx_ip other;
    return ftx_ip_parse(text, &other) && memcmp(ip->bytes, other.bytes, 16) == 0;
}

bool ftx_ip_is_loopback(const struct ftx_ip *ip)
{
    return ftx_ip_is_v4(ip) ? ip->bytes[12] == 127 : is_v6(ip, "::1");
}

bool ftx_ip_is_any(const struct ftx_ip *ip)
{
    return ftx_ip_is_v4(ip) ? is_v6(ip, "0.0.0.0") : is_v6(ip, "::");
}

bool ftx_ip_is_link_local(const struct ftx_ip *ip)
{
    if (ftx_ip_is_v4(ip))
        return ip->bytes[12] == 169 && ip->bytes[13] == 254;
    return ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80;
}

bool ftx_ip_is_host(const struct ftx_ip *ip)
{
    if (ftx_ip_is_loopback(ip) || ftx_ip_is_any(ip) || ftx_ip_is_link_local(ip))
        return false;
    if (ftx_ip_is_v4(ip))
        return ip->bytes[12] != 0 && ip->bytes[12] < 224; /* RFC 1112, RFC 6890 */
    return ip->bytes[0] != 0xff && ip->bytes[0] != 0;     /* RFC 4291: multicast, embedded IPv4 */
}

bool ftx_ip_is_private(const struct ftx_ip *ip)
{
    const uint8_t *v4 = ip->bytes + 12;
    if (ftx_ip_is_loopback(ip) || ftx_ip_is_link_local(ip))
        return true;
    if (!ftx_ip_is_v4(ip))
        return (ip->bytes[0] & 0xfe) == 0xfc;
    return v4[0] == 10 || (v4[0] == 172 && (v4[1] & 0xf0) == 16) ||
           (v4[0] == 192 && v4[1] == 168) || (v4[0] == 100 && (v4[1] & 0xc0) == 64);
}

static bool in_network(const struct ftx_ip *ip, const struct ifaddrs *it)
{
    struct ftx_ip own, mask;
    if (!ftx_ip_of(it->ifa_addr, &own) || !it->ifa_netmask || !ftx_ip_of(it->ifa_netmask, &mask))
        return false;
    if (ftx_ip_is_v4(&own)) /* above the mask stands the prefix, not ones */
        memset(mask.bytes, 0xff, sizeof v4_prefix);
    for (size_t i = 0; i < sizeof own.bytes; i++)
        if ((own.bytes[i] ^ ip->bytes[i]) & mask.bytes[i])
            return false;
    return true;
}

bool ftx_ip_is_near(const struct ftx_ip *ip)
{
    struct ifaddrs *all;
    bool near = !ftx_ip_is_v4(ip) && ftx_ip_is_link_local(ip);
    if (near || getifaddrs(&all) < 0)
        return near;
    for (const struct ifaddrs *it = all; it && !near; it = it->ifa_next)
        near = it->ifa_addr && it->ifa_flags & IFF_UP && it->ifa_flags & IFF_BROADCAST &&
               in_network(ip, it); /* a tunnel has no broadcast */
    freeifaddrs(all);
    return near;
}

size_t ftx_ip_own(const struct ftx_ip *bound, struct ftx_ip *out, size_t capacity)
{
    struct ifaddrs *all;
    size_t n = 0;
    if (!ftx_ip_is_any(bound)) {
        if (capacity > 0 && !ftx_ip_is_link_local(bound))
            out[n++] = *bound;
        return n;
    }
    if (getifaddrs(&all) < 0)
        return 0;
    for (const struct ifaddrs *it = all; it && n < capacity; it = it->ifa_next) {
        struct ftx_ip ip;
        if (it->ifa_addr && it->ifa_flags & IFF_UP && ftx_ip_of(it->ifa_addr, &ip) &&
            ftx_ip_is_v4(&ip) == ftx_ip_is_v4(bound) && ftx_ip_is_host(&ip))
            out[n++] = ip;
    }
    freeifaddrs(all);
    return n;
}
