/* SPDX-License-Identifier: MIT */
/* The tailnet: the program is asked, its JSON reduced to a list of addresses. */
#include "transport/net/tailnet.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transport/base/err.h"
#include "transport/net/program.h"

enum {
    TEXT_MAX = 16 << 20, /* some ten thousand nodes */
    WAIT_MS = 5000,
};

static const cJSON *field(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

/* What is no single address is passed over. */
static int add_node(struct ftx_tailnet *tailnet, const cJSON *node)
{
    const cJSON *address;

    cJSON_ArrayForEach(address, field(node, "TailscaleIPs"))
    {
        struct ftx_cidr cidr, *nodes;

        if (!cJSON_IsString(address) || ftx_cidr_parse(address->valuestring, &cidr) < 0 ||
            cidr.n_bits != 128)
            continue;
        if ((tailnet->n_nodes & (tailnet->n_nodes - 1)) == 0) { /* full at each power of two */
            size_t capacity = tailnet->n_nodes > 0 ? 2 * tailnet->n_nodes : 1;

            nodes = realloc(tailnet->nodes, capacity * sizeof(*nodes));
            if (!nodes)
                return -ENOMEM;
            tailnet->nodes = nodes;
        }
        tailnet->nodes[tailnet->n_nodes++] = cidr;
    }
    return 0;
}

static int add_all(struct ftx_tailnet *tailnet, const cJSON *status)
{
    const cJSON *state = field(status, "BackendState");
    const cJSON *peer;
    int err;

    if (!cJSON_IsString(state))
        return FTX_EPROTO;
    if (strcmp(state->valuestring, "Running") != 0)
        return -ENETDOWN;
    err = add_node(tailnet, field(status, "Self"));
    tailnet->n_own = tailnet->n_nodes;
    cJSON_ArrayForEach(peer, field(status, "Peer"))
    {
        if (err == 0 && !cJSON_IsTrue(field(peer, "ShareeNode")) &&
            !cJSON_IsTrue(field(peer, "Expired")))
            err = add_node(tailnet, peer);
    }
    return err;
}

int ftx_tailnet_parse(const char *text, size_t size, struct ftx_tailnet *out)
{
    struct ftx_tailnet tailnet = {0};
    cJSON *status = cJSON_ParseWithLength(text, size);
    int err = status ? add_all(&tailnet, status) : FTX_EPROTO;

    cJSON_Delete(status);
    if (err < 0) {
        ftx_tailnet_free(&tailnet);
        return err;
    }
    *out = tailnet;
    return 0;
}

int ftx_tailnet_read(struct ftx_tailnet *out)
{
    static char *const argv[] = {"tailscale", "status", "--json", NULL};
    char *text;
    size_t size;
    int err = ftx_program_read(argv, TEXT_MAX, WAIT_MS, &text, &size);

    if (err < 0)
        return err;
    err = ftx_tailnet_parse(text, size, out);
    free(text);
    return err;
}

bool ftx_tailnet_contains(const struct ftx_tailnet *tailnet, const struct sockaddr *address)
{
    for (size_t i = 0; i < tailnet->n_nodes; i++)
        if (ftx_cidr_contains(&tailnet->nodes[i], address))
            return true;
    return false;
}

void ftx_tailnet_free(struct ftx_tailnet *tailnet)
{
    free(tailnet->nodes);
    *tailnet = (struct ftx_tailnet){0};
}
