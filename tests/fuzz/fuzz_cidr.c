/* SPDX-License-Identifier: MIT */
/* ftx_cidr_parse on any text: what it takes has its first and its last address, and no bit more. */
#include "transport/net/cidr.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has(const struct ftx_cidr *cidr, const uint8_t bytes[16])
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};

    memcpy(&address.sin6_addr, bytes, 16);
    return ftx_cidr_contains(cidr, (struct sockaddr *)&address);
}

static void check(const struct ftx_cidr *cidr)
{
    uint8_t last[16], beside[16];

    memcpy(last, cidr->prefix, sizeof(last));
    for (unsigned i = cidr->n_bits; i < 128; i++)
        last[i / 8] |= (uint8_t)(0x80 >> i % 8);
    if (cidr->n_bits > 128 || !has(cidr, cidr->prefix) || !has(cidr, last))
        abort();
    if (cidr->n_bits == 0)
        return;
    memcpy(beside, cidr->prefix, sizeof(beside));
    beside[(cidr->n_bits - 1) / 8] ^= (uint8_t)(0x80 >> (cidr->n_bits - 1) % 8);
    if (has(cidr, beside))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ftx_cidr cidr;
    char *text = malloc(size + 1); /* exact, so that a read past the end is seen */

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (ftx_cidr_parse(text, &cidr) == 0)
        check(&cidr);
    free(text);
    return 0;
}
