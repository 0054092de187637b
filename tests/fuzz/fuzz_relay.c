/* SPDX-License-Identifier: MIT */
/*
 * What strangers and operators write to a relay: "PATH\nQUERY" as a request, the same bytes as a
 * file of tokens, as an Authorization and as an X-Forwarded-For. What is taken keeps its bounds.
 */
#include "transport/relay/request.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(char *text)
{
    struct ftx_relay_request request;
    char *query = strchr(text, '\n');

    if (query)
        *query = '\0';
    if (ftx_relay_request_parse(text, query ? query + 1 : "", &request) != 0)
        return;
    if (!ftx_room_name_is_valid(request.room, strlen(request.room)) ||
        (request.role != 's' && request.role != 'r'))
        abort();
}

/* Each token that was taken is known again, and nothing longer. */
static void check_tokens(const uint8_t *data, size_t size, const char *authorization)
{
    struct ftx_tokens tokens;
    char header[sizeof("Bearer ") + FTX_TOKEN_MAX + 1];

    if (ftx_tokens_parse((const char *)data, size, &tokens) != 0)
        return;
    (void)ftx_tokens_match(&tokens, authorization);
    for (size_t i = 0; i < tokens.n_tokens; i++) {
        strcpy(header, "Bearer ");
        strcat(header, tokens.tokens[i]);
        if (!ftx_tokens_match(&tokens, header))
            abort();
    }
    ftx_tokens_close(&tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ftx_source source;
    uint16_t port;
    char *text = malloc(size + 1); /* exact, so that a read past the end is seen */

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    (void)ftx_forwarded_parse(text, &source, &port);
    check_tokens(data, size, text);
    check_request(text);
    free(text);
    return 0;
}
