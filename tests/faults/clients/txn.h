/* Transactions of the fault tests, and the line of one:
 *
 *     txn BEGIN END RESULT REVISION ITEM...
 *
 * An ITEM is "set PATH EXPECT VALUE", "fence PATH CREATED" (a guard: the node that was created at
 * that revision is still there) or, of one that only reads, "read PATH VALUE MODIFIED VERSION". */
#ifndef FAULTS_TXN_H
#define FAULTS_TXN_H

#include "tests/faults/clients/worker.h"

#define TXN_ITEMS_MAX 8

struct txn_set {
    const char *path;
    int64_t expect; /* COORD_ANY_VERSION: no guard */
    const char *value;
};

struct txn_read {
    const char *path;
    bool is_there;
    char value[WORKER_VALUE_BYTES];
    uint64_t modified;
    uint32_t version;
};

/* All or nothing. `fence` (may be NULL) and its revision guard it. COORD_REFUSED: a guard does not
 * hold, nothing was done. */
struct result txn_write(struct worker *w, const struct txn_set *sets, size_t count,
                        const char *fence, uint64_t fence_revision);
/* All paths as of one moment. */
struct result txn_read(struct worker *w, struct txn_read *reads, size_t count);

#endif
