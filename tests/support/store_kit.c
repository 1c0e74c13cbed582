#include "tests/support/store_kit.h"

#include "base/assert.h"
#include "lease/lease.h"
#include "store/digest.h"
#include "store/state.h"

void kit_open(struct kit *k)
{
    *k = (struct kit){.store = store_new(), .cluster_ms = 1000, .wall_ms = 1700000000000};
    kit_raise_level(k->store);
}

void kit_raise_level(struct store *s)
{
    s->level = FEATURE_LEVEL;
}

void kit_close(struct kit *k)
{
    store_free(k->store);
    arena_close(&k->arena);
    buf_close(&k->bytes);
    *k = (struct kit){0};
}

enum outcome kit_run_encoded(struct kit *k, struct slice command)
{
    struct unpack u = unpack_make(command);
    struct command decoded;
    arena_clear(&k->arena);
    enum status rc = command_decode(&u, &decoded, &k->arena);
    PRE(rc == RC_OK && u.rest.size == 0);
    struct apply_context context = {
        .index = ++k->index,
        .cluster_ms = k->cluster_ms,
        .wall_ms = k->wall_ms,
        .last_of_entry = true,
    };
    k->cluster_ms += 3;
    k->wall_ms += 5;
    store_apply(k->store, &context, &decoded, &k->reply);
    return (enum outcome)k->reply.outcome;
}

enum outcome kit_run(struct kit *k, const struct command *c)
{
    buf_clear(&k->bytes);
    command_encode(&k->bytes, c);
    return kit_run_encoded(k, buf_slice(&k->bytes));
}

enum outcome kit_ops(struct kit *k, const struct op *ops, uint32_t count)
{
    struct command c = {.type = COMMAND_TXN, .txn = {.then_ops = ops, .then_count = count}};
    return kit_run(k, &c);
}

struct op kit_op(enum op_type type, const char *path, const char *data)
{
    bool writes = type == OP_CREATE || type == OP_SET;
    return (struct op){
        .type = (uint8_t)type,
        .flags = writes && data == NULL ? OP_NULL_DATA : 0,
        .space = SPACE_NODES,
        .path = slice_str(path),
        .data = data == NULL ? slice_make(NULL, 0) : slice_str(data),
        .version = VERSION_ANY,
    };
}

enum outcome kit_create(struct kit *k, const char *path, const char *data)
{
    struct op op = kit_op(OP_CREATE, path, data);
    return kit_ops(k, &op, 1);
}

enum outcome kit_set(struct kit *k, const char *path, const char *data)
{
    struct op op = kit_op(OP_SET, path, data);
    return kit_ops(k, &op, 1);
}

enum outcome kit_delete(struct kit *k, const char *path)
{
    struct op op = kit_op(OP_DELETE, path, NULL);
    return kit_ops(k, &op, 1);
}

enum outcome kit_remove_tree(struct kit *k, const char *path)
{
    struct op op = kit_op(OP_DELETE, path, NULL);
    op.flags = OP_RECURSIVE;
    return kit_ops(k, &op, 1);
}

enum outcome kit_stat(struct kit *k, const char *path, struct node_stat *out)
{
    struct arena arena = {0};
    struct query query = {.type = QUERY_EXISTS, .space = SPACE_NODES, .path = slice_str(path)};
    struct query_result result;
    store_query(k->store, &query, &result, &arena);
    *out = result.stat;
    arena_close(&arena);
    return (enum outcome)result.outcome;
}

bool kit_exists(struct kit *k, const char *path)
{
    struct node_stat stat;
    return kit_stat(k, path, &stat) == OUTCOME_OK;
}

void kit_rows(struct store *s, struct snapshot_meta *meta, struct buf *rows)
{
    struct store_scan *scan = store_scan_begin(s, meta);
    while (store_scan_step(scan, 4096, rows)) {
    }
    store_scan_end(scan);
}

struct store *kit_load(struct slice rows, const struct snapshot_meta *meta, enum status *rc)
{
    struct store *s = store_new_empty();
    struct unpack u = unpack_make(rows);
    *rc = RC_OK;
    while (*rc == RC_OK && u.rest.size > 0) {
        struct row row;
        *rc = row_decode(&u, &row);
        if (*rc == RC_OK) {
            *rc = store_load_row(s, &row);
        }
    }
    if (*rc == RC_OK) {
        *rc = store_load_seal(s, meta, NULL);
    }
    if (*rc != RC_OK) {
        store_free(s);
        return NULL;
    }
    return s;
}

void kit_grant(struct kit *k, uint64_t id)
{
    const struct command c = {
        .type = COMMAND_GRANT,
        .lease = {.id = id,
                  .ttl_ms = 10000,
                  .kind = LEASE_PLAIN,
                  .secret = slice_str("0123456789abcdef")},
    };
    enum outcome outcome = kit_run(k, &c);
    POST(outcome == OUTCOME_OK);
}

enum outcome kit_expire(struct kit *k, uint64_t id)
{
    const struct lease *l = store_lease(k->store, id);
    const struct command c = {
        .type = COMMAND_EXPIRE,
        .lease = {.id = id, .generation = l != NULL ? l->generation : 0},
    };
    return kit_run(k, &c);
}

void kit_reload(struct kit *k)
{
    struct snapshot_meta meta = {0};
    struct buf rows = {0};
    enum status rc;
    kit_rows(k->store, &meta, &rows);
    struct store *loaded = kit_load(buf_slice(&rows), &meta, &rc);
    POST(rc == RC_OK && store_digest(loaded) == store_digest(k->store));
    store_free(k->store);
    k->store = loaded;
    buf_close(&rows);
    snapshot_meta_close(&meta);
}
