/* SPDX-License-Identifier: MIT */
/* Programs that are asked within bounds; what `tailscale status --json` says, from a stand-in; who
 * is let in by it. */
#include "tests/net/loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/net/sockets.h"
#include "transport/base/err.h"
#include "transport/net/local.h"
#include "transport/net/program.h"
#include "transport/net/tailnet.h"
#include "transport/net/tcp.h"

/* -- a program -- */

static int run(const char *command, size_t most, unsigned timeout_ms, char **out_text)
{
    char *argv[] = {"sh", "-c", (char *)(uintptr_t)command, NULL};
    size_t size;
    int err = ftx_program_read(argv, most, timeout_ms, out_text, &size);

    if (err == 0)
        assert_int_equal(strlen(*out_text), size);
    return err;
}

static void output_is_read_to_its_end(void **state)
{
    char *text;

    (void)state;
    assert_int_equal(run("printf one; printf two; printf noise >&2", 100, 5000, &text), 0);
    assert_string_equal(text, "onetwo");
    free(text);
    assert_int_equal(run("head -c 300000 /dev/zero | tr '\\0' x", 300000, 5000, &text), 0);
    assert_int_equal(strspn(text, "x"), 300000);
    free(text);
    assert_int_equal(run(":", 100, 5000, &text), 0);
    assert_string_equal(text, "");
    free(text);
}

static void failure_of_a_program_is_an_error(void **state)
{
    char *const argv[] = {"ftxfs-test-no-such-program", NULL};
    char *text;
    size_t size;

    (void)state;
    assert_int_equal(ftx_program_read(argv, 100, 5000, &text, &size), -ENOENT);
    assert_int_equal(run("echo words; exit 3", 100, 5000, &text), -EIO);
    assert_int_equal(run("kill -9 $$", 100, 5000, &text), -EIO);
}

static void endless_output_and_endless_programs_are_killed(void **state)
{
    char *text;

    (void)state;
    assert_int_equal(run("yes", 100000, 60000, &text), FTX_ELIMIT);
    assert_int_equal(run("sleep 600", 100, 50, &text), -ETIMEDOUT);
    assert_int_equal(run("sleep 600 & wait", 100, 50, &text), -ETIMEDOUT);
    assert_int_equal(run("exec >&-; sleep 600", 100, 50, &text), -ETIMEDOUT);
}

/* -- what it says -- */

static char *status_text(void)
{
    FILE *file = fopen(FTX_VECTORS "/../net/tailscale.json", "r");
    char *text = test_calloc(1, 16384);

    assert_non_null(file);
    assert_true(fread(text, 1, 16383, file) > 0);
    fclose(file);
    return text;
}

static bool contains(const struct ftx_tailnet *tailnet, const char *host)
{
    struct sockaddr_storage address = {0};

    if (uv_ip4_addr(host, 1, (struct sockaddr_in *)&address) != 0)
        assert_int_equal(uv_ip6_addr(host, 1, (struct sockaddr_in6 *)&address), 0);
    return ftx_tailnet_contains(tailnet, (struct sockaddr *)&address);
}

static void status_names_the_nodes(void **state)
{
    char *text = status_text();
    struct ftx_tailnet tailnet;

    (void)state;
    assert_int_equal(ftx_tailnet_parse(text, strlen(text), &tailnet), 0);
    assert_int_equal(tailnet.n_own, 2);
    assert_int_equal(tailnet.n_nodes, 5);
    assert_true(contains(&tailnet, "100.101.102.103"));
    assert_true(contains(&tailnet, "fd7a:115c:a1e0::1234:5678"));
    assert_true(contains(&tailnet, "100.64.0.2"));
    assert_true(contains(&tailnet, "::ffff:100.64.0.2"));
    assert_true(contains(&tailnet, "fd7a:115c:a1e0::2"));
    assert_true(contains(&tailnet, "100.64.0.3"));
    assert_false(contains(&tailnet, "100.64.0.4")); /* a visitor */
    assert_false(contains(&tailnet, "100.64.0.5")); /* expired */
    assert_false(contains(&tailnet, "10.9.0.1"));   /* behind a node, not one */
    assert_false(contains(&tailnet, "100.64.0.6"));
    ftx_tailnet_free(&tailnet);
    test_free(text);
}

static void other_texts_are_no_status(void **state)
{
    static const struct {
        const char *text;
        int err;
    } rows[] = {
        {"", FTX_EPROTO},
        {"Tailscale is stopped.\n", FTX_EPROTO},
        {"{}", FTX_EPROTO},
        {"[]", FTX_EPROTO},
        {"{\"BackendState\": 1}", FTX_EPROTO},
        {"{\"BackendState\": \"Running\"", FTX_EPROTO},
        {"{\"BackendState\": \"Stopped\", \"Self\": {\"TailscaleIPs\": [\"100.64.0.1\"]}}",
         -ENETDOWN},
        {"{\"BackendState\": \"NeedsLogin\", \"Peer\": null}", -ENETDOWN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ftx_tailnet tailnet;

        if (ftx_tailnet_parse(rows[i].text, strlen(rows[i].text), &tailnet) != rows[i].err)
            fail_msg("otherwise: %s", rows[i].text);
    }
}

static void only_single_addresses_are_nodes(void **state)
{
    static const char text[] = "{\"BackendState\": \"Running\", \"Self\": {\"TailscaleIPs\": null},"
                               " \"Peer\": {\"a\": {\"TailscaleIPs\": [\"0.0.0.0/0\", 7, \"x\"]},"
                               " \"b\": 5, \"c\": {\"TailscaleIPs\": [\"100.64.0.1\"]}}}";
    struct ftx_tailnet tailnet;

    (void)state;
    assert_int_equal(ftx_tailnet_parse(text, strlen(text), &tailnet), 0);
    assert_int_equal(tailnet.n_own, 0);
    assert_int_equal(tailnet.n_nodes, 1);
    ftx_tailnet_free(&tailnet);
}

/* -- who is let in -- */

/* The stand-in for tailscale, in a folder that is first in PATH. */
static const char folder[] = FTX_SCRATCH "/tailnet-bin";

static void install(const char *script)
{
    char path[sizeof(folder) + 16];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/tailscale", folder);
    (void)mkdir(folder, 0700);
    (void)unlink(path);
    if (!script)
        return;
    file = fopen(path, "w");
    assert_non_null(file);
    (void)fprintf(file, "#!/bin/sh\n%s\n", script);
    fclose(file);
    assert_int_equal(chmod(path, 0700), 0);
}

static void set_path(void)
{
    char path[sizeof(folder) + sizeof(":/bin")];

    (void)snprintf(path, sizeof(path), "%s:/bin", folder);
    setenv("PATH", path, 1);
}

struct gate {
    struct test_loop loop;
    struct ftx_access *access;
    struct ftx_listener *listener;
    size_t n_accepted;
};

static struct gate *gate; /* of the running case */

static void on_accepted(void *owner, struct ftx_pipe *pipe)
{
    (void)owner;
    gate->n_accepted++;
    ftx_pipe_close(pipe);
}

static void open_gate(const char *range, bool tailnet)
{
    struct ftx_address address = {.host = "localhost"};
    struct ftx_cidr cidr;

    if (range)
        assert_int_equal(ftx_cidr_parse(range, &cidr), 0);
    assert_int_equal(ftx_access_new(&gate->loop.uv, &cidr, range ? 1 : 0, tailnet, &gate->access),
                     0);
    assert_int_equal(ftx_tcp_listen(&gate->loop.uv, &address, on_accepted, gate, &gate->listener),
                     0);
    ftx_listener_restrict(gate->listener, gate->access);
}

struct caller {
    int err;
    bool over;
};

static void no_bytes(void *owner, uint8_t **out_bytes, size_t *out_size)
{
    static uint8_t byte;

    (void)owner;
    *out_bytes = &byte;
    *out_size = 1;
}

static void on_over(void *owner, int err)
{
    struct caller *caller = owner;

    caller->err = err;
    caller->over = true;
}

static const struct ftx_pipe_events events = {.alloc = no_bytes, .ended = on_over};

static void on_dialled(void *owner, int err, struct ftx_pipe *pipe)
{
    struct ftx_pipe **out_pipe = owner;

    assert_int_equal(err, 0);
    *out_pipe = pipe;
}

/* Calls and waits until the connection ends, which every listener here brings about; true if it was
 * accepted before. */
static bool is_let_in(const char *host)
{
    struct ftx_address address = {.port = ftx_listener_port(gate->listener)};
    size_t before = gate->n_accepted;
    struct ftx_pipe *pipe = NULL;
    struct caller caller = {0};
    struct ftx_dial *dial;

    strcpy(address.host, host);
    assert_int_equal(ftx_tcp_dial(&gate->loop.uv, &address, on_dialled, &pipe, &dial), 0);
    test_loop_await(&gate->loop, pipe);
    ftx_pipe_own(pipe, &events, &caller);
    ftx_pipe_read_start(pipe);
    test_loop_await(&gate->loop, caller.over);
    ftx_pipe_close(pipe);
    return gate->n_accepted > before;
}

static void range_lets_in_who_is_in_it(void **state)
{
    (void)state;
    open_gate("127.0.0.0/8", false);
    assert_true(is_let_in("127.0.0.1"));
    if (have_ipv6())
        assert_false(is_let_in("::1"));
}

static void range_keeps_out_who_is_not(void **state)
{
    (void)state;
    open_gate("192.0.2.0/24", false);
    assert_false(is_let_in("127.0.0.1"));
}

#define STATUS(ip)                                                                                 \
    "echo '{\"BackendState\": \"Running\", \"Self\": {\"TailscaleIPs\": [\"" ip "\"]}}'"

static void tailnet_lets_in_its_nodes(void **state)
{
    (void)state;
    install("test \"$*\" = 'status --json' || exit 9\n" STATUS("127.0.0.1"));
    open_gate(NULL, true);
    assert_true(is_let_in("127.0.0.1"));
    if (have_ipv6())
        assert_false(is_let_in("::1"));
}

static void tailnet_is_asked_once_in_a_minute(void **state)
{
    (void)state;
    install(STATUS("127.0.0.1"));
    open_gate(NULL, true);
    assert_true(is_let_in("127.0.0.1"));
    install(STATUS("192.0.2.1"));
    assert_true(is_let_in("127.0.0.1"));
}

static void without_an_answer_nobody_is_let_in_but_ranges(void **state)
{
    (void)state;
    install("exit 1");
    open_gate("127.0.0.0/8", true);
    assert_true(is_let_in("127.0.0.1"));
    if (have_ipv6())
        assert_false(is_let_in("::1"));
}

static void stopping_while_it_is_asked_lets_nobody_in(void **state)
{
    int fd;

    (void)state;
    install("sleep 0.2\n" STATUS("127.0.0.1"));
    open_gate(NULL, true);
    fd = socket_call("127.0.0.1", ftx_listener_port(gate->listener));
    test_loop_settle(&gate->loop, &gate->n_accepted);
    ftx_listener_stop(gate->listener);
    gate->listener = NULL;
    test_loop_await(&gate->loop, !uv_loop_alive(&gate->loop.uv));
    assert_int_equal(gate->n_accepted, 0);
    close(fd);
}

/* -- listening there -- */

static void its_word_is_the_own_address(void **state)
{
    struct sockaddr_storage *addresses;
    size_t n;

    (void)state;
    install(STATUS("127.0.0.1\", \"::1"));
    assert_int_equal(ftx_local_addresses(&gate->loop.uv, "tailscale", &addresses, &n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(addresses[0].ss_family, AF_INET);
    assert_int_equal(addresses[1].ss_family, AF_INET6);
    free(addresses);
    install("echo '{\"BackendState\": \"Running\", \"Self\": {}}'");
    assert_int_equal(ftx_local_addresses(&gate->loop.uv, "tailscale", &addresses, &n),
                     -EADDRNOTAVAIL);
    install("echo '{\"BackendState\": \"Stopped\"}'");
    assert_int_equal(ftx_local_addresses(&gate->loop.uv, "tailscale", &addresses, &n), -ENETDOWN);
    install(NULL);
    setenv("PATH", folder, 1); /* a real one may be installed */
    assert_int_equal(ftx_local_addresses(&gate->loop.uv, "tailscale", &addresses, &n), -ENOENT);
}

static void interface_stands_for_its_addresses(void **state)
{
    struct sockaddr_storage *addresses;
    size_t n;

    (void)state;
    assert_int_equal(ftx_local_addresses(&gate->loop.uv, "lo", &addresses, &n), 0);
    assert_int_equal(addresses[0].ss_family, AF_INET);
    assert_int_equal(((struct sockaddr_in *)&addresses[0])->sin_addr.s_addr,
                     htonl(INADDR_LOOPBACK));
    free(addresses);
}

static int set_up(void **state)
{
    (void)state;
    gate = test_calloc(1, sizeof(*gate));
    test_loop_open(&gate->loop);
    set_path();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (gate->listener)
        ftx_listener_stop(gate->listener);
    test_loop_close(&gate->loop);
    ftx_access_free(gate->access);
    test_free(gate);
    return 0;
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(output_is_read_to_its_end),
        cmocka_unit_test(failure_of_a_program_is_an_error),
        cmocka_unit_test(endless_output_and_endless_programs_are_killed),
        cmocka_unit_test(status_names_the_nodes),
        cmocka_unit_test(other_texts_are_no_status),
        cmocka_unit_test(only_single_addresses_are_nodes),
        CASE(range_lets_in_who_is_in_it),
        CASE(range_keeps_out_who_is_not),
        CASE(tailnet_lets_in_its_nodes),
        CASE(tailnet_is_asked_once_in_a_minute),
        CASE(without_an_answer_nobody_is_let_in_but_ranges),
        CASE(stopping_while_it_is_asked_lets_nobody_in),
        CASE(its_word_is_the_own_address),
        CASE(interface_stands_for_its_addresses),
    };
#undef CASE

    return cmocka_run_group_tests_name("tailnet", cases, NULL, NULL);
}
