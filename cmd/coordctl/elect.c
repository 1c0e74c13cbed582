/* elect leader, list, resign, hand-over, observe. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/client_internal.h"
#include "client/socket.h"
#include "client/stream.h"
#include "cmd/coordctl/hold.h"
#include "cmd/coordctl/locks.h"
#include "coord/v1/election.pb-c.h"

#define RETRY_MS   200
#define CONNECT_MS 2000

static json_t *text_json(const char *text)
{
    return ctl_json_bytes(text, strlen(text));
}

/* ---- leader ------------------------------------------------------------------------------ */

int ctl_elect_leader(struct ctl *ctl)
{
    const char *path = ctl->lock_path;
    struct coord_leader l;
    struct coord_error error;
    int exit_code = locks_take(ctl, "/elections/");
    if (exit_code == EXIT_DONE) {
        exit_code =
            ctl_check(ctl, coord_election_leader(ctl->client, path, &l, &error), &error);
    }
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    if (ctl_is_json(ctl)) {
        ctl_print_json(
            ctl, json_pack("{s:s, s:o, s:o, s:I, s:s, s:I, s:o, s:o, s:I}", "election", path,
                           "name", text_json(l.name), "value", text_json(l.value), "epoch",
                           (json_int_t)l.grant.epoch, "path", l.grant.path, "revision",
                           (json_int_t)l.grant.revision, "lease", ctl_json_hex(l.lease), "note",
                           text_json(l.note), "since_ms", (json_int_t)l.since_ms));
    } else {
        puts(l.value); /* what others ask for */
    }
    coord_leader_clear(&l);
    return EXIT_DONE;
}

/* ---- list, resign, hand-over ------------------------------------------------------------- */

/* Called for each candidate, until it returns true. */
typedef bool (*candidate_fn)(void *context, const Coord__V1__ElectionCandidate *c);

static int each_candidate(struct ctl *ctl, const char *path, candidate_fn fn, void *context)
{
    char after[CTL_PATH_BYTES] = "";
    bool goes_on = true;
    while (goes_on) {
        Coord__V1__ElectionListRequest request = COORD__V1__ELECTION_LIST_REQUEST__INIT;
        ProtobufCMessage *m;
        request.path = ctl_text(path);
        request.after = after;
        int exit_code = ctl_call(ctl, CLIENT_ELECTION_LIST, &request.base, NULL, &m);
        if (exit_code != EXIT_DONE) {
            return exit_code;
        }
        const Coord__V1__ElectionListReply *reply = (const Coord__V1__ElectionListReply *)m;
        goes_on = reply->next[0] != '\0';
        for (size_t i = 0; i < reply->n_candidates && reply->candidates[i]->entry != NULL;
             i++) {
            if (fn(context, reply->candidates[i])) {
                goes_on = false;
                break;
            }
        }
        snprintf(after, sizeof after, "%s", reply->next);
        client_reply_free(m);
    }
    return EXIT_DONE;
}

static bool add_json(void *context, const Coord__V1__ElectionCandidate *c)
{
    json_array_append_new(
        context,
        json_pack("{s:s, s:I, s:b, s:b, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:I, s:I}", "path",
                  c->entry->path, "revision", (json_int_t)c->entry->revision, "leads", c->leads,
                  "eligible", c->eligible, "name", text_json(c->name), "value",
                  text_json(c->value), "priority", (json_int_t)c->priority, "number",
                  (json_int_t)c->number, "label", text_json(c->label), "note",
                  text_json(c->note), "lease", ctl_json_hex(c->lease), "epoch",
                  (json_int_t)c->epoch, "since_ms", (json_int_t)c->since_ms));
    return false;
}

static bool print_candidate(void *context, const Coord__V1__ElectionCandidate *c)
{
    char since[40];
    (void)context;
    ctl_format_time(c->since_ms, since, sizeof since);
    printf("%-9s %-16s %-8" PRIu32 " %-21s %s@%" PRIu64 "  %s%s%s%s\n",
           c->leads      ? "leads"
           : c->eligible ? "waits"
                         : "ineligible",
           c->name[0] != '\0' ? c->name : "-", c->priority, since, c->entry->path,
           c->entry->revision, c->value, c->note[0] != '\0' ? "  (" : "", c->note,
           c->note[0] != '\0' ? ")" : "");
    return false;
}

int ctl_elect_list(struct ctl *ctl)
{
    const char *path = ctl->lock_path;
    int exit_code = locks_take(ctl, "/elections/");
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    if (ctl_is_json(ctl)) {
        json_t *list = json_array();
        exit_code = each_candidate(ctl, path, add_json, list);
        if (exit_code == EXIT_DONE) {
            ctl_print_json(ctl, list);
        } else {
            json_decref(list);
        }
        return exit_code;
    }
    printf("%-9s %-16s %-8s %-21s %s\n", "STATE", "NAME", "PRIORITY", "SINCE", "ENTRY, VALUE");
    return each_candidate(ctl, path, print_candidate, NULL);
}

struct wanted {
    const char *name; /* NULL: who leads */
    bool is_found;
    char path[CTL_PATH_BYTES];
    uint64_t revision;
};

static bool find(void *context, const Coord__V1__ElectionCandidate *c)
{
    struct wanted *w = context;
    w->is_found = w->name == NULL ? c->leads : strcmp(c->name, w->name) == 0;
    if (w->is_found) {
        snprintf(w->path, sizeof w->path, "%s", c->entry->path);
        w->revision = c->entry->revision;
    }
    return w->is_found;
}

int ctl_elect_resign(struct ctl *ctl)
{
    const char *path = ctl->lock_path;
    struct wanted wanted = {.name = ctl->word_count > 1 ? ctl->words[1] : NULL};
    int exit_code = locks_take(ctl, "/elections/");
    if (exit_code == EXIT_DONE) {
        exit_code = each_candidate(ctl, path, find, &wanted);
    }
    if (exit_code == EXIT_DONE && !wanted.is_found) {
        (void)ctl_general(ctl, "%s",
                          wanted.name == NULL ? "nobody leads" : "there is no such candidate");
        exit_code = EXIT_NOT_FOUND;
    }
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    Coord__V1__ElectionResignRequest request = COORD__V1__ELECTION_RESIGN_REQUEST__INIT;
    Coord__V1__LockGrant entry = COORD__V1__LOCK_GRANT__INIT;
    ProtobufCMessage *m = NULL;
    entry.path = wanted.path;
    entry.revision = wanted.revision;
    request.entry = &entry;
    exit_code = ctl_call(ctl, CLIENT_ELECTION_RESIGN, &request.base, NULL, &m);
    client_reply_free(m);
    return exit_code;
}

int ctl_elect_hand_over(struct ctl *ctl)
{
    const char *path = ctl->lock_path;
    struct coord_error error;
    int exit_code = locks_take(ctl, "/elections/");
    return exit_code != EXIT_DONE
               ? exit_code
               : ctl_check(ctl,
                           coord_election_hand_over(ctl->client, path, ctl->words[1], &error),
                           &error);
}

/* ---- observe ----------------------------------------------------------------------------- */

struct observer {
    struct ctl *ctl;
    const char *path;
    struct stream stream;
    size_t endpoint;
    uint64_t after_revision;
    bool is_over; /* for `error`; another endpoint would say the same */
    struct coord_error error;
};

static void print_leader(const struct observer *o, const Coord__V1__ElectionObserveReply *r)
{
    const Coord__V1__ElectionLeader *l = r->leader;
    if (ctl_is_json(o->ctl)) {
        json_t *line =
            json_pack("{s:s, s:I}", "election", o->path, "revision", (json_int_t)r->revision);
        json_object_set_new(line, "leader",
                            l == NULL ? json_null()
                                      : json_pack("{s:o, s:o, s:I}", "name", text_json(l->name),
                                                  "value", text_json(l->value), "epoch",
                                                  (json_int_t)l->epoch));
        json_dumpf(line, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(line);
    } else if (l == NULL) {
        printf("%" PRIu64 " nobody leads\n", r->revision);
    } else {
        printf("%" PRIu64 " %s leads, epoch %" PRIu64 ": %s\n", r->revision,
               l->name[0] != '\0' ? l->name : "-", l->epoch, l->value);
    }
    (void)fflush(stdout);
}

static void on_changed(struct stream *s)
{
    struct observer *o = LOOP_OF(s, struct observer, stream);
    while (stream_is_open(s)) {
        ProtobufCMessage *m;
        enum stream_result result = stream_next(s, &m, &o->error);
        if (result == STREAM_QUIET) {
            return;
        }
        if (result == STREAM_MESSAGE) {
            const Coord__V1__ElectionObserveReply *r =
                (const Coord__V1__ElectionObserveReply *)m;
            o->after_revision = r->revision;
            print_leader(o, r);
            client_reply_free(m);
            continue;
        }
        o->is_over = result != STREAM_LOST;
        o->endpoint++;
        stream_close(s);
    }
}

static void open_stream(struct observer *o)
{
    Coord__V1__ElectionObserveRequest request = COORD__V1__ELECTION_OBSERVE_REQUEST__INIT;
    request.path = ctl_text(o->path);
    request.after_revision = o->after_revision;
    stream_open(o->ctl->client, &o->stream,
                &(struct stream_options){.endpoint = o->endpoint,
                                         .method = CLIENT_ELECTION_OBSERVE,
                                         .request = &request.base,
                                         .is_last = true,
                                         .deadline_ms = socket_now_ms() + CONNECT_MS,
                                         .changed = on_changed});
}

int ctl_elect_observe(struct ctl *ctl)
{
    const char *path = ctl->lock_path;
    struct signals signals;
    struct observer o = {.ctl = ctl, .path = path};
    int number = 0;
    int exit_code = locks_take(ctl, "/elections/");
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    if (!signals_open(&signals)) {
        return ctl_general(ctl, "signals cannot be waited for");
    }
    open_stream(&o);
    while (number == 0 && !o.is_over) {
        uint64_t ms = coord_wait_ms(ctl->client);
        bool was_open = stream_is_open(&o.stream);
        hold_turn(ctl->client, &signals, was_open && ms < 1000 ? (int)ms : RETRY_MS);
        if (!was_open && !o.is_over) {
            open_stream(&o);
        }
        number = signals_take(&signals);
    }
    stream_close(&o.stream);
    signals_close(&signals);
    return number != 0 ? ctl_signal_exit(number) : ctl_failed(ctl, &o.error);
}
