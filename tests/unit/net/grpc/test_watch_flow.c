/* coord.v1.Watch under load: slow clients, many watches, progress, ends of all kinds, garbage. */
#include "tests/support/watch_client.h"

#include "base/rng.h"
#include "net/grpc/front.h"
#include "net/grpc/memory.h"
#include "net/memory.h"

#define OUTCOME(name) COORD__V1__OUTCOME__##name

static struct grpc_shared *shared(void)
{
    return peer->front_env.shared;
}

static size_t queued(void)
{
    return http2_queued(((const struct grpc_connection *)peer->state)->http2);
}

/* ---- slow clients ------------------------------------------------------------------------ */

START_TEST(a_client_that_does_not_read_costs_bounded_memory_and_catches_up)
{
    create("/a", "");
    struct stream s = stream_on_all(1);
    peer->client_hoards = true;
    uint64_t first = store_revision(node->store) + 1;
    for (int i = 0; i < 3000; i++) {
        set_large("/a", 'x', 10 << 10);
        run();
        ck_assert_uint_le(queued(), GRPC_STREAM_OUT_BYTES_MAX + (11 << 10));
    }
    struct hub_status status;
    hub_status(node->watches, &status);
    ck_assert_uint_eq(status.behind, 1);
    ck_assert_uint_gt(status.lag_revisions, 1000);

    peer->client_hoards = false;
    peer_call_consume(s.call);
    run();
    for (uint64_t revision = first; revision <= store_revision(node->store); revision++) {
        expect_event(&s, 1, "/a", revision);
    }
    expect_nothing(&s);
    hub_status(node->watches, &status);
    ck_assert_uint_eq(status.behind, 0);
    ck_assert_uint_eq(status.lag_revisions, 0);
    stream_close(&s);
}
END_TEST

START_TEST(the_lag_shows_in_what_a_slow_client_reads)
{
    create("/a", "");
    struct stream s = stream_on_all(1);
    peer->client_hoards = true;
    for (int i = 0; i < 300; i++) {
        set_large("/a", 'x', 10 << 10);
        run();
    }
    peer->client_hoards = false;
    peer_call_consume(s.call);
    run();
    uint64_t lag = 0;
    while (next(&s) != NULL) {
        uint64_t here = s.reply->header->revision - s.reply->revision;
        lag = here > lag ? here : lag;
    }
    ck_assert_uint_gt(lag, 100);
    stream_close(&s);
}
END_TEST

START_TEST(a_slow_stream_holds_no_other)
{
    create("/a", "");
    struct stream slow = stream_on_all(1);
    peer->client_hoards = true;
    for (int i = 0; i < 300; i++) {
        set_large("/a", 'x', 10 << 10);
        run();
    }
    peer->client_hoards = false; /* of what comes from now on */
    struct stream fast = stream_on_all(1);
    for (int i = 0; i < 100; i++) {
        uint64_t revision = set("/a", "small");
        run();
        expect_event(&fast, 1, "/a", revision);
    }
    stream_close(&slow);
    stream_close(&fast);
}
END_TEST

START_TEST(watches_of_a_full_stream_share_the_room_there_is)
{
    enum { WATCHES = 40 };
    char path[32];
    struct stream s = stream_open();
    for (unsigned i = 1; i <= WATCHES; i++) {
        (void)snprintf(path, sizeof path, "/w%u", i);
        create(path, "");
        watch_subtree(&s, i, path);
    }
    run();
    for (unsigned i = 1; i <= WATCHES; i++) {
        ck_assert_int_eq(next(&s)->type, TYPE(CREATED));
    }
    peer->client_hoards = true;
    for (int round = 0; round < 20; round++) {
        for (unsigned i = 1; i <= WATCHES; i++) {
            (void)snprintf(path, sizeof path, "/w%u", i);
            set_large(path, 'x', 20 << 10);
        }
        run();
    }
    /* Piece by piece, as the client makes room. */
    unsigned got[WATCHES + 1] = {0};
    unsigned total = 0;
    uint64_t last[WATCHES + 1] = {0};
    while (total < WATCHES * 20) {
        peer_call_consume(s.call);
        run();
        ck_assert_uint_le(queued(), GRPC_STREAM_OUT_BYTES_MAX + (21 << 10));
        unsigned before = total;
        while (next(&s) != NULL) {
            ck_assert_uint_gt(s.reply->revision, last[s.reply->watch_id]);
            last[s.reply->watch_id] = s.reply->revision;
            got[s.reply->watch_id]++;
            total++;
        }
        ck_assert_uint_gt(total, before);
        unsigned least = 20;
        unsigned most = 0;
        for (unsigned i = 1; i <= WATCHES; i++) {
            least = got[i] < least ? got[i] : least;
            most = got[i] > most ? got[i] : most;
        }
        ck_assert_uint_le(most - least, 8);
    }
    peer->client_hoards = false;
    stream_close(&s);
}
END_TEST

START_TEST(a_revision_in_pieces_waits_for_room_in_its_middle)
{
    create("/a", "");
    struct stream s = stream_on_all(1);
    peer->client_hoards = true;
    size_t bytes = 1 << 20;
    uint8_t *value = mem_zalloc(bytes);
    for (int i = 0; i < 3; i++) {
        set_large("/a", 'x', 400 << 10);
    }
    struct op ops[3] = {
        op_make(OP_CREATE, "/a/0", slice_make(value, bytes)),
        op_make(OP_CREATE, "/a/1", slice_make(value, bytes)),
        op_make(OP_CREATE, "/a/2", slice_make(value, bytes)),
    };
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = ops, .then_count = 3}};
    uint64_t revision = apply(&c);
    run();
    ask_progress(&s);
    run();
    uint64_t later = create("/b", "");
    size_t subs = 0;
    size_t marks = 0;
    bool done = false;
    while (!done) {
        peer_call_consume(s.call);
        run();
        ck_assert_uint_le(queued(),
                          GRPC_STREAM_OUT_BYTES_MAX + GRPC_EVENTS_BYTES_MAX + 4096);
        while (next(&s) != NULL) {
            if (s.reply->type == TYPE(PROGRESS)) {
                marks++;
                ck_assert_uint_le(s.reply->revision, subs == 3 ? later : revision - 1);
                continue;
            }
            if (s.reply->revision == revision) {
                ck_assert_uint_eq(s.reply->events[0]->sub, subs++);
                ck_assert_int_eq(s.reply->more, subs < 3);
            }
            done = s.reply->revision == later;
        }
    }
    ck_assert_uint_eq(subs, 3);
    ck_assert_uint_eq(marks, 1);
    peer->client_hoards = false;
    mem_free(value);
    stream_close(&s);
}
END_TEST

enum { LISTERS = 100 };

/* Listings on as many streams, asked for at once. */
static void list_all(struct stream *streams, Coord__V1__WatchCreate *request)
{
    request->list = true;
    for (size_t i = 0; i < LISTERS; i++) {
        streams[i] = stream_open();
        ask_create(&streams[i], request);
    }
}

static size_t entries_read(struct stream *s)
{
    size_t count = 0;
    while (next(s) != NULL) {
        count += s->reply->n_entries;
    }
    return count;
}

START_TEST(streams_that_go_on_at_once_share_the_room_of_their_connection)
{
    struct stream streams[LISTERS];
    size_t listed = 0;
    create("/a", "");
    set_large("/a", 'x', 1 << 20);
    Coord__V1__WatchCreate request = subtree(1, "/a");
    request.scope = COORD__V1__WATCH_CREATE__SCOPE__NODE;
    node->is_held = true;
    list_all(streams, &request);
    run();
    peer->client_sleeps = true;
    node->is_held = false;
    run();
    ck_assert_uint_gt(queued(), GRPC_OUT_BYTES_MAX - (2 << 20));
    ck_assert_uint_le(queued(), GRPC_OUT_BYTES_MAX + (2 << 20));
    peer->client_sleeps = false;
    run();
    for (size_t i = 0; i < LISTERS; i++) {
        listed += entries_read(&streams[i]);
        stream_close(&streams[i]);
    }
    ck_assert_uint_eq(listed, LISTERS);
}
END_TEST

START_TEST(a_turn_lists_only_so_many_nodes)
{
    enum { NODES = 6000 };
    char path[32];
    struct stream streams[LISTERS];
    for (int i = 0; i < NODES; i++) {
        (void)snprintf(path, sizeof path, "/%04d", i);
        create(path, "");
    }
    Coord__V1__WatchCreate request = subtree(1, "/");
    request.glob = text("none");
    node->is_held = true;
    list_all(streams, &request);
    run();
    node->is_held = false;
    node_turn(node);
    grpc_front.turn(peer->state);
    const struct grpc_connection *c = peer->state;
    ck_assert_uint_ge(c->scanned, GRPC_TURN_SCAN_MAX);
    ck_assert_uint_le(c->scanned, GRPC_TURN_SCAN_MAX + NODES);
    run();
    for (size_t i = 0; i < LISTERS; i++) {
        expect(&streams[i], 1, TYPE(CREATED));
        expect(&streams[i], 1, TYPE(LISTING));
        stream_close(&streams[i]);
    }
}
END_TEST

/* ---- progress ---------------------------------------------------------------------------- */

START_TEST(progress_tells_up_to_where_all_has_been_sent)
{
    struct stream s = stream_open();
    ask_progress(&s);
    run();
    ck_assert_uint_eq(expect(&s, 0, TYPE(PROGRESS))->revision, store_revision(node->store));
    watch_subtree(&s, 1, "/");
    run();
    expect(&s, 1, TYPE(CREATED));
    uint64_t revision = create("/a", "");
    ask_progress(&s);
    ask_progress(&s);
    run();
    expect_event(&s, 1, "/a", revision);
    ck_assert_uint_eq(expect(&s, 0, TYPE(PROGRESS))->revision, revision);
    ck_assert_uint_eq(expect(&s, 0, TYPE(PROGRESS))->revision, revision);
    expect_nothing(&s);
    stream_close(&s);
}
END_TEST

START_TEST(progress_is_as_far_as_the_slowest_watch)
{
    create("/a", "");
    struct stream s = stream_on_all(1);
    watch_subtree(&s, 2, "/none");
    run();
    expect(&s, 2, TYPE(CREATED));
    peer->client_hoards = true;
    for (int i = 0; i < 300; i++) {
        set_large("/a", 'x', 10 << 10);
        run();
    }
    ask_progress(&s);
    run();
    uint64_t sent = 0;
    bool is_told = false;
    while (!is_told) {
        peer_call_consume(s.call);
        run();
        while (next(&s) != NULL) {
            if (s.reply->type == TYPE(PROGRESS)) {
                /* Neither more than was sent before it, nor much less. */
                ck_assert_uint_le(s.reply->revision, sent);
                is_told = true;
            } else {
                ck_assert_uint_eq(s.reply->watch_id, 1);
                sent = s.reply->revision;
            }
        }
    }
    peer->client_hoards = false;
    stream_close(&s);
}
END_TEST

START_TEST(progress_waits_for_watches_that_have_not_begun)
{
    struct stream s = stream_on_all(1);
    uint64_t first = create("/a", "");
    uint64_t last = create("/b", "");
    run();
    expect_event(&s, 1, "/a", first);
    expect_event(&s, 1, "/b", last);
    Coord__V1__WatchCreate request = subtree(2, "/a");
    request.from_revision = first;
    node->is_held = true;
    ask_create(&s, &request);
    ask_progress(&s);
    run();
    expect_nothing(&s);
    node->is_held = false;
    run();
    expect(&s, 2, TYPE(CREATED));
    expect_event(&s, 2, "/a", first);
    ck_assert_uint_eq(expect(&s, 0, TYPE(PROGRESS))->revision, last);
    expect_nothing(&s);
    stream_close(&s);
}
END_TEST

START_TEST(progress_waits_for_a_listing_that_has_not_begun)
{
    create("/a", "");
    struct stream s = stream_open();
    Coord__V1__WatchCreate request = subtree(1, "/a");
    request.list = true;
    node->is_held = true;
    ask_create(&s, &request);
    ask_progress(&s);
    run();
    expect_nothing(&s);
    node->is_held = false;
    run();
    expect(&s, 1, TYPE(CREATED));
    ck_assert_uint_eq(expect(&s, 1, TYPE(LISTING))->n_entries, 1);
    expect(&s, 0, TYPE(PROGRESS));
    expect_nothing(&s);
    stream_close(&s);
}
END_TEST

START_TEST(progress_does_not_wait_for_a_watch_that_was_canceled_before_it_began)
{
    struct stream s = stream_open();
    node->is_held = true;
    watch_subtree(&s, 1, "/a");
    ask_progress(&s);
    run();
    expect_nothing(&s);
    ask_cancel(&s, 1);
    run();
    expect(&s, 1, TYPE(CANCELED));
    expect(&s, 0, TYPE(PROGRESS));
    expect_nothing(&s);
    stream_close(&s);
}
END_TEST

START_TEST(a_quiet_watch_is_told_its_progress_in_time)
{
    struct stream s = stream_open();
    Coord__V1__WatchCreate request = subtree(9, "/quiet");
    request.progress_ms = 200;
    ask_create(&s, &request);
    run();
    expect(&s, 9, TYPE(CREATED));
    uint64_t revision = create("/other", "");
    advance(199);
    expect_nothing(&s);
    advance(1);
    ck_assert_uint_eq(expect(&s, 9, TYPE(PROGRESS))->revision, revision);
    advance(100);
    revision = create("/quiet", "");
    run();
    expect_event(&s, 9, "/quiet", revision);
    advance(199);
    expect_nothing(&s);
    advance(1);
    ck_assert_uint_eq(expect(&s, 9, TYPE(PROGRESS))->revision, revision);
    ask_cancel(&s, 9);
    run();
    expect(&s, 9, TYPE(CANCELED));
    advance(1000);
    expect_nothing(&s);
    stream_close(&s);
}
END_TEST

START_TEST(there_is_no_progress_before_a_listing_is_out)
{
    char path[32];
    create("/l", "");
    for (int i = 0; i < 40; i++) {
        (void)snprintf(path, sizeof path, "/l/%03d", i);
        create(path, "");
        set_large(path, 'o', 100 << 10);
    }
    struct stream s = stream_open();
    peer->client_hoards = true;
    Coord__V1__WatchCreate request = subtree(1, "/l");
    request.list = true;
    request.progress_ms = 100;
    ask_create(&s, &request);
    run();
    ask_progress(&s);
    run();
    advance(1000);
    size_t listed = 0;
    size_t marks = 0;
    while (marks == 0) {
        peer_call_consume(s.call);
        run();
        while (next(&s) != NULL) {
            listed += s.reply->n_entries;
            marks += s.reply->type == TYPE(PROGRESS);
            ck_assert(marks == 0 || listed == 41);
        }
    }
    ck_assert_uint_eq(listed, 41);
    peer->client_hoards = false;
    stream_close(&s);
}
END_TEST

/* ---- memory ------------------------------------------------------------------------------ */

static struct memory memory;
static struct memory_hold own;
static struct memory_hold others;

static void hold_ignore(struct memory_hold *h)
{
    (void)h;
}

START_TEST(a_watch_waits_for_others_to_have_their_turn)
{
    create("/a", "");
    struct stream s = stream_on_all(1);
    memory_init(&memory, NULL, hold_ignore, hold_ignore);
    memory_hold_open(&memory, &own, "192.0.2.7:1");
    memory_hold_open(&memory, &others, "192.0.2.8:1");
    peer->front_env.memory = &own;
    memory_note(&others, MEMORY_REPLIES, MEMORY_BYTES_MAX / 2 + 1);
    uint64_t first = set_large("/a", 'x', 1 << 20);
    uint64_t second = set("/a", "small");
    ck_assert_uint_eq(queued(), 0);
    ck_assert(peer->is_awake);
    memory_turned(&others); /* they do not read: that is their matter */
    run();
    expect_event(&s, 1, "/a", first);
    expect_event(&s, 1, "/a", second);
    stream_close(&s);
}
END_TEST

/* ---- the length of a turn ---------------------------------------------------------------- */

static size_t written; /* in one turn */
static size_t pieces;
static uint64_t piece_ms; /* what each of them takes */

static bool takes_all(void *conn, struct slice bytes)
{
    struct peer *p = conn;
    buf_append_slice(&p->to_client, bytes);
    written += bytes.size;
    pieces++;
    p->env.now_ms += piece_ms;
    return true;
}

static size_t takes_all_at_once(void *conn)
{
    (void)conn;
    return 0;
}

static void list_in_turns(size_t stream_count, size_t bytes_most, size_t pieces_most)
{
    struct stream s[8];
    ck_assert_uint_le(stream_count, sizeof s / sizeof s[0]);
    peer->front_env.sink.write = takes_all;
    peer->front_env.sink.queued = takes_all_at_once;
    peer->is_blocked = true; /* no turn but those below */
    for (size_t i = 0; i < stream_count; i++) {
        s[i] = stream_open();
        Coord__V1__WatchCreate request = subtree(1, "/l");
        request.list = true;
        ask_create(&s[i], &request);
        peer_run(peer);
    }
    peer->is_blocked = false;
    size_t total = 0;
    do {
        written = 0;
        pieces = 0;
        peer->is_awake = false;
        grpc_front.turn(peer->state);
        ck_assert_uint_le(written, bytes_most);
        ck_assert_uint_le(pieces, pieces_most);
        total += written;
    } while (peer->is_awake);
    ck_assert_uint_gt(total, stream_count * 900 << 10);
    for (size_t i = 0; i < stream_count; i++) {
        run();
        size_t listed = 0;
        while (next(&s[i]) != NULL) {
            listed += s[i].reply->n_entries;
        }
        ck_assert_uint_eq(listed, 21);
        stream_close(&s[i]);
    }
}

START_TEST(a_client_that_takes_everything_at_once_does_not_keep_the_loop)
{
    char path[32];
    create("/l", "");
    for (int i = 0; i < 20; i++) {
        (void)snprintf(path, sizeof path, "/l/%03d", i);
        create(path, "");
        set_large(path, 'o', 48 << 10);
    }
    piece_ms = 0;
    list_in_turns(5, (1 << 20) + (512 << 10), SIZE_MAX);
    piece_ms = 1;
    list_in_turns(1, SIZE_MAX, 1);
}
END_TEST

/* ---- many -------------------------------------------------------------------------------- */

START_TEST(a_thousand_watches_on_a_stream_are_all_told)
{
    struct stream s = stream_open();
    for (uint64_t id = 1; id <= 1000; id++) {
        watch_subtree(&s, id, "/");
    }
    run();
    for (uint64_t id = 1; id <= 1000; id++) {
        expect(&s, id, TYPE(CREATED));
    }
    for (int round = 0; round < 3; round++) {
        uint64_t revision = apply_op(round == 0 ? OP_CREATE : OP_SET, "/a", slice_str("v"));
        run();
        bool is_told[1001] = {false};
        for (int i = 0; i < 1000; i++) {
            ck_assert_ptr_nonnull(next(&s));
            ck_assert_int_eq(s.reply->type, TYPE(EVENTS));
            ck_assert_uint_eq(s.reply->revision, revision);
            ck_assert(!is_told[s.reply->watch_id]);
            is_told[s.reply->watch_id] = true;
        }
        expect_nothing(&s);
    }
    stream_close(&s);
}
END_TEST

START_TEST(a_stream_takes_so_many_watches_and_no_more)
{
    struct stream s = stream_open();
    for (uint64_t id = 1; id <= GRPC_STREAM_WATCHES_MAX + 1; id++) {
        watch_subtree(&s, id, "/none");
    }
    run();
    ck_assert_uint_eq(shared()->watches->watch_count, GRPC_STREAM_WATCHES_MAX);
    size_t created = 0;
    size_t refused = 0;
    while (next(&s) != NULL) {
        if (s.reply->type == TYPE(CREATED)) {
            created++;
        } else {
            ck_assert_int_eq(s.reply->outcome, OUTCOME(LIMIT));
            ck_assert_str_eq(s.reply->text, "more than 10000 watches on one stream");
            ck_assert_uint_eq(s.reply->watch_id, GRPC_STREAM_WATCHES_MAX + 1);
            refused++;
        }
    }
    ck_assert_uint_eq(created, GRPC_STREAM_WATCHES_MAX);
    ck_assert_uint_eq(refused, 1);
    stream_close(&s);
    ck_assert_uint_eq(shared()->watches->watch_count, 0);
}
END_TEST

START_TEST(an_idle_watch_is_small)
{
    struct hub_status before;
    struct hub_status after;
    struct stream s = stream_open();
    char path[64];
    hub_status(node->watches, &before);
    for (uint64_t id = 1; id <= 5000; id++) {
        (void)snprintf(path, sizeof path, "/services/search/shard-%05u", (unsigned)id);
        watch_subtree(&s, id, path);
    }
    run();
    hub_status(node->watches, &after);
    size_t of_hub = (after.bytes - before.bytes) / 5000;
    size_t of_bucket = 2 * sizeof(void *);
    ck_assert_uint_le(sizeof(struct grpc_watch) + of_hub + of_bucket, 300);
    stream_close(&s);
}
END_TEST

/* ---- ends -------------------------------------------------------------------------------- */

START_TEST(a_client_that_has_said_all_keeps_its_watches)
{
    struct stream s = stream_open();
    Coord__V1__WatchCreate request = subtree(1, "/a");
    request.once = true;
    ask_create(&s, &request);
    peer_call_end(s.call);
    run();
    expect(&s, 1, TYPE(CREATED));
    ck_assert(!s.call->has_ended);
    uint64_t revision = create("/a", "");
    run();
    expect_event(&s, 1, "/a", revision);
    expect_canceled(&s, 1, OUTCOME(OK), "once");
    ck_assert(s.call->has_ended);
    ck_assert_int_eq(peer_call_code(s.call), GRPC_OK);
    stream_close(&s);
}
END_TEST

START_TEST(a_stream_without_watches_ends_with_its_client)
{
    struct stream s = stream_open();
    peer_call_end(s.call);
    run();
    ck_assert_int_eq(peer_call_code(s.call), GRPC_OK);
    stream_close(&s);
    s = stream_open();
    ask_progress(&s);
    peer_call_end(s.call);
    run();
    expect(&s, 0, TYPE(PROGRESS));
    ck_assert_int_eq(peer_call_code(s.call), GRPC_OK);
    stream_close(&s);
}
END_TEST

START_TEST(a_stream_that_ends_lets_go_of_everything_at_once)
{
    struct stream s = stream_on_all(1);
    node->is_held = true;
    watch_subtree(&s, 2, "/");
    run();
    ck_assert_uint_eq(shared()->watches->watch_count, 2);
    uint8_t garbage[] = {0, 0, 0, 0, 2, 0xff, 0xff};
    peer_call_send_bytes(s.call, garbage, sizeof garbage);
    run();
    ck_assert_int_eq(peer_call_code(s.call), GRPC_INTERNAL);
    ck_assert_uint_eq(shared()->watches->watch_count, 0);
    ck_assert_uint_eq(node->pending, 0);
    struct hub_status status;
    hub_status(node->watches, &status);
    ck_assert_uint_eq(status.watches, 0);
    node->is_held = false;
    stream_close(&s);
}
END_TEST

START_TEST(a_deadline_of_the_client_ends_its_stream)
{
    struct stream s = {.call = peer_call_open(peer, "/coord.v1.Watch/Watch",
                                              (const char *[]){"grpc-timeout", "1S", NULL})};
    watch_subtree(&s, 1, "/");
    run();
    expect(&s, 1, TYPE(CREATED));
    advance(1001);
    ck_assert_int_eq(peer_call_code(s.call), GRPC_DEADLINE_EXCEEDED);
    ck_assert_uint_eq(shared()->watches->watch_count, 0);
    create("/a", "");
    run();
    expect_nothing(&s);
    stream_close(&s);
}
END_TEST

START_TEST(a_stop_sends_the_clients_elsewhere)
{
    struct stream s = stream_on_all(1);
    grpc_front.stop(peer->state);
    run();
    ck_assert_int_eq(peer_call_code(s.call), GRPC_UNAVAILABLE);
    ck_assert_uint_eq(shared()->watches->watch_count, 0);
    stream_close(&s);
}
END_TEST

START_TEST(a_node_that_must_not_serve_sends_the_clients_elsewhere)
{
    struct stream s = stream_on_all(1);
    node->is_serving = false;
    node->submit_rc = RC_STOPPED;
    advance(1000);
    ck_assert_int_eq(peer_call_code(s.call), GRPC_UNAVAILABLE);
    ck_assert_uint_eq(shared()->watches->watch_count, 0);
    stream_close(&s);
}
END_TEST

START_TEST(a_node_that_is_cut_off_keeps_its_watches)
{
    struct stream s = stream_on_all(1);
    node->is_serving = false;
    for (int i = 0; i < 20; i++) {
        advance(1000);
    }
    ck_assert(!s.call->has_ended);
    uint64_t revision = create("/a", ""); /* it is back */
    run();
    expect_event(&s, 1, "/a", revision);
    stream_close(&s);
}
END_TEST

static const enum status failures[] = {RC_NO_LEADER, RC_TIMEOUT, RC_STALE, RC_STOPPED};

START_TEST(a_node_that_cannot_get_fresh_sends_the_client_elsewhere)
{
    struct stream s = stream_on_all(1);
    node->finish_rc = failures[_i];
    watch_subtree(&s, 2, "/");
    watch_subtree(&s, 3, "/");
    run();
    expect_nothing(&s);
    ck_assert_int_eq(peer_call_code(s.call), GRPC_UNAVAILABLE);
    ck_assert_uint_eq(node->pending, 0);
    stream_close(&s);
    node->finish_rc = RC_OK;
    node->submit_rc = failures[_i];
    s = stream_open();
    watch_subtree(&s, 2, "/");
    run();
    ck_assert_int_eq(peer_call_code(s.call), GRPC_UNAVAILABLE);
    node->submit_rc = RC_OK;
    stream_close(&s);
}
END_TEST

/* ---- garbage ----------------------------------------------------------------------------- */

START_TEST(random_bytes_as_requests_end_a_stream_and_nothing_else)
{
    struct rng rng;
    rng_init(&rng, 1);
    for (int round = 0; round < 1000; round++) {
        struct stream s = stream_open();
        uint8_t bytes[64];
        for (int i = 0; i < 4; i++) {
            size_t size = rng_below(&rng, sizeof bytes - GRPC_PREFIX_BYTES);
            memset(bytes, 0, GRPC_PREFIX_BYTES);
            bytes[4] = (uint8_t)size;
            for (size_t k = 0; k < size; k++) {
                /* Mostly small numbers: tags and lengths that mean something. */
                bytes[GRPC_PREFIX_BYTES + k] =
                    (uint8_t)rng_below(&rng, rng_chance(&rng, 800) ? 32 : 256);
            }
            if (!s.call->has_ended) {
                peer_call_send_bytes(s.call, bytes, GRPC_PREFIX_BYTES + size);
            }
            run();
        }
        while (next(&s) != NULL) {
        }
        stream_close(&s);
    }
    ck_assert_uint_eq(shared()->watches->watch_count, 0);
}
END_TEST

/* What a client knows about one of its watches. */
struct known {
    bool is_created;
    bool is_listing; /* or in the middle of a revision: `more` was set */
    uint64_t revision;
};

/* Whatever is asked for, each watch tells a story that makes sense. */
static void story_check(struct known *known, const Coord__V1__WatchReply *reply)
{
    struct known *k = &known[reply->watch_id];
    if (reply->watch_id == 0) {
        ck_assert(reply->type == TYPE(PROGRESS) || reply->type == TYPE(CANCELED));
        return;
    }
    switch (reply->type) {
    case TYPE(CREATED):
        ck_assert(!k->is_created);
        *k = (struct known){.is_created = true, .revision = reply->revision - 1};
        break;
    case TYPE(LISTING):
        ck_assert(k->is_created);
        k->revision = reply->revision;
        k->is_listing = reply->more;
        break;
    case TYPE(EVENTS):
        ck_assert(k->is_created && reply->n_events > 0);
        ck_assert_uint_gt(reply->revision, k->revision);
        k->is_listing = reply->more;
        k->revision = reply->more ? k->revision : reply->revision;
        break;
    case TYPE(PROGRESS):
        ck_assert(k->is_created && !k->is_listing);
        ck_assert_uint_ge(reply->revision, k->revision);
        k->revision = reply->revision;
        break;
    case TYPE(COMPACTED): ck_assert(k->is_created); break;
    default:
        if (reply->outcome != OUTCOME(BAD_ARGUMENTS)) {
            *k = (struct known){0};
        }
        break;
    }
}

START_TEST(any_sequence_of_requests_tells_a_story_that_makes_sense)
{
    struct rng rng;
    rng_init(&rng, (uint64_t)_i + 1);
    const char *paths[] = {"/", "/a", "/a/b", "/a/b/c", "/d"};
    for (size_t i = 1; i < 5; i++) {
        create(paths[i], "");
    }
    struct stream s = stream_open();
    struct known known[12] = {{0}};
    for (int step = 0; step < 1000; step++) {
        uint64_t dice = rng_below(&rng, 100);
        if (dice < 25) {
            Coord__V1__RequestHeader header;
            coord__v1__request_header__init(&header);
            header.consistency = (Coord__V1__Consistency)rng_below(&rng, 4);
            Coord__V1__WatchCreate request =
                subtree(1 + rng_below(&rng, 10), paths[rng_below(&rng, 5)]);
            request.header = &header;
            request.scope = (Coord__V1__WatchCreate__Scope)rng_below(&rng, 4);
            request.once = rng_chance(&rng, 200);
            request.list = rng_chance(&rng, 300);
            request.relist = rng_chance(&rng, 500);
            request.with_previous = rng_chance(&rng, 500);
            request.keys_only = rng_chance(&rng, 100);
            request.progress_ms = rng_chance(&rng, 300) ? 100 : 0;
            request.from_revision = request.list || rng_chance(&rng, 500)
                                        ? 0
                                        : rng_below(&rng, store_revision(node->store) + 5);
            ask_create(&s, &request);
        } else if (dice < 35) {
            ask_cancel(&s, 1 + rng_below(&rng, 10));
        } else if (dice < 40) {
            ask_progress(&s);
        } else if (dice < 80) {
            set_large(paths[1 + rng_below(&rng, 4)], 'x', rng_below(&rng, 30 << 10));
        } else if (dice < 85) {
            peer->client_hoards = !peer->client_hoards;
            peer_call_consume(s.call);
        } else if (dice < 90) {
            node->is_held = !node->is_held;
        } else {
            advance(rng_below(&rng, 150));
        }
        run();
        while (next(&s) != NULL) {
            story_check(known, s.reply);
        }
    }
    ck_assert(!s.call->has_ended);
    stream_close(&s);
    ck_assert_uint_eq(shared()->watches->watch_count, 0);
}
END_TEST

START_TEST(streams_watches_events_and_bytes_are_counted)
{
    struct stream s = stream_on_all(1);
    create("/a", "12345");
    run();
    struct buf out = {0};
    metrics_print(peer->metrics, &out);
    buf_append(&out, "", 1);
    const char *page = (const char *)out.data;
    ck_assert_ptr_nonnull(strstr(page, "coord_watch_streams 1\n"));
    ck_assert_ptr_nonnull(strstr(page, "coord_watch_events_sent_total 1\n"));
    ck_assert_ptr_nonnull(strstr(page, "coord_watch_sent_bytes_total "));
    buf_close(&out);
    stream_close(&s);
    metrics_print(peer->metrics, &out);
    buf_append(&out, "", 1);
    ck_assert_ptr_nonnull(strstr((const char *)out.data, "coord_watch_streams 0\n"));
    buf_close(&out);
}
END_TEST

static Suite *flow_suite(void)
{
    Suite *suite = suite_create("grpc watch flow");
    TCase *tcase = tcase_create("flow");
    tcase_add_checked_fixture(tcase, world_open, world_close);
    tcase_add_test(tcase, a_client_that_does_not_read_costs_bounded_memory_and_catches_up);
    tcase_add_test(tcase, the_lag_shows_in_what_a_slow_client_reads);
    tcase_add_test(tcase, a_slow_stream_holds_no_other);
    tcase_add_test(tcase, watches_of_a_full_stream_share_the_room_there_is);
    tcase_add_test(tcase, a_revision_in_pieces_waits_for_room_in_its_middle);
    tcase_add_test(tcase, streams_that_go_on_at_once_share_the_room_of_their_connection);
    tcase_add_test(tcase, a_turn_lists_only_so_many_nodes);
    tcase_add_test(tcase, progress_tells_up_to_where_all_has_been_sent);
    tcase_add_test(tcase, progress_is_as_far_as_the_slowest_watch);
    tcase_add_test(tcase, progress_waits_for_watches_that_have_not_begun);
    tcase_add_test(tcase, progress_waits_for_a_listing_that_has_not_begun);
    tcase_add_test(tcase, progress_does_not_wait_for_a_watch_that_was_canceled_before_it_began);
    tcase_add_test(tcase, a_quiet_watch_is_told_its_progress_in_time);
    tcase_add_test(tcase, there_is_no_progress_before_a_listing_is_out);
    tcase_add_test(tcase, a_watch_waits_for_others_to_have_their_turn);
    tcase_add_test(tcase, a_client_that_takes_everything_at_once_does_not_keep_the_loop);
    tcase_add_test(tcase, a_thousand_watches_on_a_stream_are_all_told);
    tcase_add_test(tcase, a_stream_takes_so_many_watches_and_no_more);
    tcase_add_test(tcase, an_idle_watch_is_small);
    tcase_add_test(tcase, a_client_that_has_said_all_keeps_its_watches);
    tcase_add_test(tcase, a_stream_without_watches_ends_with_its_client);
    tcase_add_test(tcase, a_stream_that_ends_lets_go_of_everything_at_once);
    tcase_add_test(tcase, a_deadline_of_the_client_ends_its_stream);
    tcase_add_test(tcase, a_stop_sends_the_clients_elsewhere);
    tcase_add_test(tcase, a_node_that_must_not_serve_sends_the_clients_elsewhere);
    tcase_add_test(tcase, a_node_that_is_cut_off_keeps_its_watches);
    tcase_add_loop_test(tcase, a_node_that_cannot_get_fresh_sends_the_client_elsewhere, 0,
                        (int)(sizeof failures / sizeof failures[0]));
    tcase_add_test(tcase, random_bytes_as_requests_end_a_stream_and_nothing_else);
    tcase_add_loop_test(tcase, any_sequence_of_requests_tells_a_story_that_makes_sense, 0, 20);
    tcase_add_test(tcase, streams_watches_events_and_bytes_are_counted);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){flow_suite, NULL});
}
