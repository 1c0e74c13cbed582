/* What somebody may have meant who typed something else. */
#ifndef CMD_COORDCTL_TEXT_SIMILAR_H
#define CMD_COORDCTL_TEXT_SIMILAR_H

#include <stddef.h>

#define SIMILAR_BYTES_MAX 64

/* The best of what was offered so far. */
struct similar {
    const char *typed;
    size_t distance; /* of the best */
    char best[SIMILAR_BYTES_MAX];
};

void similar_begin(struct similar *s, const char *typed);
void similar_offer(struct similar *s, const char *word);
/* Writes ", did you mean WORD?" if one is near enough, else "". Returns `text`. */
const char *similar_text(const struct similar *s, char text[SIMILAR_BYTES_MAX + 32]);

/* How many letters are to be added, left out, replaced, or swapped with their neighbour. */
size_t similar_distance(const char *a, const char *b);

#endif
