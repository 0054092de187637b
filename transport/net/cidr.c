/* SPDX-License-Identifier: MIT */
/* Address ranges: everything is IPv6 here, so that there is one comparison. */
#include "transport/net/cidr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

enum { MAPPED_BITS = 96 };

static const uint8_t mapped[MAPPED_BITS / 8] = {[10] = 0xff, [11] = 0xff};

static bool is_mapped(const uint8_t address[16])
{
    return memcmp(address, mapped, sizeof(mapped)) == 0;
}

static void map(const void *in4, uint8_t out[16])
{
    memcpy(out, mapped, sizeof(mapped));
    memcpy(out + sizeof(mapped), in4, 4);
}

/* True if the bits before `n` are equal. */
static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned n)
{
    unsigned n_rest = n % 8;

    return memcmp(a, b, n / 8) == 0 && (n_rest == 0 || (a[n / 8] ^ b[n / 8]) >> (8 - n_rest) == 0);
}

/* One to three digits, and no more than `most`. */
static int parse_bits(const char *text, unsigned most, unsigned *out_bits)
{
    size_t n_digits = strspn(text, "0123456789");
    unsigned bits = 0;

    if (n_digits < 1 || n_digits > 3 || text[n_digits] != '\0')
        return -EINVAL;
    for (size_t i = 0; i < n_digits; i++)
        bits = bits * 10 + (unsigned)(text[i] - '0');
    if (bits > most)
        return -EINVAL;
    *out_bits = bits;
    return 0;
}

int ftx_cidr_parse(const char *text, struct ftx_cidr *out)
{
    size_t length = strcspn(text, "/");
    char host[INET6_ADDRSTRLEN];
    struct in_addr in4;
    struct ftx_cidr cidr;
    unsigned before = 0; /* bits in front of those that are counted */
    unsigned bits;

    if (length >= sizeof(host))
        return -EINVAL;
    memcpy(host, text, length);
    host[length] = '\0';
    if (inet_pton(AF_INET, host, &in4) == 1) {
        map(&in4, cidr.prefix);
        before = MAPPED_BITS;
    } else if (inet_pton(AF_INET6, host, cidr.prefix) != 1) {
        return -EINVAL;
    }
    bits = 128 - before;
    if (text[length] == '/' && parse_bits(text + length + 1, 128 - before, &bits) < 0)
        return -EINVAL;
    cidr.n_bits = (uint8_t)(before + bits);
    for (unsigned i = cidr.n_bits; i < 128; i++)
        if (cidr.prefix[i / 8] >> (7 - i % 8) & 1)
            return -EINVAL;
    *out = cidr;
    return 0;
}

bool ftx_cidr_contains(const struct ftx_cidr *cidr, const struct sockaddr *address)
{
    uint8_t bytes[16];

    if (address->sa_family == AF_INET)
        map(&((const struct sockaddr_in *)address)->sin_addr, bytes);
    else if (address->sa_family == AF_INET6)
        memcpy(bytes, &((const struct sockaddr_in6 *)address)->sin6_addr, sizeof(bytes));
    else
        return false;
    return is_mapped(bytes) == is_mapped(cidr->prefix) &&
           same_prefix(cidr->prefix, bytes, cidr->n_bits);
}
