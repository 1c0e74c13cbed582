/* What words.c and words_lists.c share: pieces of the answers, and the words that list. */
#ifndef ZOOKEEPER_WORDS_INTERNAL_H
#define ZOOKEEPER_WORDS_INTERNAL_H

#include "net/zookeeper/connection.h"

struct zk_lease_counts {
    uint64_t sessions;
    uint64_t ephemerals;
};

/* "leader", "follower" or "standalone". */
const char *zk_words_mode(const struct node_status *status);

/* Rounded down; 0 of none. */
uint64_t zk_words_average(uint64_t sum, uint64_t count);

/* Of the whole cluster, in time proportional to its leases. */
struct zk_lease_counts zk_words_count_leases(const struct store *s);

/* The connection behind `after`, NULL = the first; NULL behind the last. */
const struct zk_connection *zk_words_next(const struct zk_connection *c,
                                          const struct zk_connection *after);

/* How stat and cons begin the line of a connection. */
void zk_words_put_connection(const struct zk_connection *c, struct buf *out);

void zk_word_cons(struct zk_connection *c, struct buf *out);
void zk_word_wchs(struct zk_connection *c, struct buf *out);
void zk_word_wchc(struct zk_connection *c, struct buf *out);
void zk_word_wchp(struct zk_connection *c, struct buf *out);
void zk_word_dump(struct zk_connection *c, struct buf *out);

#endif
