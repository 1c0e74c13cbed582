/* Snapshots over gRPC from a real single node, its disk in memory: whole files, slow clients,
 * clients that leave, disks that fail. */
#include <stdio.h>

#include "base/sha256.h"
#include "coord/v1/maintenance.pb-c.h"
#include "net/grpc/call.h"
#include "store/snapshot.h"
#include "store/store.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_env.h"
#include "tests/support/grpc_ask.h"

#define SAVE "/coord.v1.Maintenance/SnapshotSave"

static struct fake_env fake;
static struct node_options options;
static struct node *node;
static struct peer *peer;

/* Until nothing happens any more. */
static void run(void)
{
    for (int i = 0; i < 60; i++) { /* a chunk each */
        peer_tick(peer);
        fake_env_run(&fake);
    }
    peer_run(peer);
}

static void advance(uint64_t ms)
{
    while (ms > 0) {
        uint64_t step = ms < 20 ? ms : 20;
        fake_env_advance(&fake, step);
        run();
        ms -= step;
    }
}

static void on_fatal(void *context, enum status rc, const char *why)
{
    (void)context;
    ck_abort_msg("%s: %s", status_text(rc), why);
}

static void setup(void)
{
    struct errmsg err;
    fake_env_init(&fake, 1);
    options = (struct node_options){.env = &fake.env,
                                    .data_dir = "data",
                                    .name = "n1",
                                    .wal_segment_bytes = 65536,
                                    .fatal = on_fatal};
    ck_assert_msg(node_open(&options, &node, &err) == RC_OK, "%s", err.text);
    peer = peer_new_in(node, &fake.env);
    for (int i = 0; i < 1000 && !node_is_serving(node); i++) {
        advance(20);
    }
    ck_assert(node_is_serving(node));
}

static void teardown(void)
{
    peer_free(peer);
    node_close(node);
    ck_assert_uint_eq(fake.open_files, 0);
    fake_env_close(&fake);
}

static void create(const char *path, size_t bytes)
{
    static uint8_t data[1 << 20];
    Coord__V1__CreateRequest request;
    coord__v1__create_request__init(&request);
    request.path = ask_text(path);
    request.data = (ProtobufCBinaryData){.len = bytes, .data = data};
    struct peer_call *call = peer_call_open(peer, "/coord.v1.Tree/Create", NULL);
    peer_call_send(call, &request.base);
    peer_call_end(call);
    run();
    ck_assert_msg(peer_call_code(call) == GRPC_OK, "%s", peer_call_text(call));
    peer_call_free(call);
}

static struct peer_call *save_open(void)
{
    Coord__V1__SnapshotSaveRequest request;
    coord__v1__snapshot_save_request__init(&request);
    struct peer_call *call = peer_call_open(peer, SAVE, NULL);
    peer_call_send(call, &request.base);
    peer_call_end(call);
    return call;
}

static Coord__V1__SnapshotSaveReply *reply_at(const struct peer_call *call, size_t i)
{
    return peer_call_unpack(call, i, &coord__v1__snapshot_save_reply__descriptor);
}

/* Puts the file that came together as "saved"; returns its announcement. */
static Coord__V1__SnapshotSaveReply *take_file(struct peer_call *call)
{
    struct buf file = {0};
    struct sha256 *sum = sha256_new();
    uint8_t expected[SHA256_BYTES];
    bool has_end = false;
    Coord__V1__SnapshotSaveReply *begin = reply_at(call, 0);
    ck_assert_int_eq(begin->type, COORD__V1__SNAPSHOT_SAVE_REPLY__TYPE__BEGIN);
    Coord__V1__SnapshotSaveReply *reply;
    for (size_t i = 1; (reply = reply_at(call, i)) != NULL; i++) {
        ck_assert(!has_end);
        ck_assert_uint_le(reply->data.len, 128 << 10);
        buf_append(&file, reply->data.data, reply->data.len);
        has_end = reply->type == COORD__V1__SNAPSHOT_SAVE_REPLY__TYPE__END;
        if (has_end) {
            ck_assert(sha256_add(sum, buf_slice(&file)) && sha256_end(sum, expected));
            ck_assert_uint_eq(reply->sha256.len, SHA256_BYTES);
            ck_assert_mem_eq(reply->sha256.data, expected, SHA256_BYTES);
        }
        coord__v1__snapshot_save_reply__free_unpacked(reply, NULL);
    }
    ck_assert(has_end);
    ck_assert_uint_eq(begin->file->bytes, file.size);
    fake_env_put(&fake, "saved", buf_slice(&file));
    sha256_free(sum);
    buf_close(&file);
    return begin;
}

static size_t snapshot_files(void)
{
    size_t count = 0;
    for (uint64_t index = 1; index < 200; index++) {
        for (uint64_t term = 1; term < 3; term++) {
            char path[96];
            (void)snprintf(path, sizeof path, "data/snapshots/snapshot-%020llu-%020llu.db",
                           (unsigned long long)index, (unsigned long long)term);
            count += fake_env_find(&fake, path) != NULL;
        }
    }
    return count;
}

START_TEST(a_saved_file_is_the_state_as_the_reply_says)
{
    create("/a", 10);
    create("/large", 900000);
    struct peer_call *call = save_open();
    run();
    ck_assert_msg(peer_call_code(call) == GRPC_OK, "%s", peer_call_text(call));
    Coord__V1__SnapshotSaveReply *begin = take_file(call);
    ck_assert_uint_eq(begin->file->revision, store_revision(node_store(node)));
    ck_assert_uint_eq(begin->file->digest, store_digest(node_store(node)));
    ck_assert_uint_eq(begin->file->index, store_applied_index(node_store(node)));

    struct store *store;
    struct errmsg err;
    struct snapshot_meta meta = {0};
    ck_assert_msg(snapshot_load(&fake.env, "saved", &store, &meta, &err) == RC_OK, "%s",
                  err.text);
    ck_assert_uint_eq(store_digest(store), begin->file->digest);
    ck_assert_uint_eq(meta.index, begin->file->index);
    snapshot_meta_close(&meta);
    store_free(store);
    coord__v1__snapshot_save_reply__free_unpacked(begin, NULL);
    peer_call_free(call);
}
END_TEST

START_TEST(where_nothing_was_applied_the_same_file_is_sent_again)
{
    create("/a", 10);
    for (int i = 0; i < 2; i++) {
        struct peer_call *call = save_open();
        run();
        ck_assert_int_eq(peer_call_code(call), GRPC_OK);
        peer_call_free(call);
        ck_assert_uint_eq(snapshot_files(), 1);
    }
    create("/b", 10);
    struct peer_call *call = save_open();
    run();
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    peer_call_free(call);
    ck_assert_uint_eq(snapshot_files(), 2);
}
END_TEST

static void on_export(struct node_export *e, enum status rc)
{
    ck_assert_int_eq(rc, RC_OK);
    *(bool *)e->owner = true;
}

static void take_snapshot(void)
{
    bool is_ready = false;
    struct node_export e = {.ready = on_export, .owner = &is_ready};
    ck_assert_int_eq(node_export_begin(node, &e, UINT64_MAX), RC_OK);
    run();
    ck_assert(is_ready);
    node_export_end(&e);
}

START_TEST(a_slow_client_holds_its_file_and_little_memory)
{
    create("/1", 1 << 20);
    create("/2", 1 << 20);
    peer->client_hoards = true;
    struct peer_call *slow = save_open();
    run();
    ck_assert(!slow->has_ended);
    ck_assert_uint_le(slow->data.size, 1 << 20); /* of two */
    /* Snapshots come and go meanwhile: two are kept, and the one that is being sent. */
    for (int i = 0; i < 4; i++) {
        char path[16];
        (void)snprintf(path, sizeof path, "/more%d", i);
        create(path, 10);
        take_snapshot();
        fake_env_advance(&fake, 5000);
        run();
    }
    ck_assert_uint_eq(snapshot_files(), 3);
    for (int i = 0; i < 100 && !slow->has_ended; i++) {
        peer_call_consume(slow);
        run();
    }
    ck_assert_msg(peer_call_code(slow) == GRPC_OK, "%s", peer_call_text(slow));
    coord__v1__snapshot_save_reply__free_unpacked(take_file(slow), NULL);
    peer_call_free(slow);
    advance(20);
    ck_assert_uint_eq(snapshot_files(), 2);
}
END_TEST

START_TEST(one_snapshot_at_a_time_is_sent)
{
    create("/1", 1 << 20);
    create("/2", 1 << 20);
    peer->client_hoards = true;
    struct peer_call *first = save_open();
    run();
    struct peer_call *second = save_open();
    run();
    ck_assert_int_eq(peer_call_code(second), GRPC_RESOURCE_EXHAUSTED);
    ck_assert_msg(strstr(peer_call_text(second), "one at a time") != NULL, "%s",
                  peer_call_text(second));
    peer_call_free(second);

    http2_stream_reset(&first->stream, 8);
    run();
    peer_call_free(first);
    peer->client_hoards = false;
    struct peer_call *third = save_open();
    run();
    ck_assert_int_eq(peer_call_code(third), GRPC_OK);
    peer_call_free(third);
}
END_TEST

START_TEST(a_client_that_reads_nothing_loses_the_stream)
{
    create("/1", 1 << 20);
    create("/2", 1 << 20);
    peer->client_hoards = true;
    struct peer_call *call = save_open();
    run();
    ck_assert(!call->has_ended);
    for (int i = 0; i < 130 && !call->has_ended; i++) {
        fake_env_advance(&fake, 1000);
        run();
    }
    peer_call_consume(call);
    peer->client_hoards = false;
    run();
    ck_assert(call->is_closed);
    ck_assert_int_ne(peer_call_code(call), GRPC_OK);
    peer_call_free(call);
    struct peer_call *again = save_open();
    run();
    ck_assert_int_eq(peer_call_code(again), GRPC_OK);
    peer_call_free(again);
}
END_TEST

START_TEST(a_client_that_waits_for_a_large_state_is_told_so)
{
    create("/1", 1000);
    struct peer_call *call = save_open();
    peer_run(peer); /* no job of the disk is run: the snapshot takes for ever */
    for (int i = 0; i < 100; i++) {
        fake_env_advance(&fake, 1000);
        peer_tick(peer);
    }
    ck_assert(!call->has_ended);
    size_t waits = 0;
    Coord__V1__SnapshotSaveReply *reply;
    while ((reply = reply_at(call, waits)) != NULL) {
        ck_assert_int_eq(reply->type, COORD__V1__SNAPSHOT_SAVE_REPLY__TYPE__WAITING);
        coord__v1__snapshot_save_reply__free_unpacked(reply, NULL);
        waits++;
    }
    ck_assert_uint_ge(waits, 40);
    run();
    ck_assert_msg(peer_call_code(call) == GRPC_OK, "%s", peer_call_text(call));
    peer_call_free(call);
}
END_TEST

START_TEST(a_full_disk_fails_the_save_and_nothing_else)
{
    create("/a", 1000);
    fake.space_left = 0;
    struct peer_call *call = save_open();
    run();
    ck_assert_int_eq(peer_call_code(call), GRPC_RESOURCE_EXHAUSTED);
    ck_assert_msg(strstr(peer_call_text(call), "no space") != NULL, "%s", peer_call_text(call));
    peer_call_free(call);
    ck_assert_uint_eq(snapshot_files(), 0);

    fake.space_left = UINT64_MAX;
    create("/b", 10);
    call = save_open();
    run();
    ck_assert_int_eq(peer_call_code(call), GRPC_OK);
    peer_call_free(call);
}
END_TEST

/* Whatever disk call fails, the stream either ends with an error or has brought the whole file,
 * and nothing stays open. */
START_TEST(every_failing_disk_call_is_told_or_harmless)
{
    create("/a", 300000);
    for (uint64_t n = 1;; n++) {
        char path[16];
        (void)snprintf(path, sizeof path, "/n%llu", (unsigned long long)n);
        create(path, 1);
        struct peer_call *call = save_open();
        peer_run(peer); /* the barrier, and what the log still writes */
        fake_env_arm(&fake, n, FAKE_FAULT_ONCE, RC_IO);
        run();
        bool has_struck = fake_env_has_struck(&fake);
        fake_env_disarm(&fake);
        ck_assert(call->has_ended);
        if (peer_call_code(call) == GRPC_OK) {
            coord__v1__snapshot_save_reply__free_unpacked(take_file(call), NULL);
        } else {
            ck_assert(has_struck);
        }
        peer_call_free(call);
        if (!has_struck) {
            ck_assert_uint_gt(n, 5);
            return;
        }
    }
}
END_TEST

static Suite *maintenance_suite(void)
{
    Suite *s = suite_create("grpc_maintenance");
    TCase *tc = tcase_create("save");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_saved_file_is_the_state_as_the_reply_says);
    tcase_add_test(tc, where_nothing_was_applied_the_same_file_is_sent_again);
    tcase_add_test(tc, a_slow_client_holds_its_file_and_little_memory);
    tcase_add_test(tc, one_snapshot_at_a_time_is_sent);
    tcase_add_test(tc, a_client_that_reads_nothing_loses_the_stream);
    tcase_add_test(tc, a_client_that_waits_for_a_large_state_is_told_so);
    tcase_add_test(tc, a_full_disk_fails_the_save_and_nothing_else);
    tcase_add_test(tc, every_failing_disk_call_is_told_or_harmless);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return check_main((check_suite_fn[]){maintenance_suite, NULL});
}
