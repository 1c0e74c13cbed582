/* A store whose callers and lists are made where they are used: the fixture of the tests of access
 * control. */
#ifndef TESTS_SUPPORT_ACL_KIT_H
#define TESTS_SUPPORT_ACL_KIT_H

#include "store/acl.h"
#include "store/state.h"
#include "tests/support/check_main.h"
#include "tests/support/store_kit.h"

#define ALICE "alice:aGFzaA=="
#define BOB   "bob:b3RoZXI="

#define AT_FIRST 1 /* lists of a new store: that of "/zookeeper/config" */

static struct kit k;
static struct arena arena;
static struct buf memory[64]; /* of lists and identities, freed with the test */
static size_t memory_used;
static struct slice nobody;

static inline void setup(void)
{
    kit_open(&k);
    memory_used = 0;
}

static inline void teardown(void)
{
    store_check(k.store);
    kit_close(&k);
    arena_close(&arena);
    for (size_t i = 0; i < memory_used; i++) {
        buf_close(&memory[i]);
    }
}

static inline struct slice list_of(const struct acl_entry *entries, size_t count)
{
    struct buf *b = &memory[memory_used++];
    *b = (struct buf){0};
    acl_encode(b, entries, count);
    return buf_slice(b);
}

static inline struct slice list(uint32_t permissions, const char *scheme, const char *id)
{
    struct acl_entry e = {permissions, slice_str(scheme), slice_str(id)};
    return list_of(&e, 1);
}

static inline struct slice who(const char *scheme, const char *id)
{
    struct buf *b = &memory[memory_used++];
    *b = (struct buf){0};
    identity_encode(b, slice_str(scheme), slice_str(id));
    return buf_slice(b);
}

static inline enum outcome run_as(struct slice identities, const struct op *ops, uint32_t count)
{
    struct command c = {.type = COMMAND_TXN,
                        .identities = identities,
                        .txn = {.then_ops = ops, .then_count = count}};
    return kit_run(&k, &c);
}

static inline enum outcome do_as(struct slice identities, enum op_type type, const char *path)
{
    struct op op = kit_op(type, path, type == OP_CREATE || type == OP_SET ? "" : NULL);
    return run_as(identities, &op, 1);
}

static inline enum outcome create_with(const char *path, struct slice acl)
{
    struct op op = kit_op(OP_CREATE, path, "value");
    op.acl = acl;
    return kit_ops(&k, &op, 1);
}

static inline enum outcome set_acl_as(struct slice identities, const char *path, struct slice acl,
                                      uint32_t version)
{
    struct op op = kit_op(OP_SET_ACL, path, NULL);
    op.acl = acl;
    op.version = version;
    return run_as(identities, &op, 1);
}

static inline struct query_result ask_as(struct slice identities, enum query_type type,
                                         const char *path)
{
    struct query q = {.type = (uint8_t)type,
                      .space = SPACE_NODES,
                      .path = slice_str(path),
                      .identities = identities};
    struct query_result result;
    store_query(k.store, &q, &result, &arena);
    return result;
}

#endif
