/* SPDX-License-Identifier: MIT */
/* Bar, amount, speed, time that is left. */
#include "tools/ftx/progress.h"

#include "tools/ftx/look.h"
#include "tools/ftx/print.h"

#include <stdarg.h>
#include <stdio.h>

void ftx_progress_begin(struct ftx_progress *progress, const char *word, uint64_t total)
{
    ftx_progress_end(progress);
    progress->word = word;
    progress->total = total;
    progress->done = 0;
    progress->begun_bytes = 0;
    progress->begun = ftx_look_clock();
    progress->shown = 0;
}

static void draw(const struct ftx_progress *p, double now)
{
    char done[FTX_PRINT_MAX], total[FTX_PRINT_MAX], rate[FTX_PRINT_MAX], left[FTX_PRINT_MAX];
    double span = now - p->begun;
    double speed = span > 0 ? (double)(p->done - p->begun_bytes) / span : 0;
    double rest = p->total > p->done ? (double)(p->total - p->done) : 0;
    printf("\r%s ", p->word);
    ftx_print_bar(p->total ? (double)p->done / (double)p->total : 1, 20);
    printf(" %s of %s  %s  %s left\033[K", ftx_print_size(done, (double)p->done),
           ftx_print_size(total, (double)p->total), ftx_print_rate(rate, speed),
           ftx_print_span(left, speed > 0 ? rest / speed : -1));
    fflush(stdout);
}

static void draw_json(const struct ftx_progress *p)
{
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "progress", p->word);
    cJSON_AddNumberToObject(line, "bytes", (double)p->done);
    cJSON_AddNumberToObject(line, "total", (double)p->total);
    ftx_print_json(line);
}

void ftx_progress_set(struct ftx_progress *progress, uint64_t done)
{
    double now = ftx_look_clock(), pause = progress->json ? 1 : 0.2;
    if (progress->shown == 0)
        progress->begun_bytes = done;
    progress->done = done;
    if (now - progress->shown < pause || (!progress->json && !ftx_print_live()))
        return;
    progress->shown = now;
    if (progress->json)
        draw_json(progress);
    else
        draw(progress, now);
    progress->drawn = !progress->json;
}

void ftx_progress_say(struct ftx_progress *progress, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ftx_progress_tell(progress, NULL, text);
}

void ftx_progress_tell(struct ftx_progress *progress, cJSON *line, const char *text)
{
    ftx_progress_end(progress);
    if (progress->json) {
        if (!line)
            line = cJSON_CreateObject();
        cJSON_AddStringToObject(line, "message", text);
        ftx_print_json(line);
    } else {
        cJSON_Delete(line);
        ftx_print_name(text);
        putchar('\n');
        fflush(stdout);
    }
}

void ftx_progress_end(struct ftx_progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", stdout);
    progress->drawn = false;
}
