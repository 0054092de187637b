/* SPDX-License-Identifier: MIT */
/* The index beside a plain table of what is where: names, numbers, cookies, in random order. */
#include "fs/store/index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/store/support.h"

enum { FOLDERS = 4, NAMES = 300, STEPS = 60000 };

struct model {
    struct ftx_index index;
    struct ftx_item *folders[FOLDERS];
    struct ftx_item *at[FOLDERS][NAMES]; /* who has this name there */
    uint64_t next_id;
};

static size_t name_of(unsigned n, char out[8])
{
    return (size_t)snprintf(out, 8, "n%u", n);
}

/* Names of the folder in the order of their cookies, no more and no fewer. */
static void check_folder(struct model *m, unsigned f, uint64_t seed)
{
    size_t n = 0, expected = 0;
    uint64_t cookie = 0;
    for (unsigned i = 0; i < NAMES; i++)
        expected += m->at[f][i] != NULL;
    for (struct ftx_item *item; (item = ftx_folder_after(m->folders[f], cookie)); n++) {
        assert_true_seed(seed, item->cookie > cookie && item->parent == m->folders[f]);
        assert_true_seed(seed, m->at[f][atoi(item->name + 1)] == item);
        cookie = item->cookie;
    }
    assert_true_seed(seed, n == expected && ftx_folder_count(m->folders[f]) == n);
}

static void step(struct model *m, uint64_t *random, uint64_t seed)
{
    unsigned f = (unsigned)below(random, FOLDERS), i = (unsigned)below(random, NAMES);
    char name[8];
    size_t size = name_of(i, name);
    struct ftx_item *item = m->at[f][i];
    assert_true_seed(seed, ftx_item_lookup(&m->index, m->folders[f], name, size) == item);
    if (!item) {
        item = ftx_item_new(&m->index, ++m->next_id, FTX_FILE, FTX_INBOX, NULL);
        ftx_item_set_remote(&m->index, item, item->id * 7);
        assert_int_equal(ftx_item_link(&m->index, item, m->folders[f], name, size), 0);
        m->at[f][i] = item;
        return;
    }
    assert_true_seed(seed, ftx_item_find(&m->index, item->id) == item);
    assert_true_seed(seed, ftx_item_find_remote(&m->index, NULL, item->id * 7) == item);
    uint64_t id = item->id;
    ftx_item_unlink(&m->index, item);
    m->at[f][i] = NULL;
    unsigned to = (unsigned)below(random, FOLDERS), j = (unsigned)below(random, NAMES);
    if (below(random, 2) && !m->at[to][j]) {
        assert_int_equal(ftx_item_link(&m->index, item, m->folders[to], name, name_of(j, name)), 0);
        m->at[to][j] = item;
        return;
    }
    ftx_item_free(&m->index, item);
    assert_true_seed(seed, !ftx_item_find(&m->index, id));
    assert_true_seed(seed, !ftx_item_find_remote(&m->index, NULL, id * 7));
}

/* Each item once, no more and no fewer than the model has. */
static void check_all(const struct model *m, uint64_t seed)
{
    size_t n = 0;
    for (struct ftx_item *item = NULL; (item = ftx_item_next(&m->index, item)); n++)
        assert_true_seed(seed, ftx_item_find(&m->index, item->id) == item);
    assert_true_seed(seed, n == m->index.by_id.count);
}

static void finds_what_the_model_has(void **state)
{
    (void)state;
    uint64_t seed = first_seed(), random = seed;
    struct model *m = calloc(1, sizeof *m);
    assert_int_equal(ftx_index_init(&m->index), 0);
    for (unsigned f = 0; f < FOLDERS; f++)
        m->folders[f] = ftx_item_new(&m->index, ++m->next_id, FTX_FOLDER, FTX_INBOX, NULL);
    for (unsigned i = 0; i < STEPS; i++) {
        step(m, &random, seed);
        if (i % 500 == 0)
            for (unsigned f = 0; f < FOLDERS; f++)
                check_folder(m, f, seed);
        if (i % 500 == 0)
            check_all(m, seed);
    }
    ftx_index_close(&m->index);
    free(m);
}

/* The height as its words say, by walking. */
static unsigned walked(const struct ftx_item *item)
{
    unsigned most = 0;
    if (item->kind != FTX_FOLDER)
        return 0;
    for (struct ftx_item *child = ftx_folder_after(item, 0); child;
         child = ftx_folder_after(item, child->cookie)) {
        unsigned below_it = 1 + walked(child);
        most = below_it > most ? below_it : most;
    }
    return most;
}

/* Items of both kinds, moved about at random, never below themselves. */
static void heights_are_those_of_a_walk(void **state)
{
    enum { ITEMS = 40, MOVES = 20000 };
    (void)state;
    uint64_t seed = first_seed(), random = seed;
    struct ftx_index index;
    struct ftx_item *items[ITEMS];
    assert_int_equal(ftx_index_init(&index), 0);
    for (unsigned i = 0; i < ITEMS; i++)
        items[i] =
            ftx_item_new(&index, i + 1, i < ITEMS * 3 / 4 ? FTX_FOLDER : FTX_FILE, FTX_INBOX, NULL);
    for (unsigned i = 0; i < MOVES; i++) {
        struct ftx_item *item = items[1 + below(&random, ITEMS - 1)];
        struct ftx_item *to = items[below(&random, ITEMS * 3 / 4)];
        char name[8];
        size_t size = name_of((unsigned)item->id, name);
        if (item->linked)
            ftx_item_unlink(&index, item);
        if (below(&random, 4) && !ftx_item_below(to, item))
            assert_int_equal(ftx_item_link(&index, item, to, name, size), 0);
        struct ftx_item *some = items[below(&random, ITEMS)];
        assert_true_seed(seed, ftx_item_height(some) == walked(some));
        assert_true_seed(seed, ftx_item_height(items[0]) == walked(items[0]));
    }
    ftx_index_close(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_what_the_model_has),
                                       cmocka_unit_test(heights_are_those_of_a_walk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
