/* Each message has two halves here, put_x and take_x, that list the fields in the same order. A
 * take_x only reads; what it cannot read becomes zero and `failed` (base/pack.h), so that the one
 * check at the end is enough. Values out of range set `failed` by hand. */
#include "raft/message.h"

#include <assert.h>

#include "base/assert.h"
#include "base/crc32c.h"

/* Where things are in a frame. The CRC covers everything from the type on. */
#define FRAME_CRC_AT   4
#define FRAME_TYPE_AT  8
#define FRAME_CHECK_AT 9
/* An entry without payload: term, type, length. */
#define ENTRY_BYTES_MIN 13

static_assert(MESSAGE_HEADER_BYTES == FRAME_TYPE_AT + 4,
              "the header ends after type and padding");
static_assert(MESSAGE_CHUNK_BYTES_MAX + 64 < MESSAGE_BODY_BYTES_MAX, "a chunk fits a frame");

/* ---- fields ------------------------------------------------------------------------------ */

static void put_bool(struct buf *out, bool v)
{
    pack_u8(out, v ? 1 : 0);
}

static bool take_bool(struct unpack *in)
{
    uint8_t v = unpack_u8(in);
    in->failed = in->failed || v > 1;
    return v == 1;
}

static uint8_t take_enum(struct unpack *in, uint8_t low, uint8_t high)
{
    uint8_t v = unpack_u8(in);
    in->failed = in->failed || v < low || v > high;
    return v;
}

static void put_bytes(struct buf *out, struct slice s, size_t max)
{
    PRE(s.size <= max);
    pack_bytes(out, s);
}

static struct slice take_bytes(struct unpack *in, size_t max)
{
    struct slice s = unpack_bytes(in);
    in->failed = in->failed || s.size > max;
    return s;
}

/* ---- one pair per message ---------------------------------------------------------------- */

static void put_hello(struct buf *out, const struct message_hello *m)
{
    pack_u32(out, m->format);
    pack_u32(out, m->feature_level);
    pack_u64(out, m->cluster_id);
    pack_u64(out, m->node_id);
    pack_u64(out, m->target_id);
    pack_u64(out, m->boot_id);
    put_bytes(out, m->name, MESSAGE_NAME_BYTES_MAX);
    put_bytes(out, m->client_address, MESSAGE_ADDRESS_BYTES_MAX);
}

static void take_hello(struct unpack *in, struct message_hello *m)
{
    m->format = unpack_u32(in);
    m->feature_level = unpack_u32(in);
    m->cluster_id = unpack_u64(in);
    m->node_id = unpack_u64(in);
    m->target_id = unpack_u64(in);
    m->boot_id = unpack_u64(in);
    m->name = take_bytes(in, MESSAGE_NAME_BYTES_MAX);
    m->client_address = take_bytes(in, MESSAGE_ADDRESS_BYTES_MAX);
}

static void put_request_vote(struct buf *out, const struct message_request_vote *m)
{
    pack_u64(out, m->term);
    pack_u64(out, m->last_log_index);
    pack_u64(out, m->last_log_term);
    put_bool(out, m->disrupt_leader);
    put_bool(out, m->pre_vote);
}

static void take_request_vote(struct unpack *in, struct message_request_vote *m)
{
    m->term = unpack_u64(in);
    m->last_log_index = unpack_u64(in);
    m->last_log_term = unpack_u64(in);
    m->disrupt_leader = take_bool(in);
    m->pre_vote = take_bool(in);
}

static void put_request_vote_result(struct buf *out,
                                    const struct message_request_vote_result *m)
{
    pack_u64(out, m->term);
    put_bool(out, m->vote_granted);
    put_bool(out, m->pre_vote);
}

static void take_request_vote_result(struct unpack *in, struct message_request_vote_result *m)
{
    m->term = unpack_u64(in);
    m->vote_granted = take_bool(in);
    m->pre_vote = take_bool(in);
}

static void put_append_entries(struct buf *out, const struct message_append_entries *m)
{
    PRE(m->entry_count <= MESSAGE_ENTRIES_MAX);
    pack_u64(out, m->term);
    pack_u64(out, m->prev_log_index);
    pack_u64(out, m->prev_log_term);
    pack_u64(out, m->leader_commit);
    pack_u32(out, m->entry_count);
    for (uint32_t i = 0; i < m->entry_count; i++) {
        const struct message_entry *e = &m->entries[i];
        PRE(e->type >= ENTRY_COMMAND && e->type <= ENTRY_CHANGE);
        pack_u64(out, e->term);
        pack_u8(out, e->type);
        put_bytes(out, e->payload, MESSAGE_BODY_BYTES_MAX);
    }
}

static void take_append_entries(struct unpack *in, struct message_append_entries *m,
                                struct arena *arena)
{
    m->term = unpack_u64(in);
    m->prev_log_index = unpack_u64(in);
    m->prev_log_term = unpack_u64(in);
    m->leader_commit = unpack_u64(in);
    m->entry_count = unpack_u32(in);
    m->entries = NULL;
    /* The count is a claim: no memory for it before the bytes that are there can bear it out. */
    if (in->failed || m->entry_count > MESSAGE_ENTRIES_MAX ||
        m->entry_count > in->rest.size / ENTRY_BYTES_MIN) {
        in->failed = true;
        return;
    }
    if (m->entry_count == 0) {
        return;
    }
    struct message_entry *entries = arena_alloc(arena, m->entry_count * sizeof *entries);
    for (uint32_t i = 0; i < m->entry_count; i++) {
        entries[i].term = unpack_u64(in);
        entries[i].type = take_enum(in, ENTRY_COMMAND, ENTRY_CHANGE);
        entries[i].payload = unpack_bytes(in);
    }
    m->entries = entries;
}

static void put_append_entries_result(struct buf *out,
                                      const struct message_append_entries_result *m)
{
    pack_u64(out, m->term);
    pack_u64(out, m->rejected);
    pack_u64(out, m->last_log_index);
    pack_u16(out, m->features);
    pack_u16(out, m->capacity);
}

static void take_append_entries_result(struct unpack *in,
                                       struct message_append_entries_result *m)
{
    m->term = unpack_u64(in);
    m->rejected = unpack_u64(in);
    m->last_log_index = unpack_u64(in);
    m->features = unpack_u16(in);
    m->capacity = unpack_u16(in);
}

static void put_install_snapshot(struct buf *out, const struct message_install_snapshot *m)
{
    pack_u64(out, m->term);
    pack_u64(out, m->last_index);
    pack_u64(out, m->last_term);
    pack_u64(out, m->configuration_index);
    put_bytes(out, m->configuration, MESSAGE_CONFIGURATION_BYTES_MAX);
    pack_u64(out, m->file_bytes);
}

static void take_install_snapshot(struct unpack *in, struct message_install_snapshot *m)
{
    m->term = unpack_u64(in);
    m->last_index = unpack_u64(in);
    m->last_term = unpack_u64(in);
    m->configuration_index = unpack_u64(in);
    m->configuration = take_bytes(in, MESSAGE_CONFIGURATION_BYTES_MAX);
    m->file_bytes = unpack_u64(in);
}

static void put_timeout_now(struct buf *out, const struct message_timeout_now *m)
{
    pack_u64(out, m->term);
    pack_u64(out, m->last_log_index);
    pack_u64(out, m->last_log_term);
}

static void take_timeout_now(struct unpack *in, struct message_timeout_now *m)
{
    m->term = unpack_u64(in);
    m->last_log_index = unpack_u64(in);
    m->last_log_term = unpack_u64(in);
}

static void put_snapshot_pull(struct buf *out, const struct message_snapshot_pull *m)
{
    PRE(m->bytes <= MESSAGE_CHUNK_BYTES_MAX);
    pack_u64(out, m->index);
    pack_u64(out, m->offset);
    pack_u32(out, m->bytes);
}

static void take_snapshot_pull(struct unpack *in, struct message_snapshot_pull *m)
{
    m->index = unpack_u64(in);
    m->offset = unpack_u64(in);
    m->bytes = unpack_u32(in);
    in->failed = in->failed || m->bytes > MESSAGE_CHUNK_BYTES_MAX;
}

static void put_snapshot_chunk(struct buf *out, const struct message_snapshot_chunk *m)
{
    pack_u64(out, m->index);
    pack_u64(out, m->offset);
    pack_u64(out, m->file_bytes);
    put_bytes(out, m->data, MESSAGE_CHUNK_BYTES_MAX);
}

static void take_snapshot_chunk(struct unpack *in, struct message_snapshot_chunk *m)
{
    m->index = unpack_u64(in);
    m->offset = unpack_u64(in);
    m->file_bytes = unpack_u64(in);
    m->data = take_bytes(in, MESSAGE_CHUNK_BYTES_MAX);
}

static void put_term_probe(struct buf *out, const struct message_term_probe *m)
{
    pack_u64(out, m->round);
    pack_u64(out, m->term);
}

static void take_term_probe(struct unpack *in, struct message_term_probe *m)
{
    m->round = unpack_u64(in);
    m->term = unpack_u64(in);
}

static void put_read_index(struct buf *out, const struct message_read_index *m)
{
    PRE(m->touch_count <= MESSAGE_TOUCHES_MAX);
    pack_u64(out, m->round);
    pack_u64(out, m->term);
    pack_u64(out, m->index);
    put_bool(out, m->refused);
    pack_u32(out, m->touch_count);
    for (uint32_t i = 0; i < m->touch_count; i++) {
        pack_u64(out, m->touches[i]);
    }
}

static void take_read_index(struct unpack *in, struct message_read_index *m,
                            struct arena *arena)
{
    m->round = unpack_u64(in);
    m->term = unpack_u64(in);
    m->index = unpack_u64(in);
    m->refused = take_bool(in);
    m->touch_count = unpack_u32(in);
    m->touches = NULL;
    if (in->failed || m->touch_count > MESSAGE_TOUCHES_MAX ||
        m->touch_count > in->rest.size / sizeof(uint64_t)) {
        in->failed = true;
        return;
    }
    if (m->touch_count == 0) {
        return;
    }
    uint64_t *touches = arena_alloc(arena, m->touch_count * sizeof *touches);
    for (uint32_t i = 0; i < m->touch_count; i++) {
        touches[i] = unpack_u64(in);
    }
    m->touches = touches;
}

static void put_forward(struct buf *out, const struct message_forward *m)
{
    pack_u64(out, m->term);
    pack_u64(out, m->refusals);
    pack_u32(out, m->command_count);
    put_bytes(out, m->commands, MESSAGE_BODY_BYTES_MAX);
}

static void take_forward(struct unpack *in, struct message_forward *m)
{
    m->term = unpack_u64(in);
    m->refusals = unpack_u64(in);
    m->command_count = unpack_u32(in);
    m->commands = unpack_bytes(in);
}

/* What the count says is checked against the commands where they are decoded, store/command.h;
 * here it is only made sure that it cannot be used to reserve more than was sent. */
static bool forward_is_plausible(const struct message_forward *m)
{
    return m->command_count <= m->commands.size &&
           (m->command_count > 0) == (m->commands.size > 0);
}

static void put_forward_result(struct buf *out, const struct message_forward_result *m)
{
    PRE(m->status <= RC_UNSUPPORTED);
    pack_u64(out, m->boot_id);
    pack_u64(out, m->first_counter);
    pack_u64(out, m->refusals);
    pack_u32(out, m->count);
    pack_u8(out, m->status);
}

static void take_forward_result(struct unpack *in, struct message_forward_result *m)
{
    m->boot_id = unpack_u64(in);
    m->first_counter = unpack_u64(in);
    m->refusals = unpack_u64(in);
    m->count = unpack_u32(in);
    m->status = take_enum(in, RC_OK, RC_UNSUPPORTED);
}

static void put_digest(struct buf *out, const struct message_digest *m)
{
    pack_u64(out, m->index);
    pack_u64(out, m->digest);
}

static void take_digest(struct unpack *in, struct message_digest *m)
{
    m->index = unpack_u64(in);
    m->digest = unpack_u64(in);
}

static void put_lease_ask(struct buf *out, const struct message_lease_ask *m)
{
    pack_u64(out, m->token);
    pack_u64(out, m->lease);
}

static void take_lease_ask(struct unpack *in, struct message_lease_ask *m)
{
    m->token = unpack_u64(in);
    m->lease = unpack_u64(in);
}

static void put_lease_tell(struct buf *out, const struct message_lease_tell *m)
{
    PRE(m->found || m->remaining_ms == 0);
    pack_u64(out, m->token);
    pack_u64(out, m->remaining_ms);
    put_bool(out, m->found);
}

static void take_lease_tell(struct unpack *in, struct message_lease_tell *m)
{
    m->token = unpack_u64(in);
    m->remaining_ms = unpack_u64(in);
    m->found = take_bool(in);
    in->failed = in->failed || (!m->found && m->remaining_ms != 0);
}

static void put_member_ask(struct buf *out, const struct message_member_ask *m)
{
    pack_u64(out, m->token);
    pack_u64(out, m->id);
    PRE(m->kind >= MEMBER_ADD && m->kind <= MEMBER_GROW);
    pack_u8(out, m->kind);
    put_bool(out, m->learner);
    put_bytes(out, m->name, MESSAGE_NAME_BYTES_MAX);
    put_bytes(out, m->address, MESSAGE_ADDRESS_BYTES_MAX);
    pack_u64(out, m->held_index);
    pack_u64(out, m->held_term);
}

static void take_member_ask(struct unpack *in, struct message_member_ask *m)
{
    m->token = unpack_u64(in);
    m->id = unpack_u64(in);
    m->kind = take_enum(in, MEMBER_ADD, MEMBER_GROW);
    m->learner = take_bool(in);
    m->name = take_bytes(in, MESSAGE_NAME_BYTES_MAX);
    m->address = take_bytes(in, MESSAGE_ADDRESS_BYTES_MAX);
    m->held_index = unpack_u64(in);
    m->held_term = unpack_u64(in);
}

static void put_member_tell(struct buf *out, const struct message_member_tell *m)
{
    pack_u64(out, m->token);
    PRE(m->verdict >= MEMBER_DONE && m->verdict <= MEMBER_AWAITED);
    pack_u8(out, m->verdict);
    put_bytes(out, m->text, MESSAGE_TEXT_BYTES_MAX);
    put_bytes(out, m->address, MESSAGE_ADDRESS_BYTES_MAX);
    pack_u64(out, m->cluster_id);
    put_bytes(out, m->configuration, MESSAGE_CONFIGURATION_BYTES_MAX);
    pack_u64(out, m->offer_index);
    pack_u64(out, m->offer_term);
    pack_u64(out, m->offer_bytes);
}

static void take_member_tell(struct unpack *in, struct message_member_tell *m)
{
    m->token = unpack_u64(in);
    m->verdict = take_enum(in, MEMBER_DONE, MEMBER_AWAITED);
    m->text = take_bytes(in, MESSAGE_TEXT_BYTES_MAX);
    m->address = take_bytes(in, MESSAGE_ADDRESS_BYTES_MAX);
    m->cluster_id = unpack_u64(in);
    m->configuration = take_bytes(in, MESSAGE_CONFIGURATION_BYTES_MAX);
    m->offer_index = unpack_u64(in);
    m->offer_term = unpack_u64(in);
    m->offer_bytes = unpack_u64(in);
}

static void put_boot(struct buf *out, const struct message_boot *m)
{
    pack_u64(out, m->last_index);
    put_bool(out, m->has_state);
}

static void take_boot(struct unpack *in, struct message_boot *m)
{
    m->last_index = unpack_u64(in);
    m->has_state = take_bool(in);
}

/* ---- bodies ------------------------------------------------------------------------------ */

static void put_body(struct buf *out, const struct message *m)
{
    switch ((enum message_type)m->type) {
    case MESSAGE_HELLO: put_hello(out, &m->hello); return;
    case MESSAGE_REQUEST_VOTE: put_request_vote(out, &m->request_vote); return;
    case MESSAGE_REQUEST_VOTE_RESULT:
        put_request_vote_result(out, &m->request_vote_result);
        return;
    case MESSAGE_APPEND_ENTRIES: put_append_entries(out, &m->append_entries); return;
    case MESSAGE_APPEND_ENTRIES_RESULT:
        put_append_entries_result(out, &m->append_entries_result);
        return;
    case MESSAGE_INSTALL_SNAPSHOT: put_install_snapshot(out, &m->install_snapshot); return;
    case MESSAGE_TIMEOUT_NOW: put_timeout_now(out, &m->timeout_now); return;
    case MESSAGE_SNAPSHOT_PULL: put_snapshot_pull(out, &m->snapshot_pull); return;
    case MESSAGE_SNAPSHOT_CHUNK: put_snapshot_chunk(out, &m->snapshot_chunk); return;
    case MESSAGE_TERM_PROBE:
    case MESSAGE_TERM_PROBE_RESULT: put_term_probe(out, &m->term_probe); return;
    case MESSAGE_READ_INDEX:
    case MESSAGE_READ_INDEX_RESULT: put_read_index(out, &m->read_index); return;
    case MESSAGE_FORWARD:
        PRE(forward_is_plausible(&m->forward));
        put_forward(out, &m->forward);
        return;
    case MESSAGE_FORWARD_RESULT: put_forward_result(out, &m->forward_result); return;
    case MESSAGE_BOOT_QUERY:
    case MESSAGE_BOOT_RESULT: put_boot(out, &m->boot); return;
    case MESSAGE_DIGEST: put_digest(out, &m->digest); return;
    case MESSAGE_LEASE_ASK: put_lease_ask(out, &m->lease_ask); return;
    case MESSAGE_LEASE_TELL: put_lease_tell(out, &m->lease_tell); return;
    case MESSAGE_MEMBER_ASK: put_member_ask(out, &m->member_ask); return;
    case MESSAGE_MEMBER_TELL: put_member_tell(out, &m->member_tell); return;
    case MESSAGE_REMOVED: pack_u64(out, m->removed.id); return;
    case MESSAGE_NOTE: put_bytes(out, m->note.bytes, MESSAGE_NOTE_BYTES_MAX); return;
    case MESSAGE_PING: return;
    }
    UNREACHABLE();
}

static void take_body(struct unpack *in, struct message *m, struct arena *arena)
{
    switch ((enum message_type)m->type) {
    case MESSAGE_HELLO: take_hello(in, &m->hello); return;
    case MESSAGE_REQUEST_VOTE: take_request_vote(in, &m->request_vote); return;
    case MESSAGE_REQUEST_VOTE_RESULT:
        take_request_vote_result(in, &m->request_vote_result);
        return;
    case MESSAGE_APPEND_ENTRIES: take_append_entries(in, &m->append_entries, arena); return;
    case MESSAGE_APPEND_ENTRIES_RESULT:
        take_append_entries_result(in, &m->append_entries_result);
        return;
    case MESSAGE_INSTALL_SNAPSHOT: take_install_snapshot(in, &m->install_snapshot); return;
    case MESSAGE_TIMEOUT_NOW: take_timeout_now(in, &m->timeout_now); return;
    case MESSAGE_SNAPSHOT_PULL: take_snapshot_pull(in, &m->snapshot_pull); return;
    case MESSAGE_SNAPSHOT_CHUNK: take_snapshot_chunk(in, &m->snapshot_chunk); return;
    case MESSAGE_TERM_PROBE:
    case MESSAGE_TERM_PROBE_RESULT: take_term_probe(in, &m->term_probe); return;
    case MESSAGE_READ_INDEX:
    case MESSAGE_READ_INDEX_RESULT: take_read_index(in, &m->read_index, arena); return;
    case MESSAGE_FORWARD:
        take_forward(in, &m->forward);
        in->failed = in->failed || !forward_is_plausible(&m->forward);
        return;
    case MESSAGE_FORWARD_RESULT: take_forward_result(in, &m->forward_result); return;
    case MESSAGE_BOOT_QUERY:
    case MESSAGE_BOOT_RESULT: take_boot(in, &m->boot); return;
    case MESSAGE_DIGEST: take_digest(in, &m->digest); return;
    case MESSAGE_LEASE_ASK: take_lease_ask(in, &m->lease_ask); return;
    case MESSAGE_LEASE_TELL: take_lease_tell(in, &m->lease_tell); return;
    case MESSAGE_MEMBER_ASK: take_member_ask(in, &m->member_ask); return;
    case MESSAGE_MEMBER_TELL: take_member_tell(in, &m->member_tell); return;
    case MESSAGE_REMOVED: m->removed.id = unpack_u64(in); return;
    case MESSAGE_NOTE: m->note.bytes = take_bytes(in, MESSAGE_NOTE_BYTES_MAX); return;
    case MESSAGE_PING: return;
    }
    in->failed = true; /* not a type of ours */
}

/* ---- frames ------------------------------------------------------------------------------ */

/* 24 bits over length and type. A damaged length is noticed at once: without this the reader would
 * wait for the rest of a frame that never was, and take in everything that follows meanwhile. */
static void header_check(const uint8_t *header, uint8_t check[3])
{
    uint32_t crc = crc32c(0, header, FRAME_CRC_AT);
    crc = crc32c(crc, header + FRAME_TYPE_AT, 1);
    for (unsigned i = 0; i < 3; i++) {
        check[i] = (uint8_t)(crc >> (8 * i));
    }
}

void message_seal(uint8_t *frame, size_t bytes)
{
    header_check(frame, frame + FRAME_CHECK_AT);
    uint32_t crc = crc32c(0, frame + FRAME_TYPE_AT, bytes - FRAME_TYPE_AT);
    for (unsigned i = 0; i < 4; i++) {
        frame[FRAME_CRC_AT + i] = (uint8_t)(crc >> (8 * i));
    }
}

void message_encode(struct buf *out, const struct message *m)
{
    size_t start = out->size;
    pack_u32(out, 0); /* length and CRC: known at the end */
    pack_u32(out, 0);
    pack_u8(out, m->type);
    pack_raw(out, (const uint8_t[3]){0}, 3); /* the header's check, too */
    put_body(out, m);

    size_t frame_bytes = out->size - start;
    PRE(frame_bytes - MESSAGE_HEADER_BYTES <= MESSAGE_BODY_BYTES_MAX);
    pack_u32_at(out, start, (uint32_t)(frame_bytes - MESSAGE_HEADER_BYTES));
    message_seal(out->data + start, frame_bytes);
}

size_t message_announced(struct slice bytes)
{
    if (bytes.size < sizeof(uint32_t)) {
        return 0;
    }
    struct unpack in = unpack_make(bytes);
    return MESSAGE_HEADER_BYTES + (size_t)unpack_u32(&in);
}

enum status message_frame(struct slice bytes, size_t *frame_bytes, struct errmsg *err)
{
    *frame_bytes = 0;
    size_t announced = message_announced(bytes);
    if (announced > MESSAGE_HEADER_BYTES + MESSAGE_BODY_BYTES_MAX) {
        return errmsg_set(err, RC_TOO_LARGE,
                          "a frame of %zu bytes is announced, the limit is %zu", announced,
                          MESSAGE_HEADER_BYTES + MESSAGE_BODY_BYTES_MAX);
    }
    if (bytes.size < MESSAGE_HEADER_BYTES) {
        return RC_OK;
    }
    uint8_t check[3];
    header_check(bytes.data, check);
    if (memcmp(check, bytes.data + FRAME_CHECK_AT, sizeof check) != 0) {
        return errmsg_set(err, RC_MALFORMED, "the header of a frame is damaged");
    }
    if (bytes.size < announced) {
        return RC_OK;
    }
    struct unpack in = unpack_make(slice_make(bytes.data + FRAME_CRC_AT, 4));
    uint32_t expected = unpack_u32(&in);
    uint32_t crc = crc32c(0, bytes.data + FRAME_TYPE_AT, announced - FRAME_TYPE_AT);
    if (crc != expected) {
        return errmsg_set(err, RC_MALFORMED, "a frame of %zu bytes has a wrong checksum",
                          announced);
    }
    *frame_bytes = announced;
    return RC_OK;
}

enum status message_decode(struct slice frame, struct message *out, struct arena *arena,
                           struct errmsg *err)
{
    *out = (struct message){0};
    if (frame.size < MESSAGE_HEADER_BYTES || message_announced(frame) != frame.size) {
        return errmsg_set(err, RC_MALFORMED, "not one whole frame");
    }
    struct unpack in = unpack_make(frame);
    (void)unpack_raw(&in, FRAME_TYPE_AT);
    out->type = unpack_u8(&in);
    uint8_t check[3];
    header_check(frame.data, check);
    struct slice found = unpack_raw(&in, sizeof check);
    take_body(&in, out, arena);
    if (!unpack_done(&in) || !slice_equal(found, slice_make(check, sizeof check))) {
        return errmsg_set(err, RC_MALFORMED,
                          "a message of type %u and %zu bytes does not decode",
                          (unsigned)out->type, frame.size);
    }
    return RC_OK;
}
