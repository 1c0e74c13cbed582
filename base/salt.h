/* Salts for hash tables in memory whose keys others choose: who knows where keys will be can choose
 * many that meet in one place, and then each lookup walks them all. A salt goes into the hash
 * before the key: many keys of one hash without it are found as easily.
 *
 * Each table draws a salt of its own, so those of two members do not agree even in the simulator:
 * no order of a table may reach what is replicated or saved. The seed is random in programs that
 * serve. It is 0 in tests, and the simulator sets its own, so that each run is the same again. */
#ifndef BASE_SALT_H
#define BASE_SALT_H

#include <stdint.h>

void salt_seed(uint64_t seed); /* before there are tables and threads */
uint64_t salt_next(void);      /* for a table; another one each time. Thread safe */

#endif
