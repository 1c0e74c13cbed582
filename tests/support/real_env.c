#include "tests/support/real_env.h"

#include <uv.h>

#include "base/assert.h"
#include "base/env_uv.h"
#include "base/mem.h"

struct real_env {
    uv_loop_t loop;
    struct log log;
    struct env *env;
};

struct real_env *real_env_new(void)
{
    struct real_env *r = mem_zalloc(sizeof *r);
    int code = uv_loop_init(&r->loop);
    PRE(code == 0);
    r->log = (struct log){.level = LOG_ERROR, .sink = log_stderr_sink};
    r->env = env_uv_new(&r->loop, &r->log);
    return r;
}

struct env *real_env_get(struct real_env *r)
{
    return r->env;
}

void real_env_free(struct real_env *r)
{
    env_uv_free(r->env);
    int code = uv_loop_close(&r->loop);
    POST(code == 0);
    mem_free(r);
}
