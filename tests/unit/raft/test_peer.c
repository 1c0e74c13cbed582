/* The transport between members: how connections come about, are lost and found again, and change
 * with the members. */
#include "tests/support/peer_kit.h"

/* ---- coming about ---- */

START_TEST(two_members_make_one_connection_whoever_starts_first)
{
    open_pair();
    ck_assert_uint_eq(fake_net_open_streams(net), 2); /* its two ends */
    ck_assert_int_eq(sides[0].ups, 1);
    ck_assert_int_eq(sides[1].ups, 1);
    ck_assert_uint_eq(sides[0].hello_boot_id, 102);
    ck_assert_uint_eq(sides[1].hello_boot_id, 101);
    ck_assert_str_eq(peers_client_address(sides[0].peers, 2), "client:7400");
    ck_assert_uint_eq(peers_feature_level(sides[1].peers, 1), 1);
    ck_assert_uint_eq(peers_port(sides[1].peers), PORT);
    run_for(60000);
    ck_assert_int_eq(sides[0].ups, 1);
    ck_assert_uint_eq(fake_net_open_streams(net), 2);
}
END_TEST

START_TEST(messages_arrive_in_order_however_the_bytes_are_cut)
{
    fake_net_set_piece(net, 23);
    open_pair();
    for (uint64_t term = 1; term <= 200; term++) {
        ck_assert(send_term(&sides[0], 2, term));
        if (term % 7 == 0) {
            peers_flush(sides[0].peers);
            fake_net_step(net);
        }
    }
    peers_flush(sides[0].peers);
    fake_net_settle(net);
    ck_assert_uint_eq(sides[1].received, 200);
    ck_assert_uint_eq(sides[1].last_from, 1);
    ck_assert(sides[1].in_order);
}
END_TEST

START_TEST(one_turn_is_one_write_per_peer)
{
    open_pair();
    size_t before = fake_net_writes(sides[0].env);
    for (uint64_t term = 1; term <= 50; term++) {
        ck_assert(send_term(&sides[0], 2, term));
    }
    ck_assert_uint_eq(fake_net_writes(sides[0].env), before);
    peers_flush(sides[0].peers);
    ck_assert_uint_eq(fake_net_writes(sides[0].env), before + 1);
    peers_flush(sides[0].peers);
    ck_assert_uint_eq(fake_net_writes(sides[0].env), before + 1);
}
END_TEST

START_TEST(large_messages_arrive_whole)
{
    fake_net_set_piece(net, 60000);
    open_pair();
    for (int i = 0; i < 20; i++) {
        ck_assert(send_chunk(&sides[1], 1, MESSAGE_CHUNK_BYTES_MAX - (size_t)i));
    }
    peers_flush(sides[1].peers);
    fake_net_settle(net);
    ck_assert_uint_eq(sides[0].received, 20);
    ck_assert_uint_eq(sides[0].last_bytes, MESSAGE_CHUNK_BYTES_MAX - 19);
}
END_TEST

/* ---- losing and finding each other ---- */

START_TEST(a_lost_connection_is_back_within_50_ms)
{
    open_pair();
    fake_net_break(net, sides[0].env, sides[1].env);
    fake_net_settle(net);
    ck_assert_int_eq(sides[0].downs, 1);
    ck_assert_int_eq(sides[1].downs, 1);
    ck_assert(!peers_is_up(sides[0].peers, 2));
    run_for(50);
    ck_assert(peers_is_up(sides[0].peers, 2));
    ck_assert(peers_is_up(sides[1].peers, 1));
    ck_assert_int_eq(sides[0].ups, 2);
}
END_TEST

START_TEST(attempts_back_off_and_are_logged_once)
{
    side_prepare(1);
    sides[1].id = 2;
    side_open(0, 1);
    side_knows(&sides[0], 1);
    run_for(10000); /* nobody listens there */
    ck_assert_int_eq(times_logged(&sides[0], "peer.unreachable"), 1);
    /* 20 + 40 + ... + 320, then every 500 ms. */
    uint64_t first = peers_next_deadline_ms(sides[0].peers);
    ck_assert_uint_le(first - fake_net_now(net), PEER_RECONNECT_MS_MAX);
    struct peers_options options = side_options(&sides[1], 1, 2);
    side_open_with(1, &options);
    side_knows(&sides[1], 0);
    run_for(PEER_RECONNECT_MS_MAX);
    ck_assert(peers_is_up(sides[0].peers, 2));
    /* Success starts the back-off anew. */
    fake_net_break(net, sides[0].env, sides[1].env);
    run_for(50);
    ck_assert_int_eq(sides[0].ups, 2);
}
END_TEST

START_TEST(what_was_queued_before_a_loss_never_arrives_after_it)
{
    fake_net_set_piece(net, 100);
    open_pair();
    for (uint64_t term = 1; term <= 100; term++) {
        ck_assert(send_term(&sides[0], 2, term));
    }
    peers_flush(sides[0].peers);
    for (int i = 0; i < 5; i++) {
        fake_net_step(net); /* some of it arrives, the last frame only in part */
    }
    uint64_t before = sides[1].received;
    ck_assert_uint_lt(before, 100);
    for (uint64_t term = 101; term <= 110; term++) {
        ck_assert(send_term(&sides[0], 2, term)); /* not flushed */
    }
    fake_net_break(net, sides[0].env, sides[1].env);
    fake_net_settle(net);
    ck_assert(!send_term(&sides[0], 2, 111));
    run_for(50);
    ck_assert(peers_is_up(sides[0].peers, 2));
    ck_assert_uint_eq(sides[1].received, before);
    sides[1].last_term = 999;
    ck_assert(send_term(&sides[0], 2, 1000));
    run_for(1);
    ck_assert_uint_eq(sides[1].received, before + 1);
    ck_assert_uint_eq(sides[1].last_term, 1000);
}
END_TEST

START_TEST(a_restarted_peer_replaces_its_old_connection)
{
    open_pair();
    /* The old process is gone without a word, and the new one is at another address. */
    fake_net_cut(net, sides[0].env, sides[1].env, true);
    ck_assert(send_term(&sides[0], 2, 1));
    peers_flush(sides[0].peers);
    side_open(2, 1);
    side_knows(&sides[2], 1);
    run_for(1);
    ck_assert(peers_is_up(sides[2].peers, 2));
    ck_assert(peers_is_up(sides[1].peers, 1));
    ck_assert_int_eq(sides[1].ups, 2);
    ck_assert_int_eq(sides[1].downs, 1);
    ck_assert_int_eq(times_logged(&sides[1], "replaced by a newer connection"), 1);
    /* What was under way on the old one does not arrive, and its end is no loss. */
    peers_close(sides[0].peers);
    sides[0].peers = NULL;
    fake_net_cut(net, sides[0].env, sides[1].env, false);
    run_for(1);
    ck_assert_uint_eq(sides[1].received, 0);
    ck_assert_int_eq(sides[1].downs, 1);
    ck_assert(peers_is_up(sides[1].peers, 1));
}
END_TEST

START_TEST(idle_connections_live_and_silent_ones_end)
{
    open_pair();
    run_for(5 * PEER_SILENCE_MS);
    ck_assert_int_eq(sides[0].downs, 0); /* pinged */
    ck_assert_uint_eq(sides[0].received + sides[1].received, 0);
    fake_net_cut(net, sides[0].env, sides[1].env, true);
    run_for(PEER_SILENCE_MS - PEER_PING_MS - 1);
    ck_assert_int_eq(sides[0].downs + sides[1].downs, 0);
    run_for(PEER_PING_MS + 1);
    ck_assert_int_eq(sides[0].downs, 1);
    ck_assert_int_eq(sides[1].downs, 1);
    run_for(20000); /* attempts that lead nowhere time out */
    fake_net_cut(net, sides[0].env, sides[1].env, false);
    run_for(PEER_CONNECT_MS + PEER_RECONNECT_MS_MAX);
    ck_assert(peers_is_up(sides[0].peers, 2));
    ck_assert(peers_is_up(sides[1].peers, 1));
}
END_TEST

START_TEST(a_stalled_peer_costs_its_bound_and_drops_whole_messages)
{
    side_open(0, 1);
    side_open(1, 2);
    side_open(2, 3);
    side_knows(&sides[0], 1);
    side_knows(&sides[0], 2);
    side_knows(&sides[1], 0);
    side_knows(&sides[2], 0);
    run_for(1);
    fake_net_stall(sides[1].env, true);
    uint64_t sent = 0;
    uint64_t dropped = 0;
    for (int i = 0; i < 1000; i++) {
        if (send_chunk(&sides[0], 2, 100000)) {
            sent++;
        } else {
            dropped++;
        }
        peers_flush(sides[0].peers);
        ck_assert_uint_le(peers_queued(sides[0].peers, 2), PEER_QUEUE_BYTES_MAX);
        ck_assert(send_term(&sides[0], 3, (uint64_t)i + 1));
        peers_flush(sides[0].peers);
        fake_net_settle(net);
    }
    ck_assert_uint_gt(dropped, 600);
    ck_assert_uint_gt(sent, 300);
    ck_assert_uint_eq(sides[2].received, 1000); /* the other one never noticed */
    ck_assert(sides[2].in_order);
    fake_net_stall(sides[1].env, false);
    fake_net_settle(net);
    ck_assert_uint_eq(sides[1].received, sent);
    ck_assert_uint_eq(sides[1].last_bytes, 100000);
    ck_assert_uint_eq(peers_queued(sides[0].peers, 2), 0);
    ck_assert(send_term(&sides[0], 2, 1));
    run_for(1);
    ck_assert_uint_eq(sides[1].received, sent + 1);
}
END_TEST

/* ---- changing members ---- */

START_TEST(a_member_may_be_removed_by_what_it_says)
{
    open_pair();
    for (uint64_t term = 1; term <= 5; term++) {
        ck_assert(send_term(&sides[0], 2, term));
    }
    sides[1].remove_on_message = 1;
    peers_flush(sides[0].peers);
    fake_net_settle(net);
    ck_assert_uint_eq(sides[1].received, 1);
    ck_assert_int_eq(sides[1].downs, 0);
    ck_assert(!peers_is_up(sides[1].peers, 1));
}
END_TEST

START_TEST(a_member_may_be_removed_by_its_loss)
{
    open_pair();
    sides[0].remove_on_down = 2;
    sides[1].remove_on_down = 1;
    fake_net_break(net, sides[0].env, sides[1].env);
    run_for(1000);
    ck_assert_int_eq(sides[0].ups, 1);
    ck_assert_uint_eq(peers_next_deadline_ms(sides[0].peers), UINT64_MAX);
}
END_TEST

START_TEST(a_new_address_is_used_at_once)
{
    side_open(0, 1);
    side_open(1, 2);
    peers_add(sides[1].peers, 1, hosts[0], "", 0);
    peers_add(sides[0].peers, 2, hosts[1], "nowhere", PORT);
    run_for(5000);
    ck_assert_int_eq(sides[0].ups, 0);
    side_knows(&sides[0], 1);
    run_for(1);
    ck_assert(peers_is_up(sides[0].peers, 2));
    peers_add(sides[0].peers, 2, hosts[1], "elsewhere", PORT); /* the connection works: kept */
    run_for(1000);
    ck_assert_int_eq(sides[0].downs, 0);
}
END_TEST

START_TEST(metrics_count_bytes_connections_and_drops)
{
    struct buf text = {0};
    open_pair();
    ck_assert(send_term(&sides[0], 2, 1));
    run_for(1);
    fake_net_break(net, sides[0].env, sides[1].env);
    fake_net_settle(net);
    ck_assert(!send_term(&sides[0], 2, 2));
    run_for(50);
    metrics_print(sides[0].metrics, &text);
    pack_u8(&text, 0);
    const char *all = (const char *)text.data;
    ck_assert_ptr_nonnull(strstr(all, "coord_peer_connects_total{peer=\"beta\"} 2"));
    ck_assert_ptr_nonnull(strstr(all, "coord_peer_dropped_messages_total{peer=\"beta\"} 1"));
    ck_assert_ptr_nonnull(strstr(all, "coord_peer_up{peer=\"beta\"} 1"));
    ck_assert_ptr_nonnull(strstr(all, "coord_peer_sent_bytes_total{peer=\"beta\"} 36"));
    buf_close(&text);
}
END_TEST

static bool shows(struct side *s, const char *what)
{
    struct buf text = {0};
    metrics_print(s->metrics, &text);
    pack_u8(&text, 0);
    bool found = strstr((const char *)text.data, what) != NULL;
    buf_close(&text);
    return found;
}

START_TEST(metrics_of_a_member_end_when_it_leaves_or_has_another_name)
{
    open_pair();
    run_for(1);
    ck_assert(shows(&sides[0], "coord_peer_up{peer=\"beta\"} 1"));
    peers_add(sides[0].peers, 2, "gamma", hosts[1], PORT);
    ck_assert(!shows(&sides[0], "beta"));
    ck_assert(shows(&sides[0], "coord_peer_up{peer=\"gamma\"} 1"));
    peers_remove(sides[0].peers, 2);
    ck_assert(!shows(&sides[0], "coord_peer"));
}
END_TEST

/* Random faults: whatever happens, what arrives is in order and never twice, and in the end all is
 * well again. */
START_TEST(random_faults_never_reorder_or_repeat)
{
    struct rng r;
    rng_init(&r, (uint64_t)_i);
    fake_net_free(net);
    net = fake_net_new((uint64_t)_i);
    fake_net_set_piece(net, 50);
    open_pair();
    uint64_t term = 0;
    uint64_t highest = 0;
    for (int i = 0; i < 3000; i++) {
        switch (rng_below(&r, 12)) {
        case 0: fake_net_advance(net, rng_below(&r, 400)); break;
        case 1:
            if (rng_chance(&r, 100)) {
                fake_net_break(net, sides[0].env, sides[1].env);
            }
            break;
        case 2: fake_net_cut(net, sides[0].env, sides[1].env, rng_chance(&r, 300)); break;
        case 3: fake_net_stall(sides[1].env, rng_chance(&r, 300)); break;
        case 4: tick_all(); break;
        case 5:
        case 6: (void)send_term(&sides[0], 2, ++term); break;
        default: fake_net_step(net); break;
        }
        ck_assert_uint_ge(sides[1].last_term, highest);
        highest = sides[1].last_term;
    }
    ck_assert_uint_le(sides[1].received, term);
    fake_net_cut(net, sides[0].env, sides[1].env, false);
    fake_net_stall(sides[1].env, false);
    run_for(PEER_CONNECT_MS + PEER_SILENCE_MS + 1000);
    ck_assert(peers_is_up(sides[0].peers, 2));
    ck_assert(peers_is_up(sides[1].peers, 1));
    ck_assert_uint_gt(sides[1].received, 0);
    ck_assert(send_term(&sides[0], 2, term + 1));
    run_for(1);
    ck_assert_uint_eq(sides[1].last_term, term + 1);
}
END_TEST

static Suite *peer_suite(void)
{
    Suite *suite = suite_create("peer");
    TCase *c = tcase_create("transport");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, two_members_make_one_connection_whoever_starts_first);
    tcase_add_test(c, messages_arrive_in_order_however_the_bytes_are_cut);
    tcase_add_test(c, one_turn_is_one_write_per_peer);
    tcase_add_test(c, large_messages_arrive_whole);
    tcase_add_test(c, a_lost_connection_is_back_within_50_ms);
    tcase_add_test(c, attempts_back_off_and_are_logged_once);
    tcase_add_test(c, what_was_queued_before_a_loss_never_arrives_after_it);
    tcase_add_test(c, a_restarted_peer_replaces_its_old_connection);
    tcase_add_test(c, idle_connections_live_and_silent_ones_end);
    tcase_add_test(c, a_stalled_peer_costs_its_bound_and_drops_whole_messages);
    tcase_add_test(c, a_member_may_be_removed_by_what_it_says);
    tcase_add_test(c, a_member_may_be_removed_by_its_loss);
    tcase_add_test(c, a_new_address_is_used_at_once);
    tcase_add_test(c, metrics_count_bytes_connections_and_drops);
    tcase_add_test(c, metrics_of_a_member_end_when_it_leaves_or_has_another_name);
    tcase_add_loop_test(c, random_faults_never_reorder_or_repeat, 1, 21);
    suite_add_tcase(suite, c);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){peer_suite, NULL});
}
