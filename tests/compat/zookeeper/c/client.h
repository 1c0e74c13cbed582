/* What the checks on libzookeeper_mt share: running them, waiting for events and completions,
 * and asking whoever started this program to kill and start servers.
 *
 * A check is a function that returns normally if its sentence holds. EXPECT and what is built
 * on it leave it by longjmp, so a check must not own what has to be released: handles and
 * inboxes are kept by the runner and end with the check. Callbacks run on the library's thread
 * and only put notes into an inbox. */
#ifndef COMPAT_CLIENT_H
#define COMPAT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zookeeper/zookeeper.h>

#define WAIT_MS 60000

extern const char *all_hosts; /* "host:port,..." */

/* The node below which the running check works; path("x") is base()/x. Valid until it ends. */
const char *base(void);
const char *path(const char *format, ...) __attribute__((format(printf, 1, 2)));

_Noreturn void fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define EXPECT(condition)                               \
    do {                                                \
        if (!(condition)) {                             \
            fail(__FILE__, __LINE__, "%s", #condition); \
        }                                               \
    } while (0)
#define EQUAL(got, wanted)                                                              \
    do {                                                                                \
        long long got_ = (long long)(got);                                              \
        long long wanted_ = (long long)(wanted);                                        \
        if (got_ != wanted_) {                                                          \
            fail(__FILE__, __LINE__, "%s is %lld, expected %lld", #got, got_, wanted_); \
        }                                                                               \
    } while (0)
#define SAME_TEXT(got, wanted)                                                              \
    do {                                                                                    \
        const char *got_ = (got);                                                           \
        const char *wanted_ = (wanted);                                                     \
        if (strcmp(got_, wanted_) != 0) {                                                   \
            fail(__FILE__, __LINE__, "%s is \"%s\", expected \"%s\"", #got, got_, wanted_); \
        }                                                                                   \
    } while (0)

/* A note that a callback made: of a watch event, or of a completion (type 0). */
struct note {
    int type;
    int state; /* of a session event */
    int rc;    /* of a completion */
    char path[512];
    char value[128];
    int value_len;
    struct Stat stat;
    bool has_stat;
};

struct inbox;

struct inbox *inbox_new(void);
/* The next note; fails the check when none comes in time. */
struct note inbox_next(struct inbox *inbox);
/* True if there is none. Asked behind a call whose reply comes after what is looked for. */
bool inbox_is_empty(struct inbox *inbox);

/* Takes anything; the context is an inbox. */
void on_event(zhandle_t *zh, int type, int state, const char *event_path, void *context);
void on_void(int rc, const void *context);
void on_string(int rc, const char *value, const void *context);
void on_string_stat(int rc, const char *value, const struct Stat *stat, const void *context);
void on_stat(int rc, const struct Stat *stat, const void *context);
void on_data(int rc, const char *value, int value_len, const struct Stat *stat,
             const void *context);
void on_strings(int rc, const struct String_vector *strings, const void *context);

/* A handle whose session events go to an inbox; `id` resumes that session. */
zhandle_t *open_handle(const char *hosts, int timeout_ms, const clientid_t *id,
                       struct inbox *inbox);
/* ... that is connected, with its event taken. */
zhandle_t *connected(const char *hosts, int timeout_ms, const clientid_t *id,
                     struct inbox *inbox);
/* Ends its session. */
void close_handle(zhandle_t *zh);
/* Another process opens a session and creates an ephemeral; it answers the session's id. */
clientid_t owner_start(const char *hosts, int timeout_ms, const char *ephemeral);
/* It dies, and so does not end its session. */
void owner_kill(void);
/* Waits for the next session event that has this state, and skips others. */
void await_state(struct inbox *inbox, int state);
/* The server as it was when this program started, number 0 to 2. */
const char *host(int number);

void ask_to(const char *what, const char *address); /* "kill", "start" */

void check(const char *sentence, void (*run)(void));

void check_basics(void);
void check_multi(void);
void check_watches(void);
void check_sessions(void);

#endif
