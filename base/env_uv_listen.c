/* Listening and accepting, on sockets of our own that libuv only polls.
 *
 * Not uv_listen: when the process has no descriptor left it accepts and drops every connection
 * that waits, or calls back without end. Here they stay in the kernel's queue for a moment.
 *
 * A host name listens on each of its addresses (localhost is both 127.0.0.1 and ::1); one that
 * this machine does not have is passed over as long as another one works.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/env_uv_impl.h"
#include "base/mem.h"

#define LISTEN_BACKLOG 1024
#define LISTEN_ADDRESSES_MAX 8
/* Per socket and turn, so that a flood of connections leaves time for those that exist. */
#define LISTEN_ACCEPTS_PER_TURN 64

struct listen_socket {
    struct env_listener *listener;
    int fd;
    uv_poll_t poll;
};

struct env_listener {
    struct list all; /* env->listeners; first, so that the env can cast */
    struct env_uv *env;
    env_accept_fn accept;
    void *owner;
    uint16_t port;
    bool closed;
    bool exhausted; /* out of descriptors, and that is logged */
    uv_timer_t rest;
    size_t handles; /* that still owe their close callback */
    size_t count;
    struct listen_socket sockets[LISTEN_ADDRESSES_MAX];
};

static void listen_ready_cb(uv_poll_t *poll, int error, int events);

static void listener_start(struct env_listener *l)
{
    for (size_t i = 0; i < l->count; i++) {
        uv_poll_start(&l->sockets[i].poll, UV_READABLE, listen_ready_cb);
    }
}

static void listener_rested_cb(uv_timer_t *timer)
{
    listener_start(timer->data);
}

static void listener_rest(struct env_listener *l, int error)
{
    if (!l->exhausted) {
        l->exhausted = true;
        char text[128];
        char quoted[160];
        uv_strerror_r(uv_translate_sys_error(error), text, sizeof text);
        log_warn(l->env->log, "net.accept_paused", "port=%u error=%s", (unsigned)l->port,
                 log_quote(quoted, sizeof quoted, text));
    }
    for (size_t i = 0; i < l->count; i++) {
        uv_poll_stop(&l->sockets[i].poll);
    }
    uv_timer_start(&l->rest, listener_rested_cb, ENV_UV_ACCEPT_REST_MS, 0);
}

static void listen_ready_cb(uv_poll_t *poll, int error, int events)
{
    (void)error;
    (void)events;
    struct listen_socket *socket = poll->data;
    struct env_listener *l = socket->listener;
    for (int i = 0; i < LISTEN_ACCEPTS_PER_TURN && !l->closed; i++) {
        int fd = accept(socket->fd, NULL, NULL);
        if (fd < 0) {
            /* Most errors belong to a connection that broke while it waited: the next one may be
             * fine. Those of the process itself would come again at once. */
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                listener_rest(l, errno);
                return;
            }
            if (errno == EAGAIN || errno == EWOULDBLOCK) {
                return;
            }
            continue;
        }
        l->exhausted = false;
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
        struct env_stream *stream = env_uv_stream_accepted(l->env, fd);
        if (stream != NULL) {
            l->accept(l->owner, stream);
        }
    }
}

/* The port of a bound socket, in host order. */
static uint16_t socket_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
        return 0;
    }
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

static void address_set_port(struct addrinfo *a, uint16_t port)
{
    if (a->ai_family == AF_INET6) {
        ((struct sockaddr_in6 *)(void *)a->ai_addr)->sin6_port = htons(port);
    } else {
        ((struct sockaddr_in *)(void *)a->ai_addr)->sin_port = htons(port);
    }
}

/* Returns a listening descriptor, or -1 with errno set. */
static int socket_listen(const struct addrinfo *a)
{
    int fd = socket(a->ai_family, SOCK_STREAM, 0);
    if (fd < 0) {
        return -1;
    }
    int on = 1;
    int off = 0;
    bool ok = fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0 &&
              setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
    if (ok && a->ai_family == AF_INET6) {
        /* "::" serves both families; a host's own addresses are bound one by one anyway. */
        ok = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0;
    }
    if (ok && bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0) {
        return fd;
    }
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static bool error_means_no_such_address(int error)
{
    return error == EADDRNOTAVAIL || error == EAFNOSUPPORT;
}

/* A resolver may list an address twice, which cannot be bound twice. */
static bool address_repeats(const struct addrinfo *all, const struct addrinfo *a)
{
    for (; all != a; all = all->ai_next) {
        if (all->ai_addrlen == a->ai_addrlen &&
            memcmp(all->ai_addr, a->ai_addr, a->ai_addrlen) == 0) {
            return true;
        }
    }
    return false;
}

/* Opens a socket for each address. Returns 0 or the errno of the first failure that counts. */
static int listener_open_sockets(struct env_listener *l, struct addrinfo *addresses)
{
    int passed_over = EADDRNOTAVAIL;
    for (struct addrinfo *a = addresses; a != NULL && l->count < LISTEN_ADDRESSES_MAX;
         a = a->ai_next) {
        /* With port 0: all on the one that was picked for the first. */
        address_set_port(a, l->port);
        if (address_repeats(addresses, a)) {
            continue;
        }
        int fd = socket_listen(a);
        if (fd < 0 && error_means_no_such_address(errno)) {
            passed_over = errno;
            continue;
        }
        if (fd < 0) {
            return errno;
        }
        l->port = socket_port(fd);
        l->sockets[l->count++].fd = fd;
    }
    return l->count > 0 ? 0 : passed_over;
}

/* Hands the sockets to the loop. */
static int listener_attach(struct env_listener *l)
{
    uv_timer_init(l->env->loop, &l->rest);
    l->rest.data = l;
    l->handles = 1;
    for (size_t i = 0; i < l->count; i++) {
        struct listen_socket *socket = &l->sockets[i];
        socket->listener = l;
        int rc = uv_poll_init(l->env->loop, &socket->poll, socket->fd);
        if (rc < 0) {
            return rc;
        }
        socket->poll.data = socket;
        l->handles++;
    }
    return 0;
}

static void listener_handle_closed(struct env_listener *l)
{
    if (--l->handles == 0) {
        l->env->pending--;
        mem_free(l);
    }
}

static void listener_rest_closed_cb(uv_handle_t *handle)
{
    listener_handle_closed(handle->data);
}

static void listener_poll_closed_cb(uv_handle_t *handle)
{
    struct listen_socket *socket = handle->data;
    listener_handle_closed(socket->listener);
}

void env_uv_listener_close(struct env_listener *l)
{
    PRE(!l->closed);
    l->closed = true;
    list_remove(&l->all);
    size_t polls = l->handles - 1; /* fewer than sockets only when attaching failed */
    for (size_t i = 0; i < l->count; i++) {
        if (i < polls) {
            uv_close((uv_handle_t *)&l->sockets[i].poll, listener_poll_closed_cb);
        }
        close(l->sockets[i].fd);
    }
    uv_close((uv_handle_t *)&l->rest, listener_rest_closed_cb);
}

enum status env_uv_listen(struct env *env, const char *host, uint16_t port, env_accept_fn accept,
                          void *owner, struct env_listener **out, struct errmsg *err)
{
    struct addrinfo *addresses = NULL;
    int rc = env_uv_resolve(host, port, AI_PASSIVE, &addresses);
    if (rc != 0) {
        return errmsg_set(err, RC_INVALID, "listen on %s:%u: %s", host, (unsigned)port,
                          gai_strerror(rc));
    }
    struct env_listener *l = mem_zalloc(sizeof *l);
    l->env = env_uv_of(env);
    l->accept = accept;
    l->owner = owner;
    l->port = port;
    list_push_back(&l->env->listeners, &l->all);
    l->env->pending++;

    int error = uv_translate_sys_error(listener_open_sockets(l, addresses));
    freeaddrinfo(addresses);
    int attached = listener_attach(l);
    if (error == 0) {
        error = attached;
    }
    if (error != 0) {
        char text[128];
        uv_strerror_r(error, text, sizeof text);
        env_uv_listener_close(l);
        return errmsg_set(err, RC_IO, "listen on %s:%u: %s", host, (unsigned)port, text);
    }
    listener_start(l);
    *out = l;
    return RC_OK;
}

uint16_t env_uv_listener_port(struct env_listener *l)
{
    return l->port;
}
