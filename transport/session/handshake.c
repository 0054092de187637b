/* SPDX-License-Identifier: MIT */
/*
 * The frame of the handshake: collects whole messages, hands them to the step that expects them,
 * and stops at the first error.
 *
 *   PAIR     Hello  SHARE  TAG  BOX  KEPT  close     what each end expects of the other;
 *   RESUME   Hello  NOISE  records                  of each pair of messages S sends the first
 */
#include "transport/session/handshake.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "transport/base/err.h"
#include "transport/session/handshake_steps.h"

static int take_hello_head(struct ftx_handshake *hs);
static int take_hello(struct ftx_handshake *hs);

static const struct {
    uint8_t size; /* of the message (the Hello's is in its head) */
    int (*take)(struct ftx_handshake *hs);
} messages[] = {
    [EXPECT_HELLO_HEAD] = {FTX_HELLO_HEAD, take_hello_head},
    [EXPECT_HELLO] = {FTX_HELLO_MIN, take_hello},
    [EXPECT_SHARE] = {FTX_CPACE_SHARE_SIZE, ftx_pair_take_share},
    [EXPECT_TAG] = {64, ftx_pair_take_tag},
    [EXPECT_BOX] = {32 + 32 + FTX_TAG_SIZE, ftx_pair_take_box},
    [EXPECT_KEPT] = {FTX_TAG_SIZE, ftx_pair_take_kept},
    [EXPECT_NOISE] = {32 + FTX_TAG_SIZE, ftx_resume_take},
    [EXPECT_NOTHING] = {0, NULL},
};

/* -- what the steps are made of -- */

void ftx_handshake_expect(struct ftx_handshake *hs, enum ftx_handshake_state state)
{
    hs->state = state;
    hs->in_size = 0;
    hs->in_need = messages[state].size;
}

uint8_t *ftx_handshake_put(struct ftx_handshake *hs, size_t size)
{
    assert(size <= sizeof hs->out - hs->out_size);
    uint8_t *at = hs->out + hs->out_size;
    hs->out_size += size;
    return at;
}

void ftx_handshake_random(struct ftx_handshake *hs, void *out, size_t size)
{
    hs->random(hs->random_ctx, out, size);
}

size_t ftx_handshake_hellos(const struct ftx_handshake *hs, uint8_t out[2 * FTX_HELLO_MAX])
{
    bool s = hs->role == FTX_ROLE_S;
    const struct ftx_hello *first = s ? &hs->own_hello : &hs->peer_hello;
    const struct ftx_hello *second = s ? &hs->peer_hello : &hs->own_hello;
    memcpy(out, first->raw, first->size);
    memcpy(out + first->size, second->raw, second->size);
    return first->size + second->size;
}

/* Wipes what only the handshake itself needed. */
static void wipe_steps(struct ftx_handshake *hs)
{
    ftx_cpace_close(&hs->cpace);
    ftx_noise_close(&hs->noise);
    sodium_memzero(hs->code, sizeof hs->code);
    sodium_memzero(hs->isk, sizeof hs->isk);
    sodium_memzero(hs->own_share, sizeof hs->own_share);
}

void ftx_handshake_complete(struct ftx_handshake *hs, enum ftx_handshake_want want)
{
    wipe_steps(hs);
    ftx_handshake_expect(hs, EXPECT_NOTHING);
    hs->want = want;
}

/* The handshake is dead. Nothing leaves any more, but the Hello that tells a dialler its role. */
static int fail(struct ftx_handshake *hs, int err)
{
    wipe_steps(hs);
    sodium_memzero(&hs->keys, sizeof hs->keys);
    ftx_handshake_expect(hs, EXPECT_NOTHING);
    hs->want = FTX_WANT_BYTES;
    hs->err = err;
    if (hs->dialler || err != FTX_EROLE)
        hs->out_size = 0;
    return err;
}

/* -- Hello -- */

static void start(struct ftx_handshake *hs, bool dialler, ftx_random_fn random, void *random_ctx)
{
    *hs = (struct ftx_handshake){.dialler = dialler, .random = random, .random_ctx = random_ctx};
    ftx_handshake_expect(hs, EXPECT_HELLO_HEAD);
}

/* Copies what the handshake needs of the link and puts the own Hello. */
static int adopt(struct ftx_handshake *hs, const struct ftx_handshake_link *link)
{
    uint8_t nonce[FTX_NONCE_SIZE];

    hs->mode = link->mode;
    hs->role = link->role;
    if (link->mode == FTX_MODE_PAIR) {
        size_t code_size = strlen(link->code), label_size = strlen(link->label);
        if (!ftx_code_valid(link->code, code_size) || label_size > FTX_LABEL_MAX)
            return -EINVAL;
        memcpy(hs->code, link->code, code_size + 1);
        memcpy(hs->label, link->label, label_size + 1);
    } else {
        hs->keys = *link->keys;
    }
    ftx_handshake_random(hs, nonce, sizeof nonce);
    ftx_hello_make(&hs->own_hello, link, nonce);
    memcpy(ftx_handshake_put(hs, hs->own_hello.size), hs->own_hello.raw, hs->own_hello.size);
    return 0;
}

/* Both Hellos are known: are these the two ends of one link? */
static int begin(struct ftx_handshake *hs)
{
    const struct ftx_handshake_link link = {.mode = hs->mode,
                                            .role = hs->role,
                                            .code = hs->code,
                                            .label = hs->label,
                                            .keys = &hs->keys};
    const struct ftx_hello *peer = &hs->peer_hello;

    if (peer->mode != hs->mode)
        return FTX_EPROTO;
    if (!ftx_hello_matches(peer, &link))
        return FTX_EAUTH;
    if (sodium_memcmp(peer->nonce, hs->own_hello.nonce, FTX_NONCE_SIZE) == 0)
        return FTX_EAUTH; /* our own, reflected: says nothing about the peer's role */
    if (peer->role == hs->role)
        return FTX_EROLE;
    return hs->mode == FTX_MODE_PAIR ? ftx_pair_begin(hs) : ftx_resume_begin(hs);
}

static int take_hello_head(struct ftx_handshake *hs)
{
    size_t size = ftx_hello_size(hs->in);
    if (size == 0)
        return FTX_EPROTO;
    hs->state = EXPECT_HELLO; /* the head stays in `in` */
    hs->in_need = size;
    return 0;
}

static int take_hello(struct ftx_handshake *hs)
{
    int err = ftx_hello_parse(&hs->peer_hello, hs->in, hs->in_size);
    if (err)
        return err;
    if (hs->dialler)
        return begin(hs);
    hs->want = FTX_WANT_LINK;
    return 0;
}

/* -- the calls -- */

void ftx_handshake_accept(struct ftx_handshake *hs, ftx_random_fn random, void *random_ctx)
{
    start(hs, false, random, random_ctx);
}

int ftx_handshake_dial(struct ftx_handshake *hs, const struct ftx_handshake_link *link,
                       ftx_random_fn random, void *random_ctx)
{
    start(hs, true, random, random_ctx);
    int err = adopt(hs, link);
    return err ? fail(hs, err) : 0;
}

int ftx_handshake_resolved(struct ftx_handshake *hs, const struct ftx_handshake_link *link)
{
    if (hs->err)
        return hs->err;
    assert(hs->want == FTX_WANT_LINK);
    hs->want = FTX_WANT_BYTES;
    int err = adopt(hs, link);
    if (!err)
        err = begin(hs);
    return err ? fail(hs, err) : 0;
}

int ftx_handshake_receive(struct ftx_handshake *hs, const uint8_t *bytes, size_t size,
                          size_t *out_taken)
{
    if (hs->err)
        return hs->err;
    assert(hs->want == FTX_WANT_BYTES);
    size_t taken = 0;
    while (taken < size && hs->want == FTX_WANT_BYTES) {
        size_t missing = hs->in_need - hs->in_size;
        size_t n = size - taken < missing ? size - taken : missing;
        memcpy(hs->in + hs->in_size, bytes + taken, n);
        hs->in_size += n;
        taken += n;
        if (hs->in_size < hs->in_need)
            break;
        int err = messages[hs->state].take(hs);
        if (err)
            return fail(hs, err);
    }
    *out_taken = taken;
    return 0;
}

int ftx_handshake_written(struct ftx_handshake *hs)
{
    if (hs->err)
        return hs->err;
    enum ftx_handshake_want want = hs->want;
    assert(want == FTX_WANT_GUESS_SPENT || want == FTX_WANT_GUESS_BACK ||
           want == FTX_WANT_KEYS_WRITTEN);
    hs->want = FTX_WANT_BYTES;
    int err = ftx_pair_written(hs, want);
    return err ? fail(hs, err) : 0;
}

void ftx_handshake_close(struct ftx_handshake *hs)
{
    sodium_memzero(hs, sizeof *hs);
}
