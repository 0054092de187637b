/* SPDX-License-Identifier: MIT */
/* ftx code [NAME]: a new code, armed for sending. */
#include "tools/ftx/arm.h"
#include "tools/ftx/place.h"
#include "tools/ftx/print.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Gives the link its name at once; what is paired with is still the code. */
static int name_link(const char *mount, const char *code, const char *name)
{
    char *old = ftx_place_join(mount, "outbox", code);
    char *new = ftx_place_join(mount, "outbox", name);
    int status = 0;
    if (renameat2(-1, old, -1, new, RENAME_NOREPLACE) < 0) {
        status = errno == EEXIST
                     ? ftx_fail("%s: there is a link of that name already; see ftx links", name)
                     : ftx_fail("%s: %s", name, strerror(errno));
        (void)rmdir(old);
    }
    free(old);
    free(new);
    return status;
}

int ftx_cmd_code(struct ftx_call *call)
{
    const char *name = call->n_words ? call->words[0] : NULL;
    char code[FTX_CODE_MAX + 1], *mount;
    int status = name ? ftx_place_check_code(call, name) : 0;
    if (!status)
        status = ftx_place_mount(call, &mount);
    if (status)
        return status;
    status = ftx_arm_new(mount, code);
    if (!status && name)
        status = name_link(mount, code, name);
    if (!status && call->json) {
        cJSON *line = cJSON_CreateObject();
        cJSON_AddStringToObject(line, "code", code);
        cJSON_AddStringToObject(line, "link", name ? name : code);
        ftx_print_json(line);
    } else if (!status) {
        ftx_arm_show(code, "ftx join");
    }
    explicit_bzero(code, sizeof code);
    free(mount);
    return status;
}
