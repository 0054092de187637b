/* SPDX-License-Identifier: MIT */
/* A limit that depends on the time of the day, as `08:00-18:00=2M,else=none`. Pure but for
 * ftx_timetable_minute: who asks brings the clock. */
#ifndef FTX_STORE_TIMETABLE_H
#define FTX_STORE_TIMETABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum {
    FTX_TIMES_MAX = 8, /* periods of a timetable */
    FTX_DAY_MINUTES = 24 * 60,
    FTX_TIMETABLE_TEXT = 320, /* all periods, the rest, and the NUL */
};

/* Periods do not overlap, so at most one holds. */
struct ftx_timetable {
    uint64_t rest; /* bytes per second outside of them; 0: no limit */
    struct ftx_period {
        uint64_t rate; /* 0: no limit */
        uint16_t begin,
            end; /* minutes since midnight; end may be 24:00; end below begin: over midnight */
    } at[FTX_TIMES_MAX];
    uint8_t n;
};

/* A number with K, M, G or T (powers of 1024), or `none`: 0. False: neither, or too large. */
bool ftx_size_parse(const char *text, size_t size, uint64_t *out);

/* A rate for the whole day, or periods HH:MM-HH:MM=RATE and else=RATE, in any order, with commas
 * between them. -EINVAL: it is neither, periods overlap or are empty, there are too many. */
int ftx_timetable_parse(const char *text, size_t size, struct ftx_timetable *out);

/* The text that says the same: `none`, bytes per second, or periods and what holds else. */
void ftx_timetable_text(const struct ftx_timetable *table, char out[FTX_TIMETABLE_TEXT]);

/* What holds in this minute of the day. */
uint64_t ftx_timetable_rate(const struct ftx_timetable *table, unsigned minute);

/* The minute of the day here, 0 to 1439. */
unsigned ftx_timetable_minute(time_t now);

#endif
