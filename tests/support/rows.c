#include "tests/support/rows.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "lease/lease.h"
#include "store/history.h"

static uint64_t edge_number(struct rng *rng)
{
    static const uint64_t edges[] = {
        0,          1,         127,        128,       255,
        65535,      INT32_MAX, UINT32_MAX, INT64_MAX, (uint64_t)INT64_MAX + 1,
        UINT64_MAX,
    };
    size_t n = (size_t)(rng_next(rng) % (sizeof edges / sizeof edges[0] + 2));
    return n < sizeof edges / sizeof edges[0] ? edges[n] : rng_next(rng);
}

static void make_stat(struct rng *rng, struct node_stat *s)
{
    *s = (struct node_stat){
        .create_revision = edge_number(rng),
        .modify_revision = edge_number(rng),
        .children_revision = edge_number(rng),
        .create_ms = edge_number(rng),
        .modify_ms = edge_number(rng),
        .lease = edge_number(rng),
        .ttl_ms = edge_number(rng),
        .sequence_next = edge_number(rng),
        .version = (uint32_t)edge_number(rng),
        .acl_version = (uint32_t)edge_number(rng),
        .child_count = (uint32_t)edge_number(rng),
        .acl = (uint32_t)edge_number(rng),
        .kind = (uint8_t)(rng_next(rng) % 4),
    };
}

/* A value of up to `max` bytes; one in four is empty. */
static struct slice make_value(struct rng *rng, uint8_t *bytes, size_t max)
{
    size_t size = rng_next(rng) % 4 == 0 ? 0 : (size_t)(rng_next(rng) % (max + 1));
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)rng_next(rng);
    }
    return slice_make(bytes, size);
}

static struct slice make_path(struct rng *rng, uint8_t space, int number, char *text,
                              size_t bytes)
{
    static const char *const tails[] = {"", "/\xc3\xa4", "/\xff", "/\xc3", "/\xed\xa0\x80"};
    const char *tail = tails[rng_next(rng) % (sizeof tails / sizeof tails[0])];
    int length = snprintf(text, bytes, "/node-%d%s", number, tail);
    /* Flat keys are any bytes. */
    if (space != SPACE_NODES) {
        text[0] = '\0';
    }
    return slice_make(text, (size_t)length);
}

void rows_make(struct buf *rows, uint64_t seed, int count, size_t value_bytes)
{
    uint8_t *values[2] = {mem_alloc(value_bytes + 1), mem_alloc(value_bytes + 1)};
    struct rng rng;
    char path[64];
    rng_init(&rng, seed);
    for (int i = 0; i < count; i++) {
        struct row row = {.table = (uint8_t)(ROW_META + rng_next(&rng) % ROW_ACL)};
        uint8_t space = rng_next(&rng) % 4 == 0 ? SPACE_META : SPACE_NODES;
        struct slice key = make_path(&rng, space, i, path, sizeof path);
        struct slice value = make_value(&rng, values[0], value_bytes);
        struct slice other = make_value(&rng, values[1], value_bytes);
        bool is_null = value.size == 0 && rng_next(&rng) % 2 == 0;
        switch (row.table) {
        case ROW_META:
            row.meta.name = key;
            row.meta.value = value;
            break;
        case ROW_NODE:
            row.node = (struct row_node){
                .space = space, .null_data = is_null, .path = key, .data = value};
            make_stat(&rng, &row.node.stat);
            row.node.stat.data_bytes = (uint32_t)value.size;
            row.node.touched_ms = edge_number(&rng);
            break;
        case ROW_CHANGE:
        case ROW_VERSION:
            row.change = (struct row_change){
                .revision = edge_number(&rng),
                .sub = (uint32_t)i % 2,
                .type = (uint8_t)(1 + rng_next(&rng) % CHANGE_ACL),
                .space = space,
                .reason = (uint8_t)i % 6,
                .null_data = is_null,
                .null_old_data = other.size == 0,
                .path = key,
                .data = value,
                .old_data = other,
                .acl = i % 3 == 0 ? value : slice_str(""),
                .session = edge_number(&rng),
                .cluster_ms = edge_number(&rng),
                .wall_ms = edge_number(&rng),
                .identities = other,
                .note = slice_str(i % 2 == 0 ? "" : "why not"),
            };
            make_stat(&rng, &row.change.stat);
            row.change.old_modify_revision = edge_number(&rng);
            row.change.old_modify_ms = edge_number(&rng);
            break;
        case ROW_LEASE:
            row.lease = (struct row_lease){
                .id = edge_number(&rng),
                .kind = (uint8_t)(LEASE_PLAIN + rng_next(&rng) % 2),
                .renewable = rng_next(&rng) % 2 == 0,
                .ttl_ms = edge_number(&rng),
                .generation = edge_number(&rng),
                .granted_ms = edge_number(&rng),
                .window_floor = edge_number(&rng),
                .secret = slice_make("\0\xff 3456789abcdef", LEASE_SECRET_BYTES),
                .owner = key,
            };
            break;
        case ROW_ACL:
            row.acl = (struct row_acl){.id = (uint32_t)edge_number(&rng), .list = value};
            break;
        default:
            row.reply = (struct row_reply){
                .request = {edge_number(&rng), {edge_number(&rng), edge_number(&rng)}},
                .session = edge_number(&rng),
                .sequence = edge_number(&rng),
                .serial = edge_number(&rng),
                .index = edge_number(&rng),
                .reply = value,
            };
            break;
        }
        row_encode(rows, &row);
    }
    mem_free(values[0]);
    mem_free(values[1]);
}

enum status rows_write(struct env *env, const char *path, struct slice rows,
                       const struct snapshot_meta *meta, struct errmsg *err)
{
    struct snapshot_writer *w = NULL;
    struct unpack rest = unpack_make(rows);
    enum status rc = snapshot_writer_open(env, path, &w, err);
    if (rc != RC_OK) {
        return rc;
    }
    for (int piece = 1; rest.rest.size > 0; piece = piece % 40 + 1) {
        const uint8_t *begin = rest.rest.data;
        for (int i = 0; i < piece && rest.rest.size > 0; i++) {
            struct row row;
            rc = row_decode(&rest, &row);
            PRE(rc == RC_OK);
        }
        rc = snapshot_writer_rows(w, slice_make(begin, (size_t)(rest.rest.data - begin)), err);
        if (rc != RC_OK) {
            snapshot_writer_abort(w);
            return rc;
        }
    }
    return snapshot_writer_finish(w, meta, err);
}

static enum status collect(void *context, const struct row *row)
{
    struct buf encoded = {.size = 0};
    row_encode(&encoded, row);
    uint64_t hash = hash_bytes(1, encoded.data, encoded.size);
    buf_append(context, &hash, sizeof hash);
    buf_close(&encoded);
    return RC_OK;
}

static int compare_hashes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(uint64_t));
}

static void sort_hashes(struct buf *hashes)
{
    if (hashes->size > 0) {
        qsort(hashes->data, hashes->size / sizeof(uint64_t), sizeof(uint64_t), compare_hashes);
    }
}

enum status rows_read(struct env *env, const char *path, struct buf *hashes,
                      struct snapshot_meta *meta, struct errmsg *err)
{
    enum status rc = snapshot_read(env, path, collect, hashes, meta, err);
    sort_hashes(hashes);
    return rc;
}

void rows_hashes(struct slice rows, struct buf *hashes)
{
    struct unpack input = unpack_make(rows);
    while (input.rest.size > 0) {
        struct row row;
        const uint8_t *begin = input.rest.data;
        enum status rc = row_decode(&input, &row);
        PRE(rc == RC_OK);
        uint64_t hash = hash_bytes(1, begin, (size_t)(input.rest.data - begin));
        buf_append(hashes, &hash, sizeof hash);
    }
    sort_hashes(hashes);
}
