/* SPDX-License-Identifier: MIT */
/* The life of the FUSE session, and what may be a mount point. */
#include "fs/fuse/mount.h"

#include "fs/fuse/control.h"
#include "fs/fuse/digest.h"
#include "transport/base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    /* requests of page faults and readahead that the kernel lets wait here at a time: parked ones
     * count, and with its own 12 they would hold up every other read through the page cache */
    BACKGROUND_MAX = 4096,
};

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    conn->max_write = FTX_REQUEST_MAX;
    conn->max_readahead = FTX_REQUEST_MAX;
    conn->max_background = BACKGROUND_MAX;
    /* A new size or time never drops cached pages: bytes change under the kernel only in files that
     * arrive, and dropping waits, not to be interrupted, for pages whose bytes have not come: a
     * stat or open would hang with somebody else's page fault. ftx_op_open says what may be kept.
     */
    conn->want |= conn->capable & (FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS |
                                   FUSE_CAP_EXPLICIT_INVAL_DATA);
    conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
    /* it freezes sizes and times in the kernel, for the whole mount */
    conn->want &= ~(unsigned)FUSE_CAP_WRITEBACK_CACHE;
}

static const struct fuse_lowlevel_ops operations = {
    .init = on_init,
    .lookup = ftx_op_lookup,
    .forget = ftx_op_forget,
    .forget_multi = ftx_op_forget_multi,
    .getattr = ftx_op_getattr,
    .access = ftx_op_access,
    .setattr = ftx_op_setattr,
    .readlink = ftx_op_readlink,
    .mknod = ftx_op_mknod,
    .mkdir = ftx_op_mkdir,
    .unlink = ftx_op_unlink,
    .rmdir = ftx_op_rmdir,
    .symlink = ftx_op_symlink,
    .rename = ftx_op_rename,
    .link = ftx_op_link,
    .opendir = ftx_op_opendir,
    .readdir = ftx_op_readdir,
    .create = ftx_op_create,
    .open = ftx_op_open,
    .read = ftx_op_read,
    .write = ftx_op_write,
    .poll = ftx_op_poll,
    .flush = ftx_op_flush,
    .release = ftx_op_release,
    .fsync = ftx_op_fsync,
    .fsyncdir = ftx_op_fsyncdir,
    .fallocate = ftx_op_fallocate,
    .lseek = ftx_op_lseek,
    .statfs = ftx_op_statfs,
    .getxattr = ftx_op_getxattr,
    .setxattr = ftx_op_setxattr,
    .listxattr = ftx_op_listxattr,
    .removexattr = ftx_op_removexattr,
};

/* -- the mount point -- */

/* True if `path` is mounted by ftxfs, as the kernel's table says (it can be asked even when the
 * mount is dead). */
static bool is_ours(const char *path)
{
    FILE *table = setmntent("/proc/self/mounts", "r");
    bool ours = false;
    if (!table)
        return false;
    for (struct mntent *entry; (entry = getmntent(table));)
        if (strcmp(entry->mnt_dir, path) == 0)
            ours = strcmp(entry->mnt_type, "fuse.ftxfs") == 0; /* the last one lies on top */
    endmntent(table);
    return ours;
}

/* The device number of what is mounted at `path`; asks no daemon. 0: unknown. */
static dev_t device_at(const char *path)
{
    struct statx st;
    if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &st) < 0)
        return 0;
    return makedev(st.stx_dev_major, st.stx_dev_minor);
}

int ftx_mount_detach(const char *path)
{
    if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        return 0;
    pid_t pid = fork();
    if (pid == 0) {
        execlp("fusermount3", "fusermount3", "-u", "-z", "-q", "--", path, (char *)NULL);
        _exit(127);
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

static int check_empty(const char *path, char *message, size_t room)
{
    DIR *dir = opendir(path);
    if (!dir) {
        int err = -errno;
        snprintf(message, room, "%s: %s; name an empty folder to mount on", path, strerror(-err));
        return err;
    }
    bool empty = true;
    for (struct dirent *entry; empty && (entry = readdir(dir));)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(dir);
    if (empty)
        return 0;
    snprintf(message, room, "%s: the folder is not empty; mount on an empty one", path);
    return -ENOTEMPTY;
}

int ftx_mount_check(const char *path, char *message, size_t room)
{
    struct statx st; /* of a dead mount the kernel may still know the attributes */
    if (statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_TYPE, &st) < 0 && errno == ENOTCONN &&
        is_ours(path)) {
        if (ftx_mount_detach(path)) {
            snprintf(message, room,
                     "%s: a dead mount is in the way; remove it with fusermount3 -uz %s", path,
                     path);
            return -EBUSY;
        }
        ftx_log(FTX_LOG_WARNING, "%s: detached the mount of an ftxfs that was killed", path);
    }
    if (is_ours(path)) {
        snprintf(message, room, "%s: already mounted by ftxfs; unmount with fusermount3 -u %s",
                 path, path);
        return -EBUSY;
    }
    int err = check_empty(path, message, room);
    if (err)
        return err;
    if (geteuid() != 0 && access(path, W_OK) < 0) {
        snprintf(message, room, "%s: not writable by you; mount on a folder of your own", path);
        return -EACCES;
    }
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        err = -errno;
        snprintf(message, room, "/dev/fuse: %s; %s", strerror(-err),
                 err == -EACCES ? "ordinary users need mode 0666 there, as Debian's fuse3 sets it"
                                : "load the kernel module with modprobe fuse");
        return err;
    }
    close(fd);
    return 0;
}

/* -- the session -- */

__attribute__((format(printf, 2, 0))) static void on_fuse_log(enum fuse_log_level level,
                                                              const char *format, va_list args)
{
    char line[512];
    int n = vsnprintf(line, sizeof line, format, args);
    while (n > 0 && (size_t)n < sizeof line && line[n - 1] == '\n')
        line[--n] = '\0';
    ftx_log(level >= FUSE_LOG_DEBUG ? FTX_LOG_DEBUG : FTX_LOG_INFO, "%s", line);
}

/* "fsname=SOURCE" for libfuse's comma list, to be freed. mount -a and umount look for what stands
 * in fstab. */
static char *name_source(const char *source)
{
    char *text = malloc(sizeof "fsname=" + 2 * strlen(source));
    char *out = text ? stpcpy(text, "fsname=") : NULL;
    for (; out && *source; *out++ = *source++)
        if (*source == ',' || *source == '\\')
            *out++ = '\\';
    if (out)
        *out = '\0';
    return text;
}

/* allow_other, allow_root. */
static bool is_for_others(const struct ftx_mount_options *options)
{
    return options->fuse_options && strstr(options->fuse_options, "allow_");
}

/* Whether ordinary users may let others in: where fusermount3 looks, and as it reads it. */
static bool others_may_come(void)
{
    FILE *file = fopen("/etc/fuse.conf", "re");
    char line[256];
    bool may = false;
    while (file && !may && fgets(line, sizeof line, file)) {
        line[strcspn(line, "#\n")] = '\0';
        char *word = line + strspn(line, " \t");
        word[strcspn(word, " \t")] = '\0';
        may = strcmp(word, "user_allow_other") == 0;
    }
    if (file)
        fclose(file);
    return may;
}

/*
 * With default_permissions the kernel checks them, and asks for the attributes of a folder again
 * after each name that was made in it. Where nobody but root has access there is next to nothing to
 * check (docs/rationale.md).
 */
static const char *who_checks(const struct ftx_mount_options *options)
{
    return geteuid() != 0 || is_for_others(options) ? "-osubtype=ftxfs,default_permissions"
                                                    : "-osubtype=ftxfs";
}

static struct fuse_session *new_session(struct ftx_mount *mount,
                                        const struct ftx_mount_options *options)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    char *source = name_source(options->source ? options->source : "ftxfs");
    bool ok = source && fuse_opt_add_arg(&args, "ftxfs") == 0 &&
              fuse_opt_add_arg(&args, who_checks(options)) == 0 &&
              fuse_opt_add_arg(&args, "-o") == 0 && fuse_opt_add_arg(&args, source) == 0;
    free(source);
    if (ok && options->debug)
        ok = fuse_opt_add_arg(&args, "-d") == 0;
    if (ok && options->fuse_options && options->fuse_options[0])
        ok = fuse_opt_add_arg(&args, "-o") == 0 &&
             fuse_opt_add_arg(&args, options->fuse_options) == 0;
    struct fuse_session *session =
        ok ? fuse_session_new(&args, &operations, sizeof operations, mount) : NULL;
    fuse_opt_free_args(&args);
    return session;
}

int ftx_mount_open(struct ftx_store *store, const struct ftx_mount_options *options, char *message,
                   size_t room, struct ftx_mount **out_mount)
{
    struct ftx_mount *mount = calloc(1, sizeof *mount);
    int err = -ENOMEM;
    fuse_set_log_func(on_fuse_log);
    if (mount) {
        mount->store = store;
        mount->any_target = options->any_target;
        mount->close_delivered = options->close_delivered;
        mount->surroundings = options->surroundings;
        mount->uid = getuid();
        mount->gid = getgid();
        clock_gettime(CLOCK_REALTIME, &mount->started);
        ftx_controls_init(mount);
        pthread_mutex_init(&mount->repeat.lock, NULL);
        mount->path = strdup(options->path);
        mount->park = ftx_park_new(mount, options->read_timeout_ms);
        mount->digest = ftx_digest_new(mount);
        mount->session = new_session(mount, options);
        mount->notify = ftx_notify_start(mount);
        err = mount->path && mount->park && mount->digest && mount->session ? 0 : -EINVAL;
        if (!mount->notify)
            ftx_log(FTX_LOG_WARNING, "no thread for it: inotify will not see what arrives");
    }
    if (err) {
        snprintf(message, room, "%s: FUSE takes none of these options: %s", options->path,
                 options->fuse_options ? options->fuse_options : "");
    } else if (geteuid() != 0 && is_for_others(options) && !others_may_come()) {
        err = -EPERM; /* fusermount3 would say it, and we that it did */
        snprintf(message, room,
                 "%s: only root may let others in, or who is allowed to by a line "
                 "user_allow_other in /etc/fuse.conf",
                 options->path);
    } else if (fuse_session_mount(mount->session, options->path) != 0) {
        err = -EPERM;
        snprintf(message, room, "%s: cannot be mounted; see man fusermount3", options->path);
    } else {
        mount->mounted = true;
        mount->device = device_at(options->path);
        mount->serve = ftx_serve_new(mount->session);
        err = mount->serve ? 0 : -ENOMEM;
        if (err)
            snprintf(message, room, "%s: no memory to serve the mount", options->path);
    }
    if (err && mount) {
        ftx_mount_close(mount);
        ftx_mount_free(mount);
        return err;
    }
    *out_mount = mount;
    return err;
}

void ftx_mount_run(struct ftx_mount *mount)
{
    if (mount->notify)
        ftx_notify_begin(mount->notify);
    ftx_serve_run(mount->serve);
}

void ftx_mount_end(struct ftx_mount *mount)
{
    ftx_serve_end(mount->serve);
}

void ftx_mount_arrived(void *ctx)
{
    struct ftx_mount *mount = ctx;
    ftx_park_arrived(mount->park);
}

void ftx_mount_happened(void *ctx)
{
    struct ftx_mount *mount = ctx;
    if (!atomic_exchange(&mount->happened, true))
        ftx_park_happened(mount->park);
}

void ftx_mount_news(void *ctx)
{
    struct ftx_mount *mount = ctx;
    if (mount->notify)
        ftx_notify_wake(mount->notify);
}

/* After fusermount3 -u -z another ftxfs may have mounted at the same place: libfuse, which knows
 * only the path, would unmount that one. */
static bool is_covered(const struct ftx_mount *mount)
{
    return is_ours(mount->path) && device_at(mount->path) != mount->device;
}

/* Ends the connection and leaves in its place a pipe that nobody reads: libfuse takes a descriptor
 * in error for one that was unmounted, and frees what it has without touching the path. */
static void let_go(struct fuse_session *session)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return;
    close(ends[0]);
    (void)dup2(ends[1], fuse_session_fd(session));
    close(ends[1]);
}

void ftx_mount_close(struct ftx_mount *mount)
{
    ftx_notify_stop(mount->notify);
    ftx_park_stop(mount->park);
    ftx_digest_stop(mount->digest);
    if (mount->mounted && is_covered(mount))
        let_go(mount->session);
    if (mount->mounted)
        fuse_session_unmount(mount->session); /* ends a system call that the notifier is in */
    ftx_notify_free(mount->notify);
    if (mount->session)
        fuse_session_destroy(mount->session);
    mount->session = NULL;
    ftx_controls_close(mount);
}

void ftx_mount_free(struct ftx_mount *mount)
{
    ftx_serve_free(mount->serve);
    ftx_park_free(mount->park);
    ftx_digest_free(mount->digest);
    pthread_mutex_destroy(&mount->repeat.lock);
    free(mount->path);
    free(mount);
}
