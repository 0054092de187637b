/* SPDX-License-Identifier: MIT */
/* News of the inbox: noted for what somebody looks at and nothing else, in order, never without
 * limit. */
#include "fs/store/news.h"

#include "fs/store/inbox.h"
#include "fs/store/ops.h"
#include "fs/store/tree.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/store/support.h"

struct news_test {
    struct scratch scratch;
    struct ftx_store *store;
    struct ftx_link *link;
    uint64_t op;       /* the peer's last */
    unsigned n_signal; /* calls of events.news */
    char text[4096];
};

static void on_row(void *ctx, int err)
{
    (void)ctx;
    assert_int_equal(err, 0);
}

static void on_news(void *ctx)
{
    ((struct news_test *)ctx)->n_signal++;
}

static void on_other(void *ctx)
{
    (void)ctx;
}

static int setup(void **state)
{
    struct news_test *t = calloc(1, sizeof *t);
    *state = t;
    if (!t || scratch_open(&t->scratch))
        return -1;
    char room[512];
    struct ftx_link_row row;
    uint64_t folder;
    assert_int_equal(ftx_store_open(t->scratch.path, room, sizeof room, &t->store), 0);
    struct ftx_store_events events = {
        .wake = on_other, .committed = on_other, .arrived = on_other, .news = on_news};
    ftx_store_set_events(t->store, &events, t);
    assert_int_equal(ftx_link_arm(t->store, FTX_OUTBOX, "7-news", 6, &folder), 0);
    assert_int_equal(ftx_link_get(t->store, 1, &row), 0);
    row.state = FTX_LINK_PAIRED;
    row.enrolled = true;
    assert_true(ftx_tree_ref(t->store, FTX_ID_INBOX, true));
    assert_int_equal(ftx_link_put(t->store, &row, on_row, NULL), 0);
    assert_int_equal(ftx_store_sync(t->store), 0);
    t->link = ftx_link_find(t->store, 1);
    return 0;
}

static int teardown(void **state)
{
    struct news_test *t = *state;
    ftx_store_close(t->store);
    int rc = scratch_close(&t->scratch);
    free(t);
    return rc;
}

static void apply(struct news_test *t, struct ftx_op op, const char *name)
{
    uint8_t bytes[FTX_OP_ENCODED_MAX], refused;
    uint64_t entry, item;
    op.name = name;
    op.name_size = name ? strlen(name) : 0;
    op.mode = 0755;
    size_t size = ftx_op_encode(&op, bytes);
    assert_int_equal(ftx_inbox_apply(t->store, t->link, ++t->op, bytes, size, FTX_LINKS_SAFE,
                                     &entry, &item, &refused),
                     0);
    assert_int_equal(refused, 0);
}

static void make(struct news_test *t, uint64_t item, uint64_t parent, enum ftx_kind what,
                 const char *name)
{
    apply(
        t,
        (struct ftx_op){.kind = FTX_OP_MAKE, .item = item, .parent = parent, .what = (uint8_t)what},
        name);
}

static void move(struct news_test *t, uint64_t item, uint64_t parent, const char *name)
{
    apply(t, (struct ftx_op){.kind = FTX_OP_MOVE, .item = item, .parent = parent}, name);
}

static void drop(struct news_test *t, uint64_t item)
{
    apply(t, (struct ftx_op){.kind = FTX_OP_DROP, .item = item}, NULL);
}

/* An empty version of the file is complete. */
static void complete(struct news_test *t, uint64_t remote, uint32_t version)
{
    struct ftx_plan_seal seal = {.stream = remote, .version = version};
    struct ftx_seal_check check;
    uint64_t entry;
    seal.attributes_size = ftx_seal_attr_encode(0644, 1, seal.attributes);
    assert_int_equal(ftx_inbox_seal_comes(t->store, t->link, &seal), 0);
    assert_int_equal(ftx_inbox_seal(t->store, t->link, &seal, &check), 0);
    assert_int_equal(ftx_inbox_complete(t->store, t->link, &seal, check.item, &entry), 0);
}

static uint64_t in(struct news_test *t)
{
    return t->link->folders[FTX_INBOX]->id;
}

/* A program looks the name up. */
static uint64_t look(struct news_test *t, uint64_t folder, const char *name)
{
    struct ftx_attr attr;
    assert_int_equal(ftx_tree_lookup(t->store, folder, name, strlen(name), true, &attr), 0);
    return attr.id;
}

/* Takes all news: "made a, complete a, moved a b". A complete one that was made has a `!`. */
static const char *told(struct news_test *t)
{
    static const char *const words[] = {"nothing", "made", "complete", "moved", "gone", "attr"};
    size_t n = 0;
    t->text[0] = '\0';
    for (struct ftx_news *news; (news = ftx_news_take(t->store)); free(news))
        n += (size_t)snprintf(t->text + n, sizeof t->text - n, "%s%s %s%s%s%s", n ? ", " : "",
                              words[news->what], news->name, news->complete ? "!" : "",
                              news->to ? " " : "", news->to ? news->to : "");
    return t->text;
}

static void a_folder_that_nobody_looks_at_has_none(void **state)
{
    struct news_test *t = *state;
    told(t);
    t->n_signal = 0;
    make(t, 1, 0, FTX_FILE, "f");
    complete(t, 1, 1);
    move(t, 1, 0, "g");
    make(t, 2, 0, FTX_FOLDER, "d");
    drop(t, 2);
    assert_int_equal(t->n_signal, 0);
    assert_string_equal(told(t), "");
    assert_int_equal(ftx_news_lost(t->store), 0);
}

static void a_new_link_is_news_of_its_box(void **state)
{
    struct news_test *t = *state;
    assert_int_equal(t->n_signal, 1);
    assert_string_equal(told(t), "made 7-news"); /* of the inbox; nobody looked at the outbox */
}

static void what_happens_in_a_folder_comes_in_order(void **state)
{
    struct news_test *t = *state;
    told(t);
    look(t, FTX_ID_INBOX, "7-news");
    make(t, 1, 0, FTX_FOLDER, "d");
    make(t, 2, 1, FTX_FILE, "unseen"); /* d itself was not looked at */
    make(t, 3, 0, FTX_FILE, "f");
    assert_string_equal(told(t), "made d, made f");
    complete(t, 3, 1);
    move(t, 3, 0, "g");
    move(t, 2, 0, "h");
    move(t, 3, 1, "i");
    drop(t, 2);
    assert_string_equal(told(t), "complete f, moved f! g, moved unseen h, moved g! i, gone h");
    complete(t, 3, 2);
    assert_string_equal(told(t), ""); /* it went where nobody looks */
}

static void news_not_yet_taken_are_one(void **state)
{
    struct news_test *t = *state;
    told(t);
    look(t, FTX_ID_INBOX, "7-news");
    make(t, 1, 0, FTX_FILE, "quick");
    complete(t, 1, 1);
    make(t, 2, 0, FTX_FILE, "short-lived");
    drop(t, 2);
    assert_string_equal(told(t), "made quick!, nothing short-lived");
    complete(t, 1, 2);
    assert_string_equal(told(t), "complete quick");
}

static void a_name_is_never_complete_before_its_file_has_it(void **state)
{
    struct news_test *t = *state;
    told(t);
    look(t, FTX_ID_INBOX, "7-news");
    make(t, 1, 0, FTX_FILE, "tmp");
    move(t, 1, 0, "name");
    complete(t, 1, 1);
    assert_string_equal(told(t), "made tmp, moved tmp name, complete name");
    make(t, 2, 0, FTX_FILE, "tmp2");
    move(t, 2, 0, "name"); /* is not seen until it is complete */
    complete(t, 2, 1);
    assert_string_equal(told(t), "nothing tmp2, complete name");
    make(t, 3, 0, FTX_FILE, "tmp3");
    assert_string_equal(told(t), "made tmp3");
    move(t, 3, 0, "name");
    complete(t, 3, 1);
    assert_string_equal(told(t), "gone tmp3, complete name");
}

static void a_file_that_is_looked_at_itself_has_news(void **state)
{
    struct news_test *t = *state;
    told(t);
    make(t, 1, 0, FTX_FILE, "f");
    look(t, in(t), "f");
    complete(t, 1, 1);
    assert_string_equal(told(t), "complete f");
}

static void what_the_kernel_forgets_is_looked_at_no_more(void **state)
{
    struct news_test *t = *state;
    told(t);
    uint64_t id = look(t, FTX_ID_INBOX, "7-news");
    make(t, 1, 0, FTX_FILE, "a");
    struct ftx_news *news = ftx_news_take(t->store);
    assert_true(ftx_news_wanted(t->store, news));
    assert_true(ftx_tree_ref(t->store, id, false)); /* a look-up that is not a program's */
    ftx_tree_forget(t->store, id, 1);
    assert_true(ftx_news_wanted(t->store, news)); /* one reference is left */
    ftx_tree_forget(t->store, id, 1);
    assert_false(ftx_news_wanted(t->store, news));
    free(news);
    assert_true(ftx_tree_ref(t->store, id, false));
    make(t, 2, 0, FTX_FILE, "b");
    assert_string_equal(told(t), "");
}

static void a_question_is_answered_by_what_the_kernel_forgets(void **state)
{
    struct news_test *t = *state;
    told(t);
    uint64_t id = look(t, FTX_ID_INBOX, "7-news");
    look(t, FTX_ID_INBOX, "7-news");
    ftx_news_ask(t->store, id);
    assert_true(ftx_tree_ref(t->store, id, false)); /* who asked, again */
    ftx_tree_forget(t->store, id, 1);
    assert_false(ftx_news_forgotten(t->store, id)); /* one of those that it had is left */
    look(t, FTX_ID_INBOX, "7-news");                /* a program: the question is void */
    ftx_tree_forget(t->store, id, 2);
    assert_false(ftx_news_forgotten(t->store, id));
    make(t, 1, 0, FTX_FILE, "a");
    assert_string_equal(told(t), "made a");

    ftx_news_ask(t->store, id);
    assert_true(ftx_tree_ref(t->store, id, false));
    ftx_tree_forget(t->store, id, 1);
    assert_true(ftx_news_forgotten(t->store, id));
    make(t, 2, 0, FTX_FILE, "b");
    assert_string_equal(told(t), "");
    look(t, FTX_ID_INBOX, "7-news");
    make(t, 3, 0, FTX_FILE, "c");
    assert_string_equal(told(t), "made c");
    ftx_news_ask(t->store, 12345);
    assert_false(ftx_news_forgotten(t->store, 12345) || ftx_news_forgotten(t->store, id));
}

static void too_many_are_counted_not_kept(void **state)
{
    struct news_test *t = *state;
    told(t);
    look(t, FTX_ID_INBOX, "7-news");
    make(t, 1, 0, FTX_FOLDER, "a");
    for (int i = 1; i < FTX_NEWS_MAX + 10; i++)
        move(t, 1, 0, i % 2 ? "b" : "a");
    assert_int_equal(t->store->n_news, FTX_NEWS_MAX);
    assert_int_equal(ftx_news_lost(t->store), 10);
    assert_int_equal(ftx_news_lost(t->store), 0);
    free(ftx_news_take(t->store));
    move(t, 1, 0, "c");
    assert_int_equal(t->store->n_news, FTX_NEWS_MAX);
} /* the rest goes with the store */

static void paths_are_those_of_now(void **state)
{
    struct news_test *t = *state;
    char path[64];
    uint64_t parent;
    make(t, 1, 0, FTX_FOLDER, "a");
    make(t, 2, 1, FTX_FOLDER, "b");
    uint64_t a = look(t, in(t), "a"), b = look(t, a, "b");
    assert_int_equal(ftx_news_path(t->store, b, path, sizeof path, &parent), 0);
    assert_string_equal(path, "inbox/7-news/a/b");
    assert_int_equal(parent, a);
    move(t, 2, 0, "c");
    assert_int_equal(ftx_news_path(t->store, b, path, sizeof path, &parent), 0);
    assert_string_equal(path, "inbox/7-news/c");
    assert_int_equal(ftx_news_path(t->store, b, path, sizeof "inbox/7-news/c", &parent), 0);
    for (size_t size = 0; size < sizeof "inbox/7-news/c"; size++)
        assert_int_equal(ftx_news_path(t->store, b, path, size, &parent), -ENOENT);
    assert_int_equal(ftx_news_path(t->store, FTX_ID_INBOX, path, sizeof path, &parent), 0);
    assert_string_equal(path, "inbox");
    assert_int_equal(parent, FTX_ID_ROOT);
    drop(t, 2);
    assert_int_equal(ftx_news_path(t->store, b, path, sizeof path, &parent), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_folder_that_nobody_looks_at_has_none, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_link_is_news_of_its_box, setup, teardown),
        cmocka_unit_test_setup_teardown(what_happens_in_a_folder_comes_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(news_not_yet_taken_are_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_is_never_complete_before_its_file_has_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_looked_at_itself_has_news, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_kernel_forgets_is_looked_at_no_more, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_question_is_answered_by_what_the_kernel_forgets, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(too_many_are_counted_not_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(paths_are_those_of_now, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
