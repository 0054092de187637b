/* SPDX-License-Identifier: MIT */
/* IP addresses, of both families in one shape, and those that this machine has. */
#ifndef FTX_NET_IP_H
#define FTX_NET_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { FTX_IP_TEXT = 46 };

/* IPv4 as ::ffff:a.b.c.d (RFC 4291 2.5.5.2). */
struct ftx_ip {
    uint8_t bytes[16];
};

/* A literal address, without its scope; false: it is none. */
bool ftx_ip_parse(const char *host, struct ftx_ip *out);
/* False: of another family. */
bool ftx_ip_of(const struct sockaddr *address, struct ftx_ip *out);
void ftx_ip_text(const struct ftx_ip *ip, char out[FTX_IP_TEXT]);

bool ftx_ip_is_v4(const struct ftx_ip *ip);
bool ftx_ip_is_loopback(const struct ftx_ip *ip);
bool ftx_ip_is_any(const struct ftx_ip *ip);
/* Means something only together with an interface. */
bool ftx_ip_is_link_local(const struct ftx_ip *ip);
/* One machine may have it: not the above, nor multicast, broadcast or reserved. */
bool ftx_ip_is_host(const struct ftx_ip *ip);

/* Nobody on the internet has it: loopback, link-local, RFC 1918, RFC 6598, RFC 4193. */
bool ftx_ip_is_private(const struct ftx_ip *ip);

/* Is it in a network that one of our interfaces is on, as among machines at one switch? */
bool ftx_ip_is_near(const struct ftx_ip *ip);

/*
 * Where a socket that is bound to `bound` can be reached from other machines (or, if it is bound to
 * a loopback address, from this one): at most `capacity` addresses; returns how many.
 */
size_t ftx_ip_own(const struct ftx_ip *bound, struct ftx_ip *out, size_t capacity);

#endif
