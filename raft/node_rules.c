/* Who of the members is up, and which changes of them are safe. Which steps Raft allows is for
 * engine_change to say; here is what an operator must not do by mistake: remove a voter when those
 * that stay would have no majority up. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "raft/node_member.h"

#define SILENT_TIMEOUTS  5 /* election timeouts without an answer: a member is down */
#define FRESH_HEARTBEATS 3
#define HAND_OVER_LAG    4096 /* entries: who lacks more has to catch up first */

uint32_t node_election_timeout_ms(const struct node *n)
{
    return n->options.election_timeout_ms != 0 ? n->options.election_timeout_ms
                                               : ENGINE_ELECTION_TIMEOUT_MS;
}

bool member_is_live(const struct node *n, uint64_t id)
{
    return id == n->identity.node_id ||
           (peers_is_up(n->peers, id) &&
            engine_silence_ms(n->engine, id) < SILENT_TIMEOUTS * node_election_timeout_ms(n));
}

bool member_is_answering(const struct node *n, uint64_t id)
{
    uint32_t heartbeat_ms =
        n->options.heartbeat_ms != 0 ? n->options.heartbeat_ms : ENGINE_HEARTBEAT_MS;
    return id == n->identity.node_id ||
           (member_is_live(n, id) &&
            engine_silence_ms(n->engine, id) < FRESH_HEARTBEATS * (uint64_t)heartbeat_ms);
}

const char *member_name(const struct engine_member *m, struct node_member *scratch)
{
    return node_parse_member(m->address, scratch) ? scratch->name : "?";
}

bool member_majority_is(const struct node *n, bool (*is_up)(const struct node *n, uint64_t id),
                        uint64_t leaves, uint64_t comes, char *down, size_t bytes)
{
    const struct engine_configuration *c = engine_configuration(n->engine);
    size_t voters = 0;
    size_t live = 0;
    size_t used = 0;
    down[0] = '\0';
    for (size_t i = 0; i < c->count; i++) {
        const struct engine_member *m = &c->members[i];
        struct node_member scratch;
        if (m->id == leaves || (m->role != ENGINE_VOTER && m->id != comes)) {
            continue;
        }
        voters++;
        if (is_up(n, m->id)) {
            live++;
        } else if (used < bytes) {
            int size = snprintf(down + used, bytes - used, "%s%s", used > 0 ? ", " : "",
                                member_name(m, &scratch));
            used += size > 0 ? (size_t)size : 0;
        }
    }
    return 2 * live > voters;
}

enum status member_check_removal(const struct node *n, const struct engine_member *m,
                                 struct errmsg *err)
{
    const struct engine_configuration *c = engine_configuration(n->engine);
    struct node_member scratch;
    char down[128];
    if (m->role != ENGINE_VOTER) {
        return RC_OK;
    }
    if (engine_voter_count(c) <= 2) {
        return errmsg_set(
            err, RC_REFUSED,
            "removing %s would leave a single voter, and a cluster keeps at least "
            "two; add a member first",
            member_name(m, &scratch));
    }
    if (!member_majority_is(n, member_is_live, m->id, 0, down, sizeof down)) {
        return errmsg_set(
            err, RC_REFUSED, "without %s no majority of the voters that stay is up: %s %s down",
            member_name(m, &scratch), down, strchr(down, ',') != NULL ? "are" : "is");
    }
    return RC_OK;
}

bool member_can_take_over(const struct node *n, uint64_t id, struct errmsg *err)
{
    uint64_t match = engine_match(n->engine, id);
    uint64_t last = engine_last_index(n->engine);
    if (!member_is_live(n, id)) {
        (void)errmsg_set(err, RC_REFUSED, "it is down");
        return false;
    }
    if (match + HAND_OVER_LAG < last) {
        (void)errmsg_set(err, RC_REFUSED, "it is %" PRIu64 " entries behind", last - match);
        return false;
    }
    return true;
}
