#include "net/http/request.h"

#define CONTENT_BYTES_MAX (UINT64_MAX / 16)

/* ---- characters -------------------------------------------------------------------------- */

static bool is_token_char(uint8_t c)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr(others, c) != NULL);
}

static bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.size; i++) {
        if (!is_token_char(s.data[i])) {
            return false;
        }
    }
    return s.size > 0;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

static bool is_word(struct slice s, const char *word)
{
    if (s.size != strlen(word)) {
        return false;
    }
    for (size_t i = 0; i < s.size; i++) {
        if (lower(s.data[i]) != (uint8_t)word[i]) {
            return false;
        }
    }
    return true;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct slice trim(struct slice s)
{
    while (s.size > 0 && is_blank(s.data[0])) {
        s = slice_make(s.data + 1, s.size - 1);
    }
    while (s.size > 0 && is_blank(s.data[s.size - 1])) {
        s.size--;
    }
    return s;
}

/* Takes what is before `c`, and `c`; all of it if there is none. */
static struct slice take_until(struct slice *rest, uint8_t c)
{
    const uint8_t *at = rest->size > 0 ? memchr(rest->data, c, rest->size) : NULL;
    size_t size = at != NULL ? (size_t)(at - rest->data) : rest->size;
    struct slice piece = slice_make(rest->data, size);
    size_t skip = at != NULL ? size + 1 : size;
    *rest = slice_make(rest->data + skip, rest->size - skip);
    return piece;
}

/* ---- the request line -------------------------------------------------------------------- */

static int parse_method(struct slice s, enum http_method *out)
{
    static const char *const names[] = {
        [HTTP_GET] = "GET",     [HTTP_HEAD] = "HEAD",   [HTTP_OPTIONS] = "OPTIONS",
        [HTTP_POST] = "POST",   [HTTP_PUT] = "PUT",     [HTTP_DELETE] = "DELETE",
        [HTTP_PATCH] = "PATCH", [HTTP_TRACE] = "TRACE", [HTTP_CONNECT] = "CONNECT",
    };
    if (!is_token(s)) {
        return 400;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (slice_is(s, names[i])) {
            *out = (enum http_method)i;
            return 0;
        }
    }
    return 501;
}

/* Origin form, absolute form (RFC 9112 section 3.2.2 demands it of servers), `*`, authority. */
static int parse_target(struct slice s, struct http_request *out)
{
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] <= ' ' || s.data[i] >= 0x7f || s.data[i] == '#') {
            return 400;
        }
    }
    if (s.size == 0) {
        return 400;
    }
    if (out->method == HTTP_CONNECT || slice_is(s, "*")) {
        out->path = s;
        return out->method == HTTP_CONNECT || out->method == HTTP_OPTIONS ? 0 : 400;
    }
    if (s.size > 7 && is_word(slice_make(s.data, 7), "http://")) {
        s = slice_make(s.data + 7, s.size - 7);
        const uint8_t *slash = memchr(s.data, '/', s.size);
        s = slash != NULL ? slice_make(slash, s.size - (size_t)(slash - s.data))
                          : slice_str("/");
    }
    if (s.data[0] != '/') {
        return 400;
    }
    out->path = take_until(&s, '?');
    out->query = s;
    return 0;
}

static int parse_version(struct slice s, struct http_request *out)
{
    if (slice_is(s, "HTTP/1.1") || slice_is(s, "HTTP/1.0")) {
        out->is_1_0 = s.data[7] == '0';
        return 0;
    }
    bool is_other = s.size == 8 && memcmp(s.data, "HTTP/", 5) == 0 && s.data[5] >= '0' &&
                    s.data[5] <= '9' && s.data[6] == '.' && s.data[7] >= '0' &&
                    s.data[7] <= '9';
    return is_other ? 505 : 400;
}

static int parse_request_line(struct slice line, struct http_request *out)
{
    struct slice method = take_until(&line, ' ');
    struct slice target = take_until(&line, ' ');
    int code = parse_method(method, &out->method);
    int target_code = parse_target(target, out);
    int version_code = parse_version(line, out);
    /* A line that is no request line at all is that first of all. */
    if (code == 400 || version_code == 400) {
        return 400;
    }
    if (version_code != 0) {
        return version_code;
    }
    return code != 0 ? code : target_code;
}

/* ---- header fields ----------------------------------------------------------------------- */

/* What must not be said twice, or not together. */
struct head_facts {
    int hosts;
    bool has_length;
    bool has_coding;
    bool has_other_expectation;
    bool says_close;
    bool says_keep_alive;
};

static int parse_length(struct slice value, struct http_request *out, struct head_facts *facts)
{
    uint64_t length = 0;
    if (value.size == 0) {
        return 400;
    }
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return 400;
        }
        if (length < CONTENT_BYTES_MAX) { /* beyond, it is too large whatever follows */
            length = length * 10 + (uint64_t)(value.data[i] - '0');
        }
    }
    if (facts->has_length && length != out->content_bytes) {
        return 400;
    }
    facts->has_length = true;
    out->content_bytes = length;
    return 0;
}

static void parse_connection(struct slice value, struct head_facts *facts)
{
    while (value.size > 0) {
        struct slice option = trim(take_until(&value, ','));
        facts->says_close = facts->says_close || is_word(option, "close");
        facts->says_keep_alive = facts->says_keep_alive || is_word(option, "keep-alive");
    }
}

static int parse_field(struct slice line, struct http_request *out, struct head_facts *facts)
{
    struct slice value = line;
    struct slice name = take_until(&value, ':');
    if (name.size == line.size || !is_token(name)) {
        return 400; /* no colon, a blank before it, or a folded line */
    }
    value = trim(value);
    for (size_t i = 0; i < value.size; i++) {
        if ((value.data[i] < ' ' && value.data[i] != '\t') || value.data[i] == 0x7f) {
            return 400;
        }
    }
    if (is_word(name, "host")) {
        facts->hosts++;
    } else if (is_word(name, "content-length")) {
        return parse_length(value, out, facts);
    } else if (is_word(name, "transfer-encoding")) {
        facts->has_coding = true;
    } else if (is_word(name, "connection")) {
        parse_connection(value, facts);
    } else if (is_word(name, "expect")) {
        out->expects_continue = is_word(value, "100-continue");
        facts->has_other_expectation = !out->expects_continue;
    }
    return 0;
}

/* What only shows when all fields are known. */
static int check_facts(const struct head_facts *facts, const struct http_request *r)
{
    if (facts->hosts > 1 || (facts->hosts == 0 && !r->is_1_0)) {
        return 400;
    }
    if (facts->has_coding) {
        return facts->has_length || r->is_1_0 ? 400 : 501;
    }
    return facts->has_other_expectation ? 417 : 0;
}

/* ---- the head ---------------------------------------------------------------------------- */

size_t http_head_bytes(struct slice bytes, size_t seen)
{
    size_t at = seen > 3 ? seen - 3 : 0;
    while (at + 4 <= bytes.size) {
        const uint8_t *cr = memchr(bytes.data + at, '\r', bytes.size - at - 3);
        if (cr == NULL) {
            return 0;
        }
        if (memcmp(cr, "\r\n\r\n", 4) == 0) {
            return (size_t)(cr - bytes.data) + 4;
        }
        at = (size_t)(cr - bytes.data) + 1;
    }
    return 0;
}

/* Takes a line and its CR LF, which must be the only ones in it. */
static bool take_line(struct slice *rest, struct slice *line)
{
    *line = take_until(rest, '\n');
    if (line->size == 0 || line->data[line->size - 1] != '\r') {
        return false;
    }
    line->size--;
    return line->size == 0 || memchr(line->data, '\r', line->size) == NULL;
}

int http_request_parse(struct slice head, struct http_request *out)
{
    struct head_facts facts = {0};
    struct slice line;
    *out = (struct http_request){0};
    if (!take_line(&head, &line)) {
        return 400;
    }
    int code = parse_request_line(line, out);
    for (int fields = 0; code == 0; fields++) {
        if (!take_line(&head, &line)) {
            return 400;
        }
        if (line.size == 0) {
            code = check_facts(&facts, out);
            break;
        }
        code = fields == HTTP_HEADERS_MAX ? 431 : parse_field(line, out, &facts);
    }
    out->keep_alive = !facts.says_close && (facts.says_keep_alive || !out->is_1_0);
    return code;
}

const char *http_reason(int code)
{
    switch (code) {
    case 200: return "OK";
    case 204: return "No Content";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 417: return "Expectation Failed";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "";
    }
}
