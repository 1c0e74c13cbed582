/* coord.v1.Watch through the bytes of a real HTTP/2 client: what is said, in which order. How it
 * bears slow clients and floods is in test_watch_flow.c. */
#include "tests/support/watch_client.h"

#define OUTCOME(name) COORD__V1__OUTCOME__##name

/* ---- events ------------------------------------------------------------------------------ */

START_TEST(a_watch_is_created_and_then_told_of_every_change)
{
    uint64_t before = create("/old", "");
    struct stream s = stream_open();
    Coord__V1__WatchCreate request = subtree(7, "/");
    request.with_previous = true;
    ask_create(&s, &request);
    run();
    const Coord__V1__WatchReply *reply = expect(&s, 7, TYPE(CREATED));
    ck_assert_uint_eq(reply->revision, before + 1);
    ck_assert_uint_eq(reply->header->revision, before);
    ck_assert_str_eq(reply->header->node, "n1");
    ck_assert_uint_eq(reply->header->applied_index, node->index);
    expect_nothing(&s);

    uint64_t first = create("/a", "one");
    set("/a", "two");
    del("/a");
    run();
    const Coord__V1__Event *event = expect_event(&s, 7, "/a", first);
    ck_assert_int_eq(event->type, COORD__V1__EVENT_TYPE__CREATE_EVENT);
    ck_assert_mem_eq(event->data.data, "one", 3);
    ck_assert_uint_eq(event->previous.len, 0);
    ck_assert_uint_eq(event->stat->create_revision, first);
    ck_assert_int_eq(event->reason, COORD__V1__REASON__REQUESTED);
    ck_assert_str_eq(event->note, "because");
    ck_assert_uint_eq(event->time_ms, 12345);
    event = expect_event(&s, 7, "/a", first + 1);
    ck_assert_int_eq(event->type, COORD__V1__EVENT_TYPE__SET_EVENT);
    ck_assert_mem_eq(event->data.data, "two", 3);
    ck_assert_mem_eq(event->previous.data, "one", 3);
    event = expect_event(&s, 7, "/a", first + 2);
    ck_assert_int_eq(event->type, COORD__V1__EVENT_TYPE__DELETE_EVENT);
    ck_assert_uint_eq(event->data.len, 0);
    ck_assert_mem_eq(event->previous.data, "two", 3);
    ck_assert_uint_eq(event->stat->version, 1);
    expect_nothing(&s);
    stream_close(&s);
}
END_TEST

START_TEST(all_events_of_a_revision_come_in_one_message)
{
    struct stream s = stream_on_all(1);
    struct op ops[] = {
        op_make(OP_CREATE, "/t", slice_str("")),
        op_make(OP_CREATE, "/t/b", slice_str("")),
        op_make(OP_CREATE, "/t/a", slice_str("")),
        op_make(OP_SET, "/t/b", slice_str("x")),
    };
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = ops, .then_count = 4}};
    uint64_t revision = apply(&c);
    run();
    const Coord__V1__WatchReply *reply = expect(&s, 1, TYPE(EVENTS));
    ck_assert_uint_eq(reply->revision, revision);
    ck_assert_uint_eq(reply->n_events, 4);
    ck_assert(!reply->more);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(reply->events[i]->sub, i);
        ck_assert_mem_eq(reply->events[i]->path, ops[i].path.data, ops[i].path.size);
    }
    expect_nothing(&s);
    stream_close(&s);
}
END_TEST

START_TEST(a_revision_beyond_a_mebibyte_comes_in_pieces)
{
    struct stream s = stream_on_all(1);
    size_t bytes = 600 << 10;
    uint8_t *value = mem_zalloc(bytes);
    char paths[6][8];
    struct op ops[6];
    for (int i = 0; i < 6; i++) {
        (void)snprintf(paths[i], sizeof paths[i], "/p%d", i);
        ops[i] = op_make(OP_CREATE, paths[i], slice_make(value, bytes));
    }
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = ops, .then_count = 6}};
    uint64_t revision = apply(&c);
    uint64_t later = create("/later", "");
    run();
    size_t events = 0;
    bool more = true;
    while (more) {
        const Coord__V1__WatchReply *reply = expect(&s, 1, TYPE(EVENTS));
        ck_assert_uint_eq(reply->revision, revision);
        ck_assert_uint_ge(reply->n_events, 1);
        ck_assert_uint_le(coord__v1__watch_reply__get_packed_size(reply), 2 << 20);
        for (size_t i = 0; i < reply->n_events; i++) {
            ck_assert_uint_eq(reply->events[i]->sub, events++);
            ck_assert_uint_eq(reply->events[i]->data.len, bytes);
        }
        more = reply->more;
        ck_assert(more || events == 6);
    }
    expect_event(&s, 1, "/later", later);
    mem_free(value);
    stream_close(&s);
}
END_TEST

START_TEST(keys_only_leaves_all_values_out)
{
    create("/a", "one");
    struct stream s = stream_open();
    Coord__V1__WatchCreate request = subtree(1, "/a");
    request.keys_only = true;
    request.with_previous = true;
    request.list = true;
    ask_create(&s, &request);
    run();
    expect(&s, 1, TYPE(CREATED));
    const Coord__V1__WatchReply *reply = expect(&s, 1, TYPE(LISTING));
    ck_assert_uint_eq(reply->n_entries, 1);
    ck_assert_uint_eq(reply->entries[0]->data.len, 0);
    ck_assert_uint_eq(reply->entries[0]->stat->data_bytes, 3);
    uint64_t revision = set("/a", "two");
    run();
    const Coord__V1__Event *event = expect_event(&s, 1, "/a", revision);
    ck_assert_uint_eq(event->data.len, 0);
    ck_assert_uint_eq(event->previous.len, 0);
    ck_assert_uint_eq(event->stat->data_bytes, 3);
    stream_close(&s);
}
END_TEST

START_TEST(types_and_glob_choose_the_events)
{
    struct stream s = stream_open();
    Coord__V1__EventType types[] = {COORD__V1__EVENT_TYPE__SET_EVENT,
                                    COORD__V1__EVENT_TYPE__DELETE_EVENT};
    Coord__V1__WatchCreate request = subtree(1, "/");
    request.types = types;
    request.n_types = 2;
    request.glob = text("x*");
    ask_create(&s, &request);
    run();
    expect(&s, 1, TYPE(CREATED));
    create("/x1", "");
    create("/y1", "");
    set("/y1", "1");
    uint64_t revision = set("/x1", "1");
    run();
    expect_event(&s, 1, "/x1", revision);
    expect_nothing(&s);
    stream_close(&s);
}
END_TEST

START_TEST(once_ends_after_the_first_revision_with_an_event)
{
    struct stream s = stream_open();
    Coord__V1__WatchCreate request = subtree(4, "/a");
    request.once = true;
    ask_create(&s, &request);
    run();
    expect(&s, 4, TYPE(CREATED));
    create("/b", "");
    uint64_t revision = create("/a", "");
    set("/a", "again");
    run();
    expect_event(&s, 4, "/a", revision);
    expect_canceled(&s, 4, OUTCOME(OK), "once");
    expect_nothing(&s);
    ask_create(&s, &request); /* the id is free again */
    run();
    expect(&s, 4, TYPE(CREATED));
    stream_close(&s);
}
END_TEST

/* ---- where it begins --------------------------------------------------------------------- */

START_TEST(a_client_resumes_at_any_revision_without_gap_or_repeat)
{
    create("/n", "");
    for (int i = 0; i < 50; i++) {
        set("/n", "x");
    }
    uint64_t last = store_revision(node->store);
    for (uint64_t from = 2; from <= last + 1; from++) {
        struct stream s = stream_open();
        Coord__V1__WatchCreate request = subtree(1, "/n");
        request.from_revision = from;
        ask_create(&s, &request);
        run();
        ck_assert_uint_eq(expect(&s, 1, TYPE(CREATED))->revision, from);
        for (uint64_t revision = from; revision <= last; revision++) {
            expect_event(&s, 1, "/n", revision);
        }
        expect_nothing(&s);
        stream_close(&s);
    }
}
END_TEST

START_TEST(a_revision_in_the_future_is_refused_by_a_node_that_knows)
{
    struct stream s = stream_open();
    Coord__V1__WatchCreate request = subtree(1, "/");
    request.from_revision = store_revision(node->store) + 2;
    ask_create(&s, &request);
    run();
    expect_canceled(&s, 1, OUTCOME(FUTURE_REVISION), "from_revision: 3 is in the future");
    expect_nothing(&s);
    stream_close(&s);
}
END_TEST

START_TEST(a_revision_in_the_future_is_waited_for_by_a_node_that_may_lag)
{
    Coord__V1__RequestHeader header;
    coord__v1__request_header__init(&header);
    header.consistency = COORD__V1__CONSISTENCY__LOCAL;
    struct stream s = stream_open();
    Coord__V1__WatchCreate request = subtree(1, "/");
    request.header = &header;
    request.from_revision = store_revision(node->store) + 3;
    request.progress_ms = 100;
    ask_create(&s, &request);
    peer_run_front(peer); /* without asking the node */
    expect(&s, 1, TYPE(CREATED));
    create("/a", "");
    run();
    advance(1000);
    expect_nothing(&s); /* no progress either: it might be resumed from there */
    create("/b", "");
    uint64_t revision = create("/c", "");
    run();
    expect_event(&s, 1, "/c", revision);
    expect_nothing(&s);
    stream_close(&s);
}
END_TEST

START_TEST(a_session_read_waits_for_the_index_it_names)
{
    Coord__V1__RequestHeader header;
    coord__v1__request_header__init(&header);
    header.consistency = COORD__V1__CONSISTENCY__SESSION;
    header.min_index = node->index;
    struct stream s = stream_open();
    Coord__V1__WatchCreate request = subtree(1, "/");
    request.header = &header;
    ask_create(&s, &request);
    peer_run_front(peer);
    expect(&s, 1, TYPE(CREATED));
    header.min_index = node->index + 1;
    request.watch_id = 2;
    ask_create(&s, &request);
    peer_run_front(peer);
    expect_nothing(&s);
    ck_assert_uint_eq(node->pending, 1);
    run();
    expect(&s, 2, TYPE(CREATED));
    stream_close(&s);
}
END_TEST

START_TEST(a_session_in_the_header_is_touched_once)
{
    Coord__V1__RequestHeader header;
    Coord__V1__SessionRef session;
    coord__v1__request_header__init(&header);
    coord__v1__session_ref__init(&session);
    session.id = 99;
    header.session = &session;
    struct stream s = stream_open();
    Coord__V1__WatchCreate request = subtree(1, "/");
    request.header = &header;
    request.progress_ms = 100;
    ask_create(&s, &request);
    run();
    create("/a", "");
    advance(500);
    ck_assert_uint_eq(node->touched, 99);
    ck_assert_uint_eq(node->touches, 1);
    stream_close(&s);
}
END_TEST

START_TEST(the_server_numbers_watches_in_the_order_of_requests)
{
    struct stream s = stream_open();
    watch_subtree(&s, 2, "/");
    watch_subtree(&s, 0, "/");
    watch_subtree(&s, 0, "no path");
    watch_subtree(&s, 0, "/");
    run();
    expect_canceled(&s, 3, OUTCOME(BAD_PATH), "path");
    expect(&s, 2, TYPE(CREATED));
    expect(&s, 1, TYPE(CREATED));
    expect(&s, 4, TYPE(CREATED));
    expect_nothing(&s);
    stream_close(&s);
}
END_TEST

/* ---- refusals ---------------------------------------------------------------------------- */

static const struct {
    uint64_t id;
    int scope;
    const char *path;
    const char *glob;
    int type;
    uint32_t depth;
    uint64_t from;
    bool list;
    uint32_t progress_ms;
    int consistency;
    Coord__V1__Outcome outcome;
    const char *what;
} refused[] = {
    {.path = "", .outcome = OUTCOME(BAD_PATH), .what = "path"},
    {.path = "/a/", .outcome = OUTCOME(BAD_PATH), .what = "path"},
    {.path = "/", .glob = "[a", .outcome = OUTCOME(BAD_PATTERN), .what = "glob"},
    {.path = "/", .scope = 4, .outcome = OUTCOME(BAD_ARGUMENTS), .what = "scope: 4"},
    {.path = "/", .scope = -1, .outcome = OUTCOME(BAD_ARGUMENTS), .what = "scope: -1"},
    {.path = "/", .depth = 1, .outcome = OUTCOME(BAD_ARGUMENTS), .what = "depth: 1"},
    {.path = "/", .type = 5, .outcome = OUTCOME(BAD_ARGUMENTS), .what = "types[0]: 5"},
    {.path = "/", .type = -7, .outcome = OUTCOME(BAD_ARGUMENTS), .what = "types[0]: -7"},
    {.path = "/", .list = true, .from = 1, .outcome = OUTCOME(BAD_ARGUMENTS), .what = "list"},
    {.path = "/", .progress_ms = 99, .outcome = OUTCOME(BAD_ARGUMENTS), .what = "99"},
    {.path = "/", .consistency = 4, .outcome = OUTCOME(BAD_ARGUMENTS), .what = "consistency"},
};

START_TEST(a_request_that_cannot_be_ends_nothing_but_itself)
{
    struct stream s = stream_on_all(1);
    Coord__V1__RequestHeader header;
    coord__v1__request_header__init(&header);
    header.consistency = (Coord__V1__Consistency)refused[_i].consistency;
    Coord__V1__EventType types[] = {(Coord__V1__EventType)refused[_i].type};
    Coord__V1__WatchCreate request;
    coord__v1__watch_create__init(&request);
    request.header = &header;
    request.watch_id = 5;
    request.path = text(refused[_i].path);
    request.scope = (Coord__V1__WatchCreate__Scope)refused[_i].scope;
    request.glob = text(refused[_i].glob == NULL ? "" : refused[_i].glob);
    request.types = types;
    request.n_types = 1;
    request.depth = refused[_i].depth;
    request.from_revision = refused[_i].from;
    request.list = refused[_i].list;
    request.progress_ms = refused[_i].progress_ms;
    ask_create(&s, &request);
    run();
    expect_canceled(&s, 5, refused[_i].outcome, refused[_i].what);
    uint64_t revision = create("/a", "");
    run();
    expect_event(&s, 1, "/a", revision);
    expect_nothing(&s);
    ck_assert(!s.call->has_ended);
    stream_close(&s);
}
END_TEST

START_TEST(an_id_in_use_is_refused_and_its_watch_goes_on)
{
    struct stream s = stream_on_all(3);
    watch_subtree(&s, 3, "/other");
    run();
    expect_canceled(&s, 0, OUTCOME(BAD_ARGUMENTS), "3 is in use");
    uint64_t revision = create("/a", "");
    run();
    expect_event(&s, 3, "/a", revision);
    stream_close(&s);
}
END_TEST

START_TEST(a_request_without_content_is_answered)
{
    struct stream s = stream_on_all(1);
    Coord__V1__WatchRequest request;
    coord__v1__watch_request__init(&request);
    peer_call_send(s.call, &request.base);
    run();
    expect_canceled(&s, 0, OUTCOME(BAD_ARGUMENTS), "none of");
    stream_close(&s);
}
END_TEST

/* ---- cancel ------------------------------------------------------------------------------ */

START_TEST(a_canceled_watch_says_so_last)
{
    struct stream s = stream_on_all(1);
    watch_subtree(&s, 2, "/");
    run();
    expect(&s, 2, TYPE(CREATED));
    ask_cancel(&s, 1);
    ask_cancel(&s, 1);
    run();
    expect_canceled(&s, 1, OUTCOME(OK), "canceled");
    expect_canceled(&s, 1, OUTCOME(BAD_ARGUMENTS), "no watch 1");
    uint64_t revision = create("/a", "");
    run();
    expect_event(&s, 2, "/a", revision);
    expect_nothing(&s);
    stream_close(&s);
}
END_TEST

START_TEST(a_cancel_overtakes_the_barrier_of_its_watch)
{
    struct stream s = stream_open();
    node->is_held = true;
    watch_subtree(&s, 1, "/");
    run();
    expect_nothing(&s);
    ck_assert_uint_eq(node->pending, 1);
    ask_cancel(&s, 1);
    watch_subtree(&s, 1, "/again");
    run();
    expect_canceled(&s, 1, OUTCOME(OK), "canceled");
    expect_nothing(&s);
    ck_assert_uint_eq(node->pending, 1);
    ck_assert_uint_eq(node->cancelled, 1);
    node->is_held = false;
    run();
    expect(&s, 1, TYPE(CREATED));
    create("/a", "");
    uint64_t revision = create("/again", "");
    run();
    expect_event(&s, 1, "/again", revision);
    expect_nothing(&s);
    stream_close(&s);
}
END_TEST

/* ---- listings ---------------------------------------------------------------------------- */

/* The paths of the next listing, joined by spaces; small enough for a page. */
static const char *listing(struct stream *s, uint64_t id)
{
    static char joined[4096];
    const Coord__V1__WatchReply *reply = expect(s, id, TYPE(LISTING));
    ck_assert(!reply->more);
    joined[0] = '\0';
    for (size_t i = 0; i < reply->n_entries; i++) {
        size_t at = strlen(joined);
        (void)snprintf(joined + at, sizeof joined - at, "%s%s", i > 0 ? " " : "",
                       reply->entries[i]->path);
    }
    return joined;
}

static const struct {
    int scope;
    const char *path;
    const char *glob;
    uint32_t depth;
    const char *paths;
} listings[] = {
    {0, "/a", "", 0, "/a"},
    {0, "/none", "", 0, ""},
    {1, "/a", "", 0, "/a/b /a/bc /a/c"},
    {1, "/none", "", 0, ""},
    {1, "/a", "b*", 0, "/a/b /a/bc"},
    {2, "/a", "", 0, "/a /a/b /a/b/x /a/b/x/y /a/bc /a/bc/z /a/c"},
    {2, "/a", "", 1, "/a /a/b /a/bc /a/c"},
    {2, "/a", "", 2, "/a /a/b /a/b/x /a/bc /a/bc/z /a/c"},
    {2, "/a", "?", 0, "/a /a/b /a/b/x /a/b/x/y /a/bc/z /a/c"},
    {2, "/a", "[xz]", 2, "/a/b/x /a/bc/z"},
    {2, "/none", "", 0, ""},
    {3, "/a/b", "", 0, "/a/b /a/b/x /a/b/x/y /a/bc /a/bc/z"},
    {3, "/a/b/", "", 0, "/a/b/x /a/b/x/y"},
    {3, "/a/bb", "", 0, ""},
    {3, "/a/bc/z", "", 0, "/a/bc/z"},
    {3, "/none/a", "", 0, ""},
    {3, "/a/", "z", 0, "/a/bc/z"},
};

START_TEST(a_listing_shows_what_the_events_would_be_about)
{
    const char *paths[] = {"/a",       "/a/b",    "/a/bc", "/a/b/x",
                           "/a/b/x/y", "/a/bc/z", "/a/c",  "/b"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        create(paths[i], "v");
    }
    struct stream s = stream_open();
    Coord__V1__WatchCreate request = subtree(1, listings[_i].path);
    request.scope = (Coord__V1__WatchCreate__Scope)listings[_i].scope;
    request.glob = text(listings[_i].glob);
    request.depth = listings[_i].depth;
    request.list = true;
    ask_create(&s, &request);
    run();
    uint64_t revision = store_revision(node->store);
    ck_assert_uint_eq(expect(&s, 1, TYPE(CREATED))->revision, revision + 1);
    ck_assert_str_eq(listing(&s, 1), listings[_i].paths);
    ck_assert_uint_eq(s.reply->revision, revision);
    if (s.reply->n_entries > 0) {
        ck_assert_uint_eq(s.reply->entries[0]->data.len, 1);
        ck_assert_uint_eq(s.reply->entries[0]->stat->data_bytes, 1);
    }
    /* A set of each node: those of the listing, and no others, are told of. */
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        set(paths[i], "w");
    }
    run();
    size_t count = 0;
    while (next(&s) != NULL) {
        ck_assert_uint_eq(s.reply->n_events, 1);
        ck_assert_ptr_nonnull(strstr(listings[_i].paths, s.reply->events[0]->path));
        count++;
    }
    for (const char *c = listings[_i].paths; *c != '\0'; c++) {
        count -= *c == '/' && (c == listings[_i].paths || c[-1] == ' ');
    }
    ck_assert_uint_eq(count, 0);
    stream_close(&s);
}
END_TEST

START_TEST(the_root_and_everything_below_is_listed_by_subtree_and_prefix_alike)
{
    create("/a", "");
    create("/a/b", "");
    char all[2][4096];
    for (int i = 0; i < 2; i++) {
        struct stream s = stream_open();
        Coord__V1__WatchCreate request = subtree(1, "/");
        request.scope = i == 0 ? COORD__V1__WATCH_CREATE__SCOPE__SUBTREE
                               : COORD__V1__WATCH_CREATE__SCOPE__PREFIX;
        request.list = true;
        ask_create(&s, &request);
        run();
        expect(&s, 1, TYPE(CREATED));
        (void)snprintf(all[i], sizeof all[i], "%s", listing(&s, 1));
        stream_close(&s);
    }
    ck_assert_str_eq(all[0], all[1]);
    ck_assert_ptr_nonnull(strstr(all[0], "/ /a /a/b"));
}
END_TEST

START_TEST(changes_during_a_listing_follow_it_without_gap)
{
    char path[32];
    create("/l", "");
    for (int i = 0; i < 400; i++) {
        (void)snprintf(path, sizeof path, "/l/%03d", i);
        create(path, "");
        set_large(path, 'o', 8 << 10);
    }
    uint64_t listed = store_revision(node->store);
    struct stream s = stream_open();
    peer->client_hoards = true;
    Coord__V1__WatchCreate request = subtree(1, "/l");
    request.list = true;
    ask_create(&s, &request);
    run();
    /* The client's window is full, and most of the listing is still here. */
    for (int i = 0; i < 400; i++) {
        (void)snprintf(path, sizeof path, "/l/%03d", i);
        if (i % 2 == 0) {
            set(path, "new");
        } else {
            del(path);
        }
    }
    run();
    peer->client_hoards = false;
    peer_call_consume(s.call);
    run();
    ck_assert_uint_eq(expect(&s, 1, TYPE(CREATED))->revision, listed + 1);
    int seen = -1; /* "/l" itself comes first */
    do {
        expect(&s, 1, TYPE(LISTING));
        ck_assert_uint_eq(s.reply->revision, listed);
        ck_assert_uint_le(coord__v1__watch_reply__get_packed_size(s.reply), 1 << 20);
        for (size_t i = 0; i < s.reply->n_entries; i++, seen++) {
            (void)snprintf(path, sizeof path, seen < 0 ? "/l" : "/l/%03d", seen);
            ck_assert_str_eq(s.reply->entries[i]->path, path);
            ck_assert_uint_eq(s.reply->entries[i]->data.len, seen < 0 ? 0 : 8 << 10);
            ck_assert_uint_le(s.reply->entries[i]->stat->modify_revision, listed);
        }
    } while (s.reply->more);
    ck_assert_int_eq(seen, 400);
    for (int i = 0; i < 400; i++) {
        (void)snprintf(path, sizeof path, "/l/%03d", i);
        expect_event(&s, 1, path, listed + 1 + (uint64_t)i);
    }
    expect_nothing(&s);
    stream_close(&s);
}
END_TEST

START_TEST(a_listing_may_be_canceled_halfway)
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
    ask_create(&s, &request);
    request.watch_id = 2; /* waits in line behind the first */
    ask_create(&s, &request);
    request.watch_id = 3;
    ask_create(&s, &request);
    run();
    struct grpc_shared *shared = peer->front_env.shared;
    ck_assert_uint_gt(shared->watches->listing_bytes, 0);
    ask_cancel(&s, 2);
    ask_cancel(&s, 1);
    peer->client_hoards = false;
    peer_call_consume(s.call);
    run();
    bool first_ended = false;
    bool second_ended = false;
    bool third_created = false;
    size_t third_listed = 0;
    while (next(&s) != NULL) {
        bool ended = s.reply->type == TYPE(CANCELED);
        ck_assert(s.reply->watch_id != 1 || !first_ended);
        ck_assert(s.reply->watch_id != 2 || ended);
        first_ended = first_ended || (ended && s.reply->watch_id == 1);
        second_ended = second_ended || (ended && s.reply->watch_id == 2);
        third_created =
            third_created || (s.reply->watch_id == 3 && s.reply->type == TYPE(CREATED));
        third_listed += s.reply->watch_id == 3 ? s.reply->n_entries : 0;
    }
    ck_assert(first_ended && second_ended && third_created);
    ck_assert_uint_eq(third_listed, 41);
    ck_assert_uint_eq(shared->watches->listing_bytes, 0);
    stream_close(&s);
}
END_TEST

START_TEST(a_listing_of_too_many_nodes_is_refused_by_name)
{
    struct stream s = stream_on_all(1);
    char path[32];
    ask_cancel(&s, 1);
    run();
    expect(&s, 1, TYPE(CANCELED));
    create("/l", "");
    for (size_t i = 0; i < GRPC_LISTING_NODES_MAX; i++) {
        (void)snprintf(path, sizeof path, "/l/%06zu", i);
        create(path, "");
    }
    Coord__V1__WatchCreate request = subtree(2, "/l");
    request.list = true;
    ask_create(&s, &request);
    run();
    expect_canceled(&s, 2, OUTCOME(LIMIT), "more than 100000 nodes in the scope of a listing");
    del("/l/000000");
    ask_create(&s, &request);
    run();
    expect(&s, 2, TYPE(CREATED));
    size_t listed = 0;
    do {
        listed += expect(&s, 2, TYPE(LISTING))->n_entries;
    } while (s.reply->more);
    ck_assert_uint_eq(listed, GRPC_LISTING_NODES_MAX);
    expect_nothing(&s);
    stream_close(&s);
}
END_TEST

/* ---- compaction -------------------------------------------------------------------------- */

START_TEST(a_resume_below_the_floor_is_told_so)
{
    create("/a", "one");
    compact();
    uint64_t floor = store_history_floor(node->store);
    ck_assert_uint_gt(floor, 3);
    struct stream s = stream_open();
    Coord__V1__WatchCreate request = subtree(1, "/a");
    request.from_revision = floor - 1;
    ask_create(&s, &request);
    run();
    expect(&s, 1, TYPE(CREATED));
    ck_assert_uint_eq(expect(&s, 1, TYPE(COMPACTED))->revision, floor);
    expect_canceled(&s, 1, OUTCOME(COMPACTED), "no longer retained");
    request.from_revision = floor;
    ask_create(&s, &request);
    run();
    expect(&s, 1, TYPE(CREATED));
    expect_nothing(&s);
    stream_close(&s);
}
END_TEST

START_TEST(a_resume_below_the_floor_gets_a_listing_if_it_wants_one)
{
    create("/a", "one");
    compact();
    struct stream s = stream_open();
    Coord__V1__WatchCreate request = subtree(1, "/a");
    request.from_revision = 2;
    request.relist = true;
    ask_create(&s, &request);
    run();
    expect(&s, 1, TYPE(CREATED));
    expect(&s, 1, TYPE(COMPACTED));
    ck_assert_str_eq(listing(&s, 1), "/a");
    ck_assert_uint_eq(s.reply->revision, store_revision(node->store));
    uint64_t revision = set("/a", "two");
    run();
    expect_event(&s, 1, "/a", revision);
    expect_nothing(&s);
    stream_close(&s);
}
END_TEST

/* Reads until the window is full, and then no more. */
static struct stream stalled(Coord__V1__WatchCreate *request)
{
    struct stream s = stream_open();
    ask_create(&s, request);
    run();
    expect(&s, 1, TYPE(CREATED));
    peer->client_hoards = true;
    create("/a/big", "");
    for (int i = 0; i < 5; i++) {
        set_large("/a/big", 'b', 400 << 10);
        run();
    }
    return s;
}

START_TEST(a_watcher_that_the_log_has_left_behind_is_listed_anew)
{
    create("/a", "");
    Coord__V1__WatchCreate request = subtree(1, "/a");
    request.relist = true;
    request.glob = text("*");
    struct stream s = stalled(&request);
    uint64_t missed = set("/a/big", "small");
    compact();
    run();
    peer->client_hoards = false;
    peer_call_consume(s.call);
    run();
    uint64_t seen = 0;
    while (next(&s) != NULL && s.reply->type == TYPE(EVENTS)) {
        ck_assert_uint_gt(s.reply->revision, seen);
        seen = s.reply->revision;
    }
    ck_assert_uint_lt(seen, missed);
    ck_assert_int_eq(s.reply->type, TYPE(COMPACTED));
    ck_assert_uint_eq(s.reply->revision, store_history_floor(node->store));
    ck_assert_str_eq(listing(&s, 1), "/a /a/big");
    ck_assert_uint_eq(s.reply->revision, store_revision(node->store));
    uint64_t revision = set("/a", "seen");
    run();
    expect_event(&s, 1, "/a", revision);
    expect_nothing(&s);
    stream_close(&s);
}
END_TEST

START_TEST(a_watcher_that_the_log_has_left_behind_ends_unless_it_wants_a_listing)
{
    create("/a", "");
    Coord__V1__WatchCreate request = subtree(1, "/a");
    struct stream s = stalled(&request);
    set("/a", "unseen");
    compact();
    run();
    peer->client_hoards = false;
    peer_call_consume(s.call);
    run();
    while (next(&s) != NULL && s.reply->type == TYPE(EVENTS)) {
    }
    ck_assert_int_eq(s.reply->type, TYPE(COMPACTED));
    expect_canceled(&s, 1, OUTCOME(COMPACTED), "too slow");
    expect_nothing(&s);
    ck_assert(!s.call->has_ended);
    stream_close(&s);
}
END_TEST

static Suite *watch_suite(void)
{
    Suite *suite = suite_create("grpc watch");
    TCase *tcase = tcase_create("watch");
    tcase_add_checked_fixture(tcase, world_open, world_close);
    tcase_add_test(tcase, a_watch_is_created_and_then_told_of_every_change);
    tcase_add_test(tcase, all_events_of_a_revision_come_in_one_message);
    tcase_add_test(tcase, a_revision_beyond_a_mebibyte_comes_in_pieces);
    tcase_add_test(tcase, keys_only_leaves_all_values_out);
    tcase_add_test(tcase, types_and_glob_choose_the_events);
    tcase_add_test(tcase, once_ends_after_the_first_revision_with_an_event);
    tcase_add_test(tcase, a_client_resumes_at_any_revision_without_gap_or_repeat);
    tcase_add_test(tcase, a_revision_in_the_future_is_refused_by_a_node_that_knows);
    tcase_add_test(tcase, a_revision_in_the_future_is_waited_for_by_a_node_that_may_lag);
    tcase_add_test(tcase, a_session_read_waits_for_the_index_it_names);
    tcase_add_test(tcase, a_session_in_the_header_is_touched_once);
    tcase_add_test(tcase, the_server_numbers_watches_in_the_order_of_requests);
    tcase_add_loop_test(tcase, a_request_that_cannot_be_ends_nothing_but_itself, 0,
                        (int)(sizeof refused / sizeof refused[0]));
    tcase_add_test(tcase, an_id_in_use_is_refused_and_its_watch_goes_on);
    tcase_add_test(tcase, a_request_without_content_is_answered);
    tcase_add_test(tcase, a_canceled_watch_says_so_last);
    tcase_add_test(tcase, a_cancel_overtakes_the_barrier_of_its_watch);
    tcase_add_loop_test(tcase, a_listing_shows_what_the_events_would_be_about, 0,
                        (int)(sizeof listings / sizeof listings[0]));
    tcase_add_test(tcase, the_root_and_everything_below_is_listed_by_subtree_and_prefix_alike);
    tcase_add_test(tcase, changes_during_a_listing_follow_it_without_gap);
    tcase_add_test(tcase, a_listing_may_be_canceled_halfway);
    tcase_add_test(tcase, a_listing_of_too_many_nodes_is_refused_by_name);
    tcase_add_test(tcase, a_resume_below_the_floor_is_told_so);
    tcase_add_test(tcase, a_resume_below_the_floor_gets_a_listing_if_it_wants_one);
    tcase_add_test(tcase, a_watcher_that_the_log_has_left_behind_is_listed_anew);
    tcase_add_test(tcase,
                   a_watcher_that_the_log_has_left_behind_ends_unless_it_wants_a_listing);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){watch_suite, NULL});
}
