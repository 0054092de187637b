/* SPDX-License-Identifier: MIT */
/* What a subcommand asks of its call, and how it says that it failed. */
#include "tools/ftx/command.h"

#include "transport/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_MAX = 4608 }; /* a path and a sentence */

int ftx_fail(const char *format, ...)
{
    char message[MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    fflush(stdout);
    ftx_log_tell("ftx", "%s", message);
    return FTX_EXIT_FAILED;
}

int ftx_usage(const struct ftx_call *call, const char *format, ...)
{
    char message[MESSAGE_MAX];
    const char *name = call->command ? call->command->name : NULL;
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    fflush(stdout);
    ftx_log_tell("ftx", "%s (see ftx %s%s--help)", message, name ? name : "", name ? " " : "");
    return FTX_EXIT_USAGE;
}

const char *ftx_call_flag(const struct ftx_call *call, const char *name)
{
    for (size_t i = call->n_flags; i-- > 0;)
        if (strcmp(call->flags[i].name, name) == 0)
            return call->flags[i].value;
    return NULL;
}
