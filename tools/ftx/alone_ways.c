/* SPDX-License-Identifier: MIT */
/* What a person has to know while the other end is not there: which of --peer and --relay lead
 * nowhere, and why; and if none does, where it is looked for. */
#include "tools/ftx/alone.h"

#include "tools/ftx/look.h"
#include "tools/ftx/relay.h"
#include "transport/base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static const double patience_s = 1; /* two that were started together may not be there yet */
static const double hint_s = 3;

static bool is_relay(const char *place)
{
    return strstr(place, "://") != NULL;
}

static bool is_name_unknown(int err)
{
    return err == UV_EAI_NONAME || err == UV_EAI_NODATA;
}

static void explain(const struct ftx_alone *alone, const struct ftx_headless_failure *failure,
                    char message[FTX_RELAY_MESSAGE])
{
    if (is_relay(failure->place))
        (void)ftx_relay_explain(failure->err, alone->options.relay_token, message);
    else if (failure->err == UV_EOF)
        snprintf(message, FTX_RELAY_MESSAGE,
                 "answers, but knows no such code; it is asked again: is it the right machine, and "
                 "is the code new? Each works once");
    else if (is_name_unknown(failure->err))
        snprintf(message, FTX_RELAY_MESSAGE, "there is no such host; look at the name");
    else
        snprintf(message, FTX_RELAY_MESSAGE,
                 "cannot be reached: %s; it is tried again: does ftx or ftxfs run there, and may "
                 "one connect to that port?",
                 ftx_err_text(failure->err));
}

static void say_failure(struct ftx_alone *alone, const struct ftx_headless_failure *failure)
{
    char message[FTX_RELAY_MESSAGE], text[FTX_HEADLESS_PLACE_MAX + FTX_RELAY_MESSAGE + 2];
    explain(alone, failure, message);
    snprintf(text, sizeof text, "%s: %s", failure->place, message);
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "unreachable", failure->place);
    cJSON_AddStringToObject(line, "error", ftx_err_text(failure->err));
    ftx_progress_tell(&alone->progress, line, text);
}

static void add_place(cJSON *places, FILE *text, const char *place)
{
    fprintf(text, "%s%s%s", cJSON_GetArraySize(places) ? ", " : "the other end was not found yet ",
            strcmp(place, "local network") == 0 ? "on the " : "at ", place);
    cJSON_AddItemToArray(places, cJSON_CreateString(place));
}

static void add_places(const struct ftx_network_options *options, cJSON *places, FILE *text)
{
    if (!options->no_lan)
        add_place(places, text, "local network");
    for (size_t i = 0; i < options->n_dial; i++) {
        char place[FTX_HEADLESS_PLACE_MAX];
        ftx_headless_way_text(&options->dial[i], place);
        add_place(places, text, place);
    }
    for (size_t i = 0; i < options->n_relays; i++)
        add_place(places, text, options->relays[i]);
    if (cJSON_GetArraySize(places) == 0)
        fprintf(text, "the other end has not connected yet");
}

static void say_where(struct ftx_alone *alone)
{
    cJSON *line = cJSON_CreateObject(), *places = cJSON_AddArrayToObject(line, "tried");
    char *text = NULL;
    size_t size = 0;
    FILE *sentence = open_memstream(&text, &size);
    if (!sentence)
        abort();
    add_places(&alone->options, places, sentence);
    fprintf(sentence, "; if it is elsewhere, one end needs the other's address (--peer HOST:PORT), "
                      "or both the same relay (--relay URL)");
    if (fclose(sentence) == 0)
        ftx_progress_tell(&alone->progress, line, text);
    else
        cJSON_Delete(line);
    free(text);
}

void ftx_alone_say_ways(struct ftx_alone *alone)
{
    struct ftx_headless_failure failure;
    double seconds = ftx_look_clock() - alone->connecting;
    bool away = strcmp(alone->state, "waiting") == 0 || strcmp(alone->state, "offline") == 0;
    if (!away || seconds < patience_s)
        return;
    while (ftx_headless_failure(alone->end, &failure)) {
        say_failure(alone, &failure);
        alone->hinted = true;
    }
    if (!alone->hinted && seconds > hint_s) {
        say_where(alone);
        alone->hinted = true;
    }
}
