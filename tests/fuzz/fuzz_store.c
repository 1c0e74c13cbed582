/* The store's decoders under arbitrary bytes; the first byte picks one. What decodes is encoded
 * again and must give the same bytes; a command that decodes is applied, rows are loaded. */
#include "base/assert.h"
#include "lease/lease.h"
#include "store/row.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_equal(struct buf *again, struct slice bytes)
{
    PRE(slice_equal(buf_slice(again), bytes));
    buf_close(again);
}

/* A session 1 and a lease 2, for commands that name one. */
static struct store *store_with_leases(void)
{
    struct store *s = store_new();
    for (uint64_t id = 1; id <= 2; id++) {
        struct command c = {
            .type = COMMAND_GRANT,
            .lease = {.id = id,
                      .ttl_ms = 1000,
                      .kind = id == 1 ? LEASE_SESSION : LEASE_PLAIN,
                      .secret = slice_str("0123456789abcdef")},
        };
        struct apply_context context = {.index = id, .cluster_ms = 1, .last_of_entry = true};
        struct reply reply;
        store_apply(s, &context, &c, &reply);
        PRE(reply.outcome == OUTCOME_OK);
    }
    return s;
}

static void fuzz_command(struct slice bytes)
{
    struct arena arena = {0};
    struct command c;
    struct unpack u = unpack_make(bytes);
    if (command_decode(&u, &c, &arena) == RC_OK && u.rest.size == 0) {
        struct errmsg err;
        struct buf again = {0};
        command_encode(&again, &c);
        must_equal(&again, bytes);
        (void)command_check(&c, &err);
        struct store *s = store_with_leases();
        for (uint64_t index = 3; index <= 4; index++) { /* and once more: a retry */
            struct apply_context context = {
                .index = index, .cluster_ms = 1, .last_of_entry = true};
            struct reply reply;
            store_apply(s, &context, &c, &reply);
            store_check(s);
        }
        store_free(s);
    }
    arena_close(&arena);
}

static void fuzz_reply(struct slice bytes)
{
    struct arena arena = {0};
    struct reply r;
    if (reply_decode(bytes, &r, &arena) == RC_OK) {
        struct buf again = {0};
        reply_encode(&again, &r);
        must_equal(&again, bytes);
    }
    arena_close(&arena);
}

static void fuzz_rows(struct slice bytes)
{
    struct store *s = store_new_empty();
    struct unpack u = unpack_make(bytes);
    struct row row;
    while (u.rest.size > 0 && row_decode(&u, &row) == RC_OK &&
           store_load_row(s, &row) == RC_OK) {
    }
    struct snapshot_meta meta = {.index = 1, .revision = 1};
    PRE(store_load_seal(s, &meta, NULL) != RC_OK); /* its digest would have to be 0 */
    store_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct slice bytes = slice_make(data + 1, size - 1);
    switch (data[0] % 3) {
    case 0: fuzz_command(bytes); break;
    case 1: fuzz_reply(bytes); break;
    default: fuzz_rows(bytes); break;
    }
    return 0;
}
