/* SPDX-License-Identifier: MIT */
/* What was promised holds when the disk does not: full, failing to sync, killed, cut off from
 * power; and what a peer may ask costs what it should. Calls of the disk fail on command. */
#include "fs/store/inbox.h"
#include "fs/store/ops.h"
#include "fs/store/outbox.h"
#include "fs/store/outgoing.h"
#include "fs/store/tree.h"
#include "transport/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/store/support.h"

enum { CELL = 1 << 20 };

struct end {
    struct scratch scratch;
    struct ftx_store *store;
    struct ftx_link *link;
    uint64_t out, in; /* the link's folders */
    uint64_t op;      /* the peer's last */
};

static uint8_t block[CELL];

/* -- the disk -- */

static unsigned n_write_fails, n_sync_fails; /* the next so many calls fail */
static atomic_uint n_synced;
static struct ftx_store *unsynced; /* a sync fails while the next write to it does */

int __real_ftx_object_write(int fd, const void *bytes, size_t size, uint64_t offset);
int __wrap_ftx_object_write(int fd, const void *bytes, size_t size, uint64_t offset);
int __wrap_ftx_object_write(int fd, const void *bytes, size_t size, uint64_t offset)
{
    if (!n_write_fails)
        return __real_ftx_object_write(fd, bytes, size, offset);
    n_write_fails--;
    if (unsynced)
        ftx_outbox_doubt(unsynced, 0);
    unsynced = NULL;
    int err = __real_ftx_object_write(fd, bytes, size / 2, offset); /* as a full disk does */
    return err ? err : -ENOSPC;
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    if (!n_sync_fails) {
        n_synced++;
        return __real_fdatasync(fd);
    }
    n_sync_fails--;
    errno = EIO;
    return -1;
}

/* -- a store -- */

static void on_row(void *ctx, int err)
{
    (void)ctx;
    assert_int_equal(err, 0);
}

static void open_store(struct end *t)
{
    char room[512];
    assert_int_equal(ftx_store_open(t->scratch.path, room, sizeof room, &t->store), 0);
    struct ftx_link_row row;
    uint64_t folder;
    if (ftx_link_get(t->store, 1, &row)) {
        assert_int_equal(ftx_link_arm(t->store, FTX_OUTBOX, "7-promise", 9, &folder), 0);
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

static int setup(void **state)
{
    struct end *t = calloc(1, sizeof *t);
    *state = t;
    n_write_fails = n_sync_fails = 0;
    if (!t || scratch_open(&t->scratch))
        return -1;
    open_store(t);
    return 0;
}

static int teardown(void **state)
{
    struct end *t = *state;
    if (t->store)
        ftx_store_close(t->store);
    int rc = scratch_close(&t->scratch);
    free(t);
    return rc;
}

static void reopen(struct end *t)
{
    ftx_store_close(t->store);
    open_store(t);
}

/* The next start finds another boot. */
static void cut_power(const struct end *t)
{
    int fd = openat(t->scratch.fd, ".ftx/lock", O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "1\nanother boot", 14), 14);
    close(fd);
}

/* Runs `body` in a child that closes nothing. */
static void dies(struct end *t, void (*body)(struct end *t))
{
    ftx_store_close(t->store);
    t->store = NULL;
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        open_store(t);
        body(t);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void (*unwritten)(struct end *t);

static void write_nothing(struct end *t)
{
    struct rlimit limit = {.rlim_cur = 4 << 10, .rlim_max = RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    unwritten(t);
}

/* The same, and it is gone before its database can be written: the journal has it. */
static void killed(struct end *t, void (*body)(struct end *t))
{
    unwritten = body;
    dies(t, write_nothing);
}

/* -- the outbox -- */

static uint64_t make_out(struct end *t, const char *name, enum ftx_kind kind)
{
    uint64_t id = 0;
    assert_int_equal(ftx_outbox_make(t->store, t->out, name, strlen(name), kind, 0755,
                                     kind == FTX_SYMLINK ? "target" : NULL, kind == FTX_FILE, &id),
                     0);
    return id;
}

static void close_file(struct end *t, uint64_t id)
{
    assert_int_equal(ftx_outbox_flush(t->store, id, false), 0);
    ftx_outbox_release(t->store, id, true);
}

static struct ftx_item *item_of(struct end *t, uint64_t id)
{
    return ftx_item_find(&t->store->index, id);
}

static void assert_state(struct end *t, uint64_t id, const char *expected)
{
    char word[32] = "";
    assert_true(ftx_tree_xattr(t->store, id, "state", word, sizeof word - 1) > 0);
    assert_string_equal(word, expected);
}

/* Sends all that is due and its seal, in record 1, 2, 3 ...; returns how many extents left. */
static unsigned send_all(struct end *t, struct ftx_sending *sending, uint64_t first,
                         struct ftx_plan_seal *out_seal, bool *out_sealed)
{
    struct ftx_source source;
    uint64_t send = first;
    unsigned n = 0;
    assert_int_equal(ftx_store_sync(t->store), 0);
    for (; ftx_outgoing_extent(t->store, sending, CELL, send, &source) == 0; send++, n++)
        assert_int_equal(ftx_outgoing_received(t->store, t->link, &source.extent, send), 0);
    *out_sealed = ftx_outgoing_seal(t->store, sending, send, UINT64_MAX, out_seal);
    return n;
}

static void a_failed_write_leaves_a_gap_of_zeros_and_nothing_unsent(void **state)
{
    struct end *t = *state;
    uint64_t id = make_out(t, "f", FTX_FILE);
    memset(block, 'x', sizeof block);
    assert_int_equal(ftx_outbox_write(t->store, id, block, 1000, 0), 0); /* not a whole cell */
    n_write_fails = 1;
    assert_int_equal(ftx_outbox_write(t->store, id, block, 5000, 1000), -ENOSPC);
    assert_int_equal(item_of(t, id)->size, 1000);
    n_write_fails = 1;
    assert_int_equal(ftx_outbox_write(t->store, id, block, 400, 300), -ENOSPC); /* within */
    n_write_fails = 1;
    assert_int_equal(ftx_outbox_write(t->store, id, block, 400, 9000), -ENOSPC); /* far behind */
    assert_int_equal(ftx_outbox_truncate(t->store, id, 12000), 0);
    uint8_t bytes[12000], expected[12000] = {0};
    memset(expected, 'x', 1000);
    assert_int_equal(ftx_outbox_read(t->store, id, bytes, sizeof bytes, 0, true), 12000);
    assert_memory_equal(bytes, expected, sizeof expected);
    close_file(t, id);
    bool sealed;
    struct ftx_plan_seal seal;
    struct ftx_sending *sending = item_of(t, id)->as.sending;
    assert_true(send_all(t, sending, 1, &seal, &sealed) > 0);
    assert_true(sealed && seal.size == 12000);
}

/* An append that fails leaves the segment before it as it is: finished, and due. */
static void what_was_written_before_a_failed_write_is_sent(void **state)
{
    struct end *t = *state;
    uint64_t id = make_out(t, "log", FTX_FILE);
    assert_int_equal(ftx_outbox_write(t->store, id, block, 1000, 0), 0);
    n_write_fails = 1;
    assert_int_equal(ftx_outbox_write(t->store, id, block, 1000, 1000), -ENOSPC);
    close_file(t, id);
    bool sealed;
    struct ftx_plan_seal seal;
    assert_int_equal(send_all(t, item_of(t, id)->as.sending, 1, &seal, &sealed), 1);
    assert_true(sealed && seal.size == 1000);
}

static void fsync_syncs_the_file_itself(void **state)
{
    struct end *t = *state;
    uint64_t id = make_out(t, "f", FTX_FILE);
    assert_int_equal(ftx_outbox_write(t->store, id, block, 1000, 0), 0);
    unsigned before = n_synced;
    assert_int_equal(ftx_outbox_fsync(t->store, id), 0);
    assert_true(n_synced > before);
    n_sync_fails = 1;
    assert_int_equal(ftx_outbox_fsync(t->store, id), -EIO);
    close_file(t, id);
}

/* Reads all that is due for sending, as far as that can be read. */
static void read_all(struct end *t, struct ftx_sending *sending)
{
    struct ftx_source source;
    assert_int_equal(ftx_store_sync(t->store), 0);
    for (uint64_t send = 1; ftx_outgoing_extent(t->store, sending, CELL, send, &source) == 0;
         send++) {
        int err = ftx_outgoing_read(t->store, &source, block);
        if (err)
            ftx_outgoing_failed(t->store, t->link, &source.extent, send, err);
    }
}

static void overwrite_without_sync_and_die(struct end *t)
{
    uint64_t id = make_out(t, "f", FTX_FILE);
    assert_int_equal(ftx_outbox_write(t->store, id, block, 1000, 0), 0);
    assert_int_equal(ftx_outbox_write(t->store, id, block, 100, 300), 0);
    n_sync_fails = 1;
    close_file(t, id);
    assert_true(ftx_store_sync(t->store) == 0 && n_sync_fails == 0);
}

static void a_kill_does_not_take_what_a_failed_sync_told(void **state)
{
    struct end *t = *state;
    struct ftx_attr attr;
    dies(t, overwrite_without_sync_and_die);
    open_store(t);
    assert_int_equal(ftx_tree_lookup(t->store, t->out, "f", 1, false, &attr), 0);
    assert_state(t, attr.id, "queued");
    read_all(t, item_of(t, attr.id)->as.sending);
    assert_state(t, attr.id, "failed");
}

static void a_failed_sync_is_not_forgotten_for_a_write_that_fails(void **state)
{
    struct end *t = *state;
    uint64_t id = make_out(t, "f", FTX_FILE);
    assert_int_equal(ftx_outbox_write(t->store, id, block, 1000, 0), 0);
    n_write_fails = 1;
    unsynced = t->store;
    assert_int_equal(ftx_outbox_write(t->store, id, block, 1000, 0), -ENOSPC);
    close_file(t, id);
    read_all(t, item_of(t, id)->as.sending);
    assert_state(t, id, "failed");
}

static void a_missing_object_is_an_error_and_no_zeros(void **state)
{
    struct end *t = *state;
    uint64_t id = make_out(t, "f", FTX_FILE);
    uint8_t bytes[10];
    assert_int_equal(ftx_outbox_write(t->store, id, block, 1000, 0), 0);
    close_file(t, id);
    assert_int_equal(ftx_object_remove(&t->store->objects, item_of(t, id)->object), 0);
    assert_int_equal(ftx_outbox_open(t->store, id, false, false), 0);
    assert_int_equal(ftx_outbox_read(t->store, id, bytes, sizeof bytes, 0, true), -EIO);
    ftx_outbox_release(t->store, id, false);
}

static void the_last_close_seals(void **state)
{
    struct end *t = *state;
    uint64_t id = make_out(t, "f", FTX_FILE);
    assert_int_equal(ftx_outbox_write(t->store, id, "part", 4, 0), 0);
    assert_int_equal(ftx_outbox_flush(t->store, id, false),
                     0); /* a child has closed what it inherited */
    bool sealed;
    struct ftx_plan_seal seal;
    struct ftx_sending *sending = item_of(t, id)->as.sending;
    send_all(t, sending, 1, &seal, &sealed);
    assert_false(sealed);
    (void)ftx_outbox_settle(t->store, INT64_MAX / 2);
    assert_state(t, id, "writing");
    assert_int_equal(ftx_outbox_write(t->store, id, " more", 5, 4), 0);
    send_all(t, sending, 10, &seal, &sealed);
    assert_false(sealed);
    close_file(t, id);
    send_all(t, sending, 20, &seal, &sealed);
    assert_true(sealed && seal.size == 9);
}

/* The row of a file that was removed is not written again, by whatever happens to it. */
static void what_was_removed_while_open_stays_removed(void **state)
{
    struct end *t = *state;
    struct ftx_attr attr;
    uint64_t id = make_out(t, "gone", FTX_FILE);
    assert_int_equal(ftx_outbox_write(t->store, id, "part", 4, 0), 0);
    assert_int_equal(ftx_outbox_flush(t->store, id, false), 0);
    assert_int_equal(ftx_outbox_remove(t->store, t->out, "gone", 4, false), 0);
    (void)ftx_outbox_settle(t->store, INT64_MAX / 2);
    reopen(t);
    assert_int_equal(ftx_tree_lookup(t->store, t->out, "gone", 4, false, &attr), -ENOENT);
}

static void what_was_not_told_is_not_delivered_after_a_start(void **state)
{
    struct end *t = *state;
    uint64_t ids[] = {make_out(t, "folder", FTX_FOLDER), make_out(t, "link", FTX_SYMLINK),
                      make_out(t, "file", FTX_FILE)};
    close_file(t, ids[2]);
    for (int start = 0; start < 2; start++) {
        for (int i = 0; i < 2; i++)
            assert_state(t, ids[i], "queued");
        const struct ftx_item *file = item_of(t, ids[2]);
        assert_true(file->op == 3 && file->rests);
        reopen(t);
    }
    assert_int_equal(ftx_outgoing_ops_durable(t->store, t->link, 2), 0);
    assert_state(t, ids[0], "delivered");
    assert_state(t, ids[1], "delivered");
    assert_state(t, ids[2], "queued");
    reopen(t);
    assert_state(t, ids[1], "delivered");
    assert_true(item_of(t, ids[2])->op == 3 && item_of(t, ids[2])->rests);
}

static int missing(struct end *t, uint64_t id, uint32_t version, uint64_t offset)
{
    const struct ftx_range range = {offset, 100};
    return ftx_outgoing_missing(t->store, t->link, id, version, &range);
}

static void missing_is_taken_once_and_only_ascending(void **state)
{
    struct end *t = *state;
    uint64_t id = make_out(t, "f", FTX_FILE);
    assert_int_equal(ftx_outbox_write(t->store, id, block, 10000, 0), 0);
    close_file(t, id);
    bool sealed;
    struct ftx_plan_seal seal;
    struct ftx_item *item = item_of(t, id);
    struct ftx_sending *sending = item->as.sending;
    assert_int_equal(missing(t, id, 1, 0), 0); /* no SEAL was sent yet */
    assert_int_equal(item->version, 1);
    assert_int_equal(send_all(t, sending, 1, &seal, &sealed), 1);
    assert_true(sealed && seal.version == 1);
    const struct ftx_extent whole = {.stream = id, .length = 10000};
    assert_int_equal(ftx_outgoing_durable(t->store, t->link, &whole, 1), 0);
    assert_int_equal(sending->pending.bytes, 0);
    assert_int_equal(missing(t, id, 7, 0), 0); /* not of this version */
    assert_int_equal(sending->pending.bytes, 0);
    for (int i = 0; i < 3; i++) /* the same range, again and again */
        assert_int_equal(missing(t, id, 1, 5000), 0);
    assert_true(sending->pending.bytes == 100 && item->version == 2);
    assert_int_equal(missing(t, id, 1, 5050), 0); /* overlaps */
    assert_int_equal(missing(t, id, 1, 0), 0);    /* goes back */
    assert_int_equal(sending->pending.bytes, 100);
    assert_int_equal(missing(t, id, 1, 5100), 0);
    assert_true(sending->pending.bytes == 200 && item->version == 2);
    assert_int_equal(send_all(t, sending, 10, &seal, &sealed), 2);
    assert_true(sealed && seal.version == 2);
    assert_int_equal(missing(t, id, 1, 9000), 0); /* late: of the SEAL before */
    assert_true(sending->sealed && item->version == 2);
}

static void write_and_be_told(struct end *t)
{
    uint64_t id = make_out(t, "open", FTX_FILE);
    if (ftx_outbox_write(t->store, id, block, 3000, 0))
        _exit(3);
    (void)ftx_outbox_settle(t->store, INT64_MAX / 2);
    item_of(t, id)->as.sending->began = 0; /* its database is never written here */
    struct ftx_source source;
    if (ftx_outgoing_extent(t->store, item_of(t, id)->as.sending, CELL, 1, &source) ||
        ftx_outgoing_durable(t->store, t->link, &source.extent, 1))
        _exit(4);
    _exit(item_of(t, id)->as.sending->pending.bytes ? 5 : 0);
}

/* The peer has all of it; a kill takes nothing, a power cut may have taken newer bytes. */
static void an_open_file_is_pending_as_a_whole_after_a_power_cut(void **state)
{
    struct end *t = *state;
    killed(t, write_and_be_told);
    open_store(t);
    struct ftx_attr attr;
    assert_int_equal(ftx_tree_lookup(t->store, t->out, "open", 4, false, &attr), 0);
    assert_state(t, attr.id, "interrupted");
    assert_int_equal(item_of(t, attr.id)->as.sending->pending.bytes, 0);
    assert_int_equal(ftx_outbox_remove(t->store, t->out, "open", 4, false), 0);
    killed(t, write_and_be_told);
    cut_power(t);
    open_store(t);
    assert_int_equal(ftx_tree_lookup(t->store, t->out, "open", 4, false, &attr), 0);
    assert_state(t, attr.id, "interrupted");
    assert_int_equal(item_of(t, attr.id)->as.sending->pending.bytes, 3000);
}

/* -- the inbox -- */

static uint8_t apply(struct end *t, const struct ftx_op *op)
{
    uint8_t bytes[FTX_OP_ENCODED_MAX], refused;
    uint64_t entry, item;
    size_t size = ftx_op_encode(op, bytes);
    assert_int_equal(ftx_inbox_apply(t->store, t->link, ++t->op, bytes, size, FTX_LINKS_SAFE,
                                     &entry, &item, &refused),
                     0);
    return refused;
}

static uint8_t make(struct end *t, uint64_t item, uint64_t parent, enum ftx_kind what,
                    const char *name)
{
    return apply(t, &(struct ftx_op){.kind = FTX_OP_MAKE,
                                     .item = item,
                                     .parent = parent,
                                     .what = (uint8_t)what,
                                     .mode = 0555,
                                     .name = name,
                                     .name_size = strlen(name)});
}

static uint8_t move(struct end *t, uint64_t item, uint64_t parent, const char *name)
{
    return apply(t, &(struct ftx_op){.kind = FTX_OP_MOVE,
                                     .item = item,
                                     .parent = parent,
                                     .name = name,
                                     .name_size = strlen(name)});
}

static uint8_t drop(struct end *t, uint64_t item)
{
    return apply(t, &(struct ftx_op){.kind = FTX_OP_DROP, .item = item});
}

/* Bytes of version 1 come to the file's beginning. */
static uint64_t extent(struct end *t, uint64_t stream, const char *bytes)
{
    struct ftx_extent e = {
        .stream = stream, .version = 1, .length = strlen(bytes), .kind = FTX_EXTENT_DATA};
    uint64_t item, object, entry;
    assert_int_equal(ftx_inbox_begin(t->store, t->link, &e, &item, &object), 0);
    int fd = ftx_object_open(&t->store->objects, object, O_WRONLY | O_CREAT);
    assert_int_equal(ftx_object_write(fd, bytes, strlen(bytes), 0), 0);
    close(fd);
    assert_int_equal(ftx_inbox_wrote(t->store, item, &e, 0, &entry), 0);
    return item;
}

/* A file that was delivered, and is its receiver's own by now. */
static void keep(struct end *t, uint64_t item, uint64_t parent, const char *name)
{
    struct ftx_plan_seal seal = {.stream = item, .version = 1, .size = 4};
    struct ftx_seal_check check;
    uint64_t entry;
    seal.attributes_size = ftx_seal_attr_encode(0644, 1, seal.attributes);
    assert_int_equal(make(t, item, parent, FTX_FILE, name), 0);
    extent(t, item, "kept");
    assert_int_equal(ftx_inbox_seal_comes(t->store, t->link, &seal), 0);
    assert_int_equal(ftx_inbox_seal(t->store, t->link, &seal, &check), 0);
    assert_int_equal(ftx_inbox_complete(t->store, t->link, &seal, check.item, &entry), 0);
    assert_int_equal(drop(t, item), 0);
}

static struct ftx_item *remote(struct end *t, uint64_t number)
{
    return ftx_item_find_remote(&t->store->index, t->link, number);
}

/* What stands at the path, NULL: nothing. */
static struct ftx_item *at(struct end *t, const char *path)
{
    struct ftx_item *item = t->link->folders[FTX_INBOX];
    while (item && *path) {
        size_t n = strcspn(path, "/");
        item = ftx_item_lookup(&t->store->index, item, path, n);
        path += n + (path[n] == '/');
    }
    return item;
}

static bool is_kept(struct end *t, const char *path)
{
    const struct ftx_item *item = at(t, path);
    return item && item->kind == FTX_FILE && item->state == FTX_ITEM_COMPLETE && item->size == 4 &&
           !item->remote;
}

static void a_file_comes_where_a_folder_with_kept_files_stands(void **state)
{
    struct end *t = *state;
    for (uint64_t round = 0; round < 3; round++) {
        uint64_t n = 10 * round + 1;
        assert_int_equal(make(t, n, 0, FTX_FOLDER, "x"), 0);
        keep(t, n + 1, n, "k");
        assert_int_equal(drop(t, n), 0);
        assert_int_equal(make(t, n + 2, 0, FTX_FILE, "x"), 0);
        assert_true(at(t, "x") == remote(t, n + 2));
        assert_int_equal(drop(t, n + 2), 0);
        assert_null(at(t, "x"));
    }
    assert_true(is_kept(t, "x.kept/k") && is_kept(t, "x.kept2/k") && is_kept(t, "x.kept3/k"));
    reopen(t);
    assert_true(is_kept(t, "x.kept/k") && is_kept(t, "x.kept2/k") && is_kept(t, "x.kept3/k"));
}

static void a_long_name_steps_aside_too(void **state)
{
    struct end *t = *state;
    char name[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    for (uint64_t n = 1; n < 40; n += 10) {
        assert_int_equal(make(t, n, 0, FTX_FOLDER, name), 0);
        keep(t, n + 1, n, "k");
        assert_int_equal(drop(t, n), 0);
        assert_int_equal(make(t, n + 2, 0, FTX_FILE, name), 0);
        assert_int_equal(drop(t, n + 2), 0);
    }
    assert_int_equal(ftx_folder_count(t->link->folders[FTX_INBOX]), 4);
    reopen(t);
    assert_int_equal(ftx_folder_count(t->link->folders[FTX_INBOX]), 4);
}

static void a_folder_takes_in_what_was_kept_where_it_goes(void **state)
{
    struct end *t = *state;
    assert_int_equal(make(t, 1, 0, FTX_FOLDER, "cur"), 0);
    assert_int_equal(make(t, 2, 1, FTX_FOLDER, "sub"), 0);
    keep(t, 3, 1, "old");
    keep(t, 4, 1, "both");
    keep(t, 5, 2, "deep");
    assert_int_equal(drop(t, 2), 0);
    assert_int_equal(drop(t, 1), 0);
    assert_int_equal(make(t, 11, 0, FTX_FOLDER, "new"), 0);
    assert_int_equal(make(t, 12, 11, FTX_FOLDER, "sub"), 0);
    assert_int_equal(make(t, 13, 11, FTX_FILE, "both"), 0);
    assert_int_equal(make(t, 14, 12, FTX_FILE, "mine"), 0);
    assert_int_equal(move(t, 11, 0, "cur"), 0);
    for (int start = 0; start < 2; start++) {
        assert_true(at(t, "cur") == remote(t, 11) && at(t, "cur/sub") == remote(t, 12));
        assert_true(at(t, "cur/both") == remote(t, 13) && at(t, "cur/sub/mine") == remote(t, 14));
        assert_true(is_kept(t, "cur/old") && is_kept(t, "cur/sub/deep") && !at(t, "new"));
        assert_int_equal(ftx_folder_count(t->link->folders[FTX_INBOX]), 1);
        reopen(t);
    }
    assert_int_equal(make(t, 15, 11, FTX_FILE, "w"), 0);
    assert_true(at(t, "cur/w") == remote(t, 15));
}

static void a_file_or_a_child_moves_onto_a_kept_folder(void **state)
{
    struct end *t = *state;
    assert_int_equal(make(t, 1, 0, FTX_FOLDER, "m"), 0);
    keep(t, 2, 1, "k");
    assert_int_equal(make(t, 3, 1, FTX_FOLDER, "child"), 0);
    assert_int_equal(make(t, 4, 0, FTX_FILE, "t"), 0);
    assert_int_equal(move(t, 3, 0, "m"), 0); /* what stands in it cannot take it in */
    assert_true(at(t, "m") == remote(t, 3) && is_kept(t, "m.kept/k"));
    keep(t, 5, 3, "k");
    assert_int_equal(drop(t, 3), 0);
    assert_int_equal(move(t, 4, 0, "m"), 0);
    assert_true(at(t, "m") == remote(t, 4) && is_kept(t, "m.kept2/k"));
    reopen(t);
    assert_true(at(t, "m") == remote(t, 4) && is_kept(t, "m.kept/k") && is_kept(t, "m.kept2/k"));
}

static void nothing_moves_into_a_folder_that_is_gone(void **state)
{
    struct end *t = *state;
    assert_int_equal(make(t, 1, 0, FTX_FOLDER, "cwd"), 0);
    keep(t, 2, 0, "f");
    uint64_t cwd = remote(t, 1)->id;
    ftx_tree_ref(t->store, cwd, false); /* a shell stands in it */
    assert_int_equal(ftx_inbox_remove(t->store, t->in, "cwd", 3, true), 0);
    assert_int_equal(ftx_inbox_rename(t->store, t->in, "f", 1, cwd, "f", 1, 0), -ENOENT);
    assert_true(is_kept(t, "f"));
    reopen(t);
    assert_true(is_kept(t, "f"));
}

static void the_owner_may_chmod_here(void **state)
{
    struct end *t = *state;
    assert_int_equal(make(t, 1, 0, FTX_FOLDER, "d"), 0);
    uint64_t id = remote(t, 1)->id, ops = t->link->op_next;
    assert_int_equal(item_of(t, id)->mode, 0555);
    assert_int_equal(ftx_inbox_set_mode(t->store, id, 04755), 0);
    assert_int_equal(ftx_inbox_set_mode(t->store, t->in, 0700), -ENOENT);
    reopen(t);
    assert_int_equal(item_of(t, id)->mode, 0755);
    assert_int_equal(t->link->op_next, ops);
}

/* How much of the file is here. */
static uint64_t here(struct end *t, uint64_t number)
{
    return remote(t, number)->as.arriving->landing->have.bytes;
}

static void what_could_not_be_synced_is_missing_again(void **state)
{
    struct end *t = *state;
    uint64_t losses;
    assert_int_equal(make(t, 1, 0, FTX_FILE, "f"), 0);
    assert_int_equal(make(t, 2, 0, FTX_FILE, "g"), 0);
    extent(t, 2, "before");
    assert_int_equal(ftx_store_sync(t->store), 0);
    n_sync_fails = 1;
    extent(t, 1, "lost");
    assert_int_equal(ftx_store_sync(t->store), 0);
    (void)ftx_store_committed(t->store, &losses);
    assert_true(losses == 1 && n_sync_fails == 0);
    for (int start = 0; start < 2; start++) {
        assert_true(here(t, 1) == 0 && here(t, 2) == 6);
        reopen(t);
    }
    extent(t, 1, "again");
    reopen(t);
    assert_int_equal(here(t, 1), 5);
}

static void receive_and_die(struct end *t)
{
    make(t, 2, 0, FTX_FILE, "late");
    extent(t, 2, "late");
}

static void after_a_power_cut_what_the_journal_says_has_come_is_asked_for(void **state)
{
    struct end *t = *state;
    assert_int_equal(make(t, 1, 0, FTX_FILE, "early"), 0);
    extent(t, 1, "early");
    killed(t, receive_and_die);
    open_store(t); /* killed: the bytes are there, in the page cache at least */
    assert_true(here(t, 1) == 5 && here(t, 2) == 4);
    assert_int_equal(drop(t, 2), 0);
    killed(t, receive_and_die);
    cut_power(t);
    open_store(t);
    assert_true(here(t, 1) == 5 && here(t, 2) == 0);
    reopen(t);
    assert_true(here(t, 1) == 5 && here(t, 2) == 0);
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* -- the lock -- */

static void *come(void *arg)
{
    struct end *next = arg;
    char room[512];
    (void)ftx_store_open(next->scratch.path, room, sizeof room, &next->store);
    return NULL;
}

static void who_comes_while_one_leaves_has_the_store_after_it(void **state)
{
    struct end *t = *state, next = {.scratch = t->scratch};
    char room[512];
    assert_int_equal(ftx_store_open(t->scratch.path, room, sizeof room, &next.store), -EBUSY);
    assert_non_null(strstr(room, "in use"));
    ftx_store_leave(t->store);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, come, &next), 0);
    ftx_store_close(t->store);
    pthread_join(thread, NULL);
    t->store = next.store; /* for teardown */
    assert_non_null(next.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(a_failed_write_leaves_a_gap_of_zeros_and_nothing_unsent),
        with_store(what_was_written_before_a_failed_write_is_sent),
        with_store(fsync_syncs_the_file_itself),
        with_store(a_kill_does_not_take_what_a_failed_sync_told),
        with_store(a_failed_sync_is_not_forgotten_for_a_write_that_fails),
        with_store(a_missing_object_is_an_error_and_no_zeros),
        with_store(the_last_close_seals),
        with_store(what_was_removed_while_open_stays_removed),
        with_store(what_was_not_told_is_not_delivered_after_a_start),
        with_store(missing_is_taken_once_and_only_ascending),
        with_store(an_open_file_is_pending_as_a_whole_after_a_power_cut),
        with_store(a_file_comes_where_a_folder_with_kept_files_stands),
        with_store(a_long_name_steps_aside_too),
        with_store(a_folder_takes_in_what_was_kept_where_it_goes),
        with_store(a_file_or_a_child_moves_onto_a_kept_folder),
        with_store(nothing_moves_into_a_folder_that_is_gone),
        with_store(the_owner_may_chmod_here),
        with_store(what_could_not_be_synced_is_missing_again),
        with_store(after_a_power_cut_what_the_journal_says_has_come_is_asked_for),
        with_store(who_comes_while_one_leaves_has_the_store_after_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
