/* SPDX-License-Identifier: MIT */
/* Every number of docs/protocol.md that bounds something. */
#ifndef FTX_WIRE_LIMITS_H
#define FTX_WIRE_LIMITS_H

enum {
    FTX_VERSION = 1,
    FTX_HELLO_MIN = 42,
    FTX_HELLO_MAX = 255,
    FTX_NONCE_SIZE = 16,
    FTX_HINT_SIZE = 16,
    FTX_LAN_TAG_SIZE = 8,     /* of an announcement: too short to make a hint of it */
    FTX_HANDSHAKE_MS = 10000, /* absolute, from the connection's start to its first record */
    FTX_GUESSES_MAX = 10,     /* failed guesses that lock a code */
    FTX_CODE_MIN = 4,
    FTX_CODE_MAX = 64,

    FTX_EXTENT_MAX = 1 << 20,                /* raw bytes of one extent: bounds memory per record */
    FTX_RECORD_PLAIN_MAX = (1 << 20) + 4096, /* one largest extent and room for what goes with it */
    FTX_RECORD_HEAD = 4,
    FTX_TAG_SIZE = 16,
    FTX_RECORD_MAX = FTX_RECORD_HEAD + FTX_RECORD_PLAIN_MAX + FTX_TAG_SIZE,
    FTX_REKEY_RECORDS = 1024,

    FTX_HASH_SIZE = 16,
    FTX_DIGEST_SIZE = 32, /* SHA-256 */
    FTX_OP_MAX = 65541,   /* one attribute as large as all of an item may be */
    FTX_SEAL_ATTR_MAX = 64,
    FTX_HAVE_MAX = 10000,
    FTX_MISSING_MAX = 4096,
    FTX_DATA_CONNECTIONS_MAX = 8,
    FTX_FETCHES_MAX = 64, /* unanswered in a direction: with FTX_EXTENT_MAX each, the window */

    FTX_NAME_MAX = 255,
    FTX_DEPTH_MAX = 64,
    FTX_PATH_MAX = 4096,
    FTX_TARGET_MAX = 4095,
    FTX_XATTR_NAME_MAX = 250,        /* without the `user.` before it, which is not sent */
    FTX_XATTRS_ITEM_MAX = 256,       /* attributes of an item, */
    FTX_XATTRS_ITEM_BYTES = 65536,   /* and their names (with `user.`) and values together */
    FTX_XATTRS_LINK_BYTES = 1 << 26, /* of all items of a link's box: they are kept in memory */

    FTX_ADDRESSES_MAX = 16, /* of one end: bounds what it can make the other dial */

    FTX_ALIVE_MS = 15000, /* each end says something in every such span of its clock */
    FTX_DEAD_MS = 45000,
    FTX_PROBE_MS = 5000, /* the same, after the network has changed */
};

#define FTX_OFFSET_MAX INT64_MAX /* offset + length of an extent, size of a file */

#endif
