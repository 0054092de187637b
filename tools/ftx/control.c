/* SPDX-License-Identifier: MIT */
/* One write to .ftx/ctl; why it failed is the next event. */
#include "tools/ftx/control.h"

#include "tools/ftx/place.h"
#include "tools/ftx/print.h"
#include "tools/ftx/value.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EVENTS_ROOM = 1 << 16, COMMAND_SHOWN = 256 };

/* The message of the command_failed event of `line` among those in `text`; to be freed. */
static char *find_reason(const char *text, const char *line)
{
    char *reason = NULL;
    for (const char *end; !reason && (end = strchr(text, '\n')); text = end + 1) {
        cJSON *event = ftx_value_read(text, (size_t)(end - text));
        if (strcmp(ftx_value_text(event, "event"), "command_failed") == 0 &&
            strncmp(ftx_value_text(event, "command"), line, COMMAND_SHOWN) == 0)
            reason = strdup(ftx_value_text(event, "message"));
        cJSON_Delete(event);
    }
    return reason;
}

static char *read_reason(int events, const char *line)
{
    char *text = malloc(EVENTS_ROOM), *reason = NULL;
    ssize_t n;
    while (text && !reason && events >= 0 && (n = read(events, text, EVENTS_ROOM - 1)) > 0) {
        text[n] = '\0';
        reason = find_reason(text, line);
    }
    free(text);
    return reason;
}

int ftx_control(const char *mount, const char *line, const char *link)
{
    char *events_path = ftx_place_join(mount, ".ftx", "events");
    char *ctl_path = ftx_place_join(mount, ".ftx", "ctl");
    int status = 0, events = open(events_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    int ctl = open(ctl_path, O_WRONLY | O_CLOEXEC);
    if (events >= 0)
        (void)lseek(events, 0, SEEK_END);
    if (ctl < 0) {
        status = ftx_fail("%s: %s", ctl_path, strerror(errno));
    } else if (write(ctl, line, strlen(line)) < 0) {
        int err = errno;
        char *reason = read_reason(events, line);
        bool missing = err == ENOENT && link;
        if (missing && *link)
            ftx_fail("%s: no such link; ftx links shows those that are", link);
        else
            ftx_fail("%s", reason ? reason : strerror(err));
        free(reason);
        status = err == EINVAL ? FTX_EXIT_USAGE : missing ? FTX_EXIT_NO_LINK : FTX_EXIT_FAILED;
    }
    if (ctl >= 0)
        close(ctl);
    if (events >= 0)
        close(events);
    free(events_path);
    free(ctl_path);
    return status;
}

static void append(char **line, const char *word)
{
    char *longer;
    if (asprintf(&longer, "%s %s", *line, word) < 0)
        abort();
    free(*line);
    *line = longer;
}

int ftx_control_call(const struct ftx_call *call, const char *mount, const char *item, int n,
                     const char *link)
{
    char *line = strdup(call->command->name);
    if (!line)
        abort();
    if (item)
        append(&line, item);
    for (int i = n; i < call->n_words; i++)
        append(&line, call->words[i]);
    int status = strchr(line, '\n') ? ftx_usage(call, "a word may have no line end in it")
                                    : ftx_control(mount, line, link);
    if (!status && call->json) {
        cJSON *done = cJSON_CreateObject();
        cJSON_AddStringToObject(done, "done", line);
        ftx_print_json(done);
    }
    free(line);
    return status;
}
