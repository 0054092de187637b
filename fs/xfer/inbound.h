/* SPDX-License-Identifier: MIT */
/*
 * A record that came, on its way to the disk. Private to the receiving half of a transfer:
 *
 *   receive.c        taking in, acknowledging, beginning and end of sessions
 *   receive_write.c  its extents go to workers, or wait for room or for a copy
 *   receive_seals.c  its seals are judged, bases copied, files completed
 *
 * Loop thread, but for the jobs' run functions.
 */
#ifndef FTX_XFER_INBOUND_H
#define FTX_XFER_INBOUND_H

#include "fs/xfer/transfer.h"
#include "transport/net/work.h"

/* An extent on its way to the disk. */
struct ftx_inbound_piece {
    uint64_t item, object;
    struct ftx_content content; /* without data: a hole */
    bool fetched;               /* bytes of the outbox that came back, not of the inbox */
    int err;
};

/* A seal being judged. */
struct ftx_inbound_seal {
    struct ftx_plan_seal seal;
    uint64_t item, settled, object; /* of struct ftx_seal_check, once it waits */
    bool waits;                     /* for the commit of `settled` */
    bool looks, denied;             /* a worker looks at what it holds; it is not to be taken */
    bool open;
};

struct ftx_inbound_record {
    struct ftx_list node; /* transfer->records */
    struct ftx_work work;
    struct ftx_transfer *transfer;
    struct ftx_record_ref ref;
    uint64_t generation;
    void *whole; /* the record's bytes, until they are written */
    struct ftx_inbound_piece *pieces;
    size_t n_pieces, pieces_capacity;
    struct ftx_inbound_seal *seals;
    size_t n_seals, seals_capacity;
    size_t n_open;                    /* seals not done */
    struct ftx_seal_check *check;     /* of the seal last judged; NULL: none was */
    struct ftx_rules *rules;          /* about what files hold; NULL: there are none */
    bool looking;                     /* a worker looks at files that were sealed */
    struct ftx_inbound_seal *copying; /* the seal whose base ranges are being copied */
    int copy_err;
    size_t held;   /* bytes counted against the peer (ftx_peer_hold) */
    uint64_t need; /* journal entry that must be committed */
    bool working;  /* at a worker */
    bool delayed;  /* waits: for room on the disk, or for the copy of a base */
    bool busy;     /* a seal waits for another one's copy, or for writes, of its file */
    bool effect;   /* something in it is acknowledged */
    bool written;
};

/* -- receive.c -- */

/* The session that the record came in still runs. */
bool ftx_inbound_current(const struct ftx_inbound_record *record);
void ftx_inbound_free(struct ftx_inbound_record *record);
/* Refuses an item. A cut may take the REFUSED with it while what was refused counts as applied: it
 * is told again in later sessions. */
int ftx_inbound_refuse(struct ftx_transfer *transfer, uint64_t item, uint8_t reason);
/* The same of a file whose content is of a kind that is not taken. */
int ftx_inbound_deny(struct ftx_transfer *transfer, uint64_t item, uint64_t stream);
/* The rules that hold for the record. -ENOMEM. */
int ftx_inbound_rules(struct ftx_inbound_record *record);
/* The journal's entry must be committed before the record is acknowledged. */
void ftx_inbound_need(struct ftx_inbound_record *record, uint64_t entry);
/* Room for one more element of `size` bytes; NULL without memory. */
void *ftx_inbound_grow(void *array, size_t n, size_t *capacity, size_t size);
/* What came cannot be stored: the session ends. Not from inside a call of the engine. */
void ftx_inbound_end_session(struct ftx_transfer *transfer, int err);
/* The disk has no room: tries again every second. */
void ftx_inbound_no_room(struct ftx_transfer *transfer);
/* A record was written: does any still wait for room? */
void ftx_inbound_room(struct ftx_transfer *transfer);

/* -- receive_write.c -- */

/* Writes the record's extents, now or later. */
void ftx_inbound_write(struct ftx_inbound_record *record);
/* Lets go of extents, or a copy, that wait: the session is over. */
void ftx_inbound_abandon(struct ftx_inbound_record *record);

/* -- receive_seals.c -- */

/* Judges the seals one after the other; one whose base must be copied makes the rest wait. */
void ftx_inbound_judge(struct ftx_inbound_record *record);
/* A write or a copy has ended: judges seals that waited for it. */
void ftx_inbound_judge_busy(struct ftx_transfer *transfer);
/* Completes the files whose bytes are committed. */
int ftx_inbound_complete(struct ftx_inbound_record *record, uint64_t committed);
/* Copies again, after there was no room. */
void ftx_inbound_copy(struct ftx_inbound_record *record);

#endif
