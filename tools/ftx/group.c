/* SPDX-License-Identifier: MIT */
/* ftx group, ungroup: one folder of the outbox for several links. Looking is done here, changing is a
 * line for .ftx/ctl. */
#include "tools/ftx/control.h"
#include "tools/ftx/look.h"
#include "tools/ftx/place.h"
#include "tools/ftx/print.h"
#include "tools/ftx/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- looking -- */

static void show_queue(const cJSON *of)
{
    const cJSON *queue = cJSON_GetObjectItemCaseSensitive(of, "queue");
    double files = ftx_value_number(queue, "files");
    char size[FTX_PRINT_MAX];
    if (files > 0)
        printf("to send %.0f file%s, %s", files, files == 1 ? "" : "s",
               ftx_print_size(size, ftx_value_number(queue, "bytes")));
}

static void show_group(const cJSON *group)
{
    const cJSON *member, *members = cJSON_GetObjectItemCaseSensitive(group, "members");
    ftx_print_cell(ftx_value_text(group, "name"), 28, FTX_BOLD);
    printf(" =");
    cJSON_ArrayForEach(member, members)
    {
        putchar(' ');
        ftx_print_name(ftx_value_text(member, "name"));
    }
    if (ftx_value_number(cJSON_GetObjectItemCaseSensitive(group, "queue"), "files") > 0)
        printf("  ");
    show_queue(group);
    putchar('\n');
}

static void show_members(const cJSON *group)
{
    const cJSON *member, *members = cJSON_GetObjectItemCaseSensitive(group, "members");
    cJSON_ArrayForEach(member, members)
    {
        const char *state = ftx_value_text(member, "state");
        ftx_print_cell(ftx_value_text(member, "name"), 28, FTX_BOLD);
        putchar(' ');
        ftx_print_cell(state, 14, ftx_print_state_colour(state));
        putchar(' ');
        show_queue(member);
        putchar('\n');
    }
}

static int look(const struct ftx_call *call, const char *mount)
{
    cJSON *status = NULL;
    int exit_status = ftx_look_status(mount, &status);
    if (exit_status)
        return exit_status;
    const cJSON *group, *groups = cJSON_GetObjectItemCaseSensitive(status, "groups");
    if (call->n_words == 0) {
        cJSON_ArrayForEach(group, groups)
        {
            if (call->json)
                ftx_print_json(cJSON_Duplicate(group, true));
            else
                show_group(group);
        }
    } else if (!(group = ftx_look_group(status, call->words[0]))) {
        ftx_fail("%s: no such group; `ftx group` lists them", call->words[0]);
        exit_status = FTX_EXIT_NO_LINK;
    } else if (call->json) {
        ftx_print_json(cJSON_Duplicate(group, true));
    } else {
        show_members(group);
    }
    cJSON_Delete(status);
    return exit_status;
}

/* -- changing -- */

/* Every word but the sign can be a code. */
static int check_words(const struct ftx_call *call, int sign)
{
    int status = 0;
    for (int i = 0; i < call->n_words && !status; i++)
        if (i != sign)
            status = ftx_place_check_code(call, call->words[i]);
    return status;
}

int ftx_cmd_group(struct ftx_call *call)
{
    static const char signs[] = "=+-";
    char *mount;
    const char *sign = call->n_words > 1 ? call->words[1] : NULL;
    int status = check_words(call, 1);
    if (!status && sign && (strlen(sign) != 1 || !strchr(signs, *sign)))
        return ftx_usage(call, "%s: say =, + or - after the group's name", sign);
    if (!status && call->n_words == 2)
        return ftx_usage(call, "name links behind %s; `ftx ungroup NAME` dissolves a group", sign);
    if (!status)
        status = ftx_place_mount(call, &mount);
    if (status)
        return status;
    status = sign ? ftx_control_call(call, mount, NULL, 0, "") : look(call, mount);
    free(mount);
    return status;
}

int ftx_cmd_ungroup(struct ftx_call *call)
{
    char *mount;
    int status = ftx_place_check_code(call, call->words[0]);
    if (!status && call->n_words == 2 && strcmp(call->words[1], "force") != 0)
        return ftx_usage(call, "%s: the word there is force", call->words[1]);
    if (!status)
        status = ftx_place_mount(call, &mount);
    if (status)
        return status;
    status = ftx_control_call(call, mount, NULL, 0, "");
    free(mount);
    return status;
}
