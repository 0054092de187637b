/* SPDX-License-Identifier: MIT */
/* ftxfs: opens the store, listens, mounts, serves; everything ends in the reverse order. */
#include "fs/fuse/mount.h"
#include "fs/store/history.h"
#include "fs/store/inbox_room.h"
#include "fs/xfer/xfer.h"
#include "tools/ftxfs/background.h"
#include "tools/ftxfs/ending.h"
#include "tools/ftxfs/options.h"
#include "transport/base/err.h"
#include "transport/base/log.h"

#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

enum {
    MESSAGE_MAX = 4608,
    FILES_MAX = 1 << 20, /* open at once; some programs try each number below the limit */
};

/* All that runs. */
struct daemon {
    struct ftx_store *store;
    struct ftx_access *access; /* NULL: everybody may connect */
    struct ftx_xfer *xfer;
    _Atomic(struct ftx_mount *) mount; /* the store's thread runs before there is one */
    uv_loop_t loop;
    uv_async_t stop;
    pthread_t thread;
    bool loop_open;
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

/* The user's; mount(8) at the start of the machine has no HOME. */
static const char *home_folder(void)
{
    const char *home = getenv("HOME");
    const struct passwd *user = home && home[0] ? NULL : getpwuid(geteuid());
    return user ? user->pw_dir : home;
}

/* $XDG_DATA_HOME/ftxfs or ~/.local/share/ftxfs; makes the folders above it. NULL: there is no home.
 */
static char *default_store(void)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = home_folder();
    char *path = NULL;
    int n = data && data[0] == '/' ? asprintf(&path, "%s/ftxfs", data)
            : home && home[0]      ? asprintf(&path, "%s/.local/share/ftxfs", home)
                                   : -1;
    if (n < 0)
        return NULL;
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700); /* what is missing shows when the store is opened */
        *slash = '/';
    }
    return path;
}

/* True if `path` is `folder` or below it; both absolute. */
static bool inside(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* Absolute path of something below an existing folder; it need not exist yet, and may be a dead
 * mount. */
static char *absolute(const char *path)
{
    char *real = realpath(path, NULL);
    char *copy = real ? NULL : strdup(path);
    if (!copy)
        return real;
    for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
        copy[n - 1] = '\0';
    char *slash = strrchr(copy, '/');
    char *folder = NULL, *joined = NULL;
    if (slash)
        *slash = '\0';
    folder = realpath(slash ? (*copy ? copy : "/") : ".", NULL);
    if (folder && asprintf(&joined, "%s/%s", folder, slash ? slash + 1 : copy) < 0)
        joined = NULL;
    free(folder);
    free(copy);
    return joined;
}

/* -- events of the store -- */

static void on_wake(void *ctx)
{
    ftx_xfer_wake(((struct daemon *)ctx)->xfer);
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
}

static const struct ftx_store_events events = {.wake = on_wake,
                                               .committed = on_wake,
                                               .arrived = on_arrived,
                                               .news = on_news,
                                               .happened = on_happened};

/* -- the loop's thread -- */

static void on_stop(uv_async_t *async)
{
    struct daemon *d = async->data;
    uv_close((uv_handle_t *)async, NULL);
    if (d->xfer)
        ftx_xfer_stop(d->xfer);
}

static void *run_loop(void *arg)
{
    struct daemon *d = arg;
    uv_run(&d->loop, UV_RUN_DEFAULT);
    return NULL;
}

/* What --listen names cannot be listened on. */
static void say_no_listener(const struct ftx_address *listen, int err, char *message)
{
    const char *host = listen->host[0] ? listen->host : "port";
    unsigned port = listen->port;
    if (err == -EADDRINUSE)
        snprintf(message, MESSAGE_MAX,
                 "%s:%u: the port is in use; end what listens there, or choose another --listen",
                 host, port);
    else if (strcmp(host, "tailscale") == 0)
        snprintf(message, MESSAGE_MAX,
                 "tailscale: this machine has no tailnet address to listen on: %s; look at "
                 "tailscale status",
                 err == -ENOENT ? "there is no program tailscale" : ftx_err_text(err));
    else if (err == -EADDRNOTAVAIL && if_nametoindex(host))
        snprintf(message, MESSAGE_MAX, "%s: the interface has no address to listen on", host);
    else if (err == UV_EAI_NONAME)
        snprintf(message, MESSAGE_MAX, "%s: cannot listen: no interface and no host has this name",
                 host);
    else
        snprintf(message, MESSAGE_MAX, "%s:%u: cannot listen: %s", host, port, ftx_err_text(err));
}

static int open_network(struct daemon *d, const struct ftx_options *o, char *message)
{
    struct ftx_xfer_config config = {.listen = o->listen_none ? NULL : &o->listen,
                                     .dial = o->dial,
                                     .n_dial = o->n_dial,
                                     .relays = o->relays,
                                     .n_relays = o->n_relays,
                                     .relay_token = o->relay_token,
                                     .relay_ca = o->relay_ca,
                                     .lan = !o->no_lan,
                                     .portmap = !o->no_portmap,
                                     .n_data = o->connections - 1,
                                     .links = o->links,
                                     .compress = o->compress};
    int err = uv_loop_init(&d->loop);
    if (!err) {
        d->loop_open = true;
        err = uv_async_init(&d->loop, &d->stop, on_stop);
        d->stop.data = d;
    }
    if (!err && (o->n_allow || o->allow_tailnet))
        err = ftx_access_new(&d->loop, o->allow, o->n_allow, o->allow_tailnet, &d->access);
    config.access = d->access;
    if (!err)
        err = ftx_xfer_start(&d->loop, d->store, &config, &d->xfer);
    if (err)
        say_no_listener(&o->listen, err, message);
    return err;
}

static void close_network(struct daemon *d)
{
    if (!d->loop_open)
        return;
    while (uv_run(&d->loop, UV_RUN_DEFAULT) || uv_loop_close(&d->loop) == UV_EBUSY)
        ;
    ftx_access_free(d->access);
}

/* Everything is open: serve until unmounted. */
static int serve(struct daemon *d, const char *path, char *message)
{
    int err = -ftx_ending_start(d->mount, path);
    if (!err)
        err = pthread_create(&d->thread, NULL, run_loop, d);
    if (err) {
        snprintf(message, MESSAGE_MAX, "no thread could be started: %s", strerror(err));
        return -err;
    }
    err = ftx_background_ready();
    if (!err)
        ftx_mount_run(d->mount);
    ftx_ending_begun();
    uv_async_send(&d->stop);
    pthread_join(d->thread, NULL);
    if (err)
        snprintf(message, MESSAGE_MAX, "nobody waits for it to start: %s", ftx_err_text(err));
    return err;
}

static int open_mount(struct daemon *d, const struct ftx_options *o, const char *path,
                      char *message)
{
    struct ftx_mount_options options = {.path = path,
                                        .source = o->source,
                                        .fuse_options = o->fuse_options,
                                        .read_timeout_ms = o->read_timeout_s * 1000,
                                        .close_delivered = o->close_delivered,
                                        .any_target = o->links == FTX_LINKS_ALL,
                                        .debug = o->debug};
    struct ftx_mount *mount = NULL;
    int err = ftx_mount_open(d->store, &options, message, MESSAGE_MAX, &mount);
    d->mount = mount;
    return err;
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
        err = serve(&d, path, message);
    else if (d.loop_open)
        on_stop(&d.stop);
    close_network(&d);
    if (d.mount)
        ftx_mount_close(d.mount);
    ftx_store_close(d.store);
    if (d.mount)
        ftx_mount_free(d.mount);
    if (d.xfer)
        ftx_xfer_free(d.xfer); /* the store's thread may wake it to the end */
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
    char *path = absolute(o->mount_point);
    char *wanted = o->store ? strdup(o->store) : default_store();
    char *store = wanted ? absolute(wanted) : NULL;
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
