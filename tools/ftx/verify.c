/* SPDX-License-Identifier: MIT */
/* ftx verify CODE: SHA-256 of what was sent and of what came; both ends' lists read the same. */
#include "tools/ftx/look.h"
#include "tools/ftx/place.h"
#include "tools/ftx/print.h"
#include "tools/ftx/value.h"
#include "transport/base/log.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMED_MAX = 5, HASH_SIZE = 64 };

struct entry {
    char *line; /* "HASH  forth|back  PATH", the path escaped */
    char *path; /* as it is; NULL: it is of the other end's list */
};

struct listing {
    struct entry *entries;
    size_t n;
    unsigned long long unknown;
};

static void add(struct listing *l, char *line, char *path)
{
    if ((l->n & (l->n - 1)) == 0) { /* full at each power of two */
        l->entries = realloc(l->entries, (l->n ? 2 * l->n : 1) * sizeof *l->entries);
        if (!l->entries)
            abort();
    }
    l->entries[l->n++] = (struct entry){line, path};
}

static void listing_close(struct listing *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->entries[i].line);
        free(l->entries[i].path);
    }
    free(l->entries);
}

/* -- this end -- */

static void add_file(struct listing *l, const char *direction, const char *path, const char *hash)
{
    char *line, *escaped = malloc(4 * strlen(path) + 1);
    if (!escaped)
        abort();
    ftx_escape(escaped, 4 * strlen(path) + 1, path, strlen(path));
    if (asprintf(&line, "%s  %s  %s", hash, direction, escaped) < 0)
        abort();
    free(escaped);
    add(l, line, strdup(path));
}

static void list_box(struct listing *l, const struct ftx_look *look, const char *box,
                     const char *code, const char *direction)
{
    char *top = ftx_place_join(look->mount, box, code);
    size_t n = strlen(top);
    FTS *tree = fts_open((char *[]){top, NULL}, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    for (FTSENT *entry; tree && (entry = fts_read(tree));) {
        if (entry->fts_info != FTS_F)
            continue;
        char *hash = ftx_look_xattr(entry->fts_path, "sha256");
        if (hash)
            add_file(l, direction, entry->fts_path + n + 1, hash);
        else if (l->unknown++ < NAMED_MAX)
            ftx_fail("%s: no SHA-256: not complete here, or open, or only at the peer",
                     entry->fts_path + strlen(look->mount) + 1);
        free(hash);
    }
    if (tree)
        fts_close(tree);
    free(top);
}

/* Forth is the way from who made the code, at both ends. */
static void list_link(struct listing *l, const struct ftx_look *look, const char *code)
{
    bool made_here = strcmp(ftx_value_text(look->link, "role"), "outbox") == 0;
    list_box(l, look, "outbox", code, made_here ? "forth" : "back");
    list_box(l, look, "inbox", code, made_here ? "back" : "forth");
}

/* By direction and path: what differs stands side by side. */
static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->line + HASH_SIZE,
                  ((const struct entry *)b)->line + HASH_SIZE);
}

static void show(const struct listing *l, bool json)
{
    for (size_t i = 0; i < l->n; i++) {
        char *line = l->entries[i].line;
        if (!json) {
            puts(line);
            continue;
        }
        cJSON *object = cJSON_CreateObject();
        char *direction = line + HASH_SIZE + 2;
        line[HASH_SIZE] = *strchr(direction, ' ') = '\0';
        cJSON_AddStringToObject(object, "sha256", line);
        cJSON_AddStringToObject(object, "direction", direction);
        cJSON_AddStringToObject(object, "path", l->entries[i].path);
        ftx_print_json(object);
    }
}

/* -- the other end -- */

/* 0, or an exit status: the file is no list of ours. */
static int read_listing(const struct ftx_call *call, const char *path, struct listing *out)
{
    size_t size;
    char *text = ftx_look_file(path, &size), *rest = text;
    if (!text)
        return ftx_usage(call, "--against: %s: %s", path, strerror(errno));
    int status = 0;
    for (char *line; !status && (line = strsep(&rest, "\n"));) {
        if (!*line)
            continue;
        if (strspn(line, "0123456789abcdef") != HASH_SIZE ||
            (strncmp(line + HASH_SIZE, "  forth  ", 9) != 0 &&
             strncmp(line + HASH_SIZE, "  back  ", 8) != 0))
            status = ftx_usage(call, "--against: %s: not what ftx verify wrote", path);
        else
            add(out, strdup(line), NULL);
    }
    free(text);
    return status;
}

static void name(const char *line, const char *what)
{
    printf("%s: ", what);
    ftx_print_cell(line + HASH_SIZE + 2, 0, FTX_RED);
    putchar('\n');
}

static int compare(const struct listing *here, const struct listing *there, bool json)
{
    size_t i = 0, k = 0, same = 0, different = 0;
    while (i < here->n || k < there->n) {
        int order = i == here->n    ? 1
                    : k == there->n ? -1
                                    : by_path(&here->entries[i], &there->entries[k]);
        bool equal = order == 0 && strcmp(here->entries[i].line, there->entries[k].line) == 0;
        same += equal;
        different += !equal;
        if (!equal && !json)
            name(order > 0 ? there->entries[k].line : here->entries[i].line, order == 0 ? "differs"
                                                                             : order < 0
                                                                                 ? "only here"
                                                                                 : "only there");
        i += order <= 0;
        k += order >= 0;
    }
    if (json) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddNumberToObject(object, "same", (double)same);
        cJSON_AddNumberToObject(object, "different", (double)different);
        ftx_print_json(object);
    } else {
        printf("%zu files are the same, %zu are not\n", same, different);
    }
    return different ? FTX_EXIT_FAILED : 0;
}

int ftx_cmd_verify(struct ftx_call *call)
{
    const char *code = call->words[0], *against = ftx_call_flag(call, "against");
    struct ftx_look look;
    struct listing here = {0}, there = {0};
    int status = ftx_look_open(call, code, &look);
    if (!status && !ftx_look_paired(look.link)) {
        ftx_fail("%s: not paired yet", code);
        status = FTX_EXIT_NO_LINK;
    }
    if (!status && against)
        status = read_listing(call, against, &there);
    if (!status) {
        list_link(&here, &look, code);
        if (here.n)
            qsort(here.entries, here.n, sizeof *here.entries, by_path);
        if (there.n)
            qsort(there.entries, there.n, sizeof *there.entries, by_path);
        if (against)
            status = compare(&here, &there, call->json);
        else
            show(&here, call->json);
        if (here.unknown)
            status = ftx_fail("%llu files have no SHA-256 here", here.unknown);
    }
    listing_close(&here);
    listing_close(&there);
    ftx_look_close(&look);
    return status;
}
