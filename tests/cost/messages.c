/* SPDX-License-Identifier: MIT */
/* Records full of small messages: every type in turn, written and read. */
#include "tests/cost/cost.h"
#include "tests/wire/samples.h"

#include "transport/wire/message.h"

enum { RECORDS = 16 };

static uint8_t record[FTX_RECORD_PLAIN_MAX];

static size_t encode(unsigned *out_n)
{
    struct ftx_message messages[SAMPLES];
    size_t size = 0;
    for (size_t i = 0; i < SAMPLES; i++)
        messages[i] = sample_message(i);
    *out_n = 0;
    cost_begin();
    while (sizeof record - size >= SAMPLE_MAX)
        size += sample_encode(&messages[(*out_n)++ % SAMPLES], record + size, sizeof record - size);
    cost_end("encode");
    return size;
}

static void decode(size_t size, unsigned n)
{
    struct ftx_message m;
    unsigned found = 0;
    int err = 0;
    cost_begin();
    for (size_t offset = 0; offset < size && !err; found++)
        err = ftx_message_decode(record, size, &offset, &m);
    cost_end("decode");
    cost_must(!err && found == n, "what was written is read");
}

void cost_messages(void)
{
    cost_ready();
    for (unsigned i = 0; i < RECORDS; i++) {
        unsigned n;
        size_t size = encode(&n);
        decode(size, n);
    }
}
