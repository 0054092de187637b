/* SPDX-License-Identifier: MIT */
/* JSON of names that may hold any bytes: what cJSON cannot write. */
#include "fs/store/json.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char hex[] = "0123456789abcdef";

void ftx_json_raw(struct ftx_json *json, const char *text, size_t size)
{
    size_t left = json->size < json->room ? json->room - json->size : 0;
    if (json->out && left > 0)
        memcpy(json->out + json->size, text, size < left ? size : left);
    json->size += size;
}

void ftx_json_key(struct ftx_json *json, const char *name)
{
    ftx_json_raw(json, json->size ? ",\"" : "{\"", 2);
    ftx_json_raw(json, name, strlen(name));
    ftx_json_raw(json, "\":", 2);
}

/* How many bytes the character at the front takes; 0: they are no UTF-8. */
static size_t character(const uint8_t *at, size_t size)
{
    static const struct {
        uint8_t from, to;           /* of the first byte */
        uint8_t second, second_end; /* of the one behind it */
        uint8_t n;
    } forms[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (at[0] < forms[i].from || at[0] > forms[i].to)
            continue;
        if (forms[i].n > size)
            return 0;
        if (forms[i].n > 1 && (at[1] < forms[i].second || at[1] > forms[i].second_end))
            return 0;
        for (size_t k = 2; k < forms[i].n; k++)
            if ((at[k] & 0xc0) != 0x80)
                return 0;
        return forms[i].n;
    }
    return 0;
}

static void escape(struct ftx_json *json, unsigned code)
{
    const char text[] = {
        '\\', 'u', hex[code >> 12 & 15], hex[code >> 8 & 15], hex[code >> 4 & 15], hex[code & 15]};
    ftx_json_raw(json, text, sizeof text);
}

static bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

void ftx_json_string(struct ftx_json *json, const char *bytes, size_t size)
{
    if (!bytes) {
        ftx_json_null(json);
        return;
    }
    const uint8_t *at = (const uint8_t *)bytes, *end = at + size;
    ftx_json_raw(json, "\"", 1);
    while (at < end) {
        const uint8_t *from = at;
        while (at < end && is_plain(*at))
            at++;
        ftx_json_raw(json, (const char *)from, (size_t)(at - from));
        if (at == end)
            break;
        size_t n = character(at, (size_t)(end - at));
        if (n > 1)
            ftx_json_raw(json, (const char *)at, n);
        else if (*at == '"' || *at == '\\')
            ftx_json_raw(json, (const char[]){'\\', (char)*at}, 2);
        else
            escape(json, n ? *at : 0xdc00u + *at);
        at += n ? n : 1;
    }
    ftx_json_raw(json, "\"", 1);
}

void ftx_json_number(struct ftx_json *json, uint64_t number)
{
    char text[20], *at = text + sizeof text;
    do
        *--at = (char)('0' + number % 10);
    while (number /= 10);
    ftx_json_raw(json, at, (size_t)(text + sizeof text - at));
}

/* gmtime is as good as a table here: it reads no file for UTC. Years beyond 9999 are cut. */
void ftx_json_time_text(int64_t ns, char out[FTX_JSON_TIME_SIZE])
{
    int64_t rest = ns % 1000000000;
    time_t seconds = (time_t)(ns / 1000000000 - (rest < 0));
    struct tm tm;
    char text[64];
    rest += rest < 0 ? 1000000000 : 0;
    gmtime_r(&seconds, &tm);
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(rest / 1000));
    memcpy(out, text, FTX_JSON_TIME_SIZE - 1);
    out[FTX_JSON_TIME_SIZE - 1] = '\0';
}

void ftx_json_time(struct ftx_json *json, int64_t ns)
{
    char text[FTX_JSON_TIME_SIZE];
    ftx_json_time_text(ns, text);
    ftx_json_string(json, text, sizeof text - 1);
}

void ftx_json_null(struct ftx_json *json)
{
    ftx_json_raw(json, "null", 4);
}

void ftx_json_end(struct ftx_json *json)
{
    ftx_json_raw(json, "}\n", 2);
}
