/* The node and its peers: which message goes to which part, connections that come and go. */
#include "raft/node_internal.h"

static void on_message(void *context, uint64_t from, const struct message *m)
{
    struct node *n = context;
    if (m->type == MESSAGE_BOOT_QUERY) {
        node_on_boot_query(n, from);
        return;
    }
    if (m->type == MESSAGE_BOOT_RESULT) {
        node_on_boot_result(n, from, &m->boot);
        return;
    }
    if (m->type == MESSAGE_SNAPSHOT_CHUNK && n->join.is_active && n->snapshots != NULL) {
        node_on_chunk(n, from, &m->snapshot_chunk); /* the state that it fetches to join */
        return;
    }
    if (m->type == MESSAGE_REMOVED) {
        node_on_removed(n, &m->removed);
        return;
    }
    if (n->engine == NULL || n->phase == NODE_REFUSED || node_turns_away(n, from)) {
        return;
    }
    switch (m->type) {
    case MESSAGE_MEMBER_ASK: node_on_member_ask(n, from, &m->member_ask); return;
    case MESSAGE_MEMBER_TELL: node_on_member_tell(n, from, &m->member_tell); return;
    case MESSAGE_INSTALL_SNAPSHOT: node_on_offer(n, from, &m->install_snapshot); return;
    case MESSAGE_SNAPSHOT_PULL: node_on_pull(n, from, &m->snapshot_pull); return;
    case MESSAGE_SNAPSHOT_CHUNK: node_on_chunk(n, from, &m->snapshot_chunk); return;
    case MESSAGE_TERM_PROBE: {
        struct message answer = {.type = MESSAGE_TERM_PROBE_RESULT};
        answer.term_probe.round = m->term_probe.round;
        answer.term_probe.term = engine_term(n->engine);
        node_send(n, from, &answer);
        return;
    }
    case MESSAGE_TERM_PROBE_RESULT:
        read_index_on_probe_result(&n->reads, from, &m->term_probe);
        return;
    case MESSAGE_READ_INDEX: read_index_on_question(&n->reads, from, &m->read_index); return;
    case MESSAGE_READ_INDEX_RESULT:
        read_index_on_answer(&n->reads, from, &m->read_index);
        return;
    case MESSAGE_FORWARD: node_on_forward(n, from, &m->forward); return;
    case MESSAGE_FORWARD_RESULT: node_on_forward_result(n, from, &m->forward_result); return;
    case MESSAGE_LEASE_ASK: node_on_lease_ask(n, from, &m->lease_ask); return;
    case MESSAGE_LEASE_TELL: node_on_lease_tell(n, from, &m->lease_tell); return;
    case MESSAGE_NOTE: node_on_note(n, from, &m->note); return;
    case MESSAGE_DIGEST: node_on_digest(n, from, m->digest.index, m->digest.digest); return;
    default: engine_receive(n->engine, from, m); return;
    }
}

static void on_up(void *context, uint64_t peer, const struct message_hello *hello)
{
    node_on_peer_up(context, peer, hello);
}

static void on_down(void *context, uint64_t peer)
{
    struct node *n = context;
    if (n->engine == NULL || n->phase == NODE_REFUSED) {
        return;
    }
    engine_connection_lost(n->engine, peer);
    node_on_sent_to_lost(n, peer);
    node_ttl_peer_lost(n, peer);
    if (engine_leader(n->engine) == peer) {
        engine_suspect_leader(n->engine);
    }
}

static const struct peers_events peer_events = {.message = on_message,
                                                .up = on_up,
                                                .down = on_down,
                                                .admit = node_on_admit,
                                                .guest = node_on_guest};

enum status node_open_peers(struct node *n, struct errmsg *err)
{
    if (n->peer_host == NULL) {
        return RC_OK;
    }
    struct peers_options options = {
        .env = node_peer_env(n),
        .log = n->log,
        .metrics = n->options.metrics,
        .cluster_id = n->identity.cluster_id,
        .node_id = n->identity.node_id,
        .boot_id = n->boot_id,
        .name = n->name,
        .listen_host = n->peer_host,
        .listen_port = n->options.peer_port,
        .client_address = n->client_address,
        .feature_level = FEATURE_LEVEL,
    };
    enum status rc = peers_open(&options, &peer_events, n, &n->peers, err);
    return rc == RC_OK ? RC_OK : errmsg_wrap(err, "listen to peers");
}
