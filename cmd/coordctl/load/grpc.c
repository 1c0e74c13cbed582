/* HTTP/2 as a client that only makes calls (RFC 9113, RFC 7541): from the second call on the
 * request's headers are references into the compression table; a message goes straight into the
 * connection's output if the windows have room for it, else it waits in its slot. */
#include "cmd/coordctl/load/grpc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/grpc/frame.h"
#include "net/header_block.h"

#define FRAME_HEAD_BYTES ((size_t)9)
#define FRAME_BYTES_MAX  ((size_t)16384) /* both ways: nobody offers more by default */
#define WINDOW_BYTES     ((uint32_t)0x7fffffff)
#define WINDOW_LOW_BYTES ((size_t)64 << 20)
#define TABLE_BYTES      4096

enum frame_type {
    FRAME_DATA = 0,
    FRAME_HEADERS = 1,
    FRAME_RST_STREAM = 3,
    FRAME_SETTINGS = 4,
    FRAME_PING = 6,
    FRAME_GOAWAY = 7,
    FRAME_WINDOW_UPDATE = 8,
    FRAME_CONTINUATION = 9,
};

enum frame_flag {
    FLAG_END_STREAM = 1,
    FLAG_ACK = 1,
    FLAG_END_HEADERS = 4,
    FLAG_PADDED = 8,
    FLAG_PRIORITY = 32,
};

enum setting {
    SETTING_TABLE_BYTES = 1,
    SETTING_STREAMS_MAX = 3,
    SETTING_INITIAL_WINDOW = 4,
};

/* Headers that go into the compression table when they are sent first. */
enum named {
    NAMED_AUTHORITY = LOAD_OPS, /* the paths of the operations come before them */
    NAMED_TE,
    NAMED_CONTENT_TYPE,
    NAMED_AUTHORIZATION,
    NAMED_COUNT,
};

struct h2 {
    struct header_block *headers;
    struct load_slot **streams; /* by id / 2, modulo a power of two */
    size_t stream_mask;
    uint32_t next_id;
    int64_t window;         /* what we may send */
    int64_t initial_window; /* of each stream */
    uint32_t streams_max;
    size_t received;        /* not given back yet */
    bool has_settings;
    bool has_table;
    bool must_shrink;       /* the table, before the next block */
    uint8_t inserted[NAMED_COUNT]; /* 1 + which insertion it was; 0: none */
    uint8_t insertions;
    struct buf block;       /* of HEADERS that CONTINUATIONs follow */
    struct load_slot *block_slot;
    bool block_ends;
    const struct load_rpcs *rpcs;
};

static struct h2 *h2_of(const struct load_connection *c)
{
    return c->state_of_dialect;
}

/* ---- writing ------------------------------------------------------------------------------ */

static void store_number(uint8_t *to, size_t bytes, uint32_t value)
{
    for (size_t i = 0; i < bytes; i++) {
        to[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
    }
}

static size_t frame_begin(struct buf *out, enum frame_type type, uint8_t flags, uint32_t stream)
{
    size_t begin = out->size;
    uint8_t *head = buf_extend(out, FRAME_HEAD_BYTES);
    head[3] = (uint8_t)type;
    head[4] = flags;
    store_number(head + 5, 4, stream);
    return begin;
}

static void frame_end(struct buf *out, size_t begin)
{
    store_number(out->data + begin, 3, (uint32_t)(out->size - begin - FRAME_HEAD_BYTES));
}

static void put_u32(struct buf *out, uint32_t value)
{
    store_number(buf_extend(out, 4), 4, value);
}

static void put_setting(struct buf *out, enum setting setting, uint32_t value)
{
    store_number(buf_extend(out, 2), 2, (uint32_t)setting);
    put_u32(out, value);
}

static void put_window(struct buf *out, uint32_t stream, uint32_t bytes)
{
    size_t begin = frame_begin(out, FRAME_WINDOW_UPDATE, 0, stream);
    put_u32(out, bytes);
    frame_end(out, begin);
}

/* A string literal of a header block, not Huffman coded. */
static void put_text(struct buf *out, struct slice text)
{
    if (text.size < 127) {
        uint8_t size = (uint8_t)text.size;
        buf_append(out, &size, 1);
    } else {
        uint8_t bytes[8] = {127};
        size_t n = 1;
        size_t rest = text.size - 127;
        for (; rest >= 128; rest >>= 7) {
            bytes[n++] = (uint8_t)(rest | 128);
        }
        bytes[n++] = (uint8_t)rest;
        buf_append(out, bytes, n);
    }
    buf_append_slice(out, text);
}

/* `static_name`: the index of its name in the static table, 0: it is not in there. */
static void put_header(struct h2 *h, struct buf *out, size_t which, uint8_t static_name,
                       const char *name, const char *value)
{
    uint8_t byte;
    if (h->inserted[which] != 0) {
        byte = (uint8_t)(0x80 | (62 + h->insertions - h->inserted[which]));
        buf_append(out, &byte, 1);
        return;
    }
    if (h->has_table) {
        h->inserted[which] = ++h->insertions;
        byte = (uint8_t)(0x40 | static_name);
        buf_append(out, &byte, 1);
    } else if (static_name < 15) {
        buf_append(out, &static_name, 1);
    } else {
        const uint8_t wide[2] = {15, (uint8_t)(static_name - 15)};
        buf_append(out, wide, 2);
    }
    if (static_name == 0) {
        put_text(out, slice_str(name));
    }
    put_text(out, slice_str(value));
}

static void put_headers(struct load_connection *c, const struct load_slot *s)
{
    struct h2 *h = h2_of(c);
    const struct load_options *options = c->engine->options;
    size_t begin = frame_begin(&c->out, FRAME_HEADERS, FLAG_END_HEADERS, s->stream);
    if (h->must_shrink) {
        buf_append(&c->out, "\x20", 1);
        h->must_shrink = false;
    }
    buf_append(&c->out, options->tls != NULL ? "\x83\x87" : "\x83\x86", 2); /* POST, scheme */
    put_header(h, &c->out, s->op, 4, ":path", h->rpcs->paths[s->op]);
    put_header(h, &c->out, NAMED_AUTHORITY, 1, ":authority", c->endpoint->name);
    put_header(h, &c->out, NAMED_TE, 0, "te", "trailers");
    put_header(h, &c->out, NAMED_CONTENT_TYPE, 31, "content-type", "application/grpc");
    if (options->authorization != NULL) {
        put_header(h, &c->out, NAMED_AUTHORIZATION, 23, "authorization",
                   options->authorization);
    }
    frame_end(&c->out, begin);
}

/* As much of what waits in the slot as the windows take. */
static void push_body(struct load_connection *c, struct load_slot *s)
{
    struct h2 *h = h2_of(c);
    while (s->sent < s->body.size) {
        int64_t room = h->window < s->window ? h->window : s->window;
        size_t n = s->body.size - s->sent;
        n = n < FRAME_BYTES_MAX ? n : FRAME_BYTES_MAX;
        if (room <= 0) {
            return;
        }
        n = (int64_t)n < room ? n : (size_t)room;
        bool is_last = s->sent + n == s->body.size && s->op != LOAD_OP_WATCH;
        size_t begin =
            frame_begin(&c->out, FRAME_DATA, is_last ? FLAG_END_STREAM : 0, s->stream);
        buf_append(&c->out, s->body.data + s->sent, n);
        frame_end(&c->out, begin);
        s->sent += n;
        s->window -= (int64_t)n;
        h->window -= (int64_t)n;
    }
    buf_clear(&s->body);
    s->sent = 0;
}

static void push_all(struct load_connection *c)
{
    for (size_t i = 0; i < c->engine->slots_each; i++) {
        if (c->slots[i].is_busy && c->slots[i].body.size > 0) {
            push_body(c, &c->slots[i]);
        }
    }
}

static size_t place_of(const struct h2 *h, uint32_t stream)
{
    return (stream >> 1) & h->stream_mask;
}

/* Ids may be left out: one is taken whose place in the table is free. A slot that has another
 * stream by now still stands in the places of its former ones. */
static void take_stream(struct h2 *h, struct load_slot *s)
{
    const struct load_slot *there = h->streams[place_of(h, h->next_id)];
    while (there != NULL && there->stream != 0 &&
           place_of(h, there->stream) == place_of(h, h->next_id)) {
        h->next_id += 2;
        there = h->streams[place_of(h, h->next_id)];
    }
    h->streams[place_of(h, h->next_id)] = s;
    s->stream = h->next_id;
    h->next_id += 2;
}

static struct load_slot *slot_of(struct h2 *h, uint32_t stream)
{
    struct load_slot *s = h->streams[place_of(h, stream)];
    return s != NULL && s->stream == stream && stream != 0 ? s : NULL;
}

static void put(struct load_connection *c, struct load_slot *s)
{
    struct h2 *h = h2_of(c);
    take_stream(h, s);
    s->window = h->initial_window;
    s->has_status = false;
    s->code = GRPC_UNKNOWN;
    s->text[0] = '\0';
    s->received = 0;
    s->sent = 0;
    buf_clear(&s->body);
    buf_clear(&s->reply);
    put_headers(c, s);
    if (s->op == LOAD_OP_WATCH) {
        h->rpcs->write(s, &s->body); /* frames itself */
        push_body(c, s);
        return;
    }
    size_t begin = frame_begin(&c->out, FRAME_DATA, FLAG_END_STREAM, s->stream);
    size_t message = grpc_frame_begin(&c->out);
    h->rpcs->write(s, &c->out);
    (void)grpc_frame_end(&c->out, message);
    size_t size = c->out.size - begin - FRAME_HEAD_BYTES;
    if (size <= FRAME_BYTES_MAX && (int64_t)size <= h->window && (int64_t)size <= s->window) {
        frame_end(&c->out, begin);
        h->window -= (int64_t)size;
        s->window -= (int64_t)size;
        return;
    }
    buf_append(&s->body, c->out.data + begin + FRAME_HEAD_BYTES, size);
    c->out.size = begin;
    push_body(c, s);
}

/* ---- reading ------------------------------------------------------------------------------ */

struct frame {
    uint8_t type;
    uint8_t flags;
    uint32_t stream;
    struct slice payload;
};

static uint32_t number_at(const uint8_t *from, size_t bytes)
{
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value = value << 8 | from[i];
    }
    return value;
}

static void end_slot(struct load_connection *c, struct load_slot *s)
{
    bool ok = s->has_status && s->code == GRPC_OK;
    (void)c;
    s->stream = 0;
    buf_clear(&s->body);
    if (ok && s->op == LOAD_OP_GET && s->received < c->engine->value.size) {
        snprintf(s->text, sizeof s->text, "a value of %zu bytes, %zu were read",
                 c->engine->value.size, s->received);
        ok = false;
    } else if (!ok && s->text[0] == '\0') {
        snprintf(s->text, sizeof s->text, s->has_status ? "%s" : "no grpc-status",
                 grpc_code_name((enum grpc_code)s->code));
    }
    load_answered(s, ok);
}

static void take_header(void *owner, struct slice name, struct slice value)
{
    struct load_slot *s = owner;
    if (s == NULL) {
        return;
    }
    if (slice_is(name, "grpc-status")) {
        s->has_status = true;
        s->code = (int32_t)grpc_code_parse(value);
    } else if (slice_is(name, "grpc-message") && value.size > 0) {
        snprintf(s->text, sizeof s->text, "%.*s", (int)(value.size < 90 ? value.size : 90),
                 (const char *)value.data);
    }
}

/* Drops padding and priority. */
static bool strip(struct frame *f)
{
    size_t head = 0;
    size_t tail = 0;
    if ((f->flags & FLAG_PADDED) != 0) {
        if (f->payload.size < 1) {
            return false;
        }
        tail = f->payload.data[0];
        head = 1;
    }
    if (f->type == FRAME_HEADERS && (f->flags & FLAG_PRIORITY) != 0) {
        head += 5;
    }
    if (head + tail > f->payload.size) {
        return false;
    }
    f->payload = slice_make(f->payload.data + head, f->payload.size - head - tail);
    return true;
}

static bool take_block(struct load_connection *c, struct slice block, struct load_slot *s,
                       bool ends)
{
    struct h2 *h = h2_of(c);
    if (!header_block_decode(h->headers, block, take_header, s)) {
        return false;
    }
    if (s != NULL && ends) {
        end_slot(c, s);
    }
    return true;
}

static bool take_headers(struct load_connection *c, struct frame *f)
{
    struct h2 *h = h2_of(c);
    if (f->type == FRAME_CONTINUATION) {
        buf_append_slice(&h->block, f->payload);
    } else {
        if (!strip(f)) {
            return false;
        }
        h->block_slot = slot_of(h, f->stream);
        h->block_ends = (f->flags & FLAG_END_STREAM) != 0;
        if ((f->flags & FLAG_END_HEADERS) != 0) {
            return take_block(c, f->payload, h->block_slot, h->block_ends);
        }
        buf_append_slice(&h->block, f->payload);
    }
    if ((f->flags & FLAG_END_HEADERS) != 0) {
        bool fine = take_block(c, buf_slice(&h->block), h->block_slot, h->block_ends);
        buf_clear(&h->block);
        return fine;
    }
    return true;
}

/* Reading one may close the connection: then nobody waits for the others. */
static void take_messages(struct load_connection *c, struct load_slot *s, struct slice bytes)
{
    const struct load_rpcs *rpcs = h2_of(c)->rpcs;
    struct slice message;
    if (s->reply.size > 0) {
        buf_append_slice(&s->reply, bytes);
        bytes = buf_slice(&s->reply);
    }
    size_t taken = 0;
    while (c->state != LOAD_CLOSED &&
           grpc_frame_peek(slice_make(bytes.data + taken, bytes.size - taken), SIZE_MAX,
                           &message) == GRPC_FRAME_WHOLE) {
        rpcs->read(s, message);
        taken += GRPC_PREFIX_BYTES + message.size;
    }
    if (s->reply.size > 0) {
        buf_consume(&s->reply, taken);
    } else if (taken < bytes.size) {
        buf_append(&s->reply, bytes.data + taken, bytes.size - taken);
    }
}

static bool take_data(struct load_connection *c, struct frame *f)
{
    struct h2 *h = h2_of(c);
    struct load_slot *s = slot_of(h, f->stream);
    size_t whole = f->payload.size;
    h->received += whole;
    if (h->received > WINDOW_LOW_BYTES) {
        put_window(&c->out, 0, (uint32_t)h->received);
        h->received = 0;
    }
    if (!strip(f)) {
        return false;
    }
    if (s == NULL) {
        return true;
    }
    s->received += f->payload.size;
    if (s->op == LOAD_OP_WATCH && whole > 0) {
        put_window(&c->out, f->stream, (uint32_t)whole);
    }
    if (h->rpcs->reads(s)) {
        take_messages(c, s, f->payload);
    }
    if ((f->flags & FLAG_END_STREAM) != 0 && c->state != LOAD_CLOSED) {
        end_slot(c, s);
    }
    return true;
}

static void apply_setting(struct load_connection *c, uint32_t setting, uint32_t value)
{
    struct h2 *h = h2_of(c);
    if (setting == SETTING_TABLE_BYTES && value < TABLE_BYTES && h->insertions == 0) {
        h->has_table = false;
        h->must_shrink = true;
    } else if (setting == SETTING_STREAMS_MAX) {
        h->streams_max = value;
    } else if (setting == SETTING_INITIAL_WINDOW) {
        for (size_t i = 0; i < c->engine->slots_each; i++) {
            c->slots[i].window += (int64_t)value - h->initial_window;
        }
        h->initial_window = value;
    }
}

static bool take_settings(struct load_connection *c, const struct frame *f)
{
    struct h2 *h = h2_of(c);
    if ((f->flags & FLAG_ACK) != 0) {
        return true;
    }
    for (size_t at = 0; at + 6 <= f->payload.size; at += 6) {
        apply_setting(c, number_at(f->payload.data + at, 2),
                      number_at(f->payload.data + at + 2, 4));
    }
    frame_end(&c->out, frame_begin(&c->out, FRAME_SETTINGS, FLAG_ACK, 0));
    push_all(c);
    if (!h->has_settings) {
        char why[96];
        h->has_settings = true;
        if (h->streams_max < c->engine->slots_each) {
            snprintf(why, sizeof why, "takes at most %u requests in flight on a connection",
                     h->streams_max);
            load_failed(c, why);
            return true;
        }
        load_greeted(c);
    }
    return true;
}

static bool take_window(struct load_connection *c, const struct frame *f)
{
    struct h2 *h = h2_of(c);
    if (f->payload.size != 4) {
        return false;
    }
    uint32_t more = number_at(f->payload.data, 4) & WINDOW_BYTES;
    if (f->stream == 0) {
        h->window += more;
        push_all(c);
        return true;
    }
    struct load_slot *s = slot_of(h, f->stream);
    if (s != NULL) {
        s->window += more;
        push_body(c, s);
    }
    return true;
}

static bool take_reset(struct load_connection *c, const struct frame *f)
{
    struct load_slot *s = slot_of(h2_of(c), f->stream);
    if (s != NULL) {
        s->has_status = false;
        snprintf(s->text, sizeof s->text, "the stream was reset, error %u",
                 f->payload.size == 4 ? number_at(f->payload.data, 4) : 0);
        end_slot(c, s);
    }
    return true;
}

static bool take_goodbye(struct load_connection *c, const struct frame *f)
{
    char text[80];
    snprintf(text, sizeof text, "the server said goodbye, error %u",
             f->payload.size >= 8 ? number_at(f->payload.data + 4, 4) : 0);
    load_failed(c, text);
    return true;
}

static bool take_frame(struct load_connection *c, struct frame *f)
{
    switch (f->type) {
    case FRAME_DATA: return take_data(c, f);
    case FRAME_HEADERS:
    case FRAME_CONTINUATION: return take_headers(c, f);
    case FRAME_SETTINGS: return take_settings(c, f);
    case FRAME_WINDOW_UPDATE: return take_window(c, f);
    case FRAME_RST_STREAM: return take_reset(c, f);
    case FRAME_PING:
        if ((f->flags & FLAG_ACK) == 0 && f->payload.size == 8) {
            size_t begin = frame_begin(&c->out, FRAME_PING, FLAG_ACK, 0);
            buf_append_slice(&c->out, f->payload);
            frame_end(&c->out, begin);
        }
        return true;
    case FRAME_GOAWAY: return take_goodbye(c, f);
    default: return true;
    }
}

static size_t feed(struct load_connection *c, struct slice bytes)
{
    size_t taken = 0;
    while (bytes.size - taken >= FRAME_HEAD_BYTES) {
        const uint8_t *head = bytes.data + taken;
        size_t size = number_at(head, 3);
        if (bytes.size - taken < FRAME_HEAD_BYTES + size) {
            break;
        }
        struct frame f = {.type = head[3],
                          .flags = head[4],
                          .stream = number_at(head + 5, 4) & WINDOW_BYTES,
                          .payload = slice_make(head + FRAME_HEAD_BYTES, size)};
        taken += FRAME_HEAD_BYTES + size;
        if (!take_frame(c, &f)) {
            load_failed(c, "a malformed HTTP/2 frame");
        }
        if (c->state == LOAD_CLOSED) {
            break;
        }
    }
    return taken;
}

/* ---- the connection ----------------------------------------------------------------------- */

static void *open_with(struct load_connection *c, const struct load_rpcs *rpcs)
{
    struct h2 *h = mem_zalloc(sizeof *h);
    size_t places = 4;
    while (places < 4 * c->engine->slots_each) {
        places *= 2;
    }
    h->headers = header_block_new();
    h->streams = mem_zalloc(places * sizeof(struct load_slot *));
    h->stream_mask = places - 1;
    h->next_id = 1;
    h->window = 65535;
    h->initial_window = 65535;
    h->streams_max = UINT32_MAX;
    h->has_table = true;
    h->rpcs = rpcs;
    for (size_t i = 0; i < c->engine->slots_each; i++) {
        c->slots[i].stream = 0;
        buf_clear(&c->slots[i].body);
    }
    return h;
}

static void *open_coord(struct load_connection *c)
{
    return open_with(c, &load_rpcs_coord);
}

static void *open_etcd(struct load_connection *c)
{
    return open_with(c, &load_rpcs_etcd);
}

static void close_state(void *state)
{
    struct h2 *h = state;
    if (h != NULL) {
        header_block_free(h->headers);
        buf_close(&h->block);
        mem_free(h->streams);
        mem_free(h);
    }
}

static void greet(struct load_connection *c)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    buf_append(&c->out, preface, sizeof preface - 1);
    size_t begin = frame_begin(&c->out, FRAME_SETTINGS, 0, 0);
    put_setting(&c->out, SETTING_INITIAL_WINDOW, WINDOW_BYTES);
    frame_end(&c->out, begin);
    put_window(&c->out, 0, WINDOW_BYTES - 65535);
}

const struct load_dialect load_grpc = {
    .name = "grpc",
    .open = open_coord,
    .close = close_state,
    .greet = greet,
    .feed = feed,
    .put = put,
};

const struct load_dialect load_etcd = {
    .name = "etcd",
    .open = open_etcd,
    .close = close_state,
    .greet = greet,
    .feed = feed,
    .put = put,
};
