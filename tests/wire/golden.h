/* SPDX-License-Identifier: MIT */
/* The files of hex digits in tests/vectors. */
#ifndef FTX_TESTS_WIRE_GOLDEN_H
#define FTX_TESTS_WIRE_GOLDEN_H

#include <stddef.h>
#include <stdint.h>

/* Reads tests/vectors/<name>.hex; returns the size. What is missing or too long fails the test. */
size_t golden_read(const char *name, uint8_t *out, size_t capacity);

#endif
