/* SPDX-License-Identifier: MIT */
/* The simulated world: two ends with an outbox and an inbox each, links between them, one source of
 * chance. */
#ifndef FTX_TESTS_SIM_SIM_H
#define FTX_TESTS_SIM_SIM_H

#include "tests/sim/inbox.h"
#include "tests/sim/model.h"
#include "tests/sim/outbox.h"
#include "transport/session/compress.h"
#include "transport/session/engine.h"

enum { SIM_CONNECTIONS = 4 };

/* A plan on its way into a record. */
struct sim_draft {
    struct ftx_plan *plan;
    bool built;
    uint8_t *bytes;
    size_t size;
};

/* What one end knows of a connection: its number in the engine, the records it is making. */
struct sim_port {
    bool attached;
    unsigned index;
    struct sim_draft *drafts;
    size_t n_drafts, capacity;
};

struct sim_record {
    uint8_t *bytes;
    size_t size;
};

/* Records on their way to one end. */
struct sim_pipe {
    struct sim_record *at;
    size_t n, capacity;
};

struct sim_connection {
    struct sim_pipe to[2];
    struct sim_port port[2];
};

/* The connections of one session, as the network sees them. */
struct sim_link {
    bool broken;
    struct sim_connection connections[SIM_CONNECTIONS];
    unsigned n;
};

struct sim_end {
    struct sim *sim;
    int index; /* 0: S, 1: R */
    struct sim_outbox outbox;
    struct sim_inbox inbox;
    struct ftx_engine engine;
    bool up;          /* the engine runs, on `link` */
    unsigned serial;  /* of the engine: counts sessions of this end */
    uint64_t session; /* highest used or accepted; never lost */
    struct sim_link *link;
    struct ftx_compress compress;
};

enum sim_fault { SIM_FAULT_NONE, SIM_FAULT_CUT, SIM_FAULT_CRASH_S, SIM_FAULT_CRASH_R };

struct sim_options {
    uint64_t seed;
    unsigned steps;
    unsigned faults;           /* per mille of the steps */
    bool large;                /* big files: full records */
    bool damage;               /* a receiver loses ranges now and then: MISSING */
    bool refuse;               /* a receiver deletes what arrives */
    bool release;              /* a sender's room is short now and then, and files grow old */
    bool group;                /* users work in the folder of a group with one member */
    enum sim_fault fault_kind; /* one fault after the fault_at-th record */
    unsigned fault_at;
};

struct sim_counts {
    unsigned records, sessions, joins, crashes, cuts, delivered, held, missing, refused, left_out,
        wanted, fetches, fetched, unreadable, packed;
};

struct sim {
    struct sim_options options;
    struct sim_random random;
    struct sim_end ends[2];
    struct sim_link **links;
    size_t n_links, capacity;
    uint64_t now_ms;
    uint8_t *room; /* where records are built */
    struct ftx_codec *codec;
    bool healing; /* no more faults, no more user */
    struct sim_counts counts;
};

static inline struct sim_end *sim_peer(struct sim_end *end)
{
    return &end->sim->ends[1 - end->index];
}

/* The engine of the end for the models, or NULL. */
static inline struct ftx_engine *sim_engine(struct sim_end *end)
{
    return end->up ? &end->engine : NULL;
}

/* One whole run; ends the program when an invariant breaks. False: `fault_at` was never reached. */
bool sim_run(const struct sim_options *options, struct sim_counts *out_counts);

/* network.c: records between the ends */
void sim_dial(struct sim_end *end);
void sim_dial_data(struct sim_end *end);
bool sim_pull(struct sim_end *end, unsigned connection);
bool sim_build(struct sim_end *end, unsigned connection, size_t i);
bool sim_deliver(struct sim *sim, struct sim_link *link, unsigned connection, int to);
void sim_cut(struct sim *sim, struct sim_link *link);
/* The end learns that its link is broken. */
void sim_notice(struct sim_end *end);
void sim_crash(struct sim_end *end);
bool sim_pipes_empty(const struct sim_link *link, int to);
void sim_links_free(struct sim *sim);

/* user.c: one random deed of the program that writes, or of the one that reads */
void sim_user(struct sim_end *end);

/* fetches.c: one range fetched back; the engine's calls for it; all were answered */
void sim_fetch(struct sim_end *end);
void sim_serve(void *ctx, uint64_t stream, const struct ftx_range *range, struct ftx_source *out);
int sim_read_answer(struct sim_end *end, struct ftx_source *source, uint8_t *out);
int sim_fetched(void *ctx, uint64_t asked, const struct ftx_content *answer);
void sim_fetch_check_done(struct sim *sim);

/* The bytes of what came, unpacked; until the next call. */
const uint8_t *sim_unpack(struct sim *sim, const struct ftx_content *content);

extern const struct ftx_engine_app sim_app;

#endif
