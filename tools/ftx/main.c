/* SPDX-License-Identifier: MIT */
/* ftx: the hand that people use on a mount. Finds the subcommand, its flags and its operands. */
#include "tools/ftx/command.h"

#include "tools/common/network_options.h"
#include "tools/ftx/print.h"
#include "transport/base/streams.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct ftx_flag common_flags[] = {
    {"mount", "DIR", "which mount; default: FTX_MOUNT, the one around, the only one"},
    {"json", NULL, "one JSON object a line"},
    {"help", NULL, ""},
    {0},
};

/* The options of the network as flags, for what can go without a mount; NULL: for nothing else.
 * Static storage. */
static const struct ftx_flag *network_flags(const struct ftx_command *command)
{
    static struct ftx_flag flags[FTX_NETWORK_OPTIONS + 1];
    const struct ftx_flag *own = command->flags;
    while (own && own->name && strcmp(own->name, "no-mount") != 0)
        own++;
    if (!own || !own->name)
        return NULL;
    for (size_t i = 0; i < FTX_NETWORK_OPTIONS; i++)
        flags[i] = (struct ftx_flag){ftx_network_option[i].name, ftx_network_option[i].value,
                                     ftx_network_option[i].help};
    return flags;
}

/* -- help -- */

static void help_flags(const struct ftx_flag *flags)
{
    for (; flags && flags->name; flags++) {
        char left[48];
        snprintf(left, sizeof left, "--%s %s", flags->name, flags->value ? flags->value : "");
        printf("  %-24s %s\n", left, flags->help);
    }
}

static void help(void)
{
    printf("usage: ftx SUBCOMMAND [options] [operands]\n\n");
    for (const struct ftx_command *c = ftx_commands; c->name; c++) {
        char left[48];
        snprintf(left, sizeof left, "%s %s", c->name, c->operands);
        printf("  %-36s %s\n", left, c->help);
    }
    printf("\n");
    help_flags(common_flags);
    printf("\nExit status: 0 done, 1 failed, 2 wrong usage, 3 no mount, 4 no such link or not "
           "paired. See ftx(1).\n");
}

static void help_command(const struct ftx_command *command)
{
    printf("usage: ftx %s [options] %s\n\n%s\n\n", command->name, command->operands, command->help);
    help_flags(command->flags);
    help_flags(common_flags);
    if (network_flags(command)) {
        printf("\nWithout a mount, as with ftxfs:\n");
        help_flags(network_flags(command));
    }
}

/* -- options -- */

enum {
    FIRST = 256, /* getopt_long's value of the first flag of a list */
    OPTIONS_MAX = 32,
};

/* All flags that may stand here, for getopt_long; `values` borrows them in the same order. */
static size_t collect(const struct ftx_command *command, struct option *options,
                      const struct ftx_flag **values)
{
    const struct ftx_flag *lists[] = {common_flags, command ? command->flags : NULL,
                                      command ? network_flags(command) : NULL};
    size_t n = 0;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (const struct ftx_flag *flag = lists[i]; flag && flag->name; flag++, n++) {
            values[n] = flag;
            options[n] = (struct option){flag->name, flag->value ? required_argument : no_argument,
                                         NULL, FIRST + (int)n};
        }
    options[n] = (struct option){0};
    return n;
}

/* Takes flags from argv[optind]; in front of the subcommand it stops at the first operand. 0, or an
 * exit status. */
static int parse(struct ftx_call *call, int argc, char **argv)
{
    struct option options[OPTIONS_MAX];
    const struct ftx_flag *values[OPTIONS_MAX];
    int found;
    collect(call->command, options, values);
    opterr = 0;
    while ((found = getopt_long(argc, argv, call->command ? ":h" : "+:h", options, NULL)) != -1) {
        if (found == ':')
            return ftx_usage(call, "%s needs a value", argv[optind - 1]);
        if (found == '?')
            return ftx_usage(call, "%s: no such option", argv[optind - 1]);
        if (call->n_flags == FTX_CALL_FLAGS_MAX)
            return ftx_usage(call, "too many options");
        call->flags[call->n_flags].name = found == 'h' ? "help" : values[found - FIRST]->name;
        call->flags[call->n_flags++].value = optarg ? optarg : "";
    }
    return 0;
}

static const struct ftx_command *find(const char *name)
{
    const struct ftx_command *command = ftx_commands;
    while (command->name && strcmp(command->name, name) != 0)
        command++;
    return command->name ? command : NULL;
}

static int run(struct ftx_call *call)
{
    const struct ftx_command *command = call->command;
    const char *variable = getenv("FTX_MOUNT");
    call->mount = ftx_call_flag(call, "mount");
    if (!call->mount && variable && *variable)
        call->mount = variable;
    call->json = ftx_call_flag(call, "json") != NULL;
    ftx_print_open(call->json);
    if (call->n_words < command->min)
        return ftx_usage(call, "%s: %s is missing", command->name, command->operands);
    if (command->max >= 0 && call->n_words > command->max)
        return ftx_usage(call, "%s: '%s' is one word too many", command->name,
                         call->words[command->max]);
    for (int i = 0; i < call->n_words; i++)
        if (!call->words[i][0])
            return ftx_usage(call, "%s: an operand is empty", command->name);
    return command->run(call);
}

static int start(int argc, char **argv)
{
    struct ftx_call call = {0};
    int status = parse(&call, argc, argv);
    if (status)
        return status;
    if (optind < argc && strcmp(argv[optind], "help") == 0) {
        call.flags[call.n_flags].name = "help";
        call.flags[call.n_flags++].value = "";
        optind++;
    }
    if (optind == argc) {
        if (!ftx_call_flag(&call, "help"))
            return ftx_usage(&call, "no subcommand given");
        help();
        return FTX_EXIT_GOOD;
    }
    const char *name = argv[optind];
    call.command = find(name);
    if (!call.command)
        return ftx_usage(&call, "'%s': no such subcommand", name);
    /* what follows is parsed anew, with the subcommand's name as argv[0] */
    argc -= optind;
    argv += optind;
    optind = 0;
    status = parse(&call, argc, argv);
    if (status)
        return status;
    if (ftx_call_flag(&call, "help")) {
        help_command(call.command);
        return FTX_EXIT_GOOD;
    }
    call.words = argv + optind;
    call.n_words = argc - optind;
    return run(&call);
}

int main(int argc, char **argv)
{
    ftx_streams_reserve();
    setlocale(LC_CTYPE, ""); /* may UTF-8 be drawn? */
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("ftx %s\n", FTX_VERSION_TEXT);
        return FTX_EXIT_GOOD;
    }
    int status = start(argc, argv);
    if ((fflush(stdout) || ferror(stdout)) && status == FTX_EXIT_GOOD)
        status = ftx_fail("what was to be shown could not be written: %s", strerror(errno));
    return status;
}
