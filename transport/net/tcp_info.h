/* SPDX-License-Identifier: MIT */
/* What the kernel knows of a TCP connection and the C library's headers do not name. */
#ifndef FTX_NET_TCP_INFO_H
#define FTX_NET_TCP_INFO_H

#include <stdint.h>

/* The shortest round-trip time of the last minutes, microseconds: that of the way itself, without
 * what waits in queues or at a peer that does not read. 0: not known. */
uint32_t ftx_tcp_min_rtt_us(int fd);

#endif
