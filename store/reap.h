/* Nodes that go by themselves: containers whose last child went, and TTL nodes without children
 * that nobody modified for their ttl.
 *
 * Nothing in apply goes by itself: the leader asks here what is due (store/store.h, store_reap_due)
 * and proposes a COMMAND_REAP for each, which looks again. The index of what is due, and when, is
 * local: each member derives it from the nodes, as they change (reap_note), so that nothing ever
 * looks for due nodes in the tree. */
#ifndef STORE_REAP_H
#define STORE_REAP_H

#include <stdint.h>

struct store;

/* The node has come, or its children, its ttl's start or its place in the tree have changed. */
void reap_note(struct store *s, uint32_t slot);
/* The node goes. */
void reap_forget(struct store *s, uint32_t slot);

/* Loading: all nodes. */
void reap_rebuild(struct store *s);

/* The index has exactly what it must; O(nodes). */
void reap_check(const struct store *s);

#endif
