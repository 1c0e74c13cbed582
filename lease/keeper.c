/* A heap of the times at which a lease must be looked at: its deadline, or an earlier one that a
 * touch has left behind. So a touch writes one number, and the heap is put right when the old time
 * comes, once for all the touches of a whole TTL. */
#include "lease/keeper.h"

#include "base/heap.h"
#include "base/id_map.h"
#include "base/list.h"
#include "base/mem.h"

enum kept_state { KEPT = 1, SUSPECT, PROPOSED };

struct kept {
    union {
        struct heap_node node; /* KEPT; its key is not above the first ms past the deadline */
        struct list link;      /* SUSPECT, PROPOSED */
    };
    uint64_t id;
    uint64_t generation;
    uint64_t ttl_ms;
    uint64_t deadline_ms; /* passed when the clock shows more */
    uint8_t state;        /* enum kept_state */
    bool renewable;
};

struct keeper {
    struct id_map leases;
    struct heap heap;
    struct list suspects;
    struct list proposed;
    size_t proposed_count;
};

struct keeper *keeper_new(void)
{
    struct keeper *k = mem_zalloc(sizeof *k);
    list_init(&k->suspects);
    list_init(&k->proposed);
    return k;
}

void keeper_free(struct keeper *k)
{
    if (k != NULL) {
        keeper_clear(k);
        mem_free(k);
    }
}

static void free_list(struct list *list)
{
    struct list *it;
    while ((it = list_pop_front(list)) != NULL) {
        mem_free(LIST_OF(it, struct kept, link));
    }
}

void keeper_clear(struct keeper *k)
{
    for (size_t i = 0; i < k->heap.count; i++) {
        mem_free(HEAP_OF(k->heap.nodes[i], struct kept, node));
    }
    heap_close(&k->heap);
    free_list(&k->suspects);
    free_list(&k->proposed);
    k->proposed_count = 0;
    id_map_close(&k->leases);
}

/* ---- states ------------------------------------------------------------------------------ */

static void leave(struct keeper *k, struct kept *lease)
{
    switch ((enum kept_state)lease->state) {
    case KEPT: heap_remove(&k->heap, &lease->node); return;
    case SUSPECT: list_remove(&lease->link); return;
    case PROPOSED:
        list_remove(&lease->link);
        k->proposed_count--;
        return;
    }
}

static void enter_kept(struct keeper *k, struct kept *lease)
{
    lease->state = KEPT;
    lease->node = (struct heap_node){0};
    heap_push(&k->heap, &lease->node, lease->deadline_ms + 1);
}

static void enter_suspect(struct keeper *k, struct kept *lease)
{
    lease->state = SUSPECT;
    list_push_back(&k->suspects, &lease->link);
}

static void enter_proposed(struct keeper *k, struct kept *lease)
{
    lease->state = PROPOSED;
    list_push_back(&k->proposed, &lease->link);
    k->proposed_count++;
}

/* ---- what happens to leases -------------------------------------------------------------- */

void keeper_add(struct keeper *k, uint64_t id, uint64_t generation, uint64_t ttl_ms,
                bool renewable, uint64_t now_ms)
{
    struct kept *lease = id_map_get(&k->leases, id);
    if (lease == NULL) {
        lease = mem_zalloc(sizeof *lease);
        id_map_set(&k->leases, id, lease);
    } else {
        leave(k, lease);
    }
    lease->id = id;
    lease->generation = generation;
    lease->ttl_ms = ttl_ms;
    lease->renewable = renewable;
    lease->deadline_ms = now_ms + ttl_ms;
    enter_kept(k, lease);
}

void keeper_remove(struct keeper *k, uint64_t id)
{
    struct kept *lease = id_map_remove(&k->leases, id);
    if (lease != NULL) {
        leave(k, lease);
        mem_free(lease);
    }
}

bool keeper_touch(struct keeper *k, uint64_t id, uint64_t now_ms)
{
    struct kept *lease = id_map_get(&k->leases, id);
    if (lease == NULL || !lease->renewable || lease->state == PROPOSED) {
        return false;
    }
    if (now_ms + lease->ttl_ms > lease->deadline_ms) {
        lease->deadline_ms = now_ms + lease->ttl_ms;
    }
    if (lease->state == SUSPECT) {
        leave(k, lease);
        enter_kept(k, lease);
    }
    return true;
}

bool keeper_is_proposed(const struct keeper *k, uint64_t id)
{
    const struct kept *lease = id_map_get(&k->leases, id);
    return lease != NULL && lease->state == PROPOSED;
}

bool keeper_remaining(const struct keeper *k, uint64_t id, uint64_t now_ms, uint64_t *ms)
{
    const struct kept *lease = id_map_get(&k->leases, id);
    if (lease == NULL) {
        return false;
    }
    *ms = lease->deadline_ms > now_ms ? lease->deadline_ms - now_ms : 0;
    return true;
}

/* ---- the end of leases ------------------------------------------------------------------- */

bool keeper_suspect(struct keeper *k, uint64_t now_ms, size_t max)
{
    struct heap_node *first;
    while (max-- > 0 && (first = heap_peek(&k->heap)) != NULL && first->key <= now_ms) {
        struct kept *lease = HEAP_OF(first, struct kept, node);
        if (lease->deadline_ms >= now_ms) {
            heap_update(&k->heap, first, lease->deadline_ms + 1);
        } else {
            leave(k, lease);
            enter_suspect(k, lease);
        }
    }
    return !list_empty(&k->suspects);
}

size_t keeper_propose(struct keeper *k, struct keeper_due *due, size_t max)
{
    size_t count = 0;
    while (count < max && !list_empty(&k->suspects)) {
        struct kept *lease = LIST_OF(k->suspects.next, struct kept, link);
        leave(k, lease);
        enter_proposed(k, lease);
        due[count++] = (struct keeper_due){.id = lease->id, .generation = lease->generation};
    }
    return count;
}

uint64_t keeper_next_ms(const struct keeper *k)
{
    const struct heap_node *first = heap_peek(&k->heap);
    return first != NULL ? first->key : UINT64_MAX;
}

size_t keeper_count(const struct keeper *k)
{
    return k->leases.count;
}

size_t keeper_proposed_count(const struct keeper *k)
{
    return k->proposed_count;
}
