/* The peer codec: what it makes it reads back, and nothing else.
 *
 * With `--corpus DIR` this program writes one real frame of each type into DIR instead: the seeds
 * of tests/fuzz/fuzz_message.c. */
#include "raft/message.h"

#include <inttypes.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/check_main.h"

#define TYPE_LOW  MESSAGE_HELLO
#define TYPE_HIGH MESSAGE_NOTE

/* Random numbers of every length: the ends of the ranges come up as often as the middle. */
static uint64_t any_u64(struct rng *r)
{
    return rng_next(r) >> rng_below(r, 64);
}

static uint32_t any_u32(struct rng *r)
{
    return (uint32_t)any_u64(r);
}

static struct slice any_bytes(struct rng *r, struct arena *a, size_t max)
{
    size_t size = (size_t)rng_below(r, max + 1);
    uint8_t *data = arena_alloc(a, size);
    for (size_t i = 0; i < size; i++) {
        data[i] = (uint8_t)rng_next(r);
    }
    return slice_make(data, size);
}

static void any_append_entries(struct rng *r, struct arena *a, struct message_append_entries *m)
{
    uint32_t count = (uint32_t)rng_below(r, 6);
    struct message_entry *entries = arena_alloc(a, count * sizeof *entries);
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = (struct message_entry){
            .term = any_u64(r),
            .type = (uint8_t)rng_range(r, ENTRY_COMMAND, ENTRY_CHANGE),
            .payload = any_bytes(r, a, 40),
        };
    }
    *m = (struct message_append_entries){.term = any_u64(r),
                                         .prev_log_index = any_u64(r),
                                         .prev_log_term = any_u64(r),
                                         .leader_commit = any_u64(r),
                                         .entries = entries,
                                         .entry_count = count};
}

static void any_read_index(struct rng *r, struct arena *a, struct message_read_index *m)
{
    uint32_t count = (uint32_t)rng_below(r, 5);
    uint64_t *touches = arena_alloc(a, count * sizeof *touches);
    for (uint32_t i = 0; i < count; i++) {
        touches[i] = any_u64(r);
    }
    *m = (struct message_read_index){.round = any_u64(r),
                                     .term = any_u64(r),
                                     .index = any_u64(r),
                                     .refused = rng_chance(r, 500),
                                     .touches = touches,
                                     .touch_count = count};
}

static struct message any_message(struct rng *r, struct arena *a, uint8_t type)
{
    struct message m = {.type = type};
    switch ((enum message_type)type) {
    case MESSAGE_HELLO:
        m.hello = (struct message_hello){.format = any_u32(r),
                                         .feature_level = any_u32(r),
                                         .cluster_id = any_u64(r),
                                         .node_id = any_u64(r),
                                         .target_id = any_u64(r),
                                         .boot_id = any_u64(r),
                                         .name = any_bytes(r, a, MESSAGE_NAME_BYTES_MAX),
                                         .client_address = any_bytes(r, a, 90)};
        break;
    case MESSAGE_REQUEST_VOTE:
        m.request_vote = (struct message_request_vote){any_u64(r), any_u64(r), any_u64(r),
                                                       rng_chance(r, 500), rng_chance(r, 500)};
        break;
    case MESSAGE_REQUEST_VOTE_RESULT:
        m.request_vote_result = (struct message_request_vote_result){
            any_u64(r), rng_chance(r, 500), rng_chance(r, 500)};
        break;
    case MESSAGE_APPEND_ENTRIES: any_append_entries(r, a, &m.append_entries); break;
    case MESSAGE_APPEND_ENTRIES_RESULT:
        m.append_entries_result = (struct message_append_entries_result){
            any_u64(r), any_u64(r), any_u64(r), (uint16_t)any_u64(r), (uint16_t)any_u64(r)};
        break;
    case MESSAGE_INSTALL_SNAPSHOT:
        m.install_snapshot = (struct message_install_snapshot){
            any_u64(r), any_u64(r), any_u64(r), any_u64(r), any_bytes(r, a, 200), any_u64(r)};
        break;
    case MESSAGE_TIMEOUT_NOW:
        m.timeout_now = (struct message_timeout_now){any_u64(r), any_u64(r), any_u64(r)};
        break;
    case MESSAGE_SNAPSHOT_PULL:
        m.snapshot_pull = (struct message_snapshot_pull){
            any_u64(r), any_u64(r), (uint32_t)rng_below(r, MESSAGE_CHUNK_BYTES_MAX + 1)};
        break;
    case MESSAGE_SNAPSHOT_CHUNK:
        m.snapshot_chunk = (struct message_snapshot_chunk){any_u64(r), any_u64(r), any_u64(r),
                                                           any_bytes(r, a, 300)};
        break;
    case MESSAGE_TERM_PROBE:
    case MESSAGE_TERM_PROBE_RESULT:
        m.term_probe = (struct message_term_probe){any_u64(r), any_u64(r)};
        break;
    case MESSAGE_READ_INDEX:
    case MESSAGE_READ_INDEX_RESULT:
        any_read_index(r, a, &m.read_index);
        break;
    case MESSAGE_FORWARD:
        m.forward.term = any_u64(r);
        m.forward.refusals = any_u64(r);
        m.forward.commands = any_bytes(r, a, 200);
        m.forward.command_count = m.forward.commands.size > 0 ? 1 : 0;
        break;
    case MESSAGE_FORWARD_RESULT:
        m.forward_result = (struct message_forward_result){
            any_u64(r), any_u64(r), any_u64(r), any_u32(r),
            (uint8_t)rng_below(r, RC_UNSUPPORTED + 1)};
        break;
    case MESSAGE_BOOT_QUERY:
    case MESSAGE_BOOT_RESULT:
        m.boot = (struct message_boot){any_u64(r), rng_chance(r, 500)};
        break;
    case MESSAGE_DIGEST: m.digest = (struct message_digest){any_u64(r), any_u64(r)}; break;
    case MESSAGE_LEASE_ASK:
        m.lease_ask = (struct message_lease_ask){any_u64(r), any_u64(r)};
        break;
    case MESSAGE_LEASE_TELL:
        m.lease_tell.token = any_u64(r);
        m.lease_tell.found = rng_chance(r, 500);
        m.lease_tell.remaining_ms = m.lease_tell.found ? any_u64(r) : 0;
        break;
    case MESSAGE_MEMBER_ASK:
        m.member_ask = (struct message_member_ask){
            any_u64(r),          any_u64(r),          (uint8_t)rng_range(r, 1, MEMBER_GROW),
            rng_chance(r, 500),  any_bytes(r, a, 64), any_bytes(r, a, 200), any_u64(r), any_u64(r)};
        break;
    case MESSAGE_MEMBER_TELL:
        m.member_tell = (struct message_member_tell){
            any_u64(r), (uint8_t)rng_range(r, 1, MEMBER_AWAITED), any_bytes(r, a, 200),
            any_bytes(r, a, 200), any_u64(r), any_bytes(r, a, 300),
            any_u64(r), any_u64(r), any_u64(r)};
        break;
    case MESSAGE_REMOVED: m.removed.id = any_u64(r); break;
    case MESSAGE_NOTE: m.note.bytes = any_bytes(r, a, 300); break;
    case MESSAGE_PING: break;
    }
    return m;
}

/* What decodes must encode to the same bytes: so no bit of a frame is ignored. */
static bool decodes_to_itself(struct slice frame)
{
    struct arena arena = {0};
    struct buf again = {0};
    struct message m;
    struct errmsg err = {0};
    enum status rc = message_decode(frame, &m, &arena, &err);
    if (rc == RC_OK) {
        message_encode(&again, &m);
        ck_assert(slice_equal(buf_slice(&again), frame));
    } else {
        ck_assert_int_eq(rc, RC_MALFORMED);
        ck_assert_str_ne(err.text, "");
    }
    buf_close(&again);
    arena_close(&arena);
    return rc == RC_OK;
}

START_TEST(every_type_survives_the_round_trip)
{
    struct rng r;
    struct arena arena = {0};
    struct buf out = {0};
    rng_init(&r, 1);
    for (int round = 0; round < 300; round++) {
        for (uint8_t type = TYPE_LOW; type <= TYPE_HIGH; type++) {
            struct message m = any_message(&r, &arena, type);
            size_t frame_bytes = 0;
            buf_clear(&out);
            message_encode(&out, &m);
            ck_assert_int_eq(message_frame(buf_slice(&out), &frame_bytes, NULL), RC_OK);
            ck_assert_uint_eq(frame_bytes, out.size);
            ck_assert(decodes_to_itself(buf_slice(&out)));
        }
        arena_clear(&arena);
    }
    buf_close(&out);
    arena_close(&arena);
}
END_TEST

START_TEST(fields_arrive_where_they_were_put)
{
    struct message_entry entries[2] = {
        {.term = 6, .type = ENTRY_BARRIER},
        {.term = 7, .type = ENTRY_COMMAND, .payload = slice_str("x")}};
    struct message m = {.type = MESSAGE_APPEND_ENTRIES,
                        .append_entries = {.term = 7,
                                           .prev_log_index = 41,
                                           .prev_log_term = 5,
                                           .leader_commit = 40,
                                           .entries = entries,
                                           .entry_count = 2}};
    struct buf out = {0};
    struct arena arena = {0};
    struct message got;
    message_encode(&out, &m);
    ck_assert_int_eq(message_decode(buf_slice(&out), &got, &arena, NULL), RC_OK);
    ck_assert_int_eq(got.type, MESSAGE_APPEND_ENTRIES);
    ck_assert_uint_eq(got.append_entries.term, 7);
    ck_assert_uint_eq(got.append_entries.prev_log_index, 41);
    ck_assert_uint_eq(got.append_entries.prev_log_term, 5);
    ck_assert_uint_eq(got.append_entries.leader_commit, 40);
    ck_assert_uint_eq(got.append_entries.entry_count, 2);
    ck_assert_uint_eq(got.append_entries.entries[0].term, 6);
    ck_assert_uint_eq(got.append_entries.entries[0].type, ENTRY_BARRIER);
    ck_assert_uint_eq(got.append_entries.entries[0].payload.size, 0);
    ck_assert_uint_eq(got.append_entries.entries[1].type, ENTRY_COMMAND);
    ck_assert(slice_is(got.append_entries.entries[1].payload, "x"));

    m = (struct message){.type = MESSAGE_HELLO,
                         .hello = {.format = 1,
                                   .feature_level = 2,
                                   .cluster_id = 3,
                                   .node_id = 4,
                                   .target_id = 5,
                                   .boot_id = 6,
                                   .name = slice_str("n1"),
                                   .client_address = slice_str("host:7400")}};
    buf_clear(&out);
    message_encode(&out, &m);
    ck_assert_int_eq(message_decode(buf_slice(&out), &got, &arena, NULL), RC_OK);
    ck_assert_uint_eq(got.hello.format, 1);
    ck_assert_uint_eq(got.hello.feature_level, 2);
    ck_assert_uint_eq(got.hello.cluster_id, 3);
    ck_assert_uint_eq(got.hello.node_id, 4);
    ck_assert_uint_eq(got.hello.target_id, 5);
    ck_assert_uint_eq(got.hello.boot_id, 6);
    ck_assert(slice_is(got.hello.name, "n1"));
    ck_assert(slice_is(got.hello.client_address, "host:7400"));

    const uint64_t touches[] = {81, 82, 83};
    m = (struct message){.type = MESSAGE_READ_INDEX,
                         .read_index = {.round = 1,
                                        .term = 2,
                                        .index = 3,
                                        .refused = true,
                                        .touches = touches,
                                        .touch_count = 3}};
    buf_clear(&out);
    message_encode(&out, &m);
    ck_assert_int_eq(message_decode(buf_slice(&out), &got, &arena, NULL), RC_OK);
    ck_assert_uint_eq(got.read_index.round, 1);
    ck_assert_uint_eq(got.read_index.term, 2);
    ck_assert_uint_eq(got.read_index.index, 3);
    ck_assert(got.read_index.refused);
    ck_assert_uint_eq(got.read_index.touch_count, 3);
    ck_assert_mem_eq(got.read_index.touches, touches, sizeof touches);

    m = (struct message){.type = MESSAGE_LEASE_TELL,
                         .lease_tell = {.token = 4, .remaining_ms = 5, .found = true}};
    buf_clear(&out);
    message_encode(&out, &m);
    ck_assert_int_eq(message_decode(buf_slice(&out), &got, &arena, NULL), RC_OK);
    ck_assert_uint_eq(got.lease_tell.token, 4);
    ck_assert_uint_eq(got.lease_tell.remaining_ms, 5);
    ck_assert(got.lease_tell.found);
    buf_close(&out);
    arena_close(&arena);
}
END_TEST

START_TEST(a_truncated_frame_waits_for_more_and_never_decodes)
{
    struct rng r;
    struct arena arena = {0};
    struct buf out = {0};
    rng_init(&r, 2);
    for (uint8_t type = TYPE_LOW; type <= TYPE_HIGH; type++) {
        struct message m = any_message(&r, &arena, type);
        buf_clear(&out);
        message_encode(&out, &m);
        for (size_t size = 0; size < out.size; size++) {
            size_t frame_bytes = 1;
            /* A copy of exactly this size: reading past it shows under the sanitizers. */
            uint8_t *part = mem_dup(out.data, size);
            ck_assert_int_eq(message_frame(slice_make(part, size), &frame_bytes, NULL), RC_OK);
            ck_assert_uint_eq(frame_bytes, 0);
            struct message got;
            ck_assert_int_eq(message_decode(slice_make(part, size), &got, &arena, NULL),
                             RC_MALFORMED);
            mem_free(part);
        }
    }
    buf_close(&out);
    arena_close(&arena);
}
END_TEST

START_TEST(a_body_cut_short_or_long_is_refused_even_with_a_right_checksum)
{
    struct rng r;
    struct arena arena = {0};
    struct buf out = {0};
    rng_init(&r, 3);
    for (uint8_t type = TYPE_LOW; type <= TYPE_HIGH; type++) {
        struct message m = any_message(&r, &arena, type);
        buf_clear(&out);
        message_encode(&out, &m);
        for (size_t size = MESSAGE_HEADER_BYTES; size <= out.size + 1; size++) {
            if (size == out.size) {
                continue;
            }
            struct buf part = {0};
            buf_append(&part, out.data, size < out.size ? size : out.size);
            while (part.size < size) {
                pack_u8(&part, 0);
            }
            pack_u32_at(&part, 0, (uint32_t)(size - MESSAGE_HEADER_BYTES));
            message_seal(part.data, part.size);
            size_t frame_bytes = 0;
            ck_assert_int_eq(message_frame(buf_slice(&part), &frame_bytes, NULL), RC_OK);
            ck_assert_uint_eq(frame_bytes, size);
            ck_assert(!decodes_to_itself(buf_slice(&part)));
            buf_close(&part);
        }
    }
    buf_close(&out);
    arena_close(&arena);
}
END_TEST

START_TEST(flipped_bits_are_seen_by_the_checksum)
{
    struct rng r;
    struct arena arena = {0};
    struct buf out = {0};
    rng_init(&r, 4);
    for (uint8_t type = TYPE_LOW; type <= TYPE_HIGH; type++) {
        struct message m = any_message(&r, &arena, type);
        buf_clear(&out);
        message_encode(&out, &m);
        for (size_t bit = 0; bit < out.size * 8; bit++) {
            out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            size_t frame_bytes = 0;
            enum status rc = message_frame(buf_slice(&out), &frame_bytes, NULL);
            /* A longer length waits for bytes that never come; all else is an error at once. */
            ck_assert(rc != RC_OK || (frame_bytes == 0 && bit < 32));
            out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    buf_close(&out);
    arena_close(&arena);
}
END_TEST

START_TEST(random_bodies_are_refused_or_mean_exactly_what_they_say)
{
    struct rng r;
    struct arena arena = {0};
    struct buf out = {0};
    int accepted = 0;
    int refused = 0;
    rng_init(&r, 5);
    for (int round = 0; round < 20000; round++) {
        struct message m = any_message(&r, &arena, (uint8_t)rng_range(&r, TYPE_LOW, TYPE_HIGH));
        buf_clear(&out);
        message_encode(&out, &m);
        for (uint64_t n = rng_range(&r, 1, 3); n > 0; n--) {
            out.data[8 + rng_below(&r, out.size - 8)] = (uint8_t)rng_next(&r);
        }
        message_seal(out.data, out.size);
        if (decodes_to_itself(buf_slice(&out))) {
            accepted++;
        } else {
            refused++;
        }
        arena_clear(&arena);
    }
    ck_assert_int_gt(accepted, 1000);
    ck_assert_int_gt(refused, 1000);
    buf_close(&out);
    arena_close(&arena);
}
END_TEST

/* A frame of `type` with the given body and a right checksum. */
static void frame_of(struct buf *out, uint8_t type, const struct buf *body)
{
    buf_clear(out);
    pack_u32(out, (uint32_t)body->size);
    pack_u32(out, 0);
    pack_u32(out, type);
    buf_append_slice(out, buf_slice(body));
    message_seal(out->data, out->size);
}

START_TEST(an_entry_count_is_not_believed_without_the_bytes)
{
    struct buf body = {0};
    struct buf out = {0};
    static const uint32_t counts[] = {1, 2, MESSAGE_ENTRIES_MAX, MESSAGE_ENTRIES_MAX + 1,
                                      UINT32_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        buf_clear(&body);
        for (int field = 0; field < 4; field++) {
            pack_u64(&body, 1);
        }
        pack_u32(&body, counts[i]);
        frame_of(&out, MESSAGE_APPEND_ENTRIES, &body);
        struct arena arena = {0};
        struct message m;
        ck_assert_int_eq(message_decode(buf_slice(&out), &m, &arena, NULL), RC_MALFORMED);
        ck_assert_ptr_null(arena.blocks);
        arena_close(&arena);
    }
    buf_close(&body);
    buf_close(&out);
}
END_TEST

START_TEST(more_entries_than_the_limit_are_refused_though_they_are_all_there)
{
    struct buf body = {0};
    struct buf out = {0};
    for (int field = 0; field < 4; field++) {
        pack_u64(&body, 1);
    }
    pack_u32(&body, MESSAGE_ENTRIES_MAX + 1);
    for (uint32_t i = 0; i < MESSAGE_ENTRIES_MAX + 1; i++) {
        pack_u64(&body, 1);
        pack_u8(&body, ENTRY_COMMAND);
        pack_u32(&body, 0);
    }
    frame_of(&out, MESSAGE_APPEND_ENTRIES, &body);
    ck_assert(!decodes_to_itself(buf_slice(&out)));
    buf_close(&body);
    buf_close(&out);
}
END_TEST

static void read_index_body(struct buf *body, uint32_t announced, uint32_t there)
{
    buf_clear(body);
    for (int field = 0; field < 3; field++) {
        pack_u64(body, 1);
    }
    pack_u8(body, 0);
    pack_u32(body, announced);
    for (uint32_t i = 0; i < there; i++) {
        pack_u64(body, i);
    }
}

START_TEST(touches_must_be_as_many_as_announced_and_as_the_limit_allows)
{
    static const struct {
        uint32_t announced;
        uint32_t there;
        bool good;
    } cases[] = {{0, 0, true},
                 {2, 2, true},
                 {1, 0, false},
                 {0, 1, false},
                 {3, 2, false},
                 {UINT32_MAX, 2, false},
                 {MESSAGE_TOUCHES_MAX, MESSAGE_TOUCHES_MAX, true},
                 {MESSAGE_TOUCHES_MAX + 1, MESSAGE_TOUCHES_MAX + 1, false}};
    struct buf body = {0};
    struct buf out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        read_index_body(&body, cases[i].announced, cases[i].there);
        frame_of(&out, MESSAGE_READ_INDEX, &body);
        ck_assert_int_eq(decodes_to_itself(buf_slice(&out)), cases[i].good);
        frame_of(&out, MESSAGE_READ_INDEX_RESULT, &body);
        ck_assert_int_eq(decodes_to_itself(buf_slice(&out)), cases[i].good);
    }
    buf_close(&body);
    buf_close(&out);
}
END_TEST

START_TEST(a_lease_that_was_not_found_has_no_time_left)
{
    struct buf body = {0};
    struct buf out = {0};
    for (uint8_t found = 0; found <= 2; found++) {
        buf_clear(&body);
        pack_u64(&body, 7);
        pack_u64(&body, 100);
        pack_u8(&body, found);
        frame_of(&out, MESSAGE_LEASE_TELL, &body);
        ck_assert_int_eq(decodes_to_itself(buf_slice(&out)), found == 1);
    }
    buf_close(&body);
    buf_close(&out);
}
END_TEST

START_TEST(commands_forwarded_must_be_as_many_as_their_bytes_allow)
{
    static const struct {
        uint32_t count;
        size_t bytes;
        bool good;
    } cases[] = {{0, 0, true},  {1, 1, true},  {3, 3, true},          {0, 1, false},
                 {1, 0, false}, {4, 3, false}, {UINT32_MAX, 9, false}};
    struct buf body = {0};
    struct buf out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buf_clear(&body);
        pack_u64(&body, 9);
        pack_u64(&body, 0);
        pack_u32(&body, cases[i].count);
        pack_bytes(&body, slice_make("abcdefghi", cases[i].bytes));
        frame_of(&out, MESSAGE_FORWARD, &body);
        ck_assert_int_eq(decodes_to_itself(buf_slice(&out)), cases[i].good);
    }
    buf_close(&body);
    buf_close(&out);
}
END_TEST

START_TEST(unknown_types_are_refused)
{
    struct buf body = {0};
    struct buf out = {0};
    static const uint8_t types[] = {0, TYPE_HIGH + 1, 255};
    for (size_t i = 0; i < sizeof types; i++) {
        frame_of(&out, types[i], &body);
        ck_assert(!decodes_to_itself(buf_slice(&out)));
    }
    buf_close(&body);
    buf_close(&out);
}
END_TEST

START_TEST(a_damaged_header_is_refused_before_the_body_is_there)
{
    struct buf out = {0};
    struct message m = {.type = MESSAGE_TIMEOUT_NOW};
    static const size_t covered[] = {0, 1, 2, 8, 9, 10, 11};
    message_encode(&out, &m);
    struct slice header = slice_make(out.data, MESSAGE_HEADER_BYTES);
    size_t frame_bytes = 1;
    ck_assert_int_eq(message_frame(header, &frame_bytes, NULL), RC_OK);
    ck_assert_uint_eq(frame_bytes, 0);
    for (size_t i = 0; i < sizeof covered / sizeof covered[0]; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            out.data[covered[i]] ^= (uint8_t)(1u << bit);
            ck_assert_int_ne(message_frame(header, &frame_bytes, NULL), RC_OK);
            out.data[covered[i]] ^= (uint8_t)(1u << bit);
        }
    }
    buf_close(&out);
}
END_TEST

START_TEST(a_frame_beyond_the_limit_is_refused_by_its_first_four_bytes)
{
    struct buf out = {0};
    size_t frame_bytes = 1;
    struct errmsg err = {0};
    pack_u32(&out, (uint32_t)MESSAGE_BODY_BYTES_MAX);
    ck_assert_int_eq(message_frame(buf_slice(&out), &frame_bytes, &err), RC_OK);
    ck_assert_uint_eq(frame_bytes, 0);
    ck_assert_uint_eq(message_announced(buf_slice(&out)),
                      MESSAGE_BODY_BYTES_MAX + MESSAGE_HEADER_BYTES);
    pack_u32_at(&out, 0, (uint32_t)MESSAGE_BODY_BYTES_MAX + 1);
    ck_assert_int_eq(message_frame(buf_slice(&out), &frame_bytes, &err), RC_TOO_LARGE);
    ck_assert_int_eq(message_frame(slice_str("GET / HTTP/1.1\r\n"), &frame_bytes, &err),
                     RC_TOO_LARGE);
    buf_close(&out);
}
END_TEST

static Suite *message_suite(void)
{
    Suite *s = suite_create("message");
    TCase *c = tcase_create("codec");
    tcase_add_test(c, every_type_survives_the_round_trip);
    tcase_add_test(c, fields_arrive_where_they_were_put);
    tcase_add_test(c, a_truncated_frame_waits_for_more_and_never_decodes);
    tcase_add_test(c, a_body_cut_short_or_long_is_refused_even_with_a_right_checksum);
    tcase_add_test(c, flipped_bits_are_seen_by_the_checksum);
    tcase_add_test(c, random_bodies_are_refused_or_mean_exactly_what_they_say);
    tcase_add_test(c, an_entry_count_is_not_believed_without_the_bytes);
    tcase_add_test(c, more_entries_than_the_limit_are_refused_though_they_are_all_there);
    tcase_add_test(c, commands_forwarded_must_be_as_many_as_their_bytes_allow);
    tcase_add_test(c, touches_must_be_as_many_as_announced_and_as_the_limit_allows);
    tcase_add_test(c, a_lease_that_was_not_found_has_no_time_left);
    tcase_add_test(c, unknown_types_are_refused);
    tcase_add_test(c, a_damaged_header_is_refused_before_the_body_is_there);
    tcase_add_test(c, a_frame_beyond_the_limit_is_refused_by_its_first_four_bytes);
    suite_add_tcase(s, c);
    return s;
}

static int write_corpus(const char *folder)
{
    struct rng r;
    rng_init(&r, 6);
    for (uint8_t type = TYPE_LOW; type <= TYPE_HIGH; type++) {
        struct arena arena = {0};
        struct buf out = {0};
        struct message m = any_message(&r, &arena, type);
        message_encode(&out, &m);
        char path[512];
        (void)snprintf(path, sizeof path, "%s/type-%02u", folder, (unsigned)type);
        FILE *file = fopen(path, "wb");
        if (file == NULL || fwrite(out.data, 1, out.size, file) != out.size ||
            fclose(file) != 0) {
            perror(path);
            return EXIT_FAILURE;
        }
        buf_close(&out);
        arena_close(&arena);
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--corpus") == 0) {
        return write_corpus(argv[2]);
    }
    return check_main((check_suite_fn[]){message_suite, NULL});
}
