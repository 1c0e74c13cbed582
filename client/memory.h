/* Memory that may be refused: out of memory is an answer in client/, not the end of the program. */
#ifndef CLIENT_MEMORY_H
#define CLIENT_MEMORY_H

#include <stdbool.h>

#include "base/buf.h"

/* buf_reserve, but with an answer instead of an abort: what is appended within the reserve then
 * allocates nothing. */
bool memory_reserve(struct buf *b, size_t more);

#endif
