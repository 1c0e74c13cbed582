#include "store/rebirth.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mutant.h"
#include "store/digest.h"
#include "store/stat.h"
#include "store/state.h"

#define REBIRTH_NOTE "the cluster was restored"

/* ---- a new life --------------------------------------------------------------------------- */

/* The wall clock of the last thing known to have happened. */
static uint64_t last_wall_ms(const struct store *s)
{
    const struct history *h = &s->history;
    uint64_t latest = 0;
    if (h->begin < h->end) {
        return history_at(h, h->end - 1)->wall_ms;
    }
    for (uint32_t slot = 1; slot < s->tree.slot_end; slot++) {
        const struct node *n = tree_node(&s->tree, slot);
        if ((n->bits & (NODE_FREE | NODE_HIDDEN)) == 0 && n->modify_ms > latest) {
            latest = n->modify_ms;
        }
    }
    return latest;
}

/* Ids may have been issued ahead of the cluster's time. It moves on behind them, or new ones would
 * have to wait. */
static void forget_requests(struct store *s)
{
    struct request_id floor = {.issued_ms = s->cluster_ms, .random = {UINT64_MAX, UINT64_MAX}};
    struct replies *r = &s->replies;
    if (replies_count(r) > 0 && r->cells[r->end - 1].issued_ms > floor.issued_ms) {
        floor.issued_ms = r->cells[r->end - 1].issued_ms;
    }
    if (r->floor.issued_ms > floor.issued_ms) {
        floor.issued_ms = r->floor.issued_ms;
    }
    replies_forget(r, &floor);
    s->cluster_ms = floor.issued_ms + 1;
}

static void end_lease(struct store *s, const struct lease *l, uint64_t index, uint64_t wall_ms,
                      struct rebirth *out)
{
    const struct apply_context context = {
        .index = index, .cluster_ms = s->cluster_ms, .wall_ms = wall_ms};
    const struct command c = {
        .type = COMMAND_EXPIRE,
        .note = slice_str(REBIRTH_NOTE),
        .lease = {.id = l->id, .generation = l->generation},
    };
    struct reply reply;
    if (l->kind == LEASE_SESSION) {
        out->sessions++;
    } else {
        out->leases++;
    }
    out->ephemerals += l->attached_count;
    store_apply(s, &context, &c, &reply);
    POST(reply.outcome == OUTCOME_OK);
}

/* The first key about members; empty if there is none. Valid until the next change. */
static struct slice member_key(const struct store *s, struct slice super, struct arena *arena)
{
    struct query_result result;
    const struct query q = {
        .type = QUERY_LIST,
        .space = SPACE_META,
        .path = slice_str(REBIRTH_MEMBER_KEYS),
        .identities = super,
        .limit = 1,
    };
    store_query(s, &q, &result, arena);
    bool has_one = result.outcome == OUTCOME_OK && result.entry_count > 0;
    return has_one ? result.entries[0].path : slice_make(NULL, 0);
}

static void forget_members(struct store *s, uint64_t index, uint64_t wall_ms)
{
    const struct apply_context context = {
        .index = index, .cluster_ms = s->cluster_ms, .wall_ms = wall_ms};
    struct arena arena = {0};
    struct buf super = {0}; /* whoever may write here otherwise */
    struct slice key;
    identity_encode(&super, slice_str("super"), slice_str(""));
    while ((key = member_key(s, buf_slice(&super), &arena)).size > 0) {
        const struct op op = {
            .type = OP_DELETE, .space = SPACE_META, .path = key, .version = VERSION_ANY};
        const struct command c = {
            .type = COMMAND_TXN,
            .identities = buf_slice(&super),
            .note = slice_str(REBIRTH_NOTE),
            .txn = {.then_ops = &op, .then_count = 1},
        };
        struct reply reply;
        store_apply(s, &context, &c, &reply);
        POST(reply.outcome == OUTCOME_OK);
        arena_clear(&arena);
    }
    buf_close(&super);
    arena_close(&arena);
}

void store_rebirth(struct store *s, struct rebirth *out)
{
    PRE(s->scan == NULL && s->load == NULL);
    uint64_t index = s->applied_index + REBIRTH_GAP;
    uint64_t wall_ms = last_wall_ms(s);
    *out = (struct rebirth){.old_revision = s->revision, .old_index = s->applied_index};

    s->revision += MUTANT_IS(MUTANT_REBIRTH_GOES_BACK) ? 0 : REBIRTH_GAP;
    history_clear(&s->history,
                  MUTANT_IS(MUTANT_REBIRTH_UNCOMPACTED) ? s->history.floor : s->revision + 1);
    forget_requests(s);
    s->diverged_count = 0; /* the members that they name are no more */
    const struct lease *l;
    while ((l = store_lease_next(s, 0)) != NULL) {
        end_lease(s, l, index, wall_ms, out);
    }
    forget_members(s, index, wall_ms);
    store_skip(s, index);
    POST(s->leases.count == 0);
}

/* ---- content ------------------------------------------------------------------------------ */

#define CONTENT_SEED UINT64_C(0x636f6e74656e74)

static uint64_t content_of(const struct store *s, uint32_t slot)
{
    const struct node *n = tree_node(&s->tree, slot);
    struct node_stat stat;
    tree_stat(&s->tree, slot, &stat);
    const uint64_t words[] = {
        stat.kind,        stat.create_revision, stat.modify_revision,
        stat.create_ms,   stat.modify_ms,       stat.version,
        stat.acl_version, stat.ttl_ms,          stat.sequence_next,
    };
    uint64_t hash = digest_words(n->path_hash, words, sizeof words / sizeof words[0]);
    hash = hash_mix(hash, value_hash(n->value));
    if (n->acl != 0) {
        struct slice list = acl_list_slice(acl_table_find(&s->acls, n->acl));
        hash = hash_mix(hash, hash_bytes(CONTENT_SEED, list.data, list.size));
    }
    return hash;
}

/* A node that a rebirth takes away. */
static bool is_mortal(const struct store *s, uint32_t slot)
{
    static const char prefix[] = REBIRTH_MEMBER_KEYS;
    uint8_t key[STORE_PATH_BYTES_MAX];
    const struct node *n = tree_node(&s->tree, slot);
    if (n->parent == TREE_NONE || n->parent != tree_root(&s->tree, SPACE_META)) {
        return node_kind_of(n) == NODE_EPHEMERAL;
    }
    size_t bytes = tree_path_bytes(&s->tree, slot);
    if (bytes < sizeof prefix - 1) {
        return false;
    }
    tree_path_write(&s->tree, slot, key);
    return memcmp(key, prefix, sizeof prefix - 1) == 0;
}

uint64_t store_content_digest(const struct store *s)
{
    uint64_t sum = CONTENT_SEED;
    for (uint32_t slot = 1; slot < s->tree.slot_end; slot++) {
        const struct node *n = tree_node(&s->tree, slot);
        if ((n->bits & (NODE_FREE | NODE_HIDDEN)) == 0 && !is_mortal(s, slot)) {
            sum += content_of(s, slot);
        }
    }
    return sum;
}
