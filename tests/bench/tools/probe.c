/* SPDX-License-Identifier: MIT */
/* Measures a link, so that the emulator can be held to what it was asked for (tests/bench/check.py).
 *
 *     probe ping HOST COUNT                        prints the median round trip of ICMP echoes, one every 10 ms, in us
 *     probe sink HOST PORT                         says `ready`; counts datagrams until half a second passes without one;
 *                                                  prints how many, and the seconds from the first to the last
 *     probe blast HOST PORT COUNT BYTES BITS       sends datagrams of so many bytes as IP packets, at so many bits a second
 *
 * As root, for raw sockets. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    HEADERS = 28,
    PACKET_MAX = 1500,
    PINGS_MAX = 1000,
    SILENCE_MS = 500,
    IP_HEADER = 20,
    GROUP = 8
};

static int fail(const char *what)
{
    fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
    return 1;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void sleep_until(int64_t when_ns)
{
    struct timespec when = {.tv_sec = when_ns / 1000000000, .tv_nsec = when_ns % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
}

static uint16_t checksum(const void *bytes, size_t size)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < size; i += 2) {
        uint16_t part;
        memcpy(&part, (const char *)bytes + i, sizeof part);
        sum += part;
    }
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Waits for the answer to one echo; false if it does not come in 2 s. */
static int await_echo(int fd, uint16_t id, uint16_t sequence)
{
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        unsigned char packet[PACKET_MAX];
        if (poll(&ready, 1, 2000) <= 0)
            return 0;
        ssize_t n = recv(fd, packet, sizeof packet, 0);
        struct icmphdr answer;
        if (n < (ssize_t)(IP_HEADER + sizeof answer))
            continue;
        memcpy(&answer, packet + IP_HEADER, sizeof answer);
        if (answer.type == ICMP_ECHOREPLY && answer.un.echo.id == id &&
            answer.un.echo.sequence == sequence)
            return 1;
    }
}

static int ping(const struct sockaddr_in *to, int count)
{
    static int64_t trips_ns[PINGS_MAX];
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), n_trips = 0;
    if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof *to))
        return fail("socket");
    for (int i = 0; i < count && i < PINGS_MAX; i++) {
        struct icmphdr echo = {.type = ICMP_ECHO};
        echo.un.echo.id = (uint16_t)getpid();
        echo.un.echo.sequence = (uint16_t)i;
        echo.checksum = checksum(&echo, sizeof echo);
        int64_t begin = now_ns();
        if (send(fd, &echo, sizeof echo, 0) < 0)
            return fail("send");
        if (await_echo(fd, echo.un.echo.id, echo.un.echo.sequence))
            trips_ns[n_trips++] = now_ns() - begin;
        sleep_until(begin + 10000000);
    }
    if (n_trips == 0)
        return fail("no answer");
    qsort(trips_ns, (size_t)n_trips, sizeof *trips_ns, compare);
    printf("%.1f\n", (double)trips_ns[n_trips / 2] / 1000);
    return 0;
}

static int sink(const struct sockaddr_in *at)
{
    static char bytes[PACKET_MAX];
    int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 64 << 20, timeout_ms = 20000;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    if (fd < 0 || bind(fd, (const struct sockaddr *)at, sizeof *at))
        return fail("bind");
    puts("ready");
    fflush(stdout);
    int64_t first = 0, last = 0;
    long count = 0;
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    while (poll(&ready, 1, timeout_ms) > 0) {
        if (recv(fd, bytes, sizeof bytes, 0) < 0)
            return fail("recv");
        last = now_ns();
        first = count++ ? first : last;
        timeout_ms = SILENCE_MS;
    }
    printf("%ld %.9f\n", count, (double)(last - first) / 1e9);
    return 0;
}

/* The kernel cuts what is sent at once into datagrams: one system call for GROUP of them. */
static int blast(const struct sockaddr_in *to, long count, size_t size, double rate_bits)
{
    static char bytes[GROUP * PACKET_MAX];
    int fd = socket(AF_INET, SOCK_DGRAM, 0), each = (int)size - HEADERS;
    if (each <= 0 || size > PACKET_MAX || rate_bits <= 0) {
        errno = EINVAL;
        return fail("size");
    }
    if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof *to) ||
        setsockopt(fd, SOL_UDP, UDP_SEGMENT, &each, sizeof each))
        return fail("socket");
    double every_ns = (double)size * 8e9 / rate_bits;
    int64_t begin = now_ns();
    for (long i = 0; i < count; i += GROUP) {
        long n = count - i < GROUP ? count - i : GROUP;
        int64_t due = begin + (int64_t)((double)i * every_ns);
        if (due > now_ns() + 20000)
            sleep_until(due);
        if (send(fd, bytes, (size_t)(n * each), 0) < 0 && errno != ENOBUFS)
            return fail("send");
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    const char *what = argc > 3 ? argv[1] : "";
    prctl(PR_SET_TIMERSLACK, 1);
    if (argc > 3 && inet_pton(AF_INET, argv[2], &address.sin_addr) != 1)
        what = "";
    if (argc == 4 && strcmp(what, "ping") == 0)
        return ping(&address, atoi(argv[3]));
    if (argc > 3)
        address.sin_port = htons((uint16_t)atoi(argv[3]));
    if (argc == 4 && strcmp(what, "sink") == 0)
        return sink(&address);
    if (argc == 7 && strcmp(what, "blast") == 0)
        return blast(&address, atol(argv[4]), (size_t)atol(argv[5]), atof(argv[6]));
    fprintf(stderr,
            "usage: probe ping HOST COUNT | sink HOST PORT | blast HOST PORT COUNT BYTES BITS\n");
    return 2;
}
