#include "tests/faults/clients/worker.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/call.h"
#include "client/client_internal.h"
#include "client/convert.h"
#include "coord/v1/tree.pb-c.h"

#define MARGIN_MS 50 /* of trust in a session */

uint64_t worker_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

unsigned worker_random(struct worker *w, unsigned below)
{
    w->rng = w->rng * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((w->rng >> 33) % below);
}

void worker_value(struct worker *w, char value[WORKER_VALUE_BYTES])
{
    snprintf(value, WORKER_VALUE_BYTES, "%s.%" PRIu64, w->name, ++w->written);
}

bool worker_should_stop(const struct worker *w)
{
    return atomic_load(w->setup->stop);
}

void worker_think(struct worker *w, unsigned ms)
{
    uint64_t us = worker_random(w, ms * 1000);
    const struct timespec t = {.tv_sec = (time_t)(us / 1000000),
                               .tv_nsec = (long)(us % 1000000) * 1000};
    nanosleep(&t, NULL);
}

const char *result_word(enum coord_code code)
{
    switch (code) {
    case COORD_OK: return "ok";
    case COORD_NOT_FOUND: return "not_found";
    case COORD_EXISTS: return "exists";
    case COORD_BAD_VERSION: return "bad_version";
    case COORD_NOT_EMPTY: return "not_empty";
    case COORD_REFUSED: return "refused";
    case COORD_SESSION_ENDED: return "ended";
    case COORD_UNKNOWN:
    case COORD_NO_MEMORY:
    case COORD_INTERNAL: return "unknown";
    default: return "failed";
    }
}

void worker_write_op(struct worker *w, const char *kind, const char *path, const char *arg,
                     int64_t expect, const struct result *r)
{
    bool is_ok = r->code == COORD_OK;
    fprintf(w->history,
            "op %s %s %s %" PRId64 " %" PRIu64 " %" PRIu64 " %s %" PRIu64 " %s %" PRIu64
            " %" PRIu32 "\n",
            kind, path, arg, expect, r->begin_us, r->end_us, result_word(r->code),
            is_ok ? r->revision : 0, is_ok && r->data[0] != '\0' ? r->data : "-",
            is_ok ? r->stat.modify_revision : 0, is_ok ? r->stat.version : 0);
    if (r->code != COORD_OK) {
        fprintf(w->history, "# %s\n", r->error.message);
    }
}

static void begin(struct result *r)
{
    memset(r, 0, sizeof *r);
    r->begin_us = worker_now_us();
}

static void end(struct worker *w, struct result *r, enum coord_code code)
{
    r->end_us = worker_now_us();
    r->code = code;
    r->revision = coord_revision(w->client);
}

/* By the reply's own revision: coord_revision() is the highest that any reply told, and the client
 * may have asked something else by itself. */
static struct result get(struct worker *w, const char *path, const char *kind)
{
    struct result r;
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__GetRequest request = COORD__V1__GET_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    request.header = &header;
    request.path = convert_text(path);
    begin(&r);
    end(w, &r, client_call(w->client, CLIENT_GET, &request.base, &header, &m, &r.error));
    if (r.code == COORD_OK) {
        const Coord__V1__GetReply *reply = (const Coord__V1__GetReply *)m;
        r.revision = reply->header->revision;
        snprintf(r.data, sizeof r.data, "%.*s", (int)reply->data.len,
                 (const char *)reply->data.data);
        convert_stat(reply->stat, &r.stat);
        client_reply_free(m);
    }
    worker_write_op(w, kind, path, "-", -1, &r);
    return r;
}

struct result worker_get(struct worker *w, const char *path)
{
    return get(w, path, "get");
}

struct result worker_get_session(struct worker *w, const char *path)
{
    w->client->consistency = COORD_SESSION;
    struct result r = get(w, path, "sget");
    w->client->consistency = COORD_LINEARIZABLE;
    return r;
}

struct result worker_set(struct worker *w, const char *path, const char *value, int64_t expect)
{
    struct result r;
    begin(&r);
    end(w, &r, coord_set(w->client, path, value, strlen(value), expect, &r.stat, &r.error));
    worker_write_op(w, "set", path, value, expect, &r);
    return r;
}

struct result worker_create(struct worker *w, const char *path, const char *value)
{
    struct result r;
    begin(&r);
    end(w, &r, coord_create(w->client, path, value, strlen(value), 0, NULL, &r.stat, &r.error));
    worker_write_op(w, "create", path, value, -1, &r);
    return r;
}

struct result worker_delete(struct worker *w, const char *path, int64_t expect)
{
    struct result r;
    begin(&r);
    end(w, &r, coord_delete(w->client, path, expect, false, NULL, &r.error));
    worker_write_op(w, "delete", path, "-", expect, &r);
    return r;
}

/* ---- sessions and values ------------------------------------------------------------------ */

bool worker_is_trusted(const struct worker *w)
{
    return coord_session_trusted_ms(w->client) > MARGIN_MS;
}

bool worker_stay_alive(struct worker *w, uint64_t ttl_ms)
{
    struct coord_error error;
    struct coord_session info;
    if (!coord_session_info(w->client, &info)) {
        return coord_session_open(w->client, ttl_ms, w->name, &error) == COORD_OK;
    }
    if (coord_session_due_ms(w->client) == 0) {
        enum coord_code code = coord_session_keepalive(w->client, &error);
        if (code == COORD_SESSION_ENDED) {
            coord_session_detach(w->client);
            return false;
        }
    }
    return worker_is_trusted(w);
}

void worker_put_value(FILE *file, const void *data, size_t bytes)
{
    const unsigned char *text = data;
    for (size_t i = 0; i < bytes; i++) {
        (void)fputc(text[i] <= ' ' ? ',' : text[i], file);
    }
    if (bytes == 0) {
        (void)fputc('-', file);
    }
}
