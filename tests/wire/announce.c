/* SPDX-License-Identifier: MIT */
/* Announcements on the local network: their golden bytes, who recognises them, what they do not
 * tell. */
#include "transport/session/announce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "tests/wire/golden.h"
#include "transport/base/err.h"

static struct ftx_link_keys keys, other_keys;

static const struct ftx_handshake_link armed_s = {
    .mode = FTX_MODE_PAIR, .role = FTX_ROLE_S, .label = "7"};
static const struct ftx_handshake_link armed_r = {
    .mode = FTX_MODE_PAIR, .role = FTX_ROLE_R, .label = "7"};
static const struct ftx_handshake_link paired_s = {
    .mode = FTX_MODE_RESUME, .role = FTX_ROLE_S, .keys = &keys};
static const struct ftx_handshake_link paired_r = {
    .mode = FTX_MODE_RESUME, .role = FTX_ROLE_R, .keys = &keys};

/* 0, 1, 2 ... in one call after the other. */
static void counting(void *ctx, void *out, size_t size)
{
    uint8_t *next = ctx, *bytes = out;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (*next)++;
}

static void any(void *ctx, void *out, size_t size)
{
    (void)ctx;
    randombytes_buf(out, size);
}

static struct ftx_announcing announcement(const struct ftx_handshake_link *const *links, size_t n)
{
    struct ftx_announcing a;
    ftx_announce_begin(&a, 15820, any, NULL);
    for (size_t i = 0; i < n; i++)
        assert_true(ftx_announce_add(&a, links[i]));
    return a;
}

static struct ftx_announce parsed(const struct ftx_announcing *a)
{
    struct ftx_announce announce;
    assert_int_equal(ftx_announce_parse(&announce, a->bytes, sizeof a->bytes), 0);
    return announce;
}

static void announcement_is_the_golden_one(void **state)
{
    (void)state;
    struct ftx_announcing a;
    uint8_t golden[FTX_ANNOUNCE_SIZE], next = 0;
    ftx_announce_begin(&a, 15820, counting, &next);
    assert_true(ftx_announce_add(&a, &armed_s));
    assert_true(ftx_announce_add(&a, &paired_r));
    assert_int_equal(golden_read("announce", golden, sizeof golden), sizeof golden);
    assert_memory_equal(a.bytes, golden, sizeof golden);
}

static void other_end_alone_recognises_it(void **state)
{
    (void)state;
    const struct ftx_handshake_link *links[] = {&armed_s, &paired_r};
    struct ftx_announcing a = announcement(links, 2);
    struct ftx_announce announce = parsed(&a);
    struct ftx_handshake_link other_label = armed_r, other_link = paired_s;
    other_label.label = "8";
    other_link.keys = &other_keys;
    assert_int_equal(announce.port, 15820);
    assert_true(ftx_announce_matches(&announce, &armed_r));
    assert_true(ftx_announce_matches(&announce, &paired_s));
    assert_false(ftx_announce_matches(&announce, &armed_s)); /* S does not answer S */
    assert_false(ftx_announce_matches(&announce, &paired_r));
    assert_false(ftx_announce_matches(&announce, &other_label));
    assert_false(ftx_announce_matches(&announce, &other_link));
}

/* No eight bytes of one are in the other, but those of the head. */
static void nothing_in_it_comes_twice(void **state)
{
    (void)state;
    const struct ftx_handshake_link *links[] = {&armed_s, &paired_r};
    struct ftx_announcing a = announcement(links, 2), b = announcement(links, 2);
    for (size_t i = 8; i < sizeof a.bytes; i += FTX_LAN_TAG_SIZE)
        for (size_t k = 8; k < sizeof b.bytes; k += FTX_LAN_TAG_SIZE)
            assert_memory_not_equal(a.bytes + i, b.bytes + k, FTX_LAN_TAG_SIZE);
}

static void codes_with_one_label_have_one_tag(void **state)
{
    (void)state;
    const struct ftx_handshake_link *links[] = {&armed_s, &armed_s, &armed_s};
    struct ftx_announcing a = announcement(links, 3);
    assert_int_equal(a.n, 1);
}

static void sixty_four_links_have_room(void **state)
{
    (void)state;
    struct ftx_announcing a;
    struct ftx_link_keys many[FTX_ANNOUNCE_TAGS + 1];
    struct ftx_handshake_link link = paired_s;
    memset(many, 0, sizeof many);
    ftx_announce_begin(&a, 1, any, NULL);
    for (unsigned i = 0; i <= FTX_ANNOUNCE_TAGS; i++) {
        many[i].link_secret[0] = (uint8_t)(1 + i);
        link.keys = &many[i];
        assert_int_equal(ftx_announce_add(&a, &link), i < FTX_ANNOUNCE_TAGS);
    }
    struct ftx_announce announce = parsed(&a);
    link.role = FTX_ROLE_R;
    for (unsigned i = 0; i <= FTX_ANNOUNCE_TAGS; i++) {
        link.keys = &many[i];
        assert_int_equal(ftx_announce_matches(&announce, &link), i < FTX_ANNOUNCE_TAGS);
    }
}

static void refuses_everything_else(void **state)
{
    (void)state;
    struct ftx_announcing a = announcement(NULL, 0);
    struct ftx_announce announce;
    uint8_t longer[FTX_ANNOUNCE_SIZE + 1] = {0};
    memcpy(longer, a.bytes, sizeof a.bytes);
    for (size_t size = 0; size < sizeof a.bytes; size++)
        assert_int_equal(ftx_announce_parse(&announce, a.bytes, size),
                         size == 4 ? FTX_EVERSION : FTX_EPROTO);
    assert_int_equal(ftx_announce_parse(&announce, longer, sizeof longer), FTX_EPROTO);
    for (size_t i = 0; i < 8; i++) {
        memcpy(longer, a.bytes, sizeof a.bytes);
        longer[i] ^= 1;
        int err = i < 4 || i == 5 ? FTX_EPROTO : i == 4 ? FTX_EVERSION : 0;
        assert_int_equal(ftx_announce_parse(&announce, longer, sizeof a.bytes), err);
    }
}

static int init(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof keys.link_secret; i++)
        keys.link_secret[i] = (uint8_t)(100 + i);
    return sodium_init() < 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(announcement_is_the_golden_one),
        cmocka_unit_test(other_end_alone_recognises_it),
        cmocka_unit_test(nothing_in_it_comes_twice),
        cmocka_unit_test(codes_with_one_label_have_one_tag),
        cmocka_unit_test(sixty_four_links_have_room),
        cmocka_unit_test(refuses_everything_else),
    };
    return cmocka_run_group_tests_name("announce", tests, init, NULL);
}
