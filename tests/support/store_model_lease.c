#include <check.h>

#include "base/mem.h"
#include "lease/lease.h"
#include "store/history.h"
#include "tests/support/store_model.h"

#define WINDOW 1024

struct model_lease *model_lease_find(const struct model *m, uint64_t id)
{
    for (size_t i = 0; i < m->lease_count; i++) {
        if (m->leases[i].id == id) {
            return &m->leases[i];
        }
    }
    return NULL;
}

struct model_lease *model_lease_next(const struct model *m, uint64_t after)
{
    struct model_lease *next = NULL;
    for (size_t i = 0; i < m->lease_count; i++) {
        if (m->leases[i].id > after && (next == NULL || m->leases[i].id < next->id)) {
            next = &m->leases[i];
        }
    }
    return next;
}

static void replies_free(struct model_lease *l)
{
    for (size_t i = 0; i < l->reply_count; i++) {
        mem_free(l->replies[i].bytes);
    }
    mem_free(l->replies);
}

void model_leases_free(struct model *m)
{
    for (size_t i = 0; i < m->lease_count; i++) {
        replies_free(&m->leases[i]);
    }
    mem_free(m->leases);
}

void model_leases_copy(struct model *to, const struct model *from)
{
    to->leases = mem_dup(from->leases, from->lease_count * sizeof *from->leases);
    for (size_t i = 0; i < from->lease_count; i++) {
        struct model_lease *l = &to->leases[i];
        l->replies = mem_dup(l->replies, l->reply_count * sizeof *l->replies);
        for (size_t j = 0; j < l->reply_count; j++) {
            l->replies[j].bytes = mem_dup(l->replies[j].bytes, l->replies[j].size);
        }
    }
}

/* ---- numbered commands -------------------------------------------------------------------- */

static void floor_raise(struct model_lease *l, uint64_t floor)
{
    if (floor <= l->floor) {
        return;
    }
    l->floor = floor;
    size_t kept = 0;
    for (size_t i = 0; i < l->reply_count; i++) {
        if (l->replies[i].sequence > floor) {
            l->replies[kept++] = l->replies[i];
        } else {
            mem_free(l->replies[i].bytes);
        }
    }
    l->reply_count = kept;
}

bool model_begin(struct model *m, const struct command *c, enum outcome *outcome,
                 const struct model_reply **first)
{
    *first = NULL;
    *outcome = OUTCOME_OK;
    if (c->session == 0 && c->sequence == 0 && c->answered_to == 0) {
        return true;
    }
    struct model_lease *l = model_lease_find(m, c->session);
    if (l == NULL || l->kind != LEASE_SESSION) {
        *outcome = OUTCOME_NO_SESSION;
        return false;
    }
    if (c->by_owner && c->generation != l->generation) {
        *outcome = OUTCOME_GENERATION_MOVED;
        return false;
    }
    floor_raise(l, c->answered_to);
    for (size_t i = 0; i < l->reply_count && c->sequence != 0; i++) {
        if (l->replies[i].sequence == c->sequence) {
            *first = &l->replies[i];
            return false;
        }
    }
    if (c->sequence != 0 && c->sequence <= l->floor) {
        *outcome = OUTCOME_SEQUENCE_EXPIRED;
        return false;
    }
    return true;
}

void model_remember(struct model *m, const struct command *c, struct slice reply)
{
    struct model_lease *l = model_lease_find(m, c->session);
    if (c->sequence == 0 || l == NULL) {
        return;
    }
    if (c->sequence > l->floor + WINDOW) {
        floor_raise(l, c->sequence - WINDOW);
    }
    l->replies = mem_resize(l->replies, (l->reply_count + 1) * sizeof *l->replies);
    l->replies[l->reply_count++] = (struct model_reply){
        .sequence = c->sequence,
        .bytes = mem_dup(reply.data, reply.size),
        .size = reply.size,
    };
}

/* ---- the commands ------------------------------------------------------------------------- */

static bool ttl_is_valid(uint64_t ttl_ms)
{
    return ttl_ms >= 500 && ttl_ms <= 24 * 60 * 60 * 1000;
}

static enum outcome fields_check(const struct command *c)
{
    const struct command_lease *f = &c->lease;
    bool has_ttl = c->type == COMMAND_GRANT || (c->type == COMMAND_RESUME && f->ttl_ms != 0);
    if (f->id == 0 || f->id >> 63 != 0) {
        return OUTCOME_BAD_ARGUMENTS;
    }
    if (has_ttl && !ttl_is_valid(f->ttl_ms)) {
        return OUTCOME_BAD_TTL;
    }
    bool may_lack_secret = c->type == COMMAND_REVOKE || c->type == COMMAND_EXPIRE;
    bool secret_fits = f->secret.size == 16 || (may_lack_secret && f->secret.size == 0);
    return secret_fits ? OUTCOME_OK : OUTCOME_BAD_ARGUMENTS;
}

static void result_fill(const struct model_lease *l, struct lease_result *result)
{
    *result =
        (struct lease_result){.id = l->id, .ttl_ms = l->ttl_ms, .generation = l->generation};
    if (l->kind == LEASE_SESSION) {
        result->secret = slice_str(l->secret);
    }
}

static enum outcome grant(struct model *m, const struct command_lease *f,
                          struct lease_result *result)
{
    if (model_lease_find(m, f->id) != NULL) {
        return OUTCOME_LEASE_EXISTS;
    }
    m->leases = mem_resize(m->leases, (m->lease_count + 1) * sizeof *m->leases);
    struct model_lease *l = &m->leases[m->lease_count++];
    *l = (struct model_lease){
        .id = f->id,
        .ttl_ms = f->ttl_ms,
        .generation = f->kind == LEASE_PLAIN ? m->index : 0,
        .granted_ms = m->wall_ms,
        .kind = f->kind,
        .renewable = f->renewable,
    };
    model_slice_text(f->secret, l->secret);
    model_slice_text(f->owner, l->owner);
    result_fill(l, result);
    return OUTCOME_OK;
}

/* One after the other, the first in path order each time. */
static void end(struct model *m, struct expected *e, struct model_lease *l,
                enum change_reason reason, struct lease_result *result)
{
    result_fill(l, result);
    result->secret = slice_make(NULL, 0);
    e->reason = (uint8_t)reason;
    for (;;) {
        struct record *first = NULL;
        for (size_t i = 0; i < m->count; i++) {
            struct record *r = &m->records[i];
            if (r->stat.lease == l->id &&
                (first == NULL || model_path_order(r->path, first->path) < 0)) {
                first = r;
            }
        }
        if (first == NULL) {
            break;
        }
        model_delete_record(m, e, first);
        result->removed++;
    }
    e->reason = REASON_REQUEST;
    m->revision += result->removed > 0;
    replies_free(l);
    *l = m->leases[--m->lease_count];
}

enum outcome model_lease_command(struct model *m, struct expected *e, const struct command *c,
                                 struct lease_result *result)
{
    const struct command_lease *f = &c->lease;
    enum outcome outcome = fields_check(c);
    if (outcome != OUTCOME_OK || c->type == COMMAND_GRANT) {
        return outcome != OUTCOME_OK ? outcome : grant(m, f, result);
    }
    struct model_lease *l = model_lease_find(m, f->id);
    if (c->type == COMMAND_EXPIRE) {
        if (l == NULL || l->generation != f->generation) {
            return l == NULL ? OUTCOME_NO_LEASE : OUTCOME_GENERATION_MOVED;
        }
        end(m, e, l, REASON_EXPIRED, result);
        return OUTCOME_OK;
    }
    uint8_t kind = c->type == COMMAND_RESUME ? LEASE_SESSION : f->kind;
    if (l == NULL || (kind != 0 && l->kind != kind)) {
        return kind == LEASE_SESSION ? OUTCOME_NO_SESSION : OUTCOME_NO_LEASE;
    }
    if (l->kind == LEASE_SESSION && !slice_is(f->secret, l->secret)) {
        return OUTCOME_BAD_SECRET;
    }
    if (c->type == COMMAND_REVOKE) {
        bool is_session = l->kind == LEASE_SESSION;
        end(m, e, l, is_session ? REASON_CLOSED : REASON_REVOKED, result);
        return OUTCOME_OK;
    }
    l->ttl_ms = f->ttl_ms == 0 ? l->ttl_ms : f->ttl_ms;
    l->generation++;
    result_fill(l, result);
    return OUTCOME_OK;
}
