/* SPDX-License-Identifier: MIT */
/* Lone surrogates in, lone surrogates out (docs/interface.md, .ftx). */
#include "tools/ftx/value.h"

#include "transport/base/log.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The code of an escape \uXXXX at `at`, -1: there is none. */
static int escape_at(const char *at, size_t left)
{
    if (left < 6 || at[0] != '\\' || at[1] != 'u')
        return -1;
    int code = 0;
    for (int i = 2; i < 6; i++) {
        if (digit(at[i]) < 0)
            return -1;
        code = code * 16 + digit(at[i]);
    }
    return code;
}

cJSON *ftx_value_read(const char *text, size_t size)
{
    char *bytes = malloc(size + 1);
    size_t used = 0;
    if (!bytes)
        return NULL;
    for (size_t i = 0; i < size;) {
        int code = escape_at(text + i, size - i);
        size_t n = code >= 0 ? 6 : text[i] == '\\' && i + 1 < size ? 2 : 1;
        if (code >= 0xd800 && code < 0xdc00) {
            n = size - i < 12 ? size - i : 12; /* with the half that follows it */
        } else if (code >= 0xdc80 && code <= 0xdcff) {
            bytes[used++] = (char)(code - 0xdc00);
            i += 6;
            continue;
        }
        memcpy(bytes + used, text + i, n);
        used += n;
        i += n;
    }
    bytes[used] = '\0';
    cJSON *value = cJSON_ParseWithLength(bytes, used + 1);
    free(bytes);
    return value;
}

/* How many bytes at `at` are one character that a terminal must not see, and its code; 0: they are
 * no character at all. Beyond ASCII: what ftx_escape_plain takes out of valid UTF-8. */
static size_t hidden(const uint8_t *at, unsigned *out_code)
{
    *out_code = at[0];
    if (at[0] < 0x80)
        return 1;
    if (at[0] == 0xc2 && (at[1] & 0xc0) == 0x80) {
        *out_code = at[1];
        return 2;
    }
    if (at[0] == 0xe2 && (at[1] == 0x80 || at[1] == 0x81) && (at[2] & 0xc0) == 0x80) {
        *out_code = 0x2000u | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
        return 3;
    }
    return 0;
}

char *ftx_value_line(const cJSON *value)
{
    char *text = cJSON_PrintUnformatted(value);
    size_t size = text ? strlen(text) : 0, used = 0;
    char *line = text ? malloc(6 * size + 2) : NULL;
    const uint8_t *at = (const uint8_t *)text;
    if (!line) {
        cJSON_free(text);
        return NULL;
    }
    while (*at) {
        size_t n = ftx_escape_plain(at, size - (size_t)((const char *)at - text));
        unsigned code;
        if (n == 0 && *at != '\\') {
            n = hidden(at, &code);
            used += (size_t)sprintf(line + used, "\\u%04x", n ? code : 0xdc00u + *at);
            at += n ? n : 1;
            continue;
        }
        n = n ? n : 1;
        memcpy(line + used, at, n);
        used += n;
        at += n;
    }
    line[used++] = '\n';
    line[used] = '\0';
    cJSON_free(text);
    return line;
}

const char *ftx_value_text(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text ? text : "";
}

double ftx_value_number(const cJSON *object, const char *name)
{
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(number) ? number->valuedouble : 0;
}
