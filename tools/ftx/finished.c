/* SPDX-License-Identifier: MIT */
/* Filters of history and stats. Times are compared as text: RFC 3339 in UTC sorts. */
#include "tools/ftx/finished.h"

#include "tools/ftx/look.h"
#include "tools/ftx/place.h"
#include "tools/ftx/value.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TIME_SIZE = 24 };

struct filter {
    const char *link, *state;
    char since[TIME_SIZE], until[TIME_SIZE]; /* "": none */
    size_t limit;                            /* SIZE_MAX: none */
};

static void utc_text(time_t time, char out[TIME_SIZE])
{
    struct tm tm;
    if (!gmtime_r(&time, &tm) || !strftime(out, TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm))
        out[0] = '\0';
}

/* 90m, 12h, 7d: so long ago. */
static bool parse_ago(const char *text, char out[TIME_SIZE])
{
    static const struct {
        char unit;
        long long seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || end == text || n < 0 || n > 1000000 || !*end || end[1])
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (units[i].unit == *end) {
            utc_text(time(NULL) - (time_t)(n * units[i].seconds), out);
            return true;
        }
    return false;
}

/* A day, or a day and a time, of this place's clock; with a Z of UTC's. */
static bool parse_date(const char *text, char out[TIME_SIZE])
{
    static const char *const formats[] = {"%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct tm tm = {.tm_isdst = -1};
        const char *end = strptime(text, formats[i], &tm);
        if (!end || (*end && strcmp(end, "Z") != 0))
            continue;
        utc_text(*end ? timegm(&tm) : mktime(&tm), out);
        return *out != '\0';
    }
    return false;
}

static int parse_time(const struct ftx_call *call, const char *flag, char out[TIME_SIZE])
{
    const char *text = ftx_call_flag(call, flag);
    if (!text || parse_ago(text, out) || parse_date(text, out))
        return 0;
    return ftx_usage(call, "--%s: '%s' is neither a time as 2026-11-30T17:20 nor a span as 12h",
                     flag, text);
}

static int parse_state(const struct ftx_call *call, struct filter *filter)
{
    static const char *const states[] = {"delivered", "complete", "refused", "cancelled", "failed"};
    filter->state = ftx_call_flag(call, "state");
    if (!filter->state)
        return 0;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (strcmp(states[i], filter->state) == 0)
            return 0;
    return ftx_usage(call,
                     "--state: '%s' is none of delivered, complete, refused, cancelled, "
                     "failed",
                     filter->state);
}

static int parse_filter(const struct ftx_call *call, struct filter *out)
{
    const char *limit = ftx_call_flag(call, "limit");
    char *end;
    *out = (struct filter){.link = ftx_call_flag(call, "link"), .limit = SIZE_MAX};
    int status = out->link ? ftx_place_check_code(call, out->link) : 0;
    if (!status)
        status = parse_state(call, out);
    if (!status)
        status = parse_time(call, "since", out->since);
    if (!status)
        status = parse_time(call, "until", out->until);
    if (status || !limit)
        return status;
    errno = 0;
    out->limit = strtoul(limit, &end, 10);
    if (errno || *end || limit[0] < '0' || limit[0] > '9')
        return ftx_usage(call, "--limit: '%s' is not a number of lines", limit);
    return 0;
}

static bool passes(const struct filter *filter, const cJSON *line)
{
    const char *time = ftx_value_text(line, "time");
    if (filter->link && strcmp(filter->link, ftx_value_text(line, "link")) != 0)
        return false;
    if (filter->state && strcmp(filter->state, ftx_value_text(line, "result")) != 0)
        return false;
    if (filter->since[0] && strcmp(time, filter->since) < 0)
        return false;
    return !filter->until[0] || strcmp(time, filter->until) <= 0;
}

/* The start of the line before `at`, which is the start of one. */
static const char *line_before(const char *text, const char *at)
{
    const char *end = memrchr(text, '\n', (size_t)(at - text) - 1);
    return end ? end + 1 : text;
}

/* From where at most `limit` lines pass, looking from the end; *out_n: how many do. */
static const char *first_of(const struct filter *filter, const char *text, size_t size,
                            size_t *out_n)
{
    const char *at = text + size;
    for (*out_n = 0; at > text && *out_n < filter->limit;) {
        const char *start = line_before(text, at);
        cJSON *line = ftx_value_read(start, (size_t)(at - start));
        *out_n += passes(filter, line);
        cJSON_Delete(line);
        at = start;
    }
    return at;
}

static void give(const struct filter *filter, const char *text, size_t size,
                 void (*take)(void *ctx, const cJSON *line), void *ctx)
{
    size_t n;
    const char *at = filter->limit == SIZE_MAX ? text : first_of(filter, text, size, &n), *end;
    for (; (end = memchr(at, '\n', size - (size_t)(at - text))); at = end + 1) {
        cJSON *line = ftx_value_read(at, (size_t)(end - at));
        if (line && passes(filter, line))
            take(ctx, line);
        cJSON_Delete(line);
    }
}

/* Is there such a link, or was there when something of it ended? 0, or an exit status after one
 * line. */
static int check_link(const struct filter *filter, const char *mount, const char *text, size_t size)
{
    const struct filter of_link = {.link = filter->link, .limit = 1};
    cJSON *status;
    size_t n = 1;
    if (filter->link)
        (void)first_of(&of_link, text, size, &n);
    if (n)
        return 0;
    int exit_status = ftx_look_status(mount, &status);
    if (exit_status)
        return exit_status;
    if (!ftx_look_link(status, filter->link) && !ftx_look_group(status, filter->link)) {
        ftx_fail("%s: no such link; ftx links shows those that are", filter->link);
        exit_status = FTX_EXIT_NO_LINK;
    }
    cJSON_Delete(status);
    return exit_status;
}

int ftx_finished(const struct ftx_call *call, void (*take)(void *ctx, const cJSON *line), void *ctx)
{
    struct filter filter;
    char *mount;
    size_t size;
    int status = parse_filter(call, &filter);
    if (!status)
        status = ftx_place_mount(call, &mount);
    if (status)
        return status;
    char *path = ftx_place_join(mount, ".ftx", "history");
    char *text = ftx_look_file(path, &size);
    if (!text)
        status = ftx_fail("%s: %s", path, strerror(errno));
    else
        status = check_link(&filter, mount, text, size);
    if (!status)
        give(&filter, text, size, take, ctx);
    free(text);
    free(path);
    free(mount);
    return status;
}
