/* struct node_stat in bytes, for replies and rows, and in words, for the digest. */
#ifndef STORE_STAT_H
#define STORE_STAT_H

#include "base/pack.h"
#include "store/types.h"

#define STAT_PACKED_BYTES ((size_t)(8 * 8 + 5 * 4 + 1))

void stat_pack(struct buf *b, const struct node_stat *s);
void stat_unpack(struct unpack *u, struct node_stat *s); /* fails `u` on an unknown kind */
uint64_t stat_hash(const struct node_stat *s);

#endif
