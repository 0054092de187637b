/* SPDX-License-Identifier: MIT */
/* ftx doctor: what ftxfs needs of this machine, thing by thing, and what to do where it is missing. */
#include "tools/common/paths.h"
#include "tools/ftx/look.h"
#include "tools/ftx/place.h"
#include "tools/ftx/print.h"
#include "tools/ftx/relay.h"
#include "tools/ftx/value.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum verdict { GOOD, DOUBTFUL, BAD };
enum { PORT = 15820, YEAR_MIN = 2024, KERNEL_MAJOR = 5, KERNEL_MINOR = 9 };
enum { WATCHES_MIN = 8192, INSTANCES_MIN = 128 }; /* what kernels have by themselves */
/* Below it receiving waits (docs/architecture.md, what a peer can cost). */
static const double free_min = 0.02;

struct doctor {
    const struct ftx_call *call;
    char *mount;   /* NULL: none */
    cJSON *status; /* of the mount, if there is one */
    int bad;
};

static void say(struct doctor *d, enum verdict verdict, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void say(struct doctor *d, enum verdict verdict, const char *what, const char *format, ...)
{
    static const char *const words[] = {"good", "doubtful", "bad"};
    static const enum ftx_colour colours[] = {FTX_GREEN, FTX_YELLOW, FTX_RED};
    char text[4608];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    d->bad += verdict == BAD;
    if (d->call->json) {
        cJSON *line = cJSON_CreateObject();
        cJSON_AddStringToObject(line, "what", what);
        cJSON_AddStringToObject(line, "verdict", words[verdict]);
        cJSON_AddStringToObject(line, "message", text);
        ftx_print_json(line);
        return;
    }
    ftx_print_cell(words[verdict], 9, colours[verdict]);
    ftx_print_cell(what, 12, FTX_PLAIN);
    ftx_print_name(text);
    putchar('\n');
}

static void check_kernel(struct doctor *d)
{
    struct utsname system;
    int major = 0, minor = 0;
    uname(&system);
    (void)sscanf(system.release, "%d.%d", &major, &minor);
    if (major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR))
        say(d, GOOD, "kernel", "%s", system.release);
    else
        say(d, BAD, "kernel", "%s; ftxfs needs %d.%d or later", system.release, KERNEL_MAJOR,
            KERNEL_MINOR);
}

static void check_fuse(struct doctor *d)
{
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        say(d, GOOD, "/dev/fuse", "can be opened");
    else if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
        say(d, BAD, "/dev/fuse", "is not there: modprobe fuse, or pass it into the container");
    else
        say(d, BAD, "/dev/fuse", "%s; as root: chmod 666 /dev/fuse", strerror(errno));
    if (fd >= 0)
        close(fd);
}

/* The program in PATH; to be freed. NULL: it is not there. */
static char *find_program(const char *name)
{
    const char *variable = getenv("PATH");
    char *folders = strdup(variable ? variable : "/usr/bin:/bin"), *rest = folders, *found = NULL;
    for (char *folder; !found && rest && (folder = strsep(&rest, ":"));) {
        found = ftx_place_join(folder, name, "");
        if (access(found, X_OK) < 0) {
            free(found);
            found = NULL;
        }
    }
    free(folders);
    return found;
}

static void check_fusermount(struct doctor *d)
{
    char *path = find_program("fusermount3");
    struct stat st;
    if (!path)
        say(d, BAD, "fusermount3", "is not in PATH: apt install fuse3");
    else if (getuid() != 0 && (stat(path, &st) < 0 || st.st_uid != 0 || !(st.st_mode & S_ISUID)))
        say(d, BAD, "fusermount3", "%s is not setuid root; as root: chmod u+s %s", path, path);
    else
        say(d, GOOD, "fusermount3", "%s", path);
    free(path);
}

static void check_mount(struct doctor *d)
{
    d->mount = ftx_place_quiet(d->call);
    if (!d->mount && !d->call->mount)
        say(d, DOUBTFUL, "mount",
            "none of yours, or more than one; ftxfs DIR mounts, --mount DIR "
            "says which");
    else if (!d->mount)
        say(d, BAD, "mount", "%s: no ftxfs runs there; ftxfs %s mounts it", d->call->mount,
            d->call->mount);
    else if (ftx_look_status(d->mount, &d->status))
        say(d, BAD, "mount", "%s does not answer", d->mount);
    else
        say(d, GOOD, "mount", "%s", d->mount);
}

static void check_version(struct doctor *d)
{
    const char *running = d->status ? ftx_value_text(d->status, "version") : FTX_VERSION_TEXT;
    if (strcmp(running, FTX_VERSION_TEXT) == 0)
        say(d, GOOD, "version", "%s", running);
    else
        say(d, DOUBTFUL, "version", "ftx is %s, the mount's ftxfs %s: mount it anew",
            FTX_VERSION_TEXT, running);
}

static void check_links(struct doctor *d)
{
    const cJSON *link;
    cJSON_ArrayForEach(link, cJSON_GetObjectItemCaseSensitive(d->status, "links"))
    {
        const char *state = ftx_value_text(link, "state"), *name = ftx_value_text(link, "name");
        if (strcmp(state, "locked") == 0)
            say(d, BAD, "link", "%s: ten wrong codes; ftx rearm %s", name, name);
        else if (strcmp(state, "lost") == 0)
            say(d, BAD, "link", "%s: one end lost its state; ftx unpair %s, and pair anew", name,
                name);
        else if (strncmp(state, "both-", 5) == 0)
            say(d, BAD, "link", "%s: %s; one end sends, the other receives", name, state);
        else if (strcmp(state, "connected") != 0)
            say(d, DOUBTFUL, "link",
                "%s: %s; is the other end mounted, and one of the two "
                "reachable from the other (--peer, port %d)?",
                name, state, PORT);
    }
}

/* May somebody listen at the usual port? Asked if there is no mount. */
static void check_free_port(struct doctor *d)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0)
        say(d, DOUBTFUL, "port", "no IPv6 here: not looked at");
    else if (bind(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        say(d, GOOD, "port", "%d is free", PORT);
    else
        say(d, BAD, "port", "%d: %s; another --listen helps", PORT, strerror(errno));
    if (fd >= 0)
        close(fd);
}

static void check_port(struct doctor *d)
{
    int port = (int)ftx_value_number(d->status, "port");
    if (!d->status)
        check_free_port(d);
    else if (port)
        say(d, GOOD, "port", "peers may connect to %d, if no firewall stands in between", port);
    else
        say(d, DOUBTFUL, "port",
            "nobody can connect (--listen none): links need --peer or --relay");
}

static void check_relays(struct doctor *d)
{
    const char *ca = ftx_value_text(d->status, "relay_ca");
    const char *token = ftx_value_text(d->status, "relay_token");
    const cJSON *relay;
    cJSON_ArrayForEach(relay, cJSON_GetObjectItemCaseSensitive(d->status, "relays"))
    {
        char message[FTX_RELAY_MESSAGE];
        enum ftx_relay_health health =
            ftx_relay_look(relay->valuestring, *token ? token : NULL, *ca ? ca : NULL, message);
        say(d,
            health == FTX_RELAY_GOOD   ? GOOD
            : health == FTX_RELAY_BUSY ? DOUBTFUL
                                       : BAD,
            "relay", "%s: %s", relay->valuestring, message);
    }
}

/* A number in a file of /proc; -1: it is not there. */
static long read_number(const char *path)
{
    long number = -1;
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%ld", &number) != 1)
        number = -1;
    if (file)
        fclose(file);
    return number;
}

/* File managers and inotifywait watch every folder that they show. */
static void check_inotify(struct doctor *d)
{
    long watches = read_number("/proc/sys/fs/inotify/max_user_watches");
    long instances = read_number("/proc/sys/fs/inotify/max_user_instances");
    if (watches < 0)
        say(d, DOUBTFUL, "inotify", "this kernel has none: nobody sees what arrives by watching");
    else if (watches < WATCHES_MIN || instances < INSTANCES_MIN)
        say(d, DOUBTFUL, "inotify",
            "only %ld folders can be watched by %ld programs; as root: sysctl "
            "fs.inotify.max_user_watches=%d fs.inotify.max_user_instances=%d",
            watches, instances, WATCHES_MIN, INSTANCES_MIN);
    else
        say(d, GOOD, "inotify", "%ld folders can be watched", watches);
}

/* The place that ftxfs takes without --store; what of it is there already. To be freed, or NULL. */
static char *default_store(void)
{
    char *path = ftx_paths_named("XDG_DATA_HOME", ".local/share", "ftxfs");
    for (char *slash; path && access(path, F_OK) < 0 && (slash = strrchr(path, '/'));) {
        if (slash == path) {
            slash[1] = '\0';
            break;
        }
        *slash = '\0';
    }
    return path;
}

/* The mount's, or the one that it would take. */
static void check_store(struct doctor *d)
{
    struct statvfs disk;
    const char *told = ftx_value_text(d->status, "store");
    char size[FTX_PRINT_MAX], *store = *told ? strdup(told) : default_store();
    if (!store)
        say(d, BAD, "store", "there is no HOME: name a folder with --store");
    else if (access(store, W_OK) < 0)
        say(d, BAD, "store", "%s: %s; %s", store, strerror(errno),
            *told ? "end ftxfs, and mount it with a --store that is there"
                  : "name another folder with --store");
    else if (statvfs(store, &disk) < 0)
        say(d, BAD, "store", "%s: %s", store, strerror(errno));
    else if ((double)disk.f_bavail < free_min * (double)disk.f_blocks)
        say(d, BAD, "store",
            "%s: only %s are free: sending and receiving wait until there is more; remove "
            "something, or move the store",
            store, ftx_print_size(size, (double)disk.f_bavail * (double)disk.f_frsize));
    else
        say(d, GOOD, "store", "%s: %s are free", store,
            ftx_print_size(size, (double)disk.f_bavail * (double)disk.f_frsize));
    free(store);
}

static void check_clock(struct doctor *d)
{
    struct timex clock = {0};
    struct tm tm;
    time_t now = time(NULL);
    gmtime_r(&now, &tm);
    if (tm.tm_year + 1900 < YEAR_MIN)
        say(d, BAD, "clock", "it is the year %d: set the clock", tm.tm_year + 1900);
    else if (adjtimex(&clock) == TIME_ERROR)
        say(d, DOUBTFUL, "clock",
            "nothing keeps it right (NTP); only the times of files and "
            "events depend on it");
    else
        say(d, GOOD, "clock", "kept right");
}

int ftx_cmd_doctor(struct ftx_call *call)
{
    struct doctor d = {.call = call};
    check_kernel(&d);
    check_fuse(&d);
    check_fusermount(&d);
    check_mount(&d);
    check_version(&d);
    check_port(&d);
    check_relays(&d);
    check_store(&d);
    check_clock(&d);
    check_inotify(&d);
    check_links(&d);
    cJSON_Delete(d.status);
    free(d.mount);
    return d.bad ? FTX_EXIT_FAILED : FTX_EXIT_GOOD;
}
