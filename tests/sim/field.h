/* Fields of values that are text, one `name=value` line for each: the judges read them by
 * themselves. */
#ifndef TESTS_SIM_FIELD_H
#define TESTS_SIM_FIELD_H

#include <stdint.h>

#include "store/value.h"

#define FIELD_BYTES 32

/* The value of a line `name=value`, cut off where it is too long; empty: there is none. `v` may be
 * NULL. */
void field_get(const struct value *v, const char *name, char value[FIELD_BYTES]);
uint64_t field_number(const struct value *v, const char *name); /* 0: there is none */

#endif
