#include "cmd/coordctl/text/words.h"

#include <string.h>

struct splitter {
    struct arena *arena;
    const char *line;
    size_t at;
    struct words *out;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A backslash takes the next one as it is; between double quotes only the ones that mean
 * something there. */
static bool is_escape(const char *at, char quote)
{
    if (at[0] != '\\' || at[1] == '\0') {
        return false;
    }
    return quote == 0 || (quote == '"' && (at[1] == '"' || at[1] == '\\'));
}

/* From an unquoted character on, to the end of the word. */
static void take_word(struct splitter *s)
{
    const char *line = s->line;
    char *word = arena_alloc(s->arena, strlen(line + s->at) + 1);
    size_t size = 0;
    char quote = 0;
    s->out->last_begin = s->at;
    for (; line[s->at] != '\0'; s->at++) {
        char c = line[s->at];
        if (is_escape(line + s->at, quote)) {
            word[size++] = line[++s->at];
        } else if (quote != 0 && c == quote) {
            quote = 0;
        } else if (quote == 0 && (c == '\'' || c == '"')) {
            quote = c;
        } else if (quote == 0 && (is_blank(c) || c == '|' || c == '>')) {
            break;
        } else {
            word[size++] = c;
        }
    }
    word[size] = '\0';
    s->out->open_quote = quote;
    s->out->at[s->out->count++] = word;
}

enum words_result words_split(struct arena *arena, const char *line, bool keep_last,
                              struct words *out)
{
    struct splitter s = {.arena = arena, .line = line, .out = out};
    *out = (struct words){.count = 0};
    for (;;) {
        while (is_blank(line[s.at])) {
            s.at++;
        }
        if (line[s.at] == '\0' || line[s.at] == '#') {
            break;
        }
        if (line[s.at] == '|' || line[s.at] == '>') {
            out->tail = line + s.at;
            break;
        }
        if (out->count == WORDS_MAX) {
            return WORDS_TOO_MANY;
        }
        take_word(&s);
    }
    if (keep_last && (s.at == 0 || is_blank(line[s.at - 1])) && out->open_quote == 0 &&
        out->count < WORDS_MAX) {
        out->last_begin = s.at;
        out->at[out->count] = arena_alloc(arena, 1);
        out->at[out->count++][0] = '\0';
    }
    out->at[out->count] = NULL;
    return out->open_quote != 0 ? WORDS_OPEN_QUOTE : WORDS_OK;
}

void words_quote(struct buf *out, const char *text, char quote)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (quote == '\'' && *at == '\'') {
            buf_append_str(out, "'\\'"); /* leaves the quotes and comes back */
        } else if (quote == '"' && (*at == '"' || *at == '\\')) {
            buf_append_str(out, "\\");
        } else if (quote == 0 && strchr(" \t\n'\"\\|>#", *at) != NULL) {
            buf_append_str(out, "\\");
        }
        buf_append(out, at, 1);
    }
}
