/* Whether a store says what its model says: Check's assertions. */
#ifndef TESTS_SUPPORT_STORE_MODEL_CHECK_H
#define TESTS_SUPPORT_STORE_MODEL_CHECK_H

#include "base/rng.h"
#include "store/store.h"
#include "tests/support/store_model.h"

/* All but the id of the list, which means nothing by itself. */
void model_check_stat(const struct node_stat *real, const struct node_stat *model);
void model_check_data(const struct record *r, struct slice data, bool null);
/* The whole store as queries show it: nodes, keys, leases, their pages of random size, lists. */
void model_check_store(struct store *s, struct model *m, struct rng *rng);
/* The changes of revisions behind `from`, up to `revision`. */
void model_check_changes(const struct store *s, uint64_t from, const struct expected *e,
                         uint64_t revision);

#endif
