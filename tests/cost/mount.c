/* SPDX-License-Identifier: MIT */
/* Requests as Linux writes them (linux/fuse.h), through libfuse's own decoder to the operations of
 * fs/fuse; replies come back through its custom I/O. */
#include "tests/cost/mount.h"

#include "fs/fuse/session.h"
#include "tests/cost/cost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

enum { LISTING = 32 << 10, PID = 1000 };

struct cost_mount {
    struct ftx_mount mount; /* first: what an operation gets is one of these */
    uint64_t unique;
    struct {
        struct fuse_in_header head;
        uint8_t body[sizeof(struct fuse_write_in) + COST_WRITE_MAX];
    } request;
    struct {
        struct fuse_out_header head;
        uint8_t body[LISTING];
    } reply;
};

/* -- the session -- */

static ssize_t take_reply(int fd, struct iovec *parts, int n, void *userdata)
{
    struct cost_mount *m = userdata;
    uint8_t *to = (uint8_t *)&m->reply;
    size_t size = 0;
    (void)fd;
    for (int i = 0; i < n; i++) {
        cost_must(parts[i].iov_len <= sizeof m->reply - size, "there is room for the reply");
        memcpy(to + size, parts[i].iov_base, parts[i].iov_len);
        size += parts[i].iov_len;
    }
    return (ssize_t)size;
}

static ssize_t give_request(int fd, void *out, size_t size, void *userdata)
{
    (void)fd, (void)out, (void)size, (void)userdata;
    errno = ENODEV; /* requests are handed in */
    return -1;
}

static void on_init(void *userdata, struct fuse_conn_info *connection)
{
    (void)userdata;
    connection->max_write = COST_WRITE_MAX;
}

static const struct fuse_lowlevel_ops operations = {
    .init = on_init,
    .lookup = ftx_op_lookup,
    .getattr = ftx_op_getattr,
    .mkdir = ftx_op_mkdir,
    .create = ftx_op_create,
    .getxattr = ftx_op_getxattr,
    .write = ftx_op_write,
    .flush = ftx_op_flush,
    .release = ftx_op_release,
    .readdir = ftx_op_readdir,
};

/* Sends the request with `size` bytes of body; 0 or the error that it was answered with. */
static int ask(struct cost_mount *m, enum fuse_opcode opcode, uint64_t id, size_t size)
{
    m->request.head = (struct fuse_in_header){.len = (uint32_t)(sizeof m->request.head + size),
                                              .opcode = opcode,
                                              .unique = ++m->unique,
                                              .nodeid = id,
                                              .pid = PID};
    struct fuse_buf buffer = {.mem = &m->request, .size = m->request.head.len};
    m->reply.head = (struct fuse_out_header){.len = 0};
    fuse_session_process_buf(m->mount.session, &buffer);
    cost_must(m->reply.head.unique == m->unique, "a request is answered at once");
    return m->reply.head.error;
}

static void ask_well(struct cost_mount *m, enum fuse_opcode opcode, uint64_t id, size_t size)
{
    cost_must(ask(m, opcode, id, size) == 0, "a request succeeds");
}

/* Puts a name behind `size` bytes of the body; the size of all. */
static size_t put_name(struct cost_mount *m, size_t size, const char *name)
{
    size_t n = strlen(name) + 1;
    memcpy(m->request.body + size, name, n);
    return size + n;
}

struct cost_mount *cost_mount_new(struct ftx_store *store)
{
    struct cost_mount *m = calloc(1, sizeof *m);
    cost_must(m, "there is memory");
    m->mount.store = store;
    pthread_mutex_init(&m->mount.repeat.lock, NULL);
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    cost_must(fuse_opt_add_arg(&args, "cost") == 0, "there is memory");
    m->mount.session = fuse_session_new(&args, &operations, sizeof operations, m);
    fuse_opt_free_args(&args);
    const struct fuse_custom_io io = {.writev = take_reply, .read = give_request};
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* libfuse closes it */
    cost_must(m->mount.session && fd >= 0 && fuse_session_custom_io(m->mount.session, &io, fd) == 0,
              "libfuse takes requests from memory");
    struct fuse_init_in *init = (struct fuse_init_in *)(void *)m->request.body;
    *init = (struct fuse_init_in){.major = 7, .minor = 36, .max_readahead = COST_WRITE_MAX};
    ask_well(m, FUSE_INIT, 0, sizeof *init);
    return m;
}

void cost_mount_free(struct cost_mount *m)
{
    fuse_session_destroy(m->mount.session);
    pthread_mutex_destroy(&m->mount.repeat.lock);
    free(m);
}

/* -- requests -- */

static uint64_t entry_of(const struct cost_mount *m)
{
    struct fuse_entry_out entry;
    memcpy(&entry, m->reply.body, sizeof entry);
    return entry.nodeid;
}

uint64_t cost_lookup(struct cost_mount *m, uint64_t parent, const char *name)
{
    int err = ask(m, FUSE_LOOKUP, parent, put_name(m, 0, name));
    cost_must(err == 0 || err == -ENOENT, "a name is there or not");
    return err ? 0 : entry_of(m);
}

void cost_getattr(struct cost_mount *m, uint64_t id)
{
    memset(m->request.body, 0, sizeof(struct fuse_getattr_in));
    ask_well(m, FUSE_GETATTR, id, sizeof(struct fuse_getattr_in));
}

uint64_t cost_mkdir(struct cost_mount *m, uint64_t parent, const char *name)
{
    const struct fuse_mkdir_in in = {.mode = 0755, .umask = 022};
    memcpy(m->request.body, &in, sizeof in);
    ask_well(m, FUSE_MKDIR, parent, put_name(m, sizeof in, name));
    return entry_of(m);
}

struct cost_file cost_create(struct cost_mount *m, uint64_t parent, const char *name)
{
    const struct fuse_create_in in = {
        .flags = O_WRONLY | O_CREAT | O_EXCL, .mode = 0100644, .umask = 022};
    memcpy(m->request.body, &in, sizeof in);
    ask_well(m, FUSE_CREATE, parent, put_name(m, sizeof in, name));
    struct fuse_open_out opened;
    memcpy(&opened, m->reply.body + sizeof(struct fuse_entry_out), sizeof opened);
    return (struct cost_file){.id = entry_of(m), .handle = opened.fh};
}

uint8_t *cost_write_room(struct cost_mount *m)
{
    return m->request.body + sizeof(struct fuse_write_in);
}

/* The header lies where the bytes of the write are not. */
static void ask_capability(struct cost_mount *m, uint64_t id)
{
    static const char name[] = "security.capability";
    struct {
        struct fuse_in_header head;
        struct fuse_getxattr_in in;
        char name[sizeof name];
    } request = {.head = {.len = sizeof request.head + sizeof request.in + sizeof name,
                          .opcode = FUSE_GETXATTR,
                          .unique = ++m->unique,
                          .nodeid = id,
                          .pid = PID}};
    memcpy(request.name, name, sizeof name);
    struct fuse_buf buffer = {.mem = &request, .size = request.head.len};
    fuse_session_process_buf(m->mount.session, &buffer);
    cost_must(m->reply.head.error == -ENODATA, "a file has no capabilities");
}

void cost_write(struct cost_mount *m, struct cost_file file, uint64_t offset, uint32_t size)
{
    ask_capability(m, file.id);
    const struct fuse_write_in in = {
        .fh = file.handle, .offset = offset, .size = size, .flags = O_WRONLY};
    memcpy(m->request.body, &in, sizeof in);
    ask_well(m, FUSE_WRITE, file.id, sizeof in + size);
}

void cost_close(struct cost_mount *m, struct cost_file file)
{
    const struct fuse_flush_in flush = {.fh = file.handle};
    memcpy(m->request.body, &flush, sizeof flush);
    ask_well(m, FUSE_FLUSH, file.id, sizeof flush);
    const struct fuse_release_in release = {.fh = file.handle, .flags = O_WRONLY};
    memcpy(m->request.body, &release, sizeof release);
    ask_well(m, FUSE_RELEASE, file.id, sizeof release);
}

/* The cookie behind the last entry of the listing that was answered. */
static uint64_t last_cookie(const struct cost_mount *m, size_t size)
{
    struct fuse_dirent entry = {.off = 0};
    for (size_t at = 0; at < size; at += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + entry.namelen))
        memcpy(&entry, m->reply.body + at, sizeof entry);
    return entry.off;
}

size_t cost_readdir(struct cost_mount *m, uint64_t id)
{
    struct fuse_read_in in = {.size = LISTING};
    size_t all = 0, size;
    do {
        memcpy(m->request.body, &in, sizeof in);
        ask_well(m, FUSE_READDIR, id, sizeof in);
        size = m->reply.head.len - sizeof m->reply.head;
        in.offset = last_cookie(m, size);
        all += size;
    } while (size);
    return all;
}
