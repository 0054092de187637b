/* SPDX-License-Identifier: MIT */
/* Fuzz: bytes as a run of changes; what decodes encodes to the same bytes, and reading every field
 * stays inside them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fs/store/change.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

/* Reads all of a string, so that a sanitizer sees one that reaches too far. */
static void touch(const void *bytes, size_t size)
{
    void *copy = malloc(size + 1);
    check(copy != NULL);
    if (size > 0)
        memcpy(copy, bytes, size);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t again[FTX_CHANGE_MAX];
    struct ftx_change change;
    for (size_t begin = 0, end = 0; end < size; begin = end) {
        if (ftx_change_decode(data, size, &end, &change) < 0) {
            check(end == begin);
            break;
        }
        check(end > begin && end <= size);
        if (change.kind == FTX_CHANGE_ITEM) {
            touch(change.as.item.name, change.as.item.name_size);
            touch(change.as.item.target, change.as.item.target_size);
        }
        if (change.kind == FTX_CHANGE_OP)
            touch(change.as.bytes.data, change.as.bytes.size);
        if (change.kind == FTX_CHANGE_XATTR) {
            touch(change.as.xattr.xattr.name, change.as.xattr.xattr.name_size);
            touch(change.as.xattr.xattr.value, change.as.xattr.xattr.value_size);
        }
        if (change.kind == FTX_CHANGE_HISTORY) {
            check(change.id == change.as.history.id);
            touch(change.as.history.link, change.as.history.link_size);
            touch(change.as.history.path, change.as.history.path_size);
        }
        check(ftx_change_encode(&change, again, 0, sizeof again) == end - begin);
        check(memcmp(again, data + begin, end - begin) == 0);
    }
    return 0;
}
