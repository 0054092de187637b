/* SPDX-License-Identifier: MIT */
/* A FUSE file system that does nothing but pass on to a folder: what ftxfs would cost with no work of its own.
 *
 *     empty_fs FOLDER MOUNTPOINT      in the foreground; ends with fusermount3 -u
 *
 * Enough for cp, cat, diff and rm by one user; no rename, no hard links, no attributes. Whatever makes such a file system quick
 * is used: requests of 1 MiB, names and attributes that the kernel may keep, no FLUSH, no GETXATTR after the first. Only it may
 * change the folder. */
#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { REQUEST_MAX = 1 << 20, N_CHAINS = 1 << 16 };

static const double KEPT_S = 86400; /* how long the kernel may keep what it was told */

/* What the kernel knows; the node's address is its number there. */
struct node {
    struct node *parent; /* holds one reference to it */
    struct node *chained;
    uint64_t n_references; /* the kernel's lookups, and children */
    char name[];
};

static struct node root = {.n_references = 1, .name = "."};
static struct node *chains[N_CHAINS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of chains and n_references */
static int folder;

static struct node *node_of(fuse_ino_t number)
{
    return number == FUSE_ROOT_ID ? &root : (struct node *)number;
}

static struct node **chain_of(const struct node *parent, const char *name)
{
    uint64_t hash = (uint64_t)(uintptr_t)parent;
    while (*name)
        hash = (hash ^ (unsigned char)*name++) * 1099511628211U; /* FNV-1a */
    return &chains[(hash ^ hash >> 32) % N_CHAINS];
}

/* The node of a name, new or known, with one reference more; NULL without memory. */
static struct node *acquire(struct node *parent, const char *name)
{
    pthread_mutex_lock(&lock);
    struct node **chain = chain_of(parent, name), *node = *chain;
    while (node && (node->parent != parent || strcmp(node->name, name) != 0))
        node = node->chained;
    if (!node && (node = malloc(sizeof *node + strlen(name) + 1))) {
        *node = (struct node){.parent = parent, .chained = *chain};
        strcpy(node->name, name);
        *chain = node;
        parent->n_references++;
    }
    if (node)
        node->n_references++;
    pthread_mutex_unlock(&lock);
    return node;
}

static void release(struct node *node, uint64_t n)
{
    pthread_mutex_lock(&lock);
    while (node != &root && (node->n_references -= n) == 0) {
        struct node *parent = node->parent, **at = chain_of(parent, node->name);
        while (*at != node)
            at = &(*at)->chained;
        *at = node->chained;
        free(node);
        node = parent;
        n = 1;
    }
    pthread_mutex_unlock(&lock);
}

struct path {
    char bytes[4096]; /* relative to the folder */
    size_t size;
};

static bool append(struct path *path, const char *name)
{
    size_t n = strlen(name);
    if (path->size + 1 + n >= sizeof path->bytes)
        return false;
    if (path->size)
        path->bytes[path->size++] = '/';
    memcpy(path->bytes + path->size, name, n + 1);
    path->size += n;
    return true;
}

static bool append_node(struct path *path, const struct node *node)
{
    return (!node->parent || append_node(path, node->parent)) && append(path, node->name);
}

/* Where a name in a node lies (NULL: the node itself). Answers the request and returns false when that is too long. */
static bool find(fuse_req_t req, fuse_ino_t number, const char *name, struct path *out)
{
    out->size = 0;
    if (append_node(out, node_of(number)) && (!name || append(out, name)))
        return true;
    fuse_reply_err(req, ENAMETOOLONG);
    return false;
}

static void set_block_size(struct stat *st)
{
    st->st_blksize = REQUEST_MAX; /* what cp writes at a time */
}

/* The answer to lookup and to whatever makes a name; with `fi`, to create. */
static void reply_entry(fuse_req_t req, fuse_ino_t parent, const char *name,
                        const struct path *path, struct fuse_file_info *fi)
{
    struct fuse_entry_param entry = {.attr_timeout = KEPT_S, .entry_timeout = KEPT_S};
    if (fstatat(folder, path->bytes, &entry.attr, AT_SYMLINK_NOFOLLOW)) {
        fuse_reply_err(req, errno);
        return;
    }
    struct node *node = acquire(node_of(parent), name);
    if (!node) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    set_block_size(&entry.attr);
    entry.ino = (fuse_ino_t)node;
    int err = fi ? fuse_reply_create(req, &entry, fi) : fuse_reply_entry(req, &entry);
    if (err)
        release(node, 1); /* nobody heard of it */
}

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    conn->max_write = REQUEST_MAX;
    conn->max_readahead = REQUEST_MAX;
    conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct path path;
    if (find(req, parent, name, &path))
        reply_entry(req, parent, name, &path, NULL);
}

static void on_forget(fuse_req_t req, fuse_ino_t number, uint64_t n)
{
    release(node_of(number), n);
    fuse_reply_none(req);
}

static void on_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        release(node_of(forgets[i].ino), forgets[i].nlookup);
    fuse_reply_none(req);
}

static void on_getattr(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi)
{
    (void)fi;
    struct path path;
    struct stat st;
    if (!find(req, number, NULL, &path))
        return;
    if (fstatat(folder, path.bytes, &st, AT_SYMLINK_NOFOLLOW)) {
        fuse_reply_err(req, errno);
        return;
    }
    set_block_size(&st);
    fuse_reply_attr(req, &st, KEPT_S);
}

/* A time of setattr: as given, now, or unchanged. */
static struct timespec time_to_set(int to_set, int given, int now, struct timespec value)
{
    if (to_set & now)
        return (struct timespec){.tv_nsec = UTIME_NOW};
    return to_set & given ? value : (struct timespec){.tv_nsec = UTIME_OMIT};
}

static int set_attributes(const char *path, const struct stat *st, int to_set)
{
    if (to_set & FUSE_SET_ATTR_MODE && fchmodat(folder, path, st->st_mode, 0))
        return errno;
    if (to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID) &&
        fchownat(folder, path, to_set & FUSE_SET_ATTR_UID ? st->st_uid : (uid_t)-1,
                 to_set & FUSE_SET_ATTR_GID ? st->st_gid : (gid_t)-1, AT_SYMLINK_NOFOLLOW))
        return errno;
    if (to_set & FUSE_SET_ATTR_SIZE) {
        int fd = openat(folder, path, O_WRONLY | O_CLOEXEC);
        int err = fd < 0 || ftruncate(fd, st->st_size) ? errno : 0;
        if (fd >= 0)
            close(fd);
        if (err)
            return err;
    }
    struct timespec times[2] = {
        time_to_set(to_set, FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW, st->st_atim),
        time_to_set(to_set, FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW, st->st_mtim)};
    return utimensat(folder, path, times, AT_SYMLINK_NOFOLLOW) ? errno : 0;
}

static void on_setattr(fuse_req_t req, fuse_ino_t number, struct stat *st, int to_set,
                       struct fuse_file_info *fi)
{
    struct path path;
    if (!find(req, number, NULL, &path))
        return;
    int err = set_attributes(path.bytes, st, to_set);
    if (err)
        fuse_reply_err(req, err);
    else
        on_getattr(req, number, fi);
}

static void on_readlink(fuse_req_t req, fuse_ino_t number)
{
    struct path path;
    char target[4096];
    if (!find(req, number, NULL, &path))
        return;
    ssize_t n = readlinkat(folder, path.bytes, target, sizeof target - 1);
    if (n < 0) {
        fuse_reply_err(req, errno);
        return;
    }
    target[n] = '\0';
    fuse_reply_readlink(req, target);
}

static void on_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct path path;
    if (!find(req, parent, name, &path))
        return;
    if (mkdirat(folder, path.bytes, mode))
        fuse_reply_err(req, errno);
    else
        reply_entry(req, parent, name, &path, NULL);
}

static void on_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    struct path path;
    if (!find(req, parent, name, &path))
        return;
    if (symlinkat(target, folder, path.bytes))
        fuse_reply_err(req, errno);
    else
        reply_entry(req, parent, name, &path, NULL);
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name, int flags)
{
    struct path path;
    if (find(req, parent, name, &path))
        fuse_reply_err(req, unlinkat(folder, path.bytes, flags) ? errno : 0);
}

static void on_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_name(req, parent, name, 0);
}

static void on_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_name(req, parent, name, AT_REMOVEDIR);
}

static void on_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
    struct path path;
    if (!find(req, parent, name, &path))
        return;
    int fd = openat(folder, path.bytes, (fi->flags | O_CREAT | O_CLOEXEC) & ~O_NOFOLLOW, mode);
    if (fd < 0) {
        fuse_reply_err(req, errno);
        return;
    }
    fi->fh = (uint64_t)fd;
    fi->keep_cache = 1;
    reply_entry(req, parent, name, &path, fi);
}

static void on_open(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi)
{
    struct path path;
    if (!find(req, number, NULL, &path))
        return;
    int fd = openat(folder, path.bytes, (fi->flags | O_CLOEXEC) & ~O_NOFOLLOW);
    if (fd < 0) {
        fuse_reply_err(req, errno);
        return;
    }
    fi->fh = (uint64_t)fd;
    fi->keep_cache = 1;
    fuse_reply_open(req, fi);
}

static void on_read(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
    static _Thread_local char bytes[REQUEST_MAX]; /* quicker than to splice from the file */
    (void)number;
    ssize_t n = pread((int)fi->fh, bytes, size < sizeof bytes ? size : sizeof bytes, offset);
    if (n < 0)
        fuse_reply_err(req, errno);
    else
        fuse_reply_buf(req, bytes, (size_t)n);
}

static void on_write(fuse_req_t req, fuse_ino_t number, const char *bytes, size_t size,
                     off_t offset, struct fuse_file_info *fi)
{
    (void)number;
    ssize_t n = pwrite((int)fi->fh, bytes, size, offset);
    if (n < 0)
        fuse_reply_err(req, errno);
    else
        fuse_reply_write(req, (size_t)n);
}

static void on_release(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi)
{
    (void)number;
    close((int)fi->fh);
    fuse_reply_err(req, 0);
}

static void on_opendir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi)
{
    struct path path;
    if (!find(req, number, NULL, &path))
        return;
    int fd = openat(folder, path.bytes, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = fd < 0 ? NULL : fdopendir(fd);
    if (!listing) {
        fuse_reply_err(req, errno);
        if (fd >= 0)
            close(fd);
        return;
    }
    fi->fh = (uint64_t)(uintptr_t)listing;
    fuse_reply_open(req, fi);
}

static void on_readdir(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
    (void)number;
    DIR *listing = (DIR *)(uintptr_t)fi->fh;
    char *answer = malloc(size);
    if (!answer) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    seekdir(listing, offset);
    size_t used = 0;
    for (struct dirent *entry; (entry = readdir(listing));) {
        struct stat st = {.st_ino = entry->d_ino, .st_mode = (mode_t)entry->d_type << 12};
        size_t n = fuse_add_direntry(req, answer + used, size - used, entry->d_name, &st,
                                     telldir(listing));
        if (n > size - used)
            break;
        used += n;
    }
    fuse_reply_buf(req, answer, used);
    free(answer);
}

static void on_releasedir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi)
{
    (void)number;
    closedir((DIR *)(uintptr_t)fi->fh);
    fuse_reply_err(req, 0);
}

static void on_statfs(fuse_req_t req, fuse_ino_t number)
{
    (void)number;
    struct statvfs st;
    if (fstatvfs(folder, &st))
        fuse_reply_err(req, errno);
    else
        fuse_reply_statfs(req, &st);
}

static const struct fuse_lowlevel_ops operations = {
    .init = on_init,
    .lookup = on_lookup,
    .forget = on_forget,
    .forget_multi = on_forget_multi,
    .getattr = on_getattr,
    .setattr = on_setattr,
    .readlink = on_readlink,
    .mkdir = on_mkdir,
    .symlink = on_symlink,
    .unlink = on_unlink,
    .rmdir = on_rmdir,
    .create = on_create,
    .open = on_open,
    .read = on_read,
    .write = on_write,
    .release = on_release,
    .opendir = on_opendir,
    .readdir = on_readdir,
    .releasedir = on_releasedir,
    .statfs = on_statfs,
};

static int serve(struct fuse_session *session, const char *mount_point)
{
    if (fuse_set_signal_handlers(session) || fuse_session_mount(session, mount_point))
        return 1;
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    int err = fuse_session_loop_mt(session, config);
    fuse_loop_cfg_destroy(config);
    fuse_session_unmount(session);
    return err < 0;
}

int main(int argc, char **argv)
{
    if (argc != 3 || (folder = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0) {
        fprintf(stderr, "usage: empty_fs FOLDER MOUNTPOINT\n");
        return 2;
    }
    umask(0);
    char *words[] = {argv[0], "-ofsname=empty_fs", NULL};
    struct fuse_args args = FUSE_ARGS_INIT(2, words);
    struct fuse_session *session = fuse_session_new(&args, &operations, sizeof operations, NULL);
    if (!session)
        return 1;
    int status = serve(session, argv[2]);
    fuse_session_destroy(session);
    return status;
}
