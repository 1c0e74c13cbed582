/* The replicated table of access control lists: each list that some node has, under an id. Nodes
 * carry the id; 0 is the open list, which is never stored.
 *
 * Content-addressed: equal lists have one id. Ids come from a replicated counter. How many nodes
 * have a list is derived from the nodes, and a list goes with its last node: the changes of a
 * command first, then acl_table_settle, so that a command which is taken back has lost none.
 *
 * The memory of a list is shared with the changes of the log that saw it, as values are: a list may
 * have left the table long before the last of them goes. */
#ifndef STORE_ACL_TABLE_H
#define STORE_ACL_TABLE_H

#include "base/id_map.h"
#include "base/list.h"
#include "base/slice.h"

#define ACL_LISTS_MAX ((uint32_t)1000000)

struct acl_list {
    uint32_t refs; /* atomic, as a value's: of the memory */
    uint32_t id;
    uint64_t hash; /* of the bytes */
    /* While it is in the table: */
    uint64_t nodes;
    uint64_t scan; /* local: the snapshot scan that was under way when it came, or 0 */
    uint32_t slot;
    struct acl_list *next; /* of the same hash */
    struct list unused;    /* among those without nodes, else by itself */
    size_t size;
    uint8_t bytes[];
};

struct acl_slot {
    struct acl_list *list; /* NULL: free */
    uint32_t next_free;
};

/* Slots are local, and stay the same while a list is there: a walk by slot misses none. */
struct acl_table {
    struct acl_slot *slots; /* [1, slot_end) have been used */
    uint32_t slot_end;
    uint32_t slot_capacity;
    uint32_t free_slots; /* 0: none */
    uint32_t count;
    uint32_t next;  /* id of the next new list; replicated */
    uint64_t bytes; /* of all lists */
    uint64_t sum;   /* of their digest items */
    struct id_map by_id;
    struct id_map by_hash; /* salted */
    uint64_t salt;
    struct list unused;
    uint64_t scan; /* that is under way, or 0 */
    /* Told about a list that is about to leave; may be NULL. */
    void (*evict)(void *context, const struct acl_list *l);
    void *evict_context;
};

/* ---- lists by themselves ---- */

struct acl_list *acl_list_new(uint32_t id, struct slice encoded); /* one reference, the caller's */
struct acl_list *acl_list_ref(struct acl_list *l);                /* NULL stays NULL */
void acl_list_unref(struct acl_list *l);                          /* NULL is fine */

static inline struct slice acl_list_slice(const struct acl_list *l)
{
    return l == NULL ? slice_make(NULL, 0) : slice_make(l->bytes, l->size);
}

/* ---- the table ---- */

void acl_table_init(struct acl_table *t);
void acl_table_close(struct acl_table *t);

/* NULL: there is none, as of 0. */
struct acl_list *acl_table_find(const struct acl_table *t, uint32_t id);
/* The id of a valid list; a new one has no nodes yet. 0 for the open list. UINT32_MAX, which is no
 * id: the table is full. */
#define ACL_ID_NONE UINT32_MAX
uint32_t acl_table_intern(struct acl_table *t, struct slice encoded);

/* One more node has it, or one less; nothing happens with 0. */
void acl_table_attach(struct acl_table *t, uint32_t id);
void acl_table_detach(struct acl_table *t, uint32_t id);
/* Lists that no node has go. */
void acl_table_settle(struct acl_table *t);

/* Loading. False if there is one with this id or content, or too many. */
bool acl_table_load(struct acl_table *t, uint32_t id, struct slice encoded);

/* Maps, counts and sums, but not how many nodes there are. */
void acl_table_check(const struct acl_table *t);

#endif
