/* SPDX-License-Identifier: MIT */
/* A port of the home router that leads to one of ours: NAT-PMP (RFC 6886), else UPnP (IGD), each if
 * it was there when this was built. Calls block; any thread but the loop's. */
#ifndef FTX_NET_GATEWAY_H
#define FTX_NET_GATEWAY_H

#include "transport/net/ip.h"

#include <stdint.h>

enum ftx_gateway_kind { FTX_GATEWAY_NONE, FTX_GATEWAY_NATPMP, FTX_GATEWAY_UPNP };

struct ftx_mapping {
    enum ftx_gateway_kind kind; /* FTX_GATEWAY_NONE: there is none */
    uint16_t port;              /* ours, TCP */
    struct ftx_ip external;     /* where others reach it */
    uint16_t external_port;
    uint32_t lifetime_s;
    char control[256], service[128]; /* UPnP: whom to ask again */
};

/* The mapping for our TCP port, made or made to last longer; preferably the same port outside. False:
 * no gateway does that, which takes 2 s, or a few more if one speaks and then does not. */
bool ftx_gateway_map(uint16_t port, struct ftx_mapping *out);
/* It ends now. */
void ftx_gateway_unmap(const struct ftx_mapping *mapping);

#endif
