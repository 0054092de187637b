/* SPDX-License-Identifier: MIT */
/* Paths, tokens and the sources that balancers name. */
#include "transport/relay/request.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int ftx_relay_request_parse(const char *path, const char *query, struct ftx_relay_request *out)
{
    static const char before[] = "/v1/room/";
    size_t n_room;

    if (strncmp(path, before, strlen(before)) != 0)
        return -EINVAL;
    path += strlen(before);
    n_room = strlen(path);
    if (!ftx_room_name_is_valid(path, n_room) ||
        (strcmp(query, "role=s") != 0 && strcmp(query, "role=r") != 0))
        return -EINVAL;
    memcpy(out->room, path, n_room + 1);
    out->role = query[strlen("role=")];
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_token(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    return length >= 1 && length <= FTX_TOKEN_MAX;
}

static int add_token(struct ftx_tokens *tokens, const char *text, size_t length)
{
    void *grown = realloc(tokens->tokens, (tokens->n_tokens + 1) * sizeof(*tokens->tokens));

    if (!grown)
        return -ENOMEM;
    tokens->tokens = grown;
    memset(tokens->tokens[tokens->n_tokens], 0, sizeof(*tokens->tokens));
    memcpy(tokens->tokens[tokens->n_tokens++], text, length);
    return 0;
}

int ftx_tokens_parse(const char *text, size_t size, struct ftx_tokens *out)
{
    struct ftx_tokens tokens = {.n_tokens = 0};
    const char *end = text + size;
    int err = 0;

    while (text < end && err == 0) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *stop = newline ? newline : end;
        const char *next = newline ? newline + 1 : end;

        while (text < stop && is_blank(*text))
            text++;
        while (stop > text && is_blank(stop[-1]))
            stop--;
        if (text < stop && *text != '#')
            err = is_token(text, (size_t)(stop - text))
                      ? add_token(&tokens, text, (size_t)(stop - text))
                      : -EINVAL;
        text = next;
    }
    if (err == 0 && tokens.n_tokens == 0)
        err = -EINVAL;
    if (err < 0) {
        ftx_tokens_close(&tokens);
        return err;
    }
    *out = tokens;
    return 0;
}

void ftx_tokens_close(struct ftx_tokens *tokens)
{
    if (tokens->tokens)
        explicit_bzero(tokens->tokens, tokens->n_tokens * sizeof(*tokens->tokens));
    free(tokens->tokens);
    tokens->tokens = NULL;
    tokens->n_tokens = 0;
}

bool ftx_tokens_match(const struct ftx_tokens *tokens, const char *authorization)
{
    static const char scheme[] = "Bearer ";
    char given[FTX_TOKEN_MAX + 1] = {0};
    bool found = false;
    size_t length;

    if (strncasecmp(authorization, scheme, strlen(scheme)) != 0)
        return false;
    authorization += strlen(scheme);
    length = strlen(authorization);
    if (!is_token(authorization, length))
        return false;
    memcpy(given, authorization, length);
    for (size_t i = 0; i < tokens->n_tokens; i++) {
        unsigned char differ = 0;
        for (size_t at = 0; at < sizeof(given); at++)
            differ |= (unsigned char)(given[at] ^ tokens->tokens[i][at]);
        found |= differ == 0;
    }
    explicit_bzero(given, sizeof(given));
    return found;
}

/* 1 to 65535, or 0: it is none. */
static uint16_t parse_port(const char *text)
{
    size_t length = strspn(text, "0123456789");
    unsigned long port = length <= 5 && !text[length] ? strtoul(text, NULL, 10) : 0;

    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

/* Cuts the port, if there is one, off the address; NULL: neither. */
static char *split_port(char *text, uint16_t *out_port)
{
    char *end = text[0] == '[' ? strchr(text, ']') : strchr(text, ':');

    *out_port = 0;
    if (text[0] != '[' && (!end || strchr(end + 1, ':')))
        return text; /* IPv4 or IPv6 alone */
    if (!end || (*end == ']' && end[1] != ':'))
        return NULL;
    *out_port = parse_port(end + (*end == ']' ? 2 : 1));
    *end = '\0';
    return *out_port ? text + (text[0] == '[') : NULL;
}

int ftx_forwarded_parse(const char *value, struct ftx_source *out, uint16_t *out_port)
{
    const char *comma = strrchr(value, ',');
    const char *last = comma ? comma + 1 : value;
    char text[INET6_ADDRSTRLEN + sizeof("[]:65535")], *address;
    struct ftx_source source = {.bytes = {[10] = 0xff, [11] = 0xff}};
    uint16_t port;
    size_t length;

    last += strspn(last, " \t");
    length = strcspn(last, " \t");
    if (length >= sizeof(text))
        return -EINVAL;
    memcpy(text, last, length);
    text[length] = '\0';
    address = split_port(text, &port);
    if (!address || (inet_pton(AF_INET, address, source.bytes + 12) != 1 &&
                     inet_pton(AF_INET6, address, source.bytes) != 1))
        return -EINVAL;
    *out = source;
    *out_port = port;
    return 0;
}
