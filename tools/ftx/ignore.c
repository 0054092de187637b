/* SPDX-License-Identifier: MIT */
/* A pattern is a list of tokens; matching follows all ways through it at once, byte by byte, so that
 * no pattern can take long. */
#include "tools/ftx/ignore.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS_MAX = 512, RULES_MAX = 4096 };

enum kind {
    BYTE, /* this one */
    ANY,  /* ?: one, but no / */
    SET,  /* [...]: one of these, but no / */
    STAR, /* *: any number, but no / */
    DEEP, /* ** at the end: any number */
    DIRS, /* **\/: nothing, or anything that ends with / */
};

struct token {
    uint8_t kind, byte;
    uint16_t set; /* index in rule.sets */
};

struct ftx_ignore_rule {
    struct token *tokens;
    uint8_t (*sets)[32]; /* a bit for each byte */
    size_t n, n_sets;
    bool keep;         /* ! */
    bool folders_only; /* a / at the end */
};

/* -- reading a pattern -- */

/* The line without blanks at its end, unless a backslash stands before them. */
static size_t trim(const char *line, size_t size)
{
    while (size > 0 &&
           (line[size - 1] == ' ' || line[size - 1] == '\r' || line[size - 1] == '\t')) {
        size_t backslashes = 0;
        while (backslashes < size - 1 && line[size - 2 - backslashes] == '\\')
            backslashes++;
        if (backslashes % 2)
            break;
        size--;
    }
    return size;
}

static void set_add(uint8_t set[32], unsigned from, unsigned to)
{
    for (unsigned c = from; c <= to; c++)
        set[c >> 3] |= (uint8_t)(1u << (c & 7));
}

static size_t add_class(uint8_t set[32], const char *at, size_t left)
{
    static const struct {
        const char *name;
        const char *ranges; /* pairs */
    } classes[] = {
        {"[:alnum:]", "09AZaz"}, {"[:alpha:]", "AZaz"},     {"[:digit:]", "09"},
        {"[:lower:]", "az"},     {"[:upper:]", "AZ"},       {"[:xdigit:]", "09AFaf"},
        {"[:space:]", "\t\r  "}, {"[:punct:]", "!/:@[`{~"}, {"[:blank:]", "\t\t  "},
        {"[:print:]", " ~"},     {"[:graph:]", "!~"},
    };
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        size_t n = strlen(classes[i].name);
        if (n > left || memcmp(at, classes[i].name, n) != 0)
            continue;
        for (const char *r = classes[i].ranges; *r; r += 2)
            set_add(set, (unsigned char)r[0], (unsigned char)r[1]);
        return n;
    }
    return 0;
}

/* [abc], [!a-z]: the size of the bracket, 0: it has no end. */
static size_t read_set(const char *line, size_t size, uint8_t set[32])
{
    size_t i = 1;
    bool inverted = i < size && (line[i] == '!' || line[i] == '^');
    memset(set, 0, 32);
    i += inverted;
    for (size_t first = i; i < size && (line[i] != ']' || i == first);) {
        size_t n = add_class(set, line + i, size - i);
        if (n) {
            i += n;
            continue;
        }
        if (line[i] == '\\' && i + 1 < size)
            i++;
        unsigned from = (unsigned char)line[i++], to = from;
        if (i + 1 < size && line[i] == '-' && line[i + 1] != ']') {
            i++;
            if (line[i] == '\\' && i + 1 < size)
                i++;
            to = (unsigned char)line[i++];
        }
        set_add(set, from, to);
    }
    if (i >= size)
        return 0;
    for (size_t k = 0; inverted && k < 32; k++)
        set[k] = (uint8_t)~set[k];
    set['/' >> 3] &= (uint8_t) ~(1u << ('/' & 7));
    return i + 1;
}

/* How many bytes at `i` of the line make one more token, 0: the pattern is wrong. `anchor` is where
 * the pattern begins. */
static size_t read_token(struct ftx_ignore_rule *rule, const char *line, size_t size, size_t i,
                         size_t anchor)
{
    struct token *token = &rule->tokens[rule->n++];
    *token = (struct token){.kind = BYTE, .byte = (uint8_t)line[i]};
    switch (line[i]) {
    case '\\':
        if (i + 1 == size)
            return 0;
        token->byte = (uint8_t)line[i + 1];
        return 2;
    case '?':
        token->kind = ANY;
        return 1;
    case '[': {
        uint8_t set[32];
        size_t n = read_set(line + i, size - i, set);
        uint8_t(*sets)[32] = n ? realloc(rule->sets, (rule->n_sets + 1) * sizeof *sets) : NULL;
        if (!sets)
            return 0;
        rule->sets = sets;
        memcpy(sets[rule->n_sets], set, sizeof set);
        token->kind = SET;
        token->set = (uint16_t)rule->n_sets++;
        return n;
    }
    case '*': {
        size_t n = 1;
        while (i + n < size && line[i + n] == '*')
            n++;
        bool alone = n == 2 && (i == anchor || line[i - 1] == '/');
        token->kind = STAR;
        if (alone && i + n < size && line[i + n] == '/') {
            token->kind = DIRS;
            return n + 1;
        }
        if (alone && i + n == size && i > anchor) { /* all below, but not the folder itself */
            token->kind = ANY;
            rule->tokens[rule->n++] = (struct token){.kind = DEEP};
        }
        return n;
    }
    default:
        return 1;
    }
}

static bool read_rule(struct ftx_ignore_rule *rule, const char *line, size_t size)
{
    size_t start = 0;
    rule->keep = line[0] == '!';
    if (rule->keep)
        start++;
    if (size > start && line[size - 1] == '/') {
        rule->folders_only = true;
        size--;
    }
    bool anchored = size > start && memchr(line + start, '/', size - start);
    if (size > start && line[start] == '/')
        start++;
    if (size == start || size - start > TOKENS_MAX - 4)
        return false;
    rule->tokens = calloc(size - start + 4, sizeof *rule->tokens);
    if (!rule->tokens)
        return false;
    if (!anchored)
        rule->tokens[rule->n++].kind = DIRS;
    for (size_t i = start, n; i < size; i += n)
        if (!(n = read_token(rule, line, size, i, start)))
            return false;
    return true;
}

static void rule_close(struct ftx_ignore_rule *rule)
{
    free(rule->tokens);
    free(rule->sets);
}

int ftx_ignore_add(struct ftx_ignore *ignore, const char *line, size_t size)
{
    struct ftx_ignore_rule rule = {0};
    size = trim(line, size);
    if (size == 0 || line[0] == '#' || ignore->n == RULES_MAX)
        return 0;
    if (!read_rule(&rule, line, size)) {
        rule_close(&rule);
        return 0;
    }
    struct ftx_ignore_rule *rules = realloc(ignore->rules, (ignore->n + 1) * sizeof *rules);
    if (!rules) {
        rule_close(&rule);
        return -ENOMEM;
    }
    ignore->rules = rules;
    rules[ignore->n++] = rule;
    return 0;
}

int ftx_ignore_add_text(struct ftx_ignore *ignore, const char *text, size_t size)
{
    int err = 0;
    while (size > 0 && !err) {
        const char *end = memchr(text, '\n', size);
        size_t n = end ? (size_t)(end - text) : size;
        err = ftx_ignore_add(ignore, text, n);
        n += end ? 1 : 0;
        text += n;
        size -= n;
    }
    return err;
}

void ftx_ignore_close(struct ftx_ignore *ignore)
{
    for (size_t i = 0; i < ignore->n; i++)
        rule_close(&ignore->rules[i]);
    free(ignore->rules);
    *ignore = (struct ftx_ignore){0};
}

/* -- matching -- */

/* We may stand before token `i`; before what follows too if that one may match nothing. */
static void stand(const struct ftx_ignore_rule *rule, bool *at, size_t i)
{
    while (!at[i]) {
        at[i] = true;
        if (i == rule->n)
            return;
        uint8_t kind = rule->tokens[i].kind;
        if (kind != STAR && kind != DEEP && kind != DIRS)
            return;
        i++;
    }
}

/* One byte further from before token `i`. */
static void step(const struct ftx_ignore_rule *rule, bool *next, size_t i, uint8_t byte)
{
    const struct token *token = &rule->tokens[i];
    switch ((enum kind)token->kind) {
    case BYTE:
        if (byte == token->byte)
            stand(rule, next, i + 1);
        break;
    case ANY:
        if (byte != '/')
            stand(rule, next, i + 1);
        break;
    case SET:
        if (rule->sets[token->set][byte >> 3] >> (byte & 7) & 1)
            stand(rule, next, i + 1);
        break;
    case STAR:
        if (byte != '/')
            stand(rule, next, i);
        break;
    case DEEP:
        stand(rule, next, i);
        break;
    case DIRS: /* within a name it goes on alone, behind a / all may follow */
        if (byte == '/')
            stand(rule, next, i);
        else
            next[i] = true;
        break;
    }
}

static bool matches(const struct ftx_ignore_rule *rule, const char *path)
{
    bool ways[2][TOKENS_MAX + 1] = {0};
    size_t turn = 0;
    stand(rule, ways[0], 0);
    for (; *path; path++, turn ^= 1) {
        memset(ways[turn ^ 1], 0, rule->n + 1);
        for (size_t i = 0; i < rule->n; i++)
            if (ways[turn][i])
                step(rule, ways[turn ^ 1], i, (uint8_t)*path);
    }
    return ways[turn][rule->n];
}

enum ftx_ignored ftx_ignore_match(const struct ftx_ignore *ignore, const char *path, bool is_folder)
{
    for (size_t i = ignore->n; i-- > 0;) {
        const struct ftx_ignore_rule *rule = &ignore->rules[i];
        if ((!rule->folders_only || is_folder) && matches(rule, path))
            return rule->keep ? FTX_IGNORE_KEEP : FTX_IGNORE_SKIP;
    }
    return FTX_IGNORE_UNSAID;
}
