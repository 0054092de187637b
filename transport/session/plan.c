/* SPDX-License-Identifier: MIT */
/* Plans: collected on the session's thread, built on a worker. */
#include "transport/session/plan.h"

#include "transport/base/err.h"
#include "transport/wire/limits.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Grows an array by doubling so that one more of `n` + `more` fits; false without memory. */
static bool reserve(void **array, size_t *capacity, size_t n, size_t more, size_t size)
{
    if (n + more <= *capacity)
        return true;
    size_t grown = *capacity ? *capacity : 8;
    while (grown < n + more)
        grown *= 2;
    void *bigger = realloc(*array, grown * size);
    if (!bigger)
        return false;
    *array = bigger;
    *capacity = grown;
    return true;
}

struct ftx_plan *ftx_plan_new(unsigned connection, uint64_t send)
{
    struct ftx_plan *plan = calloc(1, sizeof *plan);
    if (!plan)
        return NULL;
    ftx_list_init(&plan->node);
    plan->connection = connection;
    plan->send = send;
    return plan;
}

void ftx_plan_free(struct ftx_plan *plan)
{
    if (!plan)
        return;
    for (size_t i = 0; i < plan->n_entries; i++)
        if (plan->entries[i].kind == FTX_PLAN_SEAL)
            free(plan->entries[i].as.seal);
    free(plan->entries);
    free(plan->bytes);
    free(plan);
}

size_t ftx_plan_room(const struct ftx_plan *plan)
{
    return FTX_RECORD_PLAIN_MAX - plan->size;
}

static struct ftx_plan_entry *add_entry(struct ftx_plan *plan, enum ftx_plan_kind kind)
{
    void *entries = plan->entries;
    if (!reserve(&entries, &plan->capacity, plan->n_entries, 1, sizeof *plan->entries))
        return NULL;
    plan->entries = entries;
    struct ftx_plan_entry *entry = &plan->entries[plan->n_entries++];
    memset(entry, 0, sizeof *entry);
    entry->kind = kind;
    return entry;
}

int ftx_plan_add_encoded(struct ftx_plan *plan, const uint8_t *bytes, size_t size)
{
    if (size > ftx_plan_room(plan))
        return -EMSGSIZE;
    void *grown = plan->bytes;
    if (!reserve(&grown, &plan->bytes_capacity, plan->bytes_size, size, 1))
        return -ENOMEM;
    plan->bytes = grown;
    struct ftx_plan_entry *last = plan->n_entries ? &plan->entries[plan->n_entries - 1] : NULL;
    if (!last || last->kind != FTX_PLAN_BYTES) {
        last = add_entry(plan, FTX_PLAN_BYTES);
        if (!last)
            return -ENOMEM;
        last->as.bytes.offset = (uint32_t)plan->bytes_size;
    }
    memcpy(plan->bytes + plan->bytes_size, bytes, size);
    plan->bytes_size += size;
    last->as.bytes.size += (uint32_t)size;
    plan->size += size;
    return 0;
}

int ftx_plan_add_message(struct ftx_plan *plan, const struct ftx_message *message)
{
    uint8_t small[FTX_MESSAGE_SMALL_MAX];
    size_t size = ftx_message_encode(message, small, sizeof small);
    return size ? ftx_plan_add_encoded(plan, small, size) : -EMSGSIZE;
}

/* What the entry takes in the record. */
static size_t source_size(const struct ftx_source *source)
{
    bool data = source->extent.kind == FTX_EXTENT_DATA;
    size_t data_size = data ? (size_t)source->extent.length : 0;
    if (source->answer)
        return FTX_FETCHED_HEAD + data_size;
    return data ? FTX_EXTENT_HEAD + data_size : FTX_MESSAGE_HEAD + 8 + 4 + 8 + 8 + 8;
}

static int add_source(struct ftx_plan *plan, enum ftx_plan_kind kind,
                      const struct ftx_source *source)
{
    size_t size = source_size(source);
    if (size > ftx_plan_room(plan))
        return -EMSGSIZE;
    struct ftx_plan_entry *entry = add_entry(plan, kind);
    if (!entry)
        return -ENOMEM;
    entry->as.source = *source;
    plan->size += size;
    plan->reads |= source->extent.kind == FTX_EXTENT_DATA;
    return 0;
}

int ftx_plan_add_extent(struct ftx_plan *plan, const struct ftx_source *source)
{
    assert(!source->answer);
    int err = add_source(plan, FTX_PLAN_EXTENT, source);
    if (err)
        return err;
    plan->ackable = true;
    plan->window_bytes += source_size(source);
    return 0;
}

int ftx_plan_add_answer(struct ftx_plan *plan, const struct ftx_source *source)
{
    assert(source->answer);
    return add_source(plan, FTX_PLAN_ANSWER, source);
}

static size_t seal_size(const struct ftx_plan_seal *seal)
{
    return FTX_MESSAGE_HEAD + 8 + 4 + 8 + seal->attributes_size;
}

int ftx_plan_add_seal(struct ftx_plan *plan, const struct ftx_plan_seal *seal)
{
    if (seal_size(seal) > ftx_plan_room(plan))
        return -EMSGSIZE;
    struct ftx_plan_seal *copy = malloc(sizeof *copy);
    struct ftx_plan_entry *entry = copy ? add_entry(plan, FTX_PLAN_SEAL) : NULL;
    if (!entry) {
        free(copy);
        return -ENOMEM;
    }
    *copy = *seal;
    entry->as.seal = copy;
    plan->size += seal_size(seal);
    plan->ackable = true;
    return 0;
}

bool ftx_plan_packs(const struct ftx_plan *plan)
{
    for (size_t i = 0; i < plan->n_entries; i++)
        if (plan->entries[i].packing.level > 0)
            return true;
    return false;
}

/* What a build needs. */
struct building {
    struct ftx_plan *plan;
    ftx_plan_read_fn read;
    void *ctx;
    const struct ftx_packer *packer;
};

/* Reads the entry's data to `out`, where it is compressed if it is to be, and says so in the
 * message. */
static int build_data(const struct building *b, struct ftx_plan_entry *entry, struct ftx_message *m,
                      uint8_t *out)
{
    struct ftx_source *source = &entry->as.source;
    struct ftx_content *content = &m->as.content;
    entry->err = b->read(b->ctx, source, out);
    if (entry->err)
        return entry->err;
    content->data_size =
        ftx_pack_extent(&entry->packing, b->packer, out, (size_t)source->extent.length);
    if (content->data_size < source->extent.length) {
        content->encoding = FTX_ENCODING_ZSTD;
        b->plan->packed_before += source->extent.length;
        b->plan->packed_after += content->data_size;
    }
    return 0;
}

/* An EXTENT, HOLE or FETCHED; 0: it was left out. */
static size_t build_content(const struct building *b, struct ftx_plan_entry *entry, uint8_t *out,
                            size_t room)
{
    struct ftx_source *source = &entry->as.source;
    bool data = source->extent.kind == FTX_EXTENT_DATA;
    struct ftx_message m = {.type = source->answer ? FTX_MSG_FETCHED
                                    : data         ? FTX_MSG_EXTENT
                                                   : FTX_MSG_HOLE};
    if (data &&
        build_data(b, entry, &m, out + (source->answer ? FTX_FETCHED_HEAD : FTX_EXTENT_HEAD)))
        return 0;
    m.as.content.extent = source->extent;
    return ftx_message_encode(&m, out, room) + m.as.content.data_size;
}

/* True if an extent of the stream that stands before `end` was left out. */
static bool stream_failed(const struct ftx_plan *plan, size_t end, uint64_t stream)
{
    for (size_t i = 0; i < end; i++) {
        const struct ftx_plan_entry *entry = &plan->entries[i];
        if (entry->kind == FTX_PLAN_EXTENT && entry->err &&
            entry->as.source.extent.stream == stream)
            return true;
    }
    return false;
}

static size_t build_seal(const struct ftx_plan_seal *seal, uint8_t *out, size_t room)
{
    struct ftx_message m = {.type = FTX_MSG_SEAL};
    m.as.seal.stream = seal->stream;
    m.as.seal.version = seal->version;
    m.as.seal.size = seal->size;
    m.as.seal.attributes = seal->attributes;
    m.as.seal.attributes_size = seal->attributes_size;
    return ftx_message_encode(&m, out, room);
}

size_t ftx_plan_build(struct ftx_plan *plan, ftx_plan_read_fn read, void *ctx,
                      const struct ftx_packer *packer, uint8_t *out)
{
    const struct building b = {plan, read, ctx, packer};
    size_t used = 0;
    bool failed = false;
    bool effect = plan->op_last != 0;
    for (size_t i = 0; i < plan->n_entries; i++) {
        struct ftx_plan_entry *entry = &plan->entries[i];
        switch (entry->kind) {
        case FTX_PLAN_BYTES:
            memcpy(out + used, plan->bytes + entry->as.bytes.offset, entry->as.bytes.size);
            used += entry->as.bytes.size;
            break;
        case FTX_PLAN_EXTENT:
            used += build_content(&b, entry, out + used, FTX_RECORD_PLAIN_MAX - used);
            if (entry->err) {
                plan->left_out_bytes += source_size(&entry->as.source);
                failed = true;
            }
            effect |= !entry->err;
            break;
        case FTX_PLAN_ANSWER:
            used += build_content(&b, entry, out + used, FTX_RECORD_PLAIN_MAX - used);
            break;
        case FTX_PLAN_SEAL:
            if (failed && stream_failed(plan, i, entry->as.seal->stream))
                entry->err = FTX_ECHANGED;
            else
                used += build_seal(entry->as.seal, out + used, FTX_RECORD_PLAIN_MAX - used);
            effect |= !entry->err;
            break;
        }
    }
    plan->ackable = effect;
    if (used == 0)
        used = ftx_message_encode(&(struct ftx_message){.type = FTX_MSG_PONG}, out,
                                  FTX_RECORD_PLAIN_MAX);
    return used;
}
