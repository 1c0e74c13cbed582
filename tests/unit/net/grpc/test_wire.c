#include "net/grpc/wire.h"

#include "coord/v1/tree.pb-c.h"
#include "tests/support/check_main.h"

/* A message type that contains itself: field 1 are messages of the same type, field 2 is a
 * string, field 3 one message of the same type. */
static const ProtobufCFieldDescriptor recursive_fields[3];
static const ProtobufCIntRange recursive_ranges[2] = {{1, 0}, {0, 3}};
static const ProtobufCMessageDescriptor recursive = {
    .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    .name = "test.Recursive",
    .short_name = "Recursive",
    .n_fields = 3,
    .fields = recursive_fields,
    .n_field_ranges = 1,
    .field_ranges = recursive_ranges,
};
static const ProtobufCFieldDescriptor recursive_fields[3] = {
    {.name = "inner",
     .id = 1,
     .label = PROTOBUF_C_LABEL_REPEATED,
     .type = PROTOBUF_C_TYPE_MESSAGE,
     .descriptor = &recursive},
    {.name = "text", .id = 2, .type = PROTOBUF_C_TYPE_STRING},
    {.name = "one",
     .id = 3,
     .label = PROTOBUF_C_LABEL_NONE,
     .type = PROTOBUF_C_TYPE_MESSAGE,
     .descriptor = &recursive},
};

/* `depth` messages in one another. */
static void nested_make(struct buf *out, size_t depth)
{
    struct buf inner = {0};
    buf_clear(out);
    for (size_t i = 1; i < depth; i++) {
        buf_clear(&inner);
        buf_append_slice(&inner, buf_slice(out));
        buf_clear(out);
        wire_append_bytes(out, 1, buf_slice(&inner));
    }
    buf_close(&inner);
}

START_TEST(nesting_is_taken_up_to_the_limit)
{
    struct buf message = {0};
    struct errmsg err;
    nested_make(&message, WIRE_DEPTH_MAX);
    ck_assert_int_eq(wire_check(&recursive, buf_slice(&message), &err), RC_OK);
    nested_make(&message, WIRE_DEPTH_MAX + 1);
    ck_assert_int_eq(wire_check(&recursive, buf_slice(&message), &err), RC_TOO_LARGE);
    nested_make(&message, 6000);
    ck_assert_int_eq(wire_check(&recursive, buf_slice(&message), &err), RC_TOO_LARGE);
    buf_close(&message);
}
END_TEST

START_TEST(messages_are_counted_before_they_are_unpacked)
{
    struct buf message = {0};
    struct errmsg err;
    for (size_t i = 0; i < WIRE_MESSAGES_MAX; i++) {
        wire_append_bytes(&message, 1, slice_make("", 0));
    }
    ck_assert_int_eq(wire_check(&recursive, buf_slice(&message), &err), RC_OK);
    wire_append_bytes(&message, 1, slice_make("", 0));
    ck_assert_int_eq(wire_check(&recursive, buf_slice(&message), &err), RC_TOO_LARGE);
    buf_close(&message);
}
END_TEST

START_TEST(fields_are_counted_before_they_are_unpacked)
{
    struct buf message = {0};
    struct errmsg err;
    for (size_t i = 0; i < WIRE_UNKNOWN_MAX; i++) {
        wire_append_number(&message, 9, 0);
    }
    ck_assert_int_eq(wire_check(&recursive, buf_slice(&message), &err), RC_OK);
    for (size_t i = WIRE_UNKNOWN_MAX; i < WIRE_FIELDS_MAX; i++) {
        wire_append_bytes(&message, 2, slice_str(""));
    }
    ck_assert_int_eq(wire_check(&recursive, buf_slice(&message), &err), RC_OK);
    wire_append_bytes(&message, 2, slice_str(""));
    ck_assert_int_eq(wire_check(&recursive, buf_slice(&message), &err), RC_TOO_LARGE);
    ck_assert_str_eq(err.text, "more than 1000000 fields in one");
    buf_clear(&message);
    for (size_t i = 0; i <= WIRE_UNKNOWN_MAX; i++) {
        wire_append_number(&message, 9, 0);
    }
    ck_assert_int_eq(wire_check(&recursive, buf_slice(&message), &err), RC_TOO_LARGE);
    ck_assert_str_eq(err.text, "more than 100000 unknown fields in one");
    buf_close(&message);
}
END_TEST

/* protobuf-c would copy all of the first for each further one. */
START_TEST(a_message_comes_once_where_there_may_be_one)
{
    struct buf inner = {0};
    struct buf outer = {0};
    struct errmsg err;
    wire_append_bytes(&inner, 3, slice_str(""));
    wire_append_bytes(&outer, 1, buf_slice(&inner));
    wire_append_bytes(&outer, 3, buf_slice(&inner));
    wire_append_bytes(&outer, 1, buf_slice(&inner));
    ck_assert_int_eq(wire_check(&recursive, buf_slice(&outer), &err), RC_OK);
    wire_append_bytes(&outer, 3, slice_str(""));
    ck_assert_int_eq(wire_check(&recursive, buf_slice(&outer), &err), RC_INVALID);
    ck_assert_str_eq(err.text, "one: is there twice, at most once is possible");
    wire_append_bytes(&inner, 3, slice_str(""));
    buf_clear(&outer);
    wire_append_bytes(&outer, 1, buf_slice(&inner));
    ck_assert_int_eq(wire_check(&recursive, buf_slice(&outer), &err), RC_INVALID);
    buf_close(&inner);
    buf_close(&outer);
}
END_TEST

START_TEST(strings_are_checked_at_any_depth)
{
    struct buf inner = {0};
    struct buf outer = {0};
    struct errmsg err;
    wire_append_bytes(&inner, 2, slice_str("fine"));
    wire_append_bytes(&outer, 1, buf_slice(&inner));
    ck_assert_int_eq(wire_check(&recursive, buf_slice(&outer), &err), RC_OK);
    buf_clear(&inner);
    buf_clear(&outer);
    wire_append_bytes(&inner, 2, slice_str("\xff"));
    wire_append_bytes(&outer, 1, buf_slice(&inner));
    ck_assert_int_eq(wire_check(&recursive, buf_slice(&outer), &err), RC_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "text"));
    buf_close(&inner);
    buf_close(&outer);
}
END_TEST

START_TEST(every_prefix_of_a_message_is_handled)
{
    const uint8_t message[] = {0x0a, 2, 0x12, 0, 0x12, 1, 'x', 0x18, 0x96, 1, 0x25, 1, 2, 3,
                               4,    0x29, 1, 2, 3, 4, 5, 6, 7, 8};
    struct errmsg err;
    ck_assert_int_eq(wire_check(&recursive, slice_make(message, sizeof message), &err), RC_OK);
    size_t ends = 0;
    for (size_t size = 0; size < sizeof message; size++) {
        enum status rc = wire_check(&recursive, slice_make(message, size), &err);
        ck_assert(rc == RC_OK || rc == RC_MALFORMED);
        ends += rc == RC_OK;
    }
    ck_assert_uint_eq(ends, 5); /* between the fields */
}
END_TEST

START_TEST(pieces_make_the_message_that_protobuf_c_makes)
{
    Coord__V1__Expect expect;
    Coord__V1__SetRequest request;
    coord__v1__expect__init(&expect);
    coord__v1__set_request__init(&request);
    expect.version = 300;
    request.expect = &expect;
    uint8_t packed[64];
    size_t bytes = coord__v1__set_request__pack(&request, packed);
    struct buf pieces = {0};
    wire_append_message(&pieces, 4, &expect.base);
    ck_assert(slice_equal(buf_slice(&pieces), slice_make(packed, bytes)));
    buf_close(&pieces);
}
END_TEST

static Suite *wire_suite(void)
{
    Suite *suite = suite_create("wire");
    TCase *tcase = tcase_create("wire");
    tcase_add_test(tcase, nesting_is_taken_up_to_the_limit);
    tcase_add_test(tcase, messages_are_counted_before_they_are_unpacked);
    tcase_add_test(tcase, fields_are_counted_before_they_are_unpacked);
    tcase_add_test(tcase, a_message_comes_once_where_there_may_be_one);
    tcase_add_test(tcase, strings_are_checked_at_any_depth);
    tcase_add_test(tcase, every_prefix_of_a_message_is_handled);
    tcase_add_test(tcase, pieces_make_the_message_that_protobuf_c_makes);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){wire_suite, NULL});
}
