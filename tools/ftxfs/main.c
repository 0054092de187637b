/* SPDX-License-Identifier: MIT */
/* ftxfs: opens the store, listens, mounts, serves; everything ends in the reverse order. */
#include "fs/fuse/mount.h"
#include "fs/store/history.h"
#include "fs/store/inbox_room.h"
#include "fs/xfer/network.h"
#include "tools/common/paths.h"
#include "tools/ftxfs/background.h"
#include "tools/ftxfs/ending.h"
#include "tools/ftxfs/hooks.h"
#include "tools/ftxfs/options.h"
#include "transport/base/err.h"
#include "transport/base/log.h"
#include "transport/base/streams.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MESSAGE_MAX = FTX_OPTION_MESSAGE,
    FILES_MAX = 1 << 20, /* open at once; some programs try each number below the limit */
};

/* All that runs. */
struct daemon {
    struct ftx_store *store;
    struct ftx_network *network;
    _Atomic(struct ftx_hooks *) hooks; /* NULL: none */
    _Atomic(struct ftx_mount *) mount; /* the store's thread runs before there is one */
};

static int fail(const char *message)
{
    ftx_log_tell("ftxfs", "%s", message);
    return 1;
}

static int fail_at(const char *path, const char *message)
{
    ftx_log_tell("ftxfs", "%s: %s", path, message);
    return 1;
}

/* -- the store's place -- */

/* True if `path` is `folder` or below it; both absolute. */
static bool inside(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* -- events of the store -- */

static void on_wake(void *ctx)
{
    ftx_network_wake(((struct daemon *)ctx)->network);
}

static void on_arrived(void *ctx)
{
    struct daemon *d = ctx;
    if (d->mount)
        ftx_mount_arrived(d->mount);
}

static void on_news(void *ctx)
{
    struct daemon *d = ctx;
    if (d->mount)
        ftx_mount_news(d->mount);
}

static void on_happened(void *ctx)
{
    struct daemon *d = ctx;
    if (d->mount)
        ftx_mount_happened(d->mount);
    if (d->hooks)
        ftx_hooks_happened(d->hooks);
}

static const struct ftx_store_events events = {.wake = on_wake,
                                               .committed = on_wake,
                                               .arrived = on_arrived,
                                               .news = on_news,
                                               .happened = on_happened};

static int open_network(struct daemon *d, const struct ftx_options *o, char *message)
{
    struct ftx_network_config config = ftx_network_options_config(&o->network);
    config.xfer.links = o->links;
    config.xfer.compress = o->compress;
    int err = ftx_network_open(d->store, &config, &d->network);
    if (err)
        ftx_network_options_explain(&o->network, err, message);
    return err;
}

/* Everything is open: serve until unmounted. */
static int serve(struct daemon *d, const char *path, char *message)
{
    int err = -ftx_ending_start(d->mount, path);
    if (!err)
        err = -ftx_network_start(d->network);
    if (err) {
        snprintf(message, MESSAGE_MAX, "no thread could be started: %s", strerror(err));
        return -err;
    }
    err = ftx_background_ready();
    if (!err)
        ftx_mount_run(d->mount);
    ftx_ending_begun();
    if (err)
        snprintf(message, MESSAGE_MAX, "nobody waits for it to start: %s", ftx_err_text(err));
    return err;
}

static int open_mount(struct daemon *d, const struct ftx_options *o, const char *path,
                      char *message)
{
    const struct ftx_network_options *network = &o->network;
    struct ftx_mount_options options = {.path = path,
                                        .source = o->source,
                                        .fuse_options = o->fuse_options,
                                        .read_timeout_ms = o->read_timeout_s * 1000,
                                        .close_delivered = o->close_delivered,
                                        .any_target = o->links == FTX_LINKS_ALL,
                                        .debug = o->debug,
                                        .surroundings = {.port = ftx_network_port(d->network),
                                                         .relays = network->relays,
                                                         .n_relays = network->n_relays,
                                                         .relay_token = network->relay_token_file,
                                                         .relay_ca = network->relay_ca}};
    struct ftx_mount *mount = NULL;
    int err = ftx_mount_open(d->store, &options, message, MESSAGE_MAX, &mount);
    d->mount = mount;
    return err;
}

static int open_hooks(struct daemon *d, const struct ftx_options *o, const char *path,
                      char *message)
{
    struct ftx_hooks *hooks;
    int err = ftx_start_hooks(d->store, o->hooks, path, message, MESSAGE_MAX, &hooks);
    d->hooks = hooks;
    if (hooks)
        ftx_hooks_happened(hooks); /* of what came before it could be told */
    return err;
}

/* After the mount: what still waits for an answer of it cannot be ended before. */
static void close_hooks(struct daemon *d)
{
    pthread_mutex_lock(&d->store->lock); /* nobody tells them now */
    struct ftx_hooks *hooks = d->hooks;
    d->hooks = NULL;
    pthread_mutex_unlock(&d->store->lock);
    ftx_hooks_stop(hooks);
}

static int run(const struct ftx_options *o, const char *path, const char *store)
{
    char message[MESSAGE_MAX] = "";
    struct daemon d = {0};
    ftx_ending_prepare();
    if (ftx_mount_check(path, message, sizeof message))
        return fail(message);
    if (ftx_store_open(store, message, sizeof message, &d.store))
        return fail(message);
    ftx_spool_configure(d.store, &o->spool);
    ftx_inbox_limit(d.store, o->inbox_max);
    ftx_history_configure(d.store, o->history_max);
    int err = open_network(&d, o, message);
    if (!err) {
        ftx_store_set_events(d.store, &events, &d);
        err = open_mount(&d, o, path, message);
    }
    if (!err)
        err = open_hooks(&d, o, path, message);
    if (!err)
        err = serve(&d, path, message);
    ftx_store_leave(d.store);
    if (d.network)
        ftx_network_close(d.network);
    if (d.mount)
        ftx_mount_close(d.mount);
    close_hooks(&d);
    ftx_store_close(d.store);
    if (d.mount)
        ftx_mount_free(d.mount);
    ftx_network_free(d.network);
    return err ? fail(message) : 0;
}

/* Each file that a program has open may take a descriptor here. */
static void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= FILES_MAX)
        return;
    files.rlim_cur = files.rlim_max < FILES_MAX ? files.rlim_max : FILES_MAX;
    setrlimit(RLIMIT_NOFILE, &files);
}

static int start(const struct ftx_options *o)
{
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* no keys in core files, ... */
    prctl(PR_SET_DUMPABLE, 0); /* nor in those that go through a pipe: these have no limit */
    char *path = ftx_paths_absolute(o->mount_point);
    char *wanted =
        o->store ? strdup(o->store) : ftx_paths_user("XDG_DATA_HOME", ".local/share", "ftxfs");
    char *store = wanted ? ftx_paths_absolute(wanted) : NULL;
    int status;
    if (!wanted)
        status = fail("no folder for the store: name one with --store DIR");
    else if (!store)
        status = fail_at(wanted, "the folder above the store is not there; name another --store");
    else if (path && inside(store, path))
        status = fail_at(store, "the store lies inside the mount point; name another --store");
    else if (path && inside(path, store))
        status = fail_at(path, "the mount point lies inside the store; mount somewhere else");
    else
        status = run(o, path ? path : o->mount_point, store);
    free(path);
    free(wanted);
    free(store);
    return status;
}

int main(int argc, char **argv)
{
    struct ftx_options options;
    int status = 2;
    ftx_streams_reserve();
    if (ftx_options_parse(argc, argv, &options) == 0) {
        if (options.help) {
            ftx_options_help();
            status = 0;
        } else if (options.version) {
            printf("ftxfs %s\n", FTX_VERSION_TEXT);
            status = 0;
        } else {
            ftx_log_open("ftxfs", !options.foreground,
                         options.debug ? FTX_LOG_DEBUG : FTX_LOG_INFO);
            int err = options.foreground ? 0 : ftx_background_fork();
            status = err ? fail(ftx_err_text(err)) : start(&options);
        }
    }
    ftx_options_free(&options);
    return status;
}
