/* What a word may become: candidates, what they have in common, and how they are shown. */
#ifndef CMD_COORDCTL_SHELL_OFFERS_H
#define CMD_COORDCTL_SHELL_OFFERS_H

#include <stdio.h>

#include "base/arena.h"

#define OFFERS_MAX 1000

struct offer {
    const char *word;
    const char *what; /* may be empty */
};

/* Zero-initialised is empty. */
struct offers {
    struct arena arena;
    struct offer at[OFFERS_MAX];
    size_t count;
    size_t typed_bytes; /* of the word as it was typed, quotes resolved */
};

/* Copies both. What is beyond OFFERS_MAX is left out. */
void offers_add(struct offers *o, const char *word, const char *what);
void offers_close(struct offers *o);

/* How many bytes all of them begin with, at a border of UTF-8 characters. */
size_t offers_common(const struct offers *o);
/* In columns as wide as the terminal, or with what they mean one on a line. Of paths the last part
 * only. */
void offers_print(const struct offers *o, FILE *out, size_t width);

#endif
