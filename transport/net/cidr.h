/* SPDX-License-Identifier: MIT */
/* A range of addresses, as people write it: "192.0.2.0/24", "2001:db8::/32". Pure. */
#ifndef FTX_NET_CIDR_H
#define FTX_NET_CIDR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* IPv4 stands as IPv4-mapped IPv6, 96 bits longer. */
struct ftx_cidr {
    uint8_t prefix[16];
    uint8_t n_bits; /* of prefix; the others are 0 */
};

/*
 * "ADDRESS" or "ADDRESS/BITS", IPv4 in four parts or IPv6; ::ffff:0:0/96 and what is in it are
 * IPv4. -EINVAL if `text` is neither, or has bits behind its prefix.
 */
int ftx_cidr_parse(const char *text, struct ftx_cidr *out);

/* True for an address of the range. An IPv4-mapped one counts as IPv4, which is in no range of IPv6,
 * ::/0 included. False for other families. */
bool ftx_cidr_contains(const struct ftx_cidr *cidr, const struct sockaddr *address);

#endif
