/* SPDX-License-Identifier: MIT */
/* Announcements (docs/protocol.md 10): made, parsed, recognised. */
#include "transport/session/announce.h"

#include <string.h>

#include "transport/base/err.h"
#include "transport/wire/cursor.h"

static const uint8_t magic[4] = "FTXA";

static void make_tag(const struct ftx_handshake_link *link, enum ftx_role role,
                     const uint8_t nonce[FTX_NONCE_SIZE], uint8_t out_tag[FTX_LAN_TAG_SIZE])
{
    if (link->mode == FTX_MODE_PAIR)
        ftx_lan_tag_pair(link->label, role, nonce, out_tag);
    else
        ftx_lan_tag_resume(link->keys->link_secret, role, nonce, out_tag);
}

/*
 *   0 magic[4] "FTXA" | 4 u8 version | 5 u8 reserved 0 | 6 u16 port | 8 nonce[16]
 *   24 64 x tag[8]
 */
void ftx_announce_begin(struct ftx_announcing *announcing, uint16_t port, ftx_random_fn random,
                        void *random_ctx)
{
    struct ftx_writer w = ftx_writer(announcing->bytes, sizeof announcing->bytes);
    uint8_t first;

    ftx_write_bytes(&w, magic, sizeof magic);
    ftx_write_u8(&w, FTX_VERSION);
    ftx_write_u8(&w, 0);
    ftx_write_u16(&w, port);
    random(random_ctx, announcing->bytes + w.size, sizeof announcing->bytes - w.size);
    random(random_ctx, &first, sizeof first);
    announcing->first = first % FTX_ANNOUNCE_TAGS;
    announcing->n = 0;
}

static bool has_tag(const uint8_t *tags, const uint8_t tag[FTX_LAN_TAG_SIZE])
{
    for (unsigned i = 0; i < FTX_ANNOUNCE_TAGS; i++)
        if (memcmp(tags + (size_t)i * FTX_LAN_TAG_SIZE, tag, FTX_LAN_TAG_SIZE) == 0)
            return true;
    return false;
}

bool ftx_announce_add(struct ftx_announcing *announcing, const struct ftx_handshake_link *link)
{
    uint8_t *tags = announcing->bytes + FTX_ANNOUNCE_HEAD;
    uint8_t tag[FTX_LAN_TAG_SIZE];

    make_tag(link, link->role, announcing->bytes + FTX_ANNOUNCE_HEAD - FTX_NONCE_SIZE, tag);
    if (has_tag(tags, tag)) /* codes with one label: twice the same would tell something */
        return true;
    if (announcing->n == FTX_ANNOUNCE_TAGS)
        return false;
    size_t place = (announcing->first + announcing->n++) % FTX_ANNOUNCE_TAGS;
    memcpy(tags + place * FTX_LAN_TAG_SIZE, tag, FTX_LAN_TAG_SIZE);
    return true;
}

int ftx_announce_parse(struct ftx_announce *announce, const uint8_t *bytes, size_t size)
{
    struct ftx_reader r = ftx_reader(bytes, size);
    const uint8_t *head = ftx_read_bytes(&r, sizeof magic);
    uint8_t version = ftx_read_u8(&r);
    uint8_t reserved = ftx_read_u8(&r);
    uint16_t port = ftx_read_u16(&r);
    const uint8_t *nonce = ftx_read_bytes(&r, FTX_NONCE_SIZE);
    const uint8_t *tags = ftx_read_bytes(&r, FTX_ANNOUNCE_TAGS * FTX_LAN_TAG_SIZE);

    if (!head || memcmp(head, magic, sizeof magic) != 0)
        return FTX_EPROTO;
    if (version != FTX_VERSION) /* before the fields that another version may give a meaning */
        return FTX_EVERSION;
    if (r.failed || r.left > 0 || reserved != 0)
        return FTX_EPROTO;
    *announce = (struct ftx_announce){.port = port, .nonce = nonce, .tags = tags};
    return 0;
}

bool ftx_announce_matches(const struct ftx_announce *announce,
                          const struct ftx_handshake_link *link)
{
    uint8_t tag[FTX_LAN_TAG_SIZE];

    make_tag(link, link->role == FTX_ROLE_S ? FTX_ROLE_R : FTX_ROLE_S, announce->nonce, tag);
    return has_tag(announce->tags, tag);
}
