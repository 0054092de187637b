/* SPDX-License-Identifier: MIT */
/* Book-keeping of one connection: records that came, acknowledgements both ways. */
#include "transport/session/engine_connection.h"

#include "transport/base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct ftx_engine_connection *ftx_engine_connection_new(uint64_t now_ms)
{
    struct ftx_engine_connection *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    ftx_list_init(&c->sent);
    ftx_list_init(&c->received);
    c->heard_ms = now_ms;
    c->spoke_ms = now_ms;
    return c;
}

static void free_plans(struct ftx_list *plans)
{
    for (struct ftx_list *node; (node = ftx_list_pop(plans));)
        ftx_plan_free(ftx_list_of(node, struct ftx_plan, node));
}

void ftx_engine_connection_free(struct ftx_engine_connection *c)
{
    if (!c)
        return;
    free_plans(&c->sent);
    free_plans(&c->received);
    free(c->inbound);
    free(c);
}

static struct ftx_inbound *inbound_at(const struct ftx_engine_connection *c, size_t i)
{
    return &c->inbound[(c->inbound_first + i) & (c->inbound_capacity - 1)];
}

int ftx_inbound_add(struct ftx_engine_connection *c, uint64_t number)
{
    if (c->inbound_n == c->inbound_capacity) {
        size_t capacity = c->inbound_capacity ? 2 * c->inbound_capacity : 16;
        struct ftx_inbound *grown = calloc(capacity, sizeof *grown);
        if (!grown)
            return -ENOMEM;
        for (size_t i = 0; i < c->inbound_n; i++)
            grown[i] = *inbound_at(c, i);
        free(c->inbound);
        c->inbound = grown;
        c->inbound_first = 0;
        c->inbound_capacity = capacity;
    }
    *inbound_at(c, c->inbound_n++) = (struct ftx_inbound){.number = number};
    return 0;
}

struct ftx_inbound *ftx_inbound_find(struct ftx_engine_connection *c, uint64_t number)
{
    size_t low = 0, high = c->inbound_n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (inbound_at(c, middle)->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == c->inbound_n || inbound_at(c, low)->number != number)
        return NULL;
    return inbound_at(c, low);
}

uint64_t ftx_inbound_received(const struct ftx_engine_connection *c)
{
    for (size_t i = 0; i < c->inbound_n; i++)
        if (!inbound_at(c, i)->written)
            return inbound_at(c, i)->number;
    return c->in_number;
}

uint64_t ftx_inbound_durable(const struct ftx_engine_connection *c)
{
    return c->inbound_n ? inbound_at(c, 0)->number : c->in_number;
}

void ftx_inbound_trim(struct ftx_engine_connection *c)
{
    while (c->inbound_n && inbound_at(c, 0)->written && inbound_at(c, 0)->durable) {
        c->inbound_first = (c->inbound_first + 1) & (c->inbound_capacity - 1);
        c->inbound_n--;
    }
}

static void plan_received(struct ftx_engine *engine, struct ftx_plan *plan)
{
    engine->window -= plan->window_bytes;
    engine->op_bytes_out -= plan->op_bytes;
    if (plan->op_last)
        engine->op_received = plan->op_last;
    for (size_t i = 0; i < plan->n_entries; i++) {
        struct ftx_plan_entry *entry = &plan->entries[i];
        if (entry->kind == FTX_PLAN_EXTENT && !entry->err)
            engine->app->received(engine->ctx, &entry->as.source.extent, plan->send);
    }
}

/* Operations first: a file is delivered once its making is. */
static void plan_durable(struct ftx_engine *engine, struct ftx_plan *plan)
{
    if (plan->op_last)
        engine->app->ops_durable(engine->ctx, plan->op_last);
    for (size_t i = 0; i < plan->n_entries; i++) {
        struct ftx_plan_entry *entry = &plan->entries[i];
        if (entry->err)
            continue;
        if (entry->kind == FTX_PLAN_EXTENT)
            engine->app->durable(engine->ctx, &entry->as.source.extent, plan->send);
        else if (entry->kind == FTX_PLAN_SEAL)
            engine->app->delivered(engine->ctx, entry->as.seal->stream, entry->as.seal->version);
    }
}

/* True if the oldest plan of the list has a record number below `n`; sets *out_plan. FTX_EPROTO if
 * that record was never written. */
static int next_below(struct ftx_list *plans, uint64_t n, struct ftx_plan **out_plan)
{
    if (ftx_list_empty(plans))
        return 0;
    struct ftx_plan *plan = ftx_list_of(plans->next, struct ftx_plan, node);
    if (plan->number >= n)
        return 0;
    if (!plan->built)
        return FTX_EPROTO;
    *out_plan = plan;
    return 1;
}

int ftx_engine_acked(struct ftx_engine *engine, struct ftx_engine_connection *c, uint64_t received,
                     uint64_t durable)
{
    if (received < c->peer_received || durable < c->peer_durable || received > c->out_number)
        return FTX_EPROTO;
    c->peer_received = received;
    c->peer_durable = durable;
    struct ftx_plan *plan = NULL;
    int more;
    while ((more = next_below(&c->sent, received, &plan)) > 0) {
        ftx_list_remove(&plan->node);
        ftx_list_append(&c->received, &plan->node);
        plan_received(engine, plan);
    }
    if (more < 0)
        return more;
    while (next_below(&c->received, durable, &plan) > 0) {
        ftx_list_remove(&plan->node);
        plan_durable(engine, plan);
        ftx_plan_free(plan);
    }
    return 0;
}
