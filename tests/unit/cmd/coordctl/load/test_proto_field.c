#include "cmd/coordctl/load/proto_field.h"

#include "coord/v1/tree.pb-c.h"
#include "tests/support/check_main.h"

START_TEST(what_is_written_is_what_protobuf_reads)
{
    struct buf out = {0};
    proto_put_bytes(&out, 2, slice_str("/a/b"));
    proto_put_bytes(&out, 3, slice_make("\0x", 2));
    proto_put_number(&out, 6, 1);
    Coord__V1__CreateRequest *r = coord__v1__create_request__unpack(NULL, out.size, out.data);
    ck_assert_ptr_nonnull(r);
    ck_assert_str_eq(r->path, "/a/b");
    ck_assert_uint_eq(r->data.len, 2);
    ck_assert(r->make_parents);
    coord__v1__create_request__free_unpacked(r, NULL);
    buf_close(&out);
}
END_TEST

START_TEST(fields_of_a_message_come_in_order)
{
    struct buf out = {0};
    proto_put_number(&out, 4, UINT64_MAX);
    proto_put_bytes(&out, 300, slice_str("text"));
    struct slice in = buf_slice(&out);
    struct proto_field f;
    ck_assert(proto_next(&in, &f));
    ck_assert(f.field == 4 && f.number == UINT64_MAX);
    ck_assert(proto_next(&in, &f));
    ck_assert(f.field == 300 && slice_is(f.bytes, "text"));
    ck_assert(!proto_next(&in, &f));
    buf_close(&out);
}
END_TEST

/* Every prefix of a message, and every byte of it changed, ends without reading beyond it. */
START_TEST(damaged_messages_end)
{
    struct buf out = {0};
    proto_put_bytes(&out, 1, slice_str("inside"));
    proto_put_number(&out, 2, 70000);
    proto_put_bytes(&out, 3, slice_str("more"));
    for (size_t i = 0; i < out.size; i++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t *copy = malloc(out.size);
            memcpy(copy, out.data, out.size);
            copy[i] = (uint8_t)value;
            struct slice in = slice_make(copy, value == 0 ? i : out.size);
            struct proto_field f;
            size_t fields = 0;
            while (proto_next(&in, &f)) {
                fields++;
            }
            ck_assert_uint_le(fields, out.size);
            free(copy);
        }
    }
    buf_close(&out);
}
END_TEST

static Suite *proto_field_suite(void)
{
    Suite *suite = suite_create("proto_field");
    TCase *tests = tcase_create("proto_field");
    tcase_add_test(tests, what_is_written_is_what_protobuf_reads);
    tcase_add_test(tests, fields_of_a_message_come_in_order);
    tcase_add_test(tests, damaged_messages_end);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){proto_field_suite, NULL});
}
