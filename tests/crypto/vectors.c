/* SPDX-License-Identifier: MIT */
/* Reading vectors with cJSON. */
#include "tests/crypto/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

cJSON *vectors_load(const char *name)
{
    char path[4096], text[64 << 10];
    snprintf(path, sizeof path, "%s/%s", FTX_VECTORS, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = 0;
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    return json;
}

const cJSON *vectors_get(const cJSON *object, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!member)
        fail_msg("no member %s", name);
    return member;
}

struct octets vectors_octets(const cJSON *object, const char *name)
{
    const char *hex = cJSON_GetStringValue(vectors_get(object, name)), *end;
    struct octets out;
    assert_non_null(hex);
    assert_int_equal(sodium_hex2bin(out.at, sizeof out.at, hex, strlen(hex), NULL, &out.size, &end),
                     0);
    assert_int_equal(*end, 0);
    return out;
}
