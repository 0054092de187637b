/* SPDX-License-Identifier: MIT */
/* A store with one paired link, what programs do in its outbox and what its peer does in its inbox,
 * for tests that include cmocka. */
#ifndef FTX_TESTS_STORE_BOX_H
#define FTX_TESTS_STORE_BOX_H

#include "fs/store/inbox.h"
#include "fs/store/ops.h"
#include "fs/store/outbox.h"
#include "fs/store/outgoing.h"
#include "fs/store/tree.h"
#include "tests/store/support.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

struct box_test {
    struct scratch scratch;
    struct ftx_store *store;
    struct ftx_link *link;
    uint64_t out, in; /* the link's folders */
    uint64_t op;      /* the peer's last */
    uint64_t told;    /* ours, up to this one, were looked at */
};

static inline void box_on_row(void *ctx, int err)
{
    (void)ctx;
    assert_int_equal(err, 0);
}

static inline void box_open(struct box_test *t)
{
    char room[512];
    struct ftx_link_row row;
    uint64_t folder;
    assert_int_equal(ftx_store_open(t->scratch.path, room, sizeof room, &t->store), 0);
    if (ftx_link_get(t->store, 1, &row)) {
        assert_int_equal(ftx_link_arm(t->store, FTX_OUTBOX, "7-boxes", 7, &folder), 0);
        assert_int_equal(ftx_link_get(t->store, 1, &row), 0);
        row.state = FTX_LINK_PAIRED;
        row.enrolled = true;
        assert_int_equal(ftx_link_put(t->store, &row, box_on_row, NULL), 0);
        assert_int_equal(ftx_store_sync(t->store), 0);
    }
    t->link = ftx_link_find(t->store, 1);
    t->out = t->link->folders[FTX_OUTBOX]->id;
    t->in = t->link->folders[FTX_INBOX]->id;
}

static inline void box_close(struct box_test *t)
{
    if (t->store)
        ftx_store_close(t->store);
    t->store = NULL;
}

static inline void box_reopen(struct box_test *t)
{
    box_close(t);
    box_open(t);
}

static inline int box_setup(void **state)
{
    struct box_test *t = calloc(1, sizeof *t);
    *state = t;
    if (!t || scratch_open(&t->scratch))
        return -1;
    box_open(t);
    return 0;
}

static inline int box_teardown(void **state)
{
    struct box_test *t = *state;
    box_close(t);
    int rc = scratch_close(&t->scratch);
    free(t);
    return rc;
}

/* Runs `body` in a child that is gone before its database can be written: the journal has it. */
static inline void box_killed(struct box_test *t, void (*body)(struct box_test *t))
{
    box_close(t);
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        box_open(t);
        struct rlimit limit = {.rlim_cur = 4 << 10, .rlim_max = RLIM_INFINITY};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        body(t);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static inline struct ftx_item *box_item(struct box_test *t, uint64_t id)
{
    return ftx_item_find(&t->store->index, id);
}

/* -- programs: what they make in the outbox, and what the peer is told of it -- */

static inline uint64_t we_make(struct box_test *t, uint64_t parent, const char *name,
                               enum ftx_kind kind)
{
    uint64_t id = 0;
    assert_int_equal(ftx_outbox_make(t->store, parent, name, strlen(name), kind, 0755,
                                     kind == FTX_SYMLINK ? "t" : NULL, kind == FTX_FILE, &id),
                     0);
    return id;
}

static inline void we_close(struct box_test *t, uint64_t id)
{
    assert_int_equal(ftx_outbox_flush(t->store, id, false), 0);
    ftx_outbox_release(t->store, id, true);
}

/* A closed file that holds its name. */
static inline uint64_t we_make_file(struct box_test *t, uint64_t parent, const char *name)
{
    uint64_t id = we_make(t, parent, name, FTX_FILE);
    assert_int_equal(ftx_outbox_write(t->store, id, name, strlen(name), 0), 0);
    we_close(t, id);
    return id;
}

/* The operations that came since the last call, as text: kind and name. */
static inline void assert_ops(struct box_test *t, const char *expected)
{
    static uint8_t room[FTX_OP_MAX];
    static const char *const kinds[] = {
        [FTX_OP_MAKE] = "make",    [FTX_OP_MOVE] = "move",   [FTX_OP_ATTR] = "attr",
        [FTX_OP_DROP] = "drop",    [FTX_OP_XATTR] = "xattr", [FTX_OP_HALT] = "halt",
        [FTX_OP_CANCEL] = "cancel"};
    char text[512] = "";
    while (t->told < t->link->op_next - 1) {
        struct ftx_op op;
        size_t size = ftx_outgoing_op(t->store, t->link, ++t->told, room), used = strlen(text);
        assert_int_equal(ftx_op_decode(room, size, &op), 0);
        snprintf(text + used, sizeof text - used, "%s %.*s, ", kinds[op.kind], (int)op.name_size,
                 op.name ? op.name : "");
    }
    assert_string_equal(text, expected);
}

static inline void assert_state_of(struct box_test *t, uint64_t id, const char *expected)
{
    char text[64] = "";
    assert_true(ftx_tree_xattr(t->store, id, "state", text, sizeof text) > 0);
    assert_string_equal(text, expected);
}

/* What the loop does with sendings that are finished. */
static inline void forget_finished(struct box_test *t)
{
    bool finished;
    for (struct ftx_sending *s; (s = ftx_outgoing_due(t->store, t->link, &finished));)
        if (finished)
            ftx_outgoing_forget(t->store, s);
}

/* -- the peer: operations and contents for the inbox -- */

static inline uint8_t peer_does(struct box_test *t, const struct ftx_op *op)
{
    uint8_t bytes[FTX_OP_ENCODED_MAX], refused;
    uint64_t entry, item;
    size_t size = ftx_op_encode(op, bytes);
    assert_int_equal(ftx_inbox_apply(t->store, t->link, ++t->op, bytes, size, FTX_LINKS_SAFE,
                                     &entry, &item, &refused),
                     0);
    return refused;
}

static inline uint8_t peer_makes(struct box_test *t, uint64_t item, uint64_t parent,
                                 enum ftx_kind what, const char *name)
{
    return peer_does(t, &(struct ftx_op){.kind = FTX_OP_MAKE,
                                         .item = item,
                                         .parent = parent,
                                         .what = (uint8_t)what,
                                         .mode = 0755,
                                         .name = name,
                                         .name_size = strlen(name),
                                         .target = what == FTX_SYMLINK ? "t" : NULL,
                                         .target_size = what == FTX_SYMLINK});
}

static inline uint8_t peer_moves(struct box_test *t, uint64_t item, uint64_t parent,
                                 const char *name)
{
    return peer_does(t, &(struct ftx_op){.kind = FTX_OP_MOVE,
                                         .item = item,
                                         .parent = parent,
                                         .name = name,
                                         .name_size = strlen(name)});
}

static inline uint8_t peer_drops(struct box_test *t, uint64_t item)
{
    return peer_does(t, &(struct ftx_op){.kind = FTX_OP_DROP, .item = item});
}

/* Returns the item that has them now: the file, or its next version. */
static inline uint64_t peer_sends(struct box_test *t, uint64_t stream, uint32_t version,
                                  uint64_t offset, const char *bytes)
{
    struct ftx_extent extent = {.stream = stream,
                                .version = version,
                                .offset = offset,
                                .length = strlen(bytes),
                                .kind = FTX_EXTENT_DATA};
    uint64_t item, object, entry;
    assert_int_equal(ftx_inbox_begin(t->store, t->link, &extent, &item, &object), 0);
    int fd = ftx_object_open(&t->store->objects, object, O_WRONLY | O_CREAT);
    assert_int_equal(ftx_object_write(fd, bytes, strlen(bytes), offset), 0);
    close(fd);
    assert_int_equal(ftx_inbox_wrote(t->store, item, &extent, 0, &entry), 0);
    return item;
}

static inline struct ftx_plan_seal peer_seal(uint64_t stream, uint32_t version, uint64_t size)
{
    struct ftx_plan_seal seal = {.stream = stream, .version = version, .size = size};
    seal.attributes_size = ftx_seal_attr_encode(0644, 1, seal.attributes);
    return seal;
}

/* All that the seal speaks of has come: the version is complete. */
static inline void peer_completes(struct box_test *t, uint64_t stream, uint32_t version,
                                  uint64_t size)
{
    struct ftx_plan_seal seal = peer_seal(stream, version, size);
    struct ftx_seal_check check;
    uint64_t entry;
    assert_int_equal(ftx_inbox_seal_comes(t->store, t->link, &seal), 0);
    assert_int_equal(ftx_inbox_seal(t->store, t->link, &seal, &check), 0);
    assert_int_equal(check.n, 0);
    assert_int_equal(ftx_inbox_complete(t->store, t->link, &seal, check.item, &entry), 0);
}

/* A file that is complete and holds `bytes`. */
static inline void peer_delivers(struct box_test *t, uint64_t item, uint64_t parent,
                                 const char *name, const char *bytes)
{
    assert_int_equal(peer_makes(t, item, parent, FTX_FILE, name), 0);
    peer_sends(t, item, 1, 0, bytes);
    peer_completes(t, item, 1, strlen(bytes));
}

/* The inbox's item of the peer's number. */
static inline struct ftx_item *of_peer(struct box_test *t, uint64_t number)
{
    return ftx_item_find_remote(&t->store->index, t->link, number);
}

/* What stands in the inbox at the path, NULL: nothing. */
static inline struct ftx_item *in_inbox(struct box_test *t, const char *path)
{
    struct ftx_item *item = t->link->folders[FTX_INBOX];
    while (item && *path) {
        size_t n = strcspn(path, "/");
        item = ftx_item_lookup(&t->store->index, item, path, n);
        path += n + (path[n] == '/');
    }
    return item;
}

#endif
