/* The longest common subsequence of lines, by the textbook's table, after what is equal at both
 * ends was taken off. */
#include "cmd/coordctl/text/diff_lines.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"

#define CONTEXT_LINES 3
#define TABLE_MAX     ((size_t)16 << 20) /* cells; beyond it everything in between is replaced */

struct lines {
    struct slice *line;
    size_t count;
};

/* One line of the output: of `before` ('-'), `after` ('+') or both (' '). */
struct edit {
    char sign;
    struct slice line;
};

struct script {
    struct edit *edits;
    size_t count;
};

static struct lines split(struct slice text)
{
    struct lines l = {.count = 0};
    size_t count = 1;
    for (size_t i = 0; i < text.size; i++) {
        count += text.data[i] == '\n';
    }
    l.line = mem_alloc(count * sizeof *l.line);
    for (size_t at = 0; at < text.size;) {
        const uint8_t *end = memchr(text.data + at, '\n', text.size - at);
        size_t size = end != NULL ? (size_t)(end - text.data) - at : text.size - at;
        l.line[l.count++] = slice_make(text.data + at, size);
        at += size + 1;
    }
    return l;
}

static bool same(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static void emit(struct script *s, char sign, struct slice line)
{
    s->edits[s->count++] = (struct edit){.sign = sign, .line = line};
}

/* The part that differs: `a` of n lines against `b` of m. */
static void compare(struct script *s, const struct slice *a, size_t n, const struct slice *b,
                    size_t m)
{
    bool is_small = (n + 1) <= TABLE_MAX / (m + 1);
    /* common[i * (m + 1) + j]: lines that a[i..] and b[j..] have in common */
    uint32_t *common = is_small ? mem_zalloc((n + 1) * (m + 1) * sizeof *common) : NULL;
    for (size_t i = n; is_small && i-- > 0;) {
        for (size_t j = m; j-- > 0;) {
            uint32_t down = common[(i + 1) * (m + 1) + j];
            uint32_t right = common[i * (m + 1) + j + 1];
            common[i * (m + 1) + j] = same(a[i], b[j]) ? common[(i + 1) * (m + 1) + j + 1] + 1
                                                       : (down > right ? down : right);
        }
    }
    size_t i = 0;
    size_t j = 0;
    while (i < n || j < m) {
        if (is_small && i < n && j < m && same(a[i], b[j])) {
            emit(s, ' ', a[i]);
            i++;
            j++;
        } else if (i < n && (j == m || !is_small ||
                             common[(i + 1) * (m + 1) + j] >= common[i * (m + 1) + j + 1])) {
            emit(s, '-', a[i++]);
        } else {
            emit(s, '+', b[j++]);
        }
    }
    mem_free(common);
}

/* ---- hunks ------------------------------------------------------------------------------ */

/* The end of the hunk that begins at `begin`: behind its last change and the lines around
 * it. */
static size_t hunk_end(const struct script *s, size_t begin)
{
    size_t last = begin;
    for (size_t i = begin; i < s->count && i <= last + 2 * CONTEXT_LINES; i++) {
        last = s->edits[i].sign != ' ' ? i : last;
    }
    size_t end = last + CONTEXT_LINES + 1;
    return end < s->count ? end : s->count;
}

static void append_hunk(struct buf *out, const struct script *s, size_t begin, size_t end,
                        size_t before, size_t after)
{
    size_t old_count = 0;
    size_t new_count = 0;
    for (size_t i = begin; i < end; i++) {
        old_count += s->edits[i].sign != '+';
        new_count += s->edits[i].sign != '-';
    }
    buf_printf(out, "@@ -%zu,%zu +%zu,%zu @@\n", before + (old_count > 0), old_count,
               after + (new_count > 0), new_count);
    for (size_t i = begin; i < end; i++) {
        buf_append(out, &s->edits[i].sign, 1);
        buf_append_slice(out, s->edits[i].line);
        buf_append_str(out, "\n");
    }
}

static void append_hunks(struct buf *out, const struct script *s)
{
    size_t shown = 0; /* edits that have been dealt with */
    size_t before = 0;
    size_t after = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (s->edits[i].sign == ' ') {
            continue;
        }
        size_t begin = i - shown > CONTEXT_LINES ? i - CONTEXT_LINES : shown;
        size_t end = hunk_end(s, i);
        for (; shown < begin; shown++) {
            before++;
            after++;
        }
        append_hunk(out, s, begin, end, before, after);
        for (; shown < end; shown++) {
            before += s->edits[shown].sign != '+';
            after += s->edits[shown].sign != '-';
        }
        i = end - 1;
    }
}

void diff_lines(struct buf *out, struct slice before, struct slice after)
{
    struct lines a = split(before);
    struct lines b = split(after);
    struct script s = {.edits = mem_alloc((a.count + b.count + 1) * sizeof(struct edit))};
    size_t head = 0;
    size_t tail = 0;
    while (head < a.count && head < b.count && same(a.line[head], b.line[head])) {
        emit(&s, ' ', a.line[head++]);
    }
    while (tail < a.count - head && tail < b.count - head &&
           same(a.line[a.count - 1 - tail], b.line[b.count - 1 - tail])) {
        tail++;
    }
    compare(&s, a.line + head, a.count - head - tail, b.line + head, b.count - head - tail);
    for (size_t i = a.count - tail; i < a.count; i++) {
        emit(&s, ' ', a.line[i]);
    }
    append_hunks(out, &s);
    mem_free(s.edits);
    mem_free(a.line);
    mem_free(b.line);
}
