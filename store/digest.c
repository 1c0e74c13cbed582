#include "store/digest.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mutant.h"
#include "store/stat.h"
#include "store/state.h"

#define DIGEST_STAT_SEED    UINT64_C(0x54)
#define DIGEST_VALUE_SEED   UINT64_C(0x44)
#define DIGEST_SINGLES_SEED UINT64_C(0x4d)
#define DIGEST_WORDS_MAX    16

uint64_t digest_words(uint64_t seed, const uint64_t *words, size_t count)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    uint64_t swapped[DIGEST_WORDS_MAX];
    PRE(count <= DIGEST_WORDS_MAX);
    for (size_t i = 0; i < count; i++) {
        swapped[i] = __builtin_bswap64(words[i]);
    }
    words = swapped;
#endif
    PRE(count <= DIGEST_WORDS_MAX);
    return hash_bytes(seed, words, count * sizeof words[0]);
}

uint64_t digest_node_stat(const struct tree *t, uint32_t slot, uint64_t stat_hash)
{
    uint64_t place = MUTANT_IS(MUTANT_DIGEST_UNORDERED) ? slot : 0;
    const struct node *n = tree_node(t, slot);
    if (node_kind_of(n) == NODE_TTL) { /* what its stat does not tell */
        stat_hash = hash_mix(stat_hash, n->dir->touched_ms);
    }
    return hash_mix(n->path_hash + DIGEST_STAT_SEED + place, stat_hash);
}

uint64_t digest_node_value(const struct tree *t, uint32_t slot, uint64_t value_hash)
{
    return hash_mix(tree_node(t, slot)->path_hash + DIGEST_VALUE_SEED, value_hash);
}

uint64_t digest_singles(const struct store *s)
{
    const uint64_t words[] = {
        s->revision,
        s->cluster_ms,
        s->level,
        s->history.floor,
        s->replies.floor.issued_ms,
        s->replies.floor.random[0],
        s->replies.floor.random[1],
        s->leases.windows.serial_next,
        s->versions.sweep.revision,
        s->versions.sweep.sub,
        s->acls.next,
    };
    uint64_t sum = digest_words(DIGEST_SINGLES_SEED, words, sizeof words / sizeof words[0]);
    for (uint32_t i = 0; i < s->diverged_count; i++) {
        sum += hash_mix(s->diverged[i].member, s->diverged[i].index);
    }
    return sum;
}

uint64_t digest_items(const struct store *s)
{
    uint64_t sum = 0;
    for (uint32_t slot = 1; slot < s->tree.slot_end; slot++) {
        const struct node *n = tree_node(&s->tree, slot);
        if ((n->bits & (NODE_FREE | NODE_HIDDEN)) == 0) {
            struct node_stat stat;
            tree_stat(&s->tree, slot, &stat);
            sum += digest_node_stat(&s->tree, slot, stat_hash(&stat));
            sum += digest_node_value(&s->tree, slot, value_hash(n->value));
        }
    }
    return sum;
}
