#include "store/acl_table.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/salt.h"
#include "store/acl.h"

/* Part of the state digest: never change them. */
#define ACL_BYTES_SEED UINT64_C(0x41)
#define ACL_ITEM_SEED  UINT64_C(0x61)

#define SLOTS_MIN ((uint32_t)16)

/* ---- lists by themselves ------------------------------------------------------------------ */

struct acl_list *acl_list_new(uint32_t id, struct slice encoded)
{
    struct acl_list *l = mem_alloc(sizeof *l + encoded.size);
    *l = (struct acl_list){
        .refs = 1,
        .id = id,
        .hash = hash_bytes(ACL_BYTES_SEED, encoded.data, encoded.size),
        .size = encoded.size,
    };
    list_init(&l->unused);
    memcpy(l->bytes, encoded.data, encoded.size);
    return l;
}

struct acl_list *acl_list_ref(struct acl_list *l)
{
    if (l != NULL) {
        (void)__atomic_add_fetch(&l->refs, 1, __ATOMIC_RELAXED);
    }
    return l;
}

void acl_list_unref(struct acl_list *l)
{
    if (l != NULL && __atomic_sub_fetch(&l->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        mem_free(l);
    }
}

/* ---- the table ---------------------------------------------------------------------------- */

static uint64_t list_item(const struct acl_list *l)
{
    return hash_mix(l->id + ACL_ITEM_SEED, l->hash);
}

void acl_table_init(struct acl_table *t)
{
    *t = (struct acl_table){.slot_end = 1, .next = 1, .salt = salt_next()};
    list_init(&t->unused);
}

void acl_table_close(struct acl_table *t)
{
    for (uint32_t slot = 1; slot < t->slot_end; slot++) {
        acl_list_unref(t->slots[slot].list);
    }
    mem_free(t->slots);
    id_map_close(&t->by_id);
    id_map_close(&t->by_hash);
    *t = (struct acl_table){0};
}

struct acl_list *acl_table_find(const struct acl_table *t, uint32_t id)
{
    return id == 0 ? NULL : id_map_get(&t->by_id, id);
}

/* In by_hash. The hash of a list is part of the digest: anybody can tell which lists share it. */
static uint64_t key_of(const struct acl_table *t, struct slice encoded)
{
    return hash_bytes(t->salt, encoded.data, encoded.size);
}

static struct acl_list *find_content(const struct acl_table *t, struct slice encoded)
{
    struct acl_list *l = id_map_get(&t->by_hash, key_of(t, encoded));
    while (l != NULL && !slice_equal(acl_list_slice(l), encoded)) {
        l = l->next;
    }
    return l;
}

static uint32_t slot_take(struct acl_table *t)
{
    uint32_t slot = t->free_slots;
    if (slot != 0) {
        t->free_slots = t->slots[slot].next_free;
        return slot;
    }
    if (t->slot_end >= t->slot_capacity) {
        t->slot_capacity = t->slot_capacity == 0 ? SLOTS_MIN : t->slot_capacity * 2;
        t->slots = mem_resize(t->slots, t->slot_capacity * sizeof t->slots[0]);
    }
    return t->slot_end++;
}

/* Takes the caller's reference. */
static void table_add(struct acl_table *t, struct acl_list *l)
{
    l->slot = slot_take(t);
    l->scan = t->scan;
    t->slots[l->slot] = (struct acl_slot){.list = l};
    uint64_t key = key_of(t, acl_list_slice(l));
    l->next = id_map_get(&t->by_hash, key);
    id_map_set(&t->by_hash, key, l);
    id_map_set(&t->by_id, l->id, l);
    list_push_back(&t->unused, &l->unused);
    t->count++;
    t->bytes += l->size;
    t->sum += list_item(l);
}

static void table_remove(struct acl_table *t, struct acl_list *l)
{
    PRE(l->nodes == 0);
    if (t->evict != NULL) {
        t->evict(t->evict_context, l);
    }
    uint64_t key = key_of(t, acl_list_slice(l));
    struct acl_list *first = id_map_get(&t->by_hash, key);
    if (first == l && l->next == NULL) {
        (void)id_map_remove(&t->by_hash, key);
    } else if (first == l) {
        id_map_set(&t->by_hash, key, l->next);
    } else {
        while (first->next != l) {
            first = first->next;
        }
        first->next = l->next;
    }
    (void)id_map_remove(&t->by_id, l->id);
    t->slots[l->slot] = (struct acl_slot){.next_free = t->free_slots};
    t->free_slots = l->slot;
    list_remove(&l->unused);
    t->count--;
    t->bytes -= l->size;
    t->sum -= list_item(l);
    acl_list_unref(l);
}

/* Ids are taken in turn, beginning again after the last one; those in use are passed over. */
static uint32_t next_id(struct acl_table *t)
{
    uint32_t id;
    do {
        id = t->next++;
        if (t->next == ACL_ID_NONE) {
            t->next = 1;
        }
    } while (acl_table_find(t, id) != NULL);
    return id;
}

uint32_t acl_table_intern(struct acl_table *t, struct slice encoded)
{
    if (acl_is_open(encoded)) {
        return 0;
    }
    struct acl_list *l = find_content(t, encoded);
    if (l != NULL) {
        return l->id;
    }
    if (t->count >= ACL_LISTS_MAX) {
        return ACL_ID_NONE;
    }
    l = acl_list_new(next_id(t), encoded);
    table_add(t, l);
    return l->id;
}

void acl_table_attach(struct acl_table *t, uint32_t id)
{
    if (id == 0) {
        return;
    }
    struct acl_list *l = acl_table_find(t, id);
    PRE(l != NULL);
    l->nodes++;
    list_remove(&l->unused);
}

void acl_table_detach(struct acl_table *t, uint32_t id)
{
    if (id == 0) {
        return;
    }
    struct acl_list *l = acl_table_find(t, id);
    PRE(l != NULL && l->nodes > 0);
    if (--l->nodes == 0) {
        list_push_back(&t->unused, &l->unused);
    }
}

void acl_table_settle(struct acl_table *t)
{
    while (!list_empty(&t->unused)) {
        table_remove(t, LIST_OF(t->unused.next, struct acl_list, unused));
    }
}

bool acl_table_load(struct acl_table *t, uint32_t id, struct slice encoded)
{
    if (t->count >= ACL_LISTS_MAX || acl_table_find(t, id) != NULL ||
        find_content(t, encoded) != NULL) {
        return false;
    }
    table_add(t, acl_list_new(id, encoded));
    return true;
}

/* ---- invariants --------------------------------------------------------------------------- */

void acl_table_check(const struct acl_table *t)
{
    uint32_t count = 0;
    uint64_t bytes = 0;
    uint64_t sum = 0;
    for (uint32_t slot = 1; slot < t->slot_end; slot++) {
        const struct acl_list *l = t->slots[slot].list;
        if (l == NULL) {
            continue;
        }
        POST(l->slot == slot && l->refs > 0 && l->nodes > 0 && list_empty(&l->unused));
        POST(acl_table_find(t, l->id) == l);
        POST(find_content(t, acl_list_slice(l)) == l);
        POST(acl_check(acl_list_slice(l), NULL) == OUTCOME_OK);
        POST(!acl_is_open(acl_list_slice(l)));
        count++;
        bytes += l->size;
        sum += list_item(l);
    }
    POST(count == t->count && bytes == t->bytes && sum == t->sum);
    POST(list_empty(&t->unused));
    POST(t->next > 0 && t->next < ACL_ID_NONE);
}
