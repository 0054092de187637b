/* SPDX-License-Identifier: MIT */
/* One table; each option has its reader. */
#include "tools/common/network_options.h"

#include "transport/base/err.h"
#include "transport/net/tls.h"
#include "transport/net/websocket.h"
#include "transport/wire/limits.h"

#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int bad(char *message, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int bad(char *message, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(message, FTX_OPTION_MESSAGE, format, args);
    va_end(args);
    return -EINVAL;
}

static int set_listen(struct ftx_network_options *o, const char *value, char *message)
{
    o->listen_given = true;
    o->listen_none = strcmp(value, "none") == 0;
    if (!o->listen_none && ftx_address_parse(value, &o->listen))
        return bad(message, "'%s' is neither HOST:PORT nor none", value);
    return 0;
}

static int allow_one(struct ftx_network_options *o, const char *value, char *message)
{
    if (strcmp(value, "tailscale") == 0) {
        o->allow_tailnet = true;
        return 0;
    }
    if (o->n_allow == FTX_ALLOW_MAX)
        return bad(message, "at most %d ranges", FTX_ALLOW_MAX);
    if (ftx_cidr_parse(value, &o->allow[o->n_allow]))
        return bad(message, "'%s' is neither a range as 192.0.2.0/24 nor tailscale", value);
    o->n_allow++;
    return 0;
}

static int add_allowed(struct ftx_network_options *o, const char *value, char *message)
{
    char *copy = strdup(value);
    int err = copy ? 0 : -ENOMEM;
    for (char *rest = copy, *one; !err && (one = strsep(&rest, ","));)
        err = allow_one(o, one, message);
    free(copy);
    return err;
}

static int add_peer(struct ftx_network_options *o, const char *value, char *message)
{
    if (o->n_dial == FTX_DIAL_MAX)
        return bad(message, "at most %d addresses", FTX_DIAL_MAX);
    struct ftx_address address;
    if (ftx_address_parse(value, &address) || !address.host[0] || !address.port)
        return bad(message, "'%s' is not HOST:PORT", value);
    o->dial[o->n_dial++] = address;
    return 0;
}

static int add_relay(struct ftx_network_options *o, const char *value, char *message)
{
    if (o->n_relays == FTX_RELAYS_MAX)
        return bad(message, "at most %d", FTX_RELAYS_MAX);
    if (strlen(value) > FTX_RELAY_URL_MAX || ftx_websocket_check_url(value))
        return bad(message, "'%s' is not ws://HOST[:PORT] or wss://HOST[:PORT]", value);
    o->relays[o->n_relays] = strdup(value);
    return o->relays[o->n_relays++] ? 0 : -ENOMEM;
}

char *ftx_network_options_token(const char *path)
{
    char line[FTX_RELAY_TOKEN_MAX + 2] = "";
    FILE *file = fopen(path, "re");
    bool read = file && setvbuf(file, NULL, _IONBF, 0) == 0 && /* no copy of it stays */
                fgets(line, sizeof line, file);
    if (file)
        fclose(file);
    size_t size = strcspn(line, "\r\n");
    char *token = read && size > 0 && size <= FTX_RELAY_TOKEN_MAX ? strndup(line, size) : NULL;
    explicit_bzero(line, sizeof line);
    return token;
}

static void drop_relay_token(struct ftx_network_options *o)
{
    if (o->relay_token)
        explicit_bzero(o->relay_token, strlen(o->relay_token));
    free(o->relay_token);
    free(o->relay_token_file);
    o->relay_token = o->relay_token_file = NULL;
}

static int set_relay_token(struct ftx_network_options *o, const char *value, char *message)
{
    char *token = ftx_network_options_token(value);
    if (!token)
        return bad(message, "'%s' holds no token of 1 to %d characters", value,
                   FTX_RELAY_TOKEN_MAX);
    drop_relay_token(o);
    o->relay_token = token;
    o->relay_token_file = realpath(value, NULL);
    return o->relay_token_file ? 0 : -ENOMEM;
}

static int set_relay_ca(struct ftx_network_options *o, const char *value, char *message)
{
    struct ftx_tls *tls;
    if (access(value, R_OK))
        return bad(message, "'%s': %s", value, strerror(errno));
    int err = ftx_tls_new("localhost", value, &tls); /* as each connection will */
    if (err)
        return err == -ENOENT ? bad(message, "'%s' holds no certificate", value) : err;
    ftx_tls_free(tls);
    free(o->relay_ca);
    o->relay_ca = realpath(value, NULL); /* in the background the folder is another one */
    return o->relay_ca ? 0 : -ENOMEM;
}

static int set_no_lan(struct ftx_network_options *o, const char *value, char *message)
{
    (void)value, (void)message;
    o->no_lan = true;
    return 0;
}

static int set_no_portmap(struct ftx_network_options *o, const char *value, char *message)
{
    (void)value, (void)message;
    o->no_portmap = true;
    return 0;
}

static int set_connections(struct ftx_network_options *o, const char *value, char *message)
{
    if (value[0] < '1' || value[0] > '0' + FTX_CONNECTIONS_MAX || value[1])
        return bad(message, "'%s' is not 1 to 9", value);
    o->connections = (unsigned)(value[0] - '0');
    return 0;
}

const struct ftx_network_option ftx_network_option[FTX_NETWORK_OPTIONS] = {
    {"listen", "HOST:PORT|none",
     "address, interface, localhost or tailscale to listen on (all, port 15820)", set_listen},
    {"allow", "CIDR,...|tailscale",
     "only these may connect; may be given more than once (everybody)", add_allowed},
    {"peer", "HOST:PORT", "where to connect to; may be given more than once", add_peer},
    {"relay", "URL", "ws:// or wss://: where to meet peers that cannot be reached; repeatable",
     add_relay},
    {"relay_token", "FILE", "what the relays ask for, in its first line", set_relay_token},
    {"relay_ca", "FILE", "PEM of whom wss:// trusts (default: the system's)", set_relay_ca},
    {"no-lan", NULL, "links are not announced on local networks, nor looked for", set_no_lan},
    {"no-portmap", NULL, "no router is asked for a port (NAT-PMP, UPnP)", set_no_portmap},
    {"connections", "N", "TCP connections of a link, added while that adds throughput, 1 to 9 (4)",
     set_connections},
};

void ftx_network_options_init(struct ftx_network_options *options)
{
    *options = (struct ftx_network_options){.listen = {.port = FTX_DEFAULT_PORT}, .connections = 4};
}

void ftx_network_options_free(struct ftx_network_options *options)
{
    for (size_t i = 0; i < options->n_relays; i++)
        free(options->relays[i]);
    drop_relay_token(options);
    free(options->relay_ca);
}

struct ftx_network_config ftx_network_options_config(const struct ftx_network_options *o)
{
    return (struct ftx_network_config){.allow = o->allow,
                                       .n_allow = o->n_allow,
                                       .allow_tailnet = o->allow_tailnet,
                                       .xfer = {.listen = o->listen_none ? NULL : &o->listen,
                                                .dial = o->dial,
                                                .n_dial = o->n_dial,
                                                .relays = o->relays,
                                                .n_relays = o->n_relays,
                                                .relay_token = o->relay_token,
                                                .relay_ca = o->relay_ca,
                                                .lan = !o->no_lan,
                                                .portmap = !o->no_portmap,
                                                .n_data = o->connections - 1,
                                                .links = FTX_LINKS_SAFE,
                                                .compress = FTX_COMPRESS_AUTO}};
}

void ftx_network_options_explain(const struct ftx_network_options *options, int err, char *message)
{
    const char *host = options->listen.host[0] ? options->listen.host : "*";
    unsigned port = options->listen.port;
    if (err == -EADDRINUSE)
        snprintf(message, FTX_OPTION_MESSAGE,
                 "%s:%u: the port is in use; end what listens there, or choose another --listen",
                 host, port);
    else if (strcmp(host, "tailscale") == 0)
        snprintf(message, FTX_OPTION_MESSAGE,
                 "tailscale: this machine has no tailnet address to listen on: %s; look at "
                 "tailscale status",
                 err == -ENOENT ? "there is no program tailscale" : ftx_err_text(err));
    else if (err == -EADDRNOTAVAIL && if_nametoindex(host))
        snprintf(message, FTX_OPTION_MESSAGE, "%s: the interface has no address to listen on",
                 host);
    else if (err == UV_EAI_NONAME)
        snprintf(message, FTX_OPTION_MESSAGE,
                 "%s: cannot listen: no interface and no host has this name", host);
    else
        snprintf(message, FTX_OPTION_MESSAGE, "%s:%u: cannot listen: %s", host, port,
                 ftx_err_text(err));
}
