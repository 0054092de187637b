/* SPDX-License-Identifier: MIT */
/* Log lines: formatted, escaped, one write each. */
#include "transport/base/log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

static struct {
    const char *program;
    bool to_syslog;
    enum ftx_log_level most;
} sink = {"ftxfs", false, FTX_LOG_WARNING};

void ftx_log_open(const char *program, bool to_syslog, enum ftx_log_level most)
{
    sink.program = program;
    sink.to_syslog = to_syslog;
    sink.most = most;
    if (to_syslog)
        openlog(program, LOG_PID, LOG_DAEMON);
}

/* Length of the valid, printable UTF-8 sequence at `s` (RFC 3629, no C1 controls), or 0. */
static size_t utf8_length(const uint8_t *s, size_t left)
{
    size_t n;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        n = 2;
    else if (s[0] >= 0xe0 && s[0] <= 0xef)
        n = 3;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        n = 4;
    else
        return 0;
    if (left < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xc2 && s[1] < 0xa0) || (s[0] == 0xe0 && s[1] < 0xa0) ||
        (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    /* bidirectional overrides and other invisible marks: U+200B..U+200F, U+202A..U+202E,
     * U+2066..U+2069 */
    if (s[0] == 0xe2 && s[1] == 0x80 &&
        ((s[2] >= 0x8b && s[2] <= 0x8f) || (s[2] >= 0xa8 && s[2] <= 0xae)))
        return 0;
    if (s[0] == 0xe2 && s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9)
        return 0;
    return n;
}

size_t ftx_escape_plain(const void *bytes, size_t length)
{
    const uint8_t *in = bytes;
    if (in[0] >= 0x80)
        return utf8_length(in, length);
    return in[0] >= 0x20 && in[0] < 0x7f && in[0] != '\\';
}

char *ftx_escape(char *out, size_t size, const void *bytes, size_t length)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *in = bytes;
    size_t used = 0;
    for (size_t i = 0; i < length;) {
        size_t n = ftx_escape_plain(in + i, length - i);
        if (used + (n ? n : 4) >= size)
            break;
        if (n) {
            memcpy(out + used, in + i, n);
            used += n;
            i += n;
        } else {
            out[used++] = '\\';
            out[used++] = 'x';
            out[used++] = hex[in[i] >> 4];
            out[used++] = hex[in[i] & 15];
            i++;
        }
    }
    out[used] = '\0';
    return out;
}

void ftx_log(enum ftx_log_level level, const char *format, ...)
{
    if (level > sink.most)
        return;
    static const int priority[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
    char raw[1024], line[1400];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    if (n < 0)
        return;
    size_t length = (size_t)n < sizeof raw ? (size_t)n : sizeof raw - 1;
    ftx_escape(line, sizeof line, raw, length);
    if (sink.to_syslog) {
        syslog(priority[level], "%s", line);
        return;
    }
    char out[1500];
    int m = snprintf(out, sizeof out, "%s: %s\n", sink.program, line);
    if (m > 0 && write(STDERR_FILENO, out, (size_t)m < sizeof out ? (size_t)m : sizeof out - 1) < 0)
        return; /* nobody is left to tell */
}

void ftx_log_tell(const char *program, const char *format, ...)
{
    char raw[5120], line[4 * sizeof raw]; /* a path, a sentence; escaped, four times that */
    va_list args;
    va_start(args, format);
    int n = vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    if (n < 0)
        return;
    size_t length = (size_t)n < sizeof raw ? (size_t)n : sizeof raw - 1;
    fprintf(stderr, "%s: %s\n", program, ftx_escape(line, sizeof line, raw, length));
}
