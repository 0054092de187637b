/* SPDX-License-Identifier: MIT */
/* For the files of the handshake only: its states, the Hello, the steps of the two modes. */
#ifndef FTX_SESSION_HANDSHAKE_STEPS_H
#define FTX_SESSION_HANDSHAKE_STEPS_H

#include "transport/session/handshake.h"

/* The message that comes next from the peer. */
enum ftx_handshake_state {
    EXPECT_HELLO_HEAD, /* up to the length byte */
    EXPECT_HELLO,
    EXPECT_SHARE,   /* PAIR 1 or 2: Ya, Yb */
    EXPECT_TAG,     /* PAIR 3 or 4 */
    EXPECT_BOX,     /* PAIR 5 or 6: static key and share */
    EXPECT_KEPT,    /* PAIR 7 or 8: the peer has written the link */
    EXPECT_NOISE,   /* RESUME 1 or 2 */
    EXPECT_NOTHING, /* complete, or failed */
};

/* -- handshake.c: what the steps are made of -- */

void ftx_handshake_expect(struct ftx_handshake *hs, enum ftx_handshake_state state);

/* `size` more bytes of `out` to fill. */
uint8_t *ftx_handshake_put(struct ftx_handshake *hs, size_t size);

void ftx_handshake_random(struct ftx_handshake *hs, void *out, size_t size);

/* Hello_S || Hello_R; returns the size. */
size_t ftx_handshake_hellos(const struct ftx_handshake *hs, uint8_t out[2 * FTX_HELLO_MAX]);

/* Complete: nothing secret is kept but the result. */
void ftx_handshake_complete(struct ftx_handshake *hs, enum ftx_handshake_want want);

/* -- hello.c -- */

enum { FTX_HELLO_HEAD = 5 };

/* Fills *hello for this end of the link. */
void ftx_hello_make(struct ftx_hello *hello, const struct ftx_handshake_link *link,
                    const uint8_t nonce[FTX_NONCE_SIZE]);

/* The length of a whole Hello from its head; 0 if this is none. */
size_t ftx_hello_size(const uint8_t head[FTX_HELLO_HEAD]);

/* Parses a whole Hello, whose head was checked. FTX_EPROTO, FTX_EVERSION. */
int ftx_hello_parse(struct ftx_hello *hello, const uint8_t *raw, size_t size);

/* -- handshake_pair.c, handshake_resume.c: given both Hellos, then whole messages -- */

int ftx_pair_begin(struct ftx_handshake *hs);
int ftx_pair_take_share(struct ftx_handshake *hs);
int ftx_pair_take_tag(struct ftx_handshake *hs);
int ftx_pair_take_box(struct ftx_handshake *hs);
int ftx_pair_take_kept(struct ftx_handshake *hs);

/* The caller did what `want` (no longer set) asked for. */
int ftx_pair_written(struct ftx_handshake *hs, enum ftx_handshake_want want);

int ftx_resume_begin(struct ftx_handshake *hs);
int ftx_resume_take(struct ftx_handshake *hs);

#endif
