/* SPDX-License-Identifier: MIT */
/* What the kernel knows of a TCP connection and the C library's headers do not name. */
#ifndef FTX_NET_TCP_INFO_H
#define FTX_NET_TCP_INFO_H

#include <stdbool.h>
#include <stdint.h>

/* The shortest round-trip time of the last minutes, microseconds: that of the way itself, without
 * what waits in queues or at a peer that does not read. 0: not known. */
uint32_t ftx_tcp_min_rtt_us(int fd);

/* Segments with data that were sent, ever, and how many of them again. False: not known. */
bool ftx_tcp_segments(int fd, uint32_t *out_sent, uint32_t *out_again);

#endif
