/* SPDX-License-Identifier: MIT */
/* An event as a line (docs/interface.md .ftx/events), and the words for reasons. */
#include "fs/store/feed.h"

#include "transport/wire/message.h"

#include <string.h>

/* What an event has besides its link. NULL: nothing of that. */
static const struct {
    const char *name;
    const char *text, *more; /* names of its texts, in their order ... */
    const char *number;      /* ... and of its number, which comes between them */
} kinds[FTX_EVENT_COUNT] = {
    [FTX_EVENT_ARMED] = {"armed", "role", NULL, NULL},
    [FTX_EVENT_PAIRED] = {"paired", "verifier", NULL, NULL},
    [FTX_EVENT_PAIRING_FAILED] = {"pairing_failed", NULL, NULL, "guesses_left"},
    [FTX_EVENT_LOCKED] = {"locked", NULL, NULL, NULL},
    [FTX_EVENT_CONNECTED] = {"connected", "peer", "way", NULL},
    [FTX_EVENT_DISCONNECTED] = {"disconnected", "reason", NULL, NULL},
    [FTX_EVENT_RENAMED] = {"renamed", "from", NULL, NULL},
    [FTX_EVENT_ARRIVING] = {"arriving", "path", NULL, "size"},
    [FTX_EVENT_COMPLETE] = {"complete", "path", NULL, "size"},
    [FTX_EVENT_QUEUED] = {"queued", "path", NULL, "size"},
    [FTX_EVENT_DELIVERED] = {"delivered", "path", NULL, "size"},
    [FTX_EVENT_INTERRUPTED] = {"interrupted", "path", NULL, "size"},
    [FTX_EVENT_REFUSED] = {"refused", "path", "message", "size"},
    [FTX_EVENT_FAILED] = {"failed", "path", "message", "size"},
    [FTX_EVENT_CANCELLED] = {"cancelled", "path", NULL, "size"},
    [FTX_EVENT_OFFERED] = {"offered", "path", NULL, "size"},
    [FTX_EVENT_ACCEPTED] = {"accepted", "path", NULL, "size"},
    [FTX_EVENT_PAUSED] = {"paused", NULL, NULL, NULL},
    [FTX_EVENT_RESUMED] = {"resumed", NULL, NULL, NULL},
    [FTX_EVENT_CONFIGURED] = {"configured", "key", "value", NULL},
    [FTX_EVENT_UNPAIRED] = {"unpaired", NULL, NULL, NULL},
    [FTX_EVENT_JOINED] = {"joined", "group", NULL, NULL},
    [FTX_EVENT_LEFT] = {"left", "group", NULL, NULL},
    [FTX_EVENT_DISSOLVED] = {"dissolved", NULL, NULL, NULL},
    [FTX_EVENT_COMMAND_FAILED] = {"command_failed", "command", "message", "error"},
};

static void put_text(struct ftx_json *json, const char *name, const struct ftx_happening *h, int i)
{
    if (!name)
        return;
    ftx_json_key(json, name);
    ftx_json_string(json, h->text[i], h->text_size[i]);
}

static void put_number(struct ftx_json *json, const struct ftx_happening *h)
{
    const char *name = kinds[h->event].number;
    if (!name)
        return;
    ftx_json_key(json, name);
    if (h->event == FTX_EVENT_COMMAND_FAILED) {
        const char *word = strerrorname_np((int)h->number);
        ftx_json_string(json, word, word ? strlen(word) : 0);
    } else if (h->number < 0) {
        ftx_json_null(json);
    } else {
        ftx_json_number(json, (uint64_t)h->number);
    }
}

void ftx_feed_line(const struct ftx_happening *h, uint64_t seq, struct ftx_json *json)
{
    ftx_json_key(json, "format");
    ftx_json_number(json, 1);
    ftx_json_key(json, "seq");
    ftx_json_number(json, seq);
    ftx_json_key(json, "time");
    ftx_json_time(json, h->time_ns);
    ftx_json_key(json, "event");
    ftx_json_string(json, kinds[h->event].name, strlen(kinds[h->event].name));
    if (h->event != FTX_EVENT_COMMAND_FAILED) {
        ftx_json_key(json, "link");
        ftx_json_string(json, h->link, h->link_size);
    }
    put_text(json, kinds[h->event].text, h, 0);
    put_number(json, h);
    if (h->event == FTX_EVENT_REFUSED) {
        const char *word = ftx_refusal_word(h->reason);
        ftx_json_key(json, "reason");
        ftx_json_string(json, word, strlen(word));
    }
    put_text(json, kinds[h->event].more, h, 1);
    ftx_json_end(json);
}

const char *ftx_event_word(enum ftx_event event)
{
    return kinds[event].name;
}

const char *ftx_refusal_word(uint8_t reason)
{
    switch (reason) {
    case FTX_REFUSED_NAME:
        return "name";
    case FTX_REFUSED_KIND:
        return "kind";
    case FTX_REFUSED_SIZE:
        return "size";
    case FTX_REFUSED_SPACE:
        return "space";
    case FTX_REFUSED_DELETED:
        return "deleted";
    case FTX_REFUSED_POLICY:
        return "policy";
    case FTX_REFUSED_STORAGE:
        return "storage";
    case FTX_REFUSED_TYPE:
        return "type";
    case FTX_REFUSED_REJECTED:
        return "rejected";
    default:
        return "other";
    }
}

const char *ftx_refusal_text(uint8_t reason)
{
    switch (reason) {
    case FTX_REFUSED_NAME:
        return "the peer cannot use this name there";
    case FTX_REFUSED_KIND:
        return "the peer does not take this kind of item; for links that point out of the folder "
               "it needs -o links=all";
    case FTX_REFUSED_SIZE:
        return "the peer does not take a file of this size";
    case FTX_REFUSED_SPACE:
        return "the peer's disk is full";
    case FTX_REFUSED_DELETED:
        return "it, or its folder, was removed at the peer; write it again";
    case FTX_REFUSED_POLICY:
        return "the peer does not accept it, or there is no room for it in the peer's inbox (its "
               "limits: inbox_max, and how many items it keeps); write it again when there is";
    case FTX_REFUSED_TYPE:
        return "the peer does not take files with this ending, or with this kind of content";
    case FTX_REFUSED_REJECTED:
        return "the peer's owner has rejected it";
    default:
        return "the peer could not store it";
    }
}
