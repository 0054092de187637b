/* SPDX-License-Identifier: MIT */
/* Hex digits with comment lines. */
#include "tests/wire/golden.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static unsigned digit(int c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

size_t golden_read(const char *name, uint8_t *out, size_t capacity)
{
    char path[512], line[256];
    snprintf(path, sizeof path, "%s/%s.hex", FTX_VECTORS, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t size = 0;
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#')
            continue;
        for (size_t i = 0; isxdigit((unsigned char)line[i]); i += 2) {
            assert_true(size < capacity);
            out[size++] = (uint8_t)(digit(line[i]) << 4 | digit(line[i + 1]));
        }
    }
    fclose(file);
    return size;
}
