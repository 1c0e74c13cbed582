/* The connect request (ZooKeeperServer.processConnectRequest): a session is opened, or resumed on
 * this node with its password. Never is a new session given to who asked for an old one, and who
 * has the wrong password disturbs nobody. */
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "lease/table.h"
#include "net/zookeeper/connection.h"

/* What a client is told whose session has ended, or is not his. */
static void refuse(struct zk_connection *c, const char *why)
{
    static const uint8_t no_password[ZK_PASSWORD_BYTES];
    metric_add(c->shared->refused, 1);
    zk_out_begin(c);
    zk_put_connect_reply(&c->out, 0, 0, no_password, c->connect.has_read_only);
    zk_out_end(c);
    zk_finish(c, why);
}

/* A session has one connection. One on another node finds out by the generation. */
static void take_session(struct zk_connection *c)
{
    struct zk_connection *former = id_map_get(&c->shared->by_session, c->session);
    if (former != NULL) {
        zk_finish(former, "the session was taken over");
    }
    id_map_set(&c->shared->by_session, c->session, c);
}

static void begin_session(struct zk_connection *c, const struct lease_result *lease)
{
    uint64_t now = zk_now_ms(c);
    c->session = lease->id;
    c->generation = lease->generation;
    c->timeout_ms = (uint32_t)lease->ttl_ms;
    c->checked_ms = now;
    c->heard_ms = now;
    c->stage = ZK_STAGE_SERVING;
    take_session(c);
    metric_add(c->shared->opened, 1);
    zk_out_begin(c);
    zk_put_connect_reply(&c->out, (int32_t)c->timeout_ms, (int64_t)c->session, c->secret,
                         c->connect.has_read_only);
    zk_out_end(c);
    zk_latency_note(c, true, now - c->opened_ms);
    log_debug(c->env->log, "zookeeper.session",
              "peer=%s session=%016" PRIx64 " timeout_ms=%" PRIu32 " resumed=%d", c->env->peer,
              c->session, c->timeout_ms, c->connect.session != 0);
}

static void opened(struct node_write *write, enum status rc, const struct reply *reply)
{
    struct zk_connection *c = write->owner;
    c->opening_open = false;
    c->env->sink.wake(c->env->sink.conn);
    if (rc != RC_OK) { /* the client asks another node */
        zk_audit_connect(c, NULL, "unknown", false);
        zk_finish(c, status_text(rc));
    } else if (reply->outcome == OUTCOME_NO_SESSION || reply->outcome == OUTCOME_BAD_SECRET) {
        zk_audit_connect(c, reply, NULL, reply->outcome == OUTCOME_BAD_SECRET);
        refuse(c, outcome_text(reply->outcome));
    } else if (reply->outcome != OUTCOME_OK) {
        char why[REFUSAL_TEXT_BYTES_MAX];
        (void)snprintf(why, sizeof why, "%s", outcome_text(reply->outcome));
        if (reply->refusal.bound != BOUND_NONE) {
            refusal_text(&reply->refusal, why);
        }
        log_warn(c->env->log, "zookeeper.session_refused", "peer=%s reason=\"%s\"",
                 c->env->peer, why);
        zk_audit_connect(c, reply, NULL, reply->outcome == OUTCOME_NO_AUTH);
        zk_finish(c, outcome_text(reply->outcome));
    } else {
        zk_audit_connect(c, reply, NULL, false);
        begin_session(c, &reply->lease);
    }
}

static uint64_t clamp_timeout(const struct zk_settings *s, int32_t wanted_ms)
{
    if (wanted_ms < 0 || (uint32_t)wanted_ms < s->timeout_ms_min) {
        return s->timeout_ms_min;
    }
    return (uint32_t)wanted_ms > s->timeout_ms_max ? s->timeout_ms_max : (uint32_t)wanted_ms;
}

static void propose(struct zk_connection *c)
{
    struct env *env = c->env->env;
    struct command command = {
        .type = c->connect.session == 0 ? COMMAND_GRANT : COMMAND_RESUME,
        .identities = buf_slice(&c->identities),
        .lease = {.ttl_ms = clamp_timeout(c->shared->settings, c->connect.timeout_ms),
                  .secret = slice_make(c->secret, sizeof c->secret)},
    };
    if (c->connect.session == 0) {
        env->random(env, c->secret, sizeof c->secret);
        command.lease.id = (env_random_u64(env) & LEASE_ID_MAX) | 1;
        command.lease.kind = LEASE_SESSION;
        command.lease.renewable = true;
        command.lease.owner = slice_str(c->env->peer);
    } else {
        command.lease.id = (uint64_t)c->connect.session;
    }
    c->opening.done = opened;
    c->opening.owner = c;
    enum status rc = node_write(zk_node(c), &c->opening, &command, zk_now_ms(c) + ZK_WRITE_MS);
    if (rc != RC_OK) {
        zk_finish(c, status_text(rc));
        return;
    }
    c->opening_open = true;
    c->stage = ZK_STAGE_OPENING;
}

/* A wrong password is known here, for it never changes, and costs the log nothing. A session that
 * is not known here may have been opened elsewhere a moment ago: the log knows. */
static bool is_wrong(const struct zk_connection *c)
{
    const struct lease *lease = store_lease(zk_store(c), (uint64_t)c->connect.session);
    return lease != NULL && !MUTANT_IS(MUTANT_ZK_ANY_PASSWORD) &&
           (lease->kind != LEASE_SESSION || !lease_secret_matches(lease, c->connect.password));
}

void zk_greeting(struct zk_connection *c, struct slice packet)
{
    if (zk_connect_decode(packet, &c->connect) != RC_OK) {
        zk_finish(c, "a connect request that is none");
        return;
    }
    if (c->connect.last_zxid_seen > zk_zxid(c)) {
        log_info(c->env->log, "zookeeper.client_ahead",
                 "peer=%s seen=%" PRId64 " here=%" PRId64, c->env->peer,
                 c->connect.last_zxid_seen, zk_zxid(c));
        zk_finish(c, "the client has seen a later zxid than this node has");
        return;
    }
    if (!node_is_serving(zk_node(c)) || c->is_stopping) {
        zk_finish(c, "this node does not serve");
        return;
    }
    if (MUTANT_IS(MUTANT_ZK_TAKEN_UNCHECKED)) {
        c->session = (uint64_t)c->connect.session;
        take_session(c);
    }
    if (c->connect.session != 0) {
        if (c->connect.session < 0 || c->connect.password.size != sizeof c->secret ||
            is_wrong(c)) {
            zk_audit_connect(c, NULL, "BAD_SECRET", true);
            refuse(c, "no such session, or not with this password");
            return;
        }
        memcpy(c->secret, c->connect.password.data, sizeof c->secret);
    }
    c->connect.password = slice_make(NULL, 0); /* it was the packet's */
    zk_identities_begin(c);
    propose(c);
}

void zk_greeting_cancel(struct zk_connection *c)
{
    if (c->opening_open) {
        zk_audit_connect(c, NULL, "unknown", false);
        node_write_cancel(zk_node(c), &c->opening);
        c->opening_open = false;
    }
}
