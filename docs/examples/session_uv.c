/* A member of a group in a program of libuv: it is in the list as long as it lives, and works only
 * while nobody else can have taken its place.
 *
 *     session_uv NAME [TTL_MS]     (COORD_ENDPOINTS says where)
 *
 * Prints "safe", "unsafe" and "lost" as the session becomes so, and a "." for each piece of work.
 * SIGTERM ends it: it leaves the group first. */
#include <coord/client.h>
#include <coord/uv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct program {
    struct coord_uv coord;
    uv_timer_t work;
    uv_signal_t signal;
    const char *name;
    bool may_work;
    bool is_leaving;
    bool is_ending;
    int exit_code;
};

static void say(const char *word)
{
    printf("%s\n", word);
    fflush(stdout);
}

/* ---- the end */

static void end(struct program *p, int exit_code)
{
    if (p->is_ending) {
        return;
    }
    p->is_ending = true;
    p->may_work = false;
    p->exit_code = exit_code;
    uv_stop(p->coord.loop);
}

static void fail(struct program *p, const struct coord_error *error)
{
    fprintf(stderr, "session_uv: %s\n", error->message);
    end(p, 1);
}

static void on_left(void *context, const struct coord_result *result)
{
    (void)result; /* if it was not heard, the session ends by itself */
    end(context, 0);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct program *p = handle->data;
    (void)number;
    p->is_leaving = true;
    p->may_work = false;
    if (coord_session_close_async(p->coord.client, on_left, p, NULL, NULL) != COORD_OK) {
        end(p, 0);
    }
}

/* ---- the work */

static void on_work(uv_timer_t *handle)
{
    struct program *p = handle->data;
    if (p->may_work) {
        say(".");
    }
}

static void on_session(void *context, enum coord_session_state state,
                       const struct coord_error *why)
{
    struct program *p = context;
    p->may_work = state == COORD_SESSION_SAFE;
    if (state == COORD_SESSION_LOST) {
        say("lost");
        fail(p, why);
    } else {
        say(state == COORD_SESSION_SAFE ? "safe" : "unsafe");
    }
}

/* ---- the beginning: a session, then a node in it */

static void on_joined(void *context, const struct coord_result *result)
{
    struct program *p = context;
    if (result->code != COORD_OK) {
        fail(p, result->error);
        return;
    }
    /* Much may have happened since it was asked for. */
    p->may_work = !p->is_leaving && coord_session_trusted_ms(p->coord.client) > 0;
    if (p->may_work) {
        say("safe");
    }
}

static void on_opened(void *context, const struct coord_result *result)
{
    static const struct coord_create_options member = {
        .kind = COORD_EPHEMERAL, .flags = COORD_SEQUENTIAL | COORD_MAKE_PARENTS};
    struct program *p = context;
    struct coord_error error;
    if (result->code != COORD_OK) {
        fail(p, result->error);
    } else if (coord_session_follow(p->coord.client, on_session, p, &error) != COORD_OK ||
               coord_create_async(p->coord.client, "/pool/worker-", p->name, strlen(p->name),
                                  &member, on_joined, p, NULL, &error) != COORD_OK) {
        fail(p, &error);
    }
}

int main(int argc, char **argv)
{
    static struct program p;
    struct coord_error error;
    uv_loop_t *loop = uv_default_loop();
    p.name = argc > 1 ? argv[1] : "somebody";
    coord_uv_init(&p.coord, loop);
    const struct coord_options options = {.endpoints = getenv("COORD_ENDPOINTS"),
                                          .loop = &p.coord.hooks};
    uint64_t ttl_ms = argc > 2 ? strtoull(argv[2], NULL, 10) : 3000;
    if (coord_open(&options, &p.coord.client, &error) != COORD_OK ||
        coord_session_open_async(p.coord.client, ttl_ms, p.name, on_opened, &p, NULL, &error) !=
            COORD_OK) {
        fprintf(stderr, "session_uv: %s\n", error.message);
        return 1;
    }
    uv_timer_init(loop, &p.work);
    uv_signal_init(loop, &p.signal);
    p.work.data = &p;
    p.signal.data = &p;
    uv_timer_start(&p.work, on_work, 100, 100);
    uv_signal_start(&p.signal, on_signal, SIGTERM);
    uv_run(loop, UV_RUN_DEFAULT);

    coord_uv_close(&p.coord, NULL);
    uv_close((uv_handle_t *)&p.work, NULL);
    uv_close((uv_handle_t *)&p.signal, NULL);
    uv_run(loop, UV_RUN_DEFAULT);
    uv_loop_close(loop);
    return p.exit_code;
}
