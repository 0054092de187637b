/* SPDX-License-Identifier: MIT */
/* Names go to a hook as environment and arguments, whole; nothing interprets them on the way. */
#include "fs/hooks/call.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *ftx_hook_of(const struct ftx_happening *h)
{
    switch (h->event) {
    case FTX_EVENT_COMPLETE:
    case FTX_EVENT_DELIVERED:
        return "on-complete";
    case FTX_EVENT_FAILED:
    case FTX_EVENT_REFUSED:
    case FTX_EVENT_INTERRUPTED:
    case FTX_EVENT_LOCKED:
        return "on-fail";
    case FTX_EVENT_PAIRED:
        return "on-pair";
    case FTX_EVENT_OFFERED:
        return "on-offer";
    default:
        return NULL;
    }
}

/* False: no memory. */
static bool put(struct ftx_hook_call *call, const char *name, const char *value)
{
    char *entry;
    if (!value)
        return true;
    if (call->n_env == FTX_HOOK_ENV_MAX || asprintf(&entry, "%s=%s", name, value) < 0)
        return false;
    call->env[call->n_env++] = entry;
    return true;
}

/* What programs of a desktop need, and how people want to be talked to; nothing else of ours. */
static bool put_usual(struct ftx_hook_call *call)
{
    static const char *const kept[] = {"HOME",
                                       "USER",
                                       "LOGNAME",
                                       "LANG",
                                       "LC_ALL",
                                       "TZ",
                                       "XDG_RUNTIME_DIR",
                                       "XAUTHORITY",
                                       "DISPLAY",
                                       "WAYLAND_DISPLAY",
                                       "DBUS_SESSION_BUS_ADDRESS"};
    bool ok = put(call, "PATH", "/usr/local/bin:/usr/bin:/bin");
    for (size_t i = 0; i < sizeof kept / sizeof *kept && ok; i++)
        ok = put(call, kept[i], getenv(kept[i]));
    return ok;
}

static struct ftx_hook_call *begin(const char *hook, const char *event, const char *link,
                                   const char *mount)
{
    struct ftx_hook_call *call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    ftx_list_init(&call->node);
    call->hook = hook;
    call->event = event;
    if (put_usual(call) && put(call, "FTX_EVENT", event) && put(call, "FTX_MOUNT", mount) &&
        put(call, "FTX_LINK", link))
        return call;
    ftx_hook_call_free(call);
    return NULL;
}

/* What an event has of an item. */
static bool put_item(struct ftx_hook_call *call, const struct ftx_happening *h, const char *mount)
{
    char size[24];
    bool refused = h->event == FTX_EVENT_REFUSED;
    call->item = strdup(h->text[0]);
    if (!call->item || asprintf(&call->path, "%s/%s", mount, call->item) < 0) {
        call->path = NULL;
        return false;
    }
    snprintf(size, sizeof size, "%" PRId64, h->number);
    return put(call, "FTX_PATH", call->path) && put(call, "FTX_STATE", call->event) &&
           put(call, "FTX_SIZE", h->number >= 0 ? size : NULL) &&
           put(call, "FTX_ERROR", h->text[1]) &&
           put(call, "FTX_REASON", refused ? ftx_refusal_word(h->reason) : NULL);
}

struct ftx_hook_call *ftx_hook_call_new(const struct ftx_happening *h, const char *mount)
{
    struct ftx_hook_call *call = begin(ftx_hook_of(h), ftx_event_word(h->event), h->link, mount);
    if (!call)
        return NULL;
    bool of_link = h->event == FTX_EVENT_PAIRED || h->event == FTX_EVENT_LOCKED;
    bool ok = of_link ? put(call, "FTX_VERIFIER", h->text[0]) : put_item(call, h, mount);
    if (ok)
        return call;
    ftx_hook_call_free(call);
    return NULL;
}

struct ftx_hook_call *ftx_hook_call_link(const char *link, const char *mount)
{
    return begin("on-link-complete", "link_complete", link, mount);
}

void ftx_hook_call_free(struct ftx_hook_call *call)
{
    for (size_t i = 0; i < call->n_env; i++)
        free(call->env[i]);
    free(call->item);
    free(call->path);
    free(call);
}
