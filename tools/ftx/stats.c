/* SPDX-License-Identifier: MIT */
/* ftx stats: totals, success, speed; for each link and each kind of file. */
#include "tools/ftx/finished.h"
#include "tools/ftx/print.h"
#include "tools/ftx/value.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KIND_MAX = 16,  /* what stands behind the last dot, if it is no longer */
    SUMS_MAX = 512, /* names: more are one sum, as they could be as many as files */
};

struct sum {
    char *name;
    double files, good, bytes, timed_bytes, seconds; /* timed: those whose seconds are known */
};

struct sums {
    struct sum *list;
    size_t n;
};

struct stats {
    struct sum all;
    struct sums links, kinds;
};

static void add(struct sum *sum, const cJSON *line)
{
    const char *result = ftx_value_text(line, "result");
    double size = ftx_value_number(line, "size"), seconds = ftx_value_number(line, "seconds");
    bool good = strcmp(result, "delivered") == 0 || strcmp(result, "complete") == 0;
    sum->files++;
    if (!good)
        return;
    sum->good++;
    sum->bytes += size;
    if (seconds > 0) {
        sum->timed_bytes += size;
        sum->seconds += seconds;
    }
}

static void add_to(struct sums *sums, const char *name, const cJSON *line)
{
    size_t i = 0;
    while (i < sums->n && strcmp(sums->list[i].name, name) != 0)
        i++;
    if (i == SUMS_MAX) {
        i--; /* the last one */
        strcpy(sums->list[i].name, "+");
    } else if (i == sums->n) {
        sums->list = realloc(sums->list, (sums->n + 1) * sizeof *sums->list);
        if (!sums->list)
            abort();
        sums->list[sums->n++] = (struct sum){.name = strdup(name)};
    }
    add(&sums->list[i], line);
}

/* What stands behind the last dot of a name, in lower case; "-": nothing that says a kind. */
static void kind_of(const char *path, char out[KIND_MAX])
{
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    const char *dot = strrchr(name, '.');
    strcpy(out, "-");
    if (!dot || dot == name || !dot[1] || strlen(dot + 1) >= KIND_MAX)
        return;
    for (size_t i = 0; (out[i] = (char)tolower((unsigned char)dot[1 + i])); i++)
        ;
}

static void take(void *ctx, const cJSON *line)
{
    struct stats *stats = ctx;
    char kind[KIND_MAX];
    kind_of(ftx_value_text(line, "path"), kind);
    add(&stats->all, line);
    add_to(&stats->links, ftx_value_text(line, "link"), line);
    add_to(&stats->kinds, kind, line);
}

static int by_bytes(const void *a, const void *b)
{
    double x = ((const struct sum *)a)->bytes, y = ((const struct sum *)b)->bytes;
    return (x < y) - (x > y);
}

static double rate(const struct sum *sum)
{
    return sum->seconds > 0 ? sum->timed_bytes / sum->seconds : 0;
}

static double success(const struct sum *sum)
{
    return sum->files > 0 ? sum->good / sum->files : 0;
}

static void show(const struct sum *sum, const char *name)
{
    char text[FTX_PRINT_MAX];
    printf("  ");
    ftx_print_cell(name, 28, FTX_PLAIN);
    printf(" %8.0f files %10s", sum->good, ftx_print_size(text, sum->bytes));
    printf(" %10s %5.1f %%\n", sum->seconds > 0 ? ftx_print_rate(text, rate(sum)) : "-",
           100 * success(sum));
}

static void show_all(const struct stats *stats)
{
    printf("%-30s %14s %10s %10s %7s\n", "", "arrived", "size", "speed", "success");
    show(&stats->all, "all");
    printf("links\n");
    for (size_t i = 0; i < stats->links.n; i++)
        show(&stats->links.list[i], stats->links.list[i].name);
    printf("kinds\n");
    for (size_t i = 0; i < stats->kinds.n; i++)
        show(&stats->kinds.list[i], stats->kinds.list[i].name);
}

static cJSON *to_json(const struct sum *sum)
{
    cJSON *object = cJSON_CreateObject();
    if (sum->name)
        cJSON_AddStringToObject(object, "name", sum->name);
    cJSON_AddNumberToObject(object, "transfers", sum->files);
    cJSON_AddNumberToObject(object, "arrived", sum->good);
    cJSON_AddNumberToObject(object, "bytes", sum->bytes);
    cJSON_AddNumberToObject(object, "bytes_per_second", rate(sum));
    cJSON_AddNumberToObject(object, "success", success(sum));
    return object;
}

static void show_json(const struct stats *stats)
{
    cJSON *object = to_json(&stats->all);
    cJSON *links = cJSON_AddArrayToObject(object, "links");
    cJSON *kinds = cJSON_AddArrayToObject(object, "kinds");
    for (size_t i = 0; i < stats->links.n; i++)
        cJSON_AddItemToArray(links, to_json(&stats->links.list[i]));
    for (size_t i = 0; i < stats->kinds.n; i++)
        cJSON_AddItemToArray(kinds, to_json(&stats->kinds.list[i]));
    ftx_print_json(object);
}

static void close_sums(struct sums *sums)
{
    for (size_t i = 0; i < sums->n; i++)
        free(sums->list[i].name);
    free(sums->list);
}

int ftx_cmd_stats(struct ftx_call *call)
{
    struct stats stats = {0};
    int status = ftx_finished(call, take, &stats);
    if (stats.all.files > 0) {
        qsort(stats.links.list, stats.links.n, sizeof *stats.links.list, by_bytes);
        qsort(stats.kinds.list, stats.kinds.n, sizeof *stats.kinds.list, by_bytes);
    }
    if (!status && call->json)
        show_json(&stats);
    else if (!status)
        show_all(&stats);
    close_sums(&stats.links);
    close_sums(&stats.kinds);
    return status;
}
