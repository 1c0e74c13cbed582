/* Memory of the daemon. Exhaustion aborts: every queue, value and in-flight set has a named limit
 * that is checked at admission, so running out is a sizing mistake and not a code path.
 * The client library is a guest and must not abort: what it shares with the daemon allocates here
 * only within what client/connection.c has reserved before.
 * Any thread. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

void *mem_alloc(size_t bytes);                 /* never NULL; free with mem_free */
void *mem_zalloc(size_t bytes);                /* the same, zeroed */
void *mem_resize(void *old, size_t bytes);     /* as realloc, never NULL */
void *mem_dup(const void *data, size_t bytes); /* an owned copy */
char *mem_strdup(const char *text);
void mem_free(void *memory); /* NULL is fine */

/* So many bytes of pages of their own, zeroed, aligned to their size: a power of two, at least a
 * page. Never NULL. */
void *mem_map(size_t bytes);
/* False: the system has no room to note the hole, and they stay. */
bool mem_unmap(void *memory, size_t bytes) __attribute__((warn_unused_result));

#endif
