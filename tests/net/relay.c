/* SPDX-License-Identifier: MIT */
/* Starts and ends the relay; it tells its port on stdout. */
#include "tests/net/relay.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OPTIONS_MAX = 24 };

static void run(int out, const char *const *options)
{
    const char *argv[OPTIONS_MAX] = {FTX_RELAY, "--listen", "127.0.0.1:0"};
    size_t n = 3;

    for (; *options && n < OPTIONS_MAX - 1; options++)
        argv[n++] = *options;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(out, STDOUT_FILENO);
    (void)execv(FTX_RELAY, (char **)(uintptr_t)argv);
    _exit(127);
}

void test_relay_open(struct test_relay *relay, const char *const *options)
{
    char line[128] = "";
    int fds[2];
    FILE *out;

    assert_int_equal(pipe(fds), 0);
    relay->pid = fork();
    assert_true(relay->pid >= 0);
    if (relay->pid == 0)
        run(fds[1], options);
    close(fds[1]);
    out = fdopen(fds[0], "r");
    assert_non_null(out);
    if (!fgets(line, sizeof(line), out) || !strrchr(line, ':'))
        fail_msg("%s does not listen: %s", FTX_RELAY, line);
    relay->port = (uint16_t)atoi(strrchr(line, ':') + 1);
    (void)fclose(out);
}

void test_relay_close(struct test_relay *relay)
{
    int status;

    assert_int_equal(kill(relay->pid, SIGTERM), 0);
    assert_int_equal(waitpid(relay->pid, &status, 0), relay->pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Of this process: other tests make theirs at the same time. */
static char cert[256], key[256];

static void remove_cert(void)
{
    (void)remove(cert);
    (void)remove(key);
}

static void make_cert(void)
{
    char command[1024];

    if (cert[0])
        return;
    (void)snprintf(cert, sizeof(cert), FTX_SCRATCH "/relay-%d-cert.pem", (int)getpid());
    (void)snprintf(key, sizeof(key), FTX_SCRATCH "/relay-%d-key.pem", (int)getpid());
    (void)snprintf(
        command, sizeof(command),
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 "
        "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout '%s' -out '%s' "
        "2>/dev/null",
        key, cert);
    assert_int_equal(system(command), 0);
    (void)atexit(remove_cert);
}

const char *test_relay_cert(void)
{
    make_cert();
    return cert;
}

const char *test_relay_key(void)
{
    make_cert();
    return key;
}
