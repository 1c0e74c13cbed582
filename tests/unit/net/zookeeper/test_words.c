/* Four-letter words: what monitoring parses, who is refused, and that they are answered without a
 * leader. */
#include "store/rebirth.h"
#include "tests/support/check_main.h"
#include "tests/support/zk_say.h"

static struct zk_world w;

static void setup(void)
{
    struct zk_settings settings = zk_settings_default;
    ck_assert_ptr_null(zk_words_parse("*", &settings.words));
    settings.client_port = 7400;
    zk_world_open(&w, &settings);
}

static void teardown(void)
{
    zk_world_close(&w);
}

/* The answer, valid until the next. */
static const char *ask(const char *word)
{
    static struct buf text;
    struct zk_peer *p = zk_peer_open(&w, "192.0.2.99:1");
    zk_peer_feed(p, slice_str(word));
    zk_world_run(&w);
    ck_assert(p->is_closed);
    buf_clear(&text);
    buf_append_slice(&text, buf_slice(&p->out));
    *buf_extend(&text, 1) = '\0';
    zk_peer_free(p);
    return (const char *)text.data;
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

#define EXPECT_HAS(text, part) ck_assert_msg(has(text, part), "no \"%s\" in:\n%s", part, text)

START_TEST(ruok_and_isro_are_answered_in_a_word)
{
    ck_assert_str_eq(ask("ruok"), "imok");
    ck_assert_str_eq(ask("ruok\r\n"), "imok");
    ck_assert_str_eq(ask("isro"), "rw");
}
END_TEST

START_TEST(words_are_answered_without_a_leader)
{
    static const char not_serving[] =
        "This ZooKeeper instance is not currently serving requests\n";
    w.node->is_serving = false;
    ck_assert_str_eq(ask("ruok"), "imok");
    ck_assert_str_eq(ask("isro"), "null");
    ck_assert_str_eq(ask("srvr"), not_serving);
    ck_assert_str_eq(ask("mntr"), not_serving);
    EXPECT_HAS(ask("conf"), "clientPort=7400\n");
    EXPECT_HAS(ask("envi"), "zookeeper.version=3.8.0-");
}
END_TEST

START_TEST(srvr_and_stat_tell_counts_and_the_mode)
{
    struct zk_peer *p = zk_peer_connect(&w, "192.0.2.7:51434");
    ck_assert_str_eq(zk_ask_create(p, "/a"), "ok /a");
    const char *text = ask("srvr");
    EXPECT_HAS(text, "Zookeeper version: 3.8.0-");
    EXPECT_HAS(text, ", built on 01/01/2026 00:00 GMT\n"); /* the form that Go's client takes */
    EXPECT_HAS(text, "\nLatency min/avg/max: 0/0/0\n");
    EXPECT_HAS(text, "\nReceived: 2\nSent: 2\nConnections: 2\nOutstanding: 0\nZxid: 0x2\n"
                     "Mode: leader\nNode count: 5\nProposal sizes last/min/max: 50/40/90\n");
    text = ask("stat");
    EXPECT_HAS(text, "\nClients:\n /192.0.2.7:51434[1](queued=0,recved=2,sent=2)\n");
    EXPECT_HAS(text, "\n\nLatency min/avg/max: ");
}
END_TEST

START_TEST(latencies_are_measured_from_request_to_reply)
{
    struct zk_peer *p = zk_peer_connect(&w, "192.0.2.7:51434");
    w.node->is_held = true;
    struct buf body = zk_create_body("/a", "", 0);
    (void)zk_send(p, ZK_CREATE, &body);
    zk_world_advance(&w, 300);
    w.node->is_held = false;
    zk_world_run(&w);
    ck_assert_str_eq(zk_say_next(p, ZK_CREATE), "ok /a");
    EXPECT_HAS(ask("srvr"), "Latency min/avg/max: 0/150/300\n");
    EXPECT_HAS(ask("cons"), ",llat=300,minlat=0,avglat=150,maxlat=300)\n");
    ck_assert_str_eq(ask("srst"), "Server stats reset.\n");
    EXPECT_HAS(ask("srvr"), "Latency min/avg/max: 0/0/0\nReceived: 0\n");
    ck_assert_str_eq(ask("crst"), "Connection stats reset.\n");
    EXPECT_HAS(ask("cons"), "(queued=0,recved=0,sent=0,sid=");
}
END_TEST

START_TEST(cons_tells_of_each_session)
{
    struct zk_peer *p = zk_peer_connect(&w, "192.0.2.7:51434");
    char wanted[200];
    ck_assert_str_eq(zk_ask_path(p, ZK_GET_CHILDREN, "/", false), "ok [ zookeeper ]");
    (void)snprintf(
        wanted, sizeof wanted,
        " /192.0.2.7:51434[1](queued=0,recved=2,sent=2,sid=0x%llx,lop=GETC,est=100000,"
        "to=10000,lcxid=0x1,lzxid=0x1,",
        (unsigned long long)p->session);
    EXPECT_HAS(ask("cons"), wanted);
}
END_TEST

START_TEST(mntr_has_one_number_a_line)
{
    struct zk_peer *p = zk_peer_connect(&w, "192.0.2.7:51434");
    ck_assert_str_eq(zk_ask(p, ZK_CREATE, zk_create_body("/e", "", ZK_FLAG_EPHEMERAL)),
                     "ok /e");
    ck_assert_str_eq(zk_ask_path(p, ZK_EXISTS, "/x", true), "-101");
    const char *text = ask("mntr");
    static const char *const lines[] = {
        "zk_version\t3.8.0-",
        "\nzk_server_state\tleader\n",
        "\nzk_znode_count\t5\n",
        "\nzk_watch_count\t1\n",
        "\nzk_ephemerals_count\t1\n",
        "\nzk_global_sessions\t1\n",
        "\nzk_packets_received\t3\n",
        "\nzk_num_alive_connections\t2\n",
        "\nzk_avg_latency\t0\n",
        "\nzk_outstanding_requests\t0\n",
        "\nzk_synced_followers\t0\n",
        "\nzk_leader_uptime\t1000\n",
        "\nzk_last_proposal_size\t50\nzk_min_proposal_size\t40\nzk_max_proposal_size\t90\n",
        "\nzk_connection_rejected\t0\n",
        "\nzk_cnt_readlatency\t1\nzk_sum_readlatency\t0\n",
        "\nzk_cnt_updatelatency\t2\nzk_sum_updatelatency\t0\n", /* and the session */
        "\nzk_connection_request_count\t1\n",
        "\nzk_bytes_received_count\t",
        "\nzk_response_bytes\t",
        "\nzk_approximate_data_size\t",
        "\nzk_open_file_descriptor_count\t",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        EXPECT_HAS(text, lines[i]);
    }
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        ck_assert_int_eq(strncmp(line, "zk_", 3), 0);
        ck_assert(strchr(line, '\t') != NULL && strchr(line, '\t') < strchr(line, '\n'));
    }
}
END_TEST

START_TEST(watches_are_counted_and_listed)
{
    struct zk_peer *p = zk_peer_connect(&w, "192.0.2.7:51434");
    struct zk_peer *q = zk_peer_connect(&w, "192.0.2.8:51434");
    char wanted[200];
    ck_assert_str_eq(zk_ask_path(p, ZK_EXISTS, "/x", true), "-101");
    ck_assert_str_eq(zk_ask_path(q, ZK_EXISTS, "/x", true), "-101");
    ck_assert_str_eq(zk_ask_path(q, ZK_GET_CHILDREN, "/", true), "ok [ zookeeper ]");
    ck_assert_str_eq(zk_ask(q, ZK_ADD_WATCH, zk_version_body("/", 0)), "ok 0");
    ck_assert_str_eq(ask("wchs"), "2 connections watching 2 paths\nTotal watches:4\n");
    (void)snprintf(wanted, sizeof wanted, "0x%llx\n\t/x\n", (unsigned long long)p->session);
    EXPECT_HAS(ask("wchc"), wanted);
    (void)snprintf(wanted, sizeof wanted, "/\n\t0x%llx\n/x\n\t0x",
                   (unsigned long long)q->session);
    EXPECT_HAS(ask("wchp"), wanted);
}
END_TEST

/* As a snapshot does whose log begins behind what the watches were told. */
static void lose_the_log(void)
{
    struct rebirth rebirth;
    store_rebirth(w.node->store, &rebirth);
    w.node->index = store_applied_index(w.node->store);
    hub_dispatch(w.node->watches);
}

START_TEST(watches_whose_events_were_lost_are_not_listed)
{
    struct zk_peer *p = zk_peer_connect(&w, "192.0.2.7:51434");
    char wanted[200];
    ck_assert_str_eq(zk_ask_path(p, ZK_EXISTS, "/x", true), "-101");
    ck_assert_str_eq(zk_ask_path(p, ZK_GET_CHILDREN, "/", true), "ok [ zookeeper ]");
    p->is_full = true; /* it does not read: no turn ends it yet */
    lose_the_log();
    (void)snprintf(wanted, sizeof wanted, "0x%llx\n\n", (unsigned long long)p->session);
    ck_assert_str_eq(ask("wchc"), wanted);
    ck_assert_str_eq(ask("wchp"), "\n");
    EXPECT_HAS(ask("wchs"), "1 connections watching 0 paths\n");
    ck_assert(!p->is_closed);
    p->is_full = false;
    zk_world_run(&w);
    ck_assert(p->is_closed);
}
END_TEST

START_TEST(dump_lists_sessions_and_their_ephemerals)
{
    struct zk_peer *p = zk_peer_connect(&w, "192.0.2.7:51434");
    char wanted[200];
    ck_assert_str_eq(zk_ask(p, ZK_CREATE, zk_create_body("/e", "", ZK_FLAG_EPHEMERAL)),
                     "ok /e");
    const char *text = ask("dump");
    EXPECT_HAS(text, "SessionTracker dump:\nSession Sets (1)/(1):\n1 expire at ");
    (void)snprintf(wanted, sizeof wanted,
                   "ephemeral nodes dump:\nSessions with Ephemerals (1):\n0x%llx:\n\t/e\n",
                   (unsigned long long)p->session);
    EXPECT_HAS(text, wanted);
    (void)snprintf(wanted, sizeof wanted, "\tip: /192.0.2.7:51434 sessionId: 0x%llx\n",
                   (unsigned long long)p->session);
    EXPECT_HAS(text, "Connections dump:\nConnections Sets (2)/(2):\n1 expire at ");
    EXPECT_HAS(text, wanted);
}
END_TEST

START_TEST(dump_of_a_follower_lists_the_sessions_with_their_timeouts)
{
    struct zk_peer *p = zk_peer_connect(&w, "192.0.2.7:51434");
    char wanted[100];
    w.node->is_follower = true;
    (void)snprintf(wanted, sizeof wanted, "SessionTracker dump:\nGlobal Sessions(1):\n0x%llx\t",
                   (unsigned long long)p->session);
    EXPECT_HAS(ask("dump"), wanted);
}
END_TEST

START_TEST(a_word_that_the_settings_leave_out_is_refused)
{
    ck_assert_ptr_null(zk_words_parse("ruok,srvr", &w.settings.words));
    ck_assert_str_eq(ask("ruok"), "imok");
    ck_assert_str_eq(ask("stat"), "stat is not executed because it is not in the whitelist.\n");
    w.settings.words = zk_settings_default.words;
    EXPECT_HAS(ask("stat"), "Mode: leader");
    static const char *const costly[] = {"wchs", "dump", "wchc", "wchp", "crst", "srst"};
    for (size_t i = 0; i < sizeof costly / sizeof costly[0]; i++) {
        EXPECT_HAS(ask(costly[i]), " is not executed because it is not in the whitelist.");
    }
}
END_TEST

START_TEST(what_is_no_word_is_closed)
{
    ck_assert_str_eq(ask("abcd"), "");
    uint32_t words;
    ck_assert_ptr_nonnull(zk_words_parse("ruok,abcd", &words));
    ck_assert_ptr_nonnull(zk_words_parse("ruok,,", &words));
    ck_assert_ptr_null(zk_words_parse("none", &words));
    ck_assert_uint_eq(words, 0);
}
END_TEST

static Suite *words_suite(void)
{
    Suite *suite = suite_create("zookeeper words");
    TCase *tcase = tcase_create("words");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, ruok_and_isro_are_answered_in_a_word);
    tcase_add_test(tcase, words_are_answered_without_a_leader);
    tcase_add_test(tcase, srvr_and_stat_tell_counts_and_the_mode);
    tcase_add_test(tcase, latencies_are_measured_from_request_to_reply);
    tcase_add_test(tcase, cons_tells_of_each_session);
    tcase_add_test(tcase, mntr_has_one_number_a_line);
    tcase_add_test(tcase, watches_are_counted_and_listed);
    tcase_add_test(tcase, watches_whose_events_were_lost_are_not_listed);
    tcase_add_test(tcase, dump_lists_sessions_and_their_ephemerals);
    tcase_add_test(tcase, dump_of_a_follower_lists_the_sessions_with_their_timeouts);
    tcase_add_test(tcase, a_word_that_the_settings_leave_out_is_refused);
    tcase_add_test(tcase, what_is_no_word_is_closed);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){words_suite, NULL});
}
