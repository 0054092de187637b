/* SPDX-License-Identifier: MIT */
/* Joins two network namespaces by a link of a given rate, delay and loss: a TUN device in each, and this program between them.
 *
 *     emulator NAMESPACE_A NAMESPACE_B [--rate BITS] [--delay-us ONE_WAY] [--queue BYTES] [--loss CHANCE] [--seed N]
 *
 * Both namespaces (paths such as /run/netns/a) get a device `wire`, without addresses and down: whoever starts this sets
 * them up once the line `ready` came. SIGTERM ends it, and the devices with it; then one line of JSON says what became of
 * the packets of each direction.
 *
 * The devices promise no offload, so the kernel hands over packets of at most the MTU, one for each read. One thread a
 * direction: it takes what is there, asks link.h when each is due, and sleeps until the first is. What makes it accurate:
 * times are computed from the line, not from when the thread woke (a late wake-up delays a packet, and takes no rate from the
 * line as long as a queue is there); real-time priority and a timer slack of 1 ns. What keeps it cheap, as it shares the
 * processors with what is measured: after each wake-up it rests for 1 % of the delay, so that packets come in groups. */
#include "tests/bench/tools/link.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { PACKET_MAX = 65536, BATCH = 256, REST_MIN_NS = 30000, REST_MAX_NS = 250000 };

struct packet {
    struct packet *next;
    uint64_t due_ns;
    size_t size;
    unsigned char bytes[];
};

/* One direction; used by its thread alone. */
struct direction {
    const char *name;
    int from, to; /* TUN devices */
    struct link link;
    struct packet *first, **last; /* on their way, in the order they are due */
    uint64_t late_ns_max, n_refused;
};

static void die(const char *what)
{
    fprintf(stderr, "emulator: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* A TUN device `wire` in the namespace; this thread stays there. */
static int open_device(const char *space)
{
    int fd = open(space, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET))
        die(space);
    close(fd);
    fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    struct ifreq request = {.ifr_name = "wire", .ifr_flags = IFF_TUN | IFF_NO_PI};
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request))
        die("/dev/net/tun");
    return fd;
}

/* Takes one packet from the device; false if none is there. */
static bool take(struct direction *d)
{
    static _Thread_local unsigned char bytes[PACKET_MAX];
    ssize_t n = read(d->from, bytes, sizeof bytes);
    if (n <= 0)
        return false; /* EAGAIN; EIO while the device is down */
    uint64_t due_ns;
    if (link_accept(&d->link, now_ns(), (size_t)n, &due_ns) != LINK_DELIVERED)
        return true;
    struct packet *packet = malloc(sizeof *packet + (size_t)n);
    if (!packet)
        die("packet");
    *packet = (struct packet){.due_ns = due_ns, .size = (size_t)n};
    memcpy(packet->bytes, bytes, (size_t)n);
    *d->last = packet;
    d->last = &packet->next;
    return true;
}

/* Hands over what is due. */
static void deliver(struct direction *d)
{
    for (struct packet *packet; (packet = d->first);) {
        uint64_t now = now_ns();
        if (packet->due_ns > now)
            return;
        if (now - packet->due_ns > d->late_ns_max)
            d->late_ns_max = now - packet->due_ns;
        if (write(d->to, packet->bytes, packet->size) < 0)
            d->n_refused++; /* the device is down, or the kernel has no room */
        d->first = packet->next;
        if (!d->first)
            d->last = &d->first;
        free(packet);
    }
}

/* Sleeps until a packet comes or one is due. */
static void wait_for_work(const struct direction *d)
{
    struct pollfd from = {.fd = d->from, .events = POLLIN};
    struct timespec pause, *limit = NULL;
    if (d->first) {
        uint64_t now = now_ns(), due = d->first->due_ns;
        uint64_t ns = due > now ? due - now : 0;
        pause = (struct timespec){(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
        limit = &pause;
    }
    ppoll(&from, 1, limit, NULL);
}

static void *carry(void *argument)
{
    struct direction *d = argument;
    prctl(PR_SET_TIMERSLACK, 1);
    struct sched_param priority = {.sched_priority = 10};
    (void)pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority); /* a wish */
    uint64_t rest_ns = d->link.shape.delay_ns / 100;
    rest_ns = rest_ns < REST_MIN_NS ? REST_MIN_NS : rest_ns > REST_MAX_NS ? REST_MAX_NS : rest_ns;
    const struct timespec rest = {.tv_nsec = (long)rest_ns};
    for (;;) {
        wait_for_work(d);
        for (int i = 0; i < BATCH && take(d); i++)
            continue;
        deliver(d);
        nanosleep(&rest, NULL);
    }
    return NULL;
}

static void say(const struct direction *d)
{
    const uint64_t *n = d->link.n_packets;
    printf("\"%s\": {\"delivered\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"dropped\": %" PRIu64
           ", \"bytes\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"late_us_max\": %" PRIu64 "}",
           d->name, n[LINK_DELIVERED], n[LINK_LOST], n[LINK_DROPPED], d->link.n_bytes, d->n_refused,
           d->late_ns_max / 1000);
}

static double number(const char *text, double most)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || value < 0 || value > most) {
        fprintf(stderr, "emulator: '%s' is not a number from 0 to %g\n", text, most);
        exit(2);
    }
    return value;
}

static void usage(void)
{
    fprintf(
        stderr,
        "usage: emulator NAMESPACE_A NAMESPACE_B [--rate BITS] [--delay-us ONE_WAY] [--queue BYTES]"
        " [--loss CHANCE] [--seed N]\n");
    exit(2);
}

static struct link_shape parse(int argc, char **argv)
{
    static const struct option options[] = {{"rate", 1, NULL, 'r'},  {"delay-us", 1, NULL, 'd'},
                                            {"queue", 1, NULL, 'q'}, {"loss", 1, NULL, 'l'},
                                            {"seed", 1, NULL, 's'},  {0}};
    struct link_shape shape = {.queue_bytes = 1 << 18, .seed = 1};
    for (int found; (found = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (found == 'r')
            shape.rate_bits = (uint64_t)number(optarg, 1e12);
        else if (found == 'd')
            shape.delay_ns = (uint64_t)(number(optarg, 1e8) * 1000);
        else if (found == 'q')
            shape.queue_bytes = (uint64_t)number(optarg, 1e9);
        else if (found == 'l')
            shape.loss = number(optarg, 1);
        else if (found == 's')
            shape.seed = (uint64_t)number(optarg, 1e15);
        else
            usage();
    }
    if (argc - optind != 2)
        usage();
    return shape;
}

int main(int argc, char **argv)
{
    struct link_shape shape = parse(argc, argv);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);

    int a = open_device(argv[optind]), b = open_device(argv[optind + 1]);
    struct direction there = {.name = "a_to_b", .from = a, .to = b};
    struct direction back = {.name = "b_to_a", .from = b, .to = a};
    struct direction *both[] = {&there, &back};
    for (int i = 0; i < 2; i++) {
        link_init(&both[i]->link, &shape);
        both[i]->last = &both[i]->first;
        shape.seed += 1000003; /* the two directions lose different packets */
        pthread_t thread;
        if ((errno = pthread_create(&thread, NULL, carry, both[i])))
            die("thread");
    }
    puts("ready");
    fflush(stdout);
    int number_of_signal;
    sigwait(&ends, &number_of_signal);
    printf("{");
    say(&there);
    printf(", ");
    say(&back);
    printf("}\n");
    return 0;
}
