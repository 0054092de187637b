/* SPDX-License-Identifier: MIT */
/* Fuzz: bytes as a line of .ftx/ctl. A command that is taken keeps its arguments inside the line and
 * its values in their range; one that is not says why. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fuse/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

static void check_settings(const struct ftx_command *command)
{
    check((command->kind == FTX_COMMAND_SET) == (command->n_settings > 0));
    check(command->n_settings <= 2);
    for (size_t i = 0; i < command->n_settings; i++) {
        const struct ftx_command_setting *setting = &command->settings[i];
        const struct ftx_setting_value *value = &setting->value;
        check(setting->setting < FTX_SETTINGS && value->number <= INT64_MAX);
        check(strnlen(value->text, sizeof value->text) < sizeof value->text && value->text[0]);
        check(setting->setting != FTX_SETTING_ACCEPT || value->number <= FTX_ACCEPT_ASK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ftx_command command;
    const char *message = NULL;
    char *line = malloc(size + 1); /* of exactly this size, so that a sanitizer sees the end */
    check(line != NULL);
    if (size)
        memcpy(line, data, size);
    if (ftx_command_parse(line, size, &command, &message)) {
        check(message && message[0]);
    } else {
        check(!message && !memchr(line, '\0', size));
        check(!command.name || (command.size > 0 && command.name >= line &&
                                command.name + command.size <= line + size));
        check(command.priority >= FTX_PRIORITY_INHERIT && command.priority <= 10);
        check_settings(&command);
    }
    free(line);
    return 0;
}
