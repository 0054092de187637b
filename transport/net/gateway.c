/* SPDX-License-Identifier: MIT */
/* Home routers, through libnatpmp and libminiupnpc. */
#include "transport/net/gateway.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#ifdef FTX_NATPMP
#include <natpmp.h>
#endif
#ifdef FTX_UPNP
#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#endif

enum {
    LIFETIME_S = 3600,
    NATPMP_MS = 750, /* a router is near; RFC 6886 would have us ask for a minute */
    UPNP_MS = 1200,  /* who answers may take a second to do so */
};

#ifdef FTX_NATPMP

static int64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The answer to what was sent; the library repeats it by itself. */
static bool await_answer(natpmp_t *pmp, uint16_t type, natpmpresp_t *out)
{
    int64_t until_ms = clock_ms() + NATPMP_MS;

    for (;;) {
        struct pollfd wait = {.fd = pmp->s, .events = POLLIN};
        struct timeval next;
        int64_t left_ms = until_ms - clock_ms();
        int err;

        if (left_ms <= 0 || getnatpmprequesttimeout(pmp, &next) != 0)
            return false;
        if (next.tv_sec * 1000 + next.tv_usec / 1000 < left_ms)
            left_ms = next.tv_sec * 1000 + next.tv_usec / 1000 + 1;
        (void)poll(&wait, 1, (int)left_ms);
        err = readnatpmpresponseorretry(pmp, out);
        if (err != NATPMP_TRYAGAIN)
            return err == 0 && out->type == type;
    }
}

static bool natpmp_map(uint16_t port, uint32_t lifetime_s, struct ftx_mapping *out)
{
    natpmp_t pmp;
    natpmpresp_t address, mapping;
    struct sockaddr_in external = {.sin_family = AF_INET};
    bool mapped;

    if (initnatpmp(&pmp, 0, 0) != 0)
        return false;
    mapped = sendpublicaddressrequest(&pmp) >= 0 &&
             await_answer(&pmp, NATPMP_RESPTYPE_PUBLICADDRESS, &address) &&
             sendnewportmappingrequest(&pmp, NATPMP_PROTOCOL_TCP, port, lifetime_s ? port : 0,
                                       lifetime_s) >= 0 &&
             await_answer(&pmp, NATPMP_RESPTYPE_TCPPORTMAPPING, &mapping);
    closenatpmp(&pmp);
    if (!mapped)
        return false;
    external.sin_addr = address.pnu.publicaddress.addr;
    *out = (struct ftx_mapping){.kind = FTX_GATEWAY_NATPMP,
                                .port = port,
                                .external_port = mapping.pnu.newportmapping.mappedpublicport,
                                .lifetime_s = mapping.pnu.newportmapping.lifetime};
    return ftx_ip_of((const struct sockaddr *)&external, &out->external);
}

#else

static bool natpmp_map(uint16_t port, uint32_t lifetime_s, struct ftx_mapping *out)
{
    (void)port;
    (void)lifetime_s;
    (void)out;
    return false;
}

#endif

#ifdef FTX_UPNP

static bool is_connected_igd(struct UPNPDev *devices, struct UPNPUrls *urls, struct IGDdatas *data,
                             char own[64])
{
#if MINIUPNPC_API_VERSION >= 18
    char outside[64];

    return UPNP_GetValidIGD(devices, urls, data, own, 64, outside, sizeof(outside)) == 1;
#else
    return UPNP_GetValidIGD(devices, urls, data, own, 64) == 1;
#endif
}

/* Some routers keep mappings until they are removed, and say so. */
static bool add(const struct ftx_mapping *mapping, const char *own)
{
    enum { ONLY_PERMANENT = 725 };
    char port[sizeof("65535")], lifetime[sizeof("4294967295")];
    int err;

    (void)snprintf(port, sizeof(port), "%u", mapping->port);
    (void)snprintf(lifetime, sizeof(lifetime), "%u", mapping->lifetime_s);
    err = UPNP_AddPortMapping(mapping->control, mapping->service, port, port, own, "ftxfs", "TCP",
                              NULL, lifetime);
    if (err == ONLY_PERMANENT)
        err = UPNP_AddPortMapping(mapping->control, mapping->service, port, port, own, "ftxfs",
                                  "TCP", NULL, "0");
    return err == UPNPCOMMAND_SUCCESS;
}

static bool upnp_map(uint16_t port, struct ftx_mapping *out)
{
    struct ftx_mapping mapping = {
        .kind = FTX_GATEWAY_UPNP, .port = port, .external_port = port, .lifetime_s = LIFETIME_S};
    struct UPNPUrls urls = {0};
    struct IGDdatas data = {0};
    char own[64] = "", external[64] = "";
    int err;
    /* Later versions answer to this one too; one search, and no other devices. */
    struct UPNPDev *devices =
        upnpDiscoverDevice("urn:schemas-upnp-org:device:InternetGatewayDevice:1", UPNP_MS, NULL,
                           NULL, UPNP_LOCAL_PORT_ANY, 0, 2, &err);
    bool mapped = devices && is_connected_igd(devices, &urls, &data, own) &&
                  strlen(urls.controlURL) < sizeof(mapping.control) &&
                  strlen(data.first.servicetype) < sizeof(mapping.service);

    if (mapped) {
        strcpy(mapping.control, urls.controlURL);
        strcpy(mapping.service, data.first.servicetype);
        mapped = UPNP_GetExternalIPAddress(mapping.control, mapping.service, external) ==
                     UPNPCOMMAND_SUCCESS &&
                 ftx_ip_parse(external, &mapping.external) && add(&mapping, own);
    }
    FreeUPNPUrls(&urls);
    freeUPNPDevlist(devices);
    if (mapped)
        *out = mapping;
    return mapped;
}

static void upnp_unmap(const struct ftx_mapping *mapping)
{
    char port[sizeof("65535")];

    (void)snprintf(port, sizeof(port), "%u", mapping->external_port);
    (void)UPNP_DeletePortMapping(mapping->control, mapping->service, port, "TCP", NULL);
}

#else

static bool upnp_map(uint16_t port, struct ftx_mapping *out)
{
    (void)port;
    (void)out;
    return false;
}

static void upnp_unmap(const struct ftx_mapping *mapping)
{
    (void)mapping;
}

#endif

bool ftx_gateway_map(uint16_t port, struct ftx_mapping *out)
{
    return natpmp_map(port, LIFETIME_S, out) || upnp_map(port, out);
}

void ftx_gateway_unmap(const struct ftx_mapping *mapping)
{
    struct ftx_mapping ignored;

    if (mapping->kind == FTX_GATEWAY_NATPMP)
        (void)natpmp_map(mapping->port, 0, &ignored);
    else if (mapping->kind == FTX_GATEWAY_UPNP)
        upnp_unmap(mapping);
}
