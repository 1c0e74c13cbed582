/* The production env on a loop of its own, for programs that only want its files and clocks. */
#ifndef TESTS_SUPPORT_REAL_ENV_H
#define TESTS_SUPPORT_REAL_ENV_H

#include "base/env.h"

struct real_env;

/* Errors of the disk are logged to stderr. */
struct real_env *real_env_new(void);
struct env *real_env_get(struct real_env *r);
void real_env_free(struct real_env *r);

#endif
