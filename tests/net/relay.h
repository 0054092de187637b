/* SPDX-License-Identifier: MIT */
/* A real ftx-relay on the loopback, as a child of the test. */
#ifndef FTX_TESTS_NET_RELAY_H
#define FTX_TESTS_NET_RELAY_H

#include <stdint.h>
#include <sys/types.h>

struct test_relay {
    pid_t pid;
    uint16_t port;
};

/* Starts it on 127.0.0.1 with these further options (up to NULL) and waits until it listens. */
void test_relay_open(struct test_relay *relay, const char *const *options);

/* Ends it by SIGTERM; it must end well. */
void test_relay_close(struct test_relay *relay);

/* A certificate for 127.0.0.1 and its key, made once in the scratch folder. */
const char *test_relay_cert(void);
const char *test_relay_key(void);

#endif
