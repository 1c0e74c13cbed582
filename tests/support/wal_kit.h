/* A write-ahead log on a disk of the tests: opened, filled with entries whose payloads follow from
 * index and term, closed, damaged, and what is found compared with what must be there. */
#ifndef TESTS_SUPPORT_WAL_KIT_H
#define TESTS_SUPPORT_WAL_KIT_H

#include "base/mem.h"
#include "raft/wal_internal.h"
#include "tests/support/check_main.h"
#include "tests/support/fake_env.h"

#define DIR     "log"
#define CLUSTER 0xc1
#define NODE    0xa1

struct fixture {
    struct fake_env fake;
    struct wal *wal;
    struct wal_recovery found;
    struct errmsg err;
    uint64_t durable; /* as told by the callback */
    enum status failed;
    int failures;
    size_t segment_bytes;
    uint64_t cluster_id;
    size_t fetched; /* by the last fetch */
    enum status fetch_rc;
};

static inline void on_durable(void *context, uint64_t ticket)
{
    struct fixture *x = context;
    ck_assert_uint_gt(ticket, x->durable);
    ck_assert_int_eq(x->failures, 0);
    x->durable = ticket;
}

static inline void on_failed(void *context, enum status rc)
{
    struct fixture *x = context;
    x->failed = rc;
    x->failures++;
}

static inline void init(struct fixture *x, uint64_t seed)
{
    *x = (struct fixture){.segment_bytes = 4096, .cluster_id = CLUSTER};
    fake_env_init(&x->fake, seed);
}

static inline enum status try_open(struct fixture *x)
{
    struct wal_options options = {
        .segment_bytes = x->segment_bytes, .cluster_id = x->cluster_id, .node_id = NODE};
    struct wal_events events = {.durable = on_durable, .failed = on_failed};
    x->durable = 0;
    x->failures = 0;
    x->err = (struct errmsg){0};
    return wal_open(&x->fake.env, DIR, &options, &events, x, &x->wal, &x->found, &x->err);
}

static inline void open_log(struct fixture *x)
{
    enum status rc = try_open(x);
    ck_assert_msg(rc == RC_OK, "%s: %s", status_text(rc), x->err.text);
}

static inline void close_log(struct fixture *x)
{
    wal_recovery_close(&x->found);
    wal_close(x->wal);
    x->wal = NULL;
}

static inline void finish(struct fixture *x)
{
    close_log(x);
    fake_env_close(&x->fake);
}

static inline void reopen(struct fixture *x)
{
    close_log(x);
    open_log(x);
}

/* Flushes and runs until everything appended is durable. */
static inline void settle(struct fixture *x)
{
    wal_flush(x->wal);
    fake_env_run(&x->fake);
}

/* The payload of an entry follows from its index and term. */
static inline void payload_fill(struct buf *b, uint64_t index, uint64_t term, size_t bytes)
{
    struct rng rng;
    rng_init(&rng, index * 1000003 + term);
    buf_clear(b);
    while (b->size < bytes) {
        uint64_t v = rng_next(&rng);
        buf_append(b, &v, bytes - b->size < sizeof v ? bytes - b->size : sizeof v);
    }
}

static inline uint64_t append_sized(struct fixture *x, uint64_t first, size_t count, uint64_t term,
                                    size_t bytes)
{
    struct wal_entry entries[64];
    struct buf payloads[64] = {0};
    ck_assert_uint_le(count, 64);
    for (size_t i = 0; i < count; i++) {
        payload_fill(&payloads[i], first + i, term, bytes);
        entries[i] = (struct wal_entry){
            .index = first + i, .term = term, .type = 1, .payload = buf_slice(&payloads[i])};
    }
    uint64_t ticket = wal_append(x->wal, entries, count);
    for (size_t i = 0; i < count; i++) {
        buf_close(&payloads[i]);
    }
    return ticket;
}

static inline uint64_t append(struct fixture *x, uint64_t first, size_t count, uint64_t term)
{
    return append_sized(x, first, count, term, 40);
}

static inline void check_payload(const struct wal_entry *e)
{
    struct buf wanted = {0};
    payload_fill(&wanted, e->index, e->term, e->payload.size);
    ck_assert(slice_equal(buf_slice(&wanted), e->payload));
    buf_close(&wanted);
}

static inline void check_found(struct fixture *x, uint64_t first, size_t count)
{
    ck_assert_uint_eq(x->found.entry_count, count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_eq(x->found.entries[i].index, first + i);
        check_payload(&x->found.entries[i]);
    }
}

static inline struct buf *segment_file(struct fixture *x, uint64_t id)
{
    char *path = wal_path(DIR, WAL_NAME_SEGMENT, id);
    struct buf *file = fake_env_find(&x->fake, path);
    mem_free(path);
    return file;
}

static inline void flip(struct fixture *x, uint64_t id, size_t offset)
{
    struct buf *file = segment_file(x, id);
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_lt(offset, file->size);
    file->data[offset] ^= 0x10;
    fake_env_settle(&x->fake);
}

#endif
