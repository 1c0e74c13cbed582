/* svc register: an instance for as long as this command, or a program, runs. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/coordctl/session.h"
#include "cmd/coordctl/svc.h"

#define WAIT_MS  1000 /* the end of the child wakes us; this is for a wake-up gone astray */
#define RETRY_MS 100

#define EXIT_CANNOT_RUN 126 /* as shells say it */
#define EXIT_NO_PROGRAM 127

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

static enum coord_code ask_to_register(struct ctl *ctl, bool drains, uint64_t *revision,
                                       struct coord_error *error)
{
    char host[256];
    struct buf names = {0};
    struct coord_metadata metadata[CTL_META_MAX];
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
        .draining = drains,
    };
    enum coord_code code = COORD_INVALID;
    *error = (struct coord_error){.code = COORD_INVALID};
    if (svc_parse_address(ctl->words[1], host, &in.port)) {
        code = coord_register(ctl->client, &in, ctl->lease, ctl->only_new, revision, error);
    }
    buf_close(&names);
    return code;
}

static int register_instance(struct ctl *ctl)
{
    struct coord_error error;
    uint64_t revision = 0;
    int exit_code = ctl_check(ctl, ask_to_register(ctl, false, &revision, &error), &error);
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

/* What is known of the instance while the program runs. */
struct attendance {
    bool is_registered;
    bool must_drain; /* the program was asked to end */
    bool drains;     /* as far as the cluster knows */
    struct coord_error told; /* why it is not registered */
};

/* It goes on trying as long as it takes; people are told once for each reason. Numbers in the
 * message, as of a quota, may change from try to try: they make no other reason. */
static void note_trouble(const struct ctl *ctl, struct coord_error *told,
                         const struct coord_error *error)
{
    struct coord_error now = *error;
    if (told->code != error->code || strcmp(told->outcome, error->outcome) != 0) {
        snprintf(now.message, sizeof now.message, "%s; trying on", error->message);
        (void)ctl_failed(ctl, &now);
        *told = *error;
    }
}

/* One that lives for certain. What may have ended is left to its TTL. */
static enum coord_code have_session(struct ctl *ctl, struct coord_error *error)
{
    if (coord_session_trusted_ms(ctl->client) == 0) {
        coord_session_detach(ctl->client);
        return coord_session_open(ctl->client, ctl->session_ttl_ms, ctl->owner, error);
    }
    return coord_session_due_ms(ctl->client) > 0 ? COORD_OK
                                                 : coord_session_keepalive(ctl->client, error);
}

/* A session that has ended took the instance with it: both are made anew, as long as it takes. */
static void come_back(struct ctl *ctl, struct attendance *a)
{
    struct coord_error error;
    uint64_t revision = 0;
    enum coord_code code = have_session(ctl, &error);
    if (code == COORD_OK) {
        code = ask_to_register(ctl, a->must_drain, &revision, &error);
    }
    if (code != COORD_OK) {
        note_trouble(ctl, &a->told, &error);
        return;
    }
    a->told = (struct coord_error){.code = COORD_OK};
    a->is_registered = true;
    a->drains = a->must_drain;
    print_registered(ctl, revision);
    fprintf(stderr, "coordctl: svc register: %s/%s is registered again\n", ctl->words[0],
            id_of(ctl));
}

/* What is only not confirmed may be later. */
static void keep_alive(struct ctl *ctl, struct attendance *a)
{
    struct coord_error error;
    if (coord_session_due_ms(ctl->client) == 0 &&
        coord_session_keepalive(ctl->client, &error) == COORD_SESSION_ENDED) {
        (void)ctl_failed(ctl, &error);
        a->is_registered = false;
    }
}

/* It is asked again only where that may help. An instance that has gone comes back draining. */
static void drain(struct ctl *ctl, struct attendance *a)
{
    enum coord_code code = coord_drain(ctl->client, ctl->words[0], id_of(ctl), true, NULL);
    a->drains =
        code != COORD_TIMEOUT && code != COORD_UNAVAILABLE && code != COORD_UNKNOWN;
}

/* Until a keepalive is due. What was due may have failed at once: it is tried again no sooner than
 * after RETRY_MS, and without an instance no later than after WAIT_MS. */
static uint64_t rest_ms(const struct ctl *ctl, const struct attendance *a)
{
    uint64_t due_ms = coord_session_due_ms(ctl->client);
    if (!a->is_registered && coord_session_trusted_ms(ctl->client) == 0) {
        return WAIT_MS;
    }
    return due_ms < RETRY_MS ? RETRY_MS : due_ms < WAIT_MS ? due_ms : WAIT_MS;
}

/* The number of a signal that came, or 0. `is_of_terminal`: typed there, so that all in our group
 * have got it. Of its end the kernel tells only the leader of the session, which may be us. */
static int wait_for_signal(const struct ctl *ctl, uint64_t timeout_ms, bool *is_of_terminal)
{
    struct signalfd_siginfo info;
    struct pollfd wanted = {.fd = ctl->signals->fd, .events = POLLIN};
    (void)poll(&wanted, 1, (int)timeout_ms);
    while (read(wanted.fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo != SIGCHLD) { /* that one only wakes */
            *is_of_terminal = info.ssi_code == SI_KERNEL && info.ssi_signo != SIGHUP;
            return (int)info.ssi_signo;
        }
    }
    return 0;
}

/* A second one means "at once" to many programs, so none gets what it has got already. */
static void hand_on(pid_t pid, int number, bool is_of_terminal)
{
    if (!is_of_terminal || getpgid(pid) != getpgrp()) {
        (void)kill(pid, number);
    }
}

/* One round; the program runs. */
static void look_after(struct ctl *ctl, pid_t pid, struct attendance *a)
{
    bool is_of_terminal = false;
    int number = wait_for_signal(ctl, rest_ms(ctl, a), &is_of_terminal);
    if (number != 0) { /* it first: the program is not to wait for the cluster */
        hand_on(pid, number, is_of_terminal);
        a->must_drain =
            a->must_drain || number == SIGINT || number == SIGTERM || number == SIGQUIT;
    }
    if (a->is_registered && a->must_drain && !a->drains) {
        drain(ctl, a);
    }
    if (a->is_registered) {
        keep_alive(ctl, a);
    } else {
        come_back(ctl, a);
    }
}

static int attend(struct ctl *ctl, pid_t pid)
{
    struct attendance a = {.is_registered = true};
    for (;;) {
        int status;
        pid_t ended = waitpid(pid, &status, WNOHANG);
        if (ended == pid) {
            return WIFEXITED(status) ? WEXITSTATUS(status) : ctl_signal_exit(WTERMSIG(status));
        }
        if (ended < 0 && errno != EINTR) {
            return EXIT_GENERAL;
        }
        look_after(ctl, pid, &a);
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
        (void)ctl_general(ctl, "%s: %s", ctl->program[0], strerror(rc));
        return rc == ENOENT ? EXIT_NO_PROGRAM : EXIT_CANNOT_RUN;
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
