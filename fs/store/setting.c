/* SPDX-License-Identifier: MIT */
/* Settings as words: KEY=VALUE of `config`, and the same in events. */
#include "fs/store/steer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *ftx_setting_name(enum ftx_setting setting)
{
    static const char *const names[FTX_SETTINGS] = {[FTX_SETTING_UP] = "up",
                                                    [FTX_SETTING_DOWN] = "down",
                                                    [FTX_SETTING_ACCEPT] = "accept",
                                                    [FTX_SETTING_MAX_SIZE] = "max_size",
                                                    [FTX_SETTING_MAX_FILES] = "max_files",
                                                    [FTX_SETTING_ALLOW_EXT] = "allow_ext",
                                                    [FTX_SETTING_DENY_EXT] = "deny_ext",
                                                    [FTX_SETTING_ALLOW_MIME] = "allow_mime",
                                                    [FTX_SETTING_DENY_MIME] = "deny_mime"};
    return names[setting];
}

const char *ftx_accept_text(uint8_t accept)
{
    static const char *const words[] = {
        [FTX_ACCEPT_ALL] = "all", [FTX_ACCEPT_NONE] = "none", [FTX_ACCEPT_ASK] = "ask"};
    return words[accept];
}

static int parse_accept(const char *text, size_t size, struct ftx_setting_value *out)
{
    for (uint8_t accept = 0; accept <= FTX_ACCEPT_ASK; accept++) {
        const char *word = ftx_accept_text(accept);
        if (strlen(word) != size || memcmp(word, text, size) != 0)
            continue;
        out->number = accept;
        memcpy(out->text, word, size + 1);
        return 0;
    }
    return -EINVAL;
}

static int parse_number(const char *text, size_t size, struct ftx_setting_value *out)
{
    if (!ftx_size_parse(text, size, &out->number))
        return -EINVAL;
    if (out->number)
        snprintf(out->text, sizeof out->text, "%" PRIu64, out->number);
    else
        snprintf(out->text, sizeof out->text, "none");
    return 0;
}

static int parse_rule(enum ftx_rule rule, const char *text, size_t size,
                      struct ftx_setting_value *out)
{
    int err = ftx_rule_parse(rule, text, size, out->text);
    if (!err && !out->text[0])
        memcpy(out->text, "none", sizeof "none");
    return err;
}

int ftx_setting_parse(enum ftx_setting setting, const char *text, size_t size,
                      struct ftx_setting_value *out)
{
    int err;
    memset(out, 0, sizeof *out);
    switch (setting) {
    case FTX_SETTING_UP:
    case FTX_SETTING_DOWN:
        err = ftx_timetable_parse(text, size, &out->limit);
        if (!err)
            ftx_timetable_text(&out->limit, out->text);
        return err;
    case FTX_SETTING_ACCEPT:
        return parse_accept(text, size, out);
    case FTX_SETTING_MAX_SIZE:
    case FTX_SETTING_MAX_FILES:
        return parse_number(text, size, out);
    default:
        return parse_rule(ftx_setting_rule(setting), text, size, out);
    }
}
