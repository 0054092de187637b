/* SPDX-License-Identifier: MIT */
/*
 * Port mapping: one job of a worker at a time, which maps, or after the stop unmaps.
 *
 *   start --timer--> job: map --> told --half its time, or 15 min--> job ...
 *   stop ----------> [the job that runs ends] --> job: unmap, if it is mapped --> gone
 */
#include "transport/net/portmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transport/base/list.h"
#include "transport/base/log.h"
#include "transport/net/gateway.h"
#include "transport/net/work.h"

enum {
    RETRY_MS = 900 * 1000,
    CHANGED_MS = 2 * 1000, /* a network that has just come may have no router yet */
    LEAST_MS = 30 * 1000,  /* whatever lifetime a router gives */
};

struct ftx_portmap {
    uv_loop_t *loop;
    ftx_mapped_fn mapped; /* NULL: stopped */
    void *owner;
    uint16_t port;
    uv_timer_t timer;
    bool timer_open;
    bool asking;
    struct ftx_mapping mapping; /* what holds now */
    struct {
        struct ftx_work work; /* a worker's until it is done */
        struct ftx_mapping mapping;
    } job;
};

static void on_map(struct ftx_work *work)
{
    struct ftx_portmap *portmap = ftx_list_of(work, struct ftx_portmap, job.work);

    if (!ftx_gateway_map(portmap->port, &portmap->job.mapping))
        portmap->job.mapping.kind = FTX_GATEWAY_NONE;
}

static void on_unmap(struct ftx_work *work)
{
    struct ftx_portmap *portmap = ftx_list_of(work, struct ftx_portmap, job.work);

    ftx_gateway_unmap(&portmap->job.mapping);
}

/* What is stopped ends here, step by step. */
static void maybe_free(struct ftx_portmap *portmap);

static void on_unmapped(struct ftx_work *work)
{
    struct ftx_portmap *portmap = ftx_list_of(work, struct ftx_portmap, job.work);

    portmap->asking = false;
    portmap->mapping.kind = FTX_GATEWAY_NONE;
    maybe_free(portmap);
}

static void maybe_free(struct ftx_portmap *portmap)
{
    if (portmap->timer_open || portmap->asking)
        return;
    if (portmap->mapping.kind == FTX_GATEWAY_NONE) {
        free(portmap);
        return;
    }
    portmap->asking = true;
    portmap->job.mapping = portmap->mapping;
    portmap->job.work = (struct ftx_work){.run = on_unmap, .done = on_unmapped};
    ftx_work_queue(portmap->loop, &portmap->job.work);
}

static bool is_same(const struct ftx_mapping *a, const struct ftx_mapping *b)
{
    return a->kind == b->kind && a->external_port == b->external_port &&
           memcmp(&a->external, &b->external, sizeof(a->external)) == 0;
}

static void tell(struct ftx_portmap *portmap)
{
    const struct ftx_mapping *mapping = &portmap->mapping;
    char text[FTX_IP_TEXT];

    if (mapping->kind == FTX_GATEWAY_NONE) {
        portmap->mapped(portmap->owner, NULL, 0);
        return;
    }
    ftx_ip_text(&mapping->external, text);
    ftx_log(FTX_LOG_INFO, "port %u is port %u of %s (%s)", portmap->port, mapping->external_port,
            text, mapping->kind == FTX_GATEWAY_UPNP ? "UPnP" : "NAT-PMP");
    portmap->mapped(portmap->owner, &mapping->external, mapping->external_port);
}

static void on_timer(uv_timer_t *timer);

static void on_mapped(struct ftx_work *work)
{
    struct ftx_portmap *portmap = ftx_list_of(work, struct ftx_portmap, job.work);
    bool news = !is_same(&portmap->mapping, &portmap->job.mapping);
    uint64_t next_ms = RETRY_MS;

    portmap->asking = false;
    portmap->mapping = portmap->job.mapping;
    if (!portmap->mapped) {
        maybe_free(portmap);
        return;
    }
    if (news)
        tell(portmap);
    if (portmap->mapping.kind != FTX_GATEWAY_NONE)
        next_ms = (uint64_t)portmap->mapping.lifetime_s * 500;
    uv_timer_start(&portmap->timer, on_timer, next_ms < LEAST_MS ? LEAST_MS : next_ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct ftx_portmap *portmap = timer->data;

    portmap->asking = true;
    memset(&portmap->job.mapping, 0, sizeof(portmap->job.mapping));
    portmap->job.work = (struct ftx_work){.run = on_map, .done = on_mapped};
    ftx_work_queue(portmap->loop, &portmap->job.work);
}

int ftx_portmap_start(uv_loop_t *loop, uint16_t port, ftx_mapped_fn mapped, void *owner,
                      struct ftx_portmap **out_portmap)
{
    struct ftx_portmap *portmap = calloc(1, sizeof(*portmap));

    if (!portmap)
        return -ENOMEM;
    portmap->loop = loop;
    portmap->port = port;
    portmap->mapped = mapped;
    portmap->owner = owner;
    uv_timer_init(loop, &portmap->timer);
    portmap->timer.data = portmap;
    portmap->timer_open = true;
    uv_timer_start(&portmap->timer, on_timer, 0, 0);
    *out_portmap = portmap;
    return 0;
}

void ftx_portmap_look(struct ftx_portmap *portmap)
{
    if (portmap && !portmap->asking)
        uv_timer_start(&portmap->timer, on_timer, CHANGED_MS, 0);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct ftx_portmap *portmap = handle->data;

    portmap->timer_open = false;
    maybe_free(portmap);
}

void ftx_portmap_stop(struct ftx_portmap *portmap)
{
    if (!portmap)
        return;
    portmap->mapped = NULL;
    uv_close((uv_handle_t *)&portmap->timer, on_timer_closed);
}
