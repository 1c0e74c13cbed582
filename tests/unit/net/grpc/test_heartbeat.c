/* coord.v1.Discovery: heartbeats, what is handed out of them, and filters by health, through the
 * bytes of a real HTTP/2 client. */
#include "coord/v1/discovery.pb-c.h"
#include "net/checks/vitals.h"
#include "recipes/instance.h"
#include "tests/support/watch_client.h"

static struct vitals *vitals;

static void discovery_open(void)
{
    world_open();
    node->is_leading = true;
    vitals = vitals_new(
        &(struct vitals_options){.env = peer->front_env.env, .node = node, .metrics = NULL});
    peer->front_env.vitals = vitals;
}

static void discovery_close(void)
{
    struct vitals *v = vitals;
    peer_free(peer);
    vitals_free(v);
    fake_node_free(node);
}

/* ---- instances ---------------------------------------------------------------------------- */

/* /services/web/ID, as its node says; its revision. */
static uint64_t put(const char *id, const char *more)
{
    char path[64];
    char value[128];
    (void)snprintf(path, sizeof path, "/services/web/%s", id);
    (void)snprintf(value, sizeof value, "address=10.0.0.7\nport=80\nweight=100\n%s", more);
    return create(path, value);
}

static void services_open(void)
{
    create("/services", "");
    create("/services/web", "");
}

/* ---- calls -------------------------------------------------------------------------------- */

static struct peer_call *heartbeat(const char *id, uint64_t revision, double cpu)
{
    Coord__V1__DiscoveryHeartbeatRequest request;
    Coord__V1__ServiceLoad load;
    coord__v1__discovery_heartbeat_request__init(&request);
    coord__v1__service_load__init(&load);
    load.cpu = cpu;
    load.avg_latency_ms = 12.5;
    load.queue_length = 3;
    request.service = text("web");
    request.id = text(id);
    request.revision = revision;
    request.load = &load;
    return peer_unary(peer, "/coord.v1.Discovery/Heartbeat", &request.base);
}

static void beat(const char *id, double cpu)
{
    struct peer_call *call = heartbeat(id, 0, cpu);
    ck_assert_msg(peer_call_code(call) == GRPC_OK, "%s", peer_call_text(call));
    Coord__V1__DiscoveryHeartbeatReply *reply =
        peer_call_unpack(call, 0, &coord__v1__discovery_heartbeat_reply__descriptor);
    ck_assert_ptr_nonnull(reply);
    ck_assert_ptr_nonnull(reply->vitals);
    ck_assert_double_eq(reply->vitals->load->cpu, cpu);
    coord__v1__discovery_heartbeat_reply__free_unpacked(reply, NULL);
    peer_call_free(call);
}

static void refused(struct peer_call *call, enum grpc_code code, const char *what)
{
    ck_assert_int_eq(peer_call_code(call), code);
    ck_assert_str_eq(peer_call_text(call), what);
    peer_call_free(call);
}

static void show(const Coord__V1__ServiceVitals *v, char *out, size_t size)
{
    if (v == NULL) {
        (void)snprintf(out, size, "?");
    } else if (v->load == NULL) {
        (void)snprintf(out, size, "silent %ums", (unsigned)v->silence_ms);
    } else {
        (void)snprintf(out, size, "%.2f/%.1f/%u %ums", v->load->cpu, v->load->avg_latency_ms,
                       (unsigned)v->load->queue_length, (unsigned)v->load_age_ms);
    }
}

/* "a 0.25/12.5/3 0ms; b ?; " */
static void expect_found(bool all, const Coord__V1__ServiceHealth *healths, size_t count,
                         const char *wanted)
{
    char found[512] = "";
    Coord__V1__ServiceHealth copy[8];
    Coord__V1__ServiceFilter filter;
    Coord__V1__DiscoveryDiscoverRequest request;
    coord__v1__service_filter__init(&filter);
    coord__v1__discovery_discover_request__init(&request);
    for (size_t i = 0; i < count; i++) {
        copy[i] = healths[i];
    }
    filter.health = copy;
    filter.n_health = count;
    request.service = text("web");
    request.filter = &filter;
    request.all = all;
    struct peer_call *call = peer_unary(peer, "/coord.v1.Discovery/Discover", &request.base);
    ck_assert_msg(peer_call_code(call) == GRPC_OK, "%s", peer_call_text(call));
    Coord__V1__DiscoveryDiscoverReply *reply =
        peer_call_unpack(call, 0, &coord__v1__discovery_discover_reply__descriptor);
    ck_assert_ptr_nonnull(reply);
    for (size_t i = 0; i < reply->n_instances; i++) {
        char shown[64];
        size_t size = strlen(found);
        show(reply->instances[i]->vitals, shown, sizeof shown);
        (void)snprintf(found + size, sizeof found - size, "%s %s; ", reply->instances[i]->id,
                       shown);
    }
    coord__v1__discovery_discover_reply__free_unpacked(reply, NULL);
    peer_call_free(call);
    ck_assert_str_eq(found, wanted);
}

/* ---- tests -------------------------------------------------------------------------------- */

START_TEST(a_heartbeat_is_handed_out_with_its_instance_and_ages)
{
    services_open();
    put("a", "");
    put("b", "");
    beat("a", 0.25);
    expect_found(false, NULL, 0, "a 0.25/12.5/3 0ms; b ?; ");
    advance(1500);
    expect_found(false, NULL, 0, "a 0.25/12.5/3 1500ms; b ?; ");
    beat("b", 1);
    beat("a", 0.5);
    expect_found(false, NULL, 0, "a 0.50/12.5/3 0ms; b 1.00/12.5/3 0ms; ");
}
END_TEST

START_TEST(a_heartbeat_changes_nothing_that_is_logged)
{
    services_open();
    uint64_t revision = put("a", "");
    uint64_t index = node->index;
    beat("a", 0.25);
    ck_assert_uint_eq(node->index, index);
    ck_assert_uint_eq(store_revision(node->store), revision);
}
END_TEST

START_TEST(heartbeats_of_nobody_and_of_one_before_are_refused)
{
    services_open();
    uint64_t revision = put("a", "");
    refused(heartbeat("b", 0, 0), GRPC_NOT_FOUND, "/services/web/b: node does not exist");
    refused(heartbeat("a", revision - 1, 0), GRPC_NOT_FOUND,
            "/services/web/a: node does not exist");
    refused(heartbeat("a/b", 0, 0), GRPC_INVALID_ARGUMENT,
            "id: \"a/b\" is none: 1 to 128 letters, digits and any of . _ : -");
    refused(heartbeat("a", 0, 1.25), GRPC_INVALID_ARGUMENT, "load.cpu: 1.25, from 0 to 1");
    create("/services/web/odd", "no instance");
    refused(heartbeat("odd", 0, 0), GRPC_FAILED_PRECONDITION,
            "/services/web/odd: the node there is of another kind");
    expect_found(false, NULL, 0, "a ?; ");
}
END_TEST

START_TEST(another_member_passes_heartbeats_on_and_says_if_it_cannot)
{
    services_open();
    put("a", "");
    node->is_leading = false;
    beat("a", 0.25);
    ck_assert_uint_gt(node->notes.size, 0);
    node->loses_notes = true;
    refused(heartbeat("a", 0, 0), GRPC_UNAVAILABLE, "no leader is known: not executed");
}
END_TEST

START_TEST(instances_are_found_by_their_health)
{
    static const Coord__V1__ServiceHealth down[] = {COORD__V1__SERVICE_HEALTH__HEALTH_DOWN};
    static const Coord__V1__ServiceHealth poor[] = {COORD__V1__SERVICE_HEALTH__HEALTH_SLOW,
                                                    COORD__V1__SERVICE_HEALTH__HEALTH_UNSTABLE};
    static const Coord__V1__ServiceHealth none[] = {(Coord__V1__ServiceHealth)5};
    services_open();
    put("a", "");
    put("b", "health=slow\nhealth_since_ms=5\n");
    put("c", "health=down\nhealth_since_ms=5\n");
    put("d", "draining=yes\nhealth=unstable\nhealth_since_ms=5\n");
    expect_found(false, NULL, 0, "a ?; b ?; ");
    expect_found(true, NULL, 0, "a ?; b ?; c ?; d ?; ");
    expect_found(false, down, 1, "c ?; ");
    expect_found(false, poor, 2, "b ?; ");
    expect_found(true, poor, 2, "b ?; d ?; ");
    Coord__V1__ServiceFilter filter;
    Coord__V1__DiscoveryDiscoverRequest request;
    Coord__V1__ServiceHealth copy[] = {none[0]};
    coord__v1__service_filter__init(&filter);
    coord__v1__discovery_discover_request__init(&request);
    filter.health = copy;
    filter.n_health = 1;
    request.service = text("web");
    request.filter = &filter;
    refused(peer_unary(peer, "/coord.v1.Discovery/Discover", &request.base),
            GRPC_INVALID_ARGUMENT, "filter.health: 5, from 0 to 4");
}
END_TEST

/* ---- subscriptions ------------------------------------------------------------------------ */

struct subscriber {
    struct peer_call *call;
    size_t at;
};

static struct subscriber subscribe(uint32_t report_ms, uint64_t from_revision, bool only_well)
{
    Coord__V1__DiscoverySubscribeRequest request;
    Coord__V1__ServiceFilter filter;
    Coord__V1__ServiceHealth well[] = {COORD__V1__SERVICE_HEALTH__HEALTH_PASSING};
    coord__v1__discovery_subscribe_request__init(&request);
    coord__v1__service_filter__init(&filter);
    filter.health = well;
    filter.n_health = only_well;
    request.service = text("web");
    request.filter = &filter;
    request.report_ms = report_ms;
    request.progress_ms = 60000;
    request.from_revision = from_revision;
    struct subscriber s = {
        .call = peer_call_open(peer, "/coord.v1.Discovery/Subscribe", NULL)};
    peer_call_send(s.call, &request.base);
    peer_call_end(s.call);
    run();
    return s;
}

/* All that has come since, " | " between messages: "+a ?; | *a 0.25/12.5/3 0ms; ". */
static void expect_told(struct subscriber *s, const char *wanted)
{
    char told[1024] = "";
    struct slice message;
    struct slice rest = slice_make(s->call->data.data + s->at, s->call->data.size - s->at);
    while (rest.size > 0 && grpc_frame_peek(rest, SIZE_MAX, &message) == GRPC_FRAME_WHOLE) {
        size_t size = strlen(told);
        Coord__V1__DiscoverySubscribeReply *r =
            coord__v1__discovery_subscribe_reply__unpack(NULL, message.size, message.data);
        ck_assert_ptr_nonnull(r);
        size += (size_t)snprintf(told + size, sizeof told - size, "%s", size > 0 ? "| " : "");
        for (size_t i = 0; i < r->n_updates; i++) {
            const Coord__V1__ServiceUpdate *u = r->updates[i];
            char shown[64] = "";
            bool is_put = u->update_case == COORD__V1__SERVICE_UPDATE__UPDATE_PUT;
            bool is_report = u->update_case == COORD__V1__SERVICE_UPDATE__UPDATE_REPORT;
            const char *id = is_put ? u->put->id : is_report ? u->report->id : u->removed;
            if (is_put || is_report) {
                show(is_put ? u->put->vitals : u->report->vitals, shown, sizeof shown);
            }
            size += (size_t)snprintf(told + size, sizeof told - size, "%s%s %s; ",
                                     is_put ? "+" : is_report ? "*" : "-", id, shown);
        }
        coord__v1__discovery_subscribe_reply__free_unpacked(r, NULL);
        s->at += GRPC_PREFIX_BYTES + message.size;
        rest = slice_make(s->call->data.data + s->at, s->call->data.size - s->at);
    }
    ck_assert_str_eq(told, wanted);
}

START_TEST(a_subscriber_that_asks_for_reports_is_told_of_new_ones_every_so_often)
{
    services_open();
    put("a", "");
    put("b", "");
    beat("a", 0.25);
    struct subscriber s = subscribe(500, 0, false);
    struct subscriber quiet = subscribe(0, 0, false);
    expect_told(&s, "+a 0.25/12.5/3 0ms; +b ?; ");
    expect_told(&quiet, "+a 0.25/12.5/3 0ms; +b ?; ");
    beat("b", 0.5);
    beat("a", 0.75);
    beat("b", 1);
    expect_told(&s, "");
    advance(500);
    expect_told(&s, "*a 0.75/12.5/3 500ms; *b 1.00/12.5/3 500ms; ");
    advance(500);
    advance(500);
    expect_told(&s, "");
    beat("b", 0.5);
    advance(500);
    expect_told(&s, "*b 0.50/12.5/3 500ms; ");
    expect_told(&quiet, "");
    peer_call_free(s.call);
    peer_call_free(quiet.call);
}
END_TEST

START_TEST(reports_are_of_those_that_pass_the_filter)
{
    services_open();
    put("a", "");
    put("b", "health=slow\nhealth_since_ms=5\n");
    struct subscriber s = subscribe(100, 0, true);
    expect_told(&s, "+a ?; ");
    beat("a", 0.25);
    beat("b", 0.5);
    advance(200);
    expect_told(&s, "*a 0.25/12.5/3 200ms; ");
    set("/services/web/a", "address=10.0.0.7\nport=80\nweight=100\nhealth=down\n"
                           "health_since_ms=7\n");
    run();
    expect_told(&s, "-a ; ");
    beat("a", 0.25);
    advance(200);
    expect_told(&s, "");
    peer_call_free(s.call);
}
END_TEST

START_TEST(who_resumes_is_told_of_all_that_is_known)
{
    services_open();
    put("a", "");
    uint64_t revision = put("b", "");
    beat("a", 0.25);
    struct subscriber s = subscribe(100, revision + 1, false);
    expect_told(&s, "");
    advance(200);
    expect_told(&s, "*a 0.25/12.5/3 200ms; ");
    peer_call_free(s.call);
}
END_TEST

static Suite *heartbeat_suite(void)
{
    Suite *suite = suite_create("grpc_heartbeat");
    TCase *tcase = tcase_create("grpc_heartbeat");
    tcase_add_checked_fixture(tcase, discovery_open, discovery_close);
    tcase_add_test(tcase, a_heartbeat_is_handed_out_with_its_instance_and_ages);
    tcase_add_test(tcase, a_heartbeat_changes_nothing_that_is_logged);
    tcase_add_test(tcase, heartbeats_of_nobody_and_of_one_before_are_refused);
    tcase_add_test(tcase, another_member_passes_heartbeats_on_and_says_if_it_cannot);
    tcase_add_test(tcase, instances_are_found_by_their_health);
    tcase_add_test(tcase, a_subscriber_that_asks_for_reports_is_told_of_new_ones_every_so_often);
    tcase_add_test(tcase, reports_are_of_those_that_pass_the_filter);
    tcase_add_test(tcase, who_resumes_is_told_of_all_that_is_known);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    return check_main((check_suite_fn[]){heartbeat_suite, NULL});
}
