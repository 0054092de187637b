/* SPDX-License-Identifier: MIT */
/* Who leads and who is waited for: the test is the kernel, at the other end of a socket pair. */
#include "fs/fuse/serve.h"

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    REQUEST_MAX = 4096,
    PATIENCE_S = 60, /* a busy machine, a sanitizer */
    ONE = 7,
    OTHER = 8, /* threads of programs */
};

static struct {
    int kernel; /* the test's end */
    uint64_t unique;
    struct fuse_session *session;
    struct ftx_serve *serve;
    pthread_t runs;
} mount;

/* READs wait here while it is closed. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool closed;
    unsigned n_waiting;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

/* -- the file system -- */

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
    (void)ino, (void)size, (void)offset, (void)fi;
    pthread_mutex_lock(&gate.lock);
    gate.n_waiting++;
    pthread_cond_broadcast(&gate.moved);
    while (gate.closed)
        pthread_cond_wait(&gate.moved, &gate.lock);
    gate.n_waiting--;
    pthread_mutex_unlock(&gate.lock);
    fuse_reply_buf(req, "x", 1);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    struct stat attr = {.st_ino = ino, .st_mode = S_IFREG | 0644};
    fuse_reply_attr(req, &attr, 0);
}

static void set_gate(bool closed)
{
    pthread_mutex_lock(&gate.lock);
    gate.closed = closed;
    pthread_cond_broadcast(&gate.moved);
    pthread_mutex_unlock(&gate.lock);
}

static void wait_until_waiting(unsigned n)
{
    struct timespec until;
    int err = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&gate.lock);
    while (gate.n_waiting < n && !err)
        err = pthread_cond_timedwait(&gate.moved, &gate.lock, &until);
    pthread_mutex_unlock(&gate.lock);
    assert_int_equal(err, 0);
}

/* -- the kernel -- */

static uint64_t ask(uint32_t opcode, uint32_t pid, const void *body, size_t size)
{
    struct fuse_in_header head = {.len = (uint32_t)(sizeof head + size),
                                  .opcode = opcode,
                                  .unique = ++mount.unique,
                                  .nodeid = FUSE_ROOT_ID,
                                  .pid = pid};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)(uintptr_t)body, size}};
    assert_int_equal(writev(mount.kernel, parts, 2), head.len);
    return head.unique;
}

static void expect(uint64_t unique)
{
    uint8_t answer[REQUEST_MAX];
    struct fuse_out_header head;
    ssize_t n = read(mount.kernel, answer, sizeof answer);
    assert_true(n >= (ssize_t)sizeof head); /* else nobody has answered in time */
    memcpy(&head, answer, sizeof head);
    assert_int_equal(head.error, 0);
    assert_int_equal(head.unique, unique);
}

static uint64_t ask_read(uint32_t pid)
{
    struct fuse_read_in body = {.size = 1};
    return ask(FUSE_READ, pid, &body, sizeof body);
}

static uint64_t ask_attr(void)
{
    struct fuse_getattr_in body = {0};
    return ask(FUSE_GETATTR, ONE, &body, sizeof body);
}

static ssize_t io_read(int fd, void *bytes, size_t size, void *data)
{
    (void)data;
    return read(fd, bytes, size);
}

static ssize_t io_writev(int fd, struct iovec *parts, int n, void *data)
{
    (void)data;
    return writev(fd, parts, n);
}

static void *run(void *data)
{
    (void)data;
    ftx_serve_run(mount.serve);
    return NULL;
}

static int open_mount(void **state)
{
    (void)state;
    static const struct fuse_lowlevel_ops ops = {.read = on_read, .getattr = on_getattr};
    static const struct fuse_custom_io io = {.read = io_read, .writev = io_writev};
    static const struct timeval patience = {.tv_sec = PATIENCE_S};
    char *words[] = {"serve"};
    struct fuse_args args = FUSE_ARGS_INIT(1, words);
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    mount.kernel = ends[0];
    mount.session = fuse_session_new(&args, &ops, sizeof ops, NULL);
    fuse_opt_free_args(&args); /* libfuse has copied them */
    assert_non_null(mount.session);
    assert_int_equal(fuse_session_custom_io(mount.session, &io, ends[1]), 0);
    mount.serve = ftx_serve_new(mount.session);
    assert_non_null(mount.serve);
    assert_int_equal(pthread_create(&mount.runs, NULL, run, NULL), 0);
    struct fuse_init_in hello = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION};
    expect(ask(FUSE_INIT, 0, &hello, sizeof hello));
    return 0;
}

static int close_mount(void **state)
{
    (void)state;
    set_gate(false);
    ftx_serve_end(mount.serve);
    assert_int_equal(pthread_join(mount.runs, NULL), 0);
    ftx_serve_free(mount.serve);
    fuse_session_destroy(mount.session); /* closes its end */
    close(mount.kernel);
    return 0;
}

/* -- tests -- */

/* The second is read by the leader itself, until it turns out to wait. */
static void lone_read_that_waits_holds_nothing_up(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        expect(ask_read(ONE));
        set_gate(true);
        uint64_t waiting = ask_read(ONE);
        wait_until_waiting(1);
        expect(ask_attr());
        uint64_t second = ask_read(ONE);
        wait_until_waiting(2);
        expect(ask_attr());
        set_gate(false);
        uint8_t answer[REQUEST_MAX];
        for (unsigned i = 0; i < 2; i++) {
            struct fuse_out_header head;
            assert_true(read(mount.kernel, answer, sizeof answer) > 0);
            memcpy(&head, answer, sizeof head);
            assert_true(head.unique == waiting || head.unique == second);
        }
    }
}

static void reads_of_several_wait_side_by_side(void **state)
{
    (void)state;
    set_gate(true);
    for (unsigned n = 1; n <= 20; n++) {
        (void)ask_read(n % 2 ? ONE : OTHER);
        wait_until_waiting(n);
    }
    expect(ask_attr());
    set_gate(false);
    uint8_t answer[REQUEST_MAX];
    for (unsigned n = 1; n <= 20; n++)
        assert_true(read(mount.kernel, answer, sizeof answer) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lone_read_that_waits_holds_nothing_up, open_mount,
                                        close_mount),
        cmocka_unit_test_setup_teardown(reads_of_several_wait_side_by_side, open_mount,
                                        close_mount),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
