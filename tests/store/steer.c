/* SPDX-License-Identifier: MIT */
/* Links and items steered by their owner: what the peer is told, what lasts, what is free again. */
#include "fs/store/change_log.h"
#include "fs/store/ops.h"
#include "fs/store/outbox.h"
#include "fs/store/outgoing.h"
#include "fs/store/inbox.h"
#include "fs/store/steer.h"
#include "fs/store/tree.h"
#include "transport/session/scheduler.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/store/box.h"

static void cancelled_file_stays_here_until_it_is_retried(void **state)
{
    struct box_test *t = *state;
    uint64_t id = we_make_file(t, t->out, "a");
    assert_ops(t, "make a, ");
    assert_int_equal(ftx_item_cancel(t->store, id), 0);
    assert_ops(t, "cancel , ");
    assert_state_of(t, id, "cancelled");
    assert_int_equal(ftx_item_cancel(t->store, id), -EALREADY);
    forget_finished(t);
    box_reopen(t);
    assert_state_of(t, id, "cancelled");
    assert_true(ftx_list_empty(&t->link->sendings));
    t->told = t->link->op_next - 1;
    assert_int_equal(ftx_link_retry(t->store, "7-boxes", 7), 0);
    assert_ops(t, "make a, ");
    assert_state_of(t, id, "queued");
    assert_true(ftx_item_wire(box_item(t, id)) != id);
    assert_int_equal(box_item(t, id)->as.sending->pending.bytes, 1);
}

static void cancel_of_a_folder_takes_what_is_not_delivered(void **state)
{
    struct box_test *t = *state;
    uint64_t folder = we_make(t, t->out, "d", FTX_FOLDER), one = we_make_file(t, folder, "one"),
             link = we_make(t, folder, "l", FTX_SYMLINK), done = we_make_file(t, folder, "done");
    box_item(t, done)->state = FTX_ITEM_DELIVERED;
    assert_ops(t, "make d, make one, make l, make done, ");
    assert_int_equal(ftx_item_cancel(t->store, folder), 0);
    assert_ops(t, "cancel , cancel , ");
    assert_state_of(t, one, "cancelled");
    assert_state_of(t, link, "cancelled");
    assert_int_equal(box_item(t, done)->state, FTX_ITEM_DELIVERED);
    we_make_file(t, folder, "new"); /* the folder itself travels on */
    assert_ops(t, "make new, ");
    assert_int_equal(ftx_item_cancel(t->store, FTX_ID_OUTBOX), -EOPNOTSUPP);
}

static void cancelled_file_can_be_written_and_moved(void **state)
{
    struct box_test *t = *state;
    uint64_t id = we_make_file(t, t->out, "a");
    assert_int_equal(ftx_item_cancel(t->store, id), 0);
    forget_finished(t);
    t->told = t->link->op_next - 1;
    assert_int_equal(ftx_outbox_open(t->store, id, true, false), 0);
    assert_int_equal(ftx_outbox_write(t->store, id, "xyz", 3, 0), 0);
    we_close(t, id);
    assert_int_equal(ftx_outbox_rename(t->store, t->out, "a", 1, t->out, "b", 1, 0), 0);
    assert_ops(t, "");
    assert_state_of(t, id, "cancelled");
    assert_int_equal(ftx_link_retry(t->store, "7-boxes", 7), 0);
    assert_ops(t, "make b, ");
    assert_int_equal(box_item(t, id)->as.sending->pending.bytes, 3);
    assert_int_equal(ftx_outbox_remove(t->store, t->out, "b", 1, false), 0);
}

static void interrupted_file_is_sent_as_it_was_left(void **state)
{
    struct box_test *t = *state;
    uint64_t id = we_make_file(t, t->out, "a");
    box_item(t, id)->state = FTX_ITEM_INTERRUPTED;
    uint32_t version = box_item(t, id)->version;
    assert_int_equal(ftx_link_retry(t->store, "7-boxes", 7), 0);
    assert_state_of(t, id, "queued");
    assert_int_equal(box_item(t, id)->version, version + 1);
    assert_ops(t, "make a, ");
}

static void refused_folder_is_offered_whole(void **state)
{
    struct box_test *t = *state;
    uint64_t folder = we_make(t, t->out, "d", FTX_FOLDER), file = we_make_file(t, folder, "f");
    t->told = t->link->op_next - 1;
    assert_int_equal(ftx_outgoing_refused(t->store, t->link, folder, 6), 0);
    assert_int_equal(ftx_outgoing_refused(t->store, t->link, file, 5), 0);
    assert_int_equal(ftx_link_retry(t->store, "7-boxes", 7), 0);
    assert_ops(t, "cancel , drop , make d, make f, ");
    assert_state_of(t, file, "queued");
    box_reopen(t);
    assert_state_of(t, file, "queued");
}

static void failed_file_is_looked_at_again(void **state)
{
    struct box_test *t = *state;
    uint64_t id = we_make_file(t, t->out, "a");
    box_item(t, id)->state = FTX_ITEM_FAILED;
    assert_int_equal(ftx_link_retry(t->store, "7-boxes", 7), 0);
    assert_state_of(t, id, "queued");
    assert_ops(t, "make a, ");
}

static void priority_is_that_of_the_nearest_above(void **state)
{
    struct box_test *t = *state;
    uint64_t a = we_make(t, t->out, "a", FTX_FOLDER), b = we_make(t, a, "b", FTX_FOLDER),
             file = we_make_file(t, b, "f"), other = we_make_file(t, t->out, "o");
    assert_int_equal(ftx_item_priority(box_item(t, file)), FTX_PRIORITY_DEFAULT);
    assert_int_equal(ftx_item_set_priority(t->store, a, 8), 0);
    assert_int_equal(ftx_item_set_priority(t->store, t->out, 1), 0);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(ftx_item_priority(box_item(t, file)), 8);
        assert_int_equal(ftx_item_priority(box_item(t, other)), 1);
        box_reopen(t);
    }
    bool finished;
    for (struct ftx_sending *s; (s = ftx_outgoing_due(t->store, t->link, &finished));)
        assert_int_equal(s->stream.priority, s->item->id == file ? 8 : 1);
    assert_int_equal(ftx_item_set_priority(t->store, file, 0), 0);
    assert_int_equal(ftx_item_priority(box_item(t, file)), 0);
    assert_int_equal(ftx_item_set_priority(t->store, file, FTX_PRIORITY_INHERIT), 0);
    assert_int_equal(ftx_item_priority(box_item(t, file)), 8);
    assert_int_equal(ftx_item_set_priority(t->store, FTX_ID_INBOX, 3), -EOPNOTSUPP);
    assert_ops(t, "make a, make b, make f, make o, "); /* it does not travel */
    assert_null(box_item(t, file)->xattrs);
}

static int set(struct box_test *t, const char *name, enum ftx_setting setting, const char *text)
{
    struct ftx_setting_value value;
    assert_int_equal(ftx_setting_parse(setting, text, strlen(text), &value), 0);
    return ftx_link_set(t->store, name, name ? strlen(name) : 0, setting, &value);
}

static void settings_last(void **state)
{
    struct box_test *t = *state;
    assert_int_equal(ftx_link_pause(t->store, "7-boxes", 7, true), 0);
    assert_int_equal(set(t, "7-boxes", FTX_SETTING_DOWN, "5"), 0);
    assert_int_equal(set(t, NULL, FTX_SETTING_UP, "08:00-18:00=2M,else=7"), 0);
    assert_int_equal(set(t, "7-boxes", FTX_SETTING_DENY_EXT, "EXE,tar.gz"), 0);
    assert_int_equal(set(t, "7-boxes", FTX_SETTING_ALLOW_MIME, "image/*"), 0);
    assert_int_equal(set(t, "7-boxes", FTX_SETTING_ACCEPT, "ask"), 0);
    assert_int_equal(set(t, NULL, FTX_SETTING_ACCEPT, "none"), -EOPNOTSUPP);
    assert_int_equal(set(t, "nobody", FTX_SETTING_UP, "1"), -ENOENT);
    box_reopen(t);
    assert_true(t->link->settings.paused && t->link->settings.limit[FTX_INBOX].rest == 5);
    assert_int_equal(t->link->settings.accept, FTX_ACCEPT_ASK);
    assert_string_equal(t->link->settings.rules.text[FTX_RULE_DENY_EXT], "exe,tar.gz");
    assert_string_equal(t->link->settings.rules.text[FTX_RULE_ALLOW_MIME], "image/*");
    const struct ftx_timetable *up = &t->store->settings.limit[FTX_OUTBOX];
    assert_int_equal(ftx_timetable_rate(up, 8 * 60), 2 << 20);
    assert_int_equal(ftx_timetable_rate(up, 18 * 60), 7);
    assert_state_of(t, t->out, "paused");
    assert_int_equal(ftx_link_pause(t->store, NULL, 0, false), 0);
    assert_state_of(t, t->out, "offline");
}

static void rearm_forgets_the_guesses(void **state)
{
    struct box_test *t = *state;
    t->link->row.state = FTX_LINK_ARMED;
    t->link->row.guesses = 10;
    assert_state_of(t, t->out, "locked");
    assert_int_equal(ftx_link_rearm(t->store, "7-boxes", 7), 0);
    assert_state_of(t, t->out, "waiting");
    struct ftx_link_settings settings;
    struct ftx_link_wishes wishes;
    assert_int_equal(ftx_link_settings(t->store, 1, &settings, &wishes), 0);
    assert_true(wishes.dial && wishes.rearmed);
    assert_int_equal(ftx_link_settings(t->store, 1, &settings, &wishes), 0);
    assert_false(wishes.dial || wishes.rearmed);
    t->link->row.state = FTX_LINK_PAIRED;
    assert_int_equal(ftx_link_rearm(t->store, "7-boxes", 7), -EALREADY);
}

static void unpaired_link_leaves_nothing(void **state)
{
    struct box_test *t = *state;
    struct ftx_statfs now;
    uint64_t folder = we_make(t, t->out, "d", FTX_FOLDER);
    we_make_file(t, folder, "f");
    we_make_file(t, t->out, "g");
    assert_int_equal(ftx_link_unpair(t->store, "7-boxes", 7, false), -EBUSY);
    assert_int_equal(ftx_link_unpair(t->store, "7-boxes", 7, true), 0);
    assert_null(ftx_link_find_name(t->store, "7-boxes", 7));
    assert_int_equal(ftx_link_unpair(t->store, "7-boxes", 7, true), -ENOENT);
    forget_finished(t);
    ftx_store_statfs(t->store, &now);
    assert_int_equal(now.items, 2); /* the boxes */
    box_reopen(t);                  /* the code is free again */
    ftx_store_statfs(t->store, &now);
    assert_int_equal(now.items, 4); /* and the folders of a link */
}

static void paths_are_found(void **state)
{
    struct box_test *t = *state;
    uint64_t folder = we_make(t, t->out, "d", FTX_FOLDER), file = we_make_file(t, folder, "f"), id;
    static const char path[] = "outbox/7-boxes/d/f";
    assert_int_equal(ftx_path_find(t->store, path, sizeof path - 1, &id), 0);
    assert_int_equal(id, file);
    assert_int_equal(ftx_path_find(t->store, "outbox/7-boxes//d/", 18, &id), 0);
    assert_int_equal(id, folder);
    static const char *const missing[] = {"",
                                          "/",
                                          "outbo",
                                          "outbox2/7-boxes",
                                          "/outbox",
                                          "inbox/x",
                                          "outbox/7-boxes/d/f/g",
                                          "outbox/../outbox",
                                          "outbox/7-boxes/d/."};
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
        assert_int_equal(ftx_path_find(t->store, missing[i], strlen(missing[i]), &id), -ENOENT);
}

#define fact(name) cmocka_unit_test_setup_teardown(name, box_setup, box_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        fact(cancelled_file_stays_here_until_it_is_retried),
        fact(cancel_of_a_folder_takes_what_is_not_delivered),
        fact(cancelled_file_can_be_written_and_moved),
        fact(interrupted_file_is_sent_as_it_was_left),
        fact(refused_folder_is_offered_whole),
        fact(failed_file_is_looked_at_again),
        fact(priority_is_that_of_the_nearest_above),
        fact(settings_last),
        fact(rearm_forgets_the_guesses),
        fact(unpaired_link_leaves_nothing),
        fact(paths_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
