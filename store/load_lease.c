/* Loading leases: rows in any order, so what belongs to a lease finds it when the store is
 * sealed. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "store/load.h"
#include "store/state.h"

enum status load_lease(struct store *s, const struct row_lease *row)
{
    bool is_sound = row->id > 0 && row->id <= LEASE_ID_MAX && row->ttl_ms >= LEASE_TTL_MS_MIN &&
                    row->ttl_ms <= LEASE_TTL_MS_MAX && row->kind >= LEASE_PLAIN &&
                    row->kind <= LEASE_SESSION && row->secret.size == LEASE_SECRET_BYTES &&
                    row->owner.size <= LEASE_OWNER_BYTES_MAX && utf8_is_valid(row->owner) &&
                    row->user.size <= LEASE_USER_BYTES_MAX &&
                    (row->kind == LEASE_SESSION || row->window_floor == 0);
    if (!is_sound || s->leases.count == LEASE_COUNT_MAX ||
        lease_table_find(&s->leases, row->id) != NULL) {
        return RC_CORRUPT;
    }
    struct lease what = {
        .id = row->id,
        .ttl_ms = row->ttl_ms,
        .generation = row->generation,
        .granted_ms = row->granted_ms,
        .kind = row->kind,
        .renewable = row->renewable,
        .owner = row->owner,
        .user = row->user,
    };
    memcpy(what.secret, row->secret.data, sizeof what.secret);
    const struct lease *l = lease_table_add(&s->leases, &what);
    if (l->window != NULL) {
        window_raise(&s->leases.windows, l->window, row->window_floor);
    }
    return RC_OK;
}

enum status load_session_reply(struct store *s, const struct row_reply *row)
{
    struct store_load *load = s->load;
    struct reply reply;
    arena_clear(&s->arena);
    if (row->session == 0 || row->sequence == 0 || row->serial == 0 ||
        request_id_is_set(&row->request) ||
        reply_decode(row->reply, &reply, &s->arena) != RC_OK) {
        return RC_CORRUPT;
    }
    if (load->reply_count == load->reply_capacity) {
        load->reply_capacity = load->reply_capacity == 0 ? 64 : load->reply_capacity * 2;
        load->replies =
            mem_resize(load->replies, load->reply_capacity * sizeof load->replies[0]);
    }
    load->replies[load->reply_count++] = (struct load_reply){
        .session = row->session,
        .sequence = row->sequence,
        .serial = row->serial,
        .index = row->index,
        .reply = slice_make(mem_dup(row->reply.data, row->reply.size), row->reply.size),
    };
    return RC_OK;
}

void load_free(struct store_load *load)
{
    if (load == NULL) {
        return;
    }
    for (size_t i = 0; i < load->reply_count; i++) {
        mem_free((void *)(uintptr_t)load->replies[i].reply.data);
    }
    mem_free(load->replies);
    mem_free(load);
}

static int serial_order(const void *a, const void *b)
{
    uint64_t left = ((const struct load_reply *)a)->serial;
    uint64_t right = ((const struct load_reply *)b)->serial;
    return left < right ? -1 : left > right;
}

static enum status seal_replies(struct store *s, struct errmsg *err)
{
    struct store_load *load = s->load;
    if (load->reply_count > 1) {
        qsort(load->replies, load->reply_count, sizeof load->replies[0], serial_order);
    }
    for (size_t i = 0; i < load->reply_count; i++) {
        const struct load_reply *r = &load->replies[i];
        const struct lease *l = lease_table_find(&s->leases, r->session);
        struct window_reply from = {
            .sequence = r->sequence, .serial = r->serial, .index = r->index};
        if (l == NULL || l->window == NULL) {
            return errmsg_set(err, RC_CORRUPT,
                              "a reply is remembered for session %" PRIu64
                              ", which does not exist",
                              r->session);
        }
        if (!window_load(&s->leases.windows, l->window, &from, r->reply)) {
            return errmsg_set(err, RC_CORRUPT,
                              "reply %" PRIu64 " of session %" PRIu64
                              " has no place in its window",
                              r->sequence, r->session);
        }
    }
    return RC_OK;
}

static enum status seal_windows(struct store *s, struct errmsg *err)
{
    for (const struct lease *l = store_lease_next(s, 0); l != NULL;
         l = store_lease_next(s, l->id)) {
        if (l->window != NULL && !window_fits(l->window)) {
            return errmsg_set(err, RC_CORRUPT,
                              "the window of session %" PRIu64 " has %" PRIu64 " bytes", l->id,
                              l->window->bytes);
        }
    }
    if (!windows_fit(&s->leases.windows)) {
        return errmsg_set(err, RC_CORRUPT, "the windows do not fit their bounds");
    }
    return RC_OK;
}

static enum status seal_attached(struct store *s, struct errmsg *err)
{
    for (uint32_t slot = 1; slot < s->tree.slot_end; slot++) {
        const struct node *n = tree_node(&s->tree, slot);
        if ((n->bits & (NODE_FREE | NODE_HIDDEN)) != 0 || node_kind_of(n) != NODE_EPHEMERAL) {
            continue;
        }
        struct lease *owner = lease_table_find(&s->leases, n->lease);
        if (owner == NULL) {
            return errmsg_set(err, RC_CORRUPT,
                              "an ephemeral node belongs to lease %" PRIu64
                              ", which does not exist",
                              n->lease);
        }
        lease_attach(owner, slot);
    }
    return RC_OK;
}

enum status seal_leases(struct store *s, struct errmsg *err)
{
    s->leases.windows.serial_next = s->load->singles[SINGLE_WINDOW_SERIAL];
    enum status rc = seal_replies(s, err);
    if (rc == RC_OK) {
        rc = seal_windows(s, err);
    }
    return rc == RC_OK ? seal_attached(s, err) : rc;
}
