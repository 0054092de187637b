/* SPDX-License-Identifier: MIT */
/* ftx status [PATH|CODE]: the mount, a link, or what becomes of a file or folder. */
#include "tools/ftx/look.h"
#include "tools/ftx/place.h"
#include "tools/ftx/print.h"
#include "tools/ftx/value.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* -- links -- */

static void show_amount(const cJSON *link, const char *part, const char *bytes, const char *word)
{
    const cJSON *object = cJSON_GetObjectItemCaseSensitive(link, part);
    double files = ftx_value_number(object, "files");
    char size[FTX_PRINT_MAX];
    if (files > 0)
        printf("  %s %.0f file%s, %s", word, files, files == 1 ? "" : "s",
               ftx_print_size(size, ftx_value_number(object, bytes)));
}

static void show_rate(const cJSON *link, const char *name, const char *word)
{
    char rate[FTX_PRINT_MAX];
    if (ftx_value_number(link, name) > 0)
        printf("  %s %s", word, ftx_print_rate(rate, ftx_value_number(link, name)));
}

static void show_link(const cJSON *link)
{
    const char *state = ftx_value_text(link, "state"), *error = ftx_value_text(link, "error");
    ftx_print_cell(ftx_value_text(link, "name"), 28, FTX_BOLD);
    putchar(' ');
    ftx_print_cell(state, 14, ftx_print_state_colour(state));
    show_amount(link, "queue", "bytes", "to send");
    show_amount(link, "arriving", "bytes_missing", "to come");
    if (ftx_value_number(link, "offered") > 0)
        printf("  %g offered", ftx_value_number(link, "offered"));
    show_rate(link, "up_bytes_per_second", "up");
    show_rate(link, "down_bytes_per_second", "down");
    if (*error) {
        printf("  ");
        ftx_print_cell(error, 0, FTX_RED);
    }
    putchar('\n');
}

static void show_group(const cJSON *group)
{
    const cJSON *member, *members = cJSON_GetObjectItemCaseSensitive(group, "members");
    ftx_print_cell(ftx_value_text(group, "name"), 28, FTX_BOLD);
    putchar(' ');
    ftx_print_cell("group", 14, FTX_PLAIN);
    show_amount(group, "queue", "bytes", "to send");
    cJSON_ArrayForEach(member, members)
    {
        printf("\n  ");
        ftx_print_cell(ftx_value_text(member, "name"), 26, FTX_PLAIN);
        putchar(' ');
        ftx_print_cell(ftx_value_text(member, "state"), 14,
                       ftx_print_state_colour(ftx_value_text(member, "state")));
        show_amount(member, "queue", "bytes", "to send");
    }
    putchar('\n');
}

static int show_mount(const struct ftx_call *call)
{
    char *mount;
    cJSON *status = NULL;
    int exit_status = ftx_place_mount(call, &mount);
    if (exit_status)
        return exit_status;
    exit_status = ftx_look_status(mount, &status);
    if (!exit_status && call->json) {
        ftx_print_json(cJSON_Duplicate(status, true));
    } else if (!exit_status) {
        const cJSON *link, *links = cJSON_GetObjectItemCaseSensitive(status, "links");
        const cJSON *groups = cJSON_GetObjectItemCaseSensitive(status, "groups");
        printf("ftxfs %s on ", ftx_value_text(status, "version"));
        ftx_print_name(mount);
        printf(", %d link%s\n", cJSON_GetArraySize(links),
               cJSON_GetArraySize(links) == 1 ? "" : "s");
        cJSON_ArrayForEach(link, links) show_link(link);
        cJSON_ArrayForEach(link, groups) show_group(link);
    }
    cJSON_Delete(status);
    free(mount);
    return exit_status;
}

/* -- an item -- */

static void add_text(cJSON *object, const char *path, const char *name)
{
    char *value = ftx_look_xattr(path, name);
    if (value)
        cJSON_AddStringToObject(object, name, value);
    free(value);
}

static void add_file(cJSON *object, const char *path)
{
    uint64_t bytes, total;
    add_text(object, path, "state");
    if (ftx_look_progress(path, &bytes, &total)) {
        cJSON_AddNumberToObject(object, "bytes", (double)bytes);
        cJSON_AddNumberToObject(object, "total", (double)total);
    }
    add_text(object, path, "error");
    add_text(object, path, "priority");
}

/* Counts the files below a folder by state: {"complete": 3, ...}. */
static void add_folder(cJSON *object, char *path)
{
    cJSON *states = cJSON_AddObjectToObject(object, "files");
    FTS *tree = fts_open((char *[]){path, NULL}, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    double bytes = 0, total = 0;
    for (FTSENT *entry; tree && (entry = fts_read(tree));) {
        uint64_t here, all;
        if (entry->fts_info != FTS_F)
            continue;
        char *state = ftx_look_xattr(entry->fts_path, "state");
        const char *name = state ? state : "unknown";
        double n = ftx_value_number(states, name);
        cJSON_DeleteItemFromObjectCaseSensitive(states, name);
        cJSON_AddNumberToObject(states, name, n + 1);
        free(state);
        if (ftx_look_progress(entry->fts_path, &here, &all)) {
            bytes += (double)here;
            total += (double)all;
        }
    }
    if (tree)
        fts_close(tree);
    cJSON_AddNumberToObject(object, "bytes", bytes);
    cJSON_AddNumberToObject(object, "total", total);
}

static void show_item(const cJSON *object)
{
    const char *state = ftx_value_text(object, "state"), *error = ftx_value_text(object, "error");
    const cJSON *count, *files = cJSON_GetObjectItemCaseSensitive(object, "files");
    double bytes = ftx_value_number(object, "bytes"), total = ftx_value_number(object, "total");
    char here[FTX_PRINT_MAX], all[FTX_PRINT_MAX];
    ftx_print_cell(ftx_value_text(object, "path"), 0, FTX_BOLD);
    printf(": ");
    if (files && !files->child)
        printf("no files");
    cJSON_ArrayForEach(count, files)
    {
        printf("%s%.0f ", count == files->child ? "" : ", ", count->valuedouble);
        ftx_print_cell(count->string, 0, ftx_print_state_colour(count->string));
    }
    if (!files)
        ftx_print_cell(*state ? state : "no state", 0, ftx_print_state_colour(state));
    if (cJSON_HasObjectItem(object, "total"))
        printf("  %s of %s", ftx_print_size(here, bytes), ftx_print_size(all, total));
    if (*error) {
        printf("  ");
        ftx_print_cell(error, 0, FTX_RED);
    }
    putchar('\n');
}

static bool is_link_folder(const char *item)
{
    const char *code = strchr(item, '/');
    return code && !strchr(code + 1, '/');
}

static int show_one_link(const struct ftx_call *call, const struct ftx_place *place)
{
    cJSON *status = NULL;
    int exit_status = ftx_look_status(place->mount, &status);
    const char *name = strchr(place->item, '/') + 1;
    const cJSON *link = ftx_look_link(status, name), *group = ftx_look_group(status, name);
    if (!exit_status && !link && !group) {
        ftx_fail("%s: the link is gone", place->item);
        exit_status = FTX_EXIT_NO_LINK;
    } else if (!exit_status && call->json) {
        ftx_print_json(cJSON_Duplicate(link ? link : group, true));
    } else if (!exit_status && link) {
        show_link(link);
    } else if (!exit_status) {
        show_group(group);
    }
    cJSON_Delete(status);
    return exit_status;
}

static int show_path(const struct ftx_call *call, struct ftx_place *place)
{
    struct stat st;
    if (is_link_folder(place->item))
        return show_one_link(call, place);
    if (lstat(place->path, &st) < 0)
        return ftx_fail("%s: %s", place->item, strerror(errno));
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "path", place->item);
    if (S_ISDIR(st.st_mode))
        add_folder(object, place->path);
    else
        add_file(object, place->path);
    if (!call->json)
        show_item(object);
    else
        ftx_print_json(cJSON_Duplicate(object, true));
    cJSON_Delete(object);
    return 0;
}

int ftx_cmd_status(struct ftx_call *call)
{
    struct ftx_place place;
    if (call->n_words == 0)
        return show_mount(call);
    int status = ftx_place_find(call, call->words[0], &place);
    if (status)
        return status;
    status = show_path(call, &place);
    ftx_place_close(&place);
    return status;
}
