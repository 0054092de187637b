/* SPDX-License-Identifier: MIT */
/* One table for both ends, with and without a mount. */
#include "tools/ftx/words.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *state, *words;
    const char *alone; /* without a mount; NULL: the same */
    bool end;
} table[] = {
    {"waiting", "waiting for the other end", NULL, false},
    {"connected", "connected", NULL, false},
    {"offline", "the other end is away; it goes on when it is back", NULL, false},
    {"paused", "the link is paused; ftx resume goes on", NULL, false},
    {"locked", "ten wrong codes were tried; ftx rearm lets it be tried again",
     "ten wrong codes were tried; begin anew, with another code", true},
    {"both-senders", "both ends send with this code; one has to receive", NULL, true},
    {"both-receivers", "both ends receive with this code; one has to send", NULL, true},
    {"lost", "the other end lost its state; make a new code",
     "the other end lost its state; begin anew, with another code", true},
};

const char *ftx_words_state(const char *state, bool sender, bool mount, bool *out_end)
{
    *out_end = false;
    if (sender && strcmp(state, "connected") == 0)
        return NULL; /* the progress shows it */
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i].state, state) != 0)
            continue;
        *out_end = table[i].end;
        return !mount && table[i].alone ? table[i].alone : table[i].words;
    }
    return NULL;
}
