/* SPDX-License-Identifier: MIT */
/* user.ftx.peer_sha256: parked until the peer has answered, or says nothing for read_timeout. */
#include "fs/fuse/digest.h"

#include "fs/store/peer_digest.h"

#include <errno.h>

static int try_digest(struct ftx_mount *mount, const struct ftx_parked *parked, bool ask,
                      struct ftx_reply *out)
{
    uint8_t bytes[FTX_SHA256_SIZE];
    char *text = ftx_read_room();
    (void)ask;
    int err = text ? ftx_peer_digest_look(mount->store, parked->ino, bytes) : -ENOMEM;
    if (err)
        return err;
    ftx_digest_write(bytes, text);
    *out = (struct ftx_reply){.bytes = text, .size = FTX_DIGEST_TEXT};
    return 0;
}

static int64_t progress_ms(struct ftx_mount *mount, fuse_ino_t ino)
{
    return ftx_peer_digest_progress_ms(mount->store, ino);
}

static void reply(fuse_req_t req, const struct ftx_reply *bytes)
{
    fuse_reply_buf(req, bytes->bytes, bytes->size);
}

static void leave(struct ftx_mount *mount, fuse_ino_t ino)
{
    ftx_peer_digest_leave(mount->store, ino);
}

static const struct ftx_wait_kind waiting_digest = {.attempt = try_digest,
                                                    .progress_ms = progress_ms,
                                                    .reply = reply,
                                                    .leave = leave,
                                                    .timeout_err = -ETIMEDOUT};

void ftx_peer_digest_answer(fuse_req_t req, fuse_ino_t ino, size_t room)
{
    struct ftx_mount *mount = ftx_mount_of(req);
    if (room == 0) {
        fuse_reply_xattr(req, FTX_DIGEST_TEXT);
        return;
    }
    int err = room < FTX_DIGEST_TEXT ? -ERANGE : ftx_peer_digest_ask(mount->store, ino);
    if (err)
        ftx_reply_err(req, err);
    else
        ftx_park_wait(mount->park, &waiting_digest, req, ino, 0, NULL, 0, 0);
}
