/* SPDX-License-Identifier: MIT */
/* A file of its own: <linux/tcp.h> cannot stand beside <netinet/tcp.h>, which libuv brings. */
#include "transport/net/tcp_info.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

uint32_t ftx_tcp_min_rtt_us(int fd)
{
    struct tcp_info info = {.tcpi_min_rtt = 0};
    socklen_t size = sizeof(info);

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        return 0;
    return info.tcpi_min_rtt == UINT32_MAX ? 0 : info.tcpi_min_rtt; /* none was measured yet */
}

bool ftx_tcp_segments(int fd, uint32_t *out_sent, uint32_t *out_again)
{
    struct tcp_info info = {.tcpi_total_retrans = 0};
    socklen_t size = sizeof(info);

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        return false;
    *out_sent = info.tcpi_data_segs_out;
    *out_again = info.tcpi_total_retrans;
    return true;
}
