/* SPDX-License-Identifier: MIT */
/*
 * ftx_address_parse on any text: what it takes must say the same when written out and read again.
 */
#include "transport/net/tcp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ftx_address address, again;
    char written[sizeof(address.host) + sizeof("[]:65535")];
    char *text = malloc(size + 1); /* exact, so that a read past the end is seen */

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (ftx_address_parse(text, &address) == 0) {
        (void)snprintf(written, sizeof(written), strchr(address.host, ':') ? "[%s]:%u" : "%s:%u",
                       address.host, address.port);
        if (ftx_address_parse(written, &again) != 0 || strcmp(address.host, again.host) != 0 ||
            address.port != again.port)
            abort();
    }
    free(text);
    return 0;
}
