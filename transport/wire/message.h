/* SPDX-License-Identifier: MIT */
/* The messages inside records: docs/protocol.md 5 as types, one decoder, one encoder. Pure. */
#ifndef FTX_WIRE_MESSAGE_H
#define FTX_WIRE_MESSAGE_H

#include "transport/wire/limits.h"

#include <stddef.h>
#include <stdint.h>

/*
 * head of each: u8 type, u24 length of the body
 *
 * START     u64 session, u64 op_durable
 * JOIN      u64 session
 * HAVE      u64 stream, u32 version, n x { u64 offset, u64 length, u8 kind, hash[16] }
 * HAVE_END
 * OP        u64 number, operation
 * EXTENT    u64 stream, u32 version, u64 offset, u64 size_now, u32 raw_length, u8 encoding,
 *           hash[16], data
 * HOLE      u64 stream, u32 version, u64 offset, u64 size_now, u64 length
 * SIZE      u64 stream, u32 version, u64 size_now
 * SEAL      u64 stream, u32 version, u64 size, attributes
 * ACK       u64 received, u64 durable
 * MISSING   u64 stream, u32 version, n x { u64 offset, u64 length }
 * REFUSED   u64 stream, u8 reason
 * WANT      u64 stream, u64 offset, u64 length
 * PING      u64 token
 * PONG      u64 token
 * GOODBYE   u8 reason
 * FETCH     u64 stream, u64 offset, u32 length
 * FETCHED   u64 stream, u64 offset, u32 length, u8 kind, u8 encoding, hash[16], data
 * ADDRESSES n x { address[16], u16 port }
 * DIGEST    u64 stream, u8 whose
 * DIGESTED  u64 stream, u8 whose, u8 state, sha256[32]
 * HOLD      u64 item
 * TAKE      u64 item
 */
enum ftx_message_type {
    FTX_MSG_START = 1,
    FTX_MSG_JOIN,
    FTX_MSG_HAVE,
    FTX_MSG_HAVE_END,
    FTX_MSG_OP,
    FTX_MSG_EXTENT,
    FTX_MSG_HOLE,
    FTX_MSG_SIZE,
    FTX_MSG_SEAL,
    FTX_MSG_ACK,
    FTX_MSG_MISSING,
    FTX_MSG_REFUSED,
    FTX_MSG_WANT,
    FTX_MSG_PING,
    FTX_MSG_PONG,
    FTX_MSG_GOODBYE,
    FTX_MSG_FETCH,
    FTX_MSG_FETCHED,
    FTX_MSG_ADDRESSES,
    FTX_MSG_DIGEST,
    FTX_MSG_DIGESTED,
    FTX_MSG_HOLD,
    FTX_MSG_TAKE,
};

enum {
    FTX_MESSAGE_HEAD = 4,
    FTX_EXTENT_HEAD = FTX_MESSAGE_HEAD + 8 + 4 + 8 + 8 + 4 + 1 + FTX_HASH_SIZE,
    FTX_FETCHED_HEAD = FTX_MESSAGE_HEAD + 8 + 8 + 4 + 1 + 1 + FTX_HASH_SIZE,
    FTX_HAVE_ENTRY = 8 + 8 + 1 + FTX_HASH_SIZE,
    FTX_RANGE_ENTRY = 8 + 8,
    FTX_ADDRESS_ENTRY = 16 + 2,
    FTX_MESSAGE_SMALL_MAX = 128, /* any message but HAVE, MISSING, OP and ADDRESSES fits, without
                                    the data of EXTENT and FETCHED */
};

enum ftx_extent_kind {
    FTX_EXTENT_DATA = 1,
    FTX_EXTENT_HOLE = 2,
    FTX_EXTENT_GONE = 3, /* in FETCHED only: who was asked does not have it */
};

enum ftx_encoding {
    FTX_ENCODING_RAW = 0,
    FTX_ENCODING_ZSTD = 1, /* one frame, shorter than the bytes that it holds */
};

enum ftx_refusal {
    FTX_REFUSED_NAME = 1,
    FTX_REFUSED_KIND,
    FTX_REFUSED_SIZE,
    FTX_REFUSED_SPACE,
    FTX_REFUSED_DELETED,
    FTX_REFUSED_POLICY,
    FTX_REFUSED_STORAGE,
    FTX_REFUSED_FOLDER,
    FTX_REFUSED_TYPE,     /* the ending of its name, or what it holds */
    FTX_REFUSED_REJECTED, /* offered, and its receiver said no */
    FTX_REFUSED_LAST = FTX_REFUSED_REJECTED,
};

/* Of whose numbering the stream is that a DIGEST asks about. */
enum ftx_digest_whose {
    FTX_DIGEST_ASKER = 1, /* of the end that asks: the other one has it as receiver */
    FTX_DIGEST_ASKED = 2,
};

enum ftx_digest_state {
    FTX_DIGEST_HERE = 1,   /* all of it, and this is its SHA-256 */
    FTX_DIGEST_GONE,       /* there is no such file, or its bytes are not here any more */
    FTX_DIGEST_UNFINISHED, /* it is being written, or arriving */
    FTX_DIGEST_WORKING,    /* the answer is still to come */
    FTX_DIGEST_LAST = FTX_DIGEST_WORKING,
};

enum ftx_goodbye { FTX_BYE_LEAVING = 1, FTX_BYE_REPLACED, FTX_BYE_LOST };

/* A byte range of a stream: what is sent, acknowledged and held. */
struct ftx_extent {
    uint64_t stream;
    uint64_t offset;
    uint64_t length;
    uint64_t size_now; /* of the stream, as far as the sender knows */
    uint32_t version;
    uint8_t kind;
    uint8_t hash[FTX_HASH_SIZE];
};

struct ftx_range {
    uint64_t offset;
    uint64_t length;
};

/* Where an end can be dialled. */
struct ftx_told_address {
    uint8_t address[16]; /* IPv6; IPv4 as ::ffff:a.b.c.d */
    uint16_t port;
};

/* What one end tells the other of a file. */
struct ftx_told_digest {
    uint64_t stream;
    uint8_t whose, state; /* enum ftx_digest_whose, ftx_digest_state; a DIGEST has no state */
    uint8_t sha256[FTX_DIGEST_SIZE]; /* of HERE, else zeros */
};

/* What an EXTENT, HOLE or FETCHED says, and its bytes as they travel; they stand in the record. */
struct ftx_content {
    struct ftx_extent extent;
    enum ftx_encoding encoding;
    const uint8_t *data; /* of kind data, else NULL */
    size_t data_size;    /* of raw data extent.length, of a frame less */
};

/* A decoded message; pointers go into the record. */
struct ftx_message {
    enum ftx_message_type type;
    union {
        struct {
            uint64_t session, op_durable;
        } start; /* JOIN: session only */
        struct {
            uint64_t stream;
            uint32_t version;
            uint32_t n;
            const uint8_t *entries; /* ftx_have_entry, ftx_range_entry, ftx_address_entry */
        } list;                     /* HAVE, MISSING; ADDRESSES (stream and version 0) */
        struct {
            uint64_t number;
            const uint8_t *bytes;
            size_t size;
        } op;
        struct ftx_content content; /* EXTENT, HOLE, SIZE (offset and length 0), FETCHED (version
                                       and size_now 0) */
        struct {
            uint64_t stream, size;
            uint32_t version;
            const uint8_t *attributes;
            size_t attributes_size;
        } seal;
        struct {
            uint64_t received, durable;
        } ack;
        struct {
            uint64_t stream;
            uint8_t reason;
        } refused;
        struct {
            uint64_t stream;
            struct ftx_range range;
        } want;                        /* WANT, FETCH */
        struct ftx_told_digest digest; /* DIGEST (state 0), DIGESTED */
        uint64_t item;                 /* HOLD, TAKE */
        uint64_t token;                /* PING, PONG */
        uint8_t reason;                /* GOODBYE */
    } as;
};

/*
 * Decodes the message at *in_out_offset of a record's plain text and moves the offset behind it.
 * FTX_EPROTO, and nothing written, for anything that docs/protocol.md 5 does not allow: an unknown
 * type, a body that is not consumed to its last byte, numbers out of range.
 */
int ftx_message_decode(const uint8_t *plain, size_t size, size_t *in_out_offset,
                       struct ftx_message *out);

/* By how many bytes the message would be longer if its data were not encoded. Of a decoded one. */
size_t ftx_message_saved(const struct ftx_message *message);

/* Entry `i` < n of a decoded HAVE, MISSING or ADDRESSES. */
void ftx_have_entry(const struct ftx_message *have, uint32_t i, struct ftx_extent *out);
void ftx_range_entry(const struct ftx_message *missing, uint32_t i, struct ftx_range *out);
void ftx_address_entry(const struct ftx_message *addresses, uint32_t i,
                       struct ftx_told_address *out);

/*
 * Encodes a message into `out`; returns its size, or 0 if it does not fit. Of an EXTENT or FETCHED
 * only the head (FTX_EXTENT_HEAD, FTX_FETCHED_HEAD bytes) is written: the caller puts data_size
 * bytes behind it. HAVE, MISSING and ADDRESSES take their entries encoded (ftx_have_encode,
 * ftx_range_encode, ftx_address_encode).
 */
size_t ftx_message_encode(const struct ftx_message *message, uint8_t *out, size_t capacity);

void ftx_have_encode(const struct ftx_extent *extent, uint8_t out[FTX_HAVE_ENTRY]);
void ftx_range_encode(const struct ftx_range *range, uint8_t out[FTX_RANGE_ENTRY]);
void ftx_address_encode(const struct ftx_told_address *told, uint8_t out[FTX_ADDRESS_ENTRY]);

#endif
