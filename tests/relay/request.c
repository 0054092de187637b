/* SPDX-License-Identifier: MIT */
/* Paths, tokens and forwarded addresses, as clients, operators and balancers write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "transport/relay/request.h"

static void takes_a_room_and_a_role(void **state)
{
    struct ftx_relay_request request;

    (void)state;
    assert_int_equal(ftx_relay_request_parse("/v1/room/7-a", "role=s", &request), 0);
    assert_string_equal(request.room, "7-a");
    assert_int_equal(request.role, 's');
    assert_int_equal(ftx_relay_request_parse("/v1/room/x", "role=r", &request), 0);
    assert_int_equal(request.role, 'r');
}

static void refuses_other_paths_and_queries(void **state)
{
    static const char *const bad[][2] = {
        {"/v1/room/", "role=s"},
        {"/v1/room/A", "role=s"},
        {"/v1/room/a/b", "role=s"},
        {"/v1/room/a%20", "role=s"},
        {"/v2/room/a", "role=s"},
        {"/", "role=s"},
        {"", "role=s"},
        {"/v1/room/a", "role=x"},
        {"/v1/room/a", ""},
        {"/v1/room/a", "role=ss"},
        {"/v1/room/a", "s"},
        {"/v1/rooms", "role=s"},
        {"/v1/room/\xc3\xa4", "role=s"},
        {"v1/room/a", "role=s"},
        {"/v1/room/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "role=s"},
    };
    struct ftx_relay_request request;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(ftx_relay_request_parse(bad[i][0], bad[i][1], &request), -EINVAL);
}

static int parse_tokens(const char *text, struct ftx_tokens *out)
{
    return ftx_tokens_parse(text, strlen(text), out);
}

static void knows_its_tokens_and_no_other(void **state)
{
    struct ftx_tokens tokens;

    (void)state;
    assert_int_equal(parse_tokens("# people\nfirst-token\r\n\n  second \t\nlast", &tokens), 0);
    assert_int_equal(tokens.n_tokens, 3);
    assert_true(ftx_tokens_match(&tokens, "Bearer first-token"));
    assert_true(ftx_tokens_match(&tokens, "bearer second"));
    assert_true(ftx_tokens_match(&tokens, "Bearer last"));
    assert_false(ftx_tokens_match(&tokens, "Bearer las"));
    assert_false(ftx_tokens_match(&tokens, "Bearer lastt"));
    assert_false(ftx_tokens_match(&tokens, "Bearer "));
    assert_false(ftx_tokens_match(&tokens, "Bearer  last"));
    assert_false(ftx_tokens_match(&tokens, "last"));
    assert_false(ftx_tokens_match(&tokens, ""));
    assert_false(ftx_tokens_match(&tokens, "Bearer # people"));
    ftx_tokens_close(&tokens);
}

static void refuses_files_without_a_token(void **state)
{
    struct ftx_tokens tokens;
    char longest[FTX_TOKEN_MAX + 2];

    (void)state;
    assert_int_equal(parse_tokens("", &tokens), -EINVAL);
    assert_int_equal(parse_tokens("# nothing\n\n", &tokens), -EINVAL);
    assert_int_equal(parse_tokens("good\ntwo words\n", &tokens), -EINVAL);
    assert_int_equal(ftx_tokens_parse("a\0b", 3, &tokens), -EINVAL);
    memset(longest, 'x', sizeof(longest));
    assert_int_equal(ftx_tokens_parse(longest, FTX_TOKEN_MAX + 1, &tokens), -EINVAL);
    assert_int_equal(ftx_tokens_parse(longest, FTX_TOKEN_MAX, &tokens), 0);
    ftx_tokens_close(&tokens);
}

static void the_last_forwarded_address_counts(void **state)
{
    static const struct ftx_source v4 = {.bytes = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}};
    static const struct ftx_source v6 = {.bytes = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
    static const char *const bad[] = {
        "192.0.2.1,", "unknown", "",     "192.0.2.1:",   "1.2.3.4:0",    "192.0.2.1:65536",
        "[::1]",      "[::1]5",  "[::1", "192.0.2.1:5x", "[::1]:000005", "2001:db8::1:x"};
    struct ftx_source source;
    uint16_t port = 1;

    (void)state;
    assert_int_equal(ftx_forwarded_parse("192.0.2.1", &source, &port), 0);
    assert_int_equal(port, 0);
    assert_memory_equal(&source, &v4, sizeof(v4));
    assert_int_equal(ftx_forwarded_parse("10.0.0.1, evil,192.0.2.1 ", &source, &port), 0);
    assert_memory_equal(&source, &v4, sizeof(v4));
    assert_int_equal(ftx_forwarded_parse("::ffff:192.0.2.1", &source, &port), 0);
    assert_memory_equal(&source, &v4, sizeof(v4));
    assert_int_equal(ftx_forwarded_parse("2001:db8::1", &source, &port), 0);
    assert_memory_equal(&source, &v6, sizeof(v6));
    assert_int_equal(ftx_forwarded_parse("1.1.1.1:9, 192.0.2.1:5000", &source, &port), 0);
    assert_memory_equal(&source, &v4, sizeof(v4));
    assert_int_equal(port, 5000);
    assert_int_equal(ftx_forwarded_parse("[2001:db8::1]:65535", &source, &port), 0);
    assert_memory_equal(&source, &v6, sizeof(v6));
    assert_int_equal(port, 65535);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(ftx_forwarded_parse(bad[i], &source, &port), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_room_and_a_role),
        cmocka_unit_test(refuses_other_paths_and_queries),
        cmocka_unit_test(knows_its_tokens_and_no_other),
        cmocka_unit_test(refuses_files_without_a_token),
        cmocka_unit_test(the_last_forwarded_address_counts),
    };

    return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
