/* SPDX-License-Identifier: MIT */
/* ftx rename CODE NAME: another name for a link, on this side. */
#include "tools/ftx/place.h"
#include "tools/ftx/print.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the box where its folder is: an unpaired link has only one. 0 or errno. */
static int rename_in(const char *mount, const char *box, const char *code, const char *name)
{
    char *old = ftx_place_join(mount, box, code), *new = ftx_place_join(mount, box, name);
    int err = renameat2(-1, old, -1, new, RENAME_NOREPLACE) < 0 ? errno : 0;
    free(old);
    free(new);
    return err;
}

int ftx_cmd_rename(struct ftx_call *call)
{
    const char *code = call->words[0], *name = call->words[1];
    char *mount;
    int status = ftx_place_check_code(call, code);
    if (!status)
        status = ftx_place_check_code(call, name);
    if (!status)
        status = ftx_place_mount(call, &mount);
    if (status)
        return status;
    int err = rename_in(mount, "outbox", code, name);
    if (err == ENOENT)
        err = rename_in(mount, "inbox", code, name);
    free(mount);
    if (err == ENOENT) {
        ftx_fail("%s: no such link; ftx links shows those that are", code);
        return FTX_EXIT_NO_LINK;
    }
    if (err == EEXIST)
        return ftx_fail("%s: there is a link of that name already", name);
    if (err)
        return ftx_fail("%s: %s", code, strerror(err));
    if (call->json) {
        cJSON *line = cJSON_CreateObject();
        cJSON_AddStringToObject(line, "link", name);
        ftx_print_json(line);
    }
    return 0;
}
