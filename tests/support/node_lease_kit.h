/* Leases on nodes of a cluster in one process: granted, kept alive, looked for. */
#ifndef TESTS_SUPPORT_NODE_LEASE_KIT_H
#define TESTS_SUPPORT_NODE_LEASE_KIT_H

#include <string.h>

#include "tests/support/check_main.h"
#include "tests/support/fake_cluster.h"

#define ELECTION_MS 100
#define TTL         ((uint64_t)1000)
#define LATE        ((uint64_t)110) /* a tick of touches and keeper, and the commit */
#define FAR         ((uint64_t)1 << 40)
#define ID          ((uint64_t)77)

static const uint8_t secret[LEASE_SECRET_BYTES] = "0123456789abcde";

static struct fake_cluster cluster;

static inline struct node *at(size_t i)
{
    return cluster.members[i].node;
}

/* ---- requests ------------------------------------------------------------------------------ */

struct result {
    bool is_done;
    enum status rc;
    uint8_t outcome;
    bool found;
    uint64_t remaining_ms;
};

static inline void on_written(struct node_write *w, enum status rc, const struct reply *reply)
{
    *(struct result *)w->owner = (struct result){
        .is_done = true, .rc = rc, .outcome = reply != NULL ? reply->outcome : OUTCOME_OK};
}

static inline void on_read(struct node_read *r, enum status rc, const struct query_result *result)
{
    (void)result;
    *(struct result *)r->owner = (struct result){.is_done = true, .rc = rc};
}

static inline void on_told(struct node_ttl *t, enum status rc, bool found, uint64_t remaining_ms)
{
    *(struct result *)t->owner = (struct result){
        .is_done = true, .rc = rc, .found = found, .remaining_ms = remaining_ms};
}

static inline void wait_for(const struct result *result)
{
    for (int ms = 0; !result->is_done && ms < 30000; ms++) {
        fake_cluster_run(&cluster, 1);
    }
    ck_assert(result->is_done);
}

static inline enum outcome run_command(size_t i, const struct command *c)
{
    struct result result = {0};
    struct node_write w = {.done = on_written, .owner = &result};
    ck_assert_int_eq(node_write(at(i), &w, c, FAR), RC_OK);
    wait_for(&result);
    ck_assert_int_eq(result.rc, RC_OK);
    return result.outcome;
}

static inline struct command grant_of(uint64_t id, uint64_t ttl_ms)
{
    struct command c = {.type = COMMAND_GRANT};
    c.lease = (struct command_lease){.id = id,
                                     .ttl_ms = ttl_ms,
                                     .kind = LEASE_SESSION,
                                     .renewable = true,
                                     .secret = slice_make(secret, sizeof secret),
                                     .owner = slice_str("test")};
    return c;
}

static inline struct command resume_of(uint64_t id)
{
    struct command c = {.type = COMMAND_RESUME};
    c.lease = (struct command_lease){.id = id, .secret = slice_make(secret, sizeof secret)};
    return c;
}

static inline void grant(size_t i, uint64_t id)
{
    struct command c = grant_of(id, TTL);
    ck_assert_int_eq(run_command(i, &c), OUTCOME_OK);
}

/* A keepalive: what a client that is told RC_OK relies on. */
static inline void begin_keepalive(size_t i, struct node_read *r, struct result *result,
                                   uint64_t id)
{
    *result = (struct result){0};
    *r = (struct node_read){.done = on_read, .owner = result, .is_barrier = true, .touch = id};
    ck_assert_int_eq(node_read(at(i), r, FAR), RC_OK);
}

static inline bool has(size_t i, uint64_t id)
{
    return store_lease(node_store(at(i)), id) != NULL;
}

static inline size_t how_many_have(uint64_t id)
{
    size_t count = 0;
    for (size_t i = 0; i < cluster.count; i++) {
        count += at(i) != NULL && has(i, id);
    }
    return count;
}

/* Runs until the member has the lease no more; how long that took. */
static inline uint64_t until_gone(size_t i, uint64_t id)
{
    uint64_t began_ms = fake_cluster_now(&cluster);
    while (has(i, id) && fake_cluster_now(&cluster) < began_ms + 30000) {
        fake_cluster_run(&cluster, 1);
    }
    ck_assert(!has(i, id));
    return fake_cluster_now(&cluster) - began_ms;
}

static inline void expect_in(uint64_t value, uint64_t low, uint64_t high)
{
    ck_assert_uint_ge(value, low);
    ck_assert_uint_le(value, high);
}

static inline uint64_t left_at(size_t i, uint64_t id)
{
    uint64_t left = 0;
    ck_assert(keeper_remaining(at(i)->leases.keeper, id, fake_cluster_now(&cluster), &left));
    return left;
}

static inline void open_three(void)
{
    fake_cluster_open(&cluster, 3, ELECTION_MS, 7);
    (void)fake_cluster_leader(&cluster);
}

static inline void open_one(void)
{
    fake_cluster_open(&cluster, 1, ELECTION_MS, 7);
    (void)fake_cluster_leader(&cluster);
    fake_cluster_run(&cluster, 10);
}

static inline void finish(void)
{
    for (size_t i = 0; i < cluster.count; i++) {
        ck_assert_int_eq(cluster.members[i].fatals, 0);
        if (at(i) != NULL) {
            store_check(node_store(at(i)));
        }
    }
    fake_cluster_close(&cluster);
}

#endif
