#include "net/audit/line_json.h"

#include "base/utf8.h"

void line_put_name(struct buf *out, const char *text)
{
    line_put(out, text, strlen(text));
}

void line_put_u64(struct buf *out, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    line_put(out, digits + at, sizeof digits - at);
}

static void put_hex(struct buf *out, uint64_t number)
{
    static const char hex[] = "0123456789abcdef";
    char digits[16];
    for (size_t i = 0; i < sizeof digits; i++) {
        digits[i] = hex[number >> (60 - 4 * i) & 15];
    }
    line_put(out, digits, sizeof digits);
}

/* Eight bytes at once: whether none is below 0x20, a quote, a backslash, or above 0x7e. A byte is
 * zero where subtracting 1 borrows from a bit that it does not have. */
static bool is_plain_word(const uint8_t *p)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t high = UINT64_C(0x8080808080808080);
    uint64_t v;
    memcpy(&v, p, sizeof v);
    uint64_t quotes = v ^ ones * '"';
    uint64_t slashes = v ^ ones * '\\';
    uint64_t low = (v - ones * 0x20) & ~v;
    uint64_t found =
        low | ((quotes - ones) & ~quotes) | ((slashes - ones) & ~slashes) | v | (v + ones);
    return (found & high) == 0;
}

/* How many bytes at `p` stand for themselves in a JSON string. */
static size_t plain_bytes(const uint8_t *p, size_t left)
{
    size_t i = 0;
    while (i + 8 <= left && is_plain_word(p + i)) {
        i += 8;
    }
    while (i < left && p[i] >= 0x20 && p[i] != '"' && p[i] != '\\' && p[i] < 0x7f) {
        i++;
    }
    return i;
}

/* What does not: escaped, a whole character of UTF-8, or U+FFFD for a byte that is part of none.
 * Returns the bytes taken. */
static size_t put_odd(struct buf *out, const uint8_t *p, size_t left)
{
    static const char hex[] = "0123456789abcdef";
    size_t length = utf8_length(p, left);
    if (length == 0) {
        LINE_PUT(out, "\\ufffd");
        return 1;
    }
    if (*p == '"' || *p == '\\') {
        line_put(out, (char[]){'\\', (char)*p}, 2);
    } else if (length == 1) {
        line_put(out, (char[]){'\\', 'u', '0', '0', hex[*p >> 4], hex[*p & 15]}, 6);
    } else {
        line_put(out, p, length);
    }
    return length;
}

void line_put_text(struct buf *out, struct slice text, size_t max)
{
    size_t begin = out->size;
    for (size_t i = 0; i < text.size;) {
        size_t used = out->size - begin;
        if (used + 6 > max) {
            LINE_PUT(out, "...");
            return;
        }
        size_t plain = plain_bytes(text.data + i, text.size - i);
        size_t room = max - used;
        plain = plain < room ? plain : room;
        if (plain > 0) {
            line_put(out, text.data + i, plain);
            i += plain;
        } else {
            i += put_odd(out, text.data + i, text.size - i);
        }
    }
}

void line_put_quoted(struct buf *out, struct slice text, size_t max)
{
    LINE_PUT(out, "\"");
    line_put_text(out, text, max);
    LINE_PUT(out, "\"");
}

void line_put_id(struct buf *out, uint64_t number)
{
    LINE_PUT(out, "\"");
    put_hex(out, number);
    LINE_PUT(out, "\"");
}
