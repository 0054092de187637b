/* SPDX-License-Identifier: MIT */
/* Escapes, colours, numbers for people, and lines of JSON for programs. */
#include "tools/ftx/print.h"

#include "tools/ftx/value.h"
#include "transport/base/log.h"

#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    bool live, colours, utf8;
} sink;

void ftx_print_open(bool json)
{
    const char *terminal = getenv("TERM"), *no = getenv("NO_COLOR");
    sink.live = !json && isatty(STDOUT_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
    sink.colours = sink.live && !(no && *no);
    sink.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

bool ftx_print_live(void)
{
    return sink.live;
}

bool ftx_print_utf8(void)
{
    return sink.utf8;
}

const char *ftx_print_colour(enum ftx_colour colour)
{
    static const char *const codes[] = {
        [FTX_PLAIN] = "\033[0m", [FTX_BOLD] = "\033[1m",   [FTX_DIM] = "\033[2m",
        [FTX_RED] = "\033[31m",  [FTX_GREEN] = "\033[32m", [FTX_YELLOW] = "\033[33m"};
    return sink.colours ? codes[colour] : "";
}

enum ftx_colour ftx_print_state_colour(const char *state)
{
    static const struct {
        const char *state;
        enum ftx_colour colour;
    } table[] = {
        {"connected", FTX_GREEN},  {"delivered", FTX_GREEN},    {"complete", FTX_GREEN},
        {"sending", FTX_GREEN},    {"arriving", FTX_GREEN},     {"waiting", FTX_YELLOW},
        {"pairing", FTX_YELLOW},   {"offline", FTX_YELLOW},     {"paused", FTX_YELLOW},
        {"queued", FTX_YELLOW},    {"writing", FTX_YELLOW},     {"locked", FTX_RED},
        {"both-senders", FTX_RED}, {"both-receivers", FTX_RED}, {"lost", FTX_RED},
        {"interrupted", FTX_RED},  {"refused", FTX_RED},        {"failed", FTX_RED},
        {"cancelled", FTX_RED},    {"offered", FTX_YELLOW},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].state, state) == 0)
            return table[i].colour;
    return FTX_PLAIN;
}

/* Escaped, to be freed. Where UTF-8 cannot be shown, nothing but ASCII. */
static char *escaped(const char *name)
{
    size_t size = 4 * strlen(name) + 1;
    char *text = malloc(size);
    if (!text)
        abort();
    ftx_escape(text, size, name, strlen(name));
    for (char *at = text; !sink.utf8 && *at; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    return text;
}

static bool begins_character(char byte)
{
    return ((unsigned char)byte & 0xc0) != 0x80;
}

static int columns(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += begins_character(*text);
    return n;
}

int ftx_print_name(const char *name)
{
    char *text = escaped(name);
    int width = columns(text);
    fputs(text, stdout);
    free(text);
    return width;
}

/* The text from its n-th character. */
static const char *skip(const char *text, int n)
{
    while (*text && (n > 0 || !begins_character(*text)))
        n -= begins_character(*text++);
    return text;
}

void ftx_print_cell(const char *name, int width, enum ftx_colour colour)
{
    char *text = escaped(name);
    int n = columns(text);
    fputs(ftx_print_colour(colour), stdout);
    if (width > 4 && n > width) {
        int head = (width - 2) / 2, tail = width - 2 - head;
        fwrite(text, 1, (size_t)(skip(text, head) - text), stdout);
        fputs("..", stdout);
        fputs(skip(text, n - tail), stdout);
        n = width;
    } else {
        fputs(text, stdout);
    }
    fputs(colour == FTX_PLAIN ? "" : ftx_print_colour(FTX_PLAIN), stdout);
    for (; n < width; n++)
        putchar(' ');
    free(text);
}

static char *scaled(char *out, double number, double step, const char *const *units)
{
    int i = 0;
    for (; number >= step && units[i + 1]; i++)
        number /= step;
    snprintf(out, FTX_PRINT_MAX, i == 0 || number >= 99.95 ? "%.0f %s" : "%.1f %s", number,
             units[i]);
    return out;
}

char *ftx_print_size(char out[FTX_PRINT_MAX], double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", NULL};
    return scaled(out, bytes, 1024, units);
}

char *ftx_print_rate(char out[FTX_PRINT_MAX], double bytes_per_second)
{
    static const char *const units[] = {"B/s", "kB/s", "MB/s", "GB/s", "TB/s", NULL};
    return scaled(out, bytes_per_second, 1000, units);
}

char *ftx_print_span(char out[FTX_PRINT_MAX], double seconds)
{
    if (!(seconds >= 0 && seconds < 360000000)) {
        snprintf(out, FTX_PRINT_MAX, "-");
        return out;
    }
    long long s = (long long)(seconds + 0.5), h = s / 3600, m = s / 60 % 60;
    if (h > 0)
        snprintf(out, FTX_PRINT_MAX, "%lld:%02lld:%02lld", h, m, s % 60);
    else
        snprintf(out, FTX_PRINT_MAX, "%lld:%02lld", m, s % 60);
    return out;
}

void ftx_print_bar(double part, int width)
{
    int full = part >= 1 ? width : part > 0 ? (int)(part * width) : 0;
    putchar('[');
    for (int i = 0; i < width; i++)
        fputs(i >= full ? (sink.utf8 ? "\u00b7" : ".") : (sink.utf8 ? "\u2588" : "#"), stdout);
    putchar(']');
}

void ftx_print_json(cJSON *value)
{
    char *text = value ? ftx_value_line(value) : NULL;
    if (!text)
        abort(); /* no memory for a line */
    fputs(text, stdout);
    fflush(stdout);
    free(text);
    cJSON_Delete(value);
}
