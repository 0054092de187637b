/* SPDX-License-Identifier: MIT */
/*
 * Fuzz: the input is someone between two honest ends. It passes on, changes, drops, reflects and
 * makes up bytes; whatever it does, S completes or writes keys only together with R and the same.
 *
 *   byte 0      bit 0: RESUME, bit 1: R dials, bits 2, 3: AES is quick at S, at R; a dialler that says
 *               so wants a data connection
 *   then steps  bits 0-2: what, bit 3: to R, bits 4-7: how many bytes (0: all there are)
 */
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "transport/base/err.h"
#include "transport/session/handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { S, R };
enum { PASS, FLIP, DROP, REFLECT, MAKE_UP };

struct end {
    struct ftx_handshake hs;
    struct ftx_handshake_link link;
    uint32_t random[8];
    struct ftx_link_keys keys, written;
    int guesses;
    bool wrote, closed;
    uint8_t sent[1024];
    size_t n_sent, n_passed, n_reflected;
};

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void random_bytes(void *ctx, void *out, size_t size)
{
    uint32_t *seed = ctx;
    seed[1]++;
    randombytes_buf_deterministic(out, size, (const uint8_t *)seed);
}

static bool done(const struct end *end)
{
    return !end->closed && (end->hs.want == FTX_WANT_CLOSE || end->hs.want == FTX_WANT_RECORDS);
}

static void close_on(struct end *end, int err)
{
    if (!err)
        return;
    check(err == FTX_EPROTO || err == FTX_EAUTH || err == FTX_EVERSION || err == FTX_EROLE);
    check(end->hs.out_size == 0 || err == FTX_EROLE);
    end->closed = true;
}

static void serve(struct end *end)
{
    struct ftx_handshake *hs = &end->hs;
    while (!end->closed && !done(end) && hs->want != FTX_WANT_BYTES) {
        if (hs->want == FTX_WANT_LINK) {
            bool known = ftx_hello_matches(&hs->peer_hello, &end->link);
            close_on(end, known ? ftx_handshake_resolved(hs, &end->link) : FTX_EAUTH);
            continue;
        }
        end->guesses += hs->want == FTX_WANT_GUESS_SPENT;
        end->guesses -= hs->want == FTX_WANT_GUESS_BACK;
        if (hs->want == FTX_WANT_KEYS_WRITTEN) {
            end->wrote = true;
            end->written = hs->keys;
        }
        close_on(end, ftx_handshake_written(hs));
    }
    check(end->guesses == 0 || end->guesses == 1);
    check(hs->out_size <= sizeof end->sent - end->n_sent);
    memcpy(end->sent + end->n_sent, hs->out, hs->out_size);
    end->n_sent += hs->out_size;
    hs->out_size = 0;
}

static void feed(struct end *end, const uint8_t *bytes, size_t size)
{
    while (size > 0 && !end->closed && !done(end)) {
        size_t taken = 0;
        int err = ftx_handshake_receive(&end->hs, bytes, size, &taken);
        check(err || (taken > 0 && taken <= size));
        close_on(end, err);
        serve(end);
        bytes += taken;
        size -= taken;
    }
}

static void start(struct end *end, int role, bool resume, bool dials, bool aes)
{
    static const uint8_t secrets[2][32] = {{1}, {2}};
    *end = (struct end){
        .link = {.mode = resume ? FTX_MODE_RESUME : FTX_MODE_PAIR,
                 .role = role == S ? FTX_ROLE_S : FTX_ROLE_R,
                 .code = "7-guitar-harvest",
                 .label = "7",
                 .data = resume && dials && aes,
                 .aes = resume && aes,
                 .keys = &end->keys},
        .random = {(uint32_t)role},
        .keys = {.link_secret = {3}},
    };
    memcpy(end->keys.static_secret, secrets[role], sizeof end->keys.static_secret);
    crypto_scalarmult_base(end->keys.static_public, secrets[role]);
    crypto_scalarmult_base(end->keys.peer_public, secrets[1 - role]);
    if (dials)
        check(ftx_handshake_dial(&end->hs, &end->link, random_bytes, end->random) == 0);
    else
        ftx_handshake_accept(&end->hs, random_bytes, end->random);
    serve(end);
}

/* One step of the one in between; returns how many bytes of its own it used. */
static size_t step(struct end *from, struct end *to, unsigned what, size_t most, const uint8_t *own,
                   size_t n_own)
{
    uint8_t bytes[sizeof from->sent];
    size_t left = from->n_sent - from->n_passed;
    size_t size = most && most < left ? most : left;
    memcpy(bytes, from->sent + from->n_passed, size);
    switch (what) {
    case FLIP:
        if (size == 0 || n_own == 0)
            return 0;
        bytes[own[0] % size] ^= (uint8_t)(1u << own[0] % 8);
        from->n_passed += size;
        feed(to, bytes, size);
        return 1;
    case DROP:
        from->n_passed += size;
        return 0;
    case REFLECT:
        left = to->n_sent - to->n_reflected;
        size = most && most < left ? most : left;
        memcpy(bytes, to->sent + to->n_reflected, size);
        to->n_reflected += size;
        feed(to, bytes, size);
        return 0;
    case MAKE_UP:
        size = most && most < n_own ? most : n_own;
        feed(to, own, size);
        return size;
    case PASS:
    default:
        from->n_passed += size;
        feed(to, bytes, size);
        return 0;
    }
}

static void check_agreement(const struct end *s, const struct end *r, bool resume)
{
    if (resume && done(s)) {
        check(done(r));
        check(s->hs.cipher == r->hs.cipher);
        check(memcmp(s->hs.send_key, r->hs.receive_key, 32) == 0);
        check(memcmp(s->hs.receive_key, r->hs.send_key, 32) == 0);
    }
    if (s->wrote) {
        check(!resume && r->wrote && s->guesses == 0 && r->guesses == 0);
        check(memcmp(s->written.link_secret, r->written.link_secret, 32) == 0);
        check(memcmp(s->written.peer_public, r->written.static_public, 32) == 0);
        check(memcmp(r->written.peer_public, s->written.static_public, 32) == 0);
    }
    if (!resume && done(s))
        check(done(r));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct end ends[2];
    if (size < 1)
        return 0;
    bool resume = data[0] & 1, r_dials = data[0] & 2;
    start(&ends[S], S, resume, !r_dials, data[0] & 4);
    start(&ends[R], R, resume, r_dials, data[0] & 8);
    for (size_t at = 1; at < size;) {
        uint8_t what = data[at++];
        int to = what >> 3 & 1;
        at += step(&ends[1 - to], &ends[to], what & 7, what >> 4, data + at, size - at);
    }
    check_agreement(&ends[S], &ends[R], resume);
    for (int role = 0; role < 2; role++) {
        ftx_handshake_close(&ends[role].hs);
        check(sodium_is_zero((const uint8_t *)&ends[role].hs, sizeof ends[role].hs));
    }
    return 0;
}
