/* Reads of the past: a node as it was, and the changes of a node or subtree.
 *
 * The change log knows every change from its floor on; a version chain those of one node before, as
 * far back as it reaches, without a gap. What was at a revision is read off the first change after
 * it, which says what was before. */
#include "store/query_history.h"

#include "store/stat.h"
#include "store/state.h"

/* What a change costs of a page besides its bytes. */
#define CHANGE_ROOM_BYTES (STAT_PACKED_BYTES + 64)

/* What one page may look at, so that it takes a few milliseconds however little it finds: a change
 * that the hash of its path passes over costs 1, one whose path is read more. */
#define LOOK_BUDGET    ((uint64_t)2 << 20)
#define LOOK_COST_PATH ((uint64_t)32)

/* ---- a node as it was --------------------------------------------------------------------- */

/* The changes of a node on both sides of a revision; NULL: none is known. */
struct sides {
    const struct change *before; /* the last one up to it; of the chain only */
    const struct change *after;  /* the first one behind it */
};

static const struct change *log_after(const struct history *h, const struct query *q,
                                      uint64_t hash)
{
    uint64_t p = q->revision + 1 < h->floor ? h->begin : history_seek(h, q->revision + 1);
    for (; (p = history_find(h, p, h->end, hash)) < h->end; p++) {
        const struct change *c = history_at(h, p);
        if (c->space == q->space && slice_equal(c->path, q->path)) {
            return c;
        }
    }
    return NULL;
}

static struct sides sides_find(const struct store *s, const struct query *q, uint64_t hash)
{
    struct sides sides = {0};
    const struct version_chain *chain = versions_chain(&s->versions, q->space, q->path);
    if (chain != NULL) {
        uint32_t at = version_chain_seek(chain, (struct version_key){q->revision + 1, 0});
        sides.before = at == 0 ? NULL : version_chain_at(chain, at - 1);
        if (at < version_chain_count(chain)) {
            sides.after = version_chain_at(chain, at);
            return sides;
        }
    }
    sides.after = log_after(&s->history, q, hash);
    return sides;
}

static void answer_value(struct query_result *result, struct value *v)
{
    result->value = v;
    result->data = value_slice(v);
    result->null_data = v == NULL;
    result->stat.data_bytes = (uint32_t)result->data.size;
    /* Children come and go without a change of their parent: how many there were is not known. */
    result->stat.children_revision = 0;
    result->stat.sequence_next = 0;
    result->stat.child_count = 0;
    /* Nor is which list it had, where a change of that has left. */
    result->stat.acl_version = 0;
    result->stat.acl = 0;
}

/* The node before a change that is no create. */
static void answer_before(struct query_result *result, const struct change *c)
{
    result->stat = c->stat;
    if (c->type == CHANGE_SET) {
        uint32_t version = c->stat.version;
        result->stat.version = version == 0 ? VERSION_ANY - 1 : version - 1;
        result->stat.modify_revision = c->old_modify_revision;
        result->stat.modify_ms = c->old_modify_ms;
    }
    answer_value(result, c->old_data);
}

/* Nothing that is known happened to the node since: it is as it is now, or was not there. */
static void answer_present(const struct store *s, const struct query *q, bool complete,
                           struct query_result *result)
{
    uint32_t slot = tree_find(&s->tree, q->space, q->path);
    if (slot == TREE_NONE) {
        result->outcome = complete ? OUTCOME_NO_NODE : OUTCOME_COMPACTED;
        return;
    }
    const struct node *n = tree_node(&s->tree, slot);
    if (n->modify_revision > q->revision) { /* by a change that has left */
        result->outcome = OUTCOME_COMPACTED;
        return;
    }
    tree_stat(&s->tree, slot, &result->stat);
    answer_value(result, n->value);
}

/* Of a node that is there, whoever asks for its past must be allowed to read it now. */
static bool may_read_now(const struct access *access, const struct query *q)
{
    uint32_t slot = tree_find(&access->store->tree, q->space, q->path);
    return access_node(access, slot, ACL_READ);
}

void query_get_at(const struct access *access, const struct query *q,
                  struct query_result *result)
{
    const struct store *s = access->store;
    uint64_t hash = tree_hash(q->space, q->path);
    if (q->revision > s->revision) {
        result->outcome = OUTCOME_FUTURE_REVISION;
        return;
    }
    if (!may_read_now(access, q)) {
        result->outcome = OUTCOME_NO_AUTH;
        return;
    }
    struct sides sides = sides_find(s, q, hash);
    const struct change *after = sides.after;
    /* Whether no change of the node since then has been forgotten. */
    bool complete = q->revision + 1 >= s->history.floor || sides.before != NULL;
    if (after == NULL) {
        answer_present(s, q, complete, result);
    } else if (after->type == CHANGE_CREATE) {
        result->outcome = complete ? OUTCOME_NO_NODE : OUTCOME_COMPACTED;
    } else if (!access->is_unlimited && !acl_list_may(after->acl, ACL_READ, q->identities)) {
        result->outcome = OUTCOME_NO_AUTH;
    } else if (complete || after->old_modify_revision <= q->revision) {
        answer_before(result, after); /* what it replaced was there already, or still */
    } else {
        result->outcome = OUTCOME_COMPACTED;
    }
}

/* ---- a page of changes -------------------------------------------------------------------- */

struct changes_page {
    const struct access *access;
    const struct query *query;
    struct query_result *result;
    struct arena *arena;
    const struct change **changes;
    uint32_t count;
    uint32_t capacity;
    uint32_t limit;
    size_t bytes;
    uint64_t looked;
    uint64_t hash; /* of the path */
    /* What the query is about: changes in [first, last). */
    struct version_key first;
    struct version_key last;
};

static bool page_wants(const struct changes_page *page, const struct change *c)
{
    const struct query *q = page->query;
    size_t head = q->path.size;
    if (c->space != q->space || c->path.size < head ||
        !slice_equal(slice_make(c->path.data, head), q->path)) {
        return false;
    }
    bool is_itself = c->path.size == head;
    bool below = q->recursive && !is_itself &&
                 (space_is_flat(q->space) || head == 1 || c->path.data[head] == '/');
    return (is_itself || below) && access_change(page->access, c);
}

static void page_grow(struct changes_page *page)
{
    uint32_t capacity = page->capacity == 0 ? 16 : page->capacity * 2;
    const struct change **changes = arena_alloc(page->arena, capacity * sizeof *changes);
    if (page->count > 0) {
        memcpy(changes, page->changes, page->count * sizeof *changes);
    }
    page->changes = changes;
    page->capacity = capacity;
}

/* False: the page is full, and ends before this change. The first one always fits. */
static bool page_add(struct changes_page *page, const struct change *c)
{
    size_t bytes = CHANGE_ROOM_BYTES + c->path.size + value_slice(c->data).size +
                   value_slice(c->old_data).size + c->identities.size + c->note.size;
    if (page->count == page->limit ||
        (page->count > 0 && page->bytes + bytes > QUERY_PAGE_BYTES_MAX)) {
        return false;
    }
    if (page->count == page->capacity) {
        page_grow(page);
    }
    page->changes[page->count++] = c;
    page->bytes += bytes;
    return true;
}

/* Takes or leaves the next change in order; NULL is one that has gone. False: the page ends. */
static bool page_look(struct changes_page *page, const struct change *c)
{
    struct query_result *result = page->result;
    page->looked += LOOK_COST_PATH;
    if (c == NULL) {
        return true;
    }
    if (page_wants(page, c) && !page_add(page, c)) {
        result->more = true;
        return false;
    }
    result->next_revision = c->revision;
    result->next_sub = c->sub;
    result->more = page->looked >= LOOK_BUDGET;
    return !result->more;
}

/* ---- where changes are -------------------------------------------------------------------- */

static uint64_t log_seek(const struct history *h, struct version_key key)
{
    if (key.revision < h->floor) {
        return h->begin;
    }
    uint64_t at = history_seek(h, key.revision) + key.sub;
    uint64_t most = key.revision == UINT64_MAX ? h->end : history_seek(h, key.revision + 1);
    return at < most ? at : most;
}

/* False: the page has ended; also below. */
static bool log_forward(struct changes_page *page, const struct history *h)
{
    uint64_t p = log_seek(h, page->first);
    uint64_t end = log_seek(h, page->last);
    while (p < end) {
        if (!page->query->recursive) {
            uint64_t found = history_find(h, p, end, page->hash);
            page->looked += found - p;
            p = found;
        }
        if (p < end && !page_look(page, history_at(h, p++))) {
            return false;
        }
    }
    return true;
}

static bool log_backward(struct changes_page *page, const struct history *h)
{
    uint64_t begin = log_seek(h, page->first);
    uint64_t p = log_seek(h, page->last);
    while (p > begin) {
        if (!page->query->recursive) {
            uint64_t found = history_find_back(h, begin, p, page->hash);
            page->looked += p - found;
            p = found;
        }
        if (p > begin && !page_look(page, history_at(h, --p))) {
            return false;
        }
    }
    return true;
}

/* Chains by an index into one chain, or into the order of all of them. */
struct chain_range {
    const struct versions *all;
    const struct version_chain *one; /* NULL: all */
    size_t begin;
    size_t end;
};

static struct chain_range chains_seek(const struct changes_page *page,
                                      const struct versions *v)
{
    const struct query *q = page->query;
    struct chain_range r = {.all = v};
    if (q->recursive) {
        r.begin = versions_seek(v, page->first);
        r.end = versions_seek(v, page->last);
        return r;
    }
    r.one = versions_chain(v, q->space, q->path);
    if (r.one != NULL) {
        r.begin = version_chain_seek(r.one, page->first);
        r.end = version_chain_seek(r.one, page->last);
    }
    return r;
}

static const struct change *chains_at(const struct chain_range *r, size_t i)
{
    return r->one != NULL ? version_chain_at(r->one, (uint32_t)i) : versions_at(r->all, i);
}

static bool chains_forward(struct changes_page *page, const struct versions *v)
{
    struct chain_range r = chains_seek(page, v);
    for (size_t i = r.begin; i < r.end; i++) {
        if (!page_look(page, chains_at(&r, i))) {
            return false;
        }
    }
    return true;
}

static bool chains_backward(struct changes_page *page, const struct versions *v)
{
    struct chain_range r = chains_seek(page, v);
    for (size_t i = r.end; i > r.begin; i--) {
        if (!page_look(page, chains_at(&r, i - 1))) {
            return false;
        }
    }
    return true;
}

/* ---- the query ---------------------------------------------------------------------------- */

static enum outcome range_check(const struct store *s, const struct query *q)
{
    if (q->from_revision > s->revision || q->to_revision > s->revision) {
        return OUTCOME_FUTURE_REVISION;
    }
    if (q->to_revision != 0 && q->from_revision > q->to_revision) {
        return OUTCOME_BAD_ARGUMENTS;
    }
    bool below = q->to_revision != 0 && q->to_revision < s->history.floor;
    bool covered = q->space == SPACE_NODES && q->path.size > 0 &&
                   policies_cover(&s->policies, q->path, q->recursive);
    return below && !covered ? OUTCOME_COMPACTED : OUTCOME_OK;
}

static void range_set(struct changes_page *page, uint64_t revision)
{
    const struct query *q = page->query;
    struct version_key after = {q->after_revision, q->after_sub};
    page->first = (struct version_key){q->from_revision, 0};
    page->last = (struct version_key){(q->to_revision == 0 ? revision : q->to_revision) + 1, 0};
    if (q->after_revision == 0) {
        return;
    }
    if (q->newest_first) {
        if (version_key_compare(after, page->last) < 0) {
            page->last = after;
        }
        return;
    }
    if (after.sub < UINT32_MAX) {
        after.sub++;
    }
    if (version_key_compare(after, page->first) > 0) {
        page->first = after;
    }
}

void query_history(const struct access *access, const struct query *q,
                   struct query_result *result, struct arena *arena)
{
    const struct store *s = access->store;
    result->floor = s->history.floor;
    result->outcome = (uint8_t)range_check(s, q);
    if (result->outcome != OUTCOME_OK) {
        return;
    }
    struct changes_page page = {
        .access = access,
        .query = q,
        .result = result,
        .arena = arena,
        .limit = QUERY_PAGE_ENTRIES_MAX,
        .hash = tree_hash(q->space, q->path),
    };
    if (q->limit > 0 && q->limit < page.limit) {
        page.limit = q->limit;
    }
    if (!may_read_now(access, q)) {
        result->outcome = OUTCOME_NO_AUTH;
        return;
    }
    range_set(&page, s->revision);
    if (q->newest_first) {
        (void)(log_backward(&page, &s->history) && chains_backward(&page, &s->versions));
    } else {
        (void)(chains_forward(&page, &s->versions) && log_forward(&page, &s->history));
    }
    if (!result->more) {
        result->next_revision = 0;
        result->next_sub = 0;
    }
    result->changes = page.changes;
    result->change_count = page.count;
}
