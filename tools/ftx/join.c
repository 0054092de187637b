/* SPDX-License-Identifier: MIT */
/* ftx join [CODE]: arms a code for receiving. */
#include "tools/ftx/arm.h"
#include "tools/ftx/place.h"
#include "tools/ftx/print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ftx_cmd_join(struct ftx_call *call)
{
    char code[FTX_CODE_MAX + 1] = "", *mount;
    const char *word = call->n_words ? call->words[0] : NULL;
    int status = word ? ftx_place_check_code(call, word) : 0;
    if (!status)
        status = ftx_place_mount(call, &mount); /* before anybody types */
    if (status)
        return status;
    status = ftx_arm_ask(call, word, false, code);
    if (!status)
        status = ftx_arm(mount, "inbox", code);
    if (!status && call->json) {
        cJSON *line = cJSON_CreateObject();
        cJSON_AddStringToObject(line, "link", code);
        ftx_print_json(line);
    } else if (!status) {
        printf("armed; what arrives is in ");
        ftx_print_name(mount);
        printf("/inbox\n");
    }
    explicit_bzero(code, sizeof code);
    free(mount);
    return status;
}
