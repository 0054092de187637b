/* SPDX-License-Identifier: MIT */
/* Options: one table; each stands as --name VALUE, --name=VALUE, or in -o name=value. What -o has
 * that is not ours goes to FUSE, which knows its own. */
#include "tools/ftxfs/options.h"

#include "fs/store/history.h"
#include "transport/base/log.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int bad(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int bad(const char *format, ...)
{
    char message[4608]; /* a path and a sentence */
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    ftx_log_tell("ftxfs", "%s (see ftxfs --help)", message);
    return -EINVAL;
}

static int set_store(struct ftx_options *o, const char *value)
{
    if (!*value)
        return bad("--store needs a folder");
    free(o->store);
    o->store = strdup(value);
    return o->store ? 0 : -ENOMEM;
}

/* A number from 1 to `most`, with *out_end at what stands behind it. False: it is none. */
static bool parse_count(const char *value, uint64_t most, uint64_t *out, const char **out_end)
{
    char *end;
    errno = 0;
    unsigned long long count = strtoull(value, &end, 10);
    *out = count;
    *out_end = end;
    return !errno && end != value && value[0] >= '0' && value[0] <= '9' && count >= 1 &&
           count <= most;
}

static int set_read_timeout(struct ftx_options *o, const char *value)
{
    const char *end;
    uint64_t seconds;
    if (!parse_count(value, 86400, &seconds, &end) || *end)
        return bad("--read_timeout: '%s' is not 1 to 86400 seconds", value);
    o->read_timeout_s = (unsigned)seconds;
    return 0;
}

static int set_release_after(struct ftx_options *o, const char *value)
{
    const char *end;
    uint64_t seconds;
    if (!parse_count(value, 365 * 86400, &seconds, &end) || *end)
        return bad("--release_after: '%s' is not 1 to 31536000 seconds", value);
    o->spool.release_after_ms = seconds * 1000;
    return 0;
}

/* A number with K, M, G or T behind it, of 1024 each. */
static int set_size(const char *option, const char *value, uint64_t *out)
{
    static const char units[] = "KMGT";
    const char *end;
    uint64_t size;
    bool good = parse_count(value, UINT64_C(1) << 20, &size, &end);
    const char *unit = good && *end ? strchr(units, *end) : NULL;
    if (unit)
        end++;
    else if (good && !*end)
        good = false; /* bytes: too little for anything */
    if (unit)
        size <<= 10 * (unit - units + 1);
    if (!good || *end || size < FTX_SPOOL_MIN)
        return bad("--%s: '%s' is not a size of at least 8M (as 512M, 20G)", option, value);
    *out = size;
    return 0;
}

static int set_spool_max(struct ftx_options *o, const char *value)
{
    return set_size("spool_max", value, &o->spool.max);
}

static int set_inbox_max(struct ftx_options *o, const char *value)
{
    return set_size("inbox_max", value, &o->inbox_max);
}

static int set_history_max(struct ftx_options *o, const char *value)
{
    const char *end;
    bool none = strcmp(value, "0") == 0;
    o->history_max = 0;
    if (!none && (!parse_count(value, 1000000000, &o->history_max, &end) || *end))
        return bad("--history_max: '%s' is not 0 to 1000000000 transfers", value);
    return 0;
}

static int set_keep(struct ftx_options *o, const char *value)
{
    o->spool.keep_all = strcmp(value, "all") == 0;
    if (!o->spool.keep_all && strcmp(value, "needed") != 0)
        return bad("--keep: '%s' is none of needed, all", value);
    return 0;
}

static int set_close(struct ftx_options *o, const char *value)
{
    o->close_delivered = strcmp(value, "delivered") == 0;
    if (!o->close_delivered && strcmp(value, "sealed") != 0)
        return bad("--close: '%s' is none of sealed, delivered", value);
    return 0;
}

/* The index of the value in the list (up to NULL), -1: it is not there. */
static int choose(const char *value, const char *const *names)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(value, names[i]) == 0)
            return i;
    return -1;
}

static int set_compress(struct ftx_options *o, const char *value)
{
    static const char *const names[] = {
        [FTX_COMPRESS_OFF] = "off", [FTX_COMPRESS_AUTO] = "auto", [FTX_COMPRESS_ON] = "on", NULL};
    int chosen = choose(value, names);
    if (chosen < 0)
        return bad("--compress: '%s' is none of auto, off, on", value);
    o->compress = (enum ftx_compress_mode)chosen;
    return 0;
}

static int set_links(struct ftx_options *o, const char *value)
{
    static const char *const names[] = {
        [FTX_LINKS_NONE] = "none", [FTX_LINKS_SAFE] = "safe", [FTX_LINKS_ALL] = "all", NULL};
    int chosen = choose(value, names);
    if (chosen < 0)
        return bad("--links: '%s' is none of none, safe, all", value);
    o->links = (enum ftx_links_policy)chosen;
    return 0;
}

/* Those of its own; without `value` it is a flag, which stands alone. */
static const struct own {
    const char *name, *value, *help;
    int (*set)(struct ftx_options *options, const char *value);
} own[] = {
    {"store", "DIR", "where state and contents are kept (default: $XDG_DATA_HOME/ftxfs)",
     set_store},
    {"read_timeout", "SECONDS",
     "what waits for the peer gives up after this long without progress (30)", set_read_timeout},
    {"spool_max", "SIZE", "what the outbox may take on the disk, as 20G (all but 5 % of it)",
     set_spool_max},
    {"inbox_max", "SIZE", "what the inbox of each link may take on the disk (no limit)",
     set_inbox_max},
    {"release_after", "SECONDS", "delivered files nobody uses give their room back then (600)",
     set_release_after},
    {"history_max", "N", "transfers that .ftx/history remembers (100000)", set_history_max},
    {"keep", "needed|all", "all: nothing that was delivered gives its room back (needed)",
     set_keep},
    {"close", "sealed|delivered", "delivered: close(2) waits until the peer has the file (sealed)",
     set_close},
    {"compress", "auto|off|on",
     "auto: what shrinks, while the network is the bottleneck; on: always (auto)", set_compress},
    {"links", "none|safe|all",
     "symlinks taken from a peer: none, those that stay inside, or all (safe)", set_links},
};

enum { N_OPTIONS = FTX_NETWORK_OPTIONS + sizeof own / sizeof *own };

/* One of N_OPTIONS, those of the network first. */
static struct own option_at(int i)
{
    if (i >= FTX_NETWORK_OPTIONS)
        return own[i - FTX_NETWORK_OPTIONS];
    const struct ftx_network_option *option = &ftx_network_option[i];
    return (struct own){option->name, option->value, option->help, NULL};
}

static int set_option(struct ftx_options *o, int i, const char *value)
{
    char message[FTX_OPTION_MESSAGE];
    if (i >= FTX_NETWORK_OPTIONS)
        return own[i - FTX_NETWORK_OPTIONS].set(o, value);
    int err = ftx_network_option[i].set(&o->network, value, message);
    return err == -EINVAL ? bad("%s", message) : err;
}

void ftx_options_help(void)
{
    printf("usage: ftxfs [options] [STORE|none] MOUNTPOINT\n\n"
           "Mounts a folder: what is copied into outbox/CODE streams, encrypted, to the peer that "
           "made\n"
           "inbox/CODE. State is kept; the next mount goes on where this one ended.\n\n");
    for (int i = 0; i < N_OPTIONS; i++) {
        char left[40];
        struct own option = option_at(i);
        snprintf(left, sizeof left, "--%s %s", option.name, option.value ? option.value : "");
        printf("  %-28s %s\n", left, option.help);
    }
    printf("  %-28s %s\n", "-f, --foreground", "stay in the foreground, log to stderr");
    printf("  %-28s %s\n", "-d", "the same, with every FUSE request");
    printf("  %-28s %s\n", "-o NAME=VALUE,...",
           "the options above, and FUSE's own (allow_other, ...)");
    printf("  %-28s %s\n", "--help, --version", "");
    printf("\nEnd with: fusermount3 -u MOUNTPOINT\n");
}

/* True if the option is in the list (up to NULL), where what ends with '=' stands for any value. */
static bool is_among(const char *option, const char *const *list)
{
    for (; *list; list++) {
        size_t n = strlen(*list);
        if ((*list)[n - 1] == '=' ? strncmp(option, *list, n) == 0 : strcmp(option, *list) == 0)
            return true;
    }
    return false;
}

/* What may stand in an fstab line and says nothing to us: it is mount(8)'s or systemd's, or about
 * times that are not kept, or, as suid and dev, which mount.fuse3 adds on its own, about files that
 * do not exist here. */
static bool is_for_others(const char *option)
{
    static const char *const others[] = {
        "defaults", "auto",     "noauto",     "user",        "nouser",   "users",
        "owner",    "group",    "nofail",     "_netdev",     "comment=", "suid",
        "dev",      "relatime", "norelatime", "strictatime", "lazytime", "nostrictatime",
        "silent",   "loud",     "diratime",   "nolazytime",  NULL,
    };
    return strncmp(option, "x-", 2) == 0 || is_among(option, others);
}

/* Adds one of FUSE's own options to those that are passed on. */
static int pass_on(struct ftx_options *o, const char *option)
{
    static const char *const known[] = {
        "allow_other", "allow_root", "auto_unmount", "default_permissions",
        "ro",          "rw",         "nosuid",       "nodev",
        "noexec",      "exec",       "atime",        "noatime",
        "nodiratime",  "sync",       "async",        "dirsync",
        "fsname=",     "context=",   NULL,
    };
    if (!is_among(option, known))
        return bad("-o: '%s' is no option of ftxfs or FUSE", option);
    char *joined = NULL;
    if (asprintf(&joined, "%s%s%s", o->fuse_options ? o->fuse_options : "",
                 o->fuse_options ? "," : "", option) < 0)
        return -ENOMEM;
    free(o->fuse_options);
    o->fuse_options = joined;
    return 0;
}

/* In a list of -o the words of a name are joined as FUSE joins them. */
static bool is_named(const char *option, size_t size, const char *name)
{
    for (size_t i = 0; i < size; i++)
        if (option[i] != name[i] && !(option[i] == '_' && name[i] == '-'))
            return false;
    return name[size] == '\0';
}

/* One element of -o. */
static int set_one(struct ftx_options *o, char *option)
{
    char *equals = strchr(option, '=');
    size_t n = equals ? (size_t)(equals - option) : strlen(option);
    for (int i = 0; i < N_OPTIONS; i++) {
        struct own known = option_at(i);
        if (!is_named(option, n, known.name))
            continue;
        if (known.value && !equals)
            return bad("-o: %s needs a value", known.name);
        if (!known.value && equals)
            return bad("-o: %s takes no value", known.name);
        return set_option(o, i, equals ? equals + 1 : NULL);
    }
    if (strcmp(option, "foreground") == 0) {
        o->foreground = true;
        return 0;
    }
    return is_for_others(option) ? 0 : pass_on(o, option);
}

static int set_list(struct ftx_options *o, const char *list)
{
    char *copy = strdup(list);
    int err = copy ? 0 : -ENOMEM;
    for (char *rest = copy, *option; !err && (option = strsep(&rest, ","));)
        if (*option)
            err = set_one(o, option);
    free(copy);
    return err;
}

/* What getopt_long finds: a letter, or one of these, or FIRST + index in the table. */
enum { HELP = 256, VERSION, FIRST };

static const char letters[] = ":fdo:";

static int take_option(struct ftx_options *o, int found, char **argv)
{
    switch (found) {
    case 'f':
        o->foreground = true;
        return 0;
    case 'd':
        o->foreground = o->debug = true;
        return 0;
    case 'o':
        return set_list(o, optarg);
    case HELP:
        o->help = true;
        return 0;
    case VERSION:
        o->version = true;
        return 0;
    case ':':
        return bad("%s needs a value", argv[optind - 1]);
    case '?':
        if (optopt > 0 && optopt < HELP && !strchr(letters, optopt))
            return bad("-%c: no such option", optopt); /* among others in one word */
        return bad("%s: no such option", argv[optind - 1]);
    default:
        return set_option(o, found - FIRST, optarg);
    }
}

/* What mount(8) calls the device: the store, or a word where there is nothing to say. */
static int set_source(struct ftx_options *o, const char *source)
{
    if (source[0] == '/' && o->store)
        return bad("'%s' and --store both name a store", source);
    if (source[0] != '/' && strcmp(source, "none") != 0 && strcmp(source, "ftxfs") != 0)
        return bad("'%s': what is mounted is a store, as an absolute path, or none", source);
    o->source = source;
    return source[0] == '/' ? set_store(o, source) : 0;
}

int ftx_options_parse(int argc, char **argv, struct ftx_options *out)
{
    struct option options[N_OPTIONS + 4] = {
        {"help", no_argument, NULL, HELP},
        {"version", no_argument, NULL, VERSION},
        {"foreground", no_argument, NULL, 'f'},
    };
    for (int i = 0; i < N_OPTIONS; i++) {
        struct own option = option_at(i);
        options[3 + i] = (struct option){
            option.name, option.value ? required_argument : no_argument, NULL, FIRST + i};
    }
    *out = (struct ftx_options){.read_timeout_s = 30,
                                .history_max = FTX_HISTORY_MAX,
                                .spool.release_after_ms = FTX_RELEASE_AFTER_MS,
                                .links = FTX_LINKS_SAFE,
                                .compress = FTX_COMPRESS_AUTO};
    ftx_network_options_init(&out->network);
    opterr = 0;
    int err = 0, found;
    while (!err && (found = getopt_long(argc, argv, letters, options, NULL)) != -1)
        err = take_option(out, found, argv);
    if (err || out->help || out->version)
        return err;
    if (optind == argc || !argv[argc - 1][0])
        return bad("no mount point given");
    if (optind + 2 < argc)
        return bad("'%s': one mount point is enough", argv[optind + 2]);
    out->mount_point = argv[argc - 1];
    return optind + 1 < argc ? set_source(out, argv[optind]) : 0;
}

void ftx_options_free(struct ftx_options *options)
{
    free(options->store);
    free(options->fuse_options);
    ftx_network_options_free(&options->network);
}
