/* Single writes with guards: transactions of one operation. */
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "client/error.h"

/* `result` is to be cleared on COORD_OK. */
static enum coord_code write_one(struct coord_client *client, const struct coord_op *op,
                                 const struct coord_guard *guards, size_t guard_count,
                                 struct coord_txn_result *result, struct coord_error *error)
{
    const struct coord_transaction txn = {
        .guards = guards, .guard_count = guard_count, .then_ops = op, .then_count = 1};
    enum coord_code code = coord_txn(client, &txn, result, error);
    if (code == COORD_OK && result->count != 1) {
        coord_txn_clear(result);
        code = client_fail(error, COORD_INTERNAL, "the reply has %zu results in place of one",
                           result->count);
    }
    return code;
}

enum coord_code coord_create_guarded(struct coord_client *client, const char *path,
                                     const void *data, size_t bytes,
                                     const struct coord_create_options *options,
                                     const struct coord_guard *guards, size_t guard_count,
                                     char **real_path, struct coord_stat *stat,
                                     struct coord_error *error)
{
    const struct coord_op op = coord_op_create(path, data, bytes, options);
    struct coord_txn_result result;
    enum coord_code code = write_one(client, &op, guards, guard_count, &result, error);
    if (code != COORD_OK) {
        return code;
    }
    char *copy = real_path != NULL ? strdup(result.results[0].path) : NULL;
    if (real_path != NULL && copy == NULL) {
        code = client_fail(error, COORD_NO_MEMORY, "out of memory; %s was created", path);
    } else {
        if (real_path != NULL) {
            *real_path = copy;
        }
        if (stat != NULL) {
            *stat = result.results[0].stat;
        }
    }
    coord_txn_clear(&result);
    return code;
}

enum coord_code coord_set_guarded(struct coord_client *client, const char *path,
                                  const void *data, size_t bytes, int64_t version,
                                  const struct coord_guard *guards, size_t guard_count,
                                  struct coord_stat *stat, struct coord_error *error)
{
    const struct coord_op op = coord_op_set(path, data, bytes, version);
    struct coord_txn_result result;
    enum coord_code code = write_one(client, &op, guards, guard_count, &result, error);
    if (code == COORD_OK) {
        if (stat != NULL) {
            *stat = result.results[0].stat;
        }
        coord_txn_clear(&result);
    }
    return code;
}

enum coord_code coord_delete_guarded(struct coord_client *client, const char *path,
                                     int64_t version, bool recursive,
                                     const struct coord_guard *guards, size_t guard_count,
                                     uint64_t *count, struct coord_error *error)
{
    const struct coord_op op = coord_op_delete(path, version, recursive);
    struct coord_txn_result result;
    enum coord_code code = write_one(client, &op, guards, guard_count, &result, error);
    if (code == COORD_OK) {
        if (count != NULL) {
            *count = result.results[0].count;
        }
        coord_txn_clear(&result);
    }
    return code;
}
