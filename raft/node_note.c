/* Notes: what members tell each other besides the log. The node carries them and does not look at
 * them; whose they are says the daemon (net/checks/vitals.h). Nothing is kept or repeated, so they
 * are for what comes again by itself.
 *
 * A build of before knows no such message and would drop the connection over it: members of its
 * feature level are sent none. */
#include "base/assert.h"
#include "raft/node_internal.h"

/* The level whose builds know MESSAGE_NOTE. */
#define NOTE_LEVEL 2

void node_on_notes(struct node *n, node_note_fn got, void *context)
{
    n->notes.got = got;
    n->notes.context = context;
}

uint64_t node_leader_id(const struct node *n)
{
    return n->engine != NULL ? engine_leader(n->engine) : 0;
}

bool node_send_note(struct node *n, uint64_t to, struct slice note)
{
    PRE(note.size <= MESSAGE_NOTE_BYTES_MAX);
    if (n->peers == NULL || n->phase != NODE_RUNNING || to == n->identity.node_id ||
        !peers_is_up(n->peers, to) || peers_feature_level(n->peers, to) < NOTE_LEVEL) {
        return false;
    }
    const struct message m = {.type = MESSAGE_NOTE, .note = {.bytes = note}};
    return peers_send(n->peers, to, &m);
}

void node_on_note(struct node *n, uint64_t from, const struct message_note *m)
{
    if (n->notes.got != NULL) {
        n->notes.got(n->notes.context, from, m->bytes);
    }
}
