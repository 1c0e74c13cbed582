/* JSON as text, with numbers as they were said: 0.1 stays 0.1, where the 17 digits that name a
 * double for certain would make it 0.10000000000000001. */
#ifndef CMD_COORDCTL_TEXT_JSON_TEXT_H
#define CMD_COORDCTL_TEXT_JSON_TEXT_H

#include <jansson.h>

/* With as few digits as say the same value; `flags`: JSON_COMPACT and the like. To be freed; NULL:
 * no memory, or text that is no UTF-8. */
char *json_text(const json_t *value, size_t flags);

#endif
