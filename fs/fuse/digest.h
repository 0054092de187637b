/* SPDX-License-Identifier: MIT */
/* user.ftx.sha256: one thread computes, one file after the other; user.ftx.peer_sha256: the peer is
 * asked. Who asks is parked. */
#ifndef FTX_FUSE_DIGEST_H
#define FTX_FUSE_DIGEST_H

#include "fs/fuse/session.h"
#include "fs/store/digest.h"

struct ftx_digest;

enum { FTX_DIGEST_TEXT = 2 * FTX_SHA256_SIZE };

/* NULL: no memory. The thread begins with the first question. */
struct ftx_digest *ftx_digest_new(struct ftx_mount *mount);
void ftx_digest_stop(struct ftx_digest *digest); /* answers all of them */
void ftx_digest_free(struct ftx_digest *digest);

/* Answers a getxattr with room for `room` bytes (0: its size is asked for), now or later. */
void ftx_digest_answer(struct ftx_digest *digest, fuse_req_t req, fuse_ino_t ino, size_t room);

/* The same of what the peer has (digest_peer.c). */
void ftx_peer_digest_answer(fuse_req_t req, fuse_ino_t ino, size_t room);

/* As hexadecimal digits, without an end mark. */
void ftx_digest_write(const uint8_t bytes[FTX_SHA256_SIZE], char out[FTX_DIGEST_TEXT]);

#endif
