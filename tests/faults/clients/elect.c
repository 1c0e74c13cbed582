/* Elections of coord.v1.Election: the cluster decides who leads. Who does counts under its grant
 * (held.h), and then resigns, hands over to whoever would be last, or stops without a word. Lines
 * besides those of held.h:
 *
 *     campaign ELECTION VALUE BEGIN END RESULT
 *         asked to lead; whoever leads with this value does so by this campaign. RESULT is a word
 *         of result_word(), or "timeout": it is no candidate any more, and did not lead */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/elections.h"
#include "tests/faults/clients/held.h"

#define ELECTION   "/lead/e0"
#define COUNTER    "/count/e0"
#define THINK_MS   20
#define COUNTS_MAX 2 /* so that the lead often changes */

static enum coord_code campaign(struct worker *w, struct coord_lock **leadership,
                                struct coord_error *error)
{
    char value[WORKER_VALUE_BYTES];
    worker_value(w, value);
    const struct coord_candidate candidate = {
        .path = ELECTION, .name = w->name, .value = value, .wait_ms = HELD_WAIT_MS};
    uint64_t begin_us = worker_now_us();
    enum coord_code code = coord_election_campaign(w->client, &candidate, leadership, error);
    fprintf(w->history, "campaign " ELECTION " %s %" PRIu64 " %" PRIu64 " %s\n", value,
            begin_us, worker_now_us(),
            code == COORD_WAIT_TIMEOUT ? "timeout" : result_word(code));
    return code;
}

/* The name of the candidate that would lead last. False: nobody waits. */
static bool find_last(struct worker *w, char *name, size_t bytes)
{
    struct coord_election_info info;
    struct coord_error error;
    if (coord_election_get(w->client, ELECTION, &info, &error) != COORD_OK) {
        return false;
    }
    const struct coord_candidate_info *last =
        info.count > 0 ? &info.candidates[info.count - 1] : NULL;
    bool waits = last != NULL && !last->leads;
    snprintf(name, bytes, "%s", waits ? last->name : "");
    coord_election_info_clear(&info);
    return waits;
}

static enum coord_code step_down(struct worker *w, struct coord_lock *leadership,
                                 struct coord_error *error)
{
    char name[sizeof w->name];
    unsigned dice = worker_random(w, 30);
    if (dice == 0) {
        coord_session_detach(w->client); /* it dies: the next one leads when its session ends */
        return COORD_OK;
    }
    if (dice < 12 && find_last(w, name, sizeof name)) {
        enum coord_code code = coord_election_hand_over(w->client, ELECTION, name, error);
        if (code != COORD_NOT_FOUND) { /* which it is when that one waits no longer */
            return code;
        }
    }
    return coord_lock_release(leadership, error);
}

static void compete(struct worker *w)
{
    struct hold h = {.path = ELECTION, .counter = COUNTER, .counts = COUNTS_MAX};
    struct coord_lock *leadership = NULL;
    struct coord_error error;
    size_t count;
    enum coord_code code = campaign(w, &leadership, &error);
    if (code == COORD_WAIT_TIMEOUT) {
        return;
    }
    if (code == COORD_OK) {
        h.grant = coord_lock_grants(leadership, &count);
        if (!worker_is_trusted(w) || hold_and_count(w, &h)) {
            code = step_down(w, leadership, &error);
        }
        coord_lock_free(leadership);
    }
    if (code != COORD_OK) {
        fprintf(w->history, "# %s\n", error.message);
        coord_session_close(w->client, NULL, NULL); /* with whatever may be left */
    }
}

void worker_run_elect(struct worker *w)
{
    while (!worker_should_stop(w)) {
        if (worker_stay_alive(w, HELD_TTL_MS)) {
            compete(w);
        }
        worker_think(w, THINK_MS);
    }
    coord_session_close(w->client, NULL, NULL);
}
