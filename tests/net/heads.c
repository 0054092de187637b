/* SPDX-License-Identifier: MIT */
/* What a WebSocket client parses and writes: heads of frames and answers, URLs, proxies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "transport/base/err.h"
#include "transport/net/frame.h"
#include "transport/net/http.h"

static int read_frame(const char *bytes, size_t size, struct ftx_frame *out)
{
    return ftx_frame_read((const uint8_t *)bytes, size, out);
}

#define READ(text, out) read_frame(text, sizeof(text) - 1, out)

static void reads_each_length_once_it_is_there(void **state)
{
    static const char longest[] = "\x82\x7f\x00\x00\x00\x01\x00\x00\x00\x00";
    struct ftx_frame frame;

    (void)state;
    assert_int_equal(READ("\x81\x05hello", &frame), 2);
    assert_int_equal(frame.kind, FTX_FRAME_TEXT);
    assert_true(frame.last);
    assert_int_equal(frame.size, 5);
    assert_int_equal(READ("\x02\x7e\x01\x00", &frame), 4);
    assert_int_equal(frame.kind, FTX_FRAME_BINARY);
    assert_false(frame.last);
    assert_int_equal(frame.size, 256);
    for (size_t size = 0; size < 10; size++)
        assert_int_equal(read_frame(longest, size, &frame), 0);
    assert_int_equal(read_frame(longest, 10, &frame), 10);
    assert_int_equal(frame.size, (uint64_t)1 << 32);
}

static void refuses_what_a_server_may_not_send(void **state)
{
    struct ftx_frame frame;

    (void)state;
    assert_int_equal(READ("\x82\x81", &frame), FTX_EPROTO); /* masked */
    assert_int_equal(READ("\xc2\x01", &frame), FTX_EPROTO); /* reserved bit */
    assert_int_equal(READ("\x83\x01", &frame), FTX_EPROTO); /* reserved kinds */
    assert_int_equal(READ("\x8b\x01", &frame), FTX_EPROTO);
    assert_int_equal(READ("\x09\x01", &frame), FTX_EPROTO);         /* a PING in parts */
    assert_int_equal(READ("\x89\x7e\x00\x7e", &frame), FTX_EPROTO); /* a long one */
    assert_int_equal(READ("\x82\x7e\x00\x7d", &frame), FTX_EPROTO); /* not the shortest */
    assert_int_equal(READ("\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", &frame), FTX_EPROTO);
    assert_int_equal(READ("\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", &frame), FTX_EPROTO);
}

static void writes_and_masks_as_rfc_6455_5_7_does(void **state)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    static const uint8_t hello[] = {0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d,
                                    0x7f, 0x9f, 0x4d, 0x51, 0x58};
    uint8_t out[FTX_FRAME_HEAD_MAX + 5];
    size_t head = ftx_frame_write(out, FTX_FRAME_TEXT, 5, mask);

    (void)state;
    assert_int_equal(head, 6);
    ftx_frame_mask(out + head, (const uint8_t *)"Hel", 3, mask, 0);
    ftx_frame_mask(out + head + 3, (const uint8_t *)"lo", 2, mask, 3);
    assert_memory_equal(out, hello, sizeof(hello));
    assert_int_equal(ftx_frame_write(out, FTX_FRAME_BINARY, 126, mask), 8);
    assert_memory_equal(out, "\x82\xfe\x00\x7e", 4);
    assert_int_equal(ftx_frame_write(out, FTX_FRAME_BINARY, 65536, mask), 14);
    assert_memory_equal(out, "\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00", 10);
}

static void masks_every_size_at_every_offset(void **state)
{
    static const uint8_t mask[4] = {1, 2, 4, 8};
    uint8_t from[48], to[48];

    (void)state;
    for (size_t i = 0; i < sizeof(from); i++)
        from[i] = (uint8_t)(i * 37);
    for (size_t offset = 0; offset < 8; offset++)
        for (size_t size = 0; size <= sizeof(from); size++) {
            memset(to, 0xee, sizeof(to));
            ftx_frame_mask(to, from, size, mask, offset);
            for (size_t i = 0; i < sizeof(to); i++)
                assert_int_equal(to[i], i < size ? from[i] ^ mask[(offset + i) % 4] : 0xee);
        }
}

static int read_answer(const char *text, struct ftx_http_answer *out)
{
    return ftx_http_read((const uint8_t *)text, strlen(text), out);
}

static void reads_an_upgrade(void **state)
{
    static const char text[] = "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\n"
                               "CONNECTION: keep-alive, Upgrade\r\n"
                               "Sec-WebSocket-Accept:  s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \r\n"
                               "Ftx-Address: [2001:db8::1]:15820\r\n\r\n";
    struct ftx_http_answer answer;

    (void)state;
    assert_int_equal(read_answer(text, &answer), strlen(text));
    assert_int_equal(answer.status, 101);
    assert_true(answer.websocket);
    assert_string_equal(answer.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_string_equal(answer.caller, "[2001:db8::1]:15820");
    for (size_t size = 0; size < strlen(text); size++)
        assert_int_equal(ftx_http_read((const uint8_t *)text, size, &answer), 0);
}

static void reads_other_answers(void **state)
{
    struct ftx_http_answer answer;

    (void)state;
    assert_int_equal(read_answer("HTTP/1.0 200 ok\r\n\r\nmore", &answer), 19);
    assert_int_equal(answer.status, 200);
    assert_false(answer.websocket);
    assert_int_equal(read_answer("HTTP/1.1 409\r\n\r\n", &answer), 16);
    assert_int_equal(answer.status, 409);
    assert_int_equal(read_answer("HTTP/2 200 ok\r\n\r\n", &answer), FTX_EPROTO);
    assert_int_equal(read_answer("HTTP/1.1 99 ok\r\n\r\n", &answer), FTX_EPROTO);
    assert_int_equal(read_answer("HTTP/1.1 1000\r\n\r\n", &answer), FTX_EPROTO);
    assert_int_equal(read_answer("SSH-2.0\r\n\r\n", &answer), FTX_EPROTO);
    assert_int_equal(read_answer("\r\n\r\n", &answer), FTX_EPROTO);
}

static void a_head_has_a_limit(void **state)
{
    static uint8_t text[FTX_HTTP_HEAD_MAX];
    struct ftx_http_answer answer;

    (void)state;
    memset(text, 'x', sizeof(text));
    assert_int_equal(ftx_http_read(text, sizeof(text) - 1, &answer), 0);
    assert_int_equal(ftx_http_read(text, sizeof(text), &answer), FTX_EPROTO);
}

static void parses_urls(void **state)
{
    struct ftx_url url;

    (void)state;
    assert_int_equal(ftx_url_parse("ws://relay.example:15821", &url), 0);
    assert_false(url.tls);
    assert_string_equal(url.address.host, "relay.example");
    assert_int_equal(url.address.port, 15821);
    assert_string_equal(url.prefix, "");
    assert_int_equal(ftx_url_parse("wss://relay.example/", &url), 0);
    assert_true(url.tls);
    assert_int_equal(url.address.port, 443);
    assert_string_equal(url.prefix, "");
    assert_string_equal(url.authority, "relay.example");
    assert_int_equal(ftx_url_parse("ws://[::1]/a/b//", &url), 0);
    assert_string_equal(url.address.host, "::1");
    assert_int_equal(url.address.port, 80);
    assert_string_equal(url.prefix, "/a/b");
    assert_string_equal(url.authority, "[::1]");
}

static void refuses_other_urls(void **state)
{
    static const char *const bad[] = {
        "",           "relay",        "http://relay",  "ws:/relay",     "ws://",
        "ws:///x",    "ws://a b",     "ws://a?x",      "ws://a#x",      "ws://me@a",
        "ws://::1",   "ws://a:65536", "ws://a:0",      "ws://a/\r\nX:", "ws://a/\"",
        "ws://a/x\\", "WS://a",       "ws://\xc3\xa4", "wss://[::1",
    };
    struct ftx_url url;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(ftx_url_parse(bad[i], &url), -EINVAL);
}

static void parses_proxies(void **state)
{
    struct ftx_proxy proxy;

    (void)state;
    assert_int_equal(ftx_proxy_parse("http://proxy.example:3128/", &proxy), 0);
    assert_string_equal(proxy.address.host, "proxy.example");
    assert_int_equal(proxy.address.port, 3128);
    assert_string_equal(proxy.credentials, "");
    assert_int_equal(ftx_proxy_parse("me:p@ss@10.0.0.1", &proxy), 0);
    assert_string_equal(proxy.credentials, "me:p@ss");
    assert_int_equal(proxy.address.port, 80);
    assert_int_equal(ftx_proxy_parse("socks5://proxy", &proxy), -EINVAL);
    assert_int_equal(ftx_proxy_parse("http://", &proxy), -EINVAL);
    assert_int_equal(ftx_proxy_parse("a b:1", &proxy), -EINVAL);
}

static void no_proxy_names_hosts_and_domains(void **state)
{
    (void)state;
    assert_true(ftx_proxy_is_excepted("*", "relay.example"));
    assert_true(ftx_proxy_is_excepted("localhost, Example", "relay.example"));
    assert_true(ftx_proxy_is_excepted(".example", "relay.example"));
    assert_true(ftx_proxy_is_excepted("relay.example", "relay.example"));
    assert_false(ftx_proxy_is_excepted("elay.example", "relay.example"));
    assert_false(ftx_proxy_is_excepted("relay.example.org", "relay.example"));
    assert_false(ftx_proxy_is_excepted("", "relay.example"));
    assert_false(ftx_proxy_is_excepted(", ,", "relay.example"));
    assert_false(ftx_proxy_is_excepted(NULL, "relay.example"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_each_length_once_it_is_there),
        cmocka_unit_test(refuses_what_a_server_may_not_send),
        cmocka_unit_test(writes_and_masks_as_rfc_6455_5_7_does),
        cmocka_unit_test(masks_every_size_at_every_offset),
        cmocka_unit_test(reads_an_upgrade),
        cmocka_unit_test(reads_other_answers),
        cmocka_unit_test(a_head_has_a_limit),
        cmocka_unit_test(parses_urls),
        cmocka_unit_test(refuses_other_urls),
        cmocka_unit_test(parses_proxies),
        cmocka_unit_test(no_proxy_names_hosts_and_domains),
    };

    return cmocka_run_group_tests_name("heads", tests, NULL, NULL);
}
