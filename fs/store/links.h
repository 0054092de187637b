/* SPDX-License-Identifier: MIT */
/* Links as the store knows them: name, keys, operations not yet acknowledged, what is to be sent.
 */
#ifndef FTX_STORE_LINKS_H
#define FTX_STORE_LINKS_H

#include "fs/store/store.h"
#include "transport/crypto/identity.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* On disk in ftx_link_row.state. */
enum ftx_link_state {
    FTX_LINK_ARMED = 1,    /* the code waits for its peer */
    FTX_LINK_ENROLLED = 2, /* keys are written; the code still holds until the first good RESUME */
    FTX_LINK_PAIRED = 3,   /* the code is burned */
};

/* On disk in ftx_link_row.role, beside those of enum ftx_role: no link, but a folder that delivers to
 * several. Its state is FTX_LINK_PAIRED. */
enum { FTX_ROLE_GROUP = 3 };
enum { FTX_GROUP_MEMBERS_MAX = 64 }; /* each has an item of its own for each of the group's */

/* What the connection says; not on disk. */
enum ftx_link_health {
    FTX_HEALTH_OFFLINE,
    FTX_HEALTH_PAIRING,
    FTX_HEALTH_CONNECTED,
    FTX_HEALTH_SAME_ROLE, /* both ends armed the code in the same role */
    FTX_HEALTH_LOST,      /* the peer lost the state that ours builds on */
};

/* What a peer can make us remember. */
enum {
    FTX_LINK_ITEMS_MAX = 4 << 20,    /* in the inbox: refused beyond */
    FTX_LINK_SEGMENTS_MAX = 8 << 20, /* ftx_link.n_segments: the session ends */
};

struct ftx_stored_op {
    uint64_t entry; /* of the journal: it leaves when that is durable */
    uint32_t size;
    uint8_t bytes[];
};

/* What the session goes through; not on disk. */
struct ftx_link_way {
    const char *path; /* static: "direct", "lan", "relay"; NULL: there is no session */
    uint32_t rtt_us;  /* 0: not known */
    uint32_t loss_thousandths;
    const char *quality; /* static: excellent good fair poor; NULL: offline, or not known yet */
};

/* Bytes of content before and after compression. */
struct ftx_packed {
    uint64_t before, after;
};

/* How far the search for files that rest is: outgoing_rest.c. */
struct ftx_rousing {
    uint32_t place; /* of the item that was looked at last */
    uint8_t passes; /* over all items, of which this is the first; 0: there is no search */
    bool held;      /* those too that the peer has not accepted: it is to hear of their sizes */
};

/* Fields belong to the store's lock. */
struct ftx_link {
    struct ftx_list node; /* store->links */
    struct ftx_link_row row;
    struct ftx_link_settings settings;
    struct ftx_link_reach reach;
    struct ftx_item *folders[2]; /* in outbox, in inbox; NULL: not there (yet) */
    struct ftx_op_block **ops;   /* ring of not acknowledged operations: op_first .. op_next - 1 */
    size_t ops_capacity;         /* a power of two, or 0 */
    uint64_t op_first, op_next;
    uint64_t xattr_bytes[2];   /* of its items' attributes, by box */
    uint64_t op_ready;         /* operations below this one are durable: they may leave */
    struct ftx_link **members; /* of a group */
    struct ftx_link **groups;  /* that it is a member of */
    size_t n_members, n_groups;
    int64_t proven_ms;        /* of a group: when a member last showed that it has something */
    struct ftx_list sendings; /* ftx_sending.all */
    uint32_t n_sendings;
    uint32_t n_resting; /* files that rest */
    struct ftx_rousing rousing;
    struct ftx_list due;       /* ftx_sending.due: the loop must look at them */
    struct ftx_list undurable; /* ftx_sending.due: once more is durable here */
    uint64_t undurable_at;     /* store->durable_at when `undurable` was last looked at */
    uint32_t n_items[2];       /* of each box; its folder counts */
    uint64_t n_segments;       /* ranges that unfinished files of the inbox have */
    uint64_t inbox_used;       /* what its inbox takes on the disk; counted if that has a limit */
    uint64_t inbox_claimed;    /* what is being written beyond that */
    bool inbox_full; /* something was refused for it, and the owner removed nothing since */
    struct ftx_list arriving;        /* ftx_arriving.node */
    struct ftx_list wants;           /* struct ftx_want: ranges that readers wait for */
    struct ftx_list removed_folders; /* struct ftx_removed_folder: their sender is to be told */
    size_t n_removed_folders;
    struct ftx_list answers; /* struct ftx_answer of offer.h, for the loop */
    uint64_t offers_at;      /* cookie of the last item in the root that was looked at for HOLD */
    bool hold_root;          /* HOLD 0 is due */
    bool offers_told;        /* what was offered before the start is told to the feed */
    bool asked;              /* the peer was told, in this session, that we ask */
    bool asks;               /* the peer told us that it does ... */
    bool holds;              /* ... and of something that it has not accepted yet */
    struct ftx_list fetches; /* of fetch.c: released ranges that the peer is to be asked for */
    size_t n_fetches;
    struct ftx_list questions; /* of peer_digest.c: files that the peer is to be asked about */
    size_t n_questions;
    uint64_t session; /* its last, of the store's: what was asked for in another is not asked */
    bool in_session;
    enum ftx_link_health health;
    char peer_address[64]; /* empty: not connected */
    struct ftx_link_way way;
    bool prioritized;                   /* items of it may have a priority of their own */
    bool dial, rearmed;                 /* asked of the loop: dial now; the guesses are forgotten */
    bool told_of_xattrs;                /* the log knows that the peer sends too many */
    bool no_room;                       /* on the disk, for what comes */
    bool left;                          /* the last session ended with a GOODBYE */
    bool removed;                       /* unpaired: the loop lets go of it */
    uint64_t bytes_out, bytes_in;       /* content bytes moved since the mount */
    struct ftx_packed packed[2];        /* of them, what travelled compressed, by box */
    uint64_t measured_out, measured_in; /* bytes_out, bytes_in a second ago */
    uint64_t rate_out, rate_in;         /* bytes per second */
};

/* A range of an inbox file that a reader waits for. */
struct ftx_want {
    struct ftx_list node;
    uint64_t remote, offset, length;
};

/* A folder of the inbox that its owner removed. */
struct ftx_removed_folder {
    struct ftx_list node;
    uint64_t remote;
};

static inline bool ftx_link_is_group(const struct ftx_link *link)
{
    return link->row.role == FTX_ROLE_GROUP;
}

/*
 * mkdir in a box: arms a code (FTX_ROLE_S for the outbox, FTX_ROLE_R for the inbox), or -EEXIST.
 * Computes the label (slow without a `-`), writes the link durably. -EINVAL: no valid code.
 */
int ftx_link_arm(struct ftx_store *store, enum ftx_box box, const char *code, size_t size,
                 uint64_t *out_folder);

/* rmdir in a box: takes back a code that is not paired yet; -EBUSY for a paired link, -ENOTEMPTY.
 */
int ftx_link_disarm(struct ftx_store *store, enum ftx_box box, const char *name, size_t size);

/* Renames a link, both its folders: -EEXIST, -EINVAL; -EBUSY: a group keeps its name. */
int ftx_link_rename(struct ftx_store *store, const char *name, size_t size, const char *new_name,
                    size_t new_size);

/* -- for the loop: rows are copies -- */

/* Changes whenever a link came or went. */
uint64_t ftx_link_changes(struct ftx_store *store);

/* Ids of all links, without groups (at most `capacity` are written); returns how many there are. */
size_t ftx_link_list(struct ftx_store *store, uint64_t *out_ids, size_t capacity);
/* -ENOENT. */
int ftx_link_get(struct ftx_store *store, uint64_t id, struct ftx_link_row *out_row);

/*
 * Writes a link's row durably, then calls `done` on the database thread with 0 or an error. The row
 * in memory changes at once; both folders appear when it is PAIRED. -ENOENT, -ENOMEM: done is not
 * called.
 */
typedef void (*ftx_link_written_fn)(void *ctx, int err);
int ftx_link_put(struct ftx_store *store, const struct ftx_link_row *row, ftx_link_written_fn done,
                 void *ctx);

/* A guess that is written as spent was wrong, or ended unknown: told to who looks. */
void ftx_link_guess_failed(struct ftx_store *store, uint64_t id);

void ftx_link_set_health(struct ftx_store *store, uint64_t id, enum ftx_link_health health,
                         const char *peer_address);

void ftx_link_set_way(struct ftx_store *store, struct ftx_link *link,
                      const struct ftx_link_way *way);

/* Where its peer was, by its last word; and a new one, which is written soon. */
void ftx_link_reach(struct ftx_store *store, const struct ftx_link *link,
                    struct ftx_link_reach *out);
void ftx_link_set_reach(struct ftx_store *store, struct ftx_link *link,
                        const struct ftx_link_reach *reach);

/* A session that was connected is over; `left`: one of the ends said so. */
void ftx_link_session_ended(struct ftx_store *store, struct ftx_link *link, const char *reason,
                            bool left);

/* The disk has no room for what comes, or has again. */
void ftx_link_set_no_room(struct ftx_store *store, struct ftx_link *link, bool no_room);

/* The words that people compare, of a paired link's row. */
enum { FTX_VERIFIER_TEXT = 64 };
void ftx_link_verifier(const struct ftx_link_row *row, char out[FTX_VERIFIER_TEXT]);

/* Something is not delivered, or has not arrived. */
bool ftx_link_busy(struct ftx_store *store, const struct ftx_link *link);

/* All of it that can be is delivered, and has arrived; true where there is no such link. */
bool ftx_link_done(struct ftx_store *store, const char *name, size_t size);

/* Takes the rates of all links; to be called once a second. False: nothing moves. */
bool ftx_links_measure(struct ftx_store *store);

/* Content of the link was sent (FTX_OUTBOX) or came (FTX_INBOX) compressed. */
void ftx_link_count_packed(struct ftx_store *store, struct ftx_link *link, enum ftx_box box,
                           uint64_t before, uint64_t after);

/* Settings as they are; what the loop is asked for is asked once. -ENOENT. */
struct ftx_link_wishes {
    bool dial, rearmed;
    bool anew; /* the session, if there is one: the peer does not know yet that we ask */
};
int ftx_link_settings(struct ftx_store *store, uint64_t id, struct ftx_link_settings *out,
                      struct ftx_link_wishes *out_wishes);
/* True, and the rules, if they are about what files hold. */
bool ftx_link_looks(struct ftx_store *store, const struct ftx_link *link, struct ftx_rules *out);
/* Of all links together. */
void ftx_links_settings(struct ftx_store *store, struct ftx_link_settings *out);

/* What .ftx/status says of one link. */
struct ftx_link_status {
    char name[65];
    char peer[64];
    const char *state; /* ftx_link_state_text */
    struct ftx_link_way way;
    const char *error; /* ftx_link_error_text */
    bool sender, paired;
    bool no_room;      /* on the disk, for what comes: it waits */
    bool left;         /* the last session ended with a word, and was not cut */
    uint64_t ops_seen; /* of the peer's operations, the number of the last */
    unsigned guesses_left;
    char verifier[FTX_VERIFIER_TEXT];
    struct ftx_link_settings settings;
    uint64_t bytes_out, bytes_in, rate_out, rate_in;
    struct ftx_packed packed[2];             /* by box */
    uint64_t queue_ops;                      /* operations not acknowledged */
    uint64_t queue_files, queue_bytes;       /* files and bytes not delivered */
    uint64_t offered;                        /* items that wait for their owner's word */
    uint64_t arriving_files, arriving_bytes; /* files not complete, bytes still missing of them */
    uint64_t arriving_here;                  /* bytes that are here of them */
};

/* Of one link. -ENOENT. */
int ftx_link_status(struct ftx_store *store, const char *name, size_t size,
                    struct ftx_link_status *out);
/* Fills at most `capacity`; returns how many links there are. Any thread. */
size_t ftx_links_status(struct ftx_store *store, struct ftx_link_status *out, size_t capacity);

/* The word for user.ftx.state: waiting pairing connected offline paused locked, both-senders,
 * both-receivers, lost. Static. */
const char *ftx_link_state_text(const struct ftx_link *link);
/* What is wrong with it, for user.ftx.error of its folder in the box; NULL: nothing. Static. */
const char *ftx_link_error_text(const struct ftx_link *link, enum ftx_box box);

/* -- private to fs/store, under the lock -- */

/* What of the link's files, below `folder` (NULL: all of them), is to be sent yet. */
void ftx_link_queue(const struct ftx_link *link, const struct ftx_item *folder, uint64_t *out_files,
                    uint64_t *out_bytes);

struct ftx_link *ftx_link_find(const struct ftx_store *store, uint64_t id);
struct ftx_link *ftx_link_find_name(const struct ftx_store *store, const char *name, size_t size);
/* Removes a link whose boxes are empty: from the disk (the lock is given away meanwhile), then from
 * the mount. */
int ftx_link_remove(struct ftx_store *store, struct ftx_link *link);
/* Takes it out of the mount. Its memory stays until the store is closed: orphans may still point at
 * it. */
void ftx_link_detach(struct ftx_store *store, struct ftx_link *link);
/* Of what has none of its own. As remove. */
int ftx_link_set_priority(struct ftx_store *store, struct ftx_link *link, uint8_t priority);
/* Makes a link in memory from its row, with its folders. */
int ftx_link_new(struct ftx_store *store, const struct ftx_link_row *row,
                 struct ftx_link **out_link);
void ftx_link_free(struct ftx_link *link);
int ftx_link_push_op(struct ftx_link *link, const uint8_t *bytes, size_t size);
/* One of op_first .. op_next - 1; until the next push or drop. */
struct ftx_stored_op *ftx_link_op(const struct ftx_link *link, uint64_t number);
void ftx_link_drop_ops(struct ftx_link *link, uint64_t upto);

#endif
