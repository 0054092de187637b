/* SPDX-License-Identifier: MIT */
/* The JSON files of tests/vectors for cmocka programs: what is missing fails the test. */
#ifndef FTX_TESTS_CRYPTO_VECTORS_H
#define FTX_TESTS_CRYPTO_VECTORS_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

struct octets {
    uint8_t at[256];
    size_t size;
};

/* Parses tests/vectors/<name>; free with cJSON_Delete. */
cJSON *vectors_load(const char *name);

/* A member, which must exist. */
const cJSON *vectors_get(const cJSON *object, const char *name);

/* The bytes of a member that is a string of hexadecimal digits. */
struct octets vectors_octets(const cJSON *object, const char *name);

#endif
