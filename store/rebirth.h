/* A state begins a new life as that of another cluster: after a restore, or after a lost quorum.
 *
 * Nobody who knew the old cluster may take the new one for it, or see it go back:
 *
 *   - The revision grows by REBIRTH_GAP, so it is above all that anybody can have seen of the old
 *     cluster, also of what came after the backup. So does the log index, since clients keep the
 *     highest one that they saw.
 *   - The change log is empty then, its floor above: whoever watches from a revision of the old
 *     cluster is told COMPACTED and lists anew. What a history policy keeps goes on into the
 *     version chains first, as if the log had been trimmed.
 *   - Sessions and leases end, all of them, with what is attached to them: their deadlines were
 *     kept by leaders of the old cluster, and their owners may be gone since. They end as by
 *     expiry, each in a revision of its own, behind the gap: parents and version chains see it.
 *   - What the metadata says of members (keys that begin with REBIRTH_MEMBER_KEYS: who was removed,
 *     who is invited) goes, behind the gap too.
 *   - Of requests that carry an id nothing is remembered: the floor rises above all of them, so
 *     that a retry is answered "nobody can tell", and never executed twice.
 *
 * Everything else stays: nodes with all their revisions, versions and times, counters of sequential
 * names, lists, policies, feature level. The outcome depends on the state and the index alone, so
 * that members that are restored apart agree.
 */
#ifndef STORE_REBIRTH_H
#define STORE_REBIRTH_H

#include "store/store.h"

#define REBIRTH_GAP ((uint64_t)1 << 40)
/* Keys of SPACE_META that are about the members of one cluster (raft/node_registry.c). */
#define REBIRTH_MEMBER_KEYS "member/"

struct rebirth {
    uint64_t old_revision;
    uint64_t old_index;
    uint64_t sessions; /* ended */
    uint64_t leases;   /* likewise, plain ones */
    uint64_t ephemerals; /* removed with them */
};

/* No scan is under way. Afterwards the state stands at its old applied index + REBIRTH_GAP.
 * O(change log + leases + nodes). */
void store_rebirth(struct store *s, struct rebirth *out);

/* A digest of what outlives a rebirth and a restore: of every node that is not ephemeral its path,
 * kind, value, list, create and modify revision, times, version and list version, TTL, counter of
 * sequential names. What the going of an ephemeral moves in its parent (children's version and
 * revision) is not in it, and neither is what goes itself. Equal for two states of the same
 * content, also of different clusters. O(nodes and value bytes). */
uint64_t store_content_digest(const struct store *s);

#endif
