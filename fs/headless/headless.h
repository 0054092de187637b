/* SPDX-License-Identifier: MIT */
/*
 * An end without a mount: a store, its network, and one link in it for sending or for receiving.
 *
 *   sending    open, find or arm, offer names, connect, look until all is delivered, close
 *   receiving  open, find or arm, connect, look what is offered, accept (content comes from then on),
 *              place what is complete, look until all is there, close; or reject, close
 *
 * All that is answered survives a kill; who opens the same store again goes on. One thread calls.
 */
#ifndef FTX_HEADLESS_H
#define FTX_HEADLESS_H

#include "fs/store/links.h"
#include "fs/xfer/network.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ftx_headless;

enum { FTX_HEADLESS_PLACE_MAX = 272, FTX_HEADLESS_WAYS_MAX = 32 };

/* Opens or makes the store. -EBUSY: another process has it; -EEXIST: a mount's; -errno; with a sentence
 * in `message`. */
int ftx_headless_open(const char *store, enum ftx_box box, char *message, size_t room,
                      struct ftx_headless **out_headless);

/* The link of this name, or (NULL) the only one there is, is the one from here on. False: there is
 * none that was armed for this box. */
bool ftx_headless_find(struct ftx_headless *h, const char *name);
/* Makes it. -EEXIST, -EINVAL: no code; what the disk said. */
int ftx_headless_arm(struct ftx_headless *h, const char *code);
/* Its name: the code. */
const char *ftx_headless_name(const struct ftx_headless *h);

/* Listens, dials. -EADDRINUSE and the like. */
int ftx_headless_connect(struct ftx_headless *h, const struct ftx_network_config *config);

/* -- ways.c -- */

/* A way of the configuration that led nowhere, and was not told of, with this error, before. False:
 * none. UV_EOF: who answers there knows no such link. */
struct ftx_headless_failure {
    char place[FTX_HEADLESS_PLACE_MAX]; /* HOST:PORT, or a relay's URL */
    int err;
    bool told;
};
/* How such a way is written. */
void ftx_headless_way_text(const struct ftx_address *address, char out[FTX_HEADLESS_PLACE_MAX]);
bool ftx_headless_failure(struct ftx_headless *h, struct ftx_headless_failure *out);

/* How it stands with the link. -ENOENT. */
int ftx_headless_look(struct ftx_headless *h, struct ftx_link_status *out);

/* Takes back all codes but this one that are not paired: a run that was killed has armed them. */
void ftx_headless_disarm_others(struct ftx_headless *h);

/* Ends sessions, with a word; `over`: and forgets the link, as it does with a code for receiving that
 * is not paired yet: there is nothing to go on with. Frees. True: the store has no link. */
bool ftx_headless_close(struct ftx_headless *h, bool over);

/* -- sending: offer.c -- */

enum ftx_offer_kind {
    FTX_OFFER_FILE,
    FTX_OFFER_SYMLINK,
    FTX_OFFER_FOLDER,
    FTX_OFFER_FOLDER_END, /* all that is in it was offered: its mode, time and attributes */
};

/*
 * What stands at `source` (absolute) is offered as `name` ("a/b", below the link; its folders were
 * offered before). What was offered in an earlier run and is unchanged stays as it is, anything else
 * takes the place of what has the name. 0; FTX_OFFER_STAYS: such a name is not sent;
 * FTX_OFFER_UNREAD, and errno: what stands there cannot be read; -errno.
 */
enum { FTX_OFFER_STAYS = 1, FTX_OFFER_UNREAD };
int ftx_headless_offer(struct ftx_headless *h, enum ftx_offer_kind kind, const char *source,
                       const char *name);

/* All is offered: what was in an earlier run and is not there any more is taken back, and how much
 * it is stands on `name`, which is no symlink (NULL: nowhere). */
int ftx_headless_offered(struct ftx_headless *h, const char *name, uint64_t files, uint64_t bytes);

/* user.ftx.state and user.ftx.error of what was offered (docs/interface.md); "" for none. */
void ftx_headless_fate(struct ftx_headless *h, const char *name, char *out_state, char *out_error,
                       size_t room);

/* -- receiving: place.c -- */

struct ftx_placing {
    bool last;             /* nothing more comes: folders get their modes and times */
    uint64_t files, bytes; /* that stand there, of this run or an earlier one */
    uint64_t waiting;      /* that are not complete */
    uint64_t conflicts;    /* names that something else has ... */
    uint64_t stuck;        /* ... and files that they keep from their place */
    char *conflict;        /* owned; the last of them */
};

/*
 * Moves all that is complete into the folder `to_fd`, on the file system of the store; durable when
 * it returns. No name there is followed or replaced, none leads to `state_fd`, the store's place.
 * Numbers in `placing` are those of now. -errno.
 */
int ftx_headless_place(struct ftx_headless *h, int to_fd, int state_fd,
                       struct ftx_placing *placing);

/* Something came since the last call. */
bool ftx_headless_news(struct ftx_headless *h);

/* What the sender said that all of it is (ftx_headless_offered); false: nothing. */
bool ftx_headless_offer_read(struct ftx_headless *h, uint64_t *out_files, uint64_t *out_bytes);

/* Files that have a name here by now, and their sizes. */
void ftx_headless_count(struct ftx_headless *h, uint64_t *out_files, uint64_t *out_bytes);

/* No byte of content comes before the owner's word about all of it. `accept` holds for what is made
 * later, too; after `reject` the sender is told. */
int ftx_headless_accept(struct ftx_headless *h);
int ftx_headless_reject(struct ftx_headless *h);

#endif
