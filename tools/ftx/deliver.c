/* SPDX-License-Identifier: MIT */
/* Asks user.ftx.state, of a group user.ftx.members, from the last file on: it leaves last. */
#include "tools/ftx/deliver.h"

#include "tools/ftx/command.h"
#include "tools/ftx/look.h"
#include "tools/ftx/place.h"
#include "tools/ftx/value.h"
#include "tools/ftx/words.h"
#include "transport/wire/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOST_SHOWN = 5, MEMBERS_MAX = 64 };

/* Whom it goes to: the link, or a member of the group. */
struct receiver {
    char name[FTX_CODE_MAX + 1];
    char state[32]; /* of the link, as was said last */
    bool there;     /* at this look */
    bool hopeless;  /* nothing can come of it */
    double operations;
};

struct waiting {
    const struct ftx_pick *pick;
    const char *mount, *name;
    struct ftx_progress *progress;
    struct ftx_refusals *refusals;
    bool group;
    struct receiver receivers[MEMBERS_MAX];
    size_t n;
    size_t left;             /* entries below this one are not looked at yet */
    unsigned long long lost; /* files that not everybody will have */
};

static struct receiver *find_receiver(struct waiting *w, const char *name, size_t size)
{
    for (size_t i = 0; i < w->n; i++)
        if (strlen(w->receivers[i].name) == size && memcmp(w->receivers[i].name, name, size) == 0)
            return &w->receivers[i];
    return NULL;
}

/* -- an item -- */

static bool is_good(const char *state)
{
    return strcmp(state, "delivered") == 0 || strcmp(state, "local") == 0;
}

static bool is_bad(const char *state)
{
    static const char *const bad[] = {"refused", "failed", "cancelled", "interrupted"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (strcmp(state, bad[i]) == 0)
            return true;
    return false;
}

static void lose(struct waiting *w, const struct ftx_pick_entry *entry, const char *path,
                 const char *state)
{
    char *error = ftx_look_xattr(path, "error");
    ftx_progress_end(w->progress);
    if (w->lost++ < LOST_SHOWN)
        ftx_fail("%s: %s%s%s", entry->source, state, error ? ": " : "", error ? error : "");
    free(error);
}

/* CODE=STATE of each member. True: there is nothing more to wait for; *out_lost: who does not get it,
 * as far as there is room. */
static bool is_settled(struct waiting *w, char *members, char *out_lost, size_t room)
{
    size_t n = 0;
    out_lost[0] = '\0';
    for (char *rest = members, *one; (one = strsep(&rest, " "));) {
        char *state = strchr(one, '=');
        if (!state)
            continue;
        *state++ = '\0';
        const struct receiver *receiver = find_receiver(w, one, strlen(one));
        bool hopeless = receiver && receiver->hopeless;
        if (is_good(state))
            continue;
        if (!is_bad(state) && !hopeless)
            return false;
        if (n < room)
            n += (size_t)snprintf(out_lost + n, room - n, "%s%s by %s", n ? ", " : "",
                                  is_bad(state) ? state : "not to be had", one);
    }
    return true;
}

/* Is there nothing more to wait for with this one? */
static bool is_over(struct waiting *w, const struct ftx_pick_entry *entry)
{
    char *box = ftx_place_join(w->mount, "outbox", w->name), lost[256];
    char *path = ftx_place_join(box, entry->source + entry->name, "");
    char *said = ftx_look_xattr(path, w->group ? "members" : "state");
    bool over = !said || (!w->group && is_good(said));
    if (!over && w->group) {
        over = is_settled(w, said, lost, sizeof lost);
        if (over && lost[0])
            lose(w, entry, path, lost);
    } else if (!over && is_bad(said)) {
        over = true;
        lose(w, entry, path, said);
    }
    free(said);
    free(path);
    free(box);
    return over;
}

/* -- the links -- */

/* What a person has to know about one. 0, or an exit status: nothing can come of it. */
static int look_at_link(struct waiting *w, struct receiver *receiver, const cJSON *link)
{
    const cJSON *queue = cJSON_GetObjectItemCaseSensitive(link, "queue");
    const char *state = ftx_value_text(link, "state");
    bool end;
    receiver->there = true;
    receiver->operations = ftx_value_number(queue, "operations");
    if (strcmp(state, receiver->state) == 0)
        return 0;
    snprintf(receiver->state, sizeof receiver->state, "%s", state);
    const char *words = ftx_words_state(state, true, true, &end);
    ftx_progress_end(w->progress);
    receiver->hopeless = words && end;
    if (receiver->hopeless)
        return ftx_fail("%s: %s", receiver->name, words);
    if (words && w->group)
        ftx_progress_say(w->progress, "%s: %s", receiver->name, words);
    else if (words)
        ftx_progress_say(w->progress, "%s", words);
    return 0;
}

static int look_at(struct waiting *w, const cJSON *status, const char *name)
{
    const cJSON *link = ftx_look_link(status, name);
    struct receiver *receiver = find_receiver(w, name, strlen(name));
    if (!link)
        return 0;
    if (!receiver && w->n < MEMBERS_MAX) {
        receiver = &w->receivers[w->n++];
        snprintf(receiver->name, sizeof receiver->name, "%s", name);
    }
    return receiver ? look_at_link(w, receiver, link) : 0;
}

/* Of a group it is enough if something can come of one. */
static int look_at_group(struct waiting *w, const cJSON *status, const cJSON *group)
{
    const cJSON *member, *members = cJSON_GetObjectItemCaseSensitive(group, "members");
    bool hope = cJSON_GetArraySize(members) == 0;
    cJSON_ArrayForEach(member, members) look_at(w, status, ftx_value_text(member, "name"));
    for (size_t i = 0; i < w->n; i++)
        hope = hope || (w->receivers[i].there && !w->receivers[i].hopeless);
    return hope ? 0 : ftx_fail("%s: nobody of it can be reached any more", w->name);
}

static double operations(const struct waiting *w)
{
    double sum = 0;
    for (size_t i = 0; i < w->n; i++)
        if (w->receivers[i].there && !w->receivers[i].hopeless)
            sum += w->receivers[i].operations;
    return sum;
}

static bool is_connected(const struct waiting *w)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->receivers[i].there && strcmp(w->receivers[i].state, "connected") == 0)
            return true;
    return false;
}

/* One look at everything. *out_over: nothing is left. */
static int look(struct waiting *w, bool *out_over)
{
    cJSON *status;
    int exit_status = ftx_look_status(w->mount, &status);
    if (exit_status)
        return exit_status;
    const cJSON *group = ftx_look_group(status, w->name);
    const cJSON *of = group ? group : ftx_look_link(status, w->name);
    const cJSON *queue = cJSON_GetObjectItemCaseSensitive(of, "queue");
    double rest = ftx_value_number(queue, "bytes");
    for (size_t i = 0; i < w->n; i++)
        w->receivers[i].there = false;
    w->group = group;
    if (!of)
        exit_status = ftx_fail("%s: the link is gone", w->name);
    else
        exit_status = group ? look_at_group(w, status, group) : look_at(w, status, w->name);
    while (!exit_status && w->left > 0 &&
           (w->pick->entries[w->left - 1].kind >= FTX_PICK_FOLDER ||
            is_over(w, &w->pick->entries[w->left - 1])))
        w->left--;
    *out_over = w->left == 0 && (w->lost || operations(w) == 0);
    ftx_refusals_look(w->refusals); /* of what the peer has seen by then */
    if (!exit_status && is_connected(w))
        ftx_progress_set(w->progress, (double)w->pick->bytes > rest
                                          ? (uint64_t)((double)w->pick->bytes - rest)
                                          : 0);
    cJSON_Delete(status);
    return exit_status;
}

int ftx_deliver(struct ftx_refusals *refusals)
{
    struct waiting w = {.pick = refusals->pick,
                        .mount = refusals->mount,
                        .name = refusals->name,
                        .progress = refusals->progress,
                        .refusals = refusals,
                        .left = refusals->pick->n};
    bool over = false;
    double begun = ftx_look_clock();
    int status;
    ftx_progress_begin(w.progress, "sending", w.pick->bytes);
    while (!(status = look(&w, &over)) && !over) {
        ftx_look_rest(begun);
        begun = ftx_look_clock();
    }
    ftx_progress_end(w.progress);
    w.lost += refusals->n;
    if (!status && w.lost)
        status = ftx_fail("%llu did not arrive%s; see above", w.lost, w.group ? " everywhere" : "");
    return status;
}
