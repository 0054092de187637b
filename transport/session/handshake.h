/* SPDX-License-Identifier: MIT */
/*
 * The handshake of one connection (docs/protocol.md 1-3) as a state machine: bytes in, bytes out;
 * what must be looked up or written durably is asked of the caller between two bytes. No I/O, no
 * clock; randomness is handed in.
 *
 *   dialler:   dial(link) ............. receive ... [wants: written] ... receive ... done
 *   acceptor:  accept -> receive -> WANT_LINK -> resolved(link) -> receive ... [wants] ... done
 *
 * One thread at a time. After an error every later call but close returns the same error.
 */
#ifndef FTX_SESSION_HANDSHAKE_H
#define FTX_SESSION_HANDSHAKE_H

#include "transport/crypto/cpace.h"
#include "transport/crypto/identity.h"
#include "transport/crypto/noise.h"
#include "transport/crypto/record.h"
#include "transport/wire/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ftx_mode { FTX_MODE_PAIR = 1, FTX_MODE_RESUME = 2 };

/* What the caller must do before more bytes are taken. What is in `out` may be sent meanwhile. */
enum ftx_handshake_want {
    FTX_WANT_BYTES,        /* nothing: feed what arrives */
    FTX_WANT_LINK,         /* acceptor: find the link of peer_hello, call ftx_handshake_resolved */
    FTX_WANT_GUESS_SPENT,  /* write durably that a guess is spent, then ftx_handshake_written */
    FTX_WANT_GUESS_BACK,   /* the guess was right: write that it is not spent (need not be durable
                              first), then ftx_handshake_written */
    FTX_WANT_KEYS_WRITTEN, /* write `keys` durably, then ftx_handshake_written */
    FTX_WANT_CLOSE,        /* PAIR is complete: send `out`, close, dial again in RESUME */
    FTX_WANT_RECORDS,      /* RESUME is complete: send `out`; cipher and the two keys hold */
};

/* The parsed Hello; `raw` is what enters the transcript. */
struct ftx_hello {
    uint8_t raw[FTX_HELLO_MAX];
    size_t size;
    enum ftx_mode mode;
    enum ftx_role role;
    uint8_t nonce[FTX_NONCE_SIZE];
    uint8_t hint[FTX_HINT_SIZE];
    bool data; /* it was dialled to become a data connection */
    bool aes;  /* AES-256-GCM is quick at the end that says it */
};

/* What a handshake needs of a link; pointers are borrowed during the call. */
struct ftx_handshake_link {
    enum ftx_mode mode;
    enum ftx_role role;
    const char *code;                 /* PAIR: NUL-ended */
    const char *label;                /* PAIR */
    const struct ftx_link_keys *keys; /* RESUME */
    bool data;                        /* RESUME, dialler: for a data connection */
    bool aes;                         /* RESUME: AES-256-GCM is quick here */
};

typedef void (*ftx_random_fn)(void *ctx, void *out, size_t size);

enum { FTX_HANDSHAKE_OUT_MAX = 512 /* more than all an end ever sends */ };

/* Read `want`, `peer_hello`, `keys`, the cipher and keys of records; take from `out`; the rest is
 * private. */
struct ftx_handshake {
    unsigned state; /* handshake_steps.h: named for the message it EXPECTs */
    int err;        /* of the step that failed */
    enum ftx_handshake_want want;
    bool dialler;
    enum ftx_mode mode;
    enum ftx_role role;
    struct ftx_hello own_hello, peer_hello;
    char code[FTX_CODE_MAX + 1];
    char label[FTX_LABEL_MAX + 1];
    struct ftx_link_keys keys; /* PAIR: the new ones, from KEYS_WRITTEN on */
    struct ftx_cpace cpace;
    struct ftx_noise noise;
    uint8_t isk[FTX_CPACE_ISK_SIZE];
    uint8_t own_share[32];
    enum ftx_cipher cipher; /* AES-256-GCM if both Hellos wish it */
    uint8_t send_key[32], receive_key[32];
    uint8_t in[FTX_HELLO_MAX]; /* the message being received, in_size of in_need bytes */
    size_t in_size, in_need;
    uint8_t out[FTX_HANDSHAKE_OUT_MAX]; /* to send, out_size bytes; the caller sets it to 0 */
    size_t out_size;
    ftx_random_fn random;
    void *random_ctx;
};

/* Starts as acceptor: waits for the peer's Hello. `random_ctx` is kept until close. */
void ftx_handshake_accept(struct ftx_handshake *hs, ftx_random_fn random, void *random_ctx);

/*
 * Starts as dialler for `link`: the own Hello is in `out`. -EINVAL for a code that is none.
 * `random_ctx` is kept until close.
 */
int ftx_handshake_dial(struct ftx_handshake *hs, const struct ftx_handshake_link *link,
                       ftx_random_fn random, void *random_ctx);

/*
 * True if peer_hello has the mode of the link and its hint (of label or link secret), whatever its
 * role says; in constant time. An acceptor calls it for each link of its own.
 */
bool ftx_hello_matches(const struct ftx_hello *peer_hello, const struct ftx_handshake_link *link);

/*
 * Acceptor, at FTX_WANT_LINK: goes on with the link. Errors as _receive, and -EINVAL for a code
 * that is none. If both ends have the same role this leaves the own Hello in `out` and returns
 * FTX_EROLE: send it, then close.
 */
int ftx_handshake_resolved(struct ftx_handshake *hs, const struct ftx_handshake_link *link);

/*
 * Takes bytes; stops early when `want` becomes other than FTX_WANT_BYTES. *out_taken says how many
 * were used (those after it belong to what follows, e.g. the first record). Output is added to
 * `out`. 0, or FTX_EPROTO, FTX_EAUTH, FTX_EVERSION, FTX_EROLE: close without a word. Only in
 * FTX_WANT_BYTES.
 */
int ftx_handshake_receive(struct ftx_handshake *hs, const uint8_t *bytes, size_t size,
                          size_t *out_taken);

/* At a GUESS or KEYS want: the caller has written. Goes on; errors as _receive. */
int ftx_handshake_written(struct ftx_handshake *hs);

/* Wipes everything. */
void ftx_handshake_close(struct ftx_handshake *hs);

#endif
