#include "client.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOTES_MAX   4096
#define INBOXES_MAX 64
#define HANDLES_MAX 16
#define PATHS_MAX   1024
#define PATH_BYTES  256

struct inbox {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct note *notes;
    size_t put;
    size_t taken;
};

const char *all_hosts;

static struct {
    char hosts[3][64];
    jmp_buf out;
    int number;
    char why[1024]; /* "": the check holds */
    struct inbox *inboxes[INBOXES_MAX];
    size_t inbox_count;
    zhandle_t *handles[HANDLES_MAX];
    char paths[PATHS_MAX][PATH_BYTES];
    size_t path_count;
    char base[32];
    pid_t owner; /* 0: none */
} run;

void fail(const char *file, int line, const char *format, ...)
{
    char text[768];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *name = strrchr(file, '/');
    snprintf(run.why, sizeof run.why, "%s:%d: %s", name != NULL ? name + 1 : file, line, text);
    longjmp(run.out, 1);
}

const char *base(void)
{
    return run.base;
}

const char *path(const char *format, ...)
{
    EXPECT(run.path_count < PATHS_MAX);
    char *out = run.paths[run.path_count++];
    int used = snprintf(out, PATH_BYTES, "%s/", run.base);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out + used, PATH_BYTES - (size_t)used, format, arguments);
    va_end(arguments);
    return out;
}

/* --- notes -------------------------------------------------------------------------------- */

struct inbox *inbox_new(void)
{
    EXPECT(run.inbox_count < INBOXES_MAX);
    struct inbox *inbox = calloc(1, sizeof *inbox);
    EXPECT(inbox != NULL);
    inbox->notes = calloc(NOTES_MAX, sizeof *inbox->notes);
    EXPECT(inbox->notes != NULL);
    pthread_mutex_init(&inbox->lock, NULL);
    pthread_cond_init(&inbox->more, NULL);
    run.inboxes[run.inbox_count++] = inbox;
    return inbox;
}

static void put(const void *context, const struct note *note)
{
    struct inbox *inbox = *(struct inbox *const *)&context;
    pthread_mutex_lock(&inbox->lock);
    if (inbox->put < NOTES_MAX) {
        inbox->notes[inbox->put++] = *note;
    }
    pthread_cond_signal(&inbox->more);
    pthread_mutex_unlock(&inbox->lock);
}

struct note inbox_next(struct inbox *inbox)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += WAIT_MS / 1000;
    pthread_mutex_lock(&inbox->lock);
    int rc = 0;
    while (inbox->taken == inbox->put && rc == 0) {
        rc = pthread_cond_timedwait(&inbox->more, &inbox->lock, &end);
    }
    bool found = inbox->taken < inbox->put;
    struct note note = {0};
    if (found) {
        note = inbox->notes[inbox->taken++];
    }
    pthread_mutex_unlock(&inbox->lock);
    if (!found) {
        fail(__FILE__, __LINE__, "no event or completion within %d ms", WAIT_MS);
    }
    return note;
}

bool inbox_is_empty(struct inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    bool is_empty = inbox->taken == inbox->put;
    pthread_mutex_unlock(&inbox->lock);
    return is_empty;
}

static void set_text(char *out, size_t bytes, const char *text)
{
    snprintf(out, bytes, "%s", text != NULL ? text : "");
}

static void set_stat(struct note *note, const struct Stat *stat)
{
    if (stat != NULL) {
        note->stat = *stat;
        note->has_stat = true;
    }
}

void on_event(zhandle_t *zh, int type, int state, const char *event_path, void *context)
{
    (void)zh;
    struct note note = {.type = type, .state = state};
    set_text(note.path, sizeof note.path, event_path);
    put(context, &note);
}

void on_void(int rc, const void *context)
{
    struct note note = {.rc = rc};
    put(context, &note);
}

void on_string(int rc, const char *value, const void *context)
{
    struct note note = {.rc = rc};
    set_text(note.path, sizeof note.path, value);
    put(context, &note);
}

void on_string_stat(int rc, const char *value, const struct Stat *stat, const void *context)
{
    struct note note = {.rc = rc};
    set_text(note.path, sizeof note.path, value);
    set_stat(&note, stat);
    put(context, &note);
}

void on_stat(int rc, const struct Stat *stat, const void *context)
{
    struct note note = {.rc = rc};
    set_stat(&note, stat);
    put(context, &note);
}

void on_data(int rc, const char *value, int value_len, const struct Stat *stat,
             const void *context)
{
    struct note note = {.rc = rc, .value_len = value_len};
    if (value != NULL && value_len > 0 && (size_t)value_len < sizeof note.value) {
        memcpy(note.value, value, (size_t)value_len);
    }
    set_stat(&note, stat);
    put(context, &note);
}

void on_strings(int rc, const struct String_vector *strings, const void *context)
{
    struct note note = {.rc = rc, .value_len = strings != NULL ? strings->count : -1};
    put(context, &note);
}

/* --- handles ------------------------------------------------------------------------------ */

const char *host(int number)
{
    return run.hosts[number];
}

zhandle_t *open_handle(const char *hosts, int timeout_ms, const clientid_t *id,
                       struct inbox *inbox)
{
    for (size_t i = 0; i < HANDLES_MAX; i++) {
        if (run.handles[i] == NULL) {
            run.handles[i] = zookeeper_init(hosts, on_event, timeout_ms, id, inbox, 0);
            EXPECT(run.handles[i] != NULL);
            return run.handles[i];
        }
    }
    fail(__FILE__, __LINE__, "too many handles");
}

void await_state(struct inbox *inbox, int state)
{
    for (;;) {
        struct note note = inbox_next(inbox);
        if (note.type == ZOO_SESSION_EVENT && note.state == state) {
            return;
        }
    }
}

zhandle_t *connected(const char *hosts, int timeout_ms, const clientid_t *id,
                     struct inbox *inbox)
{
    zhandle_t *zh = open_handle(hosts, timeout_ms, id, inbox);
    await_state(inbox, ZOO_CONNECTED_STATE);
    return zh;
}

static void forget(const zhandle_t *zh)
{
    for (size_t i = 0; i < HANDLES_MAX; i++) {
        if (run.handles[i] == zh) {
            run.handles[i] = NULL;
        }
    }
}

void close_handle(zhandle_t *zh)
{
    forget(zh);
    EQUAL(zookeeper_close(zh), ZOK);
}

/* --- a client that dies ------------------------------------------------------------------- */

clientid_t owner_start(const char *hosts, int timeout_ms, const char *ephemeral)
{
    int ends[2];
    char timeout[16];
    snprintf(timeout, sizeof timeout, "%d", timeout_ms);
    EXPECT(pipe(ends) == 0);
    run.owner = fork();
    EXPECT(run.owner >= 0);
    if (run.owner == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execl("/proc/self/exe", "client", hosts, timeout, ephemeral, (char *)NULL);
        _exit(1);
    }
    close(ends[1]);
    clientid_t id = {0};
    ssize_t bytes = read(ends[0], &id, sizeof id);
    close(ends[0]);
    EQUAL(bytes, sizeof id);
    return id;
}

void owner_kill(void)
{
    if (run.owner != 0) {
        kill(run.owner, SIGKILL);
        waitpid(run.owner, NULL, 0);
        run.owner = 0;
    }
}

/* What that process does: tells its session in binary, and waits to be killed. */
static int own(const char *hosts, int timeout_ms, const char *ephemeral)
{
    zhandle_t *zh = zookeeper_init(hosts, NULL, timeout_ms, NULL, NULL, 0);
    if (zh == NULL ||
        zoo_create(zh, ephemeral, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, NULL, 0) != ZOK ||
        write(STDOUT_FILENO, zoo_client_id(zh), sizeof(clientid_t)) != sizeof(clientid_t)) {
        return 1;
    }
    for (;;) {
        pause();
    }
}

void ask_to(const char *what, const char *address)
{
    char answer[64];
    printf("%s %s\n", what, address);
    fflush(stdout);
    EXPECT(fgets(answer, sizeof answer, stdin) != NULL);
    SAME_TEXT(answer, "done\n");
}

/* --- running ------------------------------------------------------------------------------ */

void check(const char *sentence, void (*function)(void))
{
    snprintf(run.base, sizeof run.base, "/c-%d", ++run.number);
    run.path_count = 0;
    run.inbox_count = 0;
    run.why[0] = '\0';
    if (setjmp(run.out) == 0) {
        function();
    }
    for (size_t i = 0; i < HANDLES_MAX; i++) {
        if (run.handles[i] != NULL) {
            zookeeper_close(run.handles[i]);
            run.handles[i] = NULL;
        }
    }
    owner_kill();
    for (size_t i = 0; i < run.inbox_count; i++) {
        free(run.inboxes[i]->notes);
        free(run.inboxes[i]);
    }
    if (run.why[0] == '\0') {
        printf("ok libzookeeper: %s\n", sentence);
    } else {
        printf("FAIL libzookeeper: %s: %s\n", sentence, run.why);
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc == 4) {
        return own(argv[1], atoi(argv[2]), argv[3]);
    }
    if (argc != 2 || sscanf(argv[1], "%63[^,],%63[^,],%63[^,]", run.hosts[0], run.hosts[1],
                            run.hosts[2]) != 3) {
        fprintf(stderr, "usage: client HOST:PORT,HOST:PORT,HOST:PORT\n");
        return 2;
    }
    all_hosts = argv[1];
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    check_basics();
    check_multi();
    check_watches();
    check_sessions();
    printf("end\n");
    return 0;
}
