/* SPDX-License-Identifier: MIT */
/* Fuzz: bytes as the configuration file of ftxfs. Whatever they are, they are taken or refused, and
 * what was taken is in its range. */
#include "tools/ftxfs/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

/* Every fault is a line on stderr, which nobody wants to see here. */
static int read_quietly(struct ftx_options *options, const char *text, size_t size)
{
    int keep = dup(2), nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(nothing, 2);
    int err = ftx_config_read(options, "config", text, size);
    dup2(keep, 2);
    close(keep);
    close(nothing);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ftx_options options;
    char *text = malloc(size + 1); /* of exactly this size, so that a sanitizer sees the end */
    check(text != NULL);
    if (size)
        memcpy(text, data, size);
    ftx_options_init(&options);
    int err = read_quietly(&options, text, size);
    check(err == 0 || err == -EINVAL);
    check(!options.where && !options.from_file && !options.given && !options.config);
    check(options.network.n_dial <= FTX_DIAL_MAX && options.network.n_allow <= FTX_ALLOW_MAX);
    check(options.network.connections >= 1 && options.read_timeout_s >= 1);
    check(!options.store || options.store[0] == '/');
    ftx_options_free(&options);
    free(text);
    return 0;
}
