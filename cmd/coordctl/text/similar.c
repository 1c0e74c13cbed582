#include "cmd/coordctl/text/similar.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t similar_distance(const char *a, const char *b)
{
    /* Three rows of the usual table: this one, the one before, and that before it. */
    size_t rows[3][SIMILAR_BYTES_MAX + 1];
    size_t a_size = strlen(a);
    size_t b_size = strlen(b);
    if (a_size > SIMILAR_BYTES_MAX || b_size > SIMILAR_BYTES_MAX) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= b_size; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a_size; i++) {
        size_t *row = rows[i % 3];
        const size_t *before = rows[(i - 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            row[j] = least(least(before[j], row[j - 1]) + 1,
                           before[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = least(row[j], rows[(i - 2) % 3][j - 2] + 1);
            }
        }
    }
    return rows[a_size % 3][b_size];
}

void similar_begin(struct similar *s, const char *typed)
{
    *s = (struct similar){.typed = typed, .distance = SIZE_MAX};
}

void similar_offer(struct similar *s, const char *word)
{
    size_t distance = similar_distance(s->typed, word);
    if (distance < s->distance && strlen(word) < sizeof s->best) {
        s->distance = distance;
        memcpy(s->best, word, strlen(word) + 1);
    }
}

const char *similar_text(const struct similar *s, char text[SIMILAR_BYTES_MAX + 32])
{
    /* About a quarter of the letters may differ: beyond that it is a guess that helps nobody. */
    size_t size = strlen(s->typed);
    bool is_near = s->distance <= 1 + size / 4 && s->distance < size;
    text[0] = '\0';
    if (is_near) {
        snprintf(text, SIMILAR_BYTES_MAX + 32, ", did you mean %s?", s->best);
    }
    return text;
}
