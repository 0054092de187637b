/* SPDX-License-Identifier: MIT */
/* A caller that grants every want at once, and the wire. */
#include "tests/crypto/two_ends.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "transport/base/err.h"

const struct ftx_link_keys *test_keys(int which, int role)
{
    static struct ftx_link_keys keys[2][2];
    if (sodium_is_zero((const uint8_t *)keys, sizeof keys))
        for (int link = 0; link < 2; link++) {
            for (int end = 0; end < 2; end++) {
                struct ftx_link_keys *own = &keys[link][end];
                memset(own->static_secret, 0x10 * (link + 1) + end, sizeof own->static_secret);
                memset(own->link_secret, 0xa0 + link, sizeof own->link_secret);
                crypto_scalarmult_base(own->static_public, own->static_secret);
            }
            memcpy(keys[link][S].peer_public, keys[link][R].static_public, 32);
            memcpy(keys[link][R].peer_public, keys[link][S].static_public, 32);
        }
    return &keys[which][role];
}

/* Deterministic, and different at each call. */
static void random_bytes(void *ctx, void *out, size_t size)
{
    uint32_t *seed = ctx;
    seed[1]++;
    randombytes_buf_deterministic(out, size, (const uint8_t *)seed);
}

void end_init(struct end *end, enum ftx_mode mode, int role, uint32_t seed)
{
    *end = (struct end){
        .link = {.mode = mode,
                 .role = role == S ? FTX_ROLE_S : FTX_ROLE_R,
                 .code = CODE,
                 .label = "7",
                 .keys = test_keys(0, role)},
        .random = {seed, 0},
    };
}

/* Does what is wanted; then takes what is to be sent. */
static void serve(struct end *end)
{
    struct ftx_handshake *hs = &end->hs;
    while (!end->err && hs->want != FTX_WANT_BYTES) {
        assert_true(end->n_wants < 8);
        end->wants[end->n_wants++] = hs->want;
        if (end_done(end))
            break;
        if (hs->want == FTX_WANT_LINK) {
            end->err = ftx_hello_matches(&hs->peer_hello, &end->link)
                           ? ftx_handshake_resolved(hs, &end->link)
                           : FTX_EAUTH;
            continue;
        }
        if (hs->want == FTX_WANT_GUESS_SPENT)
            end->guesses++;
        else if (hs->want == FTX_WANT_GUESS_BACK)
            end->guesses--;
        else
            end->written++;
        end->err = ftx_handshake_written(hs);
    }
    assert_true(hs->out_size <= sizeof end->sent - end->n_sent);
    memcpy(end->sent + end->n_sent, hs->out, hs->out_size);
    end->n_sent += hs->out_size;
    hs->out_size = 0;
}

void end_start(struct end *end, bool dialler)
{
    if (dialler)
        end->err = ftx_handshake_dial(&end->hs, &end->link, random_bytes, end->random);
    else
        ftx_handshake_accept(&end->hs, random_bytes, end->random);
    serve(end);
}

void end_feed(struct end *end, const uint8_t *bytes, size_t size, size_t chunk)
{
    size_t fed = 0;
    while (fed < size && !end->err && !end_done(end)) {
        size_t n = size - fed < chunk ? size - fed : chunk, taken = 0;
        end->err = ftx_handshake_receive(&end->hs, bytes + fed, n, &taken);
        assert_true(end->err || (taken > 0 && taken <= n));
        fed += taken;
        end->n_received += taken;
        serve(end);
    }
}

bool end_done(const struct end *end)
{
    return !end->err && (end->hs.want == FTX_WANT_CLOSE || end->hs.want == FTX_WANT_RECORDS);
}

void end_close(struct end *end)
{
    ftx_handshake_close(&end->hs);
    assert_true(sodium_is_zero((const uint8_t *)&end->hs, sizeof end->hs));
}

bool end_pass(struct end *from, struct end *to, size_t most)
{
    size_t left = from->n_sent - from->n_passed, size = left < most ? left : most;
    const uint8_t *bytes = from->sent + from->n_passed;
    from->n_passed += size;
    end_feed(to, bytes, size, size);
    return size > 0;
}

static bool pass_through(struct end *from, struct end *to, const struct wire *wire, bool faulty)
{
    uint8_t bytes[sizeof from->sent];
    size_t size = from->n_sent, passed = from->n_passed;
    memcpy(bytes, from->sent, size);
    if (faulty && wire->fault_at < size) {
        bytes[wire->fault_at] ^= wire->flip;
        size = wire->flip ? size : wire->fault_at;
    }
    from->n_passed = size;
    end_feed(to, bytes + passed, size - passed, wire->chunk);
    return size > passed;
}

void ends_connect(struct end ends[2], const struct wire *wire)
{
    bool moved;
    do {
        moved = pass_through(&ends[S], &ends[R], wire, wire->faulty == S);
        moved |= pass_through(&ends[R], &ends[S], wire, wire->faulty == R);
    } while (moved);
}

void ends_run(struct end ends[2], struct run run, const struct wire *wire)
{
    for (int role = 0; role < 2; role++) {
        end_init(&ends[role], run.mode, role, (uint32_t)role + 1);
        end_start(&ends[role], run.dialler == role);
    }
    ends_connect(ends, wire);
}

void ends_close(struct end ends[2])
{
    end_close(&ends[S]);
    end_close(&ends[R]);
}
