/* A second, naive implementation of what commands do to nodes: an array sorted by space and path.
 * It shares no code with the store, and knows what the tests draw: ASCII paths, small values, no
 * kinds but persistent ones.
 *
 * A change is made of the record and appended to `expected`; rolling back is the caller's: it keeps
 * a copy. Assertions are Check's. */
#ifndef TESTS_SUPPORT_STORE_MODEL_H
#define TESTS_SUPPORT_STORE_MODEL_H

#include "store/command.h"

#define MODEL_PATH_BYTES  200
#define MODEL_DATA_BYTES  64
#define MODEL_CHANGES_MAX 512

struct record {
    uint8_t space;
    char path[MODEL_PATH_BYTES];
    char data[MODEL_DATA_BYTES];
    size_t size;
    bool null;
    struct node_stat stat;
};

struct model {
    struct record *records;
    size_t count;
    size_t capacity;
    uint64_t revision;
    uint64_t wall_ms;
};

struct expected_change {
    uint8_t type;
    struct record after; /* of a delete: as it was */
    struct record before;
};

struct expected {
    struct expected_change changes[MODEL_CHANGES_MAX];
    uint32_t count;
};

void model_init(struct model *m);
struct model model_copy(const struct model *m);
void model_free(struct model *m);

struct record *model_find(struct model *m, uint8_t space, const char *path);

/* One operation. `path` is that of `op` as text; `made` is the node created or set, `count` what a
 * delete took. The revision of the changes is m->revision + 1. */
enum outcome model_create(struct model *m, struct expected *e, const struct op *op,
                          const char *path, struct record **made);
enum outcome model_set(struct model *m, struct expected *e, const struct op *op,
                       const char *path, struct record **made);
enum outcome model_delete(struct model *m, struct expected *e, const struct op *op,
                          const char *path, uint64_t *count);
enum outcome model_check(struct model *m, const struct op *op, const char *path);
bool model_guard(struct model *m, const struct guard *g);

/* Paths as text. */
void model_parent_path(const char *path, char *out);
void model_slice_text(struct slice s, char *out);
/* The order of a depth-first walk: '/' before everything else. */
int model_path_order(const char *a, const char *b);

#endif
