/* SPDX-License-Identifier: MIT */
/* What main.c gives to a subcommand and takes from it. */
#ifndef FTX_TOOLS_COMMAND_H
#define FTX_TOOLS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

/* How ftx ends (ftx(1), EXIT STATUS). */
enum {
    FTX_EXIT_GOOD = 0,
    FTX_EXIT_FAILED = 1,
    FTX_EXIT_USAGE = 2,
    FTX_EXIT_NO_MOUNT = 3,
    FTX_EXIT_NO_LINK = 4, /* there is no such link, or it is not paired yet */
};

struct ftx_call;

struct ftx_flag {
    const char *name;
    const char *value; /* NULL: it has none */
    const char *help;
};

struct ftx_command {
    const char *name;
    const char *operands; /* as the help shows them */
    const char *help;
    int min, max;                      /* operands; max < 0: any number */
    const struct ftx_flag *flags;      /* up to one without a name; NULL: none of its own */
    int (*run)(struct ftx_call *call); /* its exit status */
};

enum { FTX_CALL_FLAGS_MAX = 64 };

/* One call of a subcommand; everything in it is borrowed from argv and the environment. */
struct ftx_call {
    const struct ftx_command *command;
    char **words; /* operands, `n_words` */
    int n_words;
    const char *mount; /* --mount or FTX_MOUNT; NULL: nothing was said */
    bool json;
    struct {
        const char *name, *value;
    } flags[FTX_CALL_FLAGS_MAX];
    size_t n_flags;
};

/* The value that was given last, "" for a flag without one; NULL: it was not given. */
const char *ftx_call_flag(const struct ftx_call *call, const char *name);

/* Each says one line on stderr, escaped, and returns the exit status for it. */
int ftx_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int ftx_usage(const struct ftx_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

extern const struct ftx_command ftx_commands[]; /* up to one without a name */

int ftx_cmd_code(struct ftx_call *call);
int ftx_cmd_doctor(struct ftx_call *call);
int ftx_cmd_group(struct ftx_call *call);
int ftx_cmd_history(struct ftx_call *call);
int ftx_cmd_join(struct ftx_call *call);
int ftx_cmd_links(struct ftx_call *call);
int ftx_cmd_receive(struct ftx_call *call);
int ftx_cmd_rename(struct ftx_call *call);
int ftx_cmd_send(struct ftx_call *call);
int ftx_cmd_stats(struct ftx_call *call);
int ftx_cmd_status(struct ftx_call *call);
int ftx_cmd_steer(struct ftx_call *call);
int ftx_cmd_take(struct ftx_call *call);
int ftx_cmd_ungroup(struct ftx_call *call);
int ftx_cmd_verify(struct ftx_call *call);
int ftx_cmd_verify_peer(struct ftx_call *call);
int ftx_cmd_watch(struct ftx_call *call);

#endif
