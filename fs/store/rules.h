/* SPDX-License-Identifier: MIT */
/* Which files a link takes, by the ending of their name and by the kind of their content. A rule is
 * a list of words, as `jpg,tar.gz` or `image/png,video/` + `*`; an empty one says nothing. Pure. */
#ifndef FTX_STORE_RULES_H
#define FTX_STORE_RULES_H

#include <stdbool.h>
#include <stddef.h>

enum { FTX_RULE_MAX = 256 }; /* bytes of a rule with its NUL */

enum ftx_rule {
    FTX_RULE_ALLOW_EXT,
    FTX_RULE_DENY_EXT,
    FTX_RULE_ALLOW_MIME,
    FTX_RULE_DENY_MIME,
    FTX_RULES
};

/* Words in lower case, with commas between them. */
struct ftx_rules {
    char text[FTX_RULES][FTX_RULE_MAX];
};

/* `none`, or words: *out is the rule as it is kept. -EINVAL: no such words, or too many. */
int ftx_rule_parse(enum ftx_rule rule, const char *text, size_t size, char out[FTX_RULE_MAX]);

/* May a file have this name? A name has the ending `tar.gz` if it is `.tar.gz` behind something. */
bool ftx_rules_take_name(const struct ftx_rules *rules, const char *name, size_t size);

/* Is anything said of kinds of content? */
bool ftx_rules_look(const struct ftx_rules *rules);
/* May a file hold this kind of content, as image/png? */
bool ftx_rules_take_mime(const struct ftx_rules *rules, const char *mime);

#endif
