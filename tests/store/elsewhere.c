/* SPDX-License-Identifier: MIT */
/* What stands outside of the store: files that are sent from where they are, and files that have
 * come and were moved to their place. */
#include "fs/store/borrow.h"
#include "fs/store/digest.h"
#include "fs/store/fetch.h"
#include "fs/store/inbox.h"
#include "fs/store/inbox_room.h"
#include "fs/store/ops.h"
#include "fs/store/outbox.h"
#include "fs/store/outgoing.h"
#include "fs/store/take.h"
#include "fs/store/tree.h"
#include "transport/base/err.h"
#include "transport/base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/store/support.h"

struct test {
    struct scratch scratch; /* STORE, and what stands elsewhere */
    struct ftx_store *store;
    struct ftx_link *link;
    uint64_t out, in;
    uint64_t op;
    char path[PATH_MAX + 16]; /* of the file that is sent */
};

static void on_row(void *ctx, int err)
{
    (void)ctx;
    assert_int_equal(err, 0);
}

static void open_store(struct test *t)
{
    char room[512], path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/STORE", t->scratch.path);
    assert_int_equal(ftx_store_open(path, room, sizeof room, &t->store), 0);
    struct ftx_link_row row;
    uint64_t folder;
    if (ftx_link_get(t->store, 1, &row)) {
        assert_int_equal(ftx_link_arm(t->store, FTX_OUTBOX, "7-elsewhere", 11, &folder), 0);
        assert_int_equal(ftx_link_get(t->store, 1, &row), 0);
        row.state = FTX_LINK_PAIRED;
        row.enrolled = true;
        assert_int_equal(ftx_link_put(t->store, &row, on_row, NULL), 0);
        assert_int_equal(ftx_store_sync(t->store), 0);
    }
    t->link = ftx_link_find(t->store, 1);
    t->out = t->link->folders[FTX_OUTBOX]->id;
    t->in = t->link->folders[FTX_INBOX]->id;
}

static void open_again(struct test *t)
{
    ftx_store_close(t->store);
    open_store(t);
}

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof *t);
    *state = t;
    if (!t || scratch_open(&t->scratch))
        return -1;
    open_store(t);
    snprintf(t->path, sizeof t->path, "%s/film", t->scratch.path);
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    ftx_store_close(t->store);
    int rc = scratch_close(&t->scratch);
    free(t);
    return rc;
}

/* -- borrowed -- */

static const char bytes[] = "what stands there";
enum { SIZE = sizeof bytes - 1 };

static void write_source(struct test *t, const char *text)
{
    int fd = open(t->path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/* Offers it under its own name. */
static uint64_t offer(struct test *t)
{
    struct stat st;
    uint64_t id;
    int fd = open(t->path, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    assert_int_equal(ftx_outbox_make(t->store, t->out, "film", 4, FTX_FILE, 0600, NULL, false, &id),
                     0);
    assert_int_equal(ftx_borrow_root(t->store, id, t->path), 0);
    assert_int_equal(ftx_borrow_file(t->store, id, fd, &st), 0);
    assert_true(ftx_borrow_same(t->store, id, &st));
    close(fd);
    assert_int_equal(ftx_store_sync(t->store), 0);
    return id;
}

static struct ftx_sending *sending_of(struct test *t, uint64_t id)
{
    return ftx_item_find(&t->store->index, id)->as.sending;
}

/* Takes the next extent into flight and reads it. */
static int read_next(struct test *t, uint64_t id, struct ftx_source *source, uint8_t *out)
{
    assert_int_equal(ftx_outgoing_extent(t->store, sending_of(t, id), FTX_EXTENT_MAX, 1, source),
                     0);
    return ftx_outgoing_read(t->store, source, out);
}

static void bytes_are_read_where_they_are(void **state)
{
    struct test *t = *state;
    struct ftx_source source;
    uint8_t room[64], hash[FTX_HASH_SIZE];
    write_source(t, bytes);
    uint64_t id = offer(t);
    assert_int_equal(ftx_item_find(&t->store->index, id)->mode, 0640);
    assert_int_equal(read_next(t, id, &source, room), 0);
    assert_memory_equal(room, bytes, SIZE);
    ftx_hash(bytes, SIZE, hash);
    assert_memory_equal(source.extent.hash, hash, sizeof hash);
}

static void a_hole_is_offered_as_one(void **state)
{
    struct test *t = *state;
    write_source(t, bytes);
    assert_int_equal(truncate(t->path, 64 << 20), 0);
    struct ftx_segments *pending = &sending_of(t, offer(t))->pending;
    assert_int_equal(pending->bytes, 64 << 20);
    assert_int_equal(ftx_segments_at(pending, 0)->kind, FTX_SEGMENT_DATA);
    assert_int_equal(ftx_segments_at(pending, 32 << 20)->kind, FTX_SEGMENT_HOLE);
}

/* What the reader must not take for the file that was offered. */
static void refuses(struct test *t, void (*change)(struct test *t))
{
    struct ftx_source source;
    uint8_t room[64];
    write_source(t, bytes);
    uint64_t id = offer(t);
    change(t);
    assert_int_equal(read_next(t, id, &source, room), -ESTALE);
    assert_int_equal(ftx_outgoing_failed(t->store, t->link, &source.extent, 1, -ESTALE), 0);
    assert_int_equal(ftx_item_find(&t->store->index, id)->state, FTX_ITEM_FAILED);
    assert_int_equal(ftx_outbox_remove(t->store, t->out, "film", 4, false), 0);
    (void)unlink(t->path);
}

static void change_bytes(struct test *t)
{
    struct stat st;
    assert_int_equal(stat(t->path, &st), 0);
    int fd = open(t->path, O_WRONLY);
    assert_int_equal(pwrite(fd, "W", 1, 0), 1);
    const struct timespec times[] = {st.st_atim, st.st_mtim}; /* nobody can set the ctime */
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static void put_a_copy_there(struct test *t)
{
    struct stat st;
    assert_int_equal(stat(t->path, &st), 0);
    assert_int_equal(rename(t->path, strcat(strcpy((char[PATH_MAX]){0}, t->path), ".old")), 0);
    write_source(t, bytes);
    const struct timespec times[] = {st.st_atim, st.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, t->path, times, 0), 0);
}

static void put_a_link_there(struct test *t)
{
    char old[PATH_MAX + 32];
    snprintf(old, sizeof old, "%s.moved", t->path);
    assert_int_equal(rename(t->path, old), 0);
    assert_int_equal(symlink(old, t->path), 0);
}

static void put_a_fifo_there(struct test *t)
{
    assert_int_equal(unlink(t->path), 0);
    assert_int_equal(mkfifo(t->path, 0600), 0);
}

static void remove_it(struct test *t)
{
    assert_int_equal(unlink(t->path), 0);
}

static void cut_it(struct test *t)
{
    assert_int_equal(truncate(t->path, 3), 0);
}

static void nothing_else_is_sent_for_it(void **state)
{
    refuses(*state, change_bytes);
    refuses(*state, put_a_copy_there);
    refuses(*state, put_a_link_there);
    refuses(*state, put_a_fifo_there);
    refuses(*state, remove_it);
    refuses(*state, cut_it);
}

static void what_the_peer_has_is_not_sent_after_a_restart(void **state)
{
    struct test *t = *state;
    struct ftx_source source;
    uint8_t room[64];
    write_source(t, bytes);
    uint64_t id = offer(t);
    assert_int_equal(read_next(t, id, &source, room), 0);
    open_again(t); /* it was on its way, and nothing of it acknowledged */
    assert_int_equal(sending_of(t, id)->pending.bytes, SIZE);
    assert_int_equal(ftx_outgoing_held(t->store, t->link, &source.extent), 0);
    assert_int_equal(sending_of(t, id)->pending.bytes, 0);
}

static void the_source_stays_as_it_is(void **state)
{
    struct test *t = *state;
    struct stat before, after;
    uint64_t id, other;
    write_source(t, bytes);
    assert_int_equal(stat(t->path, &before), 0);
    id = offer(t);
    assert_int_equal(/* one that a kill leaves half offered: its object would be cut */
                     ftx_outbox_make(t->store, t->out, "half", 4, FTX_FILE, 0600, NULL, false,
                                     &other),
                     0);
    assert_int_equal(ftx_borrow_root(t->store, other, t->path), 0);
    open_again(t);
    assert_int_equal(ftx_item_find(&t->store->index, other)->state, FTX_ITEM_INTERRUPTED);
    assert_true(ftx_borrow_same(t->store, id, &before));
    assert_int_equal(ftx_outbox_open(t->store, id, true, false), 0);
    (void)ftx_outbox_write(t->store, id, "other bytes", 11, 0); /* as through a mount */
    ftx_outbox_release(t->store, id, true);
    assert_int_equal(ftx_outbox_remove(t->store, t->out, "film", 4, false), 0);
    open_again(t);
    assert_int_equal(stat(t->path, &after), 0);
    assert_memory_equal(&before.st_ctim, &after.st_ctim, sizeof before.st_ctim);
    assert_int_equal(after.st_size, SIZE);
}

/* -- taken -- */

static void apply(struct test *t, const struct ftx_op *op)
{
    uint8_t encoded[FTX_OP_ENCODED_MAX], refused;
    uint64_t entry, item;
    size_t size = ftx_op_encode(op, encoded);
    assert_int_equal(ftx_inbox_apply(t->store, t->link, ++t->op, encoded, size, FTX_LINKS_SAFE,
                                     &entry, &item, &refused),
                     0);
}

static void make(struct test *t, uint64_t item, const char *name)
{
    apply(t, &(struct ftx_op){.kind = FTX_OP_MAKE,
                              .item = item,
                              .what = FTX_FILE,
                              .mode = 0600,
                              .name = name,
                              .name_size = strlen(name)});
}

static int extent(struct test *t, uint64_t stream, uint32_t version, const char *text)
{
    struct ftx_extent e = {
        .stream = stream, .version = version, .length = strlen(text), .kind = FTX_EXTENT_DATA};
    uint64_t item, object, entry;
    int err = ftx_inbox_begin(t->store, t->link, &e, &item, &object);
    if (err)
        return err;
    int fd = ftx_object_open(&t->store->objects, object, O_WRONLY | O_CREAT);
    assert_int_equal(ftx_object_write(fd, text, strlen(text), 0), 0);
    close(fd);
    return ftx_inbox_wrote(t->store, item, &e, 0, &entry);
}

static int complete(struct test *t, uint64_t stream, uint32_t version, uint64_t size)
{
    struct ftx_plan_seal seal = {.stream = stream, .version = version, .size = size};
    struct ftx_seal_check check;
    uint64_t entry;
    seal.attributes_size = ftx_seal_attr_encode(0640, -1, seal.attributes);
    assert_int_equal(ftx_inbox_seal_comes(t->store, t->link, &seal), 0);
    int err = ftx_inbox_seal(t->store, t->link, &seal, &check);
    if (!err)
        err = ftx_inbox_complete(t->store, t->link, &seal, check.item, &entry);
    return err;
}

/* A complete file of the peer's; its number here. */
static uint64_t arrived(struct test *t, uint64_t stream, const char *name)
{
    make(t, stream, name);
    assert_int_equal(extent(t, stream, 1, bytes), 0);
    assert_int_equal(complete(t, stream, 1, SIZE), 0);
    assert_int_equal(ftx_store_sync(t->store), 0);
    return ftx_item_find_remote(&t->store->index, t->link, stream)->id;
}

static int take(struct test *t, uint64_t id, const char *name)
{
    return ftx_take_file(t->store, id, t->scratch.fd, name);
}

static void color_red(struct test *t, uint64_t item)
{
    apply(t, &(struct ftx_op){.kind = FTX_OP_XATTR,
                              .item = item,
                              .name = "color",
                              .name_size = 5,
                              .value = "red",
                              .value_size = 3});
}

static void a_complete_file_gets_its_place(void **state)
{
    struct test *t = *state;
    struct stat st;
    char room[64], value[8];
    uint64_t id = arrived(t, 1, "a");
    color_red(t, 1);
    assert_int_equal(take(t, id, "a"), 0);
    assert_int_equal(ftx_take_done(t->store, id, false), 0);
    int fd = openat(t->scratch.fd, "a", O_RDONLY);
    assert_int_equal(read(fd, room, sizeof room), SIZE);
    assert_memory_equal(room, bytes, SIZE);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_true(st.st_mtim.tv_sec == -1 && st.st_mtim.tv_nsec == 999999999);
    assert_true(fgetxattr(fd, "user.color", value, sizeof value) == 3 || errno == EOPNOTSUPP);
    close(fd);
}

static void what_was_said_before_is_known_after_it_was_taken(void **state)
{
    struct test *t = *state;
    struct ftx_digest_key key;
    uint64_t id = arrived(t, 1, "a");
    assert_int_equal(take(t, id, "a"), 0);
    assert_int_equal(ftx_take_done(t->store, id, false), 0);
    for (int run = 0; run < 2; run++) {
        assert_int_equal(extent(t, 1, 1, bytes), -EALREADY); /* an acknowledgement was lost */
        assert_int_equal(complete(t, 1, 1, SIZE), -EALREADY);
        assert_int_equal(extent(t, 1, 2, "x"), -ENOENT); /* an update has nothing to begin with */
        assert_int_equal(complete(t, 1, 2, SIZE), -ENOENT);
        assert_int_equal(take(t, id, "b"), -EAGAIN);
        assert_int_equal(ftx_digest_key_of(t->store, t->link, 1, false, &key), -ENODATA);
        open_again(t);
    }
    make(t, 2, "a"); /* its sender makes it anew */
    assert_int_equal(extent(t, 2, 1, "new"), 0);
    assert_int_equal(complete(t, 2, 1, 3), 0);
}

static void what_is_being_updated_stays(void **state)
{
    struct test *t = *state;
    uint64_t id = arrived(t, 1, "a");
    assert_int_equal(extent(t, 1, 2, "W"), 0);
    assert_int_equal(take(t, id, "a"), -EAGAIN);
    assert_int_equal(faccessat(t->scratch.fd, "a", F_OK, 0), -1);
}

static void names_that_are_there_are_not_replaced(void **state)
{
    struct test *t = *state;
    uint64_t id = arrived(t, 1, "a");
    assert_int_equal(mkdirat(t->scratch.fd, "a", 0700), 0);
    assert_int_equal(symlinkat("STORE", t->scratch.fd, "b"), 0);
    assert_int_equal(take(t, id, "a"), -EEXIST);
    assert_int_equal(extent(t, 1, 2, "x"), -ENOENT); /* until it is known what becomes of it */
    ftx_take_not(t->store, id);
    assert_int_equal(take(t, id, "b"), -EEXIST);
    ftx_take_not(t->store, id);
    assert_int_equal(extent(t, 1, 2, "x"), 0);
}

static void one_that_a_kill_left_between_has_left(void **state)
{
    struct test *t = *state;
    uint64_t id = arrived(t, 1, "a");
    assert_int_equal(take(t, id, "a"), 0);
    open_again(t); /* nobody has noted it */
    assert_int_equal(take(t, id, "a"), -ENODATA);
    assert_int_equal(ftx_take_done(t->store, id, false), 0);
    assert_int_equal(take(t, id, "a"), -EAGAIN);
}

static void an_empty_file_and_one_of_holes_are_made(void **state)
{
    struct test *t = *state;
    struct stat st;
    make(t, 1, "empty");
    assert_int_equal(complete(t, 1, 1, 0), 0);
    assert_int_equal(take(t, ftx_item_find_remote(&t->store->index, t->link, 1)->id, "empty"), 0);
    assert_int_equal(fstatat(t->scratch.fd, "empty", &st, 0), 0);
    assert_int_equal(st.st_size, 0);
    make(t, 2, "holes");
    struct ftx_extent hole = {
        .stream = 2, .version = 1, .length = 1 << 20, .kind = FTX_EXTENT_HOLE};
    uint64_t item, object, entry;
    assert_int_equal(ftx_inbox_begin(t->store, t->link, &hole, &item, &object), 0);
    assert_int_equal(ftx_inbox_wrote(t->store, item, &hole, 0, &entry), 0);
    assert_int_equal(complete(t, 2, 1, 1 << 20), 0);
    assert_int_equal(take(t, item, "holes"), 0);
    assert_int_equal(fstatat(t->scratch.fd, "holes", &st, 0), 0);
    assert_true(st.st_size == 1 << 20 && st.st_blocks == 0);
}

/* -- taken out of a mount -- */

/* What happens at the moment when the object leaves. */
static struct {
    bool kill_before, kill_after;
    bool by_link; /* the file system knows no rename that replaces nothing */
    struct test *test;
    uint64_t opens; /* somebody opens it then */
    pthread_t thread;
    int err;
} moment;

static void *open_it(void *arg)
{
    bool direct, keep;
    (void)arg;
    moment.err = ftx_inbox_open(moment.test->store, moment.opens, &direct, &keep);
    return NULL;
}

/* In place of the C library's. */
int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    if (moment.kill_before)
        (void)raise(SIGKILL);
    if (moment.opens)
        assert_int_equal(pthread_create(&moment.thread, NULL, open_it, NULL), 0);
    if (moment.by_link) {
        errno = EINVAL;
        return -1;
    }
    int rc = (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
    if (moment.kill_after)
        (void)raise(SIGKILL);
    return rc;
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    int rc = (int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags);
    if (moment.kill_after)
        (void)raise(SIGKILL);
    return rc;
}

static bool is_there(const struct test *t, const char *name)
{
    char room[64] = {0};
    struct stat st;
    int fd = openat(t->scratch.fd, name, O_RDONLY | O_NOFOLLOW);
    if (fd < 0)
        return false;
    assert_int_equal(read(fd, room, sizeof room), SIZE);
    assert_memory_equal(room, bytes, SIZE);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_nlink, 1);
    close(fd);
    return true;
}

static bool is_in_the_inbox(struct test *t, uint64_t id)
{
    const struct ftx_item *item = ftx_inbox_file_of(t->store, id);
    bool direct, keep;
    char room[64];
    int fd;
    size_t size;
    if (!item || !item->linked)
        return false;
    assert_int_equal(item->state, FTX_ITEM_COMPLETE);
    assert_int_equal(ftx_inbox_open(t->store, id, &direct, &keep), 0);
    assert_int_equal(ftx_inbox_read(t->store, id, SIZE, 0, false, &fd, &size), 0);
    assert_int_equal(size, SIZE);
    assert_int_equal(ftx_object_read_padded(fd, room, SIZE, 0), 0);
    assert_memory_equal(room, bytes, SIZE);
    ftx_inbox_release(t->store, id);
    return true;
}

static void what_leaves_an_inbox_is_the_object_itself(void **state)
{
    struct test *t = *state;
    struct stat st;
    char value[8];
    uint64_t id = arrived(t, 1, "a");
    color_red(t, 1);
    struct ftx_source source;
    ftx_fetch_serve(t->store, t->link, 1, &(struct ftx_range){0, SIZE}, &source);
    uint64_t object = ftx_inbox_file_of(t->store, id)->object;
    int fd = ftx_object_open(&t->store->objects, object, O_RDONLY);
    assert_int_equal(fstat(fd, &st), 0);
    ino_t inode = st.st_ino;
    close(fd);

    assert_int_equal(ftx_take_out(t->store, id, t->scratch.fd, "b"), 0);
    for (int run = 0; run < 2; run++) {
        assert_true(is_there(t, "b"));
        assert_false(is_in_the_inbox(t, id));
        assert_null(ftx_item_find_remote(&t->store->index, t->link, 1));
        assert_int_equal(extent(t, 1, 2, "x"), -ENOENT);
        open_again(t);
    }
    fd = openat(t->scratch.fd, "b", O_RDONLY);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(st.st_ino == inode && st.st_nlink == 1);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_true(st.st_mtim.tv_sec == -1 && st.st_mtim.tv_nsec == 999999999);
    assert_true(fgetxattr(fd, "user.color", value, sizeof value) == 3 || errno == EOPNOTSUPP);
    close(fd);
    uint8_t room[64]; /* its sender had asked for it before */
    assert_int_equal(ftx_fetch_read(t->store, &source, room), -ENOENT);
}

static void what_is_read_or_updated_is_not_moved(void **state)
{
    struct test *t = *state;
    bool direct, keep;
    uint64_t id = arrived(t, 1, "a");
    assert_int_equal(ftx_inbox_open(t->store, id, &direct, &keep), 0);
    assert_int_equal(ftx_take_out(t->store, id, t->scratch.fd, "b"), -EBUSY);
    ftx_inbox_release(t->store, id);
    assert_int_equal(extent(t, 1, 2, "W"), 0);
    assert_int_equal(ftx_take_out(t->store, id, t->scratch.fd, "b"), -EBUSY);
    assert_false(is_there(t, "b"));
    assert_true(is_in_the_inbox(t, id));
}

static void what_cannot_leave_stays_complete(void **state)
{
    struct test *t = *state;
    uint64_t id = arrived(t, 1, "a");
    int elsewhere = open("/proc", O_PATH | O_DIRECTORY);
    assert_int_equal(symlinkat("STORE", t->scratch.fd, "b"), 0);
    assert_int_equal(ftx_take_out(t->store, id, t->scratch.fd, "b"), -EEXIST);
    assert_int_equal(ftx_take_out(t->store, id, elsewhere, "b"), -EXDEV);
    close(elsewhere);
    struct stat st;
    int fd = ftx_object_open(&t->store->objects, ftx_inbox_file_of(t->store, id)->object, O_RDONLY);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    close(fd);
    for (int run = 0; run < 2; run++) {
        assert_true(is_in_the_inbox(t, id));
        open_again(t);
    }
    assert_int_equal(extent(t, 1, 2, "W"), 0); /* it can be updated */
    make(t, 2, "empty");
    assert_int_equal(complete(t, 2, 1, 0), 0);
    id = ftx_item_find_remote(&t->store->index, t->link, 2)->id;
    assert_int_equal(ftx_take_out(t->store, id, t->scratch.fd, "c"), -EOPNOTSUPP);
}

static void who_opens_it_meanwhile_finds_it_gone_or_whole(void **state)
{
    struct test *t = *state;
    moment.test = t;
    for (int there = 0; there < 2; there++) {
        moment.opens = arrived(t, 1 + (uint64_t)there, there ? "b" : "a");
        int err = ftx_take_out(t->store, moment.opens, t->scratch.fd, "c");
        assert_int_equal(err, there ? -EEXIST : 0);
        pthread_join(moment.thread, NULL);
        assert_int_equal(moment.err, there ? 0 : -ENOENT);
    }
    ftx_inbox_release(t->store, moment.opens);
    assert_true(is_in_the_inbox(t, moment.opens));
    moment.opens = 0;
}

static void a_kill_leaves_it_here_or_there(void **state)
{
    struct test *t = *state;
    for (uint64_t run = 0; run < 4; run++) {
        bool after = run & 1, by_link = run & 2;
        uint64_t id = arrived(t, 1 + run, (const char *[]){"a", "b", "c", "d"}[run]);
        const char *name = by_link ? "f" : "e";
        int status;
        ftx_store_close(t->store);
        pid_t child = fork();
        if (child == 0) {
            moment.kill_before = !after;
            moment.kill_after = after;
            moment.by_link = by_link;
            open_store(t);
            (void)ftx_take_out(t->store, id, t->scratch.fd, name);
            _exit(1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        open_store(t);
        for (int start = 0; start < 2; start++) {
            assert_int_equal(is_there(t, name), after);
            assert_int_equal(is_in_the_inbox(t, id), !after);
            open_again(t);
        }
    }
}

static void its_room_is_given_back(void **state)
{
    struct test *t = *state;
    uint64_t id = arrived(t, 1, "a");
    ftx_inbox_limit(t->store, 1 << 20);
    assert_true(t->link->inbox_used > 0);
    assert_int_equal(ftx_take_out(t->store, id, t->scratch.fd, "b"), 0);
    assert_int_equal(t->link->inbox_used, 0);
}

static void a_clone_has_the_bytes_or_says_that_it_cannot(void **state)
{
    struct test *t = *state;
    uint64_t id = arrived(t, 1, "a");
    int fd = openat(t->scratch.fd, "b", O_RDWR | O_CREAT | O_EXCL, 0600);
    int err = ftx_take_clone(t->store, id, fd);
    close(fd);
    assert_true(err == -EOPNOTSUPP || (err == 0 && is_there(t, "b")));
    assert_true(is_in_the_inbox(t, id));
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(bytes_are_read_where_they_are),
        with_store(a_hole_is_offered_as_one),
        with_store(nothing_else_is_sent_for_it),
        with_store(what_the_peer_has_is_not_sent_after_a_restart),
        with_store(the_source_stays_as_it_is),
        with_store(a_complete_file_gets_its_place),
        with_store(what_was_said_before_is_known_after_it_was_taken),
        with_store(what_is_being_updated_stays),
        with_store(names_that_are_there_are_not_replaced),
        with_store(one_that_a_kill_left_between_has_left),
        with_store(an_empty_file_and_one_of_holes_are_made),
        with_store(what_leaves_an_inbox_is_the_object_itself),
        with_store(what_is_read_or_updated_is_not_moved),
        with_store(what_cannot_leave_stays_complete),
        with_store(who_opens_it_meanwhile_finds_it_gone_or_whole),
        with_store(a_kill_leaves_it_here_or_there),
        with_store(its_room_is_given_back),
        with_store(a_clone_has_the_bytes_or_says_that_it_cannot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
