/* A node for front-end tests: raft/node.h over a real store, without raft. Requests complete in
 * node_turn, in order, unless held; tests inject errors, time and states.
 *
 * The functions are defined here, so exactly one file of a program includes this; being defined
 * there, they keep the real node out of it. */
#ifndef TESTS_SUPPORT_FAKE_NODE_H
#define TESTS_SUPPORT_FAKE_NODE_H

#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "raft/node.h"
#include "store/store.h"
#include "tests/support/store_kit.h"
#include "watch/watch.h"

struct node {
    struct store *store;
    struct watch_hub *watches;
    struct arena arena;
    struct buf batch;
    struct list writes;
    struct list reads;
    struct list ttls;
    uint64_t now_ms; /* for deadlines; set by the test */
    uint64_t index;
    uint64_t term;
    uint64_t cluster_ms;
    bool is_serving;
    bool is_caught_up; /* since the start; else reads wait and then it is */
    bool is_follower; /* of another, as its status tells */
    bool is_held;           /* completes nothing but what is past its deadline */
    enum status submit_rc;  /* if not RC_OK: refuses requests with it */
    enum status finish_rc;  /* if not RC_OK: completes requests with it, unexecuted */
    size_t pending;         /* requests in flight */
    size_t cancelled;
    uint64_t age_ms;        /* what node_age_ms says */
    uint64_t touched;       /* the lease touched last, and how often any was */
    size_t touches;
    size_t confirmed;       /* touches by reads that were served */
    bool has_ttl;           /* the keeper knows every lease, and this is what is left */
    uint64_t ttl_ms;
    struct node_change *change; /* asked for last; the test completes it */
    bool is_leading;        /* what node_is_leading says; node_leader_id: it, or member 12 */
    node_note_fn note;      /* who is told of notes */
    void *note_context;
    bool loses_notes;       /* none can be sent */
    struct buf notes;       /* the last that was sent to 12 */
};

static inline struct node *fake_node_new(void)
{
    struct node *n = mem_zalloc(sizeof *n);
    n->store = store_new();
    kit_raise_level(n->store);
    n->watches = hub_new(n->store);
    n->term = 3;
    n->index = store_applied_index(n->store);
    n->is_serving = true;
    n->is_caught_up = true;
    list_init(&n->writes);
    list_init(&n->reads);
    list_init(&n->ttls);
    n->age_ms = UINT64_MAX;
    return n;
}

static inline void fake_node_free(struct node *n)
{
    PRE(list_empty(&n->writes) && list_empty(&n->reads) && list_empty(&n->ttls));
    hub_free(n->watches);
    store_free(n->store);
    arena_close(&n->arena);
    buf_close(&n->batch);
    buf_close(&n->notes);
    mem_free(n);
}

/* ---- raft/node.h ---- */

enum status node_write(struct node *n, struct node_write *w, const struct command *c,
                       uint64_t deadline_ms)
{
    PRE(command_check(c, NULL) == OUTCOME_OK);
    if (n->submit_rc != RC_OK) {
        return n->submit_rc;
    }
    struct buf b = {0};
    command_encode(&b, c);
    w->command.data = buf_take(&b, &w->command.size);
    w->deadline_ms = deadline_ms;
    list_push_back(&n->writes, &w->link);
    n->pending++;
    return RC_OK;
}

static inline void fake_node_drop(struct node *n, struct node_write *w)
{
    union {
        const uint8_t *from;
        void *to;
    } cast = {.from = w->command.data};
    mem_free(cast.to);
    w->command = slice_make(NULL, 0);
    list_remove(&w->link);
    n->pending--;
}

void node_write_cancel(struct node *n, struct node_write *w)
{
    fake_node_drop(n, w);
    n->cancelled++;
}

enum status node_read(struct node *n, struct node_read *r, uint64_t deadline_ms)
{
    if (n->submit_rc != RC_OK) {
        return n->submit_rc;
    }
    r->deadline_ms = deadline_ms;
    list_push_back(&n->reads, &r->link);
    n->pending++;
    return RC_OK;
}

void node_read_cancel(struct node *n, struct node_read *r)
{
    list_remove(&r->link);
    n->pending--;
    n->cancelled++;
}

static inline void fake_node_apply(struct node *n, struct node_write *w)
{
    struct command c;
    struct reply reply;
    arena_clear(&n->arena);
    buf_clear(&n->batch);
    size_t header_at = batch_begin(&n->batch);
    buf_append_slice(&n->batch, w->command);
    struct batch_header header = {
        .level = FEATURE_LEVEL, .count = 1, .cluster_ms = n->cluster_ms, .wall_ms = n->now_ms};
    batch_seal(&n->batch, header_at, &header);
    struct unpack commands;
    enum status rc = batch_open(buf_slice(&n->batch), &header, &commands);
    POST(rc == RC_OK);
    rc = command_decode(&commands, &c, &n->arena);
    POST(rc == RC_OK);

    struct apply_context context = {.index = ++n->index,
                                    .cluster_ms = n->cluster_ms,
                                    .wall_ms = n->now_ms,
                                    .last_of_entry = true};
    store_apply(n->store, &context, &c, &reply);
    hub_dispatch(n->watches);
    fake_node_drop(n, w);
    w->done(w, RC_OK, &reply);
}

static inline void fake_node_fail(struct node *n, struct node_write *w, enum status rc)
{
    fake_node_drop(n, w);
    w->done(w, rc, NULL);
}

static inline void fake_node_answer(struct node *n, struct node_read *r)
{
    struct query_result result;
    list_remove(&r->link);
    n->pending--;
    n->is_caught_up = true;
    n->confirmed += r->touch != 0;
    if (r->is_barrier) {
        r->done(r, RC_OK, NULL);
        return;
    }
    arena_clear(&n->arena);
    store_query(n->store, &r->query, &result, &n->arena);
    r->done(r, RC_OK, &result);
}

static inline void fake_node_fail_read(struct node *n, struct node_read *r, enum status rc)
{
    list_remove(&r->link);
    n->pending--;
    r->done(r, rc, NULL);
}

uint64_t node_age_ms(const struct node *n)
{
    return n->age_ms;
}

void node_touch(struct node *n, uint64_t lease)
{
    n->touched = lease;
    n->touches++;
}

enum status node_ttl(struct node *n, struct node_ttl *t, uint64_t deadline_ms)
{
    if (n->submit_rc != RC_OK) {
        return n->submit_rc;
    }
    t->deadline_ms = deadline_ms;
    list_push_back(&n->ttls, &t->link);
    n->pending++;
    return RC_OK;
}

void node_ttl_cancel(struct node *n, struct node_ttl *t)
{
    list_remove(&t->link);
    n->pending--;
    n->cancelled++;
}

enum status node_change(struct node *n, struct node_change *c, uint64_t deadline_ms)
{
    if (n->submit_rc != RC_OK) {
        return n->submit_rc;
    }
    c->deadline_ms = deadline_ms;
    n->change = c;
    n->pending++;
    return RC_OK;
}

void node_change_cancel(struct node *n, struct node_change *c)
{
    PRE(n->change == c);
    n->change = NULL;
    n->pending--;
    n->cancelled++;
}

static inline void fake_node_tell(struct node *n, struct node_ttl *t, enum status rc)
{
    bool found = rc == RC_OK && n->has_ttl;
    list_remove(&t->link);
    n->pending--;
    t->done(t, rc, found, found ? n->ttl_ms : 0);
}

/* Before reads: what asks for a time to live reads next. */
static inline void fake_node_tell_all(struct node *n)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, &n->ttls) {
        struct node_ttl *t = LIST_OF(it, struct node_ttl, link);
        if (t->deadline_ms <= n->now_ms) {
            fake_node_tell(n, t, RC_TIMEOUT);
        } else if (!n->is_held) {
            fake_node_tell(n, t, n->finish_rc);
        }
    }
}

void node_turn(struct node *n)
{
    struct list *it;
    struct list *tmp;
    /* One that ends may cancel others. */
    struct list asked;
    list_init(&asked);
    LIST_EACH(it, tmp, &n->writes) {
        list_remove(it);
        list_push_back(&asked, it);
    }
    while ((it = list_pop_front(&asked)) != NULL) {
        struct node_write *w = LIST_OF(it, struct node_write, link);
        if (w->deadline_ms <= n->now_ms) {
            fake_node_fail(n, w, RC_TIMEOUT);
        } else if (n->is_held) {
            list_push_back(&n->writes, it);
        } else if (n->finish_rc != RC_OK) {
            fake_node_fail(n, w, n->finish_rc);
        } else {
            fake_node_apply(n, w);
        }
    }
    fake_node_tell_all(n);
    struct list due;
    list_init(&due);
    LIST_EACH(it, tmp, &n->reads) {
        list_remove(it);
        list_push_back(&due, it);
    }
    while ((it = list_pop_front(&due)) != NULL) {
        struct node_read *r = LIST_OF(it, struct node_read, link);
        if (r->deadline_ms <= n->now_ms) {
            fake_node_fail_read(n, r, RC_TIMEOUT);
        } else if (n->is_held) {
            list_push_back(&n->reads, it);
        } else if (n->finish_rc != RC_OK) {
            fake_node_fail_read(n, r, n->finish_rc);
        } else {
            fake_node_answer(n, r);
        }
    }
    (void)hub_turn(n->watches, 1000);
}

enum status node_export_begin(struct node *n, struct node_export *e, uint64_t deadline_ms)
{
    (void)n;
    (void)e;
    (void)deadline_ms;
    return RC_STOPPED; /* there is no disk behind this node */
}

void node_export_read(struct node_export *e, size_t bytes, node_export_data_fn got)
{
    (void)bytes;
    got(e, RC_NOT_FOUND, slice_make(NULL, 0), NULL);
}

void node_export_end(struct node_export *e)
{
    (void)e;
}

struct watch_hub *node_watches(struct node *n)
{
    return n->watches;
}

uint64_t node_next_deadline_ms(const struct node *n)
{
    (void)n;
    return UINT64_MAX;
}

uint32_t node_level_of_all(const struct node *n, char who[NODE_NAME_BYTES_MAX])
{
    (void)n;
    (void)snprintf(who, NODE_NAME_BYTES_MAX, "n1");
    return FEATURE_LEVEL;
}

void node_status(const struct node *n, struct node_status *out)
{
    *out = (struct node_status){
        .cluster_id = 77,
        .node_id = 11,
        .name = "n1",
        .state = !n->is_serving ? "candidate" : n->is_follower ? "follower" : "leader",
        .state_reason = n->is_serving ? "" : "no leader",
        .term = n->term,
        .leader_id = n->is_serving ? 11 : 0,
        .commit_index = n->index,
        .applied_index = n->index,
        .last_index = n->index,
        .revision = store_revision(n->store),
        .digest = store_digest(n->store),
        .node_count = store_node_count(n->store),
        .cluster_ms = n->cluster_ms,
        .state_bytes = store_bytes(n->store),
        .feature_level = FEATURE_LEVEL,
        .leading_ms = n->is_serving ? 1000 : 0,
        .proposal_bytes = 50,
        .proposal_bytes_min = 40,
        .proposal_bytes_max = 90,
        .serving = n->is_serving,
        .member_count = 2,
    };
    out->members[0] = (struct node_member_status){.id = 11,
                                                  .name = "n1",
                                                  .role = MEMBER_VOTER,
                                                  .is_leader = n->is_serving,
                                                  .is_self = true,
                                                  .is_up = true,
                                                  .match_index = n->index};
    out->members[1] = (struct node_member_status){.id = 12, .name = "n2", .role = MEMBER_VOTER};
    (void)snprintf(out->members[1].client_address, sizeof out->members[1].client_address,
                   "127.0.0.1:7400");
}

uint64_t node_id(const struct node *n)
{
    (void)n;
    return 11;
}

uint64_t node_cluster_id(const struct node *n)
{
    (void)n;
    return 77;
}

uint64_t node_term(const struct node *n)
{
    return n->term;
}

const char *node_name(const struct node *n)
{
    (void)n;
    return "n1";
}

bool node_is_caught_up(const struct node *n)
{
    return n->is_caught_up;
}

bool node_is_serving(const struct node *n)
{
    return n->is_serving && n->is_caught_up;
}

uint64_t node_cluster_ms(const struct node *n)
{
    return n->cluster_ms;
}

bool node_is_leading(const struct node *n)
{
    return n->is_leading;
}

uint64_t node_leader_id(const struct node *n)
{
    return n->is_leading ? 11 : 12;
}

void node_on_notes(struct node *n, node_note_fn got, void *context)
{
    n->note = got;
    n->note_context = context;
}

bool node_send_note(struct node *n, uint64_t to, struct slice note)
{
    if (to != 12 || n->loses_notes) {
        return false;
    }
    buf_clear(&n->notes);
    buf_append_slice(&n->notes, note);
    return true;
}

const struct store *node_store(const struct node *n)
{
    return n->store;
}

#endif
