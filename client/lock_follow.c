/* What becomes of a lock that is held: told as its session changes, and as its entries say,
 * each of which has a watch. An entry that is listed anew, after a gap, is looked at as if
 * it had changed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client_internal.h"
#include "client/lock.h"

struct lock_watch {
    struct coord_lock *lock;
    const struct coord_grant *grant;
    struct coord_watch *watch; /* NULL: it has ended */
    bool was_listed;           /* the listing under way has shown the entry */
};

/* ---- telling ----------------------------------------------------------------------------- */

static void tell_soon(struct coord_lock *lock)
{
    if (lock->changed != NULL) {
        loop_timer_set(&lock->client->loop, &lock->timer, 0);
    }
}

void lock_become(struct coord_lock *lock, enum coord_lock_state state,
                 const struct coord_error *why)
{
    if (lock->state == COORD_LOCK_LOST || lock->state == state) {
        return;
    }
    lock->state = state;
    lock->why = *why;
    tell_soon(lock);
}

void locks_session_changed(struct coord_client *client, uint64_t session,
                           enum coord_session_state state, const struct coord_error *why)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH(it, tmp, &client->locks)
    {
        struct coord_lock *lock = LIST_OF(it, struct coord_lock, link);
        if (lock->session == session && session != 0) {
            lock_become(lock,
                        state == COORD_SESSION_SAFE     ? COORD_LOCK_SAFE
                        : state == COORD_SESSION_UNSAFE ? COORD_LOCK_UNSAFE
                                                        : COORD_LOCK_LOST,
                        why);
        }
    }
}

static void drop_asked(struct coord_lock *lock)
{
    free(lock->asked_by);
    free(lock->asked_why);
    lock->asked_by = lock->asked_why = NULL;
}

/* The lock may be gone when this returns. */
static void on_timer(struct loop_timer *t)
{
    struct coord_lock *lock = LOOP_OF(t, struct coord_lock, timer);
    char *by = lock->asked_by;
    char *why = lock->asked_why;
    bool is_asked = by != NULL && lock->state != COORD_LOCK_LOST;
    bool is_new = lock->told != lock->state;
    struct coord_error error = lock->why;
    const struct coord_lock_event event = {.state = lock->state,
                                           .is_asked = is_asked,
                                           .asked_by = is_asked ? by : "",
                                           .asked_why = is_asked ? why : "",
                                           .why = &error};
    lock->asked_by = lock->asked_why = NULL;
    lock->told = lock->state;
    if (lock->changed != NULL && (is_new || is_asked)) {
        lock->changed(lock->context, lock, &event);
    }
    free(by);
    free(why);
}

/* ---- what entries say -------------------------------------------------------------------- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The field of an entry's text: a line `name=value`, in which %XX stands for a byte. "" if
 * there is none; NULL: no memory. */
static char *field_of(const char *text, size_t bytes, const char *name)
{
    size_t name_bytes = strlen(name);
    const char *end = text + bytes;
    while (text < end) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        line_end = line_end != NULL ? line_end : end;
        size_t size = (size_t)(line_end - text);
        if (size > name_bytes && memcmp(text, name, name_bytes) == 0 &&
            text[name_bytes] == '=') {
            text += name_bytes + 1;
            break;
        }
        text = line_end < end ? line_end + 1 : end;
    }
    const char *line_end = text < end ? memchr(text, '\n', (size_t)(end - text)) : NULL;
    line_end = line_end != NULL ? line_end : end;
    char *value = malloc((size_t)(line_end - text) + 1);
    char *to = value;
    for (; value != NULL && text < line_end; text++) {
        int high = *text == '%' && line_end - text > 2 ? hex_digit(text[1]) : -1;
        int low = high >= 0 ? hex_digit(text[2]) : -1;
        *to++ = low >= 0 ? (char)(high * 16 + low) : *text;
        text += low >= 0 ? 2 : 0;
    }
    if (value != NULL) {
        *to = '\0';
    }
    return value;
}

/* Somebody may have asked for it. */
static void look_at_text(struct coord_lock *lock, const struct coord_event *event)
{
    char *by = field_of(event->data, event->bytes, "asked_by");
    char *why = field_of(event->data, event->bytes, "asked_why");
    bool is_asked = by != NULL && why != NULL && (by[0] != '\0' || why[0] != '\0');
    if (!is_asked) { /* nobody did, or there is no memory to say so */
        free(by);
        free(why);
        return;
    }
    drop_asked(lock);
    lock->asked_by = by;
    lock->asked_why = why;
    tell_soon(lock);
}

static void lose(struct lock_watch *w, const char *what)
{
    struct coord_error why;
    (void)client_fail(&why, COORD_NOT_FOUND, "%s: %s", w->grant->path, what);
    snprintf(why.outcome, sizeof why.outcome, "NOT_HELD");
    lock_become(w->lock, COORD_LOCK_LOST, &why);
}

static const char *reason_text(enum coord_reason reason)
{
    switch (reason) {
    case COORD_REASON_TIMED_OUT: return "its time to hold has run out";
    case COORD_REASON_LEASE_EXPIRED: return "its session or lease has expired";
    case COORD_REASON_LEASE_REVOKED: return "its lease was revoked";
    case COORD_REASON_SESSION_CLOSED: return "its session was closed";
    default: return "it was released or removed";
    }
}

static void look_at_event(struct lock_watch *w, const struct coord_event *event)
{
    bool is_ours = event->stat.create_revision == w->grant->revision;
    switch (event->type) {
    case COORD_EVENT_LISTING: w->was_listed = false; break;
    case COORD_EVENT_LISTED:
        if (!w->was_listed) {
            lose(w, "it is not held any more");
        }
        break;
    case COORD_EVENT_ENTRY:
        w->was_listed = w->was_listed || is_ours;
        if (is_ours) {
            look_at_text(w->lock, event);
        }
        break;
    case COORD_EVENT_SET:
        if (is_ours) {
            look_at_text(w->lock, event);
        }
        break;
    case COORD_EVENT_DELETED:
        if (is_ours) {
            lose(w, reason_text(event->reason));
        }
        break;
    default: break;
    }
}

static void on_watch(void *context, struct coord_watch *watch)
{
    struct lock_watch *w = context;
    struct coord_event event;
    struct coord_error error;
    enum coord_code code;
    while ((code = coord_watch_next(watch, 0, &event, &error)) == COORD_OK) {
        look_at_event(w, &event);
    }
    /* Others go on by themselves. With the end of this one, the session is what is left to
     * go by. */
    if (code != COORD_TIMEOUT && code != COORD_UNAVAILABLE && code != COORD_NO_MEMORY) {
        w->watch = NULL;
        coord_watch_close(watch);
    }
}

/* ---- following --------------------------------------------------------------------------- */

void lock_unfollow(struct coord_lock *lock)
{
    if (lock->changed == NULL) {
        return;
    }
    lock->changed = NULL;
    loop_timer_stop(&lock->client->loop, &lock->timer);
    drop_asked(lock);
    for (size_t i = 0; i < lock->count; i++) {
        coord_watch_close(lock->watches[i].watch);
    }
    free(lock->watches);
    lock->watches = NULL;
    session_need_not(lock->client, lock->session);
}

static enum coord_code watch_entries(struct coord_lock *lock, struct coord_error *error)
{
    enum coord_code code = COORD_OK;
    lock->watches = calloc(lock->count, sizeof *lock->watches);
    if (lock->watches == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for a watch");
    }
    for (size_t i = 0; i < lock->count && code == COORD_OK; i++) {
        struct lock_watch *w = &lock->watches[i];
        *w = (struct lock_watch){.lock = lock, .grant = &lock->grants[i]};
        const struct coord_watch_options options = {.list = true,
                                                    .relist = true,
                                                    .types =
                                                        COORD_WATCH_SET | COORD_WATCH_DELETED,
                                                    .ready = on_watch,
                                                    .context = w};
        code = coord_watch_start(lock->client, w->grant->path, &options, &w->watch, error);
    }
    return code;
}

enum coord_code coord_lock_follow(struct coord_lock *lock, coord_lock_fn changed, void *context,
                                  struct coord_error *error)
{
    enum coord_code code = COORD_OK;
    client_enter(lock->client);
    lock_unfollow(lock);
    if (changed != NULL) {
        lock->changed = changed;
        lock->context = context;
        lock->told = COORD_LOCK_SAFE;
        lock->timer.fire = on_timer;
        session_need(lock->client, lock->session);
        code = watch_entries(lock, error);
        tell_soon(lock); /* it may be lost already */
    }
    if (code != COORD_OK) {
        if (lock->watches == NULL) { /* of which lock_unfollow closes what there is */
            lock->changed = NULL;
            loop_timer_stop(&lock->client->loop, &lock->timer);
            session_need_not(lock->client, lock->session);
        }
        lock_unfollow(lock);
    }
    client_leave(lock->client);
    return code == COORD_OK ? client_fail(error, COORD_OK, "%s", "") : code;
}
