/* SPDX-License-Identifier: MIT */
/* Writes data for measurements to stdout, always the same for the same words: data random|text|zeros BYTES SEED
 *
 * `text` is half log lines, half source code, in blocks of some hundred lines: words, names and numbers are drawn with the
 * unevenness of real ones (few words make most of a text), so that zstd -3 makes between a fourth and a fifth of it. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << 20, LINE_MAX_SIZE = 512, N_WORDS = 2000, WORD_MAX = 16, N_SENTENCES = 300 };

static uint64_t random_state;
static char words[N_WORDS][WORD_MAX];
static char sentences[N_SENTENCES][6 * WORD_MAX]; /* what a log says */

/* splitmix64 */
static uint64_t next_random(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static unsigned below(unsigned n)
{
    return (unsigned)(next_random() % n);
}

/* Consonants and vowels in turn: words that one could say. */
static void make_words(void)
{
    static const char consonants[] = "bcdfghklmnprstvwz", vowels[] = "aeiou";
    for (int i = 0; i < N_WORDS; i++) {
        unsigned n = 2 + below(5) + below(4);
        for (unsigned k = 0; k < n; k++)
            words[i][k] =
                k % 2 ? vowels[below(sizeof vowels - 1)] : consonants[below(sizeof consonants - 1)];
    }
}

/* The n-th word comes up about 1/n times as often as the first. */
static const char *word(void)
{
    unsigned limit = 1 + below(N_WORDS);
    limit = 1 + below(limit);
    return words[below(limit)];
}

static void make_sentences(void)
{
    for (int i = 0; i < N_SENTENCES; i++)
        snprintf(sentences[i], sizeof *sentences, "%s %s of %s %s, %s ", word(), word(), word(),
                 word(), word());
}

struct text {
    char bytes[BLOCK];
    size_t size;
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text->bytes + text->size, sizeof text->bytes - text->size, format, args);
    va_end(args);
    text->size += (size_t)n;
}

static bool has_room(const struct text *text)
{
    return text->size + LINE_MAX_SIZE < sizeof text->bytes;
}

static void add_log_line(struct text *text, uint64_t *time_ms)
{
    static const char *const levels[] = {"INFO", "INFO", "INFO", "DEBUG", "WARN", "ERROR"};
    unsigned ms = (unsigned)((*time_ms += below(400)) % 86400000);
    add(text,
        "2026-03-%02u %02u:%02u:%02u.%03u %s %s[%u]: ", 1 + (unsigned)(*time_ms / 86400000) % 28,
        ms / 3600000, ms / 60000 % 60, ms / 1000 % 60, ms % 1000, levels[below(6)],
        words[below(20)], 800 + below(12));
    switch (below(6)) {
    case 0:
        add(text, "accepted connection from 10.%u.%u.%u port %u\n", below(4), below(256),
            below(256), 32768 + below(28000));
        break;
    case 1:
        add(text, "GET /%s/%s?id=%u HTTP/1.1 200 %u %u.%03u\n", word(), word(), below(100000),
            below(50000), below(3), below(1000));
        break;
    case 2:
        add(text, "request %08x finished in %u ms, %u rows\n", (unsigned)next_random(), below(900),
            below(5000));
        break;
    default:
        add(text, "%s%u\n", sentences[below(1 + below(N_SENTENCES))], below(1000));
    }
}

/* Source repeats itself: a line of a few kilobytes before. */
static void add_line_again(struct text *text)
{
    size_t back = 200 + below(8000);
    if (back > text->size)
        return;
    const char *from = memchr(text->bytes + text->size - back, '\n', back - 1);
    const char *end = from ? memchr(from + 1, '\n', back - 1) : NULL;
    if (!end || end >= text->bytes + text->size)
        return;
    size_t n = (size_t)(end - from);
    memcpy(text->bytes + text->size, from + 1, n);
    text->size += n;
}

static void add_source_line(struct text *text, unsigned *depth)
{
    if (below(100) < 55) {
        add_line_again(text);
        return;
    }
    add(text, "%*s", (int)(4 * *depth), "");
    switch (below(8)) {
    case 0:
        add(text, "if (%s->%s %s %u) {\n", word(), word(), below(2) ? "==" : ">", below(100));
        *depth += *depth < 5;
        break;
    case 1:
        add(text, "/* %s %s %s %s %s %s %s */\n", word(), word(), word(), word(), word(), word(),
            word());
        break;
    case 2:
        add(text, "return %s_%s(%s);\n", word(), word(), word());
        break;
    case 3:
        add(text, "static int %s_%s(struct %s *%s, size_t n_%s)\n", word(), word(), word(), word(),
            word());
        break;
    case 4:
    case 5:
        add(text, "}\n");
        *depth -= *depth > 0;
        break;
    default:
        add(text, "%s->%s = %s_%s(%s, %s->%s);\n", word(), word(), word(), word(), word(), word(),
            word());
    }
}

static void fill_text(struct text *text)
{
    static uint64_t time_ms;
    text->size = 0;
    while (has_room(text)) {
        unsigned depth = 1, n_lines = 100 + below(400);
        bool is_log = below(2);
        for (unsigned i = 0; i < n_lines && has_room(text); i++) {
            if (is_log)
                add_log_line(text, &time_ms);
            else
                add_source_line(text, &depth);
        }
    }
}

static void fill_random(struct text *text)
{
    for (size_t i = 0; i < sizeof text->bytes; i += sizeof(uint64_t)) {
        uint64_t value = next_random();
        memcpy(text->bytes + i, &value, sizeof value);
    }
    text->size = sizeof text->bytes;
}

static void fill_zeros(struct text *text)
{
    text->size = sizeof text->bytes;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*fill)(struct text *text);
    } kinds[] = {{"random", fill_random}, {"text", fill_text}, {"zeros", fill_zeros}};
    static struct text text;
    void (*fill)(struct text * text) = NULL;
    for (size_t i = 0; argc == 4 && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(argv[1], kinds[i].name) == 0)
            fill = kinds[i].fill;
    if (!fill) {
        fprintf(stderr, "usage: data random|text|zeros BYTES SEED\n");
        return 2;
    }
    random_state = strtoull(argv[3], NULL, 10);
    make_words();
    make_sentences();
    for (uint64_t left = strtoull(argv[2], NULL, 10); left;) {
        fill(&text);
        size_t n = left < text.size ? (size_t)left : text.size;
        if (fwrite(text.bytes, 1, n, stdout) != n) {
            perror("data");
            return 1;
        }
        left -= n;
    }
    return fflush(stdout) ? 1 : 0;
}
