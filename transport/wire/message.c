/* SPDX-License-Identifier: MIT */
/* Encoding and decoding of messages: head, then one switch each way. */
#include "transport/wire/message.h"

#include "transport/base/err.h"
#include "transport/wire/cursor.h"

#include <string.h>

static bool range_valid(uint64_t offset, uint64_t length)
{
    return length > 0 && offset <= FTX_OFFSET_MAX && length <= FTX_OFFSET_MAX - offset;
}

static bool has_hash(const struct ftx_extent *extent)
{
    static const uint8_t no_hash[FTX_HASH_SIZE];
    return memcmp(extent->hash, no_hash, FTX_HASH_SIZE) != 0;
}

static bool entry_valid(const struct ftx_extent *extent)
{
    if (!range_valid(extent->offset, extent->length))
        return false;
    return (extent->kind == FTX_EXTENT_HOLE && !has_hash(extent)) ||
           (extent->kind == FTX_EXTENT_DATA && extent->length <= FTX_EXTENT_MAX);
}

/* n entries of `entry` bytes, and nothing else, must be left. */
static void decode_list(struct ftx_reader *r, struct ftx_message *m, size_t entry, uint32_t most)
{
    m->as.list.stream = ftx_read_u64(r);
    m->as.list.version = ftx_read_u32(r);
    if (r->left == 0 || r->left % entry != 0 || r->left / entry > most) {
        r->failed = true;
        return;
    }
    m->as.list.n = (uint32_t)(r->left / entry);
    m->as.list.entries = ftx_read_bytes(r, r->left);
    for (uint32_t i = 0; i < m->as.list.n && !r->failed; i++) {
        if (m->type == FTX_MSG_HAVE) {
            struct ftx_extent extent;
            ftx_have_entry(m, i, &extent);
            r->failed = !entry_valid(&extent);
        } else {
            struct ftx_range range;
            ftx_range_entry(m, i, &range);
            r->failed = !range_valid(range.offset, range.length);
        }
    }
}

/* `length` bytes of data as they are, or as a frame that is shorter. */
static bool data_valid(uint8_t encoding, size_t data_size, uint64_t length)
{
    if (encoding == FTX_ENCODING_ZSTD)
        return data_size > 0 && data_size < length;
    return encoding == FTX_ENCODING_RAW && data_size == length;
}

static void decode_content(struct ftx_reader *r, struct ftx_message *m)
{
    struct ftx_extent *extent = &m->as.content.extent;
    memset(&m->as.content, 0, sizeof m->as.content);
    extent->stream = ftx_read_u64(r);
    extent->version = ftx_read_u32(r);
    if (m->type != FTX_MSG_SIZE)
        extent->offset = ftx_read_u64(r);
    extent->size_now = ftx_read_u64(r);
    if (extent->size_now > FTX_OFFSET_MAX)
        r->failed = true;
    if (m->type == FTX_MSG_SIZE)
        return;
    if (m->type == FTX_MSG_HOLE) {
        extent->kind = FTX_EXTENT_HOLE;
        extent->length = ftx_read_u64(r);
    } else {
        extent->kind = FTX_EXTENT_DATA;
        extent->length = ftx_read_u32(r);
        uint8_t encoding = ftx_read_u8(r);
        const uint8_t *hash = ftx_read_bytes(r, FTX_HASH_SIZE);
        if (hash)
            memcpy(extent->hash, hash, FTX_HASH_SIZE);
        m->as.content.encoding = encoding;
        m->as.content.data_size = r->left;
        m->as.content.data = ftx_read_bytes(r, r->left);
        if (!data_valid(encoding, m->as.content.data_size, extent->length))
            r->failed = true;
    }
    if (!entry_valid(extent))
        r->failed = true;
}

static void decode_fetch(struct ftx_reader *r, struct ftx_message *m)
{
    m->as.want.stream = ftx_read_u64(r);
    m->as.want.range.offset = ftx_read_u64(r);
    m->as.want.range.length = ftx_read_u32(r);
    if (!range_valid(m->as.want.range.offset, m->as.want.range.length) ||
        m->as.want.range.length > FTX_EXTENT_MAX)
        r->failed = true;
}

static bool answer_valid(const struct ftx_extent *extent, uint8_t encoding, size_t data_size)
{
    if (!range_valid(extent->offset, extent->length) || extent->length > FTX_EXTENT_MAX)
        return false;
    if (extent->kind == FTX_EXTENT_DATA)
        return data_valid(encoding, data_size, extent->length);
    return (extent->kind == FTX_EXTENT_HOLE || extent->kind == FTX_EXTENT_GONE) &&
           encoding == FTX_ENCODING_RAW && !has_hash(extent) && data_size == 0;
}

static void decode_fetched(struct ftx_reader *r, struct ftx_message *m)
{
    struct ftx_extent *extent = &m->as.content.extent;
    memset(&m->as.content, 0, sizeof m->as.content);
    extent->stream = ftx_read_u64(r);
    extent->offset = ftx_read_u64(r);
    extent->length = ftx_read_u32(r);
    extent->kind = ftx_read_u8(r);
    uint8_t encoding = ftx_read_u8(r);
    const uint8_t *hash = ftx_read_bytes(r, FTX_HASH_SIZE);
    if (hash)
        memcpy(extent->hash, hash, FTX_HASH_SIZE);
    size_t data_size = r->left;
    const uint8_t *data = ftx_read_bytes(r, data_size);
    if (!answer_valid(extent, encoding, data_size))
        r->failed = true;
    if (extent->kind == FTX_EXTENT_DATA) {
        m->as.content.encoding = encoding;
        m->as.content.data = data;
        m->as.content.data_size = data_size;
    }
}

static void decode_addresses(struct ftx_reader *r, struct ftx_message *m)
{
    memset(&m->as.list, 0, sizeof m->as.list);
    if (r->left % FTX_ADDRESS_ENTRY != 0 || r->left / FTX_ADDRESS_ENTRY > FTX_ADDRESSES_MAX) {
        r->failed = true;
        return;
    }
    m->as.list.n = (uint32_t)(r->left / FTX_ADDRESS_ENTRY);
    m->as.list.entries = ftx_read_bytes(r, r->left);
    for (uint32_t i = 0; i < m->as.list.n && !r->failed; i++) {
        struct ftx_told_address told;
        ftx_address_entry(m, i, &told);
        r->failed = told.port == 0;
    }
}

static void decode_digest(struct ftx_reader *r, struct ftx_message *m)
{
    static const uint8_t no_digest[FTX_DIGEST_SIZE];
    struct ftx_told_digest *told = &m->as.digest;
    memset(told, 0, sizeof *told);
    told->stream = ftx_read_u64(r);
    told->whose = ftx_read_u8(r);
    if (told->whose != FTX_DIGEST_ASKER && told->whose != FTX_DIGEST_ASKED)
        r->failed = true;
    if (m->type == FTX_MSG_DIGEST)
        return;
    told->state = ftx_read_u8(r);
    const uint8_t *sha256 = ftx_read_bytes(r, FTX_DIGEST_SIZE);
    if (sha256)
        memcpy(told->sha256, sha256, FTX_DIGEST_SIZE);
    if (told->state < FTX_DIGEST_HERE || told->state > FTX_DIGEST_LAST ||
        (told->state != FTX_DIGEST_HERE && memcmp(told->sha256, no_digest, FTX_DIGEST_SIZE) != 0))
        r->failed = true;
}

static void decode_body(struct ftx_reader *r, struct ftx_message *m)
{
    switch (m->type) {
    case FTX_MSG_START:
        m->as.start.session = ftx_read_u64(r);
        m->as.start.op_durable = ftx_read_u64(r);
        break;
    case FTX_MSG_JOIN:
        m->as.start.session = ftx_read_u64(r);
        m->as.start.op_durable = 0;
        break;
    case FTX_MSG_HAVE:
        decode_list(r, m, FTX_HAVE_ENTRY, FTX_HAVE_MAX);
        break;
    case FTX_MSG_MISSING:
        decode_list(r, m, FTX_RANGE_ENTRY, FTX_MISSING_MAX);
        break;
    case FTX_MSG_HAVE_END:
        break;
    case FTX_MSG_OP:
        m->as.op.number = ftx_read_u64(r);
        m->as.op.size = r->left;
        m->as.op.bytes = ftx_read_bytes(r, r->left);
        if (m->as.op.size < 1 || m->as.op.size > FTX_OP_MAX)
            r->failed = true;
        break;
    case FTX_MSG_EXTENT:
    case FTX_MSG_HOLE:
    case FTX_MSG_SIZE:
        decode_content(r, m);
        break;
    case FTX_MSG_SEAL:
        m->as.seal.stream = ftx_read_u64(r);
        m->as.seal.version = ftx_read_u32(r);
        m->as.seal.size = ftx_read_u64(r);
        m->as.seal.attributes_size = r->left;
        m->as.seal.attributes = ftx_read_bytes(r, r->left);
        if (m->as.seal.attributes_size > FTX_SEAL_ATTR_MAX || m->as.seal.size > FTX_OFFSET_MAX)
            r->failed = true;
        break;
    case FTX_MSG_ACK:
        m->as.ack.received = ftx_read_u64(r);
        m->as.ack.durable = ftx_read_u64(r);
        if (m->as.ack.durable > m->as.ack.received)
            r->failed = true;
        break;
    case FTX_MSG_REFUSED:
        m->as.refused.stream = ftx_read_u64(r);
        m->as.refused.reason = ftx_read_u8(r);
        if (m->as.refused.reason < 1 || m->as.refused.reason > FTX_REFUSED_LAST)
            r->failed = true;
        break;
    case FTX_MSG_WANT:
        m->as.want.stream = ftx_read_u64(r);
        m->as.want.range.offset = ftx_read_u64(r);
        m->as.want.range.length = ftx_read_u64(r);
        if (!range_valid(m->as.want.range.offset, m->as.want.range.length))
            r->failed = true;
        break;
    case FTX_MSG_PING:
    case FTX_MSG_PONG:
        m->as.token = ftx_read_u64(r);
        break;
    case FTX_MSG_HOLD:
    case FTX_MSG_TAKE:
        m->as.item = ftx_read_u64(r);
        break;
    case FTX_MSG_GOODBYE:
        m->as.reason = ftx_read_u8(r);
        if (m->as.reason < FTX_BYE_LEAVING || m->as.reason > FTX_BYE_LOST)
            r->failed = true;
        break;
    case FTX_MSG_FETCH:
        decode_fetch(r, m);
        break;
    case FTX_MSG_FETCHED:
        decode_fetched(r, m);
        break;
    case FTX_MSG_ADDRESSES:
        decode_addresses(r, m);
        break;
    case FTX_MSG_DIGEST:
    case FTX_MSG_DIGESTED:
        decode_digest(r, m);
        break;
    default:
        r->failed = true;
    }
}

int ftx_message_decode(const uint8_t *plain, size_t size, size_t *in_out_offset,
                       struct ftx_message *out)
{
    struct ftx_reader record = ftx_reader(plain + *in_out_offset, size - *in_out_offset);
    struct ftx_message m = {.type = ftx_read_u8(&record)};
    size_t length = (size_t)ftx_read_uint(&record, 3);
    const uint8_t *body = ftx_read_bytes(&record, length);
    if (record.failed)
        return FTX_EPROTO;
    struct ftx_reader r = ftx_reader(body, length);
    decode_body(&r, &m);
    if (r.failed || r.left != 0)
        return FTX_EPROTO;
    *in_out_offset = size - record.left;
    *out = m;
    return 0;
}

size_t ftx_message_saved(const struct ftx_message *message)
{
    const struct ftx_content *content = &message->as.content;
    bool data = message->type == FTX_MSG_EXTENT || message->type == FTX_MSG_FETCHED;
    if (!data || content->encoding == FTX_ENCODING_RAW)
        return 0;
    return (size_t)content->extent.length - content->data_size;
}

void ftx_have_entry(const struct ftx_message *have, uint32_t i, struct ftx_extent *out)
{
    struct ftx_reader r =
        ftx_reader(have->as.list.entries + (size_t)i * FTX_HAVE_ENTRY, FTX_HAVE_ENTRY);
    *out = (struct ftx_extent){.stream = have->as.list.stream, .version = have->as.list.version};
    out->offset = ftx_read_u64(&r);
    out->length = ftx_read_u64(&r);
    out->kind = ftx_read_u8(&r);
    memcpy(out->hash, ftx_read_bytes(&r, FTX_HASH_SIZE), FTX_HASH_SIZE);
}

void ftx_range_entry(const struct ftx_message *missing, uint32_t i, struct ftx_range *out)
{
    struct ftx_reader r =
        ftx_reader(missing->as.list.entries + (size_t)i * FTX_RANGE_ENTRY, FTX_RANGE_ENTRY);
    out->offset = ftx_read_u64(&r);
    out->length = ftx_read_u64(&r);
}

void ftx_address_entry(const struct ftx_message *addresses, uint32_t i,
                       struct ftx_told_address *out)
{
    struct ftx_reader r =
        ftx_reader(addresses->as.list.entries + (size_t)i * FTX_ADDRESS_ENTRY, FTX_ADDRESS_ENTRY);
    memcpy(out->address, ftx_read_bytes(&r, sizeof out->address), sizeof out->address);
    out->port = ftx_read_u16(&r);
}

void ftx_have_encode(const struct ftx_extent *extent, uint8_t out[FTX_HAVE_ENTRY])
{
    struct ftx_writer w = ftx_writer(out, FTX_HAVE_ENTRY);
    ftx_write_u64(&w, extent->offset);
    ftx_write_u64(&w, extent->length);
    ftx_write_u8(&w, extent->kind);
    ftx_write_bytes(&w, extent->hash, FTX_HASH_SIZE);
}

void ftx_range_encode(const struct ftx_range *range, uint8_t out[FTX_RANGE_ENTRY])
{
    struct ftx_writer w = ftx_writer(out, FTX_RANGE_ENTRY);
    ftx_write_u64(&w, range->offset);
    ftx_write_u64(&w, range->length);
}

void ftx_address_encode(const struct ftx_told_address *told, uint8_t out[FTX_ADDRESS_ENTRY])
{
    struct ftx_writer w = ftx_writer(out, FTX_ADDRESS_ENTRY);
    ftx_write_bytes(&w, told->address, sizeof told->address);
    ftx_write_u16(&w, told->port);
}

static void encode_content(struct ftx_writer *w, const struct ftx_message *m)
{
    const struct ftx_extent *extent = &m->as.content.extent;
    ftx_write_u64(w, extent->stream);
    ftx_write_u32(w, extent->version);
    if (m->type != FTX_MSG_SIZE)
        ftx_write_u64(w, extent->offset);
    ftx_write_u64(w, extent->size_now);
    if (m->type == FTX_MSG_HOLE) {
        ftx_write_u64(w, extent->length);
    } else if (m->type == FTX_MSG_EXTENT) {
        ftx_write_u32(w, (uint32_t)extent->length);
        ftx_write_u8(w, (uint8_t)m->as.content.encoding);
        ftx_write_bytes(w, extent->hash, FTX_HASH_SIZE);
    }
}

static void encode_fetched(struct ftx_writer *w, const struct ftx_content *content)
{
    const struct ftx_extent *extent = &content->extent;
    ftx_write_u64(w, extent->stream);
    ftx_write_u64(w, extent->offset);
    ftx_write_u32(w, (uint32_t)extent->length);
    ftx_write_u8(w, extent->kind);
    ftx_write_u8(w, (uint8_t)content->encoding);
    ftx_write_bytes(w, extent->hash, FTX_HASH_SIZE);
}

static void encode_digest(struct ftx_writer *w, const struct ftx_message *m)
{
    ftx_write_u64(w, m->as.digest.stream);
    ftx_write_u8(w, m->as.digest.whose);
    if (m->type == FTX_MSG_DIGEST)
        return;
    ftx_write_u8(w, m->as.digest.state);
    ftx_write_bytes(w, m->as.digest.sha256, FTX_DIGEST_SIZE);
}

static void encode_body(struct ftx_writer *w, const struct ftx_message *m)
{
    switch (m->type) {
    case FTX_MSG_START:
        ftx_write_u64(w, m->as.start.session);
        ftx_write_u64(w, m->as.start.op_durable);
        break;
    case FTX_MSG_JOIN:
        ftx_write_u64(w, m->as.start.session);
        break;
    case FTX_MSG_HAVE:
    case FTX_MSG_MISSING:
        ftx_write_u64(w, m->as.list.stream);
        ftx_write_u32(w, m->as.list.version);
        ftx_write_bytes(w, m->as.list.entries,
                        m->as.list.n *
                            (size_t)(m->type == FTX_MSG_HAVE ? FTX_HAVE_ENTRY : FTX_RANGE_ENTRY));
        break;
    case FTX_MSG_HAVE_END:
        break;
    case FTX_MSG_OP:
        ftx_write_u64(w, m->as.op.number);
        ftx_write_bytes(w, m->as.op.bytes, m->as.op.size);
        break;
    case FTX_MSG_EXTENT:
    case FTX_MSG_HOLE:
    case FTX_MSG_SIZE:
        encode_content(w, m);
        break;
    case FTX_MSG_SEAL:
        ftx_write_u64(w, m->as.seal.stream);
        ftx_write_u32(w, m->as.seal.version);
        ftx_write_u64(w, m->as.seal.size);
        ftx_write_bytes(w, m->as.seal.attributes, m->as.seal.attributes_size);
        break;
    case FTX_MSG_ACK:
        ftx_write_u64(w, m->as.ack.received);
        ftx_write_u64(w, m->as.ack.durable);
        break;
    case FTX_MSG_REFUSED:
        ftx_write_u64(w, m->as.refused.stream);
        ftx_write_u8(w, m->as.refused.reason);
        break;
    case FTX_MSG_WANT:
        ftx_write_u64(w, m->as.want.stream);
        ftx_write_u64(w, m->as.want.range.offset);
        ftx_write_u64(w, m->as.want.range.length);
        break;
    case FTX_MSG_PING:
    case FTX_MSG_PONG:
        ftx_write_u64(w, m->as.token);
        break;
    case FTX_MSG_HOLD:
    case FTX_MSG_TAKE:
        ftx_write_u64(w, m->as.item);
        break;
    case FTX_MSG_GOODBYE:
        ftx_write_u8(w, m->as.reason);
        break;
    case FTX_MSG_FETCH:
        ftx_write_u64(w, m->as.want.stream);
        ftx_write_u64(w, m->as.want.range.offset);
        ftx_write_u32(w, (uint32_t)m->as.want.range.length);
        break;
    case FTX_MSG_FETCHED:
        encode_fetched(w, &m->as.content);
        break;
    case FTX_MSG_ADDRESSES:
        ftx_write_bytes(w, m->as.list.entries, m->as.list.n * (size_t)FTX_ADDRESS_ENTRY);
        break;
    case FTX_MSG_DIGEST:
    case FTX_MSG_DIGESTED:
        encode_digest(w, m);
        break;
    }
}

size_t ftx_message_encode(const struct ftx_message *message, uint8_t *out, size_t capacity)
{
    struct ftx_writer w = ftx_writer(out, capacity);
    ftx_write_u8(&w, (uint8_t)message->type);
    ftx_write_uint(&w, 0, 3);
    encode_body(&w, message);
    if (w.failed)
        return 0;
    size_t length = w.size - FTX_MESSAGE_HEAD;
    if (message->type == FTX_MSG_EXTENT || message->type == FTX_MSG_FETCHED)
        length += message->as.content.data_size;
    struct ftx_writer head = ftx_writer(out + 1, 3);
    ftx_write_uint(&head, length, 3);
    return w.size;
}
