/* SPDX-License-Identifier: MIT */
/* ftx_take_parse on any value: what it takes is a number and one name, and says itself again. */
#include "fs/fuse/take.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned fd, again_fd;
    char name[NAME_MAX + 1], again[NAME_MAX + 1], text[NAME_MAX + 16];
    char *exact = malloc(size + 1);
    check(exact != NULL);
    if (size)
        memcpy(exact, data, size);
    if (ftx_take_parse(exact, size, &fd, name) == 0) {
        check(fd < 1000000 && name[0] && !strchr(name, '/'));
        check(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
        int n = snprintf(text, sizeof text, "%u/%s", fd, name);
        check(ftx_take_parse(text, (size_t)n, &again_fd, again) == 0);
        check(again_fd == fd && strcmp(name, again) == 0);
    }
    free(exact);
    return 0;
}
