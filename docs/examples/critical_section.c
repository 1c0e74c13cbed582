/* A lock around a critical section: one process at a time counts, and whoever was stopped in
 * the middle does no harm.
 *
 *     critical_section [PAUSE_MS]          (COORD_ENDPOINTS says where)
 *
 * Takes /locks/count, adds one to /count, and gives the lock back. Between reading and
 * writing it waits for PAUSE_MS, as a slow program does. Its write carries the lock's guard:
 * if the lock was lost meanwhile, it is refused, whatever this process believes. */
#include <coord/client.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* The time passes in coord_run, so that the session is kept alive; false: stop, the lock may be
 * lost. */
static bool pause_safely(struct coord_client *client, const struct coord_lock *lock, long ms)
{
    for (; ms > 0 && coord_lock_trusted_ms(lock) > 0; ms -= 10) {
        (void)coord_run(client, 10);
    }
    return coord_lock_trusted_ms(lock) > 0;
}

static void on_lock(void *context, struct coord_lock *lock,
                    const struct coord_lock_event *event)
{
    (void)context;
    (void)lock;
    if (event->is_asked) {
        fprintf(stderr, "%s would like to have it: %s\n", event->asked_by, event->asked_why);
    } else if (event->state != COORD_LOCK_SAFE) {
        fprintf(stderr, "the lock may be lost: %s\n", event->why->message);
    }
}

static enum coord_code count_one(struct coord_client *client, const struct coord_lock *lock,
                                 long pause_ms, struct coord_error *error)
{
    const struct coord_guard guard = coord_lock_guard(lock, 0);
    void *value;
    char text[24];
    enum coord_code code = coord_get(client, "/count", &value, NULL, NULL, error);
    if (code != COORD_OK) {
        return code;
    }
    long count = strtol(value, NULL, 10) + 1;
    free(value);
    if (!pause_safely(client, lock, pause_ms)) {
        fprintf(stderr, "too slow: the lock may be somebody else's by now\n");
    }
    int bytes = snprintf(text, sizeof text, "%ld", count);
    code = coord_set_guarded(client, "/count", text, (size_t)bytes, COORD_ANY_VERSION, &guard,
                             1, NULL, error);
    if (code == COORD_OK) {
        printf("%ld in epoch %" PRIu64 "\n", count, coord_lock_epoch(lock));
    }
    return code;
}

static enum coord_code run(struct coord_client *client, long pause_ms,
                           struct coord_error *error)
{
    const struct coord_lock_target target = {.path = "/locks/count"};
    const struct coord_lock_options options = {.wait_ms = 60000, .note = "counting"};
    struct coord_lock *lock;
    enum coord_code code =
        coord_create(client, "/count", "0", 1, COORD_MAKE_PARENTS, NULL, NULL, error);
    if (code == COORD_OK || code == COORD_EXISTS) {
        code = coord_session_open(client, 2000, "critical_section", error);
    }
    if (code == COORD_OK) {
        code = coord_lock_acquire(client, &target, 1, &options, &lock, error);
    }
    if (code != COORD_OK) {
        return code;
    }
    code = coord_lock_follow(lock, on_lock, NULL, error);
    if (code == COORD_OK) {
        code = count_one(client, lock, pause_ms, error);
    }
    if (code == COORD_OK) {
        code = coord_lock_release(lock, error);
    }
    coord_lock_free(lock);
    return code;
}

int main(int argc, char **argv)
{
    const struct coord_options options = {.endpoints = getenv("COORD_ENDPOINTS")};
    struct coord_client *client;
    struct coord_error error;
    if (coord_open(&options, &client, &error) != COORD_OK) {
        fprintf(stderr, "critical_section: %s\n", error.message);
        return 1;
    }
    enum coord_code code = run(client, argc > 1 ? strtol(argv[1], NULL, 10) : 0, &error);
    if (code != COORD_OK) {
        fprintf(stderr, "critical_section: %s: %s\n", coord_code_text(code), error.message);
    }
    (void)coord_session_close(client, NULL, NULL);
    coord_close(client);
    return code == COORD_OK ? 0 : 1;
}
