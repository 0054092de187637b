/* SPDX-License-Identifier: MIT */
/* Groups: one folder, several members, each at its own speed. The members' peers are played here:
 * what an extent brings is written where it belongs. */
#include "fs/store/digest.h"
#include "fs/store/fetch.h"
#include "fs/store/group.h"
#include "fs/store/link_job.h"
#include "fs/store/mirror.h"
#include "fs/store/ops.h"
#include "fs/store/outbox.h"
#include "fs/store/outgoing.h"
#include "fs/store/peer_digest.h"
#include "fs/store/release.h"
#include "fs/store/steer.h"
#include "fs/store/tree.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/store/support.h"

enum { MEMBERS = 3, CELL = 1 << 20, SIZE = 2 * CELL + 777 };

struct group_test {
    struct scratch scratch;
    struct ftx_store *store;
    struct ftx_link *group, *links[MEMBERS];
    uint64_t folder; /* outbox/team */
    uint8_t bytes[SIZE];
    uint8_t arrived[MEMBERS][SIZE]; /* of the file `f` */
    uint64_t arrived_size[MEMBERS];
};

static const char *const codes[MEMBERS] = {"1-alice", "2-bobby", "3-carol"};

static struct ftx_word word(const char *text)
{
    return (struct ftx_word){text, strlen(text)};
}

static int change(struct group_test *t, enum ftx_group_how how, size_t first, size_t n)
{
    struct ftx_word name = word("team"), members[MEMBERS];
    for (size_t i = 0; i < n; i++)
        members[i] = word(codes[first + i]);
    int err = ftx_group_change(t->store, &name, how, members, n);
    t->group = ftx_link_find_name(t->store, "team", 4);
    t->folder = t->group && t->group->folders[FTX_OUTBOX] ? t->group->folders[FTX_OUTBOX]->id : 0;
    return err;
}

static void open_store(struct group_test *t)
{
    char message[512];
    assert_int_equal(ftx_store_open(t->scratch.path, message, sizeof message, &t->store), 0);
    for (size_t i = 0; i < MEMBERS; i++)
        t->links[i] = ftx_link_find_name(t->store, codes[i], strlen(codes[i]));
    t->group = ftx_link_find_name(t->store, "team", 4);
    t->folder = t->group ? t->group->folders[FTX_OUTBOX]->id : 0;
}

static int setup(void **state)
{
    struct group_test *t = calloc(1, sizeof *t);
    uint64_t folder, seed = 5;
    *state = t;
    if (!t || scratch_open(&t->scratch))
        return -1;
    open_store(t);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(ftx_link_arm(t->store, FTX_OUTBOX, codes[i], strlen(codes[i]), &folder),
                         0);
    for (size_t i = 0; i < SIZE; i++)
        t->bytes[i] = (uint8_t)next_random(&seed);
    ftx_store_close(t->store);
    open_store(t);
    assert_int_equal(change(t, FTX_GROUP_SET, 0, 2), 0);
    return 0;
}

static int teardown(void **state)
{
    struct group_test *t = *state;
    if (t->store)
        ftx_store_close(t->store);
    int rc = scratch_close(&t->scratch);
    free(t);
    return rc;
}

static void restart(struct group_test *t)
{
    ftx_store_close(t->store);
    open_store(t);
    for (size_t i = 0; i < MEMBERS; i++)
        if (t->links[i])
            ftx_outgoing_restart(t->store, t->links[i]); /* a session begins */
}

static uint64_t make(struct group_test *t, uint64_t folder, const char *name, enum ftx_kind kind)
{
    uint64_t id = 0;
    assert_int_equal(ftx_outbox_make(t->store, folder, name, strlen(name), kind, 0644,
                                     kind == FTX_SYMLINK ? "f" : NULL, kind == FTX_FILE, &id),
                     0);
    return id;
}

static void write_range(struct group_test *t, uint64_t id, uint64_t offset, uint64_t end)
{
    for (uint64_t n; offset < end; offset += n) {
        n = end - offset < CELL ? end - offset : CELL;
        assert_int_equal(ftx_outbox_write(t->store, id, t->bytes + offset, n, offset), 0);
    }
}

static void close_file(struct group_test *t, uint64_t id)
{
    assert_int_equal(ftx_outbox_flush(t->store, id, false), 0);
    ftx_outbox_release(t->store, id, true);
}

static uint64_t make_file(struct group_test *t)
{
    uint64_t id = make(t, t->folder, "f", FTX_FILE);
    write_range(t, id, 0, SIZE);
    close_file(t, id);
    return id;
}

static struct ftx_item *item_of(struct group_test *t, uint64_t id)
{
    return ftx_item_find(&t->store->index, id);
}

static struct ftx_item *mirror_of(struct group_test *t, uint64_t id, size_t member)
{
    return ftx_mirror_of(t->store, item_of(t, id), t->links[member]);
}

static const char *xattr_of(struct group_test *t, uint64_t id, const char *name)
{
    static char text[256];
    int n = ftx_tree_xattr(t->store, id, name, text, sizeof text);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

/* The member's peer takes what there is; false: all of it but the seal. */
static void take(struct group_test *t, size_t member, struct ftx_sending *sending)
{
    static uint8_t room[CELL];
    struct ftx_source source;
    while (ftx_outgoing_extent(t->store, sending, CELL, 1, &source) == 0) {
        uint64_t end = source.extent.offset + source.extent.length;
        assert_true(end <= SIZE);
        memset(room, 0, source.extent.length);
        if (source.extent.kind == FTX_SEGMENT_DATA)
            assert_int_equal(ftx_outgoing_read(t->store, &source, room), 0);
        memcpy(t->arrived[member] + source.extent.offset, room, source.extent.length);
        assert_int_equal(ftx_outgoing_received(t->store, t->links[member], &source.extent, 1), 0);
        assert_int_equal(ftx_outgoing_durable(t->store, t->links[member], &source.extent, 1), 0);
    }
}

/* ... and acknowledges what is sealed; what is finished is let go of, as the loop does. */
static void deliver(struct group_test *t, size_t member)
{
    struct ftx_link *link = t->links[member];
    struct ftx_plan_seal seal;
    bool finished;
    assert_int_equal(ftx_store_sync(t->store), 0);
    assert_int_equal(ftx_outgoing_ops_durable(t->store, link, link->op_next - 1), 0);
    for (struct ftx_sending *s; (s = ftx_outgoing_due(t->store, link, &finished));) {
        if (finished) {
            ftx_outgoing_forget(t->store, s);
            continue;
        }
        take(t, member, s);
        if (!ftx_outgoing_seal(t->store, s, 1, UINT64_MAX, &seal))
            continue;
        t->arrived_size[member] = seal.size;
        assert_int_equal(ftx_outgoing_delivered(t->store, link, seal.stream, seal.version), 0);
    }
}

static void assert_arrived(struct group_test *t, size_t member, uint64_t size)
{
    assert_int_equal(t->arrived_size[member], size);
    assert_memory_equal(t->arrived[member], t->bytes, size);
}

static void each_member_gets_it_at_its_own_speed(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make_file(t);
    assert_string_equal(xattr_of(t, id, "state"), "queued");
    deliver(t, 0);
    assert_arrived(t, 0, SIZE);
    assert_int_equal(item_of(t, id)->state, FTX_ITEM_CLOSED);
    assert_int_equal(item_of(t, id)->as.sending->pending.bytes, SIZE);
    assert_string_equal(xattr_of(t, id, "state"), "queued");
    assert_string_equal(xattr_of(t, id, "members"), "1-alice=delivered 2-bobby=queued");
    deliver(t, 1);
    assert_arrived(t, 1, SIZE);
    assert_int_equal(item_of(t, id)->state, FTX_ITEM_DELIVERED);
    assert_null(item_of(t, id)->as.sending);
    assert_string_equal(xattr_of(t, id, "state"), "delivered");
    assert_string_equal(xattr_of(t, id, "progress"), "2097929/2097929");
}

static void mirrors_have_no_bytes_of_their_own(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make_file(t);
    struct ftx_attr attr;
    assert_true(item_of(t, id)->object != 0);
    for (size_t i = 0; i < 2; i++) {
        struct ftx_item *mirror = mirror_of(t, id, i);
        assert_int_equal(mirror->object, 0);
        assert_int_equal(ftx_tree_attr(t->store, mirror->id, &attr), 0);
        assert_true(attr.size == SIZE && attr.bytes_here == 0);
    }
}

static void what_is_written_again_goes_to_all(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make_file(t);
    deliver(t, 0);
    deliver(t, 1);
    assert_int_equal(ftx_outbox_open(t->store, id, true, false), 0);
    memset(t->bytes + 100, 'x', 50);
    write_range(t, id, 100, 150);
    assert_string_equal(xattr_of(t, id, "state"), "writing");
    close_file(t, id);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(mirror_of(t, id, i)->as.sending->pending.bytes, 50);
        deliver(t, i);
        assert_arrived(t, i, SIZE);
    }
    assert_int_equal(item_of(t, id)->state, FTX_ITEM_DELIVERED);
    assert_int_equal(ftx_outbox_truncate(t->store, id, 1000), 0);
    assert_int_equal(mirror_of(t, id, 1)->size, 1000);
    deliver(t, 0);
    deliver(t, 1);
    assert_arrived(t, 0, 1000);
    assert_arrived(t, 1, 1000);
    assert_int_equal(item_of(t, id)->state, FTX_ITEM_DELIVERED);
}

static void bytes_leave_while_it_is_written(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make(t, t->folder, "f", FTX_FILE);
    write_range(t, id, 0, CELL + 10);
    assert_int_equal(ftx_store_sync(t->store), 0);
    take(t, 0, mirror_of(t, id, 0)->as.sending);
    assert_memory_equal(t->arrived[0], t->bytes, CELL);
    (void)ftx_outbox_settle(t->store, INT64_MAX);
    take(t, 0, mirror_of(t, id, 0)->as.sending);
    assert_memory_equal(t->arrived[0], t->bytes, CELL + 10);
    assert_int_equal(mirror_of(t, id, 0)->as.sending->pending.count, 0);
    assert_int_equal(item_of(t, id)->as.sending->pending.bytes, CELL + 10);
    write_range(t, id, CELL + 10, SIZE);
    close_file(t, id);
    deliver(t, 1);
    deliver(t, 0);
    assert_arrived(t, 0, SIZE);
    assert_arrived(t, 1, SIZE);
    assert_int_equal(item_of(t, id)->state, FTX_ITEM_DELIVERED);
}

static void the_tree_is_the_same_for_each_member(void **state)
{
    struct group_test *t = *state;
    uint64_t a = make(t, t->folder, "a", FTX_FOLDER), b = make(t, a, "b", FTX_FOLDER);
    uint64_t link = make(t, b, "l", FTX_SYMLINK), f = make(t, b, "f", FTX_FILE);
    close_file(t, f);
    const uint16_t mode = 0600;
    assert_int_equal(ftx_outbox_set_attr(t->store, f, &mode, NULL), 0);
    const struct ftx_xattr xattr = {.name = "k", .name_size = 1, .value = "v", .value_size = 1};
    assert_int_equal(ftx_outbox_set_xattr(t->store, f, &xattr, FTX_XATTR_ANY), 0);
    assert_int_equal(ftx_outbox_rename(t->store, a, "b", 1, t->folder, "c", 1, 0), 0);
    for (size_t i = 0; i < 2; i++) {
        struct ftx_item *mirror = mirror_of(t, f, i);
        assert_string_equal(mirror->parent->name, "c");
        assert_true(mirror->parent->parent == mirror_of(t, t->folder, i));
        assert_true(mirror->mode == 0600 && mirror->xattrs);
        assert_string_equal(mirror_of(t, link, i)->as.target, "f");
        assert_true(ftx_mirror_origin(t->store, mirror) == item_of(t, f));
    }
    assert_int_equal(ftx_outbox_remove(t->store, b, "l", 1, false), 0);
    assert_int_equal(ftx_outbox_remove(t->store, t->folder, "a", 1, true), 0);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(ftx_folder_count(mirror_of(t, t->folder, i)), 1);
}

static void programs_do_not_change_mirrors(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make_file(t), other, out = t->links[0]->folders[FTX_OUTBOX]->id;
    struct ftx_item *mirror = mirror_of(t, id, 0), *top = mirror->parent;
    const uint16_t mode = 0600;
    assert_int_equal(ftx_outbox_open(t->store, mirror->id, true, false), -EPERM);
    assert_int_equal(ftx_outbox_open(t->store, mirror->id, false, false), -EPERM);
    assert_int_equal(ftx_outbox_truncate(t->store, mirror->id, 0), -EPERM);
    assert_int_equal(ftx_outbox_set_attr(t->store, mirror->id, &mode, NULL), -EPERM);
    assert_int_equal(ftx_outbox_remove(t->store, top->id, "f", 1, false), -EPERM);
    assert_int_equal(ftx_outbox_remove(t->store, out, "team", 4, true), -EPERM);
    assert_int_equal(ftx_outbox_rename(t->store, out, "team", 4, out, "x", 1, 0), -EPERM);
    assert_int_equal(ftx_outbox_rename(t->store, top->id, "f", 1, out, "x", 1, 0), -EPERM);
    assert_int_equal(
        ftx_outbox_make(t->store, top->id, "x", 1, FTX_FOLDER, 0755, NULL, false, &other), -EPERM);
    other = make(t, out, "own", FTX_FILE);
    close_file(t, other);
    assert_int_equal(ftx_outbox_rename(t->store, out, "own", 3, top->id, "x", 1, 0), -EPERM);
    assert_int_equal(ftx_outbox_rename(t->store, out, "own", 3, t->folder, "x", 1, 0), -EXDEV);
}

static void who_joins_late_gets_everything(void **state)
{
    struct group_test *t = *state;
    uint64_t d = make(t, t->folder, "d", FTX_FOLDER), id = make_file(t);
    deliver(t, 0);
    deliver(t, 1);
    assert_int_equal(change(t, FTX_GROUP_ADD, 2, 1), 0);
    assert_int_equal(item_of(t, id)->state, FTX_ITEM_CLOSED);
    assert_non_null(mirror_of(t, d, 2));
    assert_string_equal(xattr_of(t, id, "members"),
                        "1-alice=delivered 2-bobby=delivered 3-carol=queued");
    restart(t);
    id = mirror_of(t, t->folder, 2)
             ? ftx_item_lookup(&t->store->index, item_of(t, t->folder), "f", 1)->id
             : 0;
    deliver(t, 2);
    assert_arrived(t, 2, SIZE);
    assert_int_equal(item_of(t, id)->state, FTX_ITEM_DELIVERED);
}

static void who_joins_while_it_is_written_gets_the_end_too(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make(t, t->folder, "f", FTX_FILE);
    write_range(t, id, 0, CELL + 5);
    assert_int_equal(change(t, FTX_GROUP_ADD, 2, 1), 0);
    assert_int_equal(mirror_of(t, id, 2)->state, FTX_ITEM_WRITING);
    write_range(t, id, CELL + 5, SIZE);
    close_file(t, id);
    for (size_t i = 0; i < 3; i++) {
        deliver(t, i);
        assert_arrived(t, i, SIZE);
    }
    assert_int_equal(item_of(t, id)->state, FTX_ITEM_DELIVERED);
}

/* The row of who joins is there before anything else is. */
static void what_a_kill_left_of_a_join_is_done_at_the_start(void **state)
{
    struct group_test *t = *state;
    make(t, make(t, t->folder, "d", FTX_FOLDER), "e", FTX_FOLDER);
    make_file(t);
    deliver(t, 0);
    deliver(t, 1);
    pthread_mutex_lock(&t->store->lock);
    assert_int_equal(ftx_link_job_member(t->store, t->group->row.id, t->links[2]->row.id, true), 0);
    pthread_mutex_unlock(&t->store->lock);
    restart(t);
    assert_int_equal(t->group->n_members, 3);
    assert_int_equal(ftx_folder_count(mirror_of(t, t->folder, 2)), 2);
    deliver(t, 2);
    assert_arrived(t, 2, SIZE);
}

static void who_leaves_holds_nobody_up(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make_file(t);
    deliver(t, 0);
    assert_int_equal(change(t, FTX_GROUP_REMOVE, 1, 1), 0);
    assert_int_equal(item_of(t, id)->state, FTX_ITEM_DELIVERED);
    assert_int_equal(ftx_folder_count(t->links[1]->folders[FTX_OUTBOX]), 0);
    restart(t);
    assert_int_equal(t->group->n_members, 1);
    assert_int_equal(t->links[1]->n_groups, 0);
    deliver(t, 1);
    assert_true(ftx_list_empty(&t->links[1]->sendings));
}

static void who_refuses_holds_nobody_up(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make_file(t);
    assert_int_equal(ftx_outgoing_refused(t->store, t->links[0], ftx_item_wire(mirror_of(t, id, 0)),
                                          FTX_REFUSED_SIZE),
                     0);
    assert_int_equal(item_of(t, id)->state, FTX_ITEM_CLOSED);
    deliver(t, 1);
    assert_int_equal(item_of(t, id)->state, FTX_ITEM_DELIVERED);
    assert_string_equal(xattr_of(t, id, "state"), "refused");
    assert_string_equal(xattr_of(t, id, "members"), "1-alice=refused 2-bobby=delivered");
    assert_int_equal(ftx_outbox_delivered(t->store, id), -EPERM);
    assert_int_equal(ftx_link_retry(t->store, "team", 4), 0);
    assert_int_equal(item_of(t, id)->state, FTX_ITEM_CLOSED);
    deliver(t, 0);
    assert_arrived(t, 0, SIZE);
    assert_string_equal(xattr_of(t, id, "state"), "delivered");
}

static void what_all_refuse_is_refused_until_it_is_written_again(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make_file(t);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(ftx_outgoing_refused(t->store, t->links[i],
                                              ftx_item_wire(mirror_of(t, id, i)),
                                              FTX_REFUSED_DELETED),
                         0);
    assert_int_equal(item_of(t, id)->state, FTX_ITEM_REFUSED);
    deliver(t, 0);
    assert_int_equal(ftx_outbox_open(t->store, id, true, false), 0);
    write_range(t, id, 0, 10);
    close_file(t, id);
    for (size_t i = 0; i < 2; i++) {
        deliver(t, i);
        assert_arrived(t, i, SIZE);
    }
    assert_int_equal(item_of(t, id)->state, FTX_ITEM_DELIVERED);
}

/* What the member is told from operation `first` on: kind and name of each. */
static void assert_told(struct group_test *t, size_t member, uint64_t first, const char *expected)
{
    static uint8_t room[FTX_OP_MAX];
    char text[128] = "";
    for (uint64_t n = first; n < t->links[member]->op_next; n++) {
        struct ftx_op op;
        size_t size = ftx_outgoing_op(t->store, t->links[member], n, room), used = strlen(text);
        assert_int_equal(ftx_op_decode(room, size, &op), 0);
        snprintf(text + used, sizeof text - used, "%s %.*s, ",
                 op.kind == FTX_OP_MAKE ? "make" : "other", (int)op.name_size,
                 op.name ? op.name : "");
    }
    assert_string_equal(text, expected);
}

static void refuse(struct group_test *t, uint64_t id, size_t member, enum ftx_refusal reason)
{
    uint64_t wire = ftx_item_wire(mirror_of(t, id, member));
    assert_int_equal(ftx_outgoing_refused(t->store, t->links[member], wire, (uint8_t)reason), 0);
}

static void who_removed_the_folder_gets_what_is_put_there_later(void **state)
{
    struct group_test *t = *state;
    uint64_t inner = make(t, t->folder, "d", FTX_FOLDER), old = make_file(t);
    for (size_t i = 0; i < 2; i++)
        deliver(t, i);
    refuse(t, inner, 0, FTX_REFUSED_DELETED);
    refuse(t, t->folder, 0, FTX_REFUSED_DELETED);
    uint64_t alice = t->links[0]->op_next, bobby = t->links[1]->op_next;
    assert_string_equal(xattr_of(t, old, "state"), "delivered");
    assert_int_equal(ftx_outbox_rename(t->store, t->folder, "f", 1, inner, "f", 1, 0), 0);
    assert_told(t, 0, alice, "make team, make d, other f, ");
    assert_told(t, 1, bobby, "other f, ");
    uint64_t id = make_file(t);
    assert_told(t, 0, alice, "make team, make d, other f, make f, ");
    for (size_t i = 0; i < 2; i++) {
        memset(t->arrived[i], 0, SIZE);
        deliver(t, i);
        assert_arrived(t, i, SIZE);
    }
    assert_string_equal(xattr_of(t, id, "members"), "1-alice=delivered 2-bobby=delivered");
}

static void who_removed_the_folder_unseen_is_offered_the_file_again(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make_file(t), wire = ftx_item_wire(mirror_of(t, id, 0));
    uint64_t alice = t->links[0]->op_next, bobby = t->links[1]->op_next;
    deliver(t, 1);
    refuse(t, id, 0, FTX_REFUSED_FOLDER);
    assert_told(t, 0, alice, "make team, other , make f, ");
    assert_told(t, 1, bobby, "");
    assert_int_not_equal(ftx_item_wire(mirror_of(t, id, 0)), wire);
    assert_string_equal(xattr_of(t, id, "members"), "1-alice=queued 2-bobby=delivered");
    deliver(t, 0);
    assert_arrived(t, 0, SIZE);
    assert_string_equal(xattr_of(t, id, "state"), "delivered");
}

/* ... and all that one has is sent to it anew, though the others only need what changed. */
static void who_removed_what_is_written_again_gets_all_of_it(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make_file(t);
    for (size_t i = 0; i < 2; i++)
        deliver(t, i);
    assert_int_equal(ftx_outbox_open(t->store, id, true, true), 0);
    write_range(t, id, 0, CELL);
    memset(t->arrived[0], 0, SIZE);
    refuse(t, id, 0, FTX_REFUSED_DELETED);
    deliver(t, 0);
    write_range(t, id, CELL, SIZE);
    close_file(t, id);
    for (size_t i = 0; i < 2; i++) {
        deliver(t, i);
        assert_arrived(t, i, SIZE);
    }
    assert_string_equal(xattr_of(t, id, "members"), "1-alice=delivered 2-bobby=delivered");
}

static void a_member_is_asked_about_its_mirror(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make_file(t);
    struct ftx_digest_key key, own;
    const struct ftx_item *mirror = mirror_of(t, id, 0);
    assert_int_equal(ftx_peer_digest_ask(t->store, mirror->id), -EBUSY);
    for (size_t i = 0; i < 2; i++)
        deliver(t, i);
    assert_int_equal(ftx_peer_digest_ask(t->store, id), -ENODATA); /* of whom? */
    assert_int_equal(ftx_peer_digest_ask(t->store, mirror->id), 0);
    assert_int_equal(t->links[0]->n_questions, 1);
    ftx_peer_digest_leave(t->store, mirror->id);
    uint64_t wire = ftx_item_wire(mirror);
    assert_int_equal(ftx_digest_key_of(t->store, t->links[0], wire, true, &key), 0);
    assert_int_equal(ftx_digest_key(t->store, mirror->id, &own), 0);
    assert_true(ftx_digest_key_same(&key, &own) && key.object == item_of(t, id)->object);
    assert_int_equal(ftx_outbox_open(t->store, id, true, false), 0);
    assert_int_equal(ftx_digest_key_of(t->store, t->links[0], wire, true, &key), -EAGAIN);
    assert_int_equal(ftx_peer_digest_ask(t->store, mirror->id), -EBUSY);
    ftx_outbox_release(t->store, id, true);
}

static void what_is_cancelled_for_one_goes_to_the_others(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make_file(t);
    assert_int_equal(ftx_item_cancel(t->store, mirror_of(t, id, 0)->id), 0);
    deliver(t, 0);
    deliver(t, 1);
    assert_int_equal(item_of(t, id)->state, FTX_ITEM_DELIVERED);
    assert_string_equal(xattr_of(t, id, "members"), "1-alice=cancelled 2-bobby=delivered");
    assert_int_equal(ftx_item_cancel(t->store, id), -EALREADY);
    assert_int_equal(ftx_link_retry(t->store, codes[0], strlen(codes[0])), 0);
    deliver(t, 0);
    assert_arrived(t, 0, SIZE);
    assert_string_equal(xattr_of(t, id, "state"), "delivered");
}

static void an_unpaired_member_is_none_any_more(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make_file(t);
    deliver(t, 1);
    assert_int_equal(ftx_link_unpair(t->store, codes[0], strlen(codes[0]), false), -EBUSY);
    assert_int_equal(ftx_link_unpair(t->store, codes[0], strlen(codes[0]), true), 0);
    assert_int_equal(t->group->n_members, 1);
    assert_int_equal(item_of(t, id)->state, FTX_ITEM_DELIVERED);
    restart(t);
    assert_int_equal(t->group->n_members, 1);
}

static void a_dissolved_group_is_gone(void **state)
{
    struct group_test *t = *state;
    make_file(t);
    assert_int_equal(ftx_group_dissolve(t->store, "team", 4, false), -EBUSY);
    assert_int_equal(ftx_group_dissolve(t->store, "team", 4, true), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(t->links[i]->n_groups, 0);
        assert_int_equal(ftx_folder_count(t->links[i]->folders[FTX_OUTBOX]), 0);
    }
    restart(t);
    assert_null(t->group);
    assert_int_equal(ftx_group_dissolve(t->store, "team", 4, true), -ENOENT);
}

static void wrong_names_change_nothing(void **state)
{
    struct group_test *t = *state;
    struct ftx_word alice = word(codes[0]), nobody = word("9-nobody"), bad = word("NO"),
                    team = word("team"), other = word("other");
    uint64_t own = make(t, t->links[2]->folders[FTX_OUTBOX]->id, "team", FTX_FOLDER);
    (void)own;
    assert_int_equal(change(t, FTX_GROUP_ADD, 0, 1), -EALREADY);
    assert_int_equal(change(t, FTX_GROUP_REMOVE, 2, 1), -EALREADY);
    assert_int_equal(change(t, FTX_GROUP_SET, 1, 2), -EEXIST);
    assert_int_equal(ftx_group_change(t->store, &bad, FTX_GROUP_SET, &alice, 1), -EINVAL);
    assert_int_equal(ftx_group_change(t->store, &alice, FTX_GROUP_SET, &alice, 1), -EEXIST);
    assert_int_equal(ftx_group_change(t->store, &other, FTX_GROUP_ADD, &alice, 1), -ENOENT);
    assert_int_equal(ftx_group_change(t->store, &other, FTX_GROUP_SET, &nobody, 1), -ENOENT);
    assert_int_equal(ftx_group_change(t->store, &other, FTX_GROUP_SET, &team, 1), -EOPNOTSUPP);
    assert_int_equal(t->group->n_members, 2);
    assert_null(ftx_link_find_name(t->store, "other", 5));
    assert_int_equal(ftx_link_pause(t->store, "team", 4, true), -EOPNOTSUPP);
    assert_int_equal(ftx_link_unpair(t->store, "team", 4, true), -EOPNOTSUPP);
    assert_int_equal(ftx_link_rename(t->store, "team", 4, "crew", 4), -EBUSY);
}

/* -- released bytes -- */

/* Until the database thread has released the file. */
static void wait_released(struct group_test *t, uint64_t id)
{
    double until_s = now_s() + 20;
    bool away = false;
    pthread_mutex_lock(&t->store->lock);
    t->store->spool.release_after_ms = 0;
    while (!away && now_s() < until_s) {
        pthread_cond_signal(&t->store->work);
        pthread_mutex_unlock(&t->store->lock);
        sched_yield();
        pthread_mutex_lock(&t->store->lock);
        away = item_of(t, id)->away && !item_of(t, id)->object;
    }
    t->store->spool.release_after_ms = INT32_MAX;
    pthread_mutex_unlock(&t->store->lock);
    assert_true(away);
}

/* The member's peer gives back what it is asked for, or says that it has none of it. False: it was
 * asked for nothing. */
static bool give_back(struct group_test *t, size_t member, bool gone)
{
    struct ftx_link *link = t->links[member];
    struct ftx_range range;
    uint64_t stream, item, object;
    bool any = false;
    while (ftx_fetch_next(t->store, link, &stream, &range)) {
        struct ftx_extent extent = {
            .stream = stream, .offset = range.offset, .length = range.length};
        any = true;
        ftx_fetch_answered(t->store, link, range.length, &extent);
        if (gone) {
            ftx_fetch_gone(t->store, link, &extent);
            continue;
        }
        if (ftx_fetch_begin(t->store, link, &extent, &item, &object))
            continue;
        int fd = ftx_object_open(&t->store->objects, object, O_RDWR | O_CREAT);
        assert_true(fd >= 0);
        assert_int_equal(
            ftx_object_write(fd, t->arrived[member] + range.offset, range.length, range.offset), 0);
        close(fd);
        ftx_fetch_wrote(t->store, item, &extent, 0);
    }
    return any;
}

/* A file that the first two have, and nobody here. */
static uint64_t make_released(struct group_test *t)
{
    uint64_t id = make_file(t);
    deliver(t, 0);
    assert_int_equal(item_of(t, id)->state, FTX_ITEM_CLOSED);
    deliver(t, 1);
    wait_released(t, id);
    for (size_t i = 0; i < MEMBERS; i++)
        ftx_fetch_restart(t->store, t->links[i]); /* sessions begin */
    return id;
}

static void who_joins_late_gets_what_was_released_from_another(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make_released(t);
    assert_int_equal(change(t, FTX_GROUP_ADD, 2, 1), 0);
    assert_int_equal(mirror_of(t, id, 2)->as.sending->pending.bytes, SIZE);
    assert_int_equal(item_of(t, id)->state, FTX_ITEM_CLOSED);
    assert_string_equal(xattr_of(t, id, "progress"), "0/2097929");
    do
        deliver(t, 2);
    while (give_back(t, 0, false) || give_back(t, 1, false));
    assert_arrived(t, 2, SIZE);
    assert_int_equal(item_of(t, id)->state, FTX_ITEM_DELIVERED);
    wait_released(t, id);
}

static void another_member_is_asked_for_what_one_has_no_more(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make_released(t);
    uint8_t room[16];
    assert_int_equal(ftx_outbox_open(t->store, id, false, false), 0);
    assert_int_equal(ftx_outbox_read(t->store, id, room, 16, CELL, true), -EAGAIN);
    assert_true(give_back(t, 0, true));
    assert_false(give_back(t, 1, false));
    assert_int_equal(ftx_outbox_read(t->store, id, room, 16, CELL, true), -EAGAIN);
    assert_true(give_back(t, 1, false));
    assert_int_equal(ftx_outbox_read(t->store, id, room, 16, CELL, true), 16);
    assert_memory_equal(room, t->bytes + CELL, 16);
    assert_int_equal(ftx_outbox_read(t->store, id, room, 16, 0, true), -EAGAIN);
    assert_true(give_back(t, 1, true));
    assert_int_equal(ftx_outbox_read(t->store, id, room, 16, 0, true), -ENODATA);
    ftx_outbox_release(t->store, id, false);
}

static void another_member_is_asked_when_one_goes_offline(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make_released(t);
    uint8_t room[16];
    assert_int_equal(ftx_outbox_open(t->store, id, false, false), 0);
    assert_int_equal(ftx_outbox_read(t->store, id, room, 16, 0, true), -EAGAIN);
    ftx_link_session_ended(t->store, t->links[0], "a cut", false);
    assert_int_equal(ftx_outbox_read(t->store, id, room, 16, 0, true), -EAGAIN);
    assert_false(give_back(t, 0, false));
    assert_true(give_back(t, 1, false));
    assert_int_equal(ftx_outbox_read(t->store, id, room, 16, 0, true), 16);
    ftx_outbox_release(t->store, id, false);
}

/* What others are said to have they may have removed: they are asked, for a byte of each file. */
static void who_leaves_leaves_behind_what_others_still_have(void **state)
{
    struct group_test *t = *state;
    make_released(t);
    assert_int_equal(change(t, FTX_GROUP_REMOVE, 0, 1), -EAGAIN);
    assert_int_equal(change(t, FTX_GROUP_REMOVE, 0, 1), -EAGAIN);
    assert_int_equal(t->links[1]->n_fetches, 1);
    assert_true(give_back(t, 1, true)); /* bobby removed it, unseen */
    assert_int_equal(change(t, FTX_GROUP_REMOVE, 0, 1), -EBUSY);
    assert_int_equal(ftx_link_unpair(t->store, codes[0], strlen(codes[0]), false), -EBUSY);
    assert_int_equal(change(t, FTX_GROUP_REMOVE, 1, 1), -EAGAIN); /* who has nothing of it */
    assert_true(give_back(t, 0, false));
    assert_int_equal(change(t, FTX_GROUP_REMOVE, 1, 1), 0);
    assert_int_equal(t->group->n_members, 1);
}

static void a_proof_of_yesterday_is_none(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make_released(t);
    assert_int_equal(ftx_link_unpair(t->store, codes[0], strlen(codes[0]), false), -EAGAIN);
    assert_true(give_back(t, 1, false));
    assert_true(item_of(t, id)->away); /* nothing came back for that */
    t->group->proven_ms -= 24 * 3600 * 1000;
    assert_int_equal(change(t, FTX_GROUP_REMOVE, 0, 1), -EAGAIN);
    ftx_link_session_ended(t->store, t->links[1], "a cut", false);
    assert_int_equal(change(t, FTX_GROUP_REMOVE, 0, 1), -EBUSY); /* nobody can be asked */
    ftx_fetch_restart(t->store, t->links[1]);
    t->group->proven_ms -= 24 * 3600 * 1000;
    assert_int_equal(change(t, FTX_GROUP_REMOVE, 0, 1), -EAGAIN);
    assert_true(give_back(t, 1, false));
    assert_int_equal(change(t, FTX_GROUP_REMOVE, 0, 1), 0);
}

static void who_alone_has_released_bytes_does_not_leave(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make_released(t);
    assert_int_equal(change(t, FTX_GROUP_REMOVE, 0, 1), -EAGAIN);
    assert_true(give_back(t, 1, false));
    assert_int_equal(change(t, FTX_GROUP_REMOVE, 0, 1), 0);
    assert_int_equal(change(t, FTX_GROUP_REMOVE, 1, 1), -EBUSY);
    assert_int_equal(ftx_link_unpair(t->store, codes[1], strlen(codes[1]), false), -EBUSY);
    assert_int_equal(change(t, FTX_GROUP_ADD, 0, 1), 0);
    assert_int_equal(change(t, FTX_GROUP_REMOVE, 1, 1), -EBUSY);
    restart(t);
    id = ftx_item_lookup(&t->store->index, item_of(t, t->folder), "f", 1)->id;
    assert_true(item_of(t, id)->away && item_of(t, id)->state == FTX_ITEM_CLOSED);
    for (size_t i = 0; i < MEMBERS; i++)
        ftx_fetch_restart(t->store, t->links[i]);
    memset(t->arrived[0], 0, SIZE);
    do
        deliver(t, 0);
    while (give_back(t, 1, false));
    assert_arrived(t, 0, SIZE);
    int err = change(t, FTX_GROUP_REMOVE, 1, 1); /* what came back for alice may be here still */
    assert_true(!err || (err == -EAGAIN && give_back(t, 0, false)));
    assert_true(!err || change(t, FTX_GROUP_REMOVE, 1, 1) == 0);
    assert_int_equal(ftx_group_dissolve(t->store, "team", 4, false), 0);
}

static void who_refused_gets_what_was_released_when_it_is_retried(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make_file(t);
    assert_int_equal(ftx_outgoing_refused(t->store, t->links[0], ftx_item_wire(mirror_of(t, id, 0)),
                                          FTX_REFUSED_SPACE),
                     0);
    deliver(t, 1);
    wait_released(t, id);
    for (size_t i = 0; i < MEMBERS; i++)
        ftx_fetch_restart(t->store, t->links[i]);
    assert_int_equal(ftx_link_retry(t->store, codes[0], strlen(codes[0])), 0);
    do
        deliver(t, 0);
    while (give_back(t, 1, false));
    assert_arrived(t, 0, SIZE);
    assert_string_equal(xattr_of(t, id, "state"), "delivered");
}

static void what_was_released_is_written_again_in_part(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make_released(t);
    assert_int_equal(change(t, FTX_GROUP_ADD, 2, 1), 0);
    assert_int_equal(ftx_outbox_open(t->store, id, true, false), 0);
    memset(t->bytes + CELL, 'y', 100);
    write_range(t, id, CELL, CELL + 100);
    close_file(t, id);
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < MEMBERS; i++)
            deliver(t, i);
        for (size_t i = 0; i < 2; i++)
            more |= give_back(t, i, false);
    }
    for (size_t i = 0; i < MEMBERS; i++)
        assert_arrived(t, i, SIZE);
    assert_int_equal(item_of(t, id)->state, FTX_ITEM_DELIVERED);
}

static void what_stays_here_is_told_to_nobody(void **state)
{
    struct group_test *t = *state;
    uint64_t id = make(t, t->folder, ".nfsf", FTX_FILE);
    write_range(t, id, 0, CELL + 3);
    close_file(t, id);
    assert_string_equal(xattr_of(t, id, "state"), "local");
    deliver(t, 0);
    assert_int_equal(t->arrived_size[0], 0);
    assert_int_equal(ftx_outbox_rename(t->store, t->folder, ".nfsf", 5, t->folder, "f", 1, 0), 0);
    deliver(t, 0);
    deliver(t, 1);
    assert_arrived(t, 0, CELL + 3);
    assert_arrived(t, 1, CELL + 3);
    assert_int_equal(item_of(t, id)->state, FTX_ITEM_DELIVERED);
}

int main(void)
{
#define GROUP(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        GROUP(each_member_gets_it_at_its_own_speed),
        GROUP(mirrors_have_no_bytes_of_their_own),
        GROUP(what_is_written_again_goes_to_all),
        GROUP(bytes_leave_while_it_is_written),
        GROUP(the_tree_is_the_same_for_each_member),
        GROUP(programs_do_not_change_mirrors),
        GROUP(who_joins_late_gets_everything),
        GROUP(who_joins_while_it_is_written_gets_the_end_too),
        GROUP(what_a_kill_left_of_a_join_is_done_at_the_start),
        GROUP(who_leaves_holds_nobody_up),
        GROUP(who_refuses_holds_nobody_up),
        GROUP(what_all_refuse_is_refused_until_it_is_written_again),
        GROUP(who_removed_the_folder_gets_what_is_put_there_later),
        GROUP(who_removed_the_folder_unseen_is_offered_the_file_again),
        GROUP(who_removed_what_is_written_again_gets_all_of_it),
        GROUP(a_member_is_asked_about_its_mirror),
        GROUP(what_is_cancelled_for_one_goes_to_the_others),
        GROUP(an_unpaired_member_is_none_any_more),
        GROUP(a_dissolved_group_is_gone),
        GROUP(wrong_names_change_nothing),
        GROUP(who_joins_late_gets_what_was_released_from_another),
        GROUP(another_member_is_asked_for_what_one_has_no_more),
        GROUP(another_member_is_asked_when_one_goes_offline),
        GROUP(who_leaves_leaves_behind_what_others_still_have),
        GROUP(a_proof_of_yesterday_is_none),
        GROUP(who_alone_has_released_bytes_does_not_leave),
        GROUP(who_refused_gets_what_was_released_when_it_is_retried),
        GROUP(what_was_released_is_written_again_in_part),
        GROUP(what_stays_here_is_told_to_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
