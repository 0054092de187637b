/* SPDX-License-Identifier: MIT */
/* ftx history: finished transfers, one a line. */
#include "tools/ftx/finished.h"
#include "tools/ftx/print.h"
#include "tools/ftx/value.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* 2026-11-30T17:20:19.000000Z as this place's clock shows it. */
static void show_time(const char *utc)
{
    struct tm tm = {0};
    char text[32];
    if (strptime(utc, "%Y-%m-%dT%H:%M:%S", &tm)) {
        time_t seconds = timegm(&tm);
        localtime_r(&seconds, &tm);
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S ", &tm);
        fputs(text, stdout);
    }
}

static void show(void *ctx, const cJSON *line)
{
    const char *result = ftx_value_text(line, "result"), *reason = ftx_value_text(line, "reason");
    double size = ftx_value_number(line, "size"), seconds = ftx_value_number(line, "seconds");
    char text[FTX_PRINT_MAX];
    (void)ctx;
    show_time(ftx_value_text(line, "time"));
    ftx_print_cell(result, 9, ftx_print_state_colour(result));
    printf(" %10s", ftx_print_size(text, size));
    printf(" %10s  ", seconds > 0 ? ftx_print_rate(text, size / seconds) : "");
    ftx_print_name(ftx_value_text(line, "path"));
    if (*reason) {
        printf("  ");
        ftx_print_cell(reason, 0, FTX_RED);
    }
    putchar('\n');
}

static void show_json(void *ctx, const cJSON *line)
{
    (void)ctx;
    ftx_print_json(cJSON_Duplicate(line, true));
}

int ftx_cmd_history(struct ftx_call *call)
{
    return ftx_finished(call, call->json ? show_json : show, NULL);
}
