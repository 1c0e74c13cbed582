#include "recipes/instance.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/utf8.h"

/* ---- checks ------------------------------------------------------------------------------- */

static enum status refuse(struct errmsg *err, const char *field, struct slice value,
                          const char *what)
{
    int bytes = value.size < 64 ? (int)value.size : 64;
    return errmsg_set(err, RC_INVALID, "%s: \"%.*s\" %s", field, bytes,
                      (const char *)value.data, what);
}

static bool is_small(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_word_byte(uint8_t c)
{
    return is_small(c) || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-';
}

enum status service_name_check(struct slice name, struct errmsg *err)
{
    bool ok = name.size > 0 && name.size <= SERVICE_NAME_BYTES_MAX && is_small(name.data[0]) &&
              is_small(name.data[name.size - 1]);
    for (size_t i = 0; ok && i < name.size; i++) {
        ok = is_small(name.data[i]) || name.data[i] == '-';
    }
    return ok ? RC_OK
              : refuse(err, "service", name,
                       "is no name: 1 to 63 of a-z, 0-9 and '-', which may not begin or end it");
}

enum status instance_id_check(struct slice id, struct errmsg *err)
{
    bool ok = id.size > 0 && id.size <= INSTANCE_ID_BYTES_MAX && !slice_is(id, ".") &&
              !slice_is(id, "..");
    for (size_t i = 0; ok && i < id.size; i++) {
        ok = is_word_byte(id.data[i]) || id.data[i] == ':';
    }
    return ok ? RC_OK
              : refuse(err, "id", id, "is none: 1 to 128 letters, digits and any of . _ : -");
}

static bool word_is_valid(struct slice word)
{
    bool ok = word.size > 0 && word.size <= INSTANCE_WORD_BYTES_MAX;
    for (size_t i = 0; ok && i < word.size; i++) {
        ok = is_word_byte(word.data[i]);
    }
    return ok;
}

/* UTF-8 on one line. */
static bool text_is_valid(struct slice text, size_t bytes_max)
{
    bool ok = text.size <= bytes_max && utf8_is_valid(text);
    for (size_t i = 0; ok && i < text.size; i++) {
        ok = text.data[i] >= 0x20 && text.data[i] != 0x7f;
    }
    return ok;
}

static bool address_is_valid(struct slice address)
{
    bool ok = address.size > 0 && address.size <= INSTANCE_ADDRESS_BYTES_MAX;
    for (size_t i = 0; ok && i < address.size; i++) {
        ok = is_word_byte(address.data[i]) || address.data[i] == ':';
    }
    return ok;
}

static const char word_rule[] = "is no word: 1 to 63 letters, digits and any of . _ -";

static enum status tags_check(const struct service_instance *in, struct errmsg *err)
{
    if (in->tag_count > INSTANCE_TAGS_MAX) {
        return errmsg_set(err, RC_INVALID, "tags: %" PRIu32 ", at most %d", in->tag_count,
                          INSTANCE_TAGS_MAX);
    }
    for (uint32_t i = 0; i < in->tag_count; i++) {
        if (!word_is_valid(in->tags[i])) {
            return refuse(err, "tags", in->tags[i], word_rule);
        }
        if (i > 0 && slice_compare(in->tags[i - 1], in->tags[i]) >= 0) {
            return refuse(err, "tags", in->tags[i], "is there twice");
        }
    }
    return RC_OK;
}

static enum status meta_check(const struct service_instance *in, struct errmsg *err)
{
    if (in->meta_count > INSTANCE_META_MAX) {
        return errmsg_set(err, RC_INVALID, "metadata: %" PRIu32 ", at most %d", in->meta_count,
                          INSTANCE_META_MAX);
    }
    for (uint32_t i = 0; i < in->meta_count; i++) {
        const struct instance_meta *m = &in->meta[i];
        if (!word_is_valid(m->name)) {
            return refuse(err, "metadata", m->name, word_rule);
        }
        if (!text_is_valid(m->value, INSTANCE_META_BYTES_MAX)) {
            return refuse(err, "metadata", m->name,
                          "has a value that is not one line of UTF-8 of at most 1024 bytes");
        }
        if (i > 0 && slice_compare(in->meta[i - 1].name, m->name) >= 0) {
            return refuse(err, "metadata", m->name, "is there twice");
        }
    }
    return RC_OK;
}

static enum status time_check(const char *name, uint32_t ms, struct errmsg *err)
{
    return ms >= CHECK_EVERY_MS_MIN && ms <= CHECK_EVERY_MS_MAX
               ? RC_OK
               : errmsg_set(err, RC_INVALID, "check.%s: %" PRIu32 ", from 100 to 3600000",
                            name, ms);
}

static enum status check_check(const struct instance_check *c, struct errmsg *err)
{
    if (c->type == CHECK_NONE) {
        return (c->every_ms | c->timeout_ms | c->slow_ms) == 0 && c->path.size == 0
                   ? RC_OK
                   : errmsg_set(err, RC_INVALID, "check.type: is missing");
    }
    bool has_path = c->path.size > 0 && c->path.data[0] == '/' &&
                    text_is_valid(c->path, CHECK_PATH_BYTES_MAX) &&
                    memchr(c->path.data, ' ', c->path.size) == NULL;
    if (c->type > CHECK_HEARTBEAT || has_path != (c->type == CHECK_HTTP) ||
        (c->type != CHECK_HTTP && c->path.size > 0)) {
        return refuse(err, "check.path", c->path,
                      "is no path: of an HTTP check one that begins with /, of others none");
    }
    enum status rc = time_check("interval_ms", c->every_ms, err);
    rc = rc == RC_OK ? time_check("timeout_ms", c->timeout_ms, err) : rc;
    return rc == RC_OK ? time_check("slow_ms", c->slow_ms, err) : rc;
}

static enum status health_check(const struct service_instance *in, struct errmsg *err)
{
    bool ok = in->health <= HEALTH_DOWN &&
              (in->health == HEALTH_PASSING) == (in->health_since_ms == 0);
    return ok ? RC_OK : errmsg_set(err, RC_INVALID, "health: %u is none", in->health);
}

enum status instance_validate(const struct service_instance *in, struct errmsg *err)
{
    if (!address_is_valid(in->address)) {
        return refuse(err, "address", in->address, "is neither an IP address nor a host name");
    }
    if (in->port == 0) {
        return errmsg_set(err, RC_INVALID, "port: 0, from 1 to 65535 is possible");
    }
    if (in->weight > INSTANCE_WEIGHT_MAX) {
        return errmsg_set(err, RC_INVALID, "weight: %" PRIu32 ", at most %" PRIu32, in->weight,
                          INSTANCE_WEIGHT_MAX);
    }
    if (in->zone.size > 0 && !word_is_valid(in->zone)) {
        return refuse(err, "zone", in->zone, word_rule);
    }
    enum status rc = tags_check(in, err);
    rc = rc == RC_OK ? meta_check(in, err) : rc;
    rc = rc == RC_OK ? check_check(&in->check, err) : rc;
    return rc == RC_OK ? health_check(in, err) : rc;
}

static int tag_order(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

void instance_sort_tags(struct slice *tags, size_t count)
{
    if (count > 0) {
        qsort(tags, count, sizeof *tags, tag_order);
    }
}

static int meta_order(const void *a, const void *b)
{
    return slice_compare(((const struct instance_meta *)a)->name,
                   ((const struct instance_meta *)b)->name);
}

void instance_sort_meta(struct instance_meta *meta, size_t count)
{
    if (count > 0) {
        qsort(meta, count, sizeof *meta, meta_order);
    }
}

bool instance_has_tag(const struct service_instance *in, struct slice tag)
{
    for (uint32_t i = 0; i < in->tag_count; i++) {
        if (slice_equal(in->tags[i], tag)) {
            return true;
        }
    }
    return false;
}

/* ---- words -------------------------------------------------------------------------------- */

static const char *const check_names[] = {"none", "tcp", "http", "heartbeat"};
static const char *const health_names[] = {"passing", "slow", "unstable", "suspected_down",
                                           "down"};

const char *instance_health_name(uint8_t health)
{
    return health <= HEALTH_DOWN ? health_names[health] : "unknown";
}

/* ---- encode ------------------------------------------------------------------------------- */

static void put_text(struct buf *b, const char *name, struct slice value)
{
    if (value.size > 0) {
        buf_append_str(b, name);
        buf_append_slice(b, value);
        buf_append_str(b, "\n");
    }
}

static void put_number(struct buf *b, const char *name, uint64_t value)
{
    buf_printf(b, "%s%" PRIu64 "\n", name, value);
}

void instance_encode(struct buf *b, const struct service_instance *in)
{
    put_text(b, "address=", in->address);
    put_number(b, "port=", in->port);
    put_number(b, "weight=", in->weight);
    put_text(b, "zone=", in->zone);
    for (uint32_t i = 0; i < in->tag_count; i++) {
        put_text(b, "tag=", in->tags[i]);
    }
    for (uint32_t i = 0; i < in->meta_count; i++) {
        buf_append_str(b, "meta.");
        buf_append_slice(b, in->meta[i].name);
        buf_append_str(b, "=");
        buf_append_slice(b, in->meta[i].value);
        buf_append_str(b, "\n");
    }
    if (in->check.type != CHECK_NONE) {
        put_text(b, "check=", slice_str(check_names[in->check.type]));
        put_text(b, "check_path=", in->check.path);
        put_number(b, "check_interval_ms=", in->check.every_ms);
        put_number(b, "check_timeout_ms=", in->check.timeout_ms);
        put_number(b, "check_slow_ms=", in->check.slow_ms);
    }
    if (in->draining) {
        buf_append_str(b, "draining=yes\n");
    }
    if (in->health != HEALTH_PASSING) {
        put_text(b, "health=", slice_str(health_names[in->health]));
        put_number(b, "health_since_ms=", in->health_since_ms);
    }
}

/* ---- decode ------------------------------------------------------------------------------- */

/* Lines that are left, and whether all were in order. */
struct reader {
    struct slice rest;
    bool failed;
};

/* The value of the next line if it begins with `name`; else the line stays. */
static bool take(struct reader *r, const char *name, struct slice *value)
{
    size_t bytes = strlen(name);
    const uint8_t *end = r->rest.size > 0 ? memchr(r->rest.data, '\n', r->rest.size) : NULL;
    if (end == NULL || r->rest.size < bytes || memcmp(r->rest.data, name, bytes) != 0) {
        return false;
    }
    size_t line = (size_t)(end - r->rest.data);
    if (line < bytes) {
        return false;
    }
    *value = slice_make(r->rest.data + bytes, line - bytes);
    r->rest = slice_make(end + 1, r->rest.size - line - 1);
    return true;
}

static uint64_t take_number(struct reader *r, const char *name, uint64_t max)
{
    struct slice text;
    uint64_t number = 0;
    bool ok = take(r, name, &text) && slice_number(text, &number) && number <= max;
    r->failed = r->failed || !ok;
    return ok ? number : 0;
}

static void take_tags(struct reader *r, struct service_instance *in, struct arena *arena)
{
    struct slice tag;
    struct slice *tags = arena_alloc(arena, INSTANCE_TAGS_MAX * sizeof *tags);
    while (in->tag_count < INSTANCE_TAGS_MAX && take(r, "tag=", &tag)) {
        tags[in->tag_count++] = tag;
    }
    in->tags = tags;
}

static void take_meta(struct reader *r, struct service_instance *in, struct arena *arena)
{
    struct slice line;
    struct instance_meta *meta = arena_alloc(arena, INSTANCE_META_MAX * sizeof *meta);
    while (in->meta_count < INSTANCE_META_MAX && take(r, "meta.", &line)) {
        const uint8_t *sign = line.size > 0 ? memchr(line.data, '=', line.size) : NULL;
        if (sign == NULL) {
            r->failed = true;
            return;
        }
        size_t name = (size_t)(sign - line.data);
        meta[in->meta_count++] = (struct instance_meta){
            .name = slice_make(line.data, name),
            .value = slice_make(sign + 1, line.size - name - 1),
        };
    }
    in->meta = meta;
}

static bool take_text(struct reader *r, const char *name, struct slice *out)
{
    bool found = take(r, name, out);
    r->failed = r->failed || (found && out->size == 0);
    return found;
}

/* The number of one of the words, but for the first, which is not written. */
static uint8_t take_word(struct reader *r, const char *name, const char *const *words,
                         uint8_t last)
{
    struct slice word;
    if (!take(r, name, &word)) {
        return 0;
    }
    for (uint8_t i = 1; i <= last; i++) {
        if (slice_is(word, words[i])) {
            return i;
        }
    }
    r->failed = true;
    return 0;
}

static void take_check(struct reader *r, struct instance_check *c)
{
    c->type = take_word(r, "check=", check_names, CHECK_HEARTBEAT);
    if (c->type != CHECK_NONE) {
        (void)take_text(r, "check_path=", &c->path);
        c->every_ms = (uint32_t)take_number(r, "check_interval_ms=", CHECK_EVERY_MS_MAX);
        c->timeout_ms = (uint32_t)take_number(r, "check_timeout_ms=", CHECK_EVERY_MS_MAX);
        c->slow_ms = (uint32_t)take_number(r, "check_slow_ms=", CHECK_EVERY_MS_MAX);
    }
}

bool instance_decode(struct slice text, struct service_instance *in, struct arena *arena)
{
    struct slice yes;
    struct reader r = {.rest = text, .failed = text.size > INSTANCE_BYTES_MAX};
    *in = (struct service_instance){.port = 0};
    if (r.failed) {
        return false;
    }
    (void)take_text(&r, "address=", &in->address);
    in->port = (uint16_t)take_number(&r, "port=", UINT16_MAX);
    in->weight = (uint32_t)take_number(&r, "weight=", INSTANCE_WEIGHT_MAX);
    (void)take_text(&r, "zone=", &in->zone);
    take_tags(&r, in, arena);
    take_meta(&r, in, arena);
    take_check(&r, &in->check);
    in->draining = take(&r, "draining=", &yes);
    r.failed = r.failed || (in->draining && !slice_is(yes, "yes"));
    in->health = take_word(&r, "health=", health_names, HEALTH_DOWN);
    if (in->health != HEALTH_PASSING) {
        in->health_since_ms = take_number(&r, "health_since_ms=", UINT64_MAX);
    }
    return !r.failed && r.rest.size == 0 && instance_validate(in, NULL) == RC_OK;
}

/* ---- paths -------------------------------------------------------------------------------- */

static const char root[] = SERVICE_ROOT "/";
#define ROOT_BYTES (sizeof root - 1)

struct slice instance_path(struct slice service, struct slice id,
                           char path[INSTANCE_PATH_BYTES_MAX])
{
    PRE(service.size <= SERVICE_NAME_BYTES_MAX && id.size <= INSTANCE_ID_BYTES_MAX);
    size_t size = ROOT_BYTES;
    memcpy(path, root, ROOT_BYTES);
    memcpy(path + size, service.data, service.size);
    size += service.size;
    if (id.size > 0) {
        path[size++] = '/';
        memcpy(path + size, id.data, id.size);
        size += id.size;
    }
    path[size] = '\0';
    return slice_make(path, size);
}

bool instance_path_split(struct slice path, struct slice *service, struct slice *id)
{
    if (path.size <= ROOT_BYTES || memcmp(path.data, root, ROOT_BYTES) != 0) {
        return false;
    }
    struct slice rest = slice_make(path.data + ROOT_BYTES, path.size - ROOT_BYTES);
    const uint8_t *slash = memchr(rest.data, '/', rest.size);
    if (slash == NULL) {
        return false;
    }
    size_t bytes = (size_t)(slash - rest.data);
    *service = slice_make(rest.data, bytes);
    *id = slice_make(slash + 1, rest.size - bytes - 1);
    return service_name_check(*service, NULL) == RC_OK && instance_id_check(*id, NULL) == RC_OK;
}
