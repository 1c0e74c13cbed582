/* Shard maps that follow what changes: a watch for each directory of the map, each taken up
 * again by itself (client/watch.c), over one table (client/known_shards.h). Strategy and slots
 * never change, so the map's own node is read once. */
#include "client/shards.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/async.h"
#include "client/client_internal.h"
#include "client/known_shards.h"
#include "client/socket.h"

#define PATH_BYTES 4200
#define WAIT_MS    100 /* at a time: some watch may have no connection to be waited for */
#define REFUSED_MS 1000 /* until a watch that was refused is begun anew: rights come and go */

struct follower {
    struct coord_shards *owner;
    struct coord_watch *watch; /* NULL: not followed, or it is over */
    bool is_whole;             /* it was listed once */
};

struct coord_shards {
    struct coord_client *client;
    struct coord_shards_options options;
    struct known_shards map;
    struct follower followers[SHARD_KINDS];
    bool has_lost;           /* no memory for a change: all is listed again */
    bool is_open;            /* its owner has it */
    uint64_t refused_ms;     /* when a watch of it was, for the last time */
    struct loop_timer timer; /* runs then, until all are begun anew */
    char path[PATH_BYTES];
};

static const char *dir_of(enum shard_kind kind)
{
    static const char *const dirs[SHARD_KINDS] = {"shards", "nodes", "moves", "keys"};
    return dirs[kind];
}

/* ---- following ---------------------------------------------------------------------------- */

static void on_ready(void *context, struct coord_watch *watch)
{
    struct follower *f = context;
    (void)watch;
    if (f->owner->options.ready != NULL) {
        f->owner->options.ready(f->owner->options.context, f->owner);
    }
}

static enum coord_code follow(struct coord_shards *s, enum shard_kind kind,
                              struct coord_error *error)
{
    char path[PATH_BYTES + 16];
    struct follower *f = &s->followers[kind];
    const struct coord_watch_options options = {
        .scope = COORD_WATCH_CHILDREN,
        .list = true,
        .relist = true,
        .ready = s->options.ready != NULL ? on_ready : NULL,
        .context = f,
    };
    (void)snprintf(path, sizeof path, "%s/%s", s->path, dir_of(kind));
    f->owner = s;
    f->is_whole = false;
    return coord_watch_start(s->client, path, &options, &f->watch, error);
}

static void take_event(struct coord_shards *s, enum shard_kind kind,
                       const struct coord_event *e)
{
    switch (e->type) {
    case COORD_EVENT_LISTING: known_shards_clear(&s->map, kind); break;
    case COORD_EVENT_LISTED: s->followers[kind].is_whole = true; break;
    case COORD_EVENT_ENTRY:
    case COORD_EVENT_CREATED:
    case COORD_EVENT_SET:
        s->has_lost |= !known_shards_put(&s->map, kind, e->path, e->data, e->bytes);
        break;
    case COORD_EVENT_DELETED: known_shards_remove(&s->map, kind, e->path); break;
    default: break;
    }
}

static void begin_anew_later(struct coord_shards *s)
{
    s->refused_ms = socket_now_ms();
    if (s->is_open) {
        client_enter(s->client);
        loop_timer_set(&s->client->loop, &s->timer, s->refused_ms + REFUSED_MS);
        client_leave(s->client);
    }
}

/* What is known stays known until the new watch lists it all. */
static void begin_anew(struct coord_shards *s)
{
    bool is_done = true;
    if (!s->is_open || socket_now_ms() < s->refused_ms + REFUSED_MS) {
        return;
    }
    for (int kind = 0; kind < SHARD_KINDS; kind++) {
        struct follower *f = &s->followers[kind];
        if (f->owner != NULL && f->watch == NULL) {
            is_done = follow(s, (enum shard_kind)kind, NULL) == COORD_OK && is_done;
        }
    }
    if (!is_done) {
        begin_anew_later(s);
    }
}

static void on_timer(struct loop_timer *t)
{
    begin_anew(LOOP_OF(t, struct coord_shards, timer));
}

/* Takes in what has arrived; true: there was something. */
static bool take_all(struct coord_shards *s, enum shard_kind kind, struct coord_error *error)
{
    struct follower *f = &s->followers[kind];
    bool has_changed = false;
    enum coord_code code = COORD_OK;
    struct coord_event event;
    while (f->watch != NULL && code == COORD_OK) {
        code = coord_watch_next(f->watch, 0, &event, error);
        if (code == COORD_OK) {
            take_event(s, kind, &event);
            has_changed = true;
        }
    }
    bool goes_on = code == COORD_OK || code == COORD_TIMEOUT || code == COORD_UNAVAILABLE ||
                   code == COORD_NO_MEMORY;
    if (!goes_on) {
        coord_watch_close(f->watch);
        f->watch = NULL;
        begin_anew_later(s);
    }
    return has_changed;
}

/* What could not be kept for want of memory is listed anew. */
static void recover(struct coord_shards *s)
{
    bool is_done = true;
    if (!s->has_lost) {
        return;
    }
    for (int kind = 0; kind < SHARD_KINDS; kind++) {
        struct follower *f = &s->followers[kind];
        if (f->owner != NULL) {
            coord_watch_close(f->watch);
            f->watch = NULL;
            is_done = follow(s, (enum shard_kind)kind, NULL) == COORD_OK && is_done;
        }
    }
    s->has_lost = !is_done;
}

static bool take_in(struct coord_shards *s, struct coord_error *error)
{
    bool has_changed = false;
    recover(s);
    begin_anew(s);
    for (int kind = 0; kind < SHARD_KINDS; kind++) {
        has_changed = take_all(s, (enum shard_kind)kind, error) || has_changed;
    }
    return has_changed;
}

/* Until a socket of a watch is readable, or so long. */
static void wait_for_more(const struct coord_shards *s, uint64_t ms)
{
    struct pollfd fds[SHARD_KINDS];
    nfds_t count = 0;
    for (int kind = 0; kind < SHARD_KINDS; kind++) {
        const struct coord_watch *watch = s->followers[kind].watch;
        int fd = watch != NULL ? coord_watch_fd(watch) : -1;
        if (fd >= 0) {
            fds[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
        }
    }
    (void)poll(fds, count, (int)(ms < WAIT_MS ? ms : WAIT_MS));
}

bool coord_shards_update(struct coord_shards *s, uint32_t timeout_ms)
{
    struct coord_error error;
    /* Inside a callback nothing more arrives. */
    uint64_t end_ms = s->client->depth > 0 ? 0 : socket_now_ms() + timeout_ms;
    bool has_changed = take_in(s, &error);
    for (uint64_t now_ms = socket_now_ms(); !has_changed && now_ms < end_ms;
         now_ms = socket_now_ms()) {
        wait_for_more(s, end_ms - now_ms);
        has_changed = take_in(s, &error);
    }
    return has_changed;
}

/* ---- life --------------------------------------------------------------------------------- */

static bool is_whole(const struct coord_shards *s)
{
    for (int kind = 0; kind < SHARD_KINDS; kind++) {
        if (s->followers[kind].owner != NULL && !s->followers[kind].is_whole) {
            return false;
        }
    }
    return true;
}

static bool has_ended(const struct coord_shards *s)
{
    for (int kind = 0; kind < SHARD_KINDS; kind++) {
        if (s->followers[kind].owner != NULL && s->followers[kind].watch == NULL) {
            return true;
        }
    }
    return false;
}

static enum coord_code read_spec(struct coord_shards *s, struct coord_error *error)
{
    void *data;
    size_t bytes;
    enum coord_code code = coord_get(s->client, s->path, &data, &bytes, NULL, error);
    if (code != COORD_OK) {
        return code;
    }
    bool is_map = known_shards_spec(&s->map, data, bytes);
    free(data);
    return is_map ? COORD_OK
                  : client_fail(error, COORD_INVALID, "%.200s: is no shard map", s->path);
}

static enum coord_code open_all(struct coord_shards *s, struct coord_error *error)
{
    enum coord_code code = read_spec(s, error);
    for (int kind = 0; kind < SHARD_KINDS && code == COORD_OK; kind++) {
        bool is_wanted = kind == SHARD_MOVE_NODE ? s->options.moves
                         : kind == SHARD_KEY     ? s->map.strategy == COORD_SHARDS_DIRECTORY
                                                 : true;
        code = is_wanted ? follow(s, (enum shard_kind)kind, error) : COORD_OK;
    }
    if (code != COORD_OK) {
        return code;
    }
    uint64_t end_ms = socket_now_ms() + s->client->timeout_ms;
    struct coord_error trouble = {.code = COORD_TIMEOUT};
    (void)take_in(s, &trouble);
    for (uint64_t now_ms = socket_now_ms(); !is_whole(s) && !has_ended(s) && now_ms < end_ms;
         now_ms = socket_now_ms()) {
        wait_for_more(s, end_ms - now_ms);
        (void)take_in(s, &trouble);
    }
    if (is_whole(s)) {
        return COORD_OK;
    }
    return client_fail(error, has_ended(s) ? trouble.code : COORD_TIMEOUT,
                       "%.200s: the map could not be read: %.200s", s->path, trouble.message);
}

enum coord_code coord_shards_open(struct coord_client *client, const char *path,
                                  const struct coord_shards_options *options,
                                  struct coord_shards **shards, struct coord_error *error)
{
    if (strlen(path) >= PATH_BYTES) {
        return client_fail(error, COORD_INVALID, "a path of %zu bytes is too long",
                           strlen(path));
    }
    struct coord_shards *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return client_fail(error, COORD_NO_MEMORY, "out of memory for a shard map");
    }
    s->client = client;
    s->timer.fire = on_timer;
    s->options = options != NULL ? *options : (struct coord_shards_options){0};
    memcpy(s->path, path, strlen(path) + 1);
    client_hold(client);
    enum coord_code code = open_all(s, error);
    if (code == COORD_OK) {
        code = client_may_begin(client, error);
    }
    if (code == COORD_OK) {
        *shards = s;
        s->is_open = true;
        if (has_ended(s)) {
            begin_anew_later(s);
        }
        (void)client_fail(error, COORD_OK, "%s", "");
    } else {
        coord_shards_close(s);
    }
    client_let_go(client);
    return code;
}

void coord_shards_close(struct coord_shards *s)
{
    if (s == NULL) {
        return;
    }
    for (int kind = 0; kind < SHARD_KINDS; kind++) {
        coord_watch_close(s->followers[kind].watch);
    }
    loop_timer_stop(&s->client->loop, &s->timer);
    known_shards_close(&s->map);
    free(s);
}

static bool is_known_under(const struct coord_shards *s, uint32_t shard, uint64_t epoch)
{
    const struct coord_shard *known = known_shards_shard(&s->map, shard);
    return known != NULL && known->epoch >= epoch;
}

enum coord_code coord_shards_await(struct coord_shards *s, uint32_t shard, uint64_t epoch,
                                   uint32_t timeout_ms, struct coord_error *error)
{
    uint64_t end_ms = socket_now_ms() + timeout_ms;
    /* Inside a callback it may have arrived, and is not to be waited for. */
    if (s->client->depth > 0 && !is_known_under(s, shard, epoch)) {
        (void)coord_shards_update(s, 0);
    }
    for (;;) {
        const struct coord_shard *known = known_shards_shard(&s->map, shard);
        uint64_t now_ms = socket_now_ms();
        if (is_known_under(s, shard, epoch)) {
            return client_fail(error, COORD_OK, "%s", "");
        }
        if (now_ms >= end_ms) {
            return known == NULL
                       ? client_fail(error, COORD_NOT_FOUND, "%.200s: no shard %u", s->path,
                                     shard)
                       : client_fail(error, COORD_TIMEOUT,
                                     "%.200s: shard %u is not known under a newer epoch yet",
                                     s->path, shard);
        }
        enum coord_code code = async_may_wait(s->client, error);
        if (code != COORD_OK) {
            return code;
        }
        (void)coord_shards_update(s, (uint32_t)(end_ms - now_ms));
    }
}

/* ---- looking ------------------------------------------------------------------------------ */

enum coord_shard_strategy coord_shards_strategy(const struct coord_shards *s)
{
    return s->map.strategy;
}

const struct coord_shard *coord_shards_locate(struct coord_shards *s, const void *key,
                                              size_t bytes)
{
    return known_shards_locate(&s->map, key, bytes);
}

size_t coord_shards_count(const struct coord_shards *s)
{
    return s->map.tables[SHARD_OF_MAP].count;
}

const struct coord_shard *coord_shards_at(const struct coord_shards *s, size_t at)
{
    return &s->map.tables[SHARD_OF_MAP].at[at]->shard;
}

const struct coord_shard *coord_shards_find(const struct coord_shards *s, uint32_t number)
{
    return known_shards_shard(&s->map, number);
}

size_t coord_shards_node_count(const struct coord_shards *s)
{
    return s->map.tables[SHARD_NODE].count;
}

const struct coord_shard_node *coord_shards_node_at(const struct coord_shards *s, size_t at)
{
    return &s->map.tables[SHARD_NODE].at[at]->node;
}

const struct coord_shard_node *coord_shards_node(const struct coord_shards *s, const char *name)
{
    const struct shard_entry *e = known_shards_find(&s->map, SHARD_NODE, name);
    return e != NULL ? &e->node : NULL;
}

size_t coord_shards_move_count(const struct coord_shards *s)
{
    return s->map.tables[SHARD_MOVE_NODE].count;
}

const struct coord_move *coord_shards_move_at(const struct coord_shards *s, size_t at)
{
    return &s->map.tables[SHARD_MOVE_NODE].at[at]->move;
}

struct coord_guard coord_shard_guard(const struct coord_shard *shard)
{
    return coord_guard_held(shard->path, shard->epoch);
}
