/* SPDX-License-Identifier: MIT */
/* Codes, labels, hints and the verifier; golden values made with Python's hashlib and libargon2. */
#include "transport/crypto/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#define CHARS_64 "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"

static uint8_t nonce[FTX_NONCE_SIZE]; /* 0, 1, 2 ... */
static uint8_t link_secret[32];       /* 100, 101 ... */

static void code_has_4_to_64_of_its_alphabet(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        bool valid;
    } cases[] = {
        {"", false},
        {"abc", false},
        {"abcd", true},
        {"0-9z", true},
        {"----", true},
        {"Abcd", false},
        {"abc_", false},
        {"abc d", false},
        {"abc/", false},
        {"abc.", false},
        {"abc\xc3\xa9", false},
        {"abc\n", false},
        {"abc`", false},
        {"abc{", false},
        {"abc:", false},
        {"abc,", false},
        {CHARS_64, true},
        {CHARS_64 "z", false},
        {"7-guitar-harvest", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(ftx_code_valid(cases[i].code, strlen(cases[i].code)), cases[i].valid);
    assert_false(ftx_code_valid("abc\0d", 5));
}

static void label_is_what_stands_before_the_first_dash(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"7-guitar-harvest", "7"}, {"guitar-7", "guitar"}, {"abc-", "abc"}, {"-abc", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char label[FTX_LABEL_MAX + 1];
        assert_int_equal(ftx_code_label(cases[i][0], label), 0);
        assert_string_equal(label, cases[i][1]);
    }
}

static void label_without_dash_is_argon2(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"mycode", "59c8"}, {"0000", "9142"}, {CHARS_64, "c0f1"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char label[FTX_LABEL_MAX + 1];
        assert_int_equal(ftx_code_label(cases[i][0], label), 0);
        assert_string_equal(label, cases[i][1]);
    }
}

static void assert_hex(const uint8_t *bytes, size_t size, const char *golden)
{
    char hex[2 * FTX_HINT_SIZE + 1];
    assert_string_equal(sodium_bin2hex(hex, sizeof hex, bytes, size), golden);
}

static void assert_hint(const uint8_t hint[FTX_HINT_SIZE], const char *golden)
{
    assert_hex(hint, FTX_HINT_SIZE, golden);
}

static void hints_are_golden(void **state)
{
    (void)state;
    uint8_t hint[FTX_HINT_SIZE];
    ftx_hint_pair("7", nonce, hint);
    assert_hint(hint, "de37990a0008f796f5f0aa78859bc559");
    ftx_hint_resume(link_secret, FTX_ROLE_S, nonce, hint);
    assert_hint(hint, "ad3cecb7a3cd45ba25348f4e5b1a8c65");
    ftx_hint_resume(link_secret, FTX_ROLE_R, nonce, hint);
    assert_hint(hint, "9dc3fc7127663cf613d0699471dbca22");
}

static void lan_tags_are_golden(void **state)
{
    (void)state;
    uint8_t tag[FTX_LAN_TAG_SIZE];
    ftx_lan_tag_pair("7", FTX_ROLE_S, nonce, tag);
    assert_hex(tag, sizeof tag, "4aba74db24a4620a");
    ftx_lan_tag_pair("7", FTX_ROLE_R, nonce, tag);
    assert_hex(tag, sizeof tag, "354be3248c65e721");
    ftx_lan_tag_resume(link_secret, FTX_ROLE_S, nonce, tag);
    assert_hex(tag, sizeof tag, "603809583ea990e0");
    ftx_lan_tag_resume(link_secret, FTX_ROLE_R, nonce, tag);
    assert_hex(tag, sizeof tag, "3a60ed084f9bd84c");
}

static void verifier_is_golden(void **state)
{
    (void)state;
    static const uint16_t golden[FTX_VERIFIER_WORDS] = {355, 826, 85, 289, 676, 721};
    uint16_t words[FTX_VERIFIER_WORDS];
    ftx_verifier(link_secret, words);
    assert_memory_equal(words, golden, sizeof golden);
}

static void room_is_golden(void **state)
{
    (void)state;
    char room[FTX_ROOM_SIZE + 1];
    ftx_room_of_day(link_secret, 20000, room);
    assert_string_equal(room, "9cd2eeb49ec17c5237d1b942fea1cb36");
}

static int init(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof nonce; i++)
        nonce[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof link_secret; i++)
        link_secret[i] = (uint8_t)(100 + i);
    return sodium_init() < 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(code_has_4_to_64_of_its_alphabet),
        cmocka_unit_test(label_is_what_stands_before_the_first_dash),
        cmocka_unit_test(label_without_dash_is_argon2),
        cmocka_unit_test(hints_are_golden),
        cmocka_unit_test(lan_tags_are_golden),
        cmocka_unit_test(verifier_is_golden),
        cmocka_unit_test(room_is_golden),
    };
    return cmocka_run_group_tests(tests, init, NULL);
}
