/* How much of the log stays in memory.
 *
 * A payload is needed until it is applied and durable here, and on the leader until every member
 * has it that is there, or was there a short while ago. What is older stays only for members that
 * come back, or for whom this node becomes the leader, and only so many bytes of it: the rest is
 * forgotten, long before a snapshot lets go of its entries. Should a member want one of those after
 * all, they are read back from disk, piece by piece; a piece stays until the next one is wanted, or
 * nobody has sent it for a while. If that fails, the leader takes a snapshot at once, which ends
 * behind all that it has forgotten, and offers that. */
#include <inttypes.h>

#include "base/mem.h"
#include "raft/engine_internal.h"

/* A member that was away for less gets what it lacks out of memory, if it is still there. */
#define ABSENCE_MS ((uint64_t)5 * 60 * 1000)

#define FETCH_BYTES_MAX   ((size_t)4 << 20)
#define FETCH_ENTRIES_MAX 8192
/* A piece that was fetched for one member does not give way to another's while it is new. */
#define FETCHED_NEW_MS  500
#define FETCHED_KEEP_MS 5000
/* For a member that is silent nothing is fetched: a heartbeat will be the first that it answers. */
#define FETCH_SILENCE_MS 1000

/* The first index that somebody who is there may still want from this node. */
static uint64_t wanted_from(const struct engine *e)
{
    uint64_t stored = engine_stored_index(e);
    uint64_t from = (e->applied < stored ? e->applied : stored) + 1;
    from = from < e->retained_from ? from : e->retained_from;
    if (e->raft.state != RAFT_LEADER) {
        return from;
    }
    for (size_t i = 0; i < e->configuration.count; i++) {
        uint64_t id = e->configuration.members[i].id;
        uint64_t silence = engine_silence_ms(e, id);
        uint64_t led = e->now_ms - e->leading_since_ms;
        uint64_t next = engine_match(e, id) + 1;
        if (id != e->raft.id && (silence < ABSENCE_MS || led < ABSENCE_MS) && next < from) {
            from = next;
        }
    }
    return from;
}

static void release_fetched(struct engine *e)
{
    engine_log_release(&e->entries, e->fetched.from, e->fetched.until);
    e->fetched.from = e->fetched.until = 0;
}

void engine_retain(struct engine *e, uint64_t from)
{
    e->retained_from = from;
}

void engine_forget(struct engine *e)
{
    if (e->fetched.until != 0 && e->now_ms >= e->fetched.ms + FETCHED_KEEP_MS) {
        release_fetched(e);
    }
    if (!e->lacks_payloads && e->entries.bytes > e->trailing_bytes) {
        engine_log_forget(&e->entries, wanted_from(e), e->trailing_bytes);
    }
}

static void on_fetched(void *context, enum status rc, const struct wal_entry *entries,
                       size_t count)
{
    struct engine *e = context;
    size_t restored = 0;
    if (e->failed || e->raft.state != RAFT_LEADER) {
        return;
    }
    release_fetched(e);
    while (restored < count &&
           engine_log_restore(&e->entries, entries[restored].index, entries[restored].term,
                              entries[restored].payload)) {
        restored++;
    }
    if (restored > 0) {
        e->fetched.from = entries[0].index;
        e->fetched.until = entries[0].index + restored;
        e->fetched.ms = e->now_ms;
        e->fetched.is_new = true;
    } else if (e->fetched.wanted >= e->entries.first && e->fetched.wanted < e->entries.held) {
        log_warn(e->log, "raft.entries_not_fetched", "from=%" PRIu64 " status=\"%s\"",
                 e->fetched.wanted, status_text(rc));
        e->lacks_payloads = true;
    }
}

/* Begins to read the payloads from an index on. */
static void fetch(struct engine *e, uint64_t from)
{
    bool is_used = !e->fetched.is_new || e->now_ms >= e->fetched.ms + FETCHED_NEW_MS;
    if (wal_is_fetching(e->wal) || (e->fetched.until != 0 && !is_used)) {
        return;
    }
    uint64_t *terms = mem_alloc(FETCH_ENTRIES_MAX * sizeof *terms);
    size_t bytes = 0;
    size_t count = 0;
    while (count < FETCH_ENTRIES_MAX && bytes < FETCH_BYTES_MAX && from + count < e->entries.held) {
        const struct engine_entry *entry = engine_log_find(&e->entries, from + count);
        bytes += entry->payload.size;
        terms[count++] = entry->term;
    }
    e->fetched.wanted = from;
    wal_fetch(e->wal, from, terms, count, on_fetched);
    mem_free(terms);
}

unsigned engine_sendable(struct engine *e, uint64_t to, uint64_t from, unsigned count)
{
    if (count == 0 || from >= e->entries.held) {
        return count;
    }
    if (from < e->fetched.from || from >= e->fetched.until) {
        if (!e->lacks_payloads && engine_silence_ms(e, to) < FETCH_SILENCE_MS) {
            fetch(e, from);
        }
        return 0;
    }
    e->fetched.ms = e->now_ms;
    e->fetched.is_new = false;
    uint64_t left = e->fetched.until - from;
    return e->fetched.until == e->entries.held || left > count ? count : (unsigned)left;
}

bool engine_needs_snapshot(const struct engine *e)
{
    return e->lacks_payloads && e->raft.state == RAFT_LEADER && !e->failed;
}

unsigned engine_trailing_entries(const struct engine *e, uint64_t index)
{
    uint64_t bytes = 0;
    unsigned count = 0;
    const struct engine_entry *entry = engine_log_find(&e->entries, index);
    while (entry != NULL && index - count >= e->entries.held &&
           bytes + entry->payload.size <= e->trailing_bytes) {
        bytes += entry->payload.size;
        count++;
        entry = engine_log_find(&e->entries, index - count);
    }
    return count;
}
