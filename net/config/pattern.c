#include "net/config/pattern.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/config/schema.h"

#define LOOPS_MAX        8u
#define LOOP_CHOICES_MAX ((size_t)4096) /* doubled by each loop around them, as the work is */

/* The C library writes every repetition out: a{2,4} becomes aa(a(a)?)?, a+ becomes aa*. And for
 * each place it keeps what can be reached without a letter, which choices make many. So both are
 * counted before it sees a pattern, in the same way, repetitions within repetitions too. */
struct weight {
    size_t letters; /* written out */
    size_t choices; /* of ? * | and what {m,n} leaves open */
    size_t copies;  /* of its most repeated part, by {m,n} */
    unsigned loops; /* * + {m,} within each other */
};

/* A group that is open: what it has so far, and its last part, which a repetition is of. */
struct group {
    struct weight all;
    struct weight last;
};

struct repetition {
    unsigned long copies;
    unsigned long choices;
    bool is_loop;
};

static void group_add(struct group *g, struct weight part)
{
    g->all.letters += g->last.letters;
    g->all.choices += g->last.choices;
    g->all.copies = g->all.copies > g->last.copies ? g->all.copies : g->last.copies;
    g->all.loops = g->all.loops > g->last.loops ? g->all.loops : g->last.loops;
    g->last = part;
}

/* What of "m,n}" is read, from behind the brace; NULL: it does not end. */
static const char *braces(const char *at, struct repetition *r)
{
    char *end;
    unsigned long least = strtoul(at, &end, 10);
    unsigned long most = least;
    if (*end == ',') {
        at = end + 1;
        most = strtoul(at, &end, 10);
        r->is_loop = end == at;
        most = r->is_loop ? least + 1 : most; /* {m,}: m times, and then * */
    }
    most = most < least ? least : most;
    r->copies = most == 0 ? 1 : most;
    r->choices = most - least;
    return *end == '}' ? end + 1 : NULL;
}

static const char *group_repeat(struct group *g, struct repetition r, bool is_braces)
{
    struct weight *w = &g->last;
    size_t copies = is_braces ? r.copies : 1;
    if (copies > SCHEMA_PATTERN_COPIES_MAX || w->copies * copies > SCHEMA_PATTERN_COPIES_MAX) {
        return "repetitions {m,n} multiply to more than 256";
    }
    w->letters *= r.copies;
    w->choices = w->choices * r.copies + r.choices;
    w->copies *= copies;
    w->loops += r.is_loop;
    return NULL;
}

/* Behind "[...]", in which only classes like [:alpha:] may hold a "]"; NULL: it does not end. */
static const char *brackets(const char *at)
{
    at += *at == '^';
    at += *at == ']';
    while (*at != '\0' && *at != ']') {
        char kind = at[0] == '[' ? at[1] : '\0';
        if (kind == ':' || kind == '.' || kind == '=') {
            const char end[] = {kind, ']', '\0'};
            at = strstr(at + 2, end);
            if (at == NULL) {
                return NULL;
            }
            at++;
        }
        at++;
    }
    return *at == ']' ? at + 1 : NULL;
}

static const char *weight_check(const struct group *g)
{
    if (g->all.letters + g->last.letters > SCHEMA_PATTERN_LETTERS_MAX) {
        return "more than 2048 characters with its repetitions written out";
    }
    if (g->all.choices + g->last.choices > SCHEMA_PATTERN_CHOICES_MAX) {
        return "more than 256 choices (?, *, +, |, {0,n}) with its repetitions written out";
    }
    unsigned loops = g->all.loops > g->last.loops ? g->all.loops : g->last.loops;
    if (loops > LOOPS_MAX || (g->all.choices + g->last.choices) << loops > LOOP_CHOICES_MAX) {
        return "loops (*, +, {m,}) within loops are too many";
    }
    return NULL;
}

static const char not_regular[] = "not a POSIX extended regular expression";

/* The next part of a pattern, at `*at`. */
static const char *part(const char **at, struct group *groups, size_t *depth)
{
    static const struct weight one = {.letters = 1, .copies = 1};
    struct group *g = &groups[*depth];
    struct repetition r = {.copies = 1, .choices = 1, .is_loop = **at == '*' || **at == '+'};
    const char letter = *(*at)++;
    switch (letter) {
    case '(': groups[++*depth] = (struct group){.all = one}; return NULL;
    case ')':
        if (*depth == 0) { /* POSIX leaves open what this is */
            return not_regular;
        }
        group_add(g, (struct weight){0});
        group_add(&groups[--*depth], g->all);
        return NULL;
    case '|':
        group_add(g, (struct weight){.letters = 1, .choices = 1, .copies = 1});
        return NULL;
    case '+': r.copies = 2; return group_repeat(g, r, false);
    case '?':
    case '*': return group_repeat(g, r, false);
    case '{':
        *at = braces(*at, &r);
        return *at == NULL ? not_regular : group_repeat(g, r, true);
    case '[':
        *at = brackets(*at);
        group_add(g, one);
        return *at == NULL ? not_regular : NULL;
    case '\\':
        if (**at >= '1' && **at <= '9') {
            return "back-references are not possible";
        }
        *at += **at != '\0';
        group_add(g, one);
        return NULL;
    default: group_add(g, one); return NULL;
    }
}

static const char *pattern_weigh(const char *pattern, struct weight *total)
{
    struct group groups[SCHEMA_PATTERN_BYTES_MAX + 1] = {{.all = {.copies = 1}}};
    size_t depth = 0;
    const char *wrong = NULL;
    if (strlen(pattern) > SCHEMA_PATTERN_BYTES_MAX) {
        return "longer than 256 bytes";
    }
    for (const char *at = pattern; wrong == NULL && *at != '\0';) {
        wrong = part(&at, groups, &depth);
        wrong = wrong == NULL ? weight_check(&groups[depth]) : wrong;
    }
    group_add(&groups[0], (struct weight){0});
    *total = groups[0].all;
    return wrong == NULL && depth > 0 ? not_regular : wrong;
}

/* "Found anywhere" is written into the pattern: one pass over the text. The C library would begin
 * anew at each byte of it. */
static bool compile(regex_t *regex, const char *pattern)
{
    char whole[SCHEMA_PATTERN_BYTES_MAX + 8];
    (void)snprintf(whole, sizeof whole, "^.*(%s)", pattern);
    return regcomp(regex, pattern[0] == '\0' ? pattern : whole, REG_EXTENDED | REG_NOSUB) == 0;
}

/* In steps of about 0.1 us. */
static unsigned compile_cost(const struct weight *w)
{
    return (unsigned)(100 + w->letters * 2 + w->choices * w->choices / 8 +
                      (w->choices << w->loops));
}

/* At worst each byte leads to a state that was not met before, and a state takes microseconds; but
 * a short pattern has few. */
static unsigned match_cost(const struct weight *w, size_t bytes)
{
    size_t states =
        w->letters >= 12 || bytes < (size_t)1 << w->letters ? bytes : (size_t)1 << w->letters;
    return (unsigned)(bytes / 32 + states * (30 + w->letters / 7));
}

const char *pattern_check(const char *pattern, unsigned *cost)
{
    struct weight total;
    regex_t regex;
    const char *wrong = pattern_weigh(pattern, &total);
    *cost = 10;
    if (wrong != NULL) {
        return wrong;
    }
    *cost = compile_cost(&total);
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0) {
        return not_regular;
    }
    regfree(&regex);
    return NULL;
}

const char *pattern_cost(const char *pattern, size_t bytes, unsigned *cost)
{
    struct weight total;
    const char *wrong = pattern_weigh(pattern, &total);
    *cost = wrong != NULL ? 10 : compile_cost(&total) + match_cost(&total, bytes);
    if (wrong == NULL && bytes * (150 + total.letters) > SCHEMA_MATCHED_BYTES_MAX * 256) {
        return "so long a text is not matched with so large a pattern";
    }
    return wrong;
}

bool pattern_matches(const char *pattern, const char *text)
{
    regex_t regex;
    if (!compile(&regex, pattern)) {
        return false;
    }
    bool matches = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return matches;
}
