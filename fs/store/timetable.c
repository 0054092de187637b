/* SPDX-License-Identifier: MIT */
/* Limits by the hour. A day is a circle of minutes: a period that ends before it begins goes over
 * midnight. Where clocks are put back an hour comes twice, and its periods hold twice. */
#include "fs/store/timetable.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CLOCK_SIZE = 5, PERIOD_HEAD = 2 * CLOCK_SIZE + 2 }; /* HH:MM, HH:MM-HH:MM= */

bool ftx_size_parse(const char *at, size_t size, uint64_t *out)
{
    static const char units[] = "KMGT";
    const char *unit = size ? memchr(units, at[size - 1], sizeof units - 1) : NULL;
    uint64_t value = 0;
    *out = 0;
    if (size == 4 && memcmp(at, "none", 4) == 0)
        return true;
    if (unit)
        size--;
    for (size_t i = 0; i < size; i++) {
        if (at[i] < '0' || at[i] > '9' || value > (INT64_MAX - 9) / 10)
            return false;
        value = 10 * value + (uint64_t)(at[i] - '0');
    }
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
    if (size == 0 || value > (uint64_t)INT64_MAX >> shift)
        return false;
    *out = value << shift;
    return true;
}

static bool read_two(const char *at, unsigned most, unsigned *out)
{
    if (at[0] < '0' || at[0] > '9' || at[1] < '0' || at[1] > '9')
        return false;
    *out = (unsigned)(at[0] - '0') * 10 + (unsigned)(at[1] - '0');
    return *out <= most;
}

/* HH:MM, up to 24:00. */
static bool read_clock(const char *at, uint16_t *out)
{
    unsigned hours, minutes;
    if (!read_two(at, 24, &hours) || at[2] != ':' || !read_two(at + 3, 59, &minutes))
        return false;
    *out = (uint16_t)(60 * hours + minutes);
    return *out <= FTX_DAY_MINUTES;
}

static bool holds(const struct ftx_period *period, unsigned minute)
{
    if (period->begin < period->end)
        return minute >= period->begin && minute < period->end;
    return minute >= period->begin || minute < period->end;
}

static bool overlap(const struct ftx_period *a, const struct ftx_period *b)
{
    return holds(a, b->begin) || holds(b, a->begin);
}

static int add_period(struct ftx_timetable *table, const char *at, size_t size)
{
    struct ftx_period period;
    if (size <= PERIOD_HEAD || table->n == FTX_TIMES_MAX || !read_clock(at, &period.begin) ||
        at[CLOCK_SIZE] != '-' || !read_clock(at + CLOCK_SIZE + 1, &period.end) ||
        at[PERIOD_HEAD - 1] != '=' ||
        !ftx_size_parse(at + PERIOD_HEAD, size - PERIOD_HEAD, &period.rate))
        return -EINVAL;
    if (period.begin == period.end || period.begin == FTX_DAY_MINUTES || period.end == 0)
        return -EINVAL;
    for (uint8_t i = 0; i < table->n; i++)
        if (overlap(&table->at[i], &period))
            return -EINVAL;
    table->at[table->n++] = period;
    return 0;
}

int ftx_timetable_parse(const char *text, size_t size, struct ftx_timetable *out)
{
    static const char other[] = "else=";
    enum { OTHER = sizeof other - 1 };
    struct ftx_timetable table = {0};
    bool rest = false;
    int err = 0;
    if (ftx_size_parse(text, size, &table.rest)) {
        *out = table;
        return 0;
    }
    for (size_t from = 0; from <= size && !err;) {
        const char *at = text + from, *comma = memchr(at, ',', size - from);
        size_t n = comma ? (size_t)(comma - at) : size - from;
        if (n > OTHER && memcmp(at, other, OTHER) == 0 && !rest) {
            rest = true;
            err = ftx_size_parse(at + OTHER, n - OTHER, &table.rest) ? 0 : -EINVAL;
        } else {
            err = add_period(&table, at, n);
        }
        from += n + 1;
    }
    if (!err && !table.n)
        err = -EINVAL;
    if (!err)
        *out = table;
    return err;
}

/* Appends a rate; returns the new end. */
static size_t add_rate(char *out, size_t used, uint64_t rate)
{
    int n = rate ? snprintf(out + used, FTX_TIMETABLE_TEXT - used, "%" PRIu64, rate)
                 : snprintf(out + used, FTX_TIMETABLE_TEXT - used, "none");
    return used + (size_t)n;
}

void ftx_timetable_text(const struct ftx_timetable *table, char out[FTX_TIMETABLE_TEXT])
{
    size_t used = 0;
    for (uint8_t i = 0; i < table->n; i++) {
        const struct ftx_period *p = &table->at[i];
        used += (size_t)snprintf(out + used, FTX_TIMETABLE_TEXT - used,
                                 "%02u:%02u-%02u:%02u=", p->begin / 60u, p->begin % 60u,
                                 p->end / 60u, p->end % 60u);
        used = add_rate(out, used, p->rate);
        out[used++] = ',';
    }
    if (table->n)
        used += (size_t)snprintf(out + used, FTX_TIMETABLE_TEXT - used, "else=");
    add_rate(out, used, table->rest);
}

uint64_t ftx_timetable_rate(const struct ftx_timetable *table, unsigned minute)
{
    for (uint8_t i = 0; i < table->n; i++)
        if (holds(&table->at[i], minute))
            return table->at[i].rate;
    return table->rest;
}

unsigned ftx_timetable_minute(time_t now)
{
    struct tm here;
    if (!localtime_r(&now, &here))
        return 0;
    return (unsigned)here.tm_hour * 60 + (unsigned)here.tm_min;
}
