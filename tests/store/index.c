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
    }
    ftx_index_close(&m->index);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_what_the_model_has)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
