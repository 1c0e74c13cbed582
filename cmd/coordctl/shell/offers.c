#include "cmd/coordctl/shell/offers.h"

#include <string.h>

#define SHOWN_MAX 200

static const char *keep(struct offers *o, const char *text)
{
    return (const char *)arena_copy(&o->arena, slice_make(text, strlen(text) + 1)).data;
}

void offers_add(struct offers *o, const char *word, const char *what)
{
    if (o->count < OFFERS_MAX) {
        o->at[o->count++] = (struct offer){.word = keep(o, word), .what = keep(o, what)};
    }
}

void offers_close(struct offers *o)
{
    arena_close(&o->arena);
    o->count = 0;
}

size_t offers_common(const struct offers *o)
{
    if (o->count == 0) {
        return 0;
    }
    const char *first = o->at[0].word;
    size_t common = strlen(first);
    for (size_t i = 1; i < o->count; i++) {
        size_t same = 0;
        while (same < common && first[same] == o->at[i].word[same]) {
            same++;
        }
        common = same;
    }
    while (common > 0 && ((unsigned char)first[common] & 0xc0) == 0x80) {
        common--;
    }
    return common;
}

/* Behind the last slash that does not end it. */
static const char *last_part(const char *word)
{
    const char *part = word;
    for (const char *at = word; *at != '\0'; at++) {
        if (*at == '/' && at[1] != '\0') {
            part = at + 1;
        }
    }
    return part;
}

static size_t characters(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++) {
        count += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return count;
}

static void print_padded(FILE *out, const char *text, size_t width)
{
    size_t shown = characters(text);
    fprintf(out, "%s%*s", text, shown < width ? (int)(width - shown) : 0, "");
}

void offers_print(const struct offers *o, FILE *out, size_t width)
{
    size_t count = o->count < SHOWN_MAX ? o->count : SHOWN_MAX;
    size_t widest = 0;
    bool has_texts = false;
    for (size_t i = 0; i < count; i++) {
        size_t size = characters(last_part(o->at[i].word));
        widest = size > widest ? size : widest;
        has_texts = has_texts || o->at[i].what[0] != '\0';
    }
    size_t columns = has_texts || width < widest + 2 ? 1 : width / (widest + 2);
    size_t rows = (count + columns - 1) / columns;
    for (size_t row = 0; row < rows; row++) {
        for (size_t i = row; i < count; i += rows) {
            const char *what = o->at[i].what;
            bool is_last = i + rows >= count && what[0] == '\0';
            print_padded(out, last_part(o->at[i].word), is_last ? 0 : widest + 2);
            fputs(what, out);
        }
        fputs("\n", out);
    }
    if (o->count > count) {
        fprintf(out, "... and %zu more\n", o->count - count);
    }
}
