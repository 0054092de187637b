/* SPDX-License-Identifier: MIT */
/* Fuzz: any datagram as an announcement; what is taken has its fields where they stand, and is
 * recognised only if a tag of it is the one of a link. */
#include "transport/session/announce.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_link(const struct ftx_announce *announce, const struct ftx_handshake_link *link,
                       const uint8_t tag[FTX_LAN_TAG_SIZE])
{
    bool there = false;
    for (size_t i = 0; i < FTX_ANNOUNCE_TAGS; i++)
        there |= memcmp(announce->tags + i * FTX_LAN_TAG_SIZE, tag, FTX_LAN_TAG_SIZE) == 0;
    check(ftx_announce_matches(announce, link) == there);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ftx_announce announce;
    struct ftx_link_keys keys = {0};
    struct ftx_handshake_link armed = {.mode = FTX_MODE_PAIR, .role = FTX_ROLE_R, .label = "7"};
    struct ftx_handshake_link paired = {.mode = FTX_MODE_RESUME, .role = FTX_ROLE_S, .keys = &keys};
    uint8_t tag[FTX_LAN_TAG_SIZE];

    for (size_t i = 0; i < sizeof keys.link_secret; i++)
        keys.link_secret[i] = (uint8_t)(100 + i);
    if (ftx_announce_parse(&announce, data, size))
        return 0;
    check(size == FTX_ANNOUNCE_SIZE && announce.nonce == data + 8 && announce.tags == data + 24);
    ftx_lan_tag_pair("7", FTX_ROLE_S, announce.nonce, tag);
    check_link(&announce, &armed, tag);
    ftx_lan_tag_resume(keys.link_secret, FTX_ROLE_R, announce.nonce, tag);
    check_link(&announce, &paired, tag);
    return 0;
}
