/* SPDX-License-Identifier: MIT */
/* URLs, proxies and the heads of HTTP answers. */
#include "transport/net/http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "transport/base/err.h"

/* Visible ASCII only: what goes into a request line or header as it is. */
static bool is_visible(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

/* Copies text[0..length) if it fits. */
static int copy(char *out, size_t size, const char *text, size_t length)
{
    if (length >= size)
        return -EINVAL;
    memcpy(out, text, length);
    out[length] = '\0';
    return 0;
}

/* HOST[:PORT], IPv6 in brackets. */
static int parse_authority(const char *authority, uint16_t default_port, struct ftx_address *out)
{
    const char *bracket = strrchr(authority, ']');
    const char *colon = strchr(bracket ? bracket : authority, ':');
    int err;

    if (!bracket && colon && strchr(colon + 1, ':'))
        return -EINVAL;
    err = ftx_address_parse(authority, out);
    if (err < 0 || !out->host[0])
        return -EINVAL;
    if (!colon)
        out->port = default_port;
    return out->port ? 0 : -EINVAL;
}

int ftx_url_parse(const char *text, struct ftx_url *out)
{
    struct ftx_url url = {.tls = strncmp(text, "wss://", 6) == 0};
    const char *authority = text + (url.tls ? 6 : 5);
    size_t n_authority, n_prefix;

    if ((!url.tls && strncmp(text, "ws://", 5) != 0) || !is_visible(text) ||
        strpbrk(text, "?#@\\\"<>"))
        return -EINVAL;
    n_authority = strcspn(authority, "/");
    n_prefix = strlen(authority + n_authority);
    while (n_prefix > 0 && authority[n_authority + n_prefix - 1] == '/')
        n_prefix--;
    if (copy(url.authority, sizeof(url.authority), authority, n_authority) < 0 ||
        copy(url.prefix, sizeof(url.prefix), authority + n_authority, n_prefix) < 0 ||
        parse_authority(url.authority, url.tls ? 443 : 80, &url.address) < 0)
        return -EINVAL;
    *out = url;
    return 0;
}

int ftx_proxy_parse(const char *text, struct ftx_proxy *out)
{
    struct ftx_proxy proxy = {.credentials = ""};
    char authority[256];
    const char *at;

    if (strncmp(text, "http://", 7) == 0)
        text += 7;
    if (!is_visible(text))
        return -EINVAL;
    at = strrchr(text, '@');
    if (at && copy(proxy.credentials, sizeof(proxy.credentials), text, (size_t)(at - text)) < 0)
        return -EINVAL;
    text = at ? at + 1 : text;
    if (copy(authority, sizeof(authority), text, strcspn(text, "/")) < 0 ||
        parse_authority(authority, 80, &proxy.address) < 0)
        return -EINVAL;
    *out = proxy;
    return 0;
}

bool ftx_proxy_is_excepted(const char *no_proxy, const char *host)
{
    size_t n_host = strlen(host);

    while (no_proxy && *no_proxy) {
        size_t length;

        no_proxy += strspn(no_proxy, ", .");
        length = strcspn(no_proxy, ", ");
        if (length == 1 && *no_proxy == '*')
            return true;
        if (length > 0 && length <= n_host &&
            strncasecmp(host + n_host - length, no_proxy, length) == 0 &&
            (length == n_host || host[n_host - length - 1] == '.'))
            return true;
        no_proxy += length;
    }
    return false;
}

/* The value of a header if its name is this one, else NULL. */
static const char *value_of(const char *line, size_t size, const char *name, size_t *out_size)
{
    size_t n_name = strlen(name);

    if (size <= n_name || line[n_name] != ':' || strncasecmp(line, name, n_name) != 0)
        return NULL;
    line += n_name + 1;
    size -= n_name + 1;
    while (size > 0 && (*line == ' ' || *line == '\t'))
        line++, size--;
    while (size > 0 && (line[size - 1] == ' ' || line[size - 1] == '\t'))
        size--;
    *out_size = size;
    return line;
}

/* True if a comma list has this word. */
static bool has_word(const char *list, size_t size, const char *word)
{
    size_t n_word = strlen(word);

    for (size_t at = 0; at < size;) {
        size_t end = at;

        while (end < size && list[end] != ',' && list[end] != ' ')
            end++;
        if (end - at == n_word && strncasecmp(list + at, word, n_word) == 0)
            return true;
        at = end + 1;
    }
    return false;
}

static void take_header(const char *line, size_t size, bool *upgrade, bool *connection,
                        struct ftx_http_answer *answer)
{
    const char *value;
    size_t n_value;

    if ((value = value_of(line, size, "Upgrade", &n_value)))
        *upgrade |= has_word(value, n_value, "websocket");
    else if ((value = value_of(line, size, "Connection", &n_value)))
        *connection |= has_word(value, n_value, "upgrade");
    else if ((value = value_of(line, size, "Sec-WebSocket-Accept", &n_value)))
        (void)copy(answer->accept, sizeof(answer->accept), value, n_value);
    else if ((value = value_of(line, size, "Ftx-Address", &n_value)))
        (void)copy(answer->caller, sizeof(answer->caller), value, n_value);
}

/* "HTTP/1.x NNN ..." */
static int read_status(const char *line, size_t size)
{
    int status = 0;

    if (size < 12 || strncmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ' ||
        (size > 12 && line[12] != ' '))
        return FTX_EPROTO;
    for (int i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9')
            return FTX_EPROTO;
        status = 10 * status + line[i] - '0';
    }
    return status < 100 || status > 599 ? FTX_EPROTO : status;
}

int ftx_http_read(const uint8_t *bytes, size_t size, struct ftx_http_answer *out)
{
    struct ftx_http_answer answer = {.status = 0};
    const char *text = (const char *)bytes;
    size_t limit = size < FTX_HTTP_HEAD_MAX ? size : FTX_HTTP_HEAD_MAX;
    const char *end = memmem(text, limit, "\r\n\r\n", 4);
    bool upgrade = false, connection = false;
    size_t n_line;

    if (!end)
        return size < FTX_HTTP_HEAD_MAX ? 0 : FTX_EPROTO;
    for (const char *line = text; line < end + 2; line += n_line + 2) {
        n_line = (size_t)((const char *)memmem(line, (size_t)(end + 2 - line), "\r\n", 2) - line);
        if (line == text && (answer.status = read_status(line, n_line)) < 0)
            return answer.status;
        if (line != text)
            take_header(line, n_line, &upgrade, &connection, &answer);
    }
    answer.websocket = upgrade && connection;
    *out = answer;
    return (int)(end + 4 - text);
}
