/* SPDX-License-Identifier: MIT */
/* The list of words: what people and the Tab key rely on. */
#include "transport/base/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void words_have_3_to_6_letters(void **state)
{
    (void)state;
    for (size_t i = 0; i < FTX_WORDS; i++) {
        size_t n = strnlen(ftx_words[i], sizeof ftx_words[i]);
        assert_in_range(n, FTX_WORD_MIN, FTX_WORD_MAX);
        assert_int_equal(strspn(ftx_words[i], "abcdefghijklmnopqrstuvwxyz"), n);
    }
}

static void sorted_words_differ_in_their_first_three_letters(void **state)
{
    (void)state;
    for (size_t i = 1; i < FTX_WORDS; i++)
        if (strncmp(ftx_words[i - 1], ftx_words[i], 3) >= 0)
            fail_msg("%s, %s", ftx_words[i - 1], ftx_words[i]);
}

static void three_letters_find_a_word(void **state)
{
    (void)state;
    for (size_t i = 0; i < FTX_WORDS; i++) {
        size_t first;
        assert_int_equal(ftx_words_find(ftx_words[i], 3, &first), 1);
        assert_int_equal(first, i);
    }
}

static void fewer_letters_find_the_range(void **state)
{
    (void)state;
    size_t first, n = ftx_words_find("", 0, &first);
    assert_int_equal(n, FTX_WORDS);
    n = ftx_words_find("z", 1, &first);
    assert_int_equal(first + n, FTX_WORDS);
    assert_int_equal(ftx_words[first][0], 'z');
    assert_int_not_equal(ftx_words[first - 1][0], 'z');
}

static void what_is_no_word_is_not_found(void **state)
{
    (void)state;
    size_t first;
    assert_int_equal(ftx_words_find("zz", 2, &first), 0);
    assert_int_equal(ftx_words_find("abbeys", 6, &first), 0);
    assert_int_equal(ftx_words_find("ABB", 3, &first), 0);
    assert_int_equal(ftx_words_find("7", 1, &first), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_have_3_to_6_letters),
        cmocka_unit_test(sorted_words_differ_in_their_first_three_letters),
        cmocka_unit_test(three_letters_find_a_word),
        cmocka_unit_test(fewer_letters_find_the_range),
        cmocka_unit_test(what_is_no_word_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
