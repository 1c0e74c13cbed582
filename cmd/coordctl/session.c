/* Sessions: open, list, keepalive, close; and `create --ephemeral`, which lives in one. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/coordctl/leases.h"
#include "cmd/coordctl/session.h"
#include "cmd/coordctl/values.h"

/* ---- which session ---------------------------------------------------------------------- */

/* Messages are about its id: the secret is not to be seen in logs. */
static void be_about_session(struct ctl *ctl, char text[20])
{
    snprintf(text, 20, "%016" PRIx64, ctl->session.id);
    ctl->subject = text;
}

/* The session of the command line: a word, --session or COORD_SESSION. */
static int take_session(struct ctl *ctl)
{
    if (ctl->word_count > 0) {
        ctl->has_session = value_parse_session(ctl->words[0], &ctl->session);
        if (!ctl->has_session) {
            return ctl_usage("%s: ID:SECRET is what session open printed", ctl->command->name);
        }
    }
    return ctl->has_session ? EXIT_DONE : ctl_usage("usage: coordctl %s", ctl->command->usage);
}

int session_attach(struct ctl *ctl)
{
    if (!ctl->has_session) {
        return EXIT_DONE;
    }
    struct coord_error error;
    enum coord_code code =
        coord_session_attach(ctl->client, ctl->session.id, ctl->session.secret, &error);
    if (code != COORD_OK) {
        char message[sizeof error.message];
        snprintf(message, sizeof message, "session %016" PRIx64 ": %s", ctl->session.id,
                 error.message);
        memcpy(error.message, message, sizeof message);
    }
    return ctl_check(ctl, code, &error);
}

/* ---- keeping one alive ------------------------------------------------------------------ */

int session_hold(struct ctl *ctl, struct signals *signals, int *number)
{
    *number = 0;
    for (;;) {
        struct coord_error error;
        *number = signals_wait(signals, -1, coord_session_due_ms(ctl->client));
        if (*number != 0) {
            return EXIT_DONE;
        }
        if (coord_session_due_ms(ctl->client) > 0) {
            continue;
        }
        enum coord_code code = coord_session_keepalive(ctl->client, &error);
        bool is_unconfirmed =
            code == COORD_TIMEOUT || code == COORD_UNAVAILABLE || code == COORD_NO_MEMORY;
        if (code == COORD_OK || (is_unconfirmed && coord_session_trusted_ms(ctl->client) > 0)) {
            continue;
        }
        if (is_unconfirmed) {
            char message[sizeof error.message];
            snprintf(message, sizeof message, "the session may have ended: %s", error.message);
            memcpy(error.message, message, sizeof message);
        }
        return ctl_failed(ctl, &error);
    }
}

static int close_session(struct ctl *ctl, uint64_t *removed)
{
    struct coord_error error;
    return ctl_check(ctl, coord_session_close(ctl->client, removed, &error), &error);
}

/* ---- create --ephemeral ----------------------------------------------------------------- */

/* The session is open and signals wait. */
static int create_and_hold(struct ctl *ctl, struct signals *signals, session_create_fn create)
{
    int number;
    ctl->signals = signals;
    int exit_code = create(ctl);
    ctl->signals = NULL;
    (void)fflush(stdout);
    if (exit_code == EXIT_DONE && ctl->program == NULL) {
        exit_code = session_hold(ctl, signals, &number);
    }
    struct coord_session info;
    bool is_open =
        coord_session_info(ctl->client, &info) && coord_session_trusted_ms(ctl->client) > 0;
    if (!is_open) {
        return exit_code;
    }
    int closed = close_session(ctl, NULL);
    return exit_code != EXIT_DONE ? exit_code : closed;
}

int session_foreground(struct ctl *ctl, session_create_fn create)
{
    struct coord_error error;
    struct signals signals;
    /* Until it is open a signal ends the program as usual: there is nothing to be undone. */
    enum coord_code code =
        coord_session_open(ctl->client, ctl->session_ttl_ms, ctl->owner, &error);
    if (code != COORD_OK) {
        return ctl_failed(ctl, &error);
    }
    /* A program is to get all that can be handed on to it. */
    if (!(ctl->program != NULL ? signals_open_all(&signals) : signals_open(&signals))) {
        (void)close_session(ctl, NULL);
        return ctl_general(ctl, "signals cannot be waited for");
    }
    int exit_code = create_and_hold(ctl, &signals, create);
    signals_close(&signals);
    return exit_code;
}

/* ---- the verbs -------------------------------------------------------------------------- */

int ctl_session_open(struct ctl *ctl)
{
    char text[VALUE_SESSION_TEXT_BYTES];
    struct coord_session info;
    struct coord_error error;
    enum coord_code code = coord_session_open(ctl->client, ctl->ttl_ms, ctl->owner, &error);
    if (code != COORD_OK || !coord_session_info(ctl->client, &info)) {
        return ctl_failed(ctl, &error);
    }
    value_format_session(&info, text);
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl,
                       json_pack("{s:s, s:o, s:I}", "session", text, "id",
                                 ctl_json_hex(info.id), "ttl_ms", (json_int_t)info.ttl_ms));
    } else {
        puts(text);
    }
    coord_session_detach(ctl->client);
    return EXIT_DONE;
}

int ctl_session_list(struct ctl *ctl)
{
    return leases_list(ctl, true);
}

/* To the session that the command names, for messages in `subject`. */
static int attach(struct ctl *ctl, char subject[20])
{
    struct coord_error error;
    int exit_code = take_session(ctl);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    be_about_session(ctl, subject);
    return ctl_check(
        ctl, coord_session_attach(ctl->client, ctl->session.id, ctl->session.secret, &error),
        &error);
}

int ctl_session_keepalive(struct ctl *ctl)
{
    char subject[20];
    struct signals signals;
    int number;
    int exit_code = attach(ctl, subject);
    if (exit_code != EXIT_DONE || ctl->once) {
        return exit_code;
    }
    if (!signals_open(&signals)) {
        return ctl_general(ctl, "signals cannot be waited for");
    }
    exit_code = session_hold(ctl, &signals, &number);
    signals_close(&signals);
    return exit_code;
}

int ctl_session_close(struct ctl *ctl)
{
    char subject[20];
    uint64_t removed = 0;
    int exit_code = attach(ctl, subject);
    if (exit_code == EXIT_DONE) {
        exit_code = close_session(ctl, &removed);
    }
    if (exit_code == EXIT_DONE) {
        leases_print_removed(ctl, removed);
    }
    return exit_code;
}
