/* SPDX-License-Identifier: MIT */
/* Plain sockets on the loopback for the net tests: the other end when it must misbehave. */
#ifndef FTX_TESTS_NET_SOCKETS_H
#define FTX_TESTS_NET_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

/* True if ::1 can be bound. */
bool have_ipv6(void);

/* Connects to a loopback address ("127.0.0.1", "::1"), blocking. A descriptor, or -errno. */
int socket_call(const char *host, uint16_t port);

/* Binds a free port and does not listen: who calls is refused. */
int socket_refusing(const char *host, uint16_t *out_port);

/* Binds a free port and listens. */
int socket_listening(const char *host, uint16_t *out_port);

/* Listens on 127.0.0.1 with a full backlog: who calls gets no answer. Close both descriptors. */
void socket_silent(int out_fds[2], uint16_t *out_port);

#endif
