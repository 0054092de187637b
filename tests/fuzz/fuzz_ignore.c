/* SPDX-License-Identifier: MIT */
/* .ftxignore and a path, split by the first NUL: any bytes are answered, in bounded time, and the
 * last line of `!*` takes everything back. */
#include "tools/ftx/ignore.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char all[] = "!*";
    struct ftx_ignore ignore = {0};
    const uint8_t *nul = memchr(data, '\0', size);
    size_t rules = nul ? (size_t)(nul - data) : size;
    char *path = calloc(1, size - rules + 1);
    if (!path)
        return 0;
    if (nul)
        memcpy(path, nul + 1, size - rules - 1);
    (void)ftx_ignore_add_text(&ignore, (const char *)data, rules);
    for (int folder = 0; folder < 2; folder++)
        (void)ftx_ignore_match(&ignore, path, folder);
    bool may_be_last = ignore.n < 4096;
    (void)ftx_ignore_add(&ignore, all, sizeof all - 1);
    if (may_be_last && *path && path[strlen(path) - 1] != '/' &&
        ftx_ignore_match(&ignore, path, true) != FTX_IGNORE_KEEP)
        abort();
    ftx_ignore_close(&ignore);
    free(path);
    return 0;
}
