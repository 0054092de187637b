/* SPDX-License-Identifier: MIT */
/* One line of JSON, written front to back into room that is there, or only measured. Pure. */
#ifndef FTX_STORE_JSON_H
#define FTX_STORE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FTX_JSON_TIME_SIZE = 28 }; /* "2026-11-30T17:20:11.123456Z" and a NUL */

struct ftx_json {
    char *out; /* `room` bytes; NULL: only measured */
    size_t room;
    size_t size; /* what the line takes: above `room`, what did not fit was left out */
};

/* As it is. */
void ftx_json_raw(struct ftx_json *json, const char *text, size_t size);
/* `,"name":`, or `{"name":` at the line's beginning. */
void ftx_json_key(struct ftx_json *json, const char *name);
/* In quotes. Bytes that are no UTF-8 are lone surrogates, 0xE9 `\udce9` (Python's surrogateescape);
 * control bytes are `\u00XX`. NULL: null. */
void ftx_json_string(struct ftx_json *json, const char *bytes, size_t size);
void ftx_json_number(struct ftx_json *json, uint64_t number);
/* Nanoseconds since 1970 as RFC 3339, UTC, with microseconds. */
void ftx_json_time(struct ftx_json *json, int64_t ns);
void ftx_json_null(struct ftx_json *json);
/* `}` and the line's end. */
void ftx_json_end(struct ftx_json *json);

/* The same time as plain text. */
void ftx_json_time_text(int64_t ns, char out[FTX_JSON_TIME_SIZE]);

#endif
