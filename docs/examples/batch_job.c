/* A batch that begins when all its workers are there, and is over when all have done their part.
 *
 *     batch_job NAME WORKERS               (COORD_ENDPOINTS says where)
 *
 * Each worker goes into /batch/barrier, takes ten numbers of work that no other worker has out of
 * /batch/ids, adds them to /batch/done, and leaves. Whoever dies on the way is waited for by nobody
 * who leaves. */
#include <coord/barriers.h>
#include <coord/counters.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static enum coord_code work(struct coord_client *client, const struct coord_lock *inside,
                            const char *name, struct coord_error *error)
{
    const struct coord_guard guard = coord_lock_guard(inside, 0);
    const struct coord_counter_options guarded = {.guards = &guard, .guard_count = 1};
    struct coord_ids ids;
    struct coord_counter done;
    enum coord_code code = coord_ids_allocate(client, "/batch/ids", 10, &guarded, &ids, error);
    if (code == COORD_OK) {
        code = coord_counter_add(client, "/batch/done", 10, &guarded, &done, error);
    }
    if (code == COORD_OK) {
        printf("%s has done %" PRIu64 " to %" PRIu64 " in round %" PRIu64 "\n", name, ids.first,
               ids.first + ids.count - 1, coord_lock_epoch(inside));
    }
    return code;
}

static enum coord_code run(struct coord_client *client, const char *name, uint32_t workers,
                           struct coord_error *error)
{
    const struct coord_party party = {
        .path = "/batch/barrier", .parties = workers, .name = name, .wait_ms = 60000};
    struct coord_counter total;
    struct coord_lock *inside;
    enum coord_code code = coord_session_open(client, 5000, name, error);
    if (code == COORD_OK) {
        code = coord_barrier_enter(client, &party, &inside, error);
    }
    if (code != COORD_OK) {
        return code;
    }
    code = work(client, inside, name, error);
    if (code == COORD_OK) {
        code = coord_barrier_leave(inside, error);
    }
    coord_lock_free(inside);
    if (code == COORD_OK) {
        code = coord_counter_get(client, "/batch/done", &total, error);
    }
    if (code == COORD_OK) {
        printf("all have left: %" PRId64 " done\n", total.value);
    }
    return code;
}

int main(int argc, char **argv)
{
    const struct coord_options options = {.endpoints = getenv("COORD_ENDPOINTS")};
    struct coord_client *client;
    struct coord_error error;
    if (argc != 3) {
        fprintf(stderr, "usage: batch_job NAME WORKERS\n");
        return 2;
    }
    if (coord_open(&options, &client, &error) != COORD_OK) {
        fprintf(stderr, "batch_job: %s\n", error.message);
        return 1;
    }
    enum coord_code code = run(client, argv[1], (uint32_t)strtoul(argv[2], NULL, 10), &error);
    if (code != COORD_OK) {
        fprintf(stderr, "batch_job: %s: %s\n", coord_code_text(code), error.message);
    }
    (void)coord_session_close(client, NULL, NULL);
    coord_close(client);
    return code == COORD_OK ? 0 : 1;
}
