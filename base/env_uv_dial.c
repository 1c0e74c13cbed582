/* Connecting: look the name up, then try one address after the other.
 *
 * A lookup that has begun cannot be stopped, and holds one of the few threads of libuv's pool until
 * no name server has answered for many seconds. So one that was left behind serves whoever asks for
 * the same name next: a name holds no more threads than it has streams.
 *
 * A TCP handle that failed to connect cannot be used again. So the next attempt begins in the
 * close callback of the failed one, which makes the handle anew.
 *
 * An address that does not answer is given up for the next one, if there is one, long before the
 * kernel does: whoever dials has less patience than that, and begins at the first one again.
 */
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/env_uv_stream.h"
#include "base/mem.h"

#define DIAL_SILENCE_MS 500 /* of an address that is not the last */

/* What only connecting needs. Outlives its stream while a lookup runs: that cannot be stopped. */
struct env_uv_dial {
    struct env_uv *env;
    struct env_stream *stream; /* NULL once the stream is gone */
    bool resolving;
    struct list link; /* among those left behind */
    char *host;       /* that is looked up; owned */
    uint16_t port;
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    struct addrinfo *addresses; /* owned */
    struct addrinfo *next;      /* to try if the present one fails */
    bool has_timer;
    uv_timer_t timer; /* of the present address */
};

static void dial_timer_closed_cb(uv_handle_t *handle)
{
    struct env_uv_dial *d = handle->data;
    d->env->pending--;
    mem_free(d);
}

static void dial_free(struct env_uv_dial *d)
{
    if (d->addresses != NULL) {
        freeaddrinfo(d->addresses);
    }
    mem_free(d->host);
    if (d->has_timer) {
        d->stream = NULL;
        uv_close((uv_handle_t *)&d->timer, dial_timer_closed_cb);
    } else {
        mem_free(d);
    }
}

void env_uv_dial_drop(struct env_stream *s)
{
    struct env_uv_dial *d = s->dial;
    s->dial = NULL;
    if (d == NULL) {
        return;
    }
    if (d->resolving) {
        d->stream = NULL; /* the lookup's callback frees it */
        if (uv_cancel((uv_req_t *)&d->resolve) != 0) {
            list_push_back(&d->env->lookups, &d->link);
        }
    } else {
        dial_free(d);
    }
}

static void dial_failed(struct env_stream *s, int error)
{
    if (s->dial->next == NULL) {
        env_uv_stream_end(s, env_uv_stream_status(error));
    } else {
        uv_close((uv_handle_t *)&s->tcp, env_uv_stream_closed_cb);
    }
}

static void dial_connected_cb(uv_connect_t *req, int error)
{
    struct env_stream *s = req->data;
    if (s->state != STREAM_CONNECTING || uv_is_closing((uv_handle_t *)&s->tcp)) {
        return; /* closed meanwhile, or given up for the next address; cancelled */
    }
    if (error < 0) {
        dial_failed(s, error);
    } else {
        env_uv_stream_opened(s);
    }
}

static void dial_silent_cb(uv_timer_t *timer)
{
    struct env_uv_dial *d = timer->data;
    struct env_stream *s = d->stream;
    if (s->state == STREAM_CONNECTING && !uv_is_closing((uv_handle_t *)&s->tcp)) {
        uv_close((uv_handle_t *)&s->tcp, env_uv_stream_closed_cb);
    }
}

/* If there is an address after this one. */
static void dial_limit_silence(struct env_uv_dial *d)
{
    if (d->next != NULL && !d->has_timer) {
        (void)uv_timer_init(d->env->loop, &d->timer);
        d->timer.data = d;
        d->has_timer = true;
        d->env->pending++;
    }
    if (d->next != NULL) {
        uv_update_time(d->env->loop);
        (void)uv_timer_start(&d->timer, dial_silent_cb, DIAL_SILENCE_MS, 0);
    } else if (d->has_timer) {
        (void)uv_timer_stop(&d->timer);
    }
}

void env_uv_dial_next(struct env_stream *s)
{
    struct env_uv_dial *d = s->dial;
    struct addrinfo *address = d->next;
    d->next = address->ai_next;
    dial_limit_silence(d);
    d->connect.data = s;
    int rc = uv_tcp_connect(&d->connect, &s->tcp, address->ai_addr, dial_connected_cb);
    if (rc < 0) {
        dial_failed(s, rc);
    }
}

static void dial_resolved_cb(uv_getaddrinfo_t *req, int error, struct addrinfo *addresses)
{
    struct env_uv_dial *d = req->data;
    d->resolving = false;
    list_remove(&d->link);
    d->env->pending--;
    d->addresses = addresses;
    d->next = addresses;
    if (d->stream == NULL) {
        dial_free(d);
    } else if (d->stream->state != STREAM_CONNECTING) {
        return; /* closed meanwhile; its close callback drops the dial */
    } else if (error < 0 || addresses == NULL) {
        env_uv_stream_end(d->stream, env_uv_stream_status(error < 0 ? error : UV_EAI_NODATA));
    } else {
        env_uv_dial_next(d->stream);
    }
}

/* Without the brackets that keep an IPv6 literal apart from its port. Owned. */
static char *bare_host(const char *host)
{
    size_t length = strlen(host);
    if (length < 2 || host[0] != '[' || host[length - 1] != ']') {
        return mem_strdup(host);
    }
    char *bare = mem_strdup(host + 1);
    bare[length - 2] = '\0';
    return bare;
}

int env_uv_resolve(const char *host, uint16_t port, int flags, struct addrinfo **out)
{
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = flags | AI_NUMERICSERV,
    };
    char *bare = bare_host(host);
    int rc = getaddrinfo(bare, service, &hints, out);
    mem_free(bare);
    return rc;
}

/* A name may take seconds to look up: that happens on libuv's pool. */
static void dial_resolve(struct env_uv_dial *d, const char *host, uint16_t port)
{
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    d->resolve.data = d;
    d->host = mem_strdup(host);
    d->port = port;
    int rc = uv_getaddrinfo(d->env->loop, &d->resolve, dial_resolved_cb, host, service, &hints);
    if (rc < 0) {
        env_uv_stream_end(d->stream, env_uv_stream_status(rc));
        return;
    }
    d->resolving = true;
    d->env->pending++;
}

/* A lookup of the same that goes on for nobody, or NULL. */
static struct env_uv_dial *left_behind(const struct env_uv *e, const char *host, uint16_t port)
{
    struct list *it;
    struct list *tmp;
    LIST_EACH (it, tmp, &e->lookups) {
        struct env_uv_dial *d = LIST_OF(it, struct env_uv_dial, link);
        if (d->port == port && strcmp(d->host, host) == 0) {
            return d;
        }
    }
    return NULL;
}

void env_uv_dial_start(struct env_stream *s, const char *host, uint16_t port)
{
    struct env_uv_dial *d = left_behind(s->env, host, port);
    if (d != NULL) {
        list_remove(&d->link);
        d->stream = s;
        s->dial = d;
        return;
    }
    d = mem_zalloc(sizeof *d);
    list_init(&d->link);
    d->env = s->env;
    d->stream = s;
    s->dial = d;
    if (env_uv_resolve(host, port, AI_NUMERICHOST, &d->addresses) == 0) {
        d->next = d->addresses;
        env_uv_dial_next(s);
    } else {
        dial_resolve(d, host, port);
    }
}
