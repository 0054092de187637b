/* SPDX-License-Identifier: MIT */
/* What ftx_address_parse takes, and what it does not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "transport/net/tcp.h"

static void takes_hosts_and_ports(void **state)
{
    static const struct {
        const char *text;
        const char *host;
        uint16_t port;
    } rows[] = {
        {"name", "name", FTX_DEFAULT_PORT},
        {"name:1", "name", 1},
        {"a-b_c.Example.org.:65535", "a-b_c.Example.org.", 65535},
        {"b\xc3\xbc"
         "cher.example",
         "b\xc3\xbc"
         "cher.example",
         FTX_DEFAULT_PORT},
        {"1.2.3.4", "1.2.3.4", FTX_DEFAULT_PORT},
        {"1.2.3.4:0", "1.2.3.4", 0},
        {":1", "", 1},
        {":00080", "", 80},
        {"::", "::", FTX_DEFAULT_PORT},
        {"::1", "::1", FTX_DEFAULT_PORT},
        {"::ffff:1.2.3.4", "::ffff:1.2.3.4", FTX_DEFAULT_PORT},
        {"fe80::1%eth0", "fe80::1%eth0", FTX_DEFAULT_PORT},
        {"[::1]", "::1", FTX_DEFAULT_PORT},
        {"[::1]:1", "::1", 1},
        {"[fe80::1%eth0.7]:1", "fe80::1%eth0.7", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ftx_address address;

        if (ftx_address_parse(rows[i].text, &address) != 0)
            fail_msg("refused: %s", rows[i].text);
        assert_string_equal(address.host, rows[i].host);
        assert_int_equal(address.port, rows[i].port);
    }
}

static void refuses_everything_else(void **state)
{
    static const char *const texts[] = {
        "",
        ":",
        "name:",
        "name:x",
        "name:1x",
        "name:-1",
        "name:+1",
        "name: 1",
        "name:65536",
        "name:000001",
        "na me",
        "name\n",
        "user@name",
        "http://name",
        "name:1/path",
        "name%eth0",
        "*:1",
        "[",
        "]",
        "[]",
        "[]:1",
        "[::1",
        "[::1]1",
        "[::1]:",
        "[::1]:1:1",
        "[::1]]",
        "[name]:1",
        "[1.2.3.4]",
        "[[::1]]",
        "::1]",
        "1:2:3",
        ":::1",
        "::1:15820",
        "1:2:3:4:5:6:7:8:9",
        "::g",
        "fe80::1%",
        "fe80::1%/",
        "%eth0",
        "::%a:b",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct ftx_address address = {.host = "untouched", .port = 7};

        if (ftx_address_parse(texts[i], &address) != -EINVAL)
            fail_msg("taken: %s", texts[i]);
        assert_string_equal(address.host, "untouched");
        assert_int_equal(address.port, 7);
    }
}

static void host_ends_at_255_bytes(void **state)
{
    struct ftx_address address;
    char text[256 + sizeof(":1")];

    (void)state;
    memset(text, 'a', sizeof(text));
    strcpy(text + 255, ":1");
    assert_int_equal(ftx_address_parse(text, &address), 0);
    assert_int_equal(strlen(address.host), 255);

    memset(text, 'a', sizeof(text));
    strcpy(text + 256, ":1");
    assert_int_equal(ftx_address_parse(text, &address), -EINVAL);
}

static void nobody_on_the_internet_has_a_private_address(void **state)
{
    static const char *const private[] = {
        "127.0.0.1",   "10.0.0.1",    "172.16.0.1", "172.31.9.9",   "192.168.1.1", "100.64.0.1",
        "100.127.1.1", "169.254.0.1", "::1",        "fe80::1%eth0", "fc00::1",     "fd00::1"};
    static const char *const public[] = {"1.1.1.1",     "11.0.0.1",   "172.32.0.1",  "172.15.0.1",
                                         "192.169.0.1", "100.63.0.1", "100.128.0.1", "203.0.113.1",
                                         "2001:db8::1", "fe00::1"};
    struct ftx_ip ip;

    (void)state;
    for (size_t i = 0; i < sizeof(private) / sizeof(private[0]); i++)
        assert_true(ftx_ip_parse(private[i], &ip) && ftx_ip_is_private(&ip));
    for (size_t i = 0; i < sizeof(public) / sizeof(public[0]); i++)
        assert_true(ftx_ip_parse(public[i], &ip) && !ftx_ip_is_private(&ip));
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(takes_hosts_and_ports),
        cmocka_unit_test(refuses_everything_else),
        cmocka_unit_test(host_ends_at_255_bytes),
        cmocka_unit_test(nobody_on_the_internet_has_a_private_address),
    };

    return cmocka_run_group_tests_name("address", cases, NULL, NULL);
}
