#include "cmd/coordctl/hold.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/socket.h"
#include "cmd/coordctl/session.h"

#define WANTS_MAX   64
#define CLOSE_MS    2000 /* for the session's end, which otherwise comes with its TTL */
#define GRACE_SHARE 10 /* of the TTL, between SIGTERM and SIGKILL: before it is granted again */
#define GRACE_MS    100 /* at least */
#define TTL_MS      10000

/* ---- its end ----------------------------------------------------------------------------- */

static void on_closed(void *context, const struct coord_result *result)
{
    struct hold *h = context;
    (void)result; /* otherwise it expires */
    h->state = HOLD_ENDED;
}

/* `exit_code` is the program's, or why it ends. */
static void end(struct hold *h, int exit_code)
{
    struct coord_session session;
    struct coord_error error;
    if (h->state >= HOLD_CLOSING) {
        return;
    }
    h->exit_code = exit_code;
    h->state = HOLD_CLOSING;
    h->until_ms = socket_now_ms() + CLOSE_MS;
    h->ops->clear(h, h->is_attached);
    if (h->is_attached) {
        return; /* until all is given back: see turn */
    }
    bool is_open = coord_session_info(h->ctl->client, &session);
    if (!is_open ||
        coord_session_close_async(h->ctl->client, on_closed, h, NULL, &error) != COORD_OK) {
        h->state = HOLD_ENDED;
    }
}

void hold_failed(struct hold *h, const struct coord_error *error)
{
    if (h->state < HOLD_CLOSING) {
        end(h, ctl_failed(h->ctl, error));
    }
}

void hold_lost(struct hold *h, const struct coord_error *why)
{
    if (h->state != HOLD_HOLDING || (h->has_child && h->child.is_ending)) {
        return;
    }
    int exit_code = ctl_failed(h->ctl, why);
    if (h->has_child) {
        uint64_t grace_ms = h->ttl_ms / GRACE_SHARE;
        h->exit_code = exit_code;
        child_end(&h->child, grace_ms > GRACE_MS ? grace_ms : GRACE_MS);
    } else {
        end(h, exit_code);
    }
}

/* ---- its course -------------------------------------------------------------------------- */

static void begin_to_ask(struct hold *h)
{
    struct coord_session session;
    if (coord_session_info(h->ctl->client, &session)) {
        h->ttl_ms = session.ttl_ms;
    }
    h->state = HOLD_ASKING;
    h->ops->ask(h);
}

static void on_opened(void *context, const struct coord_result *result)
{
    struct hold *h = context;
    if (h->state != HOLD_OPENING) {
        return;
    }
    if (result->code != COORD_OK) {
        hold_failed(h, result->error);
    } else {
        begin_to_ask(h);
    }
}

void hold_begin(struct hold *h)
{
    if (h->state != HOLD_ASKING) {
        return;
    }
    h->state = HOLD_HOLDING;
    h->ops->held(h);
    (void)fflush(stdout);
    if (h->ctl->program != NULL) {
        int exit_code = child_start(&h->child, h->ctl, &h->signals);
        h->has_child = exit_code == EXIT_DONE;
        if (!h->has_child) {
            end(h, exit_code);
        }
    }
}

/* One that asks to end, or is for the program. */
static void take_signal(struct hold *h, int number)
{
    if (number == SIGCONT) {
        child_foreground(&h->child);
    } else if (h->has_child) {
        child_signal(&h->child, number);
    } else if (h->state == HOLD_CLOSING) {
        h->state = HOLD_ENDED;
    } else {
        /* Who only held it was meant to be ended so. */
        end(h, h->state == HOLD_HOLDING ? EXIT_DONE : ctl_signal_exit(number));
    }
}

/* Nothing was kept alive while we were suspended with it. If that was too long somebody else may
 * hold it by now, and there is no time left in which the program could end by itself. */
static void go_on(struct hold *h)
{
    if (coord_session_trusted_ms(h->ctl->client) > 0) {
        child_go_on(&h->child);
        return;
    }
    const struct coord_error why = {
        .code = COORD_TIMEOUT,
        .grpc_status = -1,
        .message = "may be lost: no keepalive was confirmed while it was suspended"};
    h->exit_code = ctl_failed(h->ctl, &why);
    child_end(&h->child, 0);
}

static void look_at_child(struct hold *h)
{
    int exit_code;
    bool was_ending = h->child.is_ending;
    if (h->has_child && child_has_ended(&h->child, &exit_code)) {
        h->has_child = false;
        end(h, was_ending ? h->exit_code : exit_code);
    }
    if (h->has_child && h->child.is_suspended) {
        go_on(h);
    }
}

static int timeout_ms(const struct hold *h)
{
    uint64_t ms = coord_wait_ms(h->ctl->client);
    uint64_t child_ms = h->has_child ? child_wait_ms(&h->child) : UINT64_MAX;
    uint64_t now = socket_now_ms();
    ms = child_ms < ms ? child_ms : ms;
    if (h->state == HOLD_CLOSING) {
        uint64_t left = h->until_ms > now ? h->until_ms - now : 0;
        ms = left < ms ? left : ms;
    }
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

void hold_turn(struct coord_client *client, struct signals *signals, int timeout)
{
    struct coord_want wants[WANTS_MAX];
    struct pollfd fds[WANTS_MAX + 1];
    size_t count = coord_wants(client, wants, WANTS_MAX);
    count = count < WANTS_MAX ? count : WANTS_MAX;
    for (size_t i = 0; i < count; i++) {
        bool reads = (wants[i].events & COORD_READABLE) != 0;
        bool writes = (wants[i].events & COORD_WRITABLE) != 0;
        fds[i] =
            (struct pollfd){.fd = wants[i].fd,
                            .events = (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0))};
    }
    fds[count] = (struct pollfd){.fd = signals->fd, .events = POLLIN};
    (void)poll(fds, count + 1, timeout);
    for (size_t i = 0; i < count; i++) {
        if (fds[i].revents != 0) {
            coord_ready(client, fds[i].fd);
        }
    }
    coord_due(client);
}

/* One round of the loop. */
static void turn(struct hold *h)
{
    struct coord_client *client = h->ctl->client;
    hold_turn(client, &h->signals, timeout_ms(h));
    int number = signals_take(&h->signals);
    if (number != 0) {
        take_signal(h, number);
    }
    look_at_child(h);
    child_tick(&h->child);
    bool is_done = h->is_attached && !client_is_busy(client);
    if (h->state == HOLD_CLOSING && (is_done || socket_now_ms() >= h->until_ms)) {
        h->state = HOLD_ENDED;
    }
}

/* The session of the command line, or a new one. Until then there is nothing to be undone. */
static int begin(struct hold *h)
{
    struct coord_error error;
    struct ctl *ctl = h->ctl;
    uint64_t ttl_ms = ctl->session_ttl_ms != 0 ? ctl->session_ttl_ms : TTL_MS;
    int exit_code = session_attach(ctl);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    if (!signals_open_all(&h->signals)) {
        return ctl_general(ctl, "signals cannot be waited for");
    }
    h->is_attached = ctl->has_session;
    if (h->is_attached) {
        begin_to_ask(h);
        return EXIT_DONE;
    }
    return ctl_check(
        ctl,
        coord_session_open_async(ctl->client, ttl_ms, ctl->owner, on_opened, h, NULL, &error),
        &error);
}

int hold_run(struct hold *h)
{
    int exit_code = begin(h);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    while (h->state != HOLD_ENDED) {
        turn(h);
    }
    h->ops->clear(h, false);
    signals_close(&h->signals);
    return h->exit_code;
}
