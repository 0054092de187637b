/* SPDX-License-Identifier: MIT */
/* ftx pause, resume, retry, rearm, unpair, cancel, accept, reject, priority, limit, config: each is
 * a line for .ftx/ctl, which knows what may be said; here it is only what the words name. */
#include "tools/ftx/control.h"
#include "tools/ftx/place.h"

#include <string.h>

enum about { A_LINK, LINKS, ITEM, OFFERS };

static const struct steer {
    const char *name;
    enum about about;
} table[] = {
    {"pause", LINKS},   {"resume", LINKS},  {"retry", A_LINK},  {"rearm", A_LINK},
    {"unpair", A_LINK}, {"limit", LINKS},   {"config", A_LINK}, {"cancel", ITEM},
    {"priority", ITEM}, {"accept", OFFERS}, {"reject", OFFERS},
};

static const struct steer *find(const char *name)
{
    const struct steer *steer = table;
    while (strcmp(steer->name, name) != 0)
        steer++;
    return steer;
}

/* The operand and its mount. 0, or an exit status after one line. */
static int find_link(const struct ftx_call *call, enum about about, struct ftx_place *out)
{
    const char *word = call->words[0];
    int status = about == LINKS && strcmp(word, "*") == 0 ? 0 : ftx_place_check_code(call, word);
    *out = (struct ftx_place){0};
    if (!status)
        status = ftx_place_mount(call, &out->mount);
    out->item = word;
    return status;
}

/* A link's own folder is named as the link: cancel takes no links. */
static int find_item(const struct ftx_call *call, const struct steer *steer, const char *word,
                     struct ftx_place *out)
{
    int status = ftx_place_find(call, word, out);
    if (status)
        return status;
    const char *code = strchr(out->item, '/');
    bool is_link = code && !strchr(code + 1, '/');
    if (steer->about == OFFERS && !is_link && strncmp(out->item, "inbox/", 6) != 0)
        status = ftx_usage(call, "%s: not in the inbox", word);
    else if (!code || (is_link && strcmp(steer->name, "cancel") == 0))
        status = ftx_usage(call, "%s: name a file or folder in it", word);
    else if (is_link)
        out->item = code + 1;
    if (status)
        ftx_place_close(out);
    return status;
}

/* One line for ctl, about the n-th word; `rest`: the first of those that stand behind it. */
static int steer_one(const struct ftx_call *call, const struct steer *steer, int n, int rest)
{
    bool link = steer->about == A_LINK || steer->about == LINKS;
    struct ftx_place place;
    int status = link ? find_link(call, steer->about, &place)
                      : find_item(call, steer, call->words[n], &place);
    if (status)
        return status;
    bool named = !strchr(place.item, '/'); /* a link; it may have gone since it was found */
    status = ftx_control_call(call, place.mount, place.item, rest, named ? place.item : NULL);
    ftx_place_close(&place);
    return status;
}

int ftx_cmd_steer(struct ftx_call *call)
{
    const struct steer *steer = find(call->command->name);
    int status = 0;
    if (steer->about != OFFERS)
        return steer_one(call, steer, 0, 1);
    for (int i = 0; i < call->n_words && !status; i++)
        status = steer_one(call, steer, i, call->n_words);
    return status;
}
