/* coord.v1.Discovery through the bytes of a real HTTP/2 client. */
#include "coord/v1/discovery.pb-c.h"
#include "lease/lease.h"
#include "net/grpc/front.h"
#include "recipes/instance.h"
#include "tests/support/watch_client.h"

#define LEASE_ID 77

static void world_with_lease_open(void)
{
    world_open();
    apply(&(struct command){.type = COMMAND_GRANT,
                            .lease = {.id = LEASE_ID,
                                      .ttl_ms = 10000,
                                      .kind = LEASE_PLAIN,
                                      .renewable = true,
                                      .secret = slice_str("0123456789abcdef")}});
}

/* ---- calls -------------------------------------------------------------------------------- */

static Coord__V1__ServiceInstance instance(const char *id, const char *zone)
{
    Coord__V1__ServiceInstance in;
    coord__v1__service_instance__init(&in);
    in.service = text("web");
    in.id = text(id);
    in.address = text("10.0.0.7");
    in.port = 8080;
    in.zone = text(zone);
    return in;
}

static struct peer_call *register_call(Coord__V1__ServiceInstance *in, bool only_new)
{
    Coord__V1__DiscoveryRegisterRequest request;
    coord__v1__discovery_register_request__init(&request);
    request.instance = in;
    request.lease = LEASE_ID;
    request.only_new = only_new;
    return peer_unary(peer, "/coord.v1.Discovery/Register", &request.base);
}

/* Its revision. */
static uint64_t registered(const char *id, const char *zone)
{
    Coord__V1__ServiceInstance in = instance(id, zone);
    struct peer_call *call = register_call(&in, false);
    ck_assert_msg(peer_call_code(call) == GRPC_OK, "%s", peer_call_text(call));
    Coord__V1__DiscoveryRegisterReply *reply =
        peer_call_unpack(call, 0, &coord__v1__discovery_register_reply__descriptor);
    ck_assert_ptr_nonnull(reply);
    uint64_t revision = reply->revision;
    ck_assert_uint_eq(revision, store_revision(node->store));
    coord__v1__discovery_register_reply__free_unpacked(reply, NULL);
    peer_call_free(call);
    return revision;
}

static void refused(struct peer_call *call, enum grpc_code code, const char *what)
{
    ck_assert_int_eq(peer_call_code(call), code);
    ck_assert_str_eq(peer_call_text(call), what);
    peer_call_free(call);
}

static struct peer_call *drain(const char *id, bool undo)
{
    Coord__V1__DiscoveryDrainRequest request;
    coord__v1__discovery_drain_request__init(&request);
    request.service = text("web");
    request.id = text(id);
    request.undo = undo;
    return peer_unary(peer, "/coord.v1.Discovery/Drain", &request.base);
}

static struct peer_call *deregister(const char *id)
{
    Coord__V1__DiscoveryDeregisterRequest request;
    coord__v1__discovery_deregister_request__init(&request);
    request.service = text("web");
    request.id = text(id);
    return peer_unary(peer, "/coord.v1.Discovery/Deregister", &request.base);
}

static void done(struct peer_call *call)
{
    ck_assert_msg(peer_call_code(call) == GRPC_OK, "%s", peer_call_text(call));
    peer_call_free(call);
}

/* The ids that are found, with a blank behind each. */
static void expect_found(const char *zone, bool with_draining, uint32_t limit, const char *ids)
{
    char found[256] = "";
    char after[128] = "";
    Coord__V1__ServiceFilter filter;
    coord__v1__service_filter__init(&filter);
    filter.zone = text(zone);
    do {
        Coord__V1__DiscoveryDiscoverRequest request;
        coord__v1__discovery_discover_request__init(&request);
        request.service = text("web");
        request.filter = &filter;
        request.all = with_draining;
        request.after = after;
        request.limit = limit;
        struct peer_call *call =
            peer_unary(peer, "/coord.v1.Discovery/Discover", &request.base);
        ck_assert_msg(peer_call_code(call) == GRPC_OK, "%s", peer_call_text(call));
        Coord__V1__DiscoveryDiscoverReply *reply =
            peer_call_unpack(call, 0, &coord__v1__discovery_discover_reply__descriptor);
        ck_assert_ptr_nonnull(reply);
        for (size_t i = 0; i < reply->n_instances; i++) {
            size_t size = strlen(found);
            (void)snprintf(found + size, sizeof found - size, "%s ", reply->instances[i]->id);
        }
        (void)snprintf(after, sizeof after, "%s", reply->next);
        coord__v1__discovery_discover_reply__free_unpacked(reply, NULL);
        peer_call_free(call);
    } while (after[0] != '\0');
    ck_assert_str_eq(found, ids);
}

/* ---- subscriptions ------------------------------------------------------------------------ */

struct subscriber {
    struct peer_call *call;
    size_t at;
};

static struct subscriber subscribe(const char *zone, uint64_t from_revision)
{
    Coord__V1__DiscoverySubscribeRequest request;
    Coord__V1__ServiceFilter filter;
    coord__v1__discovery_subscribe_request__init(&request);
    coord__v1__service_filter__init(&filter);
    filter.zone = text(zone);
    request.service = text("web");
    request.filter = &filter;
    request.from_revision = from_revision;
    struct subscriber s = {
        .call = peer_call_open(peer, "/coord.v1.Discovery/Subscribe", NULL)};
    peer_call_send(s.call, &request.base);
    peer_call_end(s.call);
    run();
    return s;
}

/* The next message as text: "full 3: +a -b ", or "nothing". */
static void expect_told(struct subscriber *s, const char *told)
{
    char line[512] = "nothing";
    struct slice message;
    struct slice rest = slice_make(s->call->data.data + s->at, s->call->data.size - s->at);
    if (rest.size > 0 && grpc_frame_peek(rest, SIZE_MAX, &message) == GRPC_FRAME_WHOLE) {
        s->at += GRPC_PREFIX_BYTES + message.size;
        Coord__V1__DiscoverySubscribeReply *r =
            coord__v1__discovery_subscribe_reply__unpack(NULL, message.size, message.data);
        ck_assert_ptr_nonnull(r);
        int size = snprintf(line, sizeof line, "%s%s%u:", r->full ? "full " : "",
                            r->more ? "more " : "", (unsigned)r->revision);
        for (size_t i = 0; i < r->n_updates; i++) {
            const Coord__V1__ServiceUpdate *u = r->updates[i];
            bool is_put = u->update_case == COORD__V1__SERVICE_UPDATE__UPDATE_PUT;
            size += snprintf(line + size, sizeof line - (size_t)size, " %s%s%s",
                             is_put ? "+" : "-", is_put ? u->put->id : u->removed,
                             is_put && u->put->draining ? "(draining)" : "");
        }
        coord__v1__discovery_subscribe_reply__free_unpacked(r, NULL);
    }
    ck_assert_str_eq(line, told);
}

static const char *at_revision(char told[128], uint64_t revision, const char *rest)
{
    (void)snprintf(told, 128, "%u:%s", (unsigned)revision, rest);
    return told;
}

/* ---- tests -------------------------------------------------------------------------------- */

START_TEST(instances_are_registered_found_drained_and_taken_away)
{
    registered("b", "z1");
    registered("a", "z2");
    expect_found("", false, 0, "a b ");
    expect_found("", false, 1, "a b ");
    expect_found("z1", false, 0, "b ");
    expect_found("z3", false, 0, "");
    done(drain("a", false));
    expect_found("", false, 0, "b ");
    expect_found("", true, 0, "a b ");
    done(drain("a", true));
    expect_found("", false, 0, "a b ");
    done(deregister("a"));
    expect_found("", false, 0, "b ");
    refused(deregister("a"), GRPC_NOT_FOUND, "/services/web/a: node does not exist");
    refused(drain("a", false), GRPC_NOT_FOUND, "/services/web/a: node does not exist");
}
END_TEST

START_TEST(an_instance_takes_the_place_of_one_with_the_same_id_unless_told_not_to)
{
    Coord__V1__ServiceInstance in = instance("a", "z2");
    uint64_t first = registered("a", "z1");
    struct subscriber s = subscribe("", 0);
    s.at = s.call->data.size;
    uint64_t second = registered("a", "z2");
    ck_assert_uint_eq(second, first + 1);
    char told[128];
    run();
    expect_told(&s, at_revision(told, second, " -a +a"));
    refused(register_call(&in, true), GRPC_ALREADY_EXISTS,
            "/services/web/a: node already exists");
    expect_found("z2", false, 0, "a ");
    peer_call_free(s.call);
}
END_TEST

START_TEST(an_instance_goes_with_its_lease)
{
    registered("a", "");
    registered("b", "");
    struct subscriber s = subscribe("", 0);
    s.at = s.call->data.size;
    uint64_t revision = apply(&(struct command){.type = COMMAND_REVOKE, .lease = {.id = LEASE_ID}});
    char told[128];
    run();
    expect_told(&s, at_revision(told, revision, " -a -b"));
    expect_found("", true, 0, "");
    Coord__V1__ServiceInstance in = instance("c", "");
    refused(register_call(&in, false), GRPC_NOT_FOUND,
            "lease 000000000000004d: lease does not exist");
    peer_call_free(s.call);
}
END_TEST

START_TEST(a_subscription_begins_with_the_full_list_and_goes_on_with_what_changes)
{
    char told[128];
    registered("b", "z1");
    uint64_t revision = registered("a", "z2");
    struct subscriber all = subscribe("", 0);
    struct subscriber some = subscribe("z1", 0);
    (void)snprintf(told, sizeof told, "full %u: +a +b", (unsigned)revision);
    expect_told(&all, told);
    (void)snprintf(told, sizeof told, "full %u: +b", (unsigned)revision);
    expect_told(&some, told);
    expect_told(&all, "nothing");
    revision = registered("c", "z1");
    create("/services/other", ""); /* concerns nobody here */
    run();
    expect_told(&all, at_revision(told, revision, " +c"));
    expect_told(&some, told);
    done(drain("c", false));
    run();
    expect_told(&all, at_revision(told, store_revision(node->store), " +c(draining)"));
    revision = registered("b", "z2"); /* passes the other filter no more */
    run();
    expect_told(&all, at_revision(told, revision, " -b +b"));
    some.at = 0;
    peer_call_free(all.call);
    peer_call_free(some.call);
}
END_TEST

START_TEST(a_subscription_resumes_from_a_revision_and_lists_when_history_is_gone)
{
    char told[128];
    uint64_t first = registered("a", "");
    uint64_t second = registered("b", "");
    struct subscriber s = subscribe("", second);
    expect_told(&s, at_revision(told, first, ""));
    expect_told(&s, at_revision(told, second, " +b"));
    expect_told(&s, "nothing");
    peer_call_free(s.call);
    compact();
    s = subscribe("", first);
    (void)snprintf(told, sizeof told, "full %u: +a +b", (unsigned)store_revision(node->store));
    expect_told(&s, told);
    const struct grpc_shared *shared = peer->front_env.shared;
    ck_assert_uint_eq(shared->scratch.used, 0); /* a list may be long, and the last for long */
    peer_call_free(s.call);
}
END_TEST

/* As when a cluster was made anew in the place of one that had got further. */
START_TEST(a_subscription_from_a_revision_that_cannot_be_known_lists)
{
    char told[128];
    uint64_t revision = registered("a", "");
    struct subscriber s = subscribe("", revision + 1);
    expect_told(&s, at_revision(told, revision, ""));
    expect_told(&s, "nothing");
    peer_call_free(s.call);
    s = subscribe("", revision + 2);
    (void)snprintf(told, sizeof told, "full %u: +a", (unsigned)revision);
    expect_told(&s, told);
    revision = registered("b", "");
    run();
    expect_told(&s, at_revision(told, revision, " +b"));
    peer_call_free(s.call);
}
END_TEST

START_TEST(a_quiet_subscription_gives_signs_of_life)
{
    char told[128];
    uint64_t revision = store_revision(node->store);
    struct subscriber s = subscribe("", 0);
    (void)snprintf(told, sizeof told, "full %u:", (unsigned)revision);
    expect_told(&s, told);
    for (int i = 0; i < 6; i++) {
        advance(1000);
    }
    expect_told(&s, at_revision(told, revision, ""));
    expect_told(&s, "nothing");
    peer_call_free(s.call);
}
END_TEST

START_TEST(a_client_that_does_not_read_misses_nothing)
{
    registered("a", "");
    struct subscriber s = subscribe("", 0);
    s.at = s.call->data.size;
    Coord__V1__ServiceInstance in = instance("b", "");
    Coord__V1__ServiceMetadata meta[INSTANCE_META_MAX];
    Coord__V1__ServiceMetadata *metas[INSTANCE_META_MAX];
    char names[INSTANCE_META_MAX][8];
    char value[INSTANCE_META_BYTES_MAX + 1];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (size_t i = 0; i < INSTANCE_META_MAX; i++) {
        coord__v1__service_metadata__init(&meta[i]);
        (void)snprintf(names[i], sizeof names[i], "m%u", (unsigned)i);
        meta[i].name = names[i];
        meta[i].value = value;
        metas[i] = &meta[i];
    }
    in.metadata = metas;
    in.n_metadata = INSTANCE_META_MAX;
    peer->client_hoards = true;
    uint64_t last = 0;
    for (int i = 0; i < 40; i++) { /* 33 KiB each */
        done(register_call(&in, false));
        last = store_revision(node->store);
    }
    peer->client_hoards = false;
    peer_call_consume(s.call);
    run();
    for (int i = 39; i >= 0; i--) {
        char told[128];
        expect_told(&s, at_revision(told, last - (uint64_t)i, i == 39 ? " +b" : " -b +b"));
    }
    expect_told(&s, "nothing");
    peer_call_free(s.call);
}
END_TEST

/* As when a member gets a snapshot. */
START_TEST(subscriptions_that_list_again_all_at_once_take_turns)
{
    enum { SUBSCRIBERS = 100, INSTANCES = 300 };
    char id[16];
    char told[128];
    struct subscriber subscribers[SUBSCRIBERS];
    const struct grpc_connection *c = peer->state;
    uint64_t last = 0;
    for (int i = 0; i < INSTANCES; i++) {
        (void)snprintf(id, sizeof id, "%03d", i);
        last = registered(id, "z1");
    }
    create("/other", "");
    for (int i = 0; i < 2000; i++) { /* more than the hub looks at in a turn */
        set("/other", "x");
    }
    node->is_held = true;
    for (int i = 0; i < SUBSCRIBERS; i++) {
        subscribers[i] = subscribe("z2", last + 1);
    }
    node->is_held = false;
    node_turn(node);
    compact();
    ck_assert(hub_has_work(node->watches));
    while (hub_turn(node->watches, 1000)) {
    }
    grpc_front.turn(peer->state);
    ck_assert_uint_ge(c->scanned, GRPC_TURN_SCAN_MAX);
    ck_assert_uint_le(c->scanned, GRPC_TURN_SCAN_MAX + INSTANCES);
    run();
    for (int i = 0; i < SUBSCRIBERS; i++) {
        expect_told(&subscribers[i], at_revision(told, last, ""));
        (void)snprintf(told, sizeof told, "full %u:",
                       (unsigned)store_revision(node->store));
        expect_told(&subscribers[i], told);
        expect_told(&subscribers[i], "nothing");
        peer_call_free(subscribers[i].call);
    }
}
END_TEST

START_TEST(what_is_no_instance_is_refused_and_what_others_put_there_is_passed_over)
{
    Coord__V1__ServiceInstance in = instance("a", "");
    in.port = 65536;
    refused(register_call(&in, false), GRPC_INVALID_ARGUMENT,
            "instance.port: 65536, at most 65535");
    in = instance("a/b", "");
    refused(register_call(&in, false), GRPC_INVALID_ARGUMENT,
            "id: \"a/b\" is none: 1 to 128 letters, digits and any of . _ : -");
    in = instance("a", "");
    in.service = text("Web");
    struct peer_call *call = register_call(&in, false);
    ck_assert_int_eq(peer_call_code(call), GRPC_INVALID_ARGUMENT);
    peer_call_free(call);
    registered("b", "");
    create("/services/web/odd", "not an instance");
    expect_found("", true, 0, "b ");
    refused(drain("odd", false), GRPC_FAILED_PRECONDITION,
            "/services/web/odd: the node there is of another kind");
}
END_TEST

/* A subscription keeps its filter. */
START_TEST(words_of_a_filter_are_no_longer_than_those_of_instances)
{
    char word[INSTANCE_WORD_BYTES_MAX + 2];
    memset(word, 'z', sizeof word);
    word[INSTANCE_WORD_BYTES_MAX] = '\0';
    struct subscriber s = subscribe(word, 0);
    ck_assert(!s.call->has_ended);
    peer_call_free(s.call);
    word[INSTANCE_WORD_BYTES_MAX] = 'z';
    word[INSTANCE_WORD_BYTES_MAX + 1] = '\0';
    s = subscribe(word, 0);
    refused(s.call, GRPC_INVALID_ARGUMENT, "filter.zone: 64 bytes, at most 63");

    Coord__V1__DiscoveryDiscoverRequest request;
    Coord__V1__ServiceFilter filter;
    char *tags[] = {text("fine"), word};
    coord__v1__discovery_discover_request__init(&request);
    coord__v1__service_filter__init(&filter);
    filter.tags = tags;
    filter.n_tags = 2;
    request.service = text("web");
    request.filter = &filter;
    refused(peer_unary(peer, "/coord.v1.Discovery/Discover", &request.base),
            GRPC_INVALID_ARGUMENT, "filter.tags: 64 bytes, at most 63");
}
END_TEST

static Suite *discovery_suite(void)
{
    Suite *suite = suite_create("grpc_discovery");
    TCase *tcase = tcase_create("grpc_discovery");
    tcase_add_checked_fixture(tcase, world_with_lease_open, world_close);
    tcase_add_test(tcase, instances_are_registered_found_drained_and_taken_away);
    tcase_add_test(tcase,
                   an_instance_takes_the_place_of_one_with_the_same_id_unless_told_not_to);
    tcase_add_test(tcase, an_instance_goes_with_its_lease);
    tcase_add_test(tcase,
                   a_subscription_begins_with_the_full_list_and_goes_on_with_what_changes);
    tcase_add_test(tcase,
                   a_subscription_resumes_from_a_revision_and_lists_when_history_is_gone);
    tcase_add_test(tcase, a_subscription_from_a_revision_that_cannot_be_known_lists);
    tcase_add_test(tcase, a_quiet_subscription_gives_signs_of_life);
    tcase_add_test(tcase, a_client_that_does_not_read_misses_nothing);
    tcase_add_test(tcase, subscriptions_that_list_again_all_at_once_take_turns);
    tcase_add_test(tcase,
                   what_is_no_instance_is_refused_and_what_others_put_there_is_passed_over);
    tcase_add_test(tcase, words_of_a_filter_are_no_longer_than_those_of_instances);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){discovery_suite, NULL});
}
