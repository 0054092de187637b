/* SPDX-License-Identifier: MIT */
/* The one table of errors: 0, -errno (libuv's system codes are the same), libuv's own, FTX_E*. */
#ifndef FTX_BASE_ERR_H
#define FTX_BASE_ERR_H

enum {
    FTX_EPROTO = -5000, /* a peer sent what docs/protocol.md forbids */
    FTX_EAUTH,          /* a tag, a box or a key did not verify */
    FTX_EVERSION,       /* no protocol version in common */
    FTX_EROLE,          /* both ends armed the code in the same role */
    FTX_ELOCKED,        /* ten guesses failed: the code takes no more */
    FTX_ECORRUPT,       /* stored bytes are not what was stored */
    FTX_ECHANGED,       /* the bytes changed while they were read: ask again */
    FTX_ELIMIT,         /* a limit of ours (count, bytes, depth) was reached */
    FTX_EREPLACED,      /* a newer session took this one's place */
    FTX_ELOST,          /* the peer no longer has the state that ours builds on */
};

/* Short English text of any code of the table; never NULL; static storage; any thread. */
const char *ftx_err_text(int err);

/* The positive errno that answers a program for `err` (0 for 0); EIO where nothing fits better. */
int ftx_err_errno(int err);

#endif
