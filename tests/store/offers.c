/* SPDX-License-Identifier: MIT */
/* fs/store/offer, outgoing_offer: what waits for its owner at the one end, and is held at the other. */
#include "fs/store/change_log.h"
#include "fs/store/offer.h"
#include "fs/store/ops.h"
#include "fs/store/outbox.h"
#include "fs/store/outgoing.h"
#include "fs/store/steer.h"
#include "fs/store/tree.h"
#include "transport/base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/store/box.h"

static void set(struct box_test *t, enum ftx_setting setting, const char *text)
{
    struct ftx_setting_value value;
    assert_int_equal(ftx_setting_parse(setting, text, strlen(text), &value), 0);
    assert_int_equal(ftx_link_set(t->store, "7-boxes", 7, setting, &value), 0);
}

static int setup(void **state)
{
    if (box_setup(state))
        return -1;
    struct box_test *t = *state;
    set(t, FTX_SETTING_ACCEPT, "ask");
    ftx_offers_restart(t->store, t->link);
    return 0;
}

/* -- the peer -- */

static void make(struct box_test *t, uint64_t item, uint64_t parent, enum ftx_kind what,
                 const char *name)
{
    assert_int_equal(peer_makes(t, item, parent, what, name), 0);
}

static void move(struct box_test *t, uint64_t item, uint64_t parent, const char *name)
{
    assert_int_equal(peer_moves(t, item, parent, name), 0);
}

static uint64_t id_of(struct box_test *t, const char *path)
{
    char full[128];
    uint64_t id = 0;
    snprintf(full, sizeof full, "inbox/7-boxes/%s", path);
    assert_int_equal(ftx_path_find(t->store, full, strlen(full), &id), 0);
    return id;
}

static void assert_state(struct box_test *t, const char *path, const char *expected)
{
    assert_state_of(t, id_of(t, path), expected);
}

/* What the peer hears now: numbers that are taken, `-N` refused. */
static void assert_told(struct box_test *t, const char *expected)
{
    struct ftx_answer answer;
    char text[128] = "";
    while (ftx_answer_next(t->store, t->link, &answer)) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%u ", answer.refused ? "-" : "",
                 (unsigned)answer.remote);
        ftx_answer_told(t->store, t->link);
    }
    assert_string_equal(text, expected);
}

/* What a session begins with. */
static void assert_holds(struct box_test *t, const char *expected)
{
    char text[128] = "";
    uint64_t remote;
    ftx_offers_restart(t->store, t->link);
    while (ftx_offers_next(t->store, t->link, &remote)) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%u ", (unsigned)remote);
    }
    assert_string_equal(text, expected);
}

static int send(struct box_test *t, uint64_t item)
{
    struct ftx_extent extent = {
        .stream = item, .length = 4, .version = 1, .kind = FTX_EXTENT_DATA, .size_now = 4};
    uint64_t id, object, entry;
    int err = ftx_inbox_begin(t->store, t->link, &extent, &id, &object);
    return err ? err : ftx_inbox_wrote(t->store, id, &extent, 0, &entry);
}

/* -- at the receiver -- */

static void what_is_made_in_the_root_waits(void **state)
{
    struct box_test *t = *state;
    bool direct, keep;
    make(t, 1, 0, FTX_FILE, "file");
    make(t, 2, 0, FTX_FOLDER, "folder");
    make(t, 3, 2, FTX_FILE, "inside");
    make(t, 4, 0, FTX_SYMLINK, "link");
    static const char *const paths[] = {"file", "folder", "folder/inside", "link"};
    for (size_t i = 0; i < 4; i++)
        assert_state(t, paths[i], "offered");
    assert_told(t, "");
    assert_holds(t, "0 1 2 4 ");
    assert_int_equal(ftx_inbox_open(t->store, id_of(t, "folder/inside"), &direct, &keep), -EPERM);
    assert_int_equal(send(t, 1), FTX_EPROTO);
    assert_int_equal(send(t, 3), FTX_EPROTO);
    assert_int_equal(ftx_item_accept(t->store, id_of(t, "folder/inside")), -EINVAL);
    assert_int_equal(ftx_item_accept(t->store, t->out), -EOPNOTSUPP);
    assert_int_equal(ftx_item_accept(t->store, id_of(t, "folder")), 0);
    assert_int_equal(ftx_link_accept(t->store, "7-boxes", 7), 0);
    assert_int_equal(ftx_link_accept(t->store, "7-boxes", 7), -EALREADY);
    assert_told(t, "2 1 4 ");
    assert_state(t, "link", "complete");
    assert_state(t, "folder/inside", "arriving");
    assert_int_equal(send(t, 1), 0);
    assert_int_equal(send(t, 3), 0);
    make(t, 5, 2, FTX_FILE, "later");
    assert_int_equal(send(t, 5), 0);
    assert_holds(t, "0 ");
}

static void word_of_the_owner_goes_where_the_item_goes(void **state)
{
    struct box_test *t = *state;
    make(t, 1, 0, FTX_FOLDER, "taken");
    assert_int_equal(ftx_item_accept(t->store, id_of(t, "taken")), 0);
    make(t, 2, 1, FTX_FILE, "a");
    make(t, 3, 0, FTX_FOLDER, "open");
    make(t, 4, 3, FTX_FILE, "b");
    assert_told(t, "1 ");
    move(t, 2, 0, "a"); /* out of what was accepted */
    assert_state(t, "a", "arriving");
    move(t, 4, 0, "b"); /* out of what was not */
    assert_state(t, "b", "offered");
    assert_told(t, "2 ");
    move(t, 4, 0, "b2");
    assert_state(t, "b2", "offered");
    move(t, 4, 1, "b"); /* into what was accepted */
    assert_state(t, "taken/b", "arriving");
    move(t, 2, 3, "a"); /* into what was not */
    assert_state(t, "open/a", "offered");
    assert_told(t, "");
    assert_holds(t, "0 3 ");
    /* what comes instead of something accepted is accepted */
    make(t, 5, 0, FTX_FILE, ".temporary");
    move(t, 5, 0, "taken too");
    assert_state(t, "taken too", "offered");
    make(t, 6, 0, FTX_FILE, "taken too");
    assert_state(t, "taken too", "offered");
    assert_int_equal(ftx_item_accept(t->store, id_of(t, "taken too")), 0);
    make(t, 7, 0, FTX_FILE, "taken too");
    assert_state(t, "taken too", "arriving");
    assert_told(t, "6 7 ");
    make(t, 8, 0, FTX_FOLDER, "taken");
    assert_told(t, "8 ");
}

static void owner_moves_nothing_past_his_own_word(void **state)
{
    struct box_test *t = *state;
    make(t, 1, 0, FTX_FOLDER, "open");
    make(t, 2, 1, FTX_FILE, "a");
    uint64_t folder = id_of(t, "open");
    assert_int_equal(ftx_inbox_rename(t->store, folder, "a", 1, t->in, "a", 1, 0), -EPERM);
    assert_int_equal(ftx_inbox_rename(t->store, folder, "a", 1, folder, "b", 1, 0), 0);
    assert_int_equal(ftx_inbox_rename(t->store, t->in, "open", 4, t->in, "new", 3, 0), 0);
    assert_state(t, "new/b", "offered");
    make(t, 3, 0, FTX_FILE, "file");
    assert_int_equal(ftx_inbox_rename(t->store, t->in, "file", 4, folder, "file", 4, 0), -EPERM);
    assert_int_equal(ftx_inbox_remove(t->store, t->in, "file", 4, false), 0);
    assert_told(t, "-3 ");
}

/* x and y are accepted, z is not. */
static void make_folders(struct box_test *t)
{
    make(t, 1, 0, FTX_FOLDER, "x");
    make(t, 2, 0, FTX_FOLDER, "y");
    make(t, 3, 0, FTX_FOLDER, "z");
    assert_int_equal(ftx_item_accept(t->store, id_of(t, "x")), 0);
    assert_int_equal(ftx_item_accept(t->store, id_of(t, "y")), 0);
}

/* Its sender has it in what was accepted, and cannot know. */
static void what_the_owner_has_put_into_an_offer_goes_on(void **state)
{
    struct box_test *t = *state;
    make_folders(t);
    assert_int_equal(ftx_inbox_rename(t->store, t->in, "x", 1, id_of(t, "y"), "x", 1, 0), 0);
    move(t, 2, 3, "y");
    make(t, 4, 1, FTX_FILE, "f");
    make(t, 5, 2, FTX_FILE, "g");
    assert_state(t, "z/y/x/f", "offered");
    assert_int_equal(send(t, 4), 0);
    assert_int_equal(send(t, 5), FTX_EPROTO);
}

/* ... also its next version; not after a restart, when nobody knows. */
static void an_update_of_what_the_owner_has_put_into_an_offer_goes_on(void **state)
{
    struct box_test *t = *state;
    make_folders(t);
    make(t, 4, 1, FTX_FILE, "f");
    make(t, 5, 1, FTX_FILE, "g");
    peer_sends(t, 4, 1, 0, "one");
    peer_completes(t, 4, 1, 3);
    assert_int_equal(ftx_inbox_rename(t->store, id_of(t, "x"), "f", 1, id_of(t, "y"), "f", 1, 0),
                     0);
    assert_int_equal(ftx_inbox_rename(t->store, id_of(t, "x"), "g", 1, id_of(t, "y"), "g", 1, 0),
                     0);
    move(t, 2, 3, "y");
    peer_sends(t, 4, 2, 0, "T");
    peer_sends(t, 4, 2, 1, "WO");
    peer_completes(t, 4, 2, 3);
    assert_int_equal(of_peer(t, 4)->version, 2);
    peer_sends(t, 4, 3, 0, "3");
    assert_int_equal(send(t, 5), 0);
    box_reopen(t);
    assert_int_equal(send(t, 5), -EPERM);
}

/* What is given another name in an offer, by its owner or for want of the folder that its sender
 * moved it to, is no more accepted than before. */
static void a_new_name_accepts_nothing(void **state)
{
    struct box_test *t = *state;
    make(t, 1, 0, FTX_FOLDER, "open");
    make(t, 2, 1, FTX_FILE, "a");
    make(t, 3, 1, FTX_FOLDER, "d");
    make(t, 4, 3, FTX_FILE, "b");
    make(t, 5, 1, FTX_FOLDER, "e");
    make(t, 6, 5, FTX_FILE, "c");
    uint64_t folder = id_of(t, "open");
    assert_int_equal(ftx_inbox_rename(t->store, folder, "a", 1, folder, "A", 1, 0), 0);
    assert_int_equal(ftx_inbox_rename(t->store, folder, "d", 1, folder, "D", 1, 0), 0);
    assert_int_equal(peer_moves(t, 5, 99, "e"), FTX_REFUSED_FOLDER);
    make(t, 7, 3, FTX_FILE, "later");
    for (uint64_t item = 2; item < 8; item++)
        if (item % 2 == 0 || item == 7)
            assert_int_equal(send(t, item), -EPERM);
    struct ftx_plan_seal seal = peer_seal(2, 1, 0);
    struct ftx_seal_check check;
    seal.attributes_size = ftx_seal_attr_encode(0600, 77, seal.attributes);
    assert_int_equal(ftx_inbox_seal_comes(t->store, t->link, &seal), 0);
    assert_int_equal(ftx_inbox_seal(t->store, t->link, &seal, &check), -EPERM);
    assert_int_equal(ftx_item_accept(t->store, folder), 0);
    assert_int_equal(send(t, 2), 0);
    assert_int_equal(send(t, 7), 0);
}

/* The peer says only that: no content brings it. */
static void what_is_offered_is_as_large_as_it_is_there(void **state)
{
    struct box_test *t = *state;
    struct ftx_attr attr;
    make(t, 1, 0, FTX_FILE, "film");
    static const uint64_t sizes[] = {0, 7000, 100, 0, 5};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct ftx_extent size = {.stream = 1, .version = 1, .size_now = sizes[i]};
        assert_int_equal(ftx_inbox_resize(t->store, t->link, &size), 0);
        assert_int_equal(ftx_tree_attr(t->store, id_of(t, "film"), &attr), 0);
        assert_int_equal(attr.size, sizes[i]);
    }
    box_reopen(t);
    assert_int_equal(ftx_tree_attr(t->store, id_of(t, "film"), &attr), 0);
    assert_int_equal(attr.size, 5);
}

static void offers_and_answers_survive_a_restart(void **state)
{
    struct box_test *t = *state;
    make(t, 1, 0, FTX_FILE, "open");
    make(t, 2, 0, FTX_FOLDER, "no");
    make(t, 3, 2, FTX_FILE, "a");
    make(t, 4, 0, FTX_FOLDER, "yes");
    assert_int_equal(ftx_item_reject(t->store, id_of(t, "no")), 0);
    assert_int_equal(ftx_item_accept(t->store, id_of(t, "yes")), 0);
    assert_int_equal(ftx_item_accept(t->store, id_of(t, "no")), -EALREADY);
    box_reopen(t);
    assert_state(t, "open", "offered");
    assert_state(t, "no", "refused");
    assert_state(t, "yes", "complete");
    assert_holds(t, "0 1 2 ");
    assert_told(t, "-2 ");
    assert_holds(t, "0 1 ");
    set(t, FTX_SETTING_ACCEPT, "all");
    assert_told(t, "1 0 ");
    assert_state(t, "open", "arriving");
    assert_holds(t, "");
}

static void what_its_sender_takes_back_is_gone(void **state)
{
    struct box_test *t = *state;
    static const char *const names[] = {"file", "folder", "link"};
    uint64_t id;
    for (uint64_t i = 0; i < 3; i++) {
        make(t, 1 + i, 0, (enum ftx_kind)(FTX_FILE + i), names[i]);
        (void)peer_drops(t, 1 + i);
        char path[64];
        int n = snprintf(path, sizeof path, "inbox/7-boxes/%s", names[i]);
        assert_int_equal(ftx_path_find(t->store, path, (size_t)n, &id), -ENOENT);
    }
    assert_holds(t, "0 ");
    assert_told(t, "");
}

/* -- at the sender -- */

static uint64_t make_ours(struct box_test *t, uint64_t parent, const char *name, enum ftx_kind kind)
{
    uint64_t id = 0;
    assert_int_equal(ftx_outbox_make(t->store, parent, name, strlen(name), kind, 0644, NULL,
                                     kind == FTX_FILE, &id),
                     0);
    if (kind == FTX_FILE) {
        assert_int_equal(ftx_outbox_write(t->store, id, "x", 1, 0), 0);
        assert_int_equal(ftx_outbox_flush(t->store, id, false), 0);
        ftx_outbox_release(t->store, id, true);
    }
    return id;
}

/* What the engine gets when it asks for bytes of the file. */
static int asked(struct box_test *t, uint64_t id)
{
    struct ftx_source source;
    assert_int_equal(ftx_store_sync(t->store), 0);
    struct ftx_sending *sending = ftx_item_find(&t->store->index, id)->as.sending;
    int err = ftx_outgoing_extent(t->store, sending, 100, 1, &source);
    if (!err)
        ftx_outgoing_restart(t->store, t->link);
    return err;
}

static void nothing_leaves_of_what_is_held(void **state)
{
    struct box_test *t = *state;
    uint64_t known = make_ours(t, t->out, "known", FTX_FILE),
             other = make_ours(t, t->out, "other", FTX_FILE);
    assert_int_equal(ftx_outgoing_start(t->store, t->link, t->link->op_next - 1), 0);
    uint64_t fresh = make_ours(t, t->out, "fresh", FTX_FILE),
             folder = make_ours(t, t->out, "folder", FTX_FOLDER),
             inside = make_ours(t, folder, "inside", FTX_FILE);
    assert_int_equal(asked(t, fresh), 0);
    ftx_outgoing_holds(t->store, t->link, 0);
    ftx_outgoing_holds(t->store, t->link, other);
    uint64_t later = make_ours(t, t->out, "later", FTX_FILE);
    assert_int_equal(asked(t, other), -EBUSY);
    assert_int_equal(asked(t, fresh), -EBUSY);
    assert_int_equal(asked(t, inside), -EBUSY);
    assert_int_equal(asked(t, later), -EBUSY);
    assert_state_of(t, fresh, "queued"); /* the peer has not heard of it */
    assert_int_equal(ftx_outgoing_ops_durable(t->store, t->link, t->link->op_next - 1), 0);
    assert_state_of(t, fresh, "offered");
    assert_state_of(t, folder, "offered");
    assert_state_of(t, inside, "offered");
    ftx_outgoing_takes(t->store, t->link, folder);
    ftx_outgoing_takes(t->store, t->link, 99999);
    assert_int_equal(asked(t, later), -EBUSY);
    assert_int_equal(ftx_outbox_rename(t->store, t->out, "later", 5, folder, "later", 5, 0), 0);
    assert_int_equal(ftx_outbox_rename(t->store, folder, "inside", 6, t->out, "inside", 6, 0), 0);
    assert_int_equal(asked(t, inside), -EBUSY); /* until the peer says that it takes it there */
    assert_int_equal(asked(t, later), 0);       /* which begins a session: nothing is held */
    assert_int_equal(asked(t, known), 0);
}

static void folder_that_is_rejected_takes_all_in_it_along(void **state)
{
    struct box_test *t = *state;
    ftx_outgoing_holds(t->store, t->link, 0);
    uint64_t folder = make_ours(t, t->out, "folder", FTX_FOLDER),
             below = make_ours(t, folder, "below", FTX_FOLDER),
             file = make_ours(t, below, "file", FTX_FILE);
    assert_int_equal(ftx_outgoing_refused(t->store, t->link, folder, FTX_REFUSED_REJECTED), 0);
    assert_state_of(t, folder, "refused");
    assert_state_of(t, below, "refused");
    assert_state_of(t, file, "refused");
    assert_int_equal(asked(t, file), -EAGAIN);
    assert_int_equal(ftx_link_retry(t->store, "7-boxes", 7), 0);
    assert_int_equal(ftx_outgoing_ops_durable(t->store, t->link, t->link->op_next - 1), 0);
    assert_state_of(t, file, "offered");
}

#define fact(name) cmocka_unit_test_setup_teardown(name, setup, box_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        fact(what_is_made_in_the_root_waits),
        fact(word_of_the_owner_goes_where_the_item_goes),
        fact(owner_moves_nothing_past_his_own_word),
        fact(what_the_owner_has_put_into_an_offer_goes_on),
        fact(an_update_of_what_the_owner_has_put_into_an_offer_goes_on),
        fact(a_new_name_accepts_nothing),
        fact(what_is_offered_is_as_large_as_it_is_there),
        fact(offers_and_answers_survive_a_restart),
        fact(what_its_sender_takes_back_is_gone),
        fact(nothing_leaves_of_what_is_held),
        fact(folder_that_is_rejected_takes_all_in_it_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
