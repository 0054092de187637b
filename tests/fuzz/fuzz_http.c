/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a relay's or proxy's answer, as a URL, a proxy and a no_proxy. An answer that is taken
 * is taken the same with more behind it, and never with less of it.
 */
#include "transport/net/http.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_answer(const uint8_t *data, size_t size)
{
    struct ftx_http_answer answer, again;
    int n = ftx_http_read(data, size, &answer);

    if (n <= 0)
        return;
    if ((size_t)n > size || answer.status < 100 || answer.status > 599 ||
        strlen(answer.accept) >= sizeof(answer.accept) ||
        strlen(answer.caller) >= sizeof(answer.caller) ||
        ftx_http_read(data, (size_t)n, &again) != n || again.status != answer.status ||
        ftx_http_read(data, (size_t)n - 1, &again) > 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ftx_proxy proxy;
    struct ftx_url url;
    char *text = malloc(size + 1); /* exact, so that a read past the end is seen */

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    check_answer((const uint8_t *)text, size);
    if (ftx_url_parse(text, &url) == 0 && (!url.address.host[0] || url.address.port == 0))
        abort();
    if (ftx_proxy_parse(text, &proxy) == 0 && !proxy.address.host[0])
        abort();
    (void)ftx_proxy_is_excepted(text, "relay.example");
    free(text);
    return 0;
}
