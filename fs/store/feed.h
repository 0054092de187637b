/* SPDX-License-Identifier: MIT */
/*
 * The feed: what happens to links and items, for .ftx/events. The last of it stands in a ring of
 * compact records, noted under the store's lock while the change is made; nobody waits for a reader,
 * and a line is written only when one wants it. docs/interface.md has the lines.
 *
 * As a file, the feed is the text of all events since it began. Where a line ends in it is known
 * once somebody asks for that: `measured` records have it.
 */
#ifndef FTX_STORE_FEED_H
#define FTX_STORE_FEED_H

#include "fs/store/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ftx_store;

enum {
    FTX_FEED_SIZE = 1 << 20,      /* of the ring: some ten thousand events */
    FTX_FEED_TEXT_MAX = 5000,     /* of each text: a path in the mount fits */
    FTX_FEED_LINE_MAX = 64 << 10, /* all texts escaped, and the rest */
};

enum ftx_event {
    FTX_EVENT_ARMED,
    FTX_EVENT_PAIRED,
    FTX_EVENT_PAIRING_FAILED,
    FTX_EVENT_LOCKED,
    FTX_EVENT_CONNECTED,
    FTX_EVENT_DISCONNECTED,
    FTX_EVENT_RENAMED,
    FTX_EVENT_ARRIVING,
    FTX_EVENT_COMPLETE,
    FTX_EVENT_QUEUED,
    FTX_EVENT_DELIVERED,
    FTX_EVENT_INTERRUPTED,
    FTX_EVENT_REFUSED,
    FTX_EVENT_FAILED,
    FTX_EVENT_CANCELLED,
    FTX_EVENT_OFFERED,
    FTX_EVENT_ACCEPTED,
    FTX_EVENT_PAUSED,
    FTX_EVENT_RESUMED,
    FTX_EVENT_CONFIGURED,
    FTX_EVENT_UNPAIRED,
    FTX_EVENT_JOINED,
    FTX_EVENT_LEFT,
    FTX_EVENT_DISSOLVED,
    FTX_EVENT_COMMAND_FAILED,
    FTX_EVENT_COUNT
};

enum { FTX_SIZE_UNKNOWN = -1 }; /* of an item, as an int64_t */

/* One event, as it is noted; texts are borrowed, and cut to FTX_FEED_TEXT_MAX. */
struct ftx_happening {
    enum ftx_event event;
    uint8_t reason; /* REFUSED: of the wire */
    int64_t time_ns;
    int64_t number;      /* an item's size, guesses left, an errno */
    const char *link;    /* NULL: of no link */
    const char *text[2]; /* path; peer, way; key, value; command, message; ... NULL: none */
    size_t link_size, text_size[2];
};

/* Fields belong to the store's lock. */
struct ftx_feed {
    uint8_t *ring;            /* NULL: nothing is noted */
    size_t first, next, wrap; /* offsets: the oldest record, the next one, where the ring ends */
    uint64_t first_seq, next_seq;
    uint64_t base;         /* where the oldest one's line begins in the text */
    size_t measure;        /* offset of the first record that is not measured */
    uint64_t measured_seq; /* its number: below it all are */
    uint64_t end;          /* of the measured text */
    int64_t last_ns;       /* when the last one happened */
    unsigned n_readers;
};

/* -ENOMEM. */
int ftx_feed_init(struct ftx_feed *feed);
void ftx_feed_close(struct ftx_feed *feed);

/* Notes what happened: the oldest ones make room. Under the lock. */
void ftx_feed_note(struct ftx_store *store, const struct ftx_happening *happening);

/* A line of it; `seq`: its number. Pure. */
void ftx_feed_line(const struct ftx_happening *happening, uint64_t seq, struct ftx_json *json);

/* -- for readers; any thread -- */

/* While there are any, store->events.happened is called for each event. */
void ftx_feed_reader(struct ftx_store *store, bool comes);

/* Where the text ends now, and when its last event was (0: none yet). */
uint64_t ftx_feed_end(struct ftx_store *store, int64_t *out_last_ns);

/*
 * Text from *in_out_at on: whole lines as far as they fit, or a part of one. A place whose event is
 * no longer kept is moved to the oldest that is, one behind the end to the end. *out_size bytes;
 * -EAGAIN: it is at the end.
 */
int ftx_feed_read(struct ftx_store *store, uint64_t *in_out_at, char *out, size_t size,
                  size_t *out_size);

/* Where a reader of events, not of their text, stands; zeros: at the oldest that is kept. */
struct ftx_feed_cursor {
    uint64_t seq; /* of the next one */
    size_t offset;
};

/*
 * The next event, its texts in `room`, which has FTX_FEED_ROOM bytes and ends each with a NUL. False:
 * it is at the end. *out_lost: how many before it are not kept any more.
 */
enum { FTX_FEED_ROOM = 3 * (FTX_FEED_TEXT_MAX + 1) };
bool ftx_feed_next(struct ftx_store *store, struct ftx_feed_cursor *cursor,
                   struct ftx_happening *out, char *room, uint64_t *out_lost);

/* Where the next one will be. */
void ftx_feed_to_end(struct ftx_store *store, struct ftx_feed_cursor *out);

/* The word for an event: armed, paired ... Static. */
const char *ftx_event_word(enum ftx_event event);

/* Such a read would give something. */
bool ftx_feed_ready(struct ftx_store *store, uint64_t at);

/* Numbers of the first and the last event that are kept; 0 and 0: none. */
void ftx_feed_range(struct ftx_store *store, uint64_t *out_first, uint64_t *out_last);

/* The word for a refusal's reason: name, kind, size, space, deleted, policy, storage, type, rejected,
 * other; and a sentence for the one who offered it. Static. */
const char *ftx_refusal_word(uint8_t reason);
const char *ftx_refusal_text(uint8_t reason);

#endif
