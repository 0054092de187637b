/* SPDX-License-Identifier: MIT */
/* The Hello (docs/protocol.md 1.1): made, parsed, recognised. */
#include "transport/session/handshake_steps.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "transport/base/err.h"
#include "transport/wire/cursor.h"

static const uint8_t magic[4] = "FTXP";

enum { FOR_DATA = 1, AES_IS_QUICK = 1 };

static void make_hint(const struct ftx_handshake_link *link, enum ftx_role role,
                      const uint8_t nonce[FTX_NONCE_SIZE], uint8_t out_hint[FTX_HINT_SIZE])
{
    if (link->mode == FTX_MODE_PAIR)
        ftx_hint_pair(link->label, nonce, out_hint);
    else
        ftx_hint_resume(link->keys->link_secret, role, nonce, out_hint);
}

/*
 *   0 magic[4] "FTXP" | 4 u8 length | 5 u8 version_min | 6 u8 version_max | 7 u8 mode | 8 u8 role
 *   9 u8 reserved 0 | 10 nonce[16] | 26 hint[16] | 42 extension, up to its last byte that is not 0:
 *   u8 1: for a data connection | u8 bit 0: AES-256-GCM is quick here
 */
void ftx_hello_make(struct ftx_hello *hello, const struct ftx_handshake_link *link,
                    const uint8_t nonce[FTX_NONCE_SIZE])
{
    *hello = (struct ftx_hello){
        .mode = link->mode, .role = link->role, .data = link->data, .aes = link->aes};
    memcpy(hello->nonce, nonce, FTX_NONCE_SIZE);
    make_hint(link, link->role, nonce, hello->hint);

    struct ftx_writer w = ftx_writer(hello->raw, sizeof hello->raw);
    ftx_write_bytes(&w, magic, sizeof magic);
    size_t extension = link->aes ? 2 : link->data ? 1 : 0;
    ftx_write_u8(&w, (uint8_t)(FTX_HELLO_MIN + extension));
    ftx_write_u8(&w, FTX_VERSION);
    ftx_write_u8(&w, FTX_VERSION);
    ftx_write_u8(&w, (uint8_t)hello->mode);
    ftx_write_u8(&w, (uint8_t)hello->role);
    ftx_write_u8(&w, 0);
    ftx_write_bytes(&w, hello->nonce, FTX_NONCE_SIZE);
    ftx_write_bytes(&w, hello->hint, FTX_HINT_SIZE);
    if (extension > 0)
        ftx_write_u8(&w, link->data ? FOR_DATA : 0);
    if (extension > 1)
        ftx_write_u8(&w, AES_IS_QUICK);
    assert(!w.failed);
    hello->size = w.size;
}

size_t ftx_hello_size(const uint8_t head[FTX_HELLO_HEAD])
{
    if (memcmp(head, magic, sizeof magic) != 0 || head[sizeof magic] < FTX_HELLO_MIN)
        return 0;
    return head[sizeof magic];
}

int ftx_hello_parse(struct ftx_hello *hello, const uint8_t *raw, size_t size)
{
    struct ftx_reader r = ftx_reader(raw, size);
    ftx_read_bytes(&r, FTX_HELLO_HEAD);
    uint8_t version_min = ftx_read_u8(&r);
    uint8_t version_max = ftx_read_u8(&r);
    uint8_t mode = ftx_read_u8(&r);
    uint8_t role = ftx_read_u8(&r);
    uint8_t reserved = ftx_read_u8(&r);
    const uint8_t *nonce = ftx_read_bytes(&r, FTX_NONCE_SIZE);
    const uint8_t *hint = ftx_read_bytes(&r, FTX_HINT_SIZE);

    if (r.failed || version_min > version_max)
        return FTX_EPROTO;
    if (version_min > FTX_VERSION || version_max < FTX_VERSION)
        return FTX_EVERSION; /* before the fields that another version may give a meaning */
    if (mode != FTX_MODE_PAIR && mode != FTX_MODE_RESUME)
        return FTX_EPROTO;
    if ((role != FTX_ROLE_S && role != FTX_ROLE_R) || reserved != 0)
        return FTX_EPROTO;

    *hello = (struct ftx_hello){.size = size, .mode = mode, .role = role};
    hello->data = ftx_read_u8(&r) == FOR_DATA; /* 0 where there is no extension */
    hello->aes = ftx_read_u8(&r) & AES_IS_QUICK;
    memcpy(hello->raw, raw, size);
    memcpy(hello->nonce, nonce, FTX_NONCE_SIZE);
    memcpy(hello->hint, hint, FTX_HINT_SIZE);
    return 0;
}

bool ftx_hello_matches(const struct ftx_hello *peer_hello, const struct ftx_handshake_link *link)
{
    uint8_t hint[FTX_HINT_SIZE];
    if (peer_hello->mode != link->mode)
        return false;
    make_hint(link, peer_hello->role, peer_hello->nonce, hint);
    return sodium_memcmp(hint, peer_hello->hint, FTX_HINT_SIZE) == 0;
}
