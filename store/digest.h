/* The state digest: the sum, modulo 2^64, of one hash per item of replicated state.
 *
 * A sum does not depend on the order in which items came and went, so a store that was loaded from
 * a snapshot has the digest of the one that was not; and a change costs one subtraction and one
 * addition. What is local (slots, pointers, scan positions) must not enter it. To replicate a new
 * kind of item: a function here, added on change, and its part in store_check and in load.c. */
#ifndef STORE_DIGEST_H
#define STORE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

struct store;
struct tree;

/* The same on every machine, whatever its byte order. */
uint64_t digest_words(uint64_t seed, const uint64_t *words, size_t count);

/* A node counts with two items, so that a change of stat does not hash a large value again. They
 * take the hashes that the change log wants too, so that each is computed once. */
uint64_t digest_node_stat(const struct tree *t, uint32_t slot, uint64_t stat_hash);
uint64_t digest_node_value(const struct tree *t, uint32_t slot, uint64_t value_hash);

/* What is single: revision, time, level, floors, marks. Hashed when asked for. */
uint64_t digest_singles(const struct store *s);

/* The sum over all nodes anew. O(nodes and value bytes). */
uint64_t digest_items(const struct store *s);

#endif
