/* A write that counts only as long as its writer is who it says: in one transaction with the check
 * that the node which stands for this process is still the one that it made.
 *
 *     guarded_write TEXT           (COORD_ENDPOINTS says where)
 *
 * Stands for the worker at /jobs/owner, writes TEXT to /jobs/result; then loses its place, as one
 * that was stopped for too long does, and writes again. The second write is refused, by the
 * cluster and not by this program's clock. */
#include <coord/client.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* COORD_GUARD_STALE: it is no longer the owner, and nothing was written. */
static enum coord_code write_as_owner(struct coord_client *client, uint64_t epoch,
                                      const char *text, struct coord_error *error)
{
    const struct coord_guard guard = coord_guard_held("/jobs/owner", epoch);
    const struct coord_op write =
        coord_op_set("/jobs/result", text, strlen(text), COORD_ANY_VERSION);
    const struct coord_transaction txn = {
        .guards = &guard, .guard_count = 1, .then_ops = &write, .then_count = 1};
    return coord_txn(client, &txn, NULL, error);
}

static enum coord_code run(struct coord_client *client, const char *text,
                           struct coord_error *error)
{
    static const struct coord_create_options ephemeral = {.kind = COORD_EPHEMERAL,
                                                          .flags = COORD_MAKE_PARENTS};
    struct coord_stat mine;
    enum coord_code code =
        coord_create(client, "/jobs/result", "", 0, COORD_MAKE_PARENTS, NULL, NULL, error);
    if (code == COORD_OK || code == COORD_EXISTS) {
        code = coord_session_open(client, 5000, "guarded_write", error);
    }
    if (code == COORD_OK) {
        code =
            coord_create_with(client, "/jobs/owner", "me", 2, &ephemeral, NULL, &mine, error);
    }
    if (code == COORD_OK) {
        code = write_as_owner(client, mine.create_revision, text, error);
    }
    if (code != COORD_OK) {
        return code;
    }
    printf("written in epoch %llu\n", (unsigned long long)mine.create_revision);

    code =
        coord_session_close(client, NULL, error); /* its place is free, and somebody takes it */
    if (code == COORD_OK) {
        code = coord_create(client, "/jobs/owner", "another", 7, 0, NULL, NULL, error);
    }
    if (code == COORD_OK) {
        code = write_as_owner(client, mine.create_revision, "too late", error);
        printf("a late write: %s\n", coord_code_text(code));
        code = code == COORD_GUARD_STALE ? COORD_OK : COORD_INTERNAL;
    }
    (void)coord_delete(client, "/jobs/owner", COORD_ANY_VERSION, false, NULL, NULL);
    return code;
}

int main(int argc, char **argv)
{
    const struct coord_options options = {.endpoints = getenv("COORD_ENDPOINTS")};
    struct coord_client *client;
    struct coord_error error;
    if (coord_open(&options, &client, &error) != COORD_OK) {
        fprintf(stderr, "guarded_write: %s\n", error.message);
        return 1;
    }
    enum coord_code code = run(client, argc > 1 ? argv[1] : "done", &error);
    if (code != COORD_OK) {
        fprintf(stderr, "guarded_write: %s: %s\n", coord_code_text(code), error.message);
    }
    coord_close(client);
    return code == COORD_OK ? 0 : 1;
}
