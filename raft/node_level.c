/* The replicated feature level. What an older build cannot do, or would do differently, begins with
 * a COMMAND_LEVEL in the log, at the same index for everybody:
 *
 *   old members only -> mixed -> new members only -> finished
 *                    <-       <-                  (no way back)
 *
 * Up to the end every member can go back to its old version, for nothing in log or state is new to
 * that. Somebody finishes an upgrade when he is sure. A cluster without data has nothing to go back
 * to, and its leader raises the level by itself. */
#include <stdio.h>

#include "raft/node_internal.h"

uint32_t node_level_of_all(const struct node *n, char who[NODE_NAME_BYTES_MAX])
{
    uint32_t least = FEATURE_LEVEL;
    (void)snprintf(who, NODE_NAME_BYTES_MAX, "%s", n->identity.name);
    if (n->engine == NULL) {
        return 0;
    }
    const struct engine_configuration *c = engine_configuration(n->engine);
    for (size_t i = 0; i < c->count; i++) {
        uint64_t id = c->members[i].id;
        struct node_member member;
        uint32_t level =
            id == n->identity.node_id ? FEATURE_LEVEL : peers_feature_level(n->peers, id);
        if (level < least) {
            bool known = node_parse_member(c->members[i].address, &member);
            least = level;
            (void)snprintf(who, NODE_NAME_BYTES_MAX, "%s", known ? member.name : "?");
        }
    }
    return least;
}

void node_level_turn(struct node *n)
{
    char who[NODE_NAME_BYTES_MAX];
    if (store_level(n->store) >= FEATURE_LEVEL || store_revision(n->store) > 1 ||
        n->leading_term == 0 || n->level_term == n->leading_term || !node_may_propose(n)) {
        return;
    }
    struct command c = {.type = COMMAND_LEVEL, .level = node_level_of_all(n, who)};
    if (c.level > store_level(n->store)) {
        n->level_term = n->leading_term;
        command_encode(&n->forwarded, &c);
    }
}
