/* elect leader, list, resign, hand-over, observe. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/observer.h"
#include "cmd/coordctl/hold.h"
#include "cmd/coordctl/locks.h"
#include "cmd/coordctl/outage.h"
#include "coord/v1/election.pb-c.h"

#define LOOK_MS 1000 /* while observing: so often it is looked whether anybody answers */

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

struct observing {
    struct ctl *ctl;
    struct coord_observer *observer;
    struct outage outage;
    bool is_over;
    int exit_code; /* then */
};

static void print_leader(const struct ctl *ctl, const struct coord_election_event *e)
{
    const struct coord_leader *l = e->leader;
    if (ctl_is_json(ctl)) {
        json_t *leader = l == NULL
                             ? json_null()
                             : json_pack("{s:o, s:o, s:I}", "name", text_json(l->name), "value",
                                         text_json(l->value), "epoch",
                                         (json_int_t)l->grant.epoch);
        ctl_print_one(ctl, json_pack("{s:s, s:I, s:o}", "election", ctl->lock_path, "revision",
                                     (json_int_t)e->revision, "leader", leader));
    } else if (l == NULL) {
        printf("%" PRIu64 " nobody leads\n", e->revision);
    } else {
        printf("%" PRIu64 " %s leads, epoch %" PRIu64 ": %s\n", e->revision,
               l->name[0] != '\0' ? l->name : "-", l->grant.epoch, l->value);
    }
    (void)fflush(stdout);
}

static void on_leader(void *context, struct coord_observer *observer,
                      const struct coord_election_event *e)
{
    struct observing *o = context;
    (void)observer;
    if (e->over != NULL) {
        o->is_over = true;
        o->exit_code = ctl_failed(o->ctl, e->over);
        return;
    }
    if (e->missed) {
        fprintf(stderr, "coordctl: elect observe %s: changes were missed, of which history does "
                        "not tell any more\n",
                o->ctl->lock_path);
    }
    print_leader(o->ctl, e);
}

/* Until a signal, or it is over. */
static int follow(struct observing *o, struct signals *signals)
{
    struct coord_client *client = o->ctl->client;
    int number = 0;
    while (number == 0 && !o->is_over) {
        uint64_t ms = coord_wait_ms(client);
        hold_turn(client, signals, ms < LOOK_MS ? (int)ms : LOOK_MS);
        outage_note(&o->outage, o->ctl, observer_trouble(o->observer));
        number = signals_take(signals);
    }
    return o->is_over ? o->exit_code : ctl_signal_exit(number);
}

int ctl_elect_observe(struct ctl *ctl)
{
    struct signals signals;
    struct observing o = {.ctl = ctl};
    struct coord_error error;
    int exit_code = locks_take(ctl, "/elections/");
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    if (!signals_open(&signals)) {
        return ctl_general(ctl, "signals cannot be waited for");
    }
    enum coord_code code = coord_election_observe(ctl->client, ctl->lock_path, on_leader, &o,
                                                  &o.observer, &error);
    exit_code = code == COORD_OK ? follow(&o, &signals) : ctl_failed(ctl, &error);
    coord_observer_close(o.observer);
    signals_close(&signals);
    return exit_code;
}
