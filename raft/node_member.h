/* What the files about changes of the members share: node_rules.c (who is up, what is safe),
 * node_member.c (what goes on by itself) and node_judge.c (what is asked). On the leader. */
#ifndef RAFT_NODE_MEMBER_H
#define RAFT_NODE_MEMBER_H

#include "raft/node_internal.h"

/* ---- node_rules.c ---- */

/* Not known to be down. */
bool member_is_live(const struct node *n, uint64_t id);
/* Known to be up a moment ago: it answers every heartbeat. A step that needs it must not be taken
 * on older news. */
bool member_is_answering(const struct node *n, uint64_t id);
/* Of the configuration; "?" if it has none. Valid as long as `scratch`. */
const char *member_name(const struct engine_member *m, struct node_member *scratch);
/* Of the voters without `leaves` (0 = all), and with `comes` (0 = none), is a majority up? If not,
 * `down` names who is not. */
bool member_majority_is(const struct node *n,
                        bool (*is_up)(const struct node *n, uint64_t id), uint64_t leaves,
                        uint64_t comes, char *down, size_t bytes);
/* RC_REFUSED: the cluster would have too few voters without it, or too few that are up. */
enum status member_check_removal(const struct node *n, const struct engine_member *m,
                                 struct errmsg *err);
/* Who is up and nearly as far as this node; why not, otherwise. */
bool member_can_take_over(const struct node *n, uint64_t id, struct errmsg *err);

/* ---- node_member.c ---- */

/* It was as far as this node, an election timeout ago at most. */
bool member_is_in_sync(struct node *n, uint64_t id);
/* A standby becomes a voter. RC_REFUSED: not now. */
enum status member_step_promote(struct node *n, uint64_t id, struct errmsg *err);

#endif
