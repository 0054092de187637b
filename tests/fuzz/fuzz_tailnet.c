/* SPDX-License-Identifier: MIT */
/* ftx_tailnet_parse on any text: what it takes are single addresses, its own first. */
#include "transport/net/tailnet.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ftx_tailnet tailnet;

    if (ftx_tailnet_parse((const char *)data, size, &tailnet) != 0)
        return 0;
    if (tailnet.n_own > tailnet.n_nodes)
        abort();
    for (size_t i = 0; i < tailnet.n_nodes; i++)
        if (tailnet.nodes[i].n_bits != 128)
            abort();
    ftx_tailnet_free(&tailnet);
    return 0;
}
