/* SPDX-License-Identifier: MIT */
/* Which texts are ranges of addresses, and what is in them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

#include <uv.h>

#include "transport/net/cidr.h"

static struct ftx_cidr range(const char *text)
{
    struct ftx_cidr cidr;

    if (ftx_cidr_parse(text, &cidr) != 0)
        fail_msg("refused: %s", text);
    return cidr;
}

static bool contains(const char *text, const char *host)
{
    struct sockaddr_storage address = {0};
    struct ftx_cidr cidr = range(text);

    if (uv_ip4_addr(host, 1, (struct sockaddr_in *)&address) != 0)
        assert_int_equal(uv_ip6_addr(host, 1, (struct sockaddr_in6 *)&address), 0);
    return ftx_cidr_contains(&cidr, (struct sockaddr *)&address);
}

static void contains_what_has_its_prefix(void **state)
{
    static const struct {
        const char *range, *inside, *outside;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", "192.0.2.0"},
        {"192.0.2.1/32", "192.0.2.1", "192.0.2.3"},
        {"192.0.2.0/24", "192.0.2.255", "192.0.3.0"},
        {"192.0.2.128/25", "192.0.2.128", "192.0.2.127"},
        {"172.16.0.0/12", "172.31.255.255", "172.32.0.0"},
        {"0.0.0.0/0", "255.255.255.255", "2001:db8::1"},
        {"128.0.0.0/1", "128.0.0.0", "127.255.255.255"},
        {"2001:db8::1", "2001:db8::1", "2001:db8::"},
        {"2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"},
        {"fe80::/10", "febf::1", "fec0::1"},
        {"fe80::/10", "fe80::1%lo", "fec0::1"},
        {"2001:db8::8/127", "2001:db8::9", "2001:db8::a"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (!contains(rows[i].range, rows[i].inside))
            fail_msg("%s lacks %s", rows[i].range, rows[i].inside);
        if (contains(rows[i].range, rows[i].outside))
            fail_msg("%s has %s", rows[i].range, rows[i].outside);
    }
}

static void mapped_addresses_are_ipv4(void **state)
{
    (void)state;
    assert_true(contains("192.0.2.0/24", "::ffff:192.0.2.7"));
    assert_true(contains("::ffff:192.0.2.0/120", "192.0.2.7"));
    assert_true(contains("::ffff:0:0/96", "192.0.2.7"));
    assert_false(contains("::/0", "::ffff:192.0.2.7"));
    assert_false(contains("::/0", "192.0.2.7"));
    assert_true(contains("::/0", "::1"));
}

static void other_families_are_in_no_range(void **state)
{
    const struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ftx_cidr v4 = range("0.0.0.0/0"), v6 = range("::/0");

    (void)state;
    assert_false(ftx_cidr_contains(&v4, (const struct sockaddr *)&address));
    assert_false(ftx_cidr_contains(&v6, (const struct sockaddr *)&address));
}

static void refuses_everything_else(void **state)
{
    static const char *const texts[] = {
        "",
        "/",
        "/8",
        "192.0.2.0/",
        "192.0.2.0/33",
        "192.0.2.0/-1",
        "192.0.2.0/+8",
        "192.0.2.0/ 8",
        "192.0.2.0/8x",
        "192.0.2.0/24/24",
        "192.0.2.0/0024",
        "192.0.2.0/255.255.255.0",
        "192.0.2.1/24", /* bits behind the prefix */
        "192.0.2",
        "192.0.2.256",
        "192.0.2.0 ",
        "2001:db8::/129",
        "2001:db8::1/64",
        "::ffff:192.0.2.0/24",
        "[2001:db8::]/32",
        "fe80::1%eth0",
        "name",
        "tailscale",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/8",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct ftx_cidr cidr = {.n_bits = 200};

        if (ftx_cidr_parse(texts[i], &cidr) != -EINVAL)
            fail_msg("taken: %s", texts[i]);
        assert_int_equal(cidr.n_bits, 200);
    }
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(contains_what_has_its_prefix),
        cmocka_unit_test(mapped_addresses_are_ipv4),
        cmocka_unit_test(other_families_are_in_no_range),
        cmocka_unit_test(refuses_everything_else),
    };

    return cmocka_run_group_tests_name("cidr", cases, NULL, NULL);
}
