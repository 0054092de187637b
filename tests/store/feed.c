/* SPDX-License-Identifier: MIT */
/* fs/store/feed, json: what happened is kept while there is room, and read like a file. */
#include "fs/store/feed.h"
#include "fs/store/store.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct ftx_store *store;
static unsigned n_told;

static void on_happened(void *ctx)
{
    (void)ctx;
    n_told++;
}

static int setup(void **state)
{
    (void)state;
    store = calloc(1, sizeof *store);
    n_told = 0;
    if (!store || pthread_mutex_init(&store->lock, NULL))
        return -1;
    store->events.happened = on_happened;
    return ftx_feed_init(&store->feed);
}

static int teardown(void **state)
{
    (void)state;
    ftx_feed_close(&store->feed);
    free(store);
    return 0;
}

static void note(const char *path, size_t size)
{
    ftx_feed_note(store, &(struct ftx_happening){.event = FTX_EVENT_QUEUED,
                                                 .time_ns = INT64_C(1796058011123456789),
                                                 .number = 12,
                                                 .link = "alice",
                                                 .link_size = 5,
                                                 .text = {path, NULL},
                                                 .text_size = {size, 0}});
}

static char text[4 << 20];

/* All from *in_out_at to the end, in reads of `room` bytes. */
static size_t read_all(uint64_t *in_out_at, size_t room)
{
    size_t used = 0, n;
    while (ftx_feed_read(store, in_out_at, text + used, room, &n) == 0) {
        *in_out_at += n;
        used += n;
    }
    text[used] = '\0';
    return used;
}

static void assert_string(const char *bytes, size_t size, const char *expected)
{
    char out[256];
    struct ftx_json json = {.out = out, .room = sizeof out};
    ftx_json_string(&json, bytes, size);
    assert_true(json.size < sizeof out);
    out[json.size] = '\0';
    assert_string_equal(out, expected);
    struct ftx_json measured = {0};
    ftx_json_string(&measured, bytes, size);
    assert_int_equal(measured.size, json.size);
}

static void any_bytes_are_a_json_string(void **state)
{
    (void)state;
    assert_string("", 0, "\"\"");
    assert_string(NULL, 0, "null");
    assert_string("a\"\\/\n\x7f\0", 7, "\"a\\\"\\\\/\\u000a\\u007f\\u0000\"");
    assert_string("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", 14,
                  "\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
    assert_string("caf\xe9", 4, "\"caf\\udce9\"");
    assert_string("\xc0\xaf", 2, "\"\\udcc0\\udcaf\"");                       /* overlong */
    assert_string("\xed\xb3\xa9", 3, "\"\\udced\\udcb3\\udca9\"");            /* a surrogate */
    assert_string("\xf4\x90\x80\x80", 4, "\"\\udcf4\\udc90\\udc80\\udc80\""); /* too high */
    assert_string("\xe2\x82", 2, "\"\\udce2\\udc82\"");                       /* cut off */
}

static void line_has_all_fields(void **state)
{
    (void)state;
    uint64_t at = 0;
    note("outbox/alice/caf\xe9", 17);
    read_all(&at, 1000);
    assert_string_equal(text, "{\"format\":1,\"seq\":1,\"time\":\"2026-11-30T17:00:11.123456Z\","
                              "\"event\":\"queued\",\"link\":\"alice\","
                              "\"path\":\"outbox/alice/caf\\udce9\",\"size\":12}\n");
}

static void size_is_that_of_the_text(void **state)
{
    (void)state;
    uint64_t at = 0;
    int64_t last_ns;
    assert_int_equal(ftx_feed_end(store, &last_ns), 0);
    assert_int_equal(last_ns, 0);
    for (int i = 0; i < 300; i++)
        note("x", 1);
    uint64_t end = ftx_feed_end(store, &last_ns);
    assert_int_equal(read_all(&at, 4096), end);
    assert_int_equal(at, end);
    assert_int_equal(last_ns, INT64_C(1796058011123456789));
    note("x", 1);
    assert_true(ftx_feed_ready(store, end) && ftx_feed_end(store, &last_ns) > end);
}

static void any_room_reads_the_same(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        note("outbox/alice/some name", 22);
    uint64_t at = 0;
    size_t size = read_all(&at, sizeof text);
    char *whole = strdup(text);
    for (size_t room = 1; room < 600; room += 37) {
        at = 0;
        assert_int_equal(read_all(&at, room), size);
        assert_string_equal(text, whole);
    }
    free(whole);
}

static void larger_room_gives_whole_lines(void **state)
{
    (void)state;
    uint64_t at = 0;
    size_t n;
    for (int i = 0; i < 10; i++)
        note("x", 1);
    assert_int_equal(ftx_feed_read(store, &at, text, 300, &n), 0);
    assert_true(n > 150 && n < 300 && text[n - 1] == '\n');
}

static void reading_at_the_end_waits(void **state)
{
    (void)state;
    uint64_t at = 0;
    size_t n;
    assert_int_equal(ftx_feed_read(store, &at, text, 100, &n), -EAGAIN);
    note("x", 1);
    read_all(&at, 4096);
    assert_int_equal(ftx_feed_read(store, &at, text, 100, &n), -EAGAIN);
    assert_false(ftx_feed_ready(store, at));
    at += 1000; /* behind the end: the end */
    assert_int_equal(ftx_feed_read(store, &at, text, 100, &n), -EAGAIN);
    note("y", 1);
    assert_int_equal(ftx_feed_read(store, &at, text, 1000, &n), 0);
    assert_true(n > 0 && memmem(text, n, "\"seq\":2", 7));
}

/* More than the ring holds, of all sizes, with a reader now and then, who checks that numbers have
 * no gap but where the oldest went. */
static void oldest_make_room(void **state)
{
    (void)state;
    static char path[FTX_FEED_TEXT_MAX];
    uint64_t at = 0, first, last, expected = 1;
    memset(path, 'p', sizeof path);
    for (unsigned i = 1, seed = 1; i <= 30000; i++) {
        seed = seed * 1103515245u + 12345u;
        note(path, seed >> 16 & 15 ? seed >> 20 & 127 : seed >> 16 & 4095);
        if (i % 1000 != 0 && i != 7)
            continue;
        ftx_feed_range(store, &first, &last);
        assert_true(last == i && first <= last && (i < 10000 || first > 1));
        size_t size = read_all(&at, 30000);
        expected = first > expected ? first : expected;
        for (const char *line = text; line < text + size; line = strchr(line, '\n') + 1) {
            assert_int_equal(strtoull(strstr(line, "\"seq\":") + 6, NULL, 10), expected);
            expected++;
        }
        assert_int_equal(expected, i + 1);
        at = i % 3000 ? at : 0; /* and one who reads all that is there */
        expected = i % 3000 ? expected : 1;
    }
}

static void only_readers_are_called(void **state)
{
    (void)state;
    note("x", 1);
    assert_int_equal(n_told, 0);
    ftx_feed_reader(store, true);
    note("x", 1);
    assert_int_equal(n_told, 1);
    ftx_feed_reader(store, false);
    note("x", 1);
    assert_int_equal(n_told, 1);
}

static void every_event_is_one_object(void **state)
{
    (void)state;
    for (int event = 0; event < FTX_EVENT_COUNT; event++) {
        struct ftx_json json = {.out = text, .room = sizeof text};
        ftx_feed_line(
            &(struct ftx_happening){.event = (enum ftx_event)event,
                                    .number = event == FTX_EVENT_COMMAND_FAILED ? ENOENT : -1,
                                    .reason = 5},
            9, &json);
        text[json.size] = '\0';
        assert_true(text[0] == '{' && strcmp(text + json.size - 2, "}\n") == 0);
        assert_null(strstr(text, "(null)"));
    }
    assert_non_null(strstr(text, "\"error\":\"ENOENT\""));
}

#define fact(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void cursor_meets_each_event_that_is_kept_once(void **state)
{
    (void)state;
    static char room[FTX_FEED_ROOM], path[3000];
    struct ftx_feed_cursor cursor = {0};
    struct ftx_happening happening;
    uint64_t lost, expected = 1;
    assert_false(ftx_feed_next(store, &cursor, &happening, room, &lost));
    memset(path, 'x', sizeof path);
    for (unsigned round = 0; round < 2000; round++) {
        for (unsigned i = 0; i < round % 7; i++)
            note(path, 1 + (round * 131 + i * 977) % sizeof path);
        for (unsigned i = 0; i < round % 7; i++, expected++) {
            assert_true(ftx_feed_next(store, &cursor, &happening, room, &lost));
            assert_true(lost == 0 && cursor.seq == expected + 1);
            assert_string_equal(happening.link, "alice");
            assert_int_equal(strlen(happening.text[0]), 1 + (round * 131 + i * 977) % sizeof path);
            assert_null(happening.text[1]);
        }
        assert_false(ftx_feed_next(store, &cursor, &happening, room, &lost));
    }
    for (unsigned i = 0; i < 1000; i++)
        note(path, sizeof path);
    assert_true(ftx_feed_next(store, &cursor, &happening, room, &lost));
    uint64_t at = cursor.seq;
    ftx_feed_to_end(store, &cursor);
    assert_true(cursor.seq > at);
    note("next", 4);
    assert_true(ftx_feed_next(store, &cursor, &happening, room, &(uint64_t){0}));
    assert_string_equal(happening.text[0], "next");
    cursor.seq = at;
    assert_true(lost > 500 && cursor.seq == expected + lost + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fact(any_bytes_are_a_json_string),
        fact(line_has_all_fields),
        fact(size_is_that_of_the_text),
        fact(any_room_reads_the_same),
        fact(larger_room_gives_whole_lines),
        fact(reading_at_the_end_waits),
        fact(oldest_make_room),
        fact(only_readers_are_called),
        fact(every_event_is_one_object),
        fact(cursor_meets_each_event_that_is_kept_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
