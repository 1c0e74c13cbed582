#include "cmd/coordctl/program.h"

#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/arena.h"
#include "base/base64.h"
#include "cmd/coordctl/event.h"

/* One string of an environment may have 128 KiB on Linux; base64 makes 4 of 3. */
#define VALUE_BYTES_MAX ((size_t)90 << 10)
#define VARIABLES_MAX   24
#define WAIT_MS         1000 /* the end of a child wakes us; this is for a wake-up gone astray */

extern char **environ;

struct environment {
    struct arena arena;
    char **variables; /* ends with NULL */
    size_t count;
};

/* Ours replace what we were started with. */
static bool is_ours(const char *variable)
{
    static const char *const names[] = {
        "COORD_EVENT_TYPE=", "COORD_PATH=",   "COORD_REVISION=",   "COORD_VALUE",
        "COORD_PREV_VALUE",  "COORD_REASON=", "COORD_EVENT_NOTE=", "COORD_EVENT_SESSION="};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strncmp(variable, names[i], strlen(names[i])) == 0) {
            return true;
        }
    }
    return false;
}

static void add(struct environment *env, const struct buf *text)
{
    char *copy = arena_alloc(&env->arena, text->size + 1);
    memcpy(copy, text->data, text->size);
    copy[text->size] = '\0';
    env->variables[env->count++] = copy;
}

__attribute__((format(printf, 2, 3))) static void add_text(struct environment *env,
                                                           const char *format, ...)
{
    struct buf text = {0};
    char line[8192]; /* a path has 4 KiB at most, a note 1 */
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    buf_append_str(&text, line);
    add(env, &text);
    buf_close(&text);
}

/* NAME if it is text, else NAME_BASE64; neither if it is too long for an environment. */
static void add_value(struct environment *env, const char *name, const void *data, size_t bytes)
{
    struct buf text = {0};
    add_text(env, "%s_BYTES=%zu", name, bytes);
    if (bytes > VALUE_BYTES_MAX) {
        return;
    }
    buf_append_str(&text, name);
    if (event_is_text(data, bytes)) {
        buf_append_str(&text, "=");
        buf_append(&text, data, bytes);
    } else {
        buf_append_str(&text, "_BASE64=");
        base64_encode(&text, slice_make(data, bytes));
    }
    add(env, &text);
    buf_close(&text);
}

#define PLACE_VARIABLES 3

struct place_variable {
    const char *name;
    const char *value; /* NULL: nothing is said */
};

static void place_of(const struct ctl *ctl, struct place_variable place[PLACE_VARIABLES])
{
    place[0] = (struct place_variable){"COORD_ENDPOINTS", ctl->options.endpoints};
    place[1] = (struct place_variable){"COORD_CONTEXT", ctl->context};
    place[2] = (struct place_variable){"COORD_CHROOT", ctl->options.chroot};
}

void program_say_where(const struct ctl *ctl)
{
    struct place_variable place[PLACE_VARIABLES];
    place_of(ctl, place);
    for (size_t i = 0; i < PLACE_VARIABLES; i++) {
        if (place[i].value != NULL) {
            (void)setenv(place[i].name, place[i].value, 1);
        }
    }
}

bool program_is_elsewhere(const struct ctl *ctl)
{
    struct place_variable place[PLACE_VARIABLES];
    place_of(ctl, place);
    for (size_t i = 0; i < PLACE_VARIABLES; i++) {
        const char *said = getenv(place[i].name);
        const char *ours = place[i].value != NULL ? place[i].value : "";
        if (strcmp(said != NULL ? said : "", ours) != 0) {
            return true;
        }
    }
    return false;
}

static void make_environment(struct environment *env, const struct ctl *ctl,
                             const struct coord_event *e)
{
    size_t count = 0;
    program_say_where(ctl);
    while (environ[count] != NULL) {
        count++;
    }
    env->variables = arena_alloc(&env->arena, (count + VARIABLES_MAX) * sizeof *env->variables);
    for (size_t i = 0; i < count; i++) {
        if (!is_ours(environ[i])) {
            env->variables[env->count++] = environ[i];
        }
    }
    add_text(env, "COORD_EVENT_TYPE=%s", event_type_name(e->type));
    add_text(env, "COORD_PATH=%s", e->path);
    add_text(env, "COORD_REVISION=%" PRIu64, e->revision);
    add_text(env, "COORD_REASON=%s", event_reason_name(e->reason));
    add_text(env, "COORD_EVENT_NOTE=%s", e->note);
    add_text(env, "COORD_EVENT_SESSION=%016" PRIx64, e->session);
    if (!ctl->keys_only && e->type != COORD_EVENT_DELETED) {
        add_value(env, "COORD_VALUE", e->data, e->bytes);
    }
    if (ctl->prev && (e->type == COORD_EVENT_SET || e->type == COORD_EVENT_DELETED)) {
        add_value(env, "COORD_PREV_VALUE", e->previous, e->previous_bytes);
    }
    env->variables[env->count] = NULL;
}

/* It gets the signals as we got them. */
static int spawn(const struct ctl *ctl, char **variables, const struct signals *signals,
                 pid_t *pid)
{
    posix_spawnattr_t attributes;
    int rc = posix_spawnattr_init(&attributes);
    if (rc != 0) {
        return rc;
    }
    (void)posix_spawnattr_setsigmask(&attributes, &signals->before);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    rc = posix_spawnp(pid, ctl->program[0], NULL, &attributes, ctl->program, variables);
    (void)posix_spawnattr_destroy(&attributes);
    return rc;
}

static int wait_for(pid_t pid, struct signals *signals, int *number)
{
    int status;
    for (;;) {
        pid_t ended = waitpid(pid, &status, WNOHANG);
        if (ended == pid) {
            return WIFEXITED(status) ? WEXITSTATUS(status) : ctl_signal_exit(WTERMSIG(status));
        }
        if (ended < 0 && errno != EINTR) {
            return EXIT_GENERAL;
        }
        int came = signals_wait(signals, -1, WAIT_MS);
        if (came != 0) {
            *number = came;
            (void)kill(pid, came);
        }
    }
}

int program_run(const struct ctl *ctl, const struct coord_event *e, struct signals *signals,
                int *number)
{
    struct environment env = {.count = 0};
    pid_t pid;
    (void)fflush(stdout);
    make_environment(&env, ctl, e);
    int rc = spawn(ctl, env.variables, signals, &pid);
    arena_close(&env.arena);
    if (rc != 0) {
        (void)ctl_general(ctl, "%s: %s", ctl->program[0], strerror(rc));
        return -1;
    }
    return wait_for(pid, signals, number);
}
