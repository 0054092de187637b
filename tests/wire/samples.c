/* SPDX-License-Identifier: MIT */
/* The samples in C: what tests/vectors/expected.json says in JSON. */
#include "tests/wire/samples.h"

#include <string.h>

static const int64_t when = 1700000000123456789;
static const uint8_t data[] = {'h', 'e', 'l', 'l', 'o', ' ', 'w', 'o', 'r', 'l', 'd'};
static const uint8_t hash[FTX_HASH_SIZE] = {0xdf, 0x8d, 0x09, 0xe9, 0x3f, 0x87, 0x49, 0x00,
                                            0xa9, 0x9b, 0x87, 0x75, 0xcc, 0x15, 0xb6, 0xc7};
/* MAKE of the file notes.txt, item 1, mode 0644, `when` one nanosecond after its mtime */
static const uint8_t make_file[] = {
    1,    1,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    1,    0xa4, 0x01, 0x15, 0xcd, 0x85, 0x3d, 0xfe, 0x9c, 0x97, 0x17, 0x16, 0xcd, 0x85, 0x3d,
    0xfe, 0x9c, 0x97, 0x17, 9,    'n',  'o',  't',  'e',  's',  '.',  't',  'x',  't'};

const char *const sample_names[SAMPLES] = {
    "start", "join",    "have",      "have-end", "op",       "extent", "hole", "size",
    "seal",  "ack",     "missing",   "refused",  "want",     "ping",   "pong", "goodbye",
    "fetch", "fetched", "addresses", "digest",   "digested", "hold",   "take"};

static void fill_list(struct ftx_message *m)
{
    static uint8_t have[2 * FTX_HAVE_ENTRY], missing[2 * FTX_RANGE_ENTRY];
    struct ftx_extent first = {.length = sizeof data, .kind = FTX_EXTENT_DATA};
    memcpy(first.hash, hash, sizeof hash);
    const struct ftx_extent second = {
        .offset = 4096, .length = UINT64_C(1) << 40, .kind = FTX_EXTENT_HOLE};
    ftx_have_encode(&first, have);
    ftx_have_encode(&second, have + FTX_HAVE_ENTRY);
    ftx_range_encode(&(struct ftx_range){0, 4096}, missing);
    ftx_range_encode(&(struct ftx_range){1 << 20, 1}, missing + FTX_RANGE_ENTRY);
    m->as.list.stream = 5;
    m->as.list.version = 2;
    m->as.list.n = 2;
    m->as.list.entries = m->type == FTX_MSG_HAVE ? have : missing;
}

static void fill_content(struct ftx_message *m)
{
    struct ftx_extent *extent = &m->as.content.extent;
    extent->stream = 5;
    extent->version = 2;
    if (m->type == FTX_MSG_EXTENT) {
        extent->offset = 4096;
        extent->length = sizeof data;
        extent->size_now = 8192;
        extent->kind = FTX_EXTENT_DATA;
        memcpy(extent->hash, hash, sizeof hash);
        m->as.content.data = data;
        m->as.content.data_size = sizeof data;
    } else if (m->type == FTX_MSG_HOLE) {
        extent->offset = 8192;
        extent->length = 1 << 30;
        extent->size_now = UINT64_C(1) << 40;
        extent->kind = FTX_EXTENT_HOLE;
    } else {
        extent->size_now = INT64_MAX;
    }
}

static void fill_fetched(struct ftx_message *m)
{
    struct ftx_extent *extent = &m->as.content.extent;
    extent->stream = 5;
    extent->offset = 4096;
    extent->length = sizeof data;
    extent->kind = FTX_EXTENT_DATA;
    memcpy(extent->hash, hash, sizeof hash);
    m->as.content.data = data;
    m->as.content.data_size = sizeof data;
}

static void fill_addresses(struct ftx_message *m)
{
    static uint8_t entries[2 * FTX_ADDRESS_ENTRY];
    const struct ftx_told_address v4 = {{[10] = 0xff, 0xff, 192, 0, 2, 1}, 15820};
    const struct ftx_told_address v6 = {{0x20, 0x01, 0x0d, 0xb8, [15] = 1}, 65535};
    ftx_address_encode(&v4, entries);
    ftx_address_encode(&v6, entries + FTX_ADDRESS_ENTRY);
    m->as.list.n = 2;
    m->as.list.entries = entries;
}

static void fill_digest(struct ftx_message *m)
{
    m->as.digest.stream = 5;
    m->as.digest.whose = m->type == FTX_MSG_DIGEST ? FTX_DIGEST_ASKED : FTX_DIGEST_ASKER;
    if (m->type == FTX_MSG_DIGEST)
        return;
    m->as.digest.state = FTX_DIGEST_HERE;
    for (size_t i = 0; i < FTX_DIGEST_SIZE; i++)
        m->as.digest.sha256[i] = (uint8_t)(0xe0 + i);
}

static void fill_seal(struct ftx_message *m)
{
    static uint8_t attributes[10] = {0xa4, 0x01};
    for (size_t i = 0; i < 8; i++)
        attributes[2 + i] = (uint8_t)((uint64_t)when >> (8 * i));
    m->as.seal.stream = 5;
    m->as.seal.version = 2;
    m->as.seal.size = 8192;
    m->as.seal.attributes = attributes;
    m->as.seal.attributes_size = sizeof attributes;
}

struct ftx_message sample_message(size_t i)
{
    struct ftx_message m;
    memset(&m, 0, sizeof m);
    m.type = (enum ftx_message_type)(i + 1);
    switch (m.type) {
    case FTX_MSG_START:
        m.as.start.session = 7;
        m.as.start.op_durable = 3;
        break;
    case FTX_MSG_JOIN:
        m.as.start.session = 0x0123456789abcdef;
        break;
    case FTX_MSG_HAVE:
    case FTX_MSG_MISSING:
        fill_list(&m);
        break;
    case FTX_MSG_HAVE_END:
        break;
    case FTX_MSG_OP:
        m.as.op.number = 9;
        m.as.op.bytes = make_file;
        m.as.op.size = sizeof make_file;
        break;
    case FTX_MSG_EXTENT:
    case FTX_MSG_HOLE:
    case FTX_MSG_SIZE:
        fill_content(&m);
        break;
    case FTX_MSG_SEAL:
        fill_seal(&m);
        break;
    case FTX_MSG_ACK:
        m.as.ack.received = 300;
        m.as.ack.durable = 200;
        break;
    case FTX_MSG_REFUSED:
        m.as.refused.stream = 5;
        m.as.refused.reason = FTX_REFUSED_SPACE;
        break;
    case FTX_MSG_WANT:
        m.as.want.stream = 5;
        m.as.want.range.offset = UINT64_C(1) << 33;
        m.as.want.range.length = 1 << 20;
        break;
    case FTX_MSG_PING:
    case FTX_MSG_PONG:
        m.as.token = 0xfedcba9876543210;
        break;
    case FTX_MSG_HOLD:
        m.as.item = 0;
        break;
    case FTX_MSG_TAKE:
        m.as.item = UINT64_C(1) << 33;
        break;
    case FTX_MSG_GOODBYE:
        m.as.reason = FTX_BYE_REPLACED;
        break;
    case FTX_MSG_FETCH:
        m.as.want.stream = 5;
        m.as.want.range.offset = UINT64_C(1) << 33;
        m.as.want.range.length = 1 << 20;
        break;
    case FTX_MSG_FETCHED:
        fill_fetched(&m);
        break;
    case FTX_MSG_ADDRESSES:
        fill_addresses(&m);
        break;
    case FTX_MSG_DIGEST:
    case FTX_MSG_DIGESTED:
        fill_digest(&m);
        break;
    }
    return m;
}

size_t sample_encode(const struct ftx_message *message, uint8_t *out, size_t capacity)
{
    size_t size = ftx_message_encode(message, out, capacity);
    if (message->type == FTX_MSG_EXTENT || message->type == FTX_MSG_FETCHED) {
        memcpy(out + size, message->as.content.data, message->as.content.data_size);
        size += message->as.content.data_size;
    }
    return size;
}
