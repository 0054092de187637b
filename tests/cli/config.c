/* SPDX-License-Identifier: MIT */
/* The configuration file of ftxfs: what a line may be, what wins, and how a fault is named. */
#include "tools/ftxfs/config.h"
#include "tools/ftxfs/option_table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct ftx_options options;

static int setup(void **state)
{
    (void)state;
    ftx_options_init(&options);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ftx_options_free(&options);
    return 0;
}

static int read_text(const char *text)
{
    return ftx_config_read(&options, "/etc/x", text, strlen(text));
}

/* The line that it says about the text, which it must refuse. */
static void assert_refused(const char *text, size_t size, const char *said)
{
    char line[512];
    FILE *caught = tmpfile();
    int keep = dup(2);
    assert_non_null(caught);
    dup2(fileno(caught), 2);
    int err = ftx_config_read(&options, "/etc/x", text, size);
    dup2(keep, 2);
    close(keep);
    rewind(caught);
    assert_int_equal(err, -EINVAL);
    assert_non_null(fgets(line, sizeof line, caught));
    assert_int_equal(fgetc(caught), EOF);
    fclose(caught);
    char expected[512];
    snprintf(expected, sizeof expected, "ftxfs: %s (see ftxfs --help)\n", said);
    assert_string_equal(line, expected);
}

static void lines_are_options(void **state)
{
    (void)state;
    assert_int_equal(read_text("# mine\n\n  listen = 127.0.0.1:1234\t\nread_timeout=7 # seconds\r\n"
                               "peer = one.example:1\npeer = two.example:2\nno_lan\nallow_other\n"
                               "keep = all\nstore = /somewhere/else#here"),
                     0);
    assert_string_equal(options.network.listen.host, "127.0.0.1");
    assert_int_equal(options.network.listen.port, 1234);
    assert_int_equal(options.read_timeout_s, 7);
    assert_int_equal(options.network.n_dial, 2);
    assert_string_equal(options.network.dial[1].host, "two.example");
    assert_true(options.network.no_lan && options.spool.keep_all);
    assert_string_equal(options.fuse_options, "allow_other");
    assert_string_equal(options.store, "/somewhere/else#here");
}

static void debugging_is_in_the_foreground(void **state)
{
    (void)state;
    assert_int_equal(read_text("debug\n"), 0);
    assert_true(options.foreground && options.debug);
}

static void the_command_line_wins(void **state)
{
    (void)state;
    assert_int_equal(ftx_option_take_named(&options, "peer", 4, "mine.example:1"), 0);
    assert_int_equal(ftx_option_take_named(&options, "read_timeout", 12, "5"), 0);
    assert_int_equal(read_text("peer = other.example:2\nread_timeout = 9\nhistory_max = 3\n"), 0);
    assert_int_equal(options.network.n_dial, 1);
    assert_string_equal(options.network.dial[0].host, "mine.example");
    assert_int_equal(options.read_timeout_s, 5);
    assert_int_equal(options.history_max, 3);
}

static void faults_name_file_line_and_key(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"\n\nlisten = here:x", "/etc/x:3: listen: 'here:x' is neither HOST:PORT nor none"},
        {"no_lan\nnonsense = 1\n", "/etc/x:2: nonsense: no such option"},
        {"listen", "/etc/x:1: listen: needs a value"},
        {"listen =  # none\n", "/etc/x:1: listen: nothing stands behind the ="},
        {"no-lan = yes", "/etc/x:1: no-lan: takes no value"},
        {"\n = 5", "/etc/x:2: nothing stands before the ="},
        {"store = ~/ftx", "/etc/x:1: store: '~/ftx' does not begin with /"},
        {"relay_token = token", "/etc/x:1: relay_token: 'token' does not begin with /"},
        {"relay_ca = /dev/null", "/etc/x:1: relay_ca: '/dev/null' holds no certificate"},
        {"config = /x", "/etc/x:1: config: cannot stand in a file"},
        {"noauto", "/etc/x:1: noauto: no such option"},
        {"\033[31m = 1", "/etc/x:1: \\x1b[31m: no such option"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(cases[i].text, strlen(cases[i].text), cases[i].said);
    assert_refused("no_lan\0", 7, "/etc/x:1: the line holds a NUL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_are_options, setup, teardown),
        cmocka_unit_test_setup_teardown(debugging_is_in_the_foreground, setup, teardown),
        cmocka_unit_test_setup_teardown(the_command_line_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(faults_name_file_line_and_key, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
