/* Leader election for a pool of workers: whoever leads hands out the work, and the others stand by.
 *
 *     worker_pool NAME             (COORD_ENDPOINTS says where)
 *
 * Campaigns in /elections/pool. As long as it leads it plans a round of work each quarter of a
 * second, by a write that carries its leadership as a guard: a leader that was stopped, and goes
 * on when another one leads already, plans nothing any more. It ends when it has lost its
 * leadership, or somebody else was made the leader. */
#include <coord/client.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile sig_atomic_t is_asked_to_end;

static void on_signal(int number)
{
    (void)number;
    is_asked_to_end = 1;
}

static void on_change(void *context, struct coord_lock *leadership,
                      const struct coord_lock_event *event)
{
    (void)context;
    (void)leadership;
    if (event->state != COORD_LOCK_SAFE) {
        fprintf(stderr, "no longer the leader: %s\n", event->why->message);
    }
}

/* What a leader does, as long as it is one. */
static enum coord_code plan(struct coord_client *client, const char *name,
                            struct coord_lock *leadership, struct coord_error *error)
{
    const struct coord_guard guard = coord_lock_guard(leadership, 0);
    enum coord_code code = coord_lock_follow(leadership, on_change, NULL, error);
    for (int round = 1; code == COORD_OK && !is_asked_to_end; round++) {
        char text[128];
        int bytes = snprintf(text, sizeof text, "%s, round %d", name, round);
        code = coord_set_guarded(client, "/pool/plan", text, (size_t)bytes, COORD_ANY_VERSION,
                                 &guard, 1, NULL, error);
        for (int i = 0; i < 25 && coord_lock_state(leadership) == COORD_LOCK_SAFE; i++) {
            (void)coord_run(client, 10); /* keeps the session alive, and tells on_change */
        }
        if (coord_lock_state(leadership) != COORD_LOCK_SAFE) {
            break;
        }
    }
    return code;
}

static enum coord_code run(struct coord_client *client, const char *name,
                           struct coord_error *error)
{
    const struct coord_candidate candidate = {
        .path = "/elections/pool", .name = name, .value = name};
    struct coord_lock *leadership;
    enum coord_code code =
        coord_create(client, "/pool/plan", "", 0, COORD_MAKE_PARENTS, NULL, NULL, error);
    if (code == COORD_OK || code == COORD_EXISTS) {
        code = coord_session_open(client, 2000, name, error);
    }
    if (code == COORD_OK) {
        code = coord_election_campaign(client, &candidate, &leadership, error);
    }
    if (code != COORD_OK) {
        return code;
    }
    printf("%s leads in epoch %" PRIu64 "\n", name, coord_lock_epoch(leadership));
    (void)fflush(stdout);
    code = plan(client, name, leadership, error);
    coord_lock_free(leadership);
    return code;
}

int main(int argc, char **argv)
{
    const struct coord_options options = {.endpoints = getenv("COORD_ENDPOINTS")};
    struct sigaction action = {.sa_handler = on_signal};
    struct coord_client *client;
    struct coord_error error;
    (void)sigaction(SIGTERM, &action, NULL);
    if (coord_open(&options, &client, &error) != COORD_OK) {
        fprintf(stderr, "worker_pool: %s\n", error.message);
        return 1;
    }
    enum coord_code code = run(client, argc > 1 ? argv[1] : "somebody", &error);
    if (code != COORD_OK) {
        fprintf(stderr, "worker_pool: %s: %s\n", coord_code_text(code), error.message);
    }
    (void)coord_session_close(client, NULL, NULL); /* and with it the leadership */
    coord_close(client);
    return code == COORD_OK ? 0 : 1;
}
