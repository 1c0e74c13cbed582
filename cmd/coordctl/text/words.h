/* A line that somebody typed, as words: blanks divide, quotes and backslashes keep together, as
 * shells have it. */
#ifndef CMD_COORDCTL_TEXT_WORDS_H
#define CMD_COORDCTL_TEXT_WORDS_H

#include "base/arena.h"
#include "base/buf.h"

#define WORDS_MAX 64

struct words {
    char *at[WORDS_MAX + 1]; /* ends with NULL */
    int count;
    const char *tail; /* what an unquoted | or > begins, in the line; NULL: there is none */
    /* Where the last word begins in the line, the quote that it is within (0: none), and whether
     * it has just begun: for what is to be completed. */
    size_t last_begin;
    char open_quote;
};

enum words_result { WORDS_OK, WORDS_OPEN_QUOTE, WORDS_TOO_MANY };

/* Words live in `arena`. A # where a word would begin ends the line. With an open quote, or with
 * `keep_last` behind a blank, there is a last word all the same, though it may be empty. */
enum words_result words_split(struct arena *arena, const char *line, bool keep_last,
                              struct words *out);

/* Appends what words_split reads as `text` again, behind `quote` that is open already (0: none). */
void words_quote(struct buf *out, const char *text, char quote);

#endif
