/* SPDX-License-Identifier: MIT */
/* ftx verify-peer CODE: six words that both ends read to each other. */
#include "tools/ftx/look.h"
#include "tools/ftx/print.h"
#include "tools/ftx/value.h"

#include <stdio.h>

int ftx_cmd_verify_peer(struct ftx_call *call)
{
    struct ftx_look look;
    const char *code = call->words[0];
    int status = ftx_look_open(call, code, &look);
    const char *words = status ? "" : ftx_value_text(look.link, "verifier");
    if (!status && !*words) {
        ftx_fail("%s: not paired yet", code);
        status = FTX_EXIT_NO_LINK;
    } else if (!status && call->json) {
        cJSON *line = cJSON_CreateObject();
        cJSON_AddStringToObject(line, "link", code);
        cJSON_AddStringToObject(line, "verifier", words);
        ftx_print_json(line);
    } else if (!status) {
        ftx_print_cell(words, 0, FTX_BOLD);
        putchar('\n');
        if (ftx_print_live())
            printf("If the other end shows the same words, nobody stands in between.\n");
    }
    ftx_look_close(&look);
    return status;
}
