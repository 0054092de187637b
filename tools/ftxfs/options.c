/* SPDX-License-Identifier: MIT */
/* The command line: each option stands as --name VALUE, --name=VALUE, or in -o name=value. What -o
 * has that is not ours goes to FUSE, which knows its own. */
#include "tools/ftxfs/options.h"

#include "fs/store/history.h"
#include "tools/ftxfs/config.h"
#include "tools/ftxfs/option_table.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 32 };

void ftx_options_help(void)
{
    printf("usage: ftxfs [options] [STORE|none] MOUNTPOINT\n\n"
           "Mounts a folder: what is copied into outbox/CODE streams, encrypted, to the peer that "
           "made\n"
           "inbox/CODE. State is kept; the next mount goes on where this one ended.\n\n");
    struct ftx_option option;
    for (size_t i = 0; (option = ftx_option_at(i)).name; i++) {
        char left[40];
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
    return strncmp(option, "x-", 2) == 0 || ftx_option_is_among(option, others);
}

/* One element of -o. */
static int set_one(struct ftx_options *o, const char *option)
{
    const char *equals = strchr(option, '=');
    size_t n = equals ? (size_t)(equals - option) : strlen(option);
    char where[64];
    snprintf(where, sizeof where, "--%.*s", (int)n, option);
    o->where = where;
    int err = ftx_option_take_named(o, option, n, equals ? equals + 1 : NULL);
    o->where = "-o";
    if (err == -ENOENT)
        err = is_for_others(option)
                  ? 0
                  : ftx_option_bad(o, "'%s' is no option of ftxfs or FUSE", option);
    o->where = NULL;
    return err;
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

static int set_long(struct ftx_options *o, size_t index, const char *value)
{
    char where[64];
    snprintf(where, sizeof where, "--%s", ftx_option_at(index).name);
    o->where = where;
    int err = ftx_option_take(o, index, value);
    o->where = NULL;
    return err;
}

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
        return ftx_option_bad(o, "%s needs a value", argv[optind - 1]);
    case '?':
        if (optopt > 0 && optopt < HELP && !strchr(letters, optopt))
            return ftx_option_bad(o, "-%c: no such option", optopt); /* among others in one word */
        return ftx_option_bad(o, "%s: no such option", argv[optind - 1]);
    default:
        return set_long(o, (size_t)(found - FIRST), optarg);
    }
}

/* What mount(8) calls the device: the store, or a word where there is nothing to say. */
static int set_source(struct ftx_options *o, const char *source)
{
    if (source[0] == '/' && o->store)
        return ftx_option_bad(o, "'%s' and --store both name a store", source);
    if (source[0] != '/' && strcmp(source, "none") != 0 && strcmp(source, "ftxfs") != 0)
        return ftx_option_bad(o, "'%s': what is mounted is a store, as an absolute path, or none",
                              source);
    o->source = source;
    return source[0] == '/' ? ftx_option_take_named(o, "store", strlen("store"), source) : 0;
}

static void list_options(struct option *out)
{
    struct ftx_option option;
    size_t n = 0;
    out[n++] = (struct option){"help", no_argument, NULL, HELP};
    out[n++] = (struct option){"version", no_argument, NULL, VERSION};
    out[n++] = (struct option){"foreground", no_argument, NULL, 'f'};
    for (int i = 0; (option = ftx_option_at((size_t)i)).name; i++)
        out[n++] = (struct option){option.name, option.value ? required_argument : no_argument,
                                   NULL, FIRST + i};
    out[n] = (struct option){0};
}

void ftx_options_init(struct ftx_options *out)
{
    *out = (struct ftx_options){.read_timeout_s = 30,
                                .history_max = FTX_HISTORY_MAX,
                                .spool.release_after_ms = FTX_RELEASE_AFTER_MS,
                                .links = FTX_LINKS_SAFE,
                                .compress = FTX_COMPRESS_AUTO};
    ftx_network_options_init(&out->network);
}

int ftx_options_parse(int argc, char **argv, struct ftx_options *out)
{
    struct option options[OPTIONS_MAX + 4];
    ftx_options_init(out);
    list_options(options);
    opterr = 0;
    int err = 0, found;
    while (!err && (found = getopt_long(argc, argv, letters, options, NULL)) != -1)
        err = take_option(out, found, argv);
    if (err || out->help || out->version)
        return err;
    if (optind == argc || !argv[argc - 1][0])
        return ftx_option_bad(out, "no mount point given");
    if (optind + 2 < argc)
        return ftx_option_bad(out, "'%s': one mount point is enough", argv[optind + 2]);
    out->mount_point = argv[argc - 1];
    if (optind + 1 < argc)
        err = set_source(out, argv[optind]);
    return err ? err : ftx_config_load(out);
}

void ftx_options_free(struct ftx_options *options)
{
    free(options->store);
    free(options->config);
    free(options->fuse_options);
    free(options->hooks);
    ftx_network_options_free(&options->network);
}
