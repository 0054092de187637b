/* SPDX-License-Identifier: MIT */
/* What people type as HOST:PORT, taken apart by its form; the resolver knows what exists. */
#include "transport/net/tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/* Letters of a host or interface name; bytes over 0x7f are left to IDNA in the resolver. */
static bool is_name(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
        bool digit = c >= '0' && c <= '9';
        if (!letter && !digit && c != '-' && c != '.' && c != '_')
            return false;
    }
    return length > 0;
}

/* An IPv6 literal, with or without the %interface that a link-local one needs. */
static bool is_ipv6(const char *text, size_t length)
{
    const char *percent = memchr(text, '%', length);
    size_t n_digits = percent ? (size_t)(percent - text) : length;
    char digits[INET6_ADDRSTRLEN];
    struct in6_addr ignored;

    if (n_digits >= sizeof(digits))
        return false;
    memcpy(digits, text, n_digits);
    digits[n_digits] = '\0';
    if (inet_pton(AF_INET6, digits, &ignored) != 1)
        return false;
    return !percent || is_name(percent + 1, length - n_digits - 1);
}

static int parse_port(const char *text, uint16_t *out_port)
{
    size_t length = strlen(text);
    unsigned port = 0;

    if (length < 1 || length > 5)
        return -EINVAL;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        port = port * 10 + (unsigned)(text[i] - '0');
    }
    if (port > UINT16_MAX)
        return -EINVAL;
    *out_port = (uint16_t)port;
    return 0;
}

int ftx_address_parse(const char *text, struct ftx_address *out)
{
    const char *host = text;
    const char *rest; /* what follows the host: "" or ":PORT" */
    size_t length;
    bool valid;
    uint16_t port = FTX_DEFAULT_PORT;

    if (text[0] == '[') {
        const char *bracket = strchr(text, ']');
        if (!bracket)
            return -EINVAL;
        host = text + 1;
        length = (size_t)(bracket - host);
        rest = bracket + 1;
        valid = is_ipv6(host, length);
    } else if (strchr(text, ':') != strrchr(text, ':')) {
        length = strlen(text);
        rest = text + length;
        valid = is_ipv6(host, length);
    } else {
        length = strcspn(text, ":");
        rest = text + length;
        valid = is_name(host, length) || (length == 0 && rest[0] == ':');
    }
    if (!valid || length >= sizeof(out->host))
        return -EINVAL;
    if (rest[0] != '\0' && (rest[0] != ':' || parse_port(rest + 1, &port) < 0))
        return -EINVAL;

    memcpy(out->host, host, length);
    out->host[length] = '\0';
    out->port = port;
    return 0;
}
