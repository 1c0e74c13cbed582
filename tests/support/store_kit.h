/* A store under test: commands go in through their encoding, with an index and times that move on
 * by themselves; the store can be replaced by what a snapshot of it loads to. */
#ifndef TESTS_SUPPORT_STORE_KIT_H
#define TESTS_SUPPORT_STORE_KIT_H

#include "store/row.h"
#include "store/store.h"

struct kit {
    struct store *store;
    uint64_t index; /* of the last entry applied */
    uint64_t cluster_ms;
    uint64_t wall_ms;
    struct reply reply; /* of the last command */
    struct arena arena; /* of its decoded form */
    struct buf bytes;   /* of its encoded form */
};

/* As in a cluster that began with this version; kit_open does it. */
void kit_raise_level(struct store *s);
void kit_open(struct kit *k);
void kit_close(struct kit *k);

/* Encodes, decodes and applies; the outcome, with everything else in k->reply. */
enum outcome kit_run(struct kit *k, const struct command *c);
enum outcome kit_run_encoded(struct kit *k, struct slice command);
enum outcome kit_ops(struct kit *k, const struct op *ops, uint32_t count);

/* Znode operations by C strings; a NULL `data` is no value at all. */
struct op kit_op(enum op_type type, const char *path, const char *data);
enum outcome kit_create(struct kit *k, const char *path, const char *data);
enum outcome kit_set(struct kit *k, const char *path, const char *data);
enum outcome kit_delete(struct kit *k, const char *path);
enum outcome kit_remove_tree(struct kit *k, const char *path);

/* OUTCOME_OK and the stat, or why not. */
enum outcome kit_stat(struct kit *k, const char *path, struct node_stat *out);
bool kit_exists(struct kit *k, const char *path);

/* A plain lease of 10 s. */
void kit_grant(struct kit *k, uint64_t id);
/* As the leader does it: of the generation that the lease has. */
enum outcome kit_expire(struct kit *k, uint64_t id);

/* Puts the store that a snapshot taken now loads to in the place of this one: they are the same. */
void kit_reload(struct kit *k);

/* All rows of a snapshot taken now. */
void kit_rows(struct store *s, struct snapshot_meta *meta, struct buf *rows);
/* A store made of encoded rows; the first thing that is wrong with them, in `rc`. NULL then. */
struct store *kit_load(struct slice rows, const struct snapshot_meta *meta, enum status *rc);

#endif
