/* SPDX-License-Identifier: MIT */
/* One message of each type, with the values of tests/vectors/expected.json. */
#ifndef FTX_TESTS_WIRE_SAMPLES_H
#define FTX_TESTS_WIRE_SAMPLES_H

#include "transport/wire/message.h"

enum { SAMPLES = 23, SAMPLE_MAX = 256 };

extern const char *const sample_names[SAMPLES];

/* The i-th sample; what it points at is static. */
struct ftx_message sample_message(size_t i);

/* Encodes a message with the data of an EXTENT or FETCHED behind it; returns the size. */
size_t sample_encode(const struct ftx_message *message, uint8_t *out, size_t capacity);

#endif
