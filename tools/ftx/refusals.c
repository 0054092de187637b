/* SPDX-License-Identifier: MIT */
/* A refused item in the outbox that is a symlink, below one of the names that are sent. */
#include "tools/ftx/refusals.h"

#include "tools/ftx/command.h"
#include "tools/ftx/events.h"
#include "tools/ftx/place.h"
#include "tools/ftx/value.h"

#include <stdlib.h>
#include <string.h>

enum { SHOWN = 5 };

/* What follows `first` and a slash; NULL: something else does. */
static const char *behind(const char *path, const char *first)
{
    size_t n = strlen(first);
    return path && strncmp(path, first, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

static bool is_below(const struct ftx_pick_entry *entry, const char *name)
{
    const char *top = entry->source + entry->name;
    return strchr(top, '/') == NULL && (strcmp(name, top) == 0 || behind(name, top));
}

/* Is this one of what is sent, or in it? Most likely where the last one was. */
static bool is_picked(struct ftx_refusals *r, const char *name)
{
    if (is_below(&r->pick->entries[r->top], name))
        return true;
    for (r->top = 0; r->top < r->pick->n; r->top++)
        if (is_below(&r->pick->entries[r->top], name))
            return true;
    r->top = 0;
    return false;
}

static bool is_symlink(const char *mount, const char *item)
{
    struct stat st;
    char *path = ftx_place_join(mount, item, "");
    bool is = lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
    free(path);
    return is;
}

static void take(void *ctx, const cJSON *event)
{
    struct ftx_refusals *r = ctx;
    const char *path = ftx_value_text(event, "path"), *link = ftx_value_text(event, "link");
    if (strcmp(ftx_value_text(event, "event"), "refused") != 0)
        return;
    const char *name = behind(behind(path, "outbox"), link);
    if (strcmp(link, r->name) != 0) /* a member of the group */
        name = behind(name, r->name);
    if (!name || !is_symlink(r->mount, path) || !is_picked(r, name))
        return;
    ftx_progress_end(r->progress);
    if (r->n++ < SHOWN)
        ftx_fail("%s: refused: %s", path, ftx_value_text(event, "message"));
}

void ftx_refusals_begin(struct ftx_refusals *refusals, const struct ftx_pick *pick,
                        const char *mount, const char *name, struct ftx_progress *progress)
{
    *refusals = (struct ftx_refusals){.pick = pick,
                                      .mount = mount,
                                      .name = name,
                                      .progress = progress,
                                      .offset = ftx_events_end(mount)};
}

void ftx_refusals_look(struct ftx_refusals *refusals)
{
    ftx_events_read(refusals->mount, &refusals->offset, take, refusals);
}
