/* SPDX-License-Identifier: MIT */
/* ftx watch: links and transfers, once a second; a table on a terminal, lines elsewhere. */
#include "tools/ftx/look.h"
#include "tools/ftx/place.h"
#include "tools/ftx/print.h"
#include "tools/ftx/terminal.h"
#include "tools/ftx/transfers.h"
#include "tools/ftx/value.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What a link had to move since it last had nothing to, by its name. */
struct batch {
    char *name;
    double most[2];        /* up, down: the largest rest that was seen */
    double begun;          /* when there was something again */
    double begun_bytes[2]; /* the link's counters then */
};

struct watch {
    char *mount;
    struct batch *batches;
    size_t n_batches;
    struct ftx_transfers transfers;
};

static volatile sig_atomic_t ended;

static void on_end(int number)
{
    (void)number;
    ended = 1;
}

static struct batch *batch_of(struct watch *w, const char *name)
{
    for (size_t i = 0; i < w->n_batches; i++)
        if (strcmp(w->batches[i].name, name) == 0)
            return &w->batches[i];
    w->batches = realloc(w->batches, (w->n_batches + 1) * sizeof *w->batches);
    if (!w->batches)
        abort();
    w->batches[w->n_batches] = (struct batch){.name = strdup(name)};
    return &w->batches[w->n_batches++];
}

static const char *const rate_names[] = {"up_bytes_per_second", "down_bytes_per_second"};
static const char *const counter_names[] = {"up_bytes", "down_bytes"};

/* What is shown of one link. */
struct flow {
    double rest[2], now[2], average[2];
    double part[2]; /* of all since there was something to do */
    double eta;     /* seconds; negative: nobody knows */
};

static void measure(struct watch *w, const cJSON *link, struct flow *out)
{
    struct batch *batch = batch_of(w, ftx_value_text(link, "name"));
    *out = (struct flow){.eta = -1};
    out->rest[0] = ftx_value_number(cJSON_GetObjectItem(link, "queue"), "bytes");
    out->rest[1] = ftx_value_number(cJSON_GetObjectItem(link, "arriving"), "bytes_missing");
    double rest = out->rest[0] + out->rest[1], now = ftx_look_clock();
    if (rest == 0 || batch->begun == 0) {
        batch->begun = now;
        for (int i = 0; i < 2; i++) {
            batch->most[i] = 0;
            batch->begun_bytes[i] = ftx_value_number(link, counter_names[i]);
        }
    }
    for (int i = 0; i < 2; i++) {
        double moved = ftx_value_number(link, counter_names[i]) - batch->begun_bytes[i];
        if (batch->most[i] < out->rest[i] + moved)
            batch->most[i] = out->rest[i] + moved;
        out->part[i] = batch->most[i] > 0 ? 1 - out->rest[i] / batch->most[i] : 1;
        out->now[i] = ftx_value_number(link, rate_names[i]);
        out->average[i] = now > batch->begun ? moved / (now - batch->begun) : 0;
    }
    double rate = out->average[0] + out->average[1];
    if (rest > 0 && rate > 0)
        out->eta = rest / rate;
}

/* The way and how good it is. */
static void show_way(const cJSON *link)
{
    double rtt = ftx_value_number(link, "rtt_ms");
    const char *path = ftx_value_text(link, "path");
    ftx_print_cell(*path ? path : "-", 6, FTX_PLAIN);
    if (*path)
        printf(" %s", ftx_value_text(link, "quality"));
    if (*path && rtt > 0)
        printf(rtt < 10 ? " %.1f ms" : " %.0f ms", rtt);
}

/* -- a table -- */

/* What is on its way, how far it is, how much it is, how fast, and when it is over. */
static void show_row(const char *what, double part, double bytes, double rate, double seconds)
{
    char text[FTX_PRINT_MAX];
    int width = ftx_terminal_columns() - 54;
    printf("  ");
    ftx_print_cell(what, width > 16 ? width : 16, FTX_PLAIN);
    putchar(' ');
    ftx_print_bar(part, 12);
    printf(" %10s", ftx_print_size(text, bytes));
    printf(" %10s", ftx_print_rate(text, rate));
    printf(" %s left\033[K\n", ftx_print_span(text, seconds));
}

/* A line, and one more for each direction in which something goes. Returns how many. */
static int show_link(struct watch *w, const cJSON *link)
{
    static const char *const directions[] = {"to send", "to come"};
    const char *state = ftx_value_text(link, "state");
    struct flow flow;
    int lines = 1;
    char rate[FTX_PRINT_MAX], what[FTX_PRINT_MAX + 32];
    measure(w, link, &flow);
    ftx_print_cell(ftx_value_text(link, "name"), 26, FTX_BOLD);
    putchar(' ');
    ftx_print_cell(state, 10, ftx_print_state_colour(state));
    putchar(' ');
    show_way(link);
    fputs("\033[K\n", stdout);
    for (int i = 0; i < 2; i++) {
        if (flow.now[i] == 0 && flow.rest[i] == 0)
            continue;
        snprintf(what, sizeof what, "%s, average %s", directions[i],
                 ftx_print_rate(rate, flow.average[i]));
        show_row(what, flow.part[i], flow.rest[i], flow.now[i],
                 flow.average[i] > 0 ? flow.rest[i] / flow.average[i] : -1);
        lines++;
    }
    return lines;
}

static void show_transfer(const struct ftx_transfer *t)
{
    double span = ftx_look_clock() - t->from, rest = (double)(t->total - t->bytes);
    double rate = span > 0 ? (double)(t->bytes - t->from_bytes) / span : 0;
    show_row(t->path, t->total ? (double)t->bytes / (double)t->total : 1, (double)t->total, rate,
             rate > 0 ? rest / rate : -1);
}

static void show_table(struct watch *w, const cJSON *status)
{
    const cJSON *link, *links = cJSON_GetObjectItemCaseSensitive(status, "links");
    int rows = ftx_terminal_rows() - 3;
    fputs("\033[H", stdout);
    cJSON_ArrayForEach(link, links) rows -= show_link(w, link);
    size_t shown = rows > 0 ? (size_t)rows : 0;
    if (!cJSON_GetArraySize(links))
        fputs("no links yet: ftx code makes one\033[K\n", stdout);
    ftx_transfers_update(&w->transfers, w->mount);
    for (size_t i = 0; i < w->transfers.n && i < shown; i++)
        show_transfer(&w->transfers.items[i]);
    if (w->transfers.n > shown)
        printf("  and %zu more\033[K\n", w->transfers.n - shown);
    fputs("\033[J", stdout);
    fflush(stdout);
}

/* -- lines -- */

static void show_line(struct watch *w, const cJSON *link)
{
    struct flow flow;
    measure(w, link, &flow);
    ftx_print_name(ftx_value_text(link, "name"));
    printf(" %s %s %s", ftx_value_text(link, "state"), ftx_value_text(link, "path"),
           ftx_value_text(link, "quality"));
    printf(" to_send=%.0f to_come=%.0f up=%.0f down=%.0f average_up=%.0f average_down=%.0f",
           flow.rest[0], flow.rest[1], flow.now[0], flow.now[1], flow.average[0], flow.average[1]);
    if (flow.eta >= 0)
        printf(" eta=%.0f", flow.eta);
    putchar('\n');
    fflush(stdout);
}

/* What the status says, with what is measured here, and the transfers. */
static void show_json(struct watch *w, cJSON *status)
{
    cJSON *link;
    cJSON_ArrayForEach(link, cJSON_GetObjectItemCaseSensitive(status, "links"))
    {
        struct flow flow;
        measure(w, link, &flow);
        cJSON_AddNumberToObject(link, "up_average", flow.average[0]);
        cJSON_AddNumberToObject(link, "down_average", flow.average[1]);
        if (flow.eta >= 0)
            cJSON_AddNumberToObject(link, "eta_seconds", flow.eta);
    }
    ftx_transfers_update(&w->transfers, w->mount);
    cJSON *list = cJSON_AddArrayToObject(status, "transfers");
    for (size_t i = 0; i < w->transfers.n; i++) {
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "path", w->transfers.items[i].path);
        cJSON_AddNumberToObject(one, "bytes", (double)w->transfers.items[i].bytes);
        cJSON_AddNumberToObject(one, "total", (double)w->transfers.items[i].total);
        cJSON_AddItemToArray(list, one);
    }
    ftx_print_json(cJSON_Duplicate(status, true));
}

static int round_once(struct watch *w, bool json)
{
    cJSON *status;
    const cJSON *link;
    int exit_status = ftx_look_status(w->mount, &status);
    if (exit_status)
        return exit_status;
    if (json)
        show_json(w, status);
    else if (ftx_print_live())
        show_table(w, status);
    else
        cJSON_ArrayForEach(link, cJSON_GetObjectItemCaseSensitive(status, "links"))
            show_line(w, link);
    cJSON_Delete(status);
    return 0;
}

static int parse_count(const struct ftx_call *call, unsigned long *out)
{
    const char *text = ftx_call_flag(call, "count");
    char *end;
    *out = 0;
    if (!text)
        return 0;
    errno = 0;
    *out = strtoul(text, &end, 10);
    if (errno || *end || text[0] < '0' || text[0] > '9' || *out == 0)
        return ftx_usage(call, "--count: '%s' is not a number of rounds", text);
    return 0;
}

int ftx_cmd_watch(struct ftx_call *call)
{
    struct watch *w = calloc(1, sizeof *w);
    unsigned long count;
    int status = parse_count(call, &count);
    if (!w)
        abort();
    if (!status)
        status = ftx_place_mount(call, &w->mount);
    if (!status && ftx_print_live()) {
        sigaction(SIGINT, &(struct sigaction){.sa_handler = on_end}, NULL);
        sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_end}, NULL);
        fputs("\033[?25l\033[?7l\033[2J", stdout); /* no cursor, long lines are cut */
    }
    for (unsigned long i = 0; !status && !ended; i++) {
        status = round_once(w, call->json);
        if (status || (count && i + 1 == count))
            break;
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
    if (w->mount && ftx_print_live())
        fputs("\033[?7h\033[?25h", stdout);
    ftx_transfers_close(&w->transfers);
    for (size_t i = 0; i < w->n_batches; i++)
        free(w->batches[i].name);
    free(w->batches);
    free(w->mount);
    free(w);
    return status;
}
