/* SPDX-License-Identifier: MIT */
/* ftx links: one a line, groups first. */
#include "tools/ftx/look.h"
#include "tools/ftx/place.h"
#include "tools/ftx/print.h"
#include "tools/ftx/value.h"

#include <stdio.h>
#include <stdlib.h>

static void show(const cJSON *link)
{
    const char *state = ftx_value_text(link, "state"), *path = ftx_value_text(link, "path");
    ftx_print_cell(ftx_value_text(link, "name"), 28, FTX_BOLD);
    putchar(' ');
    ftx_print_cell(state, 14, ftx_print_state_colour(state));
    putchar(' ');
    ftx_print_cell(*path ? path : "-", 6, FTX_PLAIN);
    putchar(' ');
    ftx_print_cell(*path ? ftx_value_text(link, "quality") : "", 9, FTX_PLAIN);
    putchar(' ');
    ftx_print_name(ftx_value_text(link, "peer"));
    putchar('\n');
}

static void show_group(const cJSON *group)
{
    const cJSON *member, *members = cJSON_GetObjectItemCaseSensitive(group, "members");
    ftx_print_cell(ftx_value_text(group, "name"), 28, FTX_BOLD);
    printf(" group of");
    cJSON_ArrayForEach(member, members)
    {
        putchar(' ');
        ftx_print_name(ftx_value_text(member, "name"));
    }
    putchar('\n');
}

int ftx_cmd_links(struct ftx_call *call)
{
    char *mount;
    cJSON *status = NULL;
    int exit_status = ftx_place_mount(call, &mount);
    if (exit_status)
        return exit_status;
    exit_status = ftx_look_status(mount, &status);
    const cJSON *link, *group;
    cJSON_ArrayForEach(group, cJSON_GetObjectItemCaseSensitive(status, "groups"))
    {
        if (!call->json) /* a link a line: ftx group has them */
            show_group(group);
    }
    cJSON_ArrayForEach(link, cJSON_GetObjectItemCaseSensitive(status, "links"))
    {
        if (call->json)
            ftx_print_json(cJSON_Duplicate(link, true));
        else
            show(link);
    }
    cJSON_Delete(status);
    free(mount);
    return exit_status;
}
