/* SPDX-License-Identifier: MIT */
/* Rules about names and kinds: what is denied is not taken, and where something is allowed nothing
 * else is. */
#include "fs/store/rules.h"

#include <errno.h>
#include <string.h>

enum { WORD_MAX = 100 };

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The next word of a rule, which moves behind it; its size, 0: no more. */
static size_t next_word(const char **in_out_rule, const char **out_word)
{
    const char *at = *in_out_rule;
    size_t size = strcspn(at, ",");
    *out_word = at;
    *in_out_rule = at + size + (at[size] == ',');
    return size;
}

static bool is_ext(const char *word, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (word[i] <= ' ' || word[i] == '/' || word[i] == 0x7f)
            return false;
    return word[0] != '.' && word[size - 1] != '.';
}

/* type/subtype or type/ + `*`. */
static bool is_mime(const char *word, size_t size)
{
    const char *slash = memchr(word, '/', size);
    for (size_t i = 0; i < size; i++) {
        bool fits = (word[i] >= 'a' && word[i] <= 'z') || (word[i] >= '0' && word[i] <= '9') ||
                    memchr("!#$&-^_.+/", word[i], 10) || (word[i] == '*' && i == size - 1);
        if (!fits)
            return false;
    }
    if (!slash || slash == word || slash == word + size - 1)
        return false;
    size_t left = size - (size_t)(slash + 1 - word);
    return !memchr(slash + 1, '/', left) && (word[size - 1] != '*' || left == 1);
}

int ftx_rule_parse(enum ftx_rule rule, const char *text, size_t size, char out[FTX_RULE_MAX])
{
    bool mime = rule == FTX_RULE_ALLOW_MIME || rule == FTX_RULE_DENY_MIME;
    char kept[FTX_RULE_MAX] = "";
    const char *rest = kept, *word;
    if (size == 4 && memcmp(text, "none", 4) == 0) {
        out[0] = '\0';
        return 0;
    }
    if (size == 0 || size >= sizeof kept || memchr(text, '\0', size) || text[size - 1] == ',')
        return -EINVAL;
    for (size_t i = 0; i < size; i++)
        kept[i] = lower(text[i]);
    while (*rest) {
        size_t n = next_word(&rest, &word);
        if (n == 0 || n > WORD_MAX || !(mime ? is_mime(word, n) : is_ext(word, n)))
            return -EINVAL;
    }
    memcpy(out, kept, sizeof kept);
    return 0;
}

/* Does the name end with a dot and one of the words? */
static bool has_ext(const char *rule, const char *name, size_t size)
{
    const char *word;
    for (size_t n; (n = next_word(&rule, &word)) > 0;) {
        if (size < n + 2 || name[size - n - 1] != '.')
            continue;
        size_t i = 0;
        while (i < n && lower(name[size - n + i]) == word[i])
            i++;
        if (i == n)
            return true;
    }
    return false;
}

static bool has_mime(const char *rule, const char *mime)
{
    const char *word;
    for (size_t n; (n = next_word(&rule, &word)) > 0;) {
        bool any = word[n - 1] == '*';
        if (strncmp(mime, word, any ? n - 1 : n) == 0 && (any || mime[n] == '\0'))
            return true;
    }
    return false;
}

bool ftx_rules_take_name(const struct ftx_rules *rules, const char *name, size_t size)
{
    const char *allowed = rules->text[FTX_RULE_ALLOW_EXT];
    return !has_ext(rules->text[FTX_RULE_DENY_EXT], name, size) &&
           (!*allowed || has_ext(allowed, name, size));
}

bool ftx_rules_look(const struct ftx_rules *rules)
{
    return rules->text[FTX_RULE_ALLOW_MIME][0] || rules->text[FTX_RULE_DENY_MIME][0];
}

bool ftx_rules_take_mime(const struct ftx_rules *rules, const char *mime)
{
    const char *allowed = rules->text[FTX_RULE_ALLOW_MIME];
    return !has_mime(rules->text[FTX_RULE_DENY_MIME], mime) &&
           (!*allowed || has_mime(allowed, mime));
}
