/* svc register: an instance for as long as this command, or a program, runs. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "cmd/coordctl/session.h"
#include "cmd/coordctl/svc.h"

#define WAIT_MS 1000 /* the end of the child wakes us; this is for a wake-up gone astray */

extern char **environ;

/* ---- the instance ------------------------------------------------------------------------- */

static const char *id_of(const struct ctl *ctl)
{
    return ctl->id != NULL ? ctl->id : ctl->words[1];
}

static void print_registered(const struct ctl *ctl, uint64_t revision)
{
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl,
                       json_pack("{s:s, s:s, s:I}", "service", ctl->words[0], "id", id_of(ctl),
                                 "revision", (json_int_t)revision));
    } else if (ctl->program == NULL) { /* its output is the program's own */
        printf("%s/%s\n", ctl->words[0], id_of(ctl));
    }
    (void)fflush(stdout);
}

/* "NAME=VALUE": names are cut out into `names`. */
static size_t take_metadata(const struct ctl *ctl, struct buf *names,
                            struct coord_metadata metadata[CTL_META_MAX])
{
    size_t offsets[CTL_META_MAX];
    for (size_t i = 0; i < ctl->meta_count; i++) {
        size_t size = strcspn(ctl->meta[i], "=");
        offsets[i] = names->size;
        buf_append(names, ctl->meta[i], size);
        buf_append(names, "", 1);
        metadata[i].value = ctl->meta[i] + size + 1;
    }
    for (size_t i = 0; i < ctl->meta_count; i++) {
        metadata[i].name = (const char *)names->data + offsets[i];
    }
    return ctl->meta_count;
}

static int register_instance(struct ctl *ctl)
{
    char host[256];
    struct buf names = {0};
    struct coord_metadata metadata[CTL_META_MAX];
    struct coord_error error = {.code = COORD_INVALID};
    uint64_t revision = 0;
    struct coord_instance in = {
        .service = ctl->words[0],
        .id = id_of(ctl),
        .address = host,
        .weight = (unsigned)ctl->weight,
        .zone = ctl->zone,
        .tags = ctl->tags,
        .tag_count = ctl->tag_count,
        .metadata = metadata,
        .metadata_count = take_metadata(ctl, &names, metadata),
        .check = {.type = ctl->check == NULL                 ? COORD_CHECK_NONE
                          : strcmp(ctl->check, "tcp") == 0       ? COORD_CHECK_TCP
                          : strcmp(ctl->check, "heartbeat") == 0 ? COORD_CHECK_HEARTBEAT
                                                                 : COORD_CHECK_HTTP,
                  .path = ctl->check != NULL && ctl->check[0] == '/' ? ctl->check : NULL,
                  .interval_ms = (unsigned)ctl->check_interval_ms},
    };
    enum coord_code code = COORD_INVALID;
    if (svc_parse_address(ctl->words[1], host, &in.port)) {
        code = coord_register(ctl->client, &in, ctl->lease, ctl->only_new, &revision, &error);
    }
    buf_close(&names);
    int exit_code = ctl_check(ctl, code, &error);
    if (exit_code == EXIT_DONE) {
        print_registered(ctl, revision);
    }
    return exit_code;
}

/* ---- the program -------------------------------------------------------------------------- */

/* It gets the signals as we got them. */
static int spawn(const struct ctl *ctl, pid_t *pid)
{
    posix_spawnattr_t attributes;
    int rc = posix_spawnattr_init(&attributes);
    if (rc != 0) {
        return rc;
    }
    (void)posix_spawnattr_setsigmask(&attributes, &ctl->signals->before);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    rc = posix_spawnp(pid, ctl->program[0], NULL, &attributes, ctl->program, environ);
    (void)posix_spawnattr_destroy(&attributes);
    return rc;
}

/* A session that has ended took the instance with it: both are made anew, as long as it takes. */
static bool come_back(struct ctl *ctl)
{
    struct coord_error error;
    bool is_open = coord_session_trusted_ms(ctl->client) > 0 ||
                   coord_session_open(ctl->client, ctl->session_ttl_ms, ctl->owner, &error) ==
                       COORD_OK;
    if (!is_open || register_instance(ctl) != EXIT_DONE) {
        return false;
    }
    fprintf(stderr, "coordctl: svc register: %s/%s is registered again\n", ctl->words[0],
            id_of(ctl));
    return true;
}

/* False: the session is over. What is only not confirmed may be later. */
static bool keep_alive(struct ctl *ctl)
{
    struct coord_error error;
    if (coord_session_due_ms(ctl->client) > 0) {
        return true;
    }
    enum coord_code code = coord_session_keepalive(ctl->client, &error);
    if (code == COORD_SESSION_ENDED) {
        (void)ctl_failed(ctl, &error);
    }
    return code != COORD_SESSION_ENDED;
}

/* The signal first: the program is not to wait for the cluster. */
static void hand_on(struct ctl *ctl, pid_t pid, int number)
{
    (void)kill(pid, number);
    if (number != SIGHUP) {
        (void)coord_drain(ctl->client, ctl->words[0], id_of(ctl), true, NULL);
    }
}

static int attend(struct ctl *ctl, pid_t pid)
{
    bool is_registered = true;
    for (;;) {
        int status;
        pid_t ended = waitpid(pid, &status, WNOHANG);
        if (ended == pid) {
            return WIFEXITED(status) ? WEXITSTATUS(status) : ctl_signal_exit(WTERMSIG(status));
        }
        if (ended < 0 && errno != EINTR) {
            return EXIT_GENERAL;
        }
        uint64_t due_ms = is_registered ? coord_session_due_ms(ctl->client) : WAIT_MS;
        int number = signals_wait(ctl->signals, -1, due_ms < WAIT_MS ? due_ms : WAIT_MS);
        if (number != 0) {
            hand_on(ctl, pid, number);
        }
        is_registered = is_registered ? keep_alive(ctl) : come_back(ctl);
    }
}

static int register_and_run(struct ctl *ctl)
{
    pid_t pid;
    int exit_code = register_instance(ctl);
    if (exit_code != EXIT_DONE || ctl->program == NULL) {
        return exit_code;
    }
    int rc = spawn(ctl, &pid);
    if (rc != 0) {
        return ctl_general(ctl, "%s: %s", ctl->program[0], strerror(rc));
    }
    return attend(ctl, pid);
}

int ctl_svc_register(struct ctl *ctl)
{
    char host[256];
    unsigned port;
    if (!svc_parse_address(ctl->words[1], host, &port)) {
        return ctl_usage("svc register: \"%s\" is not ADDRESS:PORT", ctl->words[1]);
    }
    if (ctl->program != NULL && ctl->program[0] == NULL) {
        return ctl_usage("svc register: a program is missing behind --");
    }
    if (ctl->lease == 0 && !ctl->has_session) {
        return session_foreground(ctl, register_and_run);
    }
    if (ctl->program != NULL) {
        return ctl_usage("svc register: a program has a session of its own; it goes without "
                         "--session and --lease");
    }
    int exit_code = ctl->lease == 0 ? session_attach(ctl) : EXIT_DONE;
    return exit_code == EXIT_DONE ? register_instance(ctl) : exit_code;
}
