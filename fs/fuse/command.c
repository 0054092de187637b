/* SPDX-License-Identifier: MIT */
/* One table of commands; each kind of argument has its reader. */
#include "fs/fuse/command.h"

#include "transport/session/scheduler.h"

#include <errno.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_blanks(struct ftx_word *words)
{
    for (; words->size && is_blank(*words->at); words->size--)
        words->at++;
}

/* The next word; empty: there is none. */
static struct ftx_word next_word(struct ftx_word *words)
{
    skip_blanks(words);
    struct ftx_word word = {.at = words->at};
    while (word.size < words->size && !is_blank(words->at[word.size]))
        word.size++;
    words->at += word.size;
    words->size -= word.size;
    return word;
}

static bool is_word(const struct ftx_word *word, const char *text)
{
    return strlen(text) == word->size && memcmp(word->at, text, word->size) == 0;
}

static int say(const char **out_message, const char *message)
{
    *out_message = message;
    return -EINVAL;
}

static const char no_more[] = "there are more words than the command takes";

static int take_link(struct ftx_word *words, struct ftx_command *out, const char **out_message)
{
    struct ftx_word word = next_word(words);
    if (!word.size)
        return say(out_message, "name a link, as it stands in outbox or inbox");
    bool all = is_word(&word, "*");
    out->name = all ? NULL : word.at;
    out->size = all ? 0 : word.size;
    return 0;
}

static int no_rest(struct ftx_word *words, const char **out_message)
{
    return next_word(words).size ? say(out_message, no_more) : 0;
}

static int parse_link(struct ftx_word *words, struct ftx_command *out, const char **out_message)
{
    int err = take_link(words, out, out_message);
    if (!err && !out->name && out->kind != FTX_COMMAND_PAUSE && out->kind != FTX_COMMAND_RESUME)
        return say(out_message, "name one link");
    if (!err && (out->kind == FTX_COMMAND_UNPAIR || out->kind == FTX_COMMAND_UNGROUP)) {
        struct ftx_word rest = *words, word = next_word(&rest);
        out->force = is_word(&word, "force");
        *words = out->force ? rest : *words;
    }
    return err ? err : no_rest(words, out_message);
}

static int parse_path(struct ftx_word *words, struct ftx_command *out, const char **out_message)
{
    skip_blanks(words);
    if (!words->size)
        return say(out_message, "name a path below the mount, as outbox/CODE/NAME");
    out->name = words->at;
    out->size = words->size;
    return 0;
}

/* A path, or a link for all that it offers. */
static int parse_offer(struct ftx_word *words, struct ftx_command *out, const char **out_message)
{
    int err = parse_path(words, out, out_message);
    out->path = !err && memchr(out->name, '/', out->size);
    return err;
}

static int parse_priority(struct ftx_word *words, struct ftx_command *out, const char **out_message)
{
    static const char wanted[] = "the priority is a number from 0 to 10, or - for none of its own";
    int err = parse_path(words, out, out_message);
    if (err)
        return err;
    size_t end = out->size;
    while (end && is_blank(out->name[end - 1]))
        end--;
    size_t at = end;
    while (at && !is_blank(out->name[at - 1]))
        at--;
    const struct ftx_word word = {.at = out->name + at, .size = end - at};
    while (at && is_blank(out->name[at - 1]))
        at--;
    out->size = at;
    if (!out->size)
        return say(out_message, wanted);
    out->path = memchr(out->name, '/', out->size) != NULL;
    if (is_word(&word, "-"))
        out->priority = FTX_PRIORITY_INHERIT;
    else if (is_word(&word, "10"))
        out->priority = FTX_PRIORITY_MAX;
    else if (word.size == 1 && word.at[0] >= '0' && word.at[0] <= '9')
        out->priority = word.at[0] - '0';
    else
        return say(out_message, wanted);
    return 0;
}

/* What a value of the setting looks like. */
static const char *wanted(enum ftx_setting setting)
{
    switch (setting) {
    case FTX_SETTING_UP:
    case FTX_SETTING_DOWN:
        return "the value is a number, as 2M (K, M, G, T), or none, or a timetable, as "
               "08:00-18:00=2M,else=none";
    case FTX_SETTING_ACCEPT:
        return "accept is all, ask or none";
    case FTX_SETTING_ALLOW_EXT:
    case FTX_SETTING_DENY_EXT:
        return "the value is a list of endings, as jpg,tar.gz, or none";
    case FTX_SETTING_ALLOW_MIME:
    case FTX_SETTING_DENY_MIME:
        return "the value is a list of types, as image/png,video/*, or none";
    default:
        return "the value is a number, as 2M (K, M, G, T), or none";
    }
}

/* KEY=VALUE, the key one of the first `n`. */
static int take_setting(const struct ftx_word *word, int n, struct ftx_command *out,
                        const char **out_message)
{
    const char *equals = memchr(word->at, '=', word->size);
    if (!equals)
        return say(out_message, "say KEY=VALUE, without blanks");
    const struct ftx_word key = {.at = word->at, .size = (size_t)(equals - word->at)};
    int setting = 0;
    while (setting < n && !is_word(&key, ftx_setting_name((enum ftx_setting)setting)))
        setting++;
    if (setting == n)
        return say(out_message, n == 2 ? "limits are up=RATE and down=RATE"
                                       : "the keys are up, down, accept, max_size, max_files, "
                                         "allow_ext, deny_ext, allow_mime and deny_mime");
    struct ftx_command_setting *set = &out->settings[out->n_settings];
    set->setting = (enum ftx_setting)setting;
    if (ftx_setting_parse(set->setting, equals + 1, word->size - key.size - 1, &set->value))
        return say(out_message, wanted(set->setting));
    out->n_settings++;
    return 0;
}

static int parse_settings(struct ftx_word *words, size_t most, int n_keys, struct ftx_command *out,
                          const char **out_message)
{
    int err = take_link(words, out, out_message);
    for (struct ftx_word word; !err && (word = next_word(words)).size;)
        err = out->n_settings < most ? take_setting(&word, n_keys, out, out_message)
                                     : say(out_message, no_more);
    if (!err && !out->n_settings)
        return say(out_message, "say what is to be set: KEY=VALUE");
    return err;
}

static int parse_limit(struct ftx_word *words, struct ftx_command *out, const char **out_message)
{
    return parse_settings(words, 2, FTX_SETTING_DOWN + 1, out, out_message);
}

static int parse_config(struct ftx_word *words, struct ftx_command *out, const char **out_message)
{
    return parse_settings(words, 1, FTX_SETTINGS, out, out_message);
}

static int parse_group(struct ftx_word *words, struct ftx_command *out, const char **out_message)
{
    static const char wanted[] =
        "say group NAME = CODE CODE ..., or + or - in place of = to add or remove some";
    int err = take_link(words, out, out_message);
    struct ftx_word sign = err ? (struct ftx_word){0} : next_word(words);
    if (err || !out->name || sign.size != 1)
        return err ? err : say(out_message, wanted);
    const char *found = strchr("=+-", *sign.at);
    if (!found)
        return say(out_message, wanted);
    out->how = *found == '=' ? FTX_GROUP_SET : *found == '+' ? FTX_GROUP_ADD : FTX_GROUP_REMOVE;
    for (struct ftx_word word; (word = next_word(words)).size;) {
        if (out->n_members == FTX_GROUP_MEMBERS_MAX)
            return say(out_message, "a group has at most 64 members");
        out->members[out->n_members++] = word;
    }
    return out->n_members ? 0
                          : say(out_message,
                                "name its members by their codes; ungroup NAME dissolves a group");
}

int ftx_command_parse(const char *line, size_t size, struct ftx_command *out,
                      const char **out_message)
{
    static const struct {
        const char *name;
        enum ftx_command_kind kind;
        int (*parse)(struct ftx_word *words, struct ftx_command *out, const char **out_message);
    } commands[] = {
        {"pause", FTX_COMMAND_PAUSE, parse_link},
        {"resume", FTX_COMMAND_RESUME, parse_link},
        {"unpair", FTX_COMMAND_UNPAIR, parse_link},
        {"rearm", FTX_COMMAND_REARM, parse_link},
        {"retry", FTX_COMMAND_RETRY, parse_link},
        {"cancel", FTX_COMMAND_CANCEL, parse_path},
        {"accept", FTX_COMMAND_ACCEPT, parse_offer},
        {"reject", FTX_COMMAND_REJECT, parse_offer},
        {"priority", FTX_COMMAND_PRIORITY, parse_priority},
        {"limit", FTX_COMMAND_SET, parse_limit},
        {"config", FTX_COMMAND_SET, parse_config},
        {"group", FTX_COMMAND_GROUP, parse_group},
        {"ungroup", FTX_COMMAND_UNGROUP, parse_link},
    };
    struct ftx_word words = {.at = line, .size = size};
    memset(out, 0, sizeof *out);
    if (memchr(line, '\0', size))
        return say(out_message, "a command has no NUL in it");
    struct ftx_word word = next_word(&words);
    if (!word.size || word.at[0] == '#')
        return 0;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (!is_word(&word, commands[i].name))
            continue;
        out->kind = commands[i].kind;
        return commands[i].parse(&words, out, out_message);
    }
    return say(out_message,
               "no such command: they are pause, resume, unpair, rearm, retry, cancel, "
               "accept, reject, priority, limit, config, group and ungroup");
}
