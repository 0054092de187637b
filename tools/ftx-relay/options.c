/* SPDX-License-Identifier: MIT */
/* Options of the relay: one table; each stands as --name VALUE or --name=VALUE. */
#include "tools/ftx-relay/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/base/err.h"
#include "transport/base/log.h"

enum {
    TOKEN_FILE_MAX = 1 << 20,
    DAY_S = 24 * 3600,
    PING_MAX_S = 30, /* clients give a relay up that is silent for 90 s */
};

static int bad(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int bad(const char *format, ...)
{
    char message[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    ftx_log_tell("ftx-relay", "%s (see ftx-relay --help)", message);
    return -EINVAL;
}

/* Digits only, `least` to `most`. */
static bool parse_number(const char *value, uint64_t least, uint64_t most, uint64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoull(value, &end, 10);
    return !errno && value[0] >= '0' && value[0] <= '9' && !*end && *out >= least && *out <= most;
}

static int set_listen(struct ftx_relay_options *o, const char *value)
{
    struct ftx_address address;

    if (ftx_address_parse(value, &address) < 0 || !address.host[0])
        return bad("--listen: '%s' is not HOST:PORT", value);
    if (address.port == FTX_DEFAULT_PORT && !strstr(value, ":15820")) /* no port was given */
        address.port = FTX_RELAY_PORT;
    o->listen = address;
    return 0;
}

static int set_cert(struct ftx_relay_options *o, const char *value)
{
    o->cert = value;
    return 0;
}

static int set_key(struct ftx_relay_options *o, const char *value)
{
    o->key = value;
    return 0;
}

static int set_token(struct ftx_relay_options *o, const char *value)
{
    static char text[TOKEN_FILE_MAX];
    FILE *file = fopen(value, "re");
    size_t size;
    int err;

    if (!file)
        return bad("--token: %s: %s", value, ftx_err_text(-errno));
    size = fread(text, 1, sizeof(text), file);
    err = ferror(file) ? -EIO : ftx_tokens_parse(text, size, &o->tokens);
    (void)fclose(file);
    explicit_bzero(text, size);
    if (err < 0)
        return bad("--token: %s: wanted is one token a line, of up to %d visible characters", value,
                   FTX_TOKEN_MAX);
    return 0;
}

static int add_cidrs(const char *name, const char *value, struct ftx_cidrs *out)
{
    char *copy = strdup(value);
    int err = copy ? 0 : -ENOMEM;

    for (char *rest = copy, *one; err == 0 && (one = strsep(&rest, ","));) {
        if (out->n_cidrs == FTX_CIDR_MAX)
            err = bad("--%s: at most %d ranges", name, FTX_CIDR_MAX);
        else if (ftx_cidr_parse(one, &out->cidrs[out->n_cidrs]) < 0)
            err = bad("--%s: '%s' is no range of addresses, as 192.0.2.0/24", name, one);
        else
            out->n_cidrs++;
    }
    free(copy);
    return err;
}

static int set_allow(struct ftx_relay_options *o, const char *value)
{
    return add_cidrs("allow", value, &o->allow);
}

static int set_proxies(struct ftx_relay_options *o, const char *value)
{
    return add_cidrs("proxies", value, &o->proxies);
}

static int set_count(const char *name, const char *value, uint64_t most, size_t *out)
{
    uint64_t number;

    if (!parse_number(value, 1, most, &number))
        return bad("--%s: '%s' is not a number from 1 to %llu", name, value,
                   (unsigned long long)most);
    *out = number;
    return 0;
}

static int set_waiting(struct ftx_relay_options *o, const char *value)
{
    return set_count("waiting", value, 1000 * 1000, &o->limits.n_waiting);
}

static int set_handshakes(struct ftx_relay_options *o, const char *value)
{
    int err = set_count("handshakes", value, 1000 * 1000, &o->limits.n_handshakes);

    o->limits.n_handshakes_of_source = (o->limits.n_handshakes + 3) / 4;
    return err;
}

static int set_pairs(struct ftx_relay_options *o, const char *value)
{
    return set_count("pairs", value, 1000 * 1000, &o->limits.n_pairs);
}

static int set_joins(struct ftx_relay_options *o, const char *value)
{
    size_t joins = 0;
    int err = set_count("joins", value, 60 * 1000, &joins);

    o->limits.joins_per_minute = (unsigned)joins;
    return err;
}

static int set_seconds(const char *name, const char *value, uint64_t most, uint32_t *out_ms)
{
    size_t seconds = 0;
    int err = set_count(name, value, most, &seconds);

    *out_ms = (uint32_t)seconds * 1000;
    return err;
}

static int set_wait(struct ftx_relay_options *o, const char *value)
{
    return set_seconds("wait", value, DAY_S, &o->limits.wait_ms);
}

static int set_handshake_time(struct ftx_relay_options *o, const char *value)
{
    return set_seconds("handshake_time", value, DAY_S, &o->limits.handshake_ms);
}

static int set_ping(struct ftx_relay_options *o, const char *value)
{
    return set_seconds("ping", value, PING_MAX_S, &o->ping_ms);
}

static int set_drain(struct ftx_relay_options *o, const char *value)
{
    return set_seconds("drain", value, DAY_S, &o->drain_ms);
}

static int set_room_bytes(struct ftx_relay_options *o, const char *value)
{
    uint64_t number;

    if (!parse_number(value, 1, INT64_MAX, &number))
        return bad("--room_bytes: '%s' is not a number of bytes", value);
    o->limits.room_bytes = number;
    return 0;
}

static const struct {
    const char *name, *value, *help;
    int (*set)(struct ftx_relay_options *options, const char *value);
} table[] = {
    {"listen", "HOST:PORT", "where clients may connect (0.0.0.0:15821)", set_listen},
    {"cert", "FILE", "PEM: the certificate, then its chain; with --key, wss:// too", set_cert},
    {"key", "FILE", "PEM: the key of the certificate", set_key},
    {"token", "FILE", "only clients that have one of these tokens, one a line", set_token},
    {"allow", "CIDR,...", "only clients (or balancers) of these networks", set_allow},
    {"proxies", "CIDR,...", "balancers whose X-Forwarded-For tells the client", set_proxies},
    {"waiting", "N", "rooms that may wait for their second (128)", set_waiting},
    {"handshakes", "N", "connections that have not asked for a room yet (64)", set_handshakes},
    {"pairs", "N", "rooms with two in them (8192)", set_pairs},
    {"joins", "N", "a minute, of a source and of a room (30)", set_joins},
    {"handshake_time", "SECONDS", "until a connection has asked for its room (10)",
     set_handshake_time},
    {"wait", "SECONDS", "that a room waits for its second (300)", set_wait},
    {"ping", "SECONDS", "between signs of life of who waits, 1 to 30 (30)", set_ping},
    {"room_bytes", "N", "that one pair may move (any number)", set_room_bytes},
    {"drain", "SECONDS", "that pairs have to end after SIGTERM (30)", set_drain},
};

enum { N_OPTIONS = sizeof table / sizeof *table };

void ftx_relay_options_help(void)
{
    printf("usage: ftx-relay [options]\n\n"
           "Pairs ftxfs mounts that cannot reach each other, and pipes what they have encrypted.\n"
           "It keeps nothing on disk. GET /health and /metrics tell how it is.\n\n");
    for (size_t i = 0; i < N_OPTIONS; i++) {
        char left[40];

        (void)snprintf(left, sizeof left, "--%s %s", table[i].name, table[i].value);
        printf("  %-26s %s\n", left, table[i].help);
    }
    printf("  %-26s\n\nSIGTERM drains it; a second one ends it at once.\n", "--help, --version");
}

enum { HELP = 256, VERSION, FIRST };

int ftx_relay_options_parse(int argc, char **argv, struct ftx_relay_options *out)
{
    struct option options[N_OPTIONS + 3] = {
        {"help", no_argument, NULL, HELP},
        {"version", no_argument, NULL, VERSION},
    };
    int err = 0, found;

    for (int i = 0; i < N_OPTIONS; i++)
        options[2 + i] = (struct option){table[i].name, required_argument, NULL, FIRST + i};
    *out = (struct ftx_relay_options){.listen = {.host = "0.0.0.0", .port = FTX_RELAY_PORT},
                                      .limits = ftx_rooms_default_limits,
                                      .ping_ms = 30 * 1000,
                                      .drain_ms = 30 * 1000};
    opterr = 0;
    while (err == 0 && (found = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        if (found == HELP || found == VERSION)
            *(found == HELP ? &out->help : &out->version) = true;
        else if (found == ':')
            err = bad("%s needs a value", argv[optind - 1]);
        else if (found == '?')
            err = bad("%s: no such option", argv[optind - 1]);
        else
            err = table[found - FIRST].set(out, optarg);
    }
    if (err == 0 && optind < argc)
        err = bad("'%s': only options", argv[optind]);
    if (err == 0 && !out->cert != !out->key)
        err = bad("--cert and --key only go together");
    if (err < 0)
        ftx_relay_options_close(out);
    return err;
}

void ftx_relay_options_close(struct ftx_relay_options *options)
{
    ftx_tokens_close(&options->tokens);
}
