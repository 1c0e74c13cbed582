/* The transport between members: who is refused, and bytes that no member sends. */
#include "tests/support/peer_kit.h"

/* Opens sides 0 (id 1) and 1 with `options` for the latter changed by the caller before. */
static void expect_refusal(const struct peers_options *changed, const char *reason)
{
    side_open(0, 1);
    side_open_with(1, changed);
    peers_add(sides[0].peers, 2, hosts[1], hosts[1], PORT);
    side_knows(&sides[1], 0);
    run_for(PEER_IMPATIENT_MS - 1);
    ck_assert_int_eq(sides[0].ups, 0);
    ck_assert(!peers_is_up(sides[1].peers, 1));
    ck_assert_int_eq(times_logged(&sides[1], reason) + times_logged(&sides[0], reason), 1);
    ck_assert_int_eq(times_logged(&sides[0], "peer.unreachable") +
                         times_logged(&sides[0], "peer.refused"),
                     1);
}

START_TEST(another_cluster_is_refused)
{
    side_prepare(1);
    struct peers_options options = side_options(&sides[1], 1, 2);
    options.cluster_id = CLUSTER + 1;
    expect_refusal(&options, "it belongs to cluster 00000000000000c1, this node to "
                             "00000000000000c2");
}
END_TEST

START_TEST(another_node_at_the_address_is_refused)
{
    side_prepare(1);
    struct peers_options options = side_options(&sides[1], 1, 3);
    expect_refusal(&options,
                   "it wants to reach node 0000000000000002, this is 0000000000000003");
}
END_TEST

START_TEST(another_name_is_refused)
{
    side_prepare(1);
    struct peers_options options = side_options(&sides[1], 1, 2);
    options.name = "mallory";
    expect_refusal(&options, "node 0000000000000002 calls itself 'mallory', not 'beta'");
}
END_TEST

START_TEST(a_stranger_is_refused_until_it_is_a_member)
{
    side_open(0, 1);
    side_open(1, 2);
    side_knows(&sides[0], 1);
    run_for(3000);
    ck_assert_int_eq(sides[0].ups, 0);
    ck_assert_int_eq(times_logged(&sides[1], "node 0000000000000001 is not a member"), 1);
    side_knows(&sides[1], 0);
    run_for(PEER_RECONNECT_MS_MAX);
    ck_assert(peers_is_up(sides[0].peers, 2));
    /* And again once it is none any more. */
    peers_remove(sides[1].peers, 1);
    ck_assert_int_eq(sides[1].downs, 0);
    run_for(3000);
    ck_assert_int_eq(sides[0].downs, 1);
    ck_assert(!peers_is_up(sides[0].peers, 2));
    ck_assert(!send_term(&sides[1], 1, 1));
}
END_TEST

START_TEST(a_node_with_the_same_id_and_a_node_itself_are_refused)
{
    side_open(0, 1);
    side_open(1, 2);
    peers_add(sides[0].peers, 9, "", hosts[0], PORT); /* its own address */
    run_for(1000);
    ck_assert_int_eq(times_logged(&sides[0], "this node is connected to itself"), 1);
    ck_assert_int_eq(sides[0].ups, 0);

    side_prepare(2);
    struct peers_options options = side_options(&sides[2], 2, 2);
    options.boot_id = 5; /* not the same process as side 1 */
    side_open_with(2, &options);
    peers_add(sides[2].peers, 3, "", hosts[1], PORT);
    run_for(1000);
    ck_assert_int_eq(times_logged(&sides[1], "it has the node id of this node"), 1);
}
END_TEST

/* A raw connection to side 0. */
struct raw {
    struct env_stream *stream;
    struct buf in;
    bool is_open, is_closed;
};

static void raw_open(void *owner)
{
    ((struct raw *)owner)->is_open = true;
}

static void raw_data(void *owner, struct slice bytes)
{
    buf_append_slice(&((struct raw *)owner)->in, bytes);
}

static void raw_closed(void *owner, enum status rc)
{
    (void)rc;
    ((struct raw *)owner)->is_closed = true;
}

static const struct env_stream_events raw_events = {
    .open = raw_open, .data = raw_data, .closed = raw_closed};

static void raw_connect(struct raw *r, struct env *from)
{
    *r = (struct raw){0};
    r->stream = from->net->connect(from, hosts[0], PORT, &raw_events, r);
    fake_net_settle(net);
    ck_assert(r->is_open && !r->is_closed);
}

static void raw_close(struct raw *r, struct env *from)
{
    if (!r->is_closed) {
        from->net->close(r->stream, false);
    }
    buf_close(&r->in);
}

static void hello_bytes(struct buf *out, uint32_t format, uint64_t from)
{
    message_encode(out, &(struct message){.type = MESSAGE_HELLO,
                                          .hello = {.format = format,
                                                    .cluster_id = CLUSTER,
                                                    .node_id = from,
                                                    .target_id = 5,
                                                    .boot_id = 3,
                                                    .name = slice_str("beta")}});
}

/* Sends `bytes` to a node with id 5 that knows member 2, and expects to be thrown out. */
static void expect_thrown_out(struct slice bytes, const char *reason)
{
    struct env *from = fake_net_host(net, "raw");
    struct raw r;
    side_open(0, 5);
    peers_add(sides[0].peers, 2, "beta", "beta", PORT);
    raw_connect(&r, from);
    (void)from->net->write(r.stream, bytes);
    fake_net_settle(net);
    ck_assert(r.is_closed);
    ck_assert_int_eq(times_logged(&sides[0], reason), 1);
    ck_assert_int_eq(sides[0].ups, sides[0].downs);
    ck_assert_uint_eq(sides[0].received, 0);
    raw_close(&r, from);
}

START_TEST(another_protocol_is_thrown_out)
{
    expect_thrown_out(slice_str("GET / HTTP/1.1\r\n\r\n"), "is announced, the limit is 4096");
}
END_TEST

START_TEST(noise_is_thrown_out)
{
    expect_thrown_out(slice_make("\x10\0\0\0aaaabbbbcccccccccccccccccccc", 32),
                      "the header of a frame is damaged");
}
END_TEST

START_TEST(another_format_is_thrown_out_though_nothing_else_of_it_can_be_read)
{
    struct buf out = {0};
    struct buf body = {0};
    hello_bytes(&out, MESSAGE_FORMAT + 1, 2);
    expect_thrown_out(buf_slice(&out), "it speaks format 3 of the peer protocol, this node 2");
    buf_close(&out);
    buf_close(&body);
}
END_TEST

START_TEST(anything_before_hello_is_thrown_out)
{
    struct buf out = {0};
    message_encode(&out, &(struct message){.type = MESSAGE_REQUEST_VOTE});
    expect_thrown_out(buf_slice(&out), "it does not begin with HELLO but with type 2");
    buf_close(&out);
}
END_TEST

static void expect_hello_thrown_out(const char *name, const char *address, const char *reason)
{
    struct buf out = {0};
    message_encode(&out, &(struct message){.type = MESSAGE_HELLO,
                                           .hello = {.format = MESSAGE_FORMAT,
                                                     .cluster_id = CLUSTER,
                                                     .node_id = 2,
                                                     .target_id = 5,
                                                     .boot_id = 3,
                                                     .name = slice_str(name),
                                                     .client_address = slice_str(address)}});
    expect_thrown_out(buf_slice(&out), reason);
    buf_close(&out);
}

START_TEST(a_name_that_is_no_text_is_thrown_out)
{
    expect_hello_thrown_out("b\xffta", "beta:7400", "its name is not valid UTF-8");
}
END_TEST

/* Names stand in lines of the log and in labels of metrics. */
START_TEST(a_name_that_no_member_can_have_is_thrown_out)
{
    expect_hello_thrown_out("b\nta", "beta:7400",
                            "its name has others than letters, digits, '-', '_' and '.'");
}
END_TEST

START_TEST(an_address_that_is_no_text_is_thrown_out)
{
    expect_hello_thrown_out("beta", "b\xffta:7400", "its client address is not valid UTF-8");
}
END_TEST

START_TEST(hello_twice_is_thrown_out)
{
    struct buf out = {0};
    hello_bytes(&out, MESSAGE_FORMAT, 2);
    hello_bytes(&out, MESSAGE_FORMAT, 2);
    expect_thrown_out(buf_slice(&out), "it says HELLO twice");
    ck_assert_int_eq(sides[0].ups, 1);
    buf_close(&out);
}
END_TEST

/* 5 connects to 8. What 8 begins itself counts only while 5 does not try. */
START_TEST(the_other_side_connecting_is_thrown_out_while_this_one_tries)
{
    struct buf out = {0};
    struct env *from = fake_net_host(net, "raw");
    struct raw r;
    side_open(0, 5);
    side_open(1, 8);
    fake_net_stall(sides[1].env, true);
    peers_add(sides[0].peers, 8, "", hosts[1], PORT);
    run_for(1);
    raw_connect(&r, from);
    hello_bytes(&out, MESSAGE_FORMAT, 8);
    (void)from->net->write(r.stream, buf_slice(&out));
    fake_net_settle(net);
    ck_assert(r.is_closed);
    ck_assert_int_eq(times_logged(&sides[0], "has to wait to be connected to"), 1);
    buf_close(&out);
    raw_close(&r, from);
}
END_TEST

START_TEST(the_higher_id_connects_when_the_lower_one_does_not)
{
    side_open(0, 1);
    side_open(1, 2);
    peers_add(sides[0].peers, 2, hosts[1], "", 0); /* it does not know where 2 is */
    side_knows(&sides[1], 0);
    run_for(PEER_IMPATIENT_MS - 1);
    ck_assert(!peers_is_up(sides[0].peers, 2));
    run_for(PEER_RECONNECT_MS + 1);
    ck_assert(peers_is_up(sides[0].peers, 2));
    ck_assert(peers_is_up(sides[1].peers, 1));
    fake_net_break(net, sides[0].env, sides[1].env);
    run_for(PEER_IMPATIENT_MS + 2 * PEER_RECONNECT_MS);
    ck_assert(peers_is_up(sides[0].peers, 2));
}
END_TEST

START_TEST(who_is_not_known_is_let_in_if_it_is_admitted)
{
    side_open(0, 1);
    side_open(1, 2);
    side_knows(&sides[1], 0);
    run_for(2 * PEER_IMPATIENT_MS);
    ck_assert_int_eq(sides[0].ups, 0);
    ck_assert_int_ge(times_logged(&sides[0], "is not a member of this cluster"), 1);
    sides[0].admits = 2;
    run_for(PEER_IMPATIENT_MS + PEER_RECONNECT_MS_MAX + 1);
    ck_assert(peers_is_up(sides[0].peers, 2));
    ck_assert(peers_is_up(sides[1].peers, 1));
    ck_assert(send_term(&sides[0], 2, 1));
    run_for(1);
    ck_assert_uint_eq(sides[1].received, 1);
}
END_TEST

START_TEST(who_is_not_admitted_is_told_why)
{
    side_open(0, 1);
    side_open(1, 2);
    side_knows(&sides[1], 0);
    sides[0].farewell = 2;
    run_for(2 * PEER_IMPATIENT_MS);
    ck_assert_int_eq(sides[0].ups, 0);
    ck_assert_uint_ge(sides[1].removals, 1);
    run_for(2 * PEER_HELLO_MS); /* and the connection does not stay for ever */
    ck_assert_int_ge(sides[1].downs, 1);
}
END_TEST

START_TEST(a_guest_asks_and_is_answered)
{
    struct buf out = {0};
    struct env *from = fake_net_host(net, "raw");
    struct raw r;
    side_open(0, 1);
    raw_connect(&r, from);
    struct message m = {.type = MESSAGE_HELLO,
                        .hello = {.format = MESSAGE_FORMAT, .node_id = 77}};
    message_encode(&out, &m);
    m = (struct message){.type = MESSAGE_MEMBER_ASK,
                         .member_ask = {.token = 5, .id = 77, .kind = MEMBER_JOIN}};
    message_encode(&out, &m);
    (void)from->net->write(r.stream, buf_slice(&out));
    fake_net_settle(net);
    ck_assert(!r.is_closed);
    ck_assert_uint_eq(sides[0].asked, 1);
    ck_assert_uint_gt(r.in.size, 2 * MESSAGE_HEADER_BYTES); /* its HELLO, and the answer */
    ck_assert_int_eq(sides[0].ups, 0);
    buf_clear(&out);
    message_encode(&out, &(struct message){.type = MESSAGE_REQUEST_VOTE});
    (void)from->net->write(r.stream, buf_slice(&out));
    fake_net_settle(net);
    ck_assert(r.is_closed);
    ck_assert_int_eq(times_logged(&sides[0], "a guest says something of type 2"), 1);
    buf_close(&out);
    raw_close(&r, from);
}
END_TEST

START_TEST(a_guest_that_does_not_read_its_answers_is_sent_away)
{
    enum { ASKS = 100000 };
    struct buf out = {0};
    struct env *from = fake_net_host(net, "raw");
    struct raw r;
    side_open(0, 1);
    raw_connect(&r, from);
    from->net->read_pause(r.stream, true);
    message_encode(&out, &(struct message){
                             .type = MESSAGE_HELLO,
                             .hello = {.format = MESSAGE_FORMAT, .node_id = 77}});
    for (int i = 0; i < ASKS; i++) {
        message_encode(&out, &(struct message){
                                 .type = MESSAGE_MEMBER_ASK,
                                 .member_ask = {.token = 5, .id = 77, .kind = MEMBER_JOIN}});
    }
    (void)from->net->write(r.stream, buf_slice(&out));
    fake_net_settle(net);
    ck_assert_uint_gt(sides[0].asked, 1000);
    ck_assert_uint_lt(sides[0].asked, ASKS / 2);
    ck_assert_int_eq(times_logged(&sides[0], "does not read the answers"), 1);
    buf_close(&out);
    raw_close(&r, from);
}
END_TEST

START_TEST(connections_without_hello_are_few_and_short)
{
    struct env *from = fake_net_host(net, "raw");
    static struct raw raws[PEER_STRANGERS_MAX + 10];
    size_t count = sizeof raws / sizeof raws[0];
    open_pair();
    uint64_t begin = fake_net_now(net);
    for (size_t i = 0; i < count; i++) {
        raw_connect(&raws[i], from);
        fake_net_advance(net, 1);
    }
    /* The oldest had to go; the newest may stay for their time. */
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(raws[i].is_closed, i < 10);
    }
    /* A member gets through all the same. */
    fake_net_break(net, sides[0].env, sides[1].env);
    run_for(50);
    ck_assert(peers_is_up(sides[0].peers, 2));
    run_for(begin + PEER_HELLO_MS + count + 1 - fake_net_now(net));
    for (size_t i = 0; i < count; i++) {
        ck_assert(raws[i].is_closed);
        raw_close(&raws[i], from);
    }
    ck_assert(peers_is_up(sides[0].peers, 2));
}
END_TEST

static Suite *peer_refused_suite(void)
{
    Suite *suite = suite_create("peer_refused");
    TCase *c = tcase_create("transport");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, another_cluster_is_refused);
    tcase_add_test(c, another_node_at_the_address_is_refused);
    tcase_add_test(c, another_name_is_refused);
    tcase_add_test(c, a_stranger_is_refused_until_it_is_a_member);
    tcase_add_test(c, a_node_with_the_same_id_and_a_node_itself_are_refused);
    tcase_add_test(c, another_protocol_is_thrown_out);
    tcase_add_test(c, noise_is_thrown_out);
    tcase_add_test(c, another_format_is_thrown_out_though_nothing_else_of_it_can_be_read);
    tcase_add_test(c, anything_before_hello_is_thrown_out);
    tcase_add_test(c, a_name_that_is_no_text_is_thrown_out);
    tcase_add_test(c, a_name_that_no_member_can_have_is_thrown_out);
    tcase_add_test(c, an_address_that_is_no_text_is_thrown_out);
    tcase_add_test(c, hello_twice_is_thrown_out);
    tcase_add_test(c, the_other_side_connecting_is_thrown_out_while_this_one_tries);
    tcase_add_test(c, the_higher_id_connects_when_the_lower_one_does_not);
    tcase_add_test(c, who_is_not_known_is_let_in_if_it_is_admitted);
    tcase_add_test(c, who_is_not_admitted_is_told_why);
    tcase_add_test(c, a_guest_asks_and_is_answered);
    tcase_add_test(c, a_guest_that_does_not_read_its_answers_is_sent_away);
    tcase_add_test(c, connections_without_hello_are_few_and_short);
    suite_add_tcase(suite, c);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){peer_refused_suite, NULL});
}
