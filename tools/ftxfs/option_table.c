/* SPDX-License-Identifier: MIT */
/* The options that have a value or a meaning of ours: one table, a function for each. */
#include "tools/ftxfs/option_table.h"

#include "fs/store/history.h"
#include "fs/store/timetable.h"
#include "transport/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ftx_option_bad(const struct ftx_options *o, const char *format, ...)
{
    char message[FTX_OPTION_MESSAGE];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    ftx_log_tell("ftxfs", "%s%s%s (see ftxfs --help)", o->where ? o->where : "",
                 o->where ? ": " : "", message);
    return -EINVAL;
}

static int set_store(struct ftx_options *o, const char *value)
{
    if (!*value)
        return ftx_option_bad(o, "needs a folder");
    free(o->store);
    o->store = strdup(value);
    return o->store ? 0 : -ENOMEM;
}

static int set_config(struct ftx_options *o, const char *value)
{
    if (o->from_file)
        return ftx_option_bad(o, "cannot stand in a file");
    if (!*value)
        return ftx_option_bad(o, "needs a file, or none");
    free(o->config);
    o->config = strdup(value);
    return o->config ? 0 : -ENOMEM;
}

/* A number from 1 to `most`. False: it is none. */
static bool parse_count(const char *value, uint64_t most, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long count = strtoull(value, &end, 10);
    *out = count;
    return !errno && !*end && value[0] >= '0' && value[0] <= '9' && count >= 1 && count <= most;
}

static int set_read_timeout(struct ftx_options *o, const char *value)
{
    uint64_t seconds;
    if (!parse_count(value, 86400, &seconds))
        return ftx_option_bad(o, "'%s' is not 1 to 86400 seconds", value);
    o->read_timeout_s = (unsigned)seconds;
    return 0;
}

static int set_release_after(struct ftx_options *o, const char *value)
{
    uint64_t seconds;
    if (!parse_count(value, 365 * 86400, &seconds))
        return ftx_option_bad(o, "'%s' is not 1 to 31536000 seconds", value);
    o->spool.release_after_ms = seconds * 1000;
    return 0;
}

static int set_size(const struct ftx_options *o, const char *value, uint64_t *out)
{
    uint64_t size;
    if (!ftx_size_parse(value, strlen(value), &size) || size < FTX_SPOOL_MIN)
        return ftx_option_bad(o, "'%s' is not a size of at least 8M (as 512M, 20G)", value);
    *out = size;
    return 0;
}

static int set_spool_max(struct ftx_options *o, const char *value)
{
    return set_size(o, value, &o->spool.max);
}

static int set_inbox_max(struct ftx_options *o, const char *value)
{
    return set_size(o, value, &o->inbox_max);
}

static int set_history_max(struct ftx_options *o, const char *value)
{
    bool none = strcmp(value, "0") == 0;
    o->history_max = 0;
    if (!none && !parse_count(value, 1000000000, &o->history_max))
        return ftx_option_bad(o, "'%s' is not 0 to 1000000000 transfers", value);
    return 0;
}

static int set_keep(struct ftx_options *o, const char *value)
{
    o->spool.keep_all = strcmp(value, "all") == 0;
    if (!o->spool.keep_all && strcmp(value, "needed") != 0)
        return ftx_option_bad(o, "'%s' is none of needed, all", value);
    return 0;
}

static int set_close(struct ftx_options *o, const char *value)
{
    o->close_delivered = strcmp(value, "delivered") == 0;
    if (!o->close_delivered && strcmp(value, "sealed") != 0)
        return ftx_option_bad(o, "'%s' is none of sealed, delivered", value);
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

static int set_hooks(struct ftx_options *o, const char *value)
{
    free(o->hooks);
    o->hooks = strcmp(value, "none") == 0 ? strdup(value) : realpath(value, NULL);
    return o->hooks ? 0 : ftx_option_bad(o, "'%s': %s", value, strerror(errno));
}

static int set_compress(struct ftx_options *o, const char *value)
{
    static const char *const names[] = {
        [FTX_COMPRESS_OFF] = "off", [FTX_COMPRESS_AUTO] = "auto", [FTX_COMPRESS_ON] = "on", NULL};
    int chosen = choose(value, names);
    if (chosen < 0)
        return ftx_option_bad(o, "'%s' is none of auto, off, on", value);
    o->compress = (enum ftx_compress_mode)chosen;
    return 0;
}

static int set_links(struct ftx_options *o, const char *value)
{
    static const char *const names[] = {
        [FTX_LINKS_NONE] = "none", [FTX_LINKS_SAFE] = "safe", [FTX_LINKS_ALL] = "all", NULL};
    int chosen = choose(value, names);
    if (chosen < 0)
        return ftx_option_bad(o, "'%s' is none of none, safe, all", value);
    o->links = (enum ftx_links_policy)chosen;
    return 0;
}

/* Those of ftxfs alone. */
static const struct own {
    const char *name, *value, *help;
    int (*set)(struct ftx_options *options, const char *value);
} own[] = {
    {"config", "FILE|none", "options, one a line (default: $XDG_CONFIG_HOME/ftxfs/config)",
     set_config},
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
    {"hooks", "DIR|none",
     "programs there are told what happens (default: $XDG_CONFIG_HOME/ftxfs/hooks)", set_hooks},
    {"compress", "auto|off|on",
     "auto: what shrinks, while the network is the bottleneck; on: always (auto)", set_compress},
    {"links", "none|safe|all",
     "symlinks taken from a peer: none, those that stay inside, or all (safe)", set_links},
};

struct ftx_option ftx_option_at(size_t index)
{
    if (index < FTX_NETWORK_OPTIONS) {
        const struct ftx_network_option *option = &ftx_network_option[index];
        return (struct ftx_option){option->name, option->value, option->help};
    }
    index -= FTX_NETWORK_OPTIONS;
    if (index >= sizeof own / sizeof *own)
        return (struct ftx_option){0};
    return (struct ftx_option){own[index].name, own[index].value, own[index].help};
}

static int set(struct ftx_options *o, size_t index, const char *value)
{
    char message[FTX_OPTION_MESSAGE];
    if (index >= FTX_NETWORK_OPTIONS)
        return own[index - FTX_NETWORK_OPTIONS].set(o, value);
    int err = ftx_network_option[index].set(&o->network, value, message);
    return err == -EINVAL ? ftx_option_bad(o, "%s", message) : err;
}

bool ftx_option_is_among(const char *option, const char *const *list)
{
    for (; *list; list++) {
        size_t n = strlen(*list);
        if ((*list)[n - 1] == '=' ? strncmp(option, *list, n) == 0 : strcmp(option, *list) == 0)
            return true;
    }
    return false;
}

/* Adds one of FUSE's own to those that are passed on. -ENOENT: it is none. */
static int pass_on(struct ftx_options *o, const char *option)
{
    static const char *const known[] = {
        "allow_other", "allow_root", "auto_unmount", "default_permissions",
        "ro",          "rw",         "nosuid",       "nodev",
        "noexec",      "exec",       "atime",        "noatime",
        "nodiratime",  "sync",       "async",        "dirsync",
        "fsname=",     "context=",   NULL,
    };
    if (!ftx_option_is_among(option, known))
        return -ENOENT;
    char *joined = NULL;
    if (asprintf(&joined, "%s%s%s", o->fuse_options ? o->fuse_options : "",
                 o->fuse_options ? "," : "", option) < 0)
        return -ENOMEM;
    free(o->fuse_options);
    o->fuse_options = joined;
    return 0;
}

/* The words of a name may be joined as FUSE joins them. */
static bool is_named(const char *option, size_t size, const char *name)
{
    if (size != strlen(name))
        return false;
    for (size_t i = 0; i < size; i++)
        if (option[i] != name[i] && !(option[i] == '_' && name[i] == '-'))
            return false;
    return true;
}

static int take_other(struct ftx_options *o, const char *name, size_t size, const char *value)
{
    if (!value && is_named(name, size, "foreground")) {
        o->foreground = true;
        return 0;
    }
    if (!value && is_named(name, size, "debug")) {
        o->foreground = o->debug = true;
        return 0;
    }
    char *option = NULL;
    if (asprintf(&option, "%.*s%s%s", (int)size, name, value ? "=" : "", value ? value : "") < 0)
        return -ENOMEM;
    int err = pass_on(o, option);
    free(option);
    return err;
}

/* Its value is a path, which in a file stands for the same place wherever ftxfs is started. */
static bool is_path(const struct ftx_option *option)
{
    return strcmp(option->value, "DIR") == 0 || strcmp(option->value, "FILE") == 0;
}

int ftx_option_take(struct ftx_options *o, size_t index, const char *value)
{
    struct ftx_option option = ftx_option_at(index);
    uint32_t bit = UINT32_C(1) << index;
    if (option.value && !value)
        return ftx_option_bad(o, "needs a value");
    if (!option.value && value)
        return ftx_option_bad(o, "takes no value");
    if (!o->from_file)
        o->given |= bit;
    else if (o->given & bit)
        return 0; /* the command line wins */
    else if (option.value && is_path(&option) && value[0] != '/')
        return ftx_option_bad(o, "'%s' does not begin with /", value);
    return set(o, index, value);
}

int ftx_option_take_named(struct ftx_options *o, const char *name, size_t size, const char *value)
{
    struct ftx_option option;
    for (size_t i = 0; (option = ftx_option_at(i)).name; i++)
        if (is_named(name, size, option.name))
            return ftx_option_take(o, i, value);
    return take_other(o, name, size, value);
}
