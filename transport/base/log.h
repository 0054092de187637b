/* SPDX-License-Identifier: MIT */
/* One line per event for people: to stderr, or to syslog once in the background. */
#ifndef FTX_BASE_LOG_H
#define FTX_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum ftx_log_level { FTX_LOG_ERROR, FTX_LOG_WARNING, FTX_LOG_INFO, FTX_LOG_DEBUG };

/* Sets the sink; call once before threads start. `program` is kept. */
void ftx_log_open(const char *program, bool to_syslog, enum ftx_log_level most);

/* Writes one line; bytes that a terminal could interpret are escaped; any thread. Secrets never
 * come here. */
void ftx_log(enum ftx_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Writes one line to stderr, escaped likewise, wherever the log goes: why a program does not start. */
void ftx_log_tell(const char *program, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Writes `bytes` as printable ASCII or valid UTF-8 into `out` (capacity `size` > 0, always ended
 * with NUL), everything else, and the backslash, as \xNN; cuts at the capacity. Returns `out`. For
 * names and other strings that came from outside.
 */
char *ftx_escape(char *out, size_t size, const void *bytes, size_t length);

/* How many of the `length` > 0 bytes are one character that ftx_escape leaves as it is; 0: none. */
size_t ftx_escape_plain(const void *bytes, size_t length);

#endif
