/* SPDX-License-Identifier: MIT */
/* Fuzz: bytes as a name and as a symlink's target. A name that is allowed is one path component; a
 * target that stays inside does so when it is walked, step by step. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fs/store/names.h"
#include "transport/wire/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

/* Where a walk from `depth` folders below the root ends; -1: it was above the root on its way, or
 * went up behind a name, which may be a symlink. */
static int walk(const char *target, size_t size, int depth)
{
    bool named = false;
    for (size_t at = 0; at <= size && depth >= 0;) {
        size_t end = at;
        while (end < size && target[end] != '/')
            end++;
        size_t n = end - at;
        if (n == 2 && target[at] == '.' && target[at + 1] == '.')
            depth = named ? -1 : depth - 1;
        else if (n > 0 && !(n == 1 && target[at] == '.'))
            named = true;
        at = end + 1;
    }
    return depth;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1); /* of exactly this size, so that a sanitizer sees the end */
    check(text != NULL);
    if (size)
        memcpy(text, data, size);
    for (int at_root = 0; at_root < 2; at_root++) {
        if (ftx_name_check(text, size, at_root))
            continue;
        check(size >= 1 && size <= FTX_NAME_MAX);
        check(!memchr(text, '/', size) && !memchr(text, '\0', size) && !memchr(text, '\n', size));
        check(!(text[0] == '.' && (size == 1 || (size == 2 && text[1] == '.'))));
        check(!at_root || size != 4 || memcmp(text, ".ftx", 4) != 0);
    }
    for (unsigned depth = 0; depth < 4; depth++) {
        bool inside = size > 0 && text[0] != '/' && walk(text, size, (int)depth) >= 0;
        check(ftx_target_inside(text, size, depth) == inside);
    }
    if (ftx_target_check(text, size) == 0)
        check(size >= 1 && size <= FTX_TARGET_MAX && !memchr(text, '\0', size));
    free(text);
    return 0;
}
