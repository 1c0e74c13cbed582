/* config rollout: start, status, promote, finish, rollback, pause, resume, list; effective; and
 * watch --effective. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/streams.h"
#include "cmd/coordctl/config.h"
#include "cmd/coordctl/signals.h"

#define PARTS_MAX    64
#define HEALTH_BYTES 256
#define RUN_MS       500

/* "a,b,c" cut into its parts, in memory of its own behind the pointers. */
struct parts {
    char *texts[PARTS_MAX];
    size_t count;
    char *copy;
};

static bool parts_read(struct parts *p, const char *list)
{
    char *at;
    *p = (struct parts){.count = 0};
    if (list == NULL) {
        return true;
    }
    p->copy = strdup(list);
    for (at = p->copy; at != NULL && p->count < PARTS_MAX;) {
        char *comma = strchr(at, ',');
        p->texts[p->count++] = at;
        at = comma == NULL ? NULL : comma + 1;
        if (comma != NULL) {
            *comma = '\0';
        }
    }
    return p->copy != NULL && at == NULL;
}

/* ---- output ----------------------------------------------------------------------------- */

static const char *state_name(Coord__V1__RolloutState state)
{
    static const char *const names[] = {"none", "planning", "in progress", "completed",
                                        "rolled back"};
    int number = (int)state;
    return number >= 0 && number < 5 ? names[number] : "unknown";
}

static const char *strategy_name(Coord__V1__RolloutStrategy strategy)
{
    static const char *const names[] = {"none", "canary", "blue-green", "progressive"};
    int number = (int)strategy;
    return number >= 0 && number < 4 ? names[number] : "unknown";
}

static json_t *rollout_json(const Coord__V1__ConfigRollout *r)
{
    json_t *percents = json_array();
    for (size_t i = 0; i < r->n_percents; i++) {
        json_array_append_new(percents, json_integer(r->percents[i]));
    }
    return json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:b, s:I, s:s, s:s, s:s, s:I, s:s, s:I}",
                     "key", r->path, "strategy", strategy_name(r->strategy), "state",
                     state_name(r->state), "percents", percents, "step", (json_int_t)r->step,
                     "percent", (json_int_t)r->percent, "paused", r->paused != 0, "left_ms",
                     (json_int_t)r->left_ms, "gate", r->gate, "gate_service", r->gate_service,
                     "gate_tag", r->gate_tag, "gate_percent", (json_int_t)r->gate_percent,
                     "why", r->why, "revision", (json_int_t)r->revision);
}

static void print_rollout(const Coord__V1__ConfigRollout *r)
{
    printf("%s  %s  %s", r->path, strategy_name(r->strategy), state_name(r->state));
    if (r->state == COORD__V1__ROLLOUT_STATE__ROLLOUT_IN_PROGRESS) {
        printf(" %" PRIu32 "%%, step %" PRIu32 " of %zu", r->percent, r->step + 1,
               r->n_percents);
    }
    printf("%s%s%s\n", r->paused ? ", paused" : "", r->why[0] != '\0' ? ": " : "", r->why);
}

/* A call that answers with the rollout. `state` is what has become of it. */
static int call_and_show(struct ctl *ctl, enum client_method method, ProtobufCMessage *request,
                         Coord__V1__RequestHeader *header, Coord__V1__RolloutState *state)
{
    ProtobufCMessage *m = NULL;
    int exit_code = ctl_call(ctl, method, request, header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__ConfigRollout *r = ((const Coord__V1__ConfigRolloutReply *)m)->rollout;
    *state = r->state;
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, rollout_json(r));
    } else {
        print_rollout(r);
    }
    client_reply_free(m);
    return EXIT_DONE;
}

/* What was asked for has not happened if that made the cluster go back instead: the key was
 * changed meanwhile, or a gate says no. */
static int call_and_judge(struct ctl *ctl, enum client_method method, ProtobufCMessage *request,
                          Coord__V1__RequestHeader *header)
{
    Coord__V1__RolloutState state;
    int exit_code = call_and_show(ctl, method, request, header, &state);
    bool went_back =
        exit_code == EXIT_DONE && state == COORD__V1__ROLLOUT_STATE__ROLLOUT_ROLLED_BACK;
    return went_back ? EXIT_GENERAL : exit_code;
}

/* ---- the verbs -------------------------------------------------------------------------- */

static int send_start(struct ctl *ctl, Coord__V1__ConfigStartRolloutRequest *request)
{
    uint32_t percents[PARTS_MAX];
    struct parts steps;
    struct parts labels;
    struct parts ids;
    bool ok = parts_read(&steps, ctl->percents);
    ok = parts_read(&labels, ctl->labels) && ok;
    ok = parts_read(&ids, ctl->ids) && ok;
    for (size_t i = 0; i < steps.count; i++) {
        percents[i] = (uint32_t)strtoul(steps.texts[i], NULL, 10);
    }
    request->percents = percents;
    request->n_percents = steps.count;
    request->labels = labels.texts;
    request->n_labels = labels.count;
    request->ids = ids.texts;
    request->n_ids = ids.count;
    int exit_code =
        ok ? call_and_judge(ctl, CLIENT_CONFIG_START_ROLLOUT, &request->base, request->header)
           : ctl_usage("config rollout start: at most %d parts in a list", PARTS_MAX);
    free(steps.copy);
    free(labels.copy);
    free(ids.copy);
    return exit_code;
}

/* "SERVICE[/TAG]=PERCENT", cut in `text`, which the request points into. False: it is not that. */
static bool health_read(const char *health, char text[HEALTH_BYTES],
                        Coord__V1__ConfigStartRolloutRequest *request)
{
    char *end;
    (void)snprintf(text, HEALTH_BYTES, "%s", health);
    char *percent = strchr(text, '=');
    char *tag = strchr(text, '/');
    if (strlen(health) >= HEALTH_BYTES || percent == NULL || (tag != NULL && tag > percent)) {
        return false;
    }
    *percent++ = '\0';
    unsigned long number = strtoul(percent, &end, 10);
    if (tag != NULL) {
        *tag++ = '\0';
        request->gate_tag = tag;
    }
    request->gate_service = text;
    request->gate_percent = (uint32_t)number;
    return *end == '\0' && number >= 1 && number <= 100 && text[0] != '\0';
}

static int rollout_start(struct ctl *ctl)
{
    struct buf value = {0};
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ConfigStartRolloutRequest request =
        COORD__V1__CONFIG_START_ROLLOUT_REQUEST__INIT;
    const char *strategy = ctl->strategy != NULL ? ctl->strategy : "progressive";
    const char *gate_value = ctl->gate == NULL ? NULL : strrchr(ctl->gate, '=');
    char gate[4097] = "";
    char health[HEALTH_BYTES];
    if (ctl->word_count != 3) {
        return ctl_usage("config rollout: usage: coordctl config rollout start KEY VALUE");
    }
    if (ctl->gate != NULL && (gate_value == NULL || (size_t)(gate_value - ctl->gate) > 4096)) {
        return ctl_usage("config rollout start: --gate takes PATH=VALUE");
    }
    if (ctl->gate_health != NULL && !health_read(ctl->gate_health, health, &request)) {
        return ctl_usage(
            "config rollout start: --gate-health takes SERVICE[/TAG]=N, N from 1 to "
            "100");
    }
    int exit_code = ctl_read_data(ctl, ctl->words[2], &value);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    if (gate_value != NULL) {
        memcpy(gate, ctl->gate, (size_t)(gate_value - ctl->gate));
        request.gate = gate;
        request.gate_value.data = (uint8_t *)ctl_text(gate_value + 1);
        request.gate_value.len = strlen(gate_value + 1);
    }
    request.header = &header;
    request.path = ctl_text(ctl->words[1]);
    request.value = (ProtobufCBinaryData){.data = value.data, .len = value.size};
    request.strategy = strcmp(strategy, "canary") == 0
                           ? COORD__V1__ROLLOUT_STRATEGY__ROLLOUT_CANARY
                       : strcmp(strategy, "blue-green") == 0
                           ? COORD__V1__ROLLOUT_STRATEGY__ROLLOUT_BLUE_GREEN
                           : COORD__V1__ROLLOUT_STRATEGY__ROLLOUT_PROGRESSIVE;
    request.step_ms = ctl->step_ms;
    request.plan = ctl->plan;
    exit_code = send_start(ctl, &request);
    buf_close(&value);
    return exit_code;
}

static int rollout_change(struct ctl *ctl, Coord__V1__RolloutAction action)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ConfigChangeRolloutRequest request =
        COORD__V1__CONFIG_CHANGE_ROLLOUT_REQUEST__INIT;
    request.header = &header;
    request.path = ctl_text(ctl->words[1]);
    request.action = action;
    Coord__V1__RolloutState state;
    return action == COORD__V1__ROLLOUT_ACTION__ROLLOUT_ROLL_BACK
               ? call_and_show(ctl, CLIENT_CONFIG_CHANGE_ROLLOUT, &request.base, &header, &state)
               : call_and_judge(ctl, CLIENT_CONFIG_CHANGE_ROLLOUT, &request.base, &header);
}

static int rollout_status(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ConfigGetRolloutRequest request = COORD__V1__CONFIG_GET_ROLLOUT_REQUEST__INIT;
    request.header = &header;
    request.path = ctl_text(ctl->words[1]);
    Coord__V1__RolloutState state;
    return call_and_show(ctl, CLIENT_CONFIG_GET_ROLLOUT, &request.base, &header, &state);
}

static int rollout_list(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ConfigListRolloutsRequest request =
        COORD__V1__CONFIG_LIST_ROLLOUTS_REQUEST__INIT;
    ProtobufCMessage *m;
    request.header = &header;
    request.path = ctl_text(ctl->words[1]);
    int exit_code = ctl_call(ctl, CLIENT_CONFIG_LIST_ROLLOUTS, &request.base, &header, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__ConfigListRolloutsReply *reply =
        (const Coord__V1__ConfigListRolloutsReply *)m;
    json_t *array = ctl_is_json(ctl) ? json_array() : NULL;
    for (size_t i = 0; i < reply->n_rollouts; i++) {
        if (array != NULL) {
            json_array_append_new(array, rollout_json(reply->rollouts[i]));
        } else {
            print_rollout(reply->rollouts[i]);
        }
    }
    if (array != NULL) {
        ctl_print_json(ctl, array);
    }
    client_reply_free(m);
    return EXIT_DONE;
}

int ctl_config_rollout(struct ctl *ctl)
{
    static const struct {
        const char *name;
        Coord__V1__RolloutAction action;
    } actions[] = {
        {"promote", COORD__V1__ROLLOUT_ACTION__ROLLOUT_PROMOTE},
        {"finish", COORD__V1__ROLLOUT_ACTION__ROLLOUT_FINISH},
        {"rollback", COORD__V1__ROLLOUT_ACTION__ROLLOUT_ROLL_BACK},
        {"pause", COORD__V1__ROLLOUT_ACTION__ROLLOUT_PAUSE},
        {"resume", COORD__V1__ROLLOUT_ACTION__ROLLOUT_RESUME},
    };
    const char *verb = ctl->words[0];
    ctl->subject = ctl->words[1];
    if (strcmp(verb, "start") == 0) {
        return rollout_start(ctl);
    }
    if (ctl->word_count == 2 && strcmp(verb, "status") == 0) {
        return rollout_status(ctl);
    }
    if (ctl->word_count == 2 && strcmp(verb, "list") == 0) {
        return rollout_list(ctl);
    }
    for (size_t i = 0; ctl->word_count == 2 && i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(verb, actions[i].name) == 0) {
            return rollout_change(ctl, actions[i].action);
        }
    }
    return ctl_usage("config rollout: start KEY VALUE; or status, promote, finish, rollback, "
                     "pause, resume, list, and a KEY");
}

/* ---- effective -------------------------------------------------------------------------- */

static json_t *value_json(const char *key, const void *value, size_t bytes, bool rollout)
{
    return json_pack("{s:s, s:o, s:b}", "key", key, "value", ctl_json_bytes(value, bytes),
                     "rollout", rollout);
}

static void print_value(const struct ctl *ctl, const void *value, size_t bytes)
{
    fwrite(value, 1, bytes, stdout);
    if (ctl->output != OUTPUT_RAW) {
        putchar('\n');
    }
}

int ctl_config_effective(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ConfigEffectiveRequest request = COORD__V1__CONFIG_EFFECTIVE_REQUEST__INIT;
    struct parts labels;
    ProtobufCMessage *m = NULL;
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.instance = ctl_text(ctl->words[1]);
    bool ok = parts_read(&labels, ctl->labels);
    request.labels = labels.texts;
    request.n_labels = labels.count;
    int exit_code = ok ? ctl_call(ctl, CLIENT_CONFIG_EFFECTIVE, &request.base, &header, &m)
                       : ctl_usage("config effective: at most %d labels", PARTS_MAX);
    free(labels.copy);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__ConfigEffectiveReply *reply = (const Coord__V1__ConfigEffectiveReply *)m;
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, value_json(reply->entry->path, reply->entry->value.data,
                                       reply->entry->value.len, reply->rollout != 0));
    } else {
        print_value(ctl, reply->entry->value.data, reply->entry->value.len);
    }
    client_reply_free(m);
    return EXIT_DONE;
}

/* ---- watch --effective ------------------------------------------------------------------ */

struct following {
    struct ctl *ctl;
    bool has_told;
    bool is_over;
    struct coord_error why;
};

static void on_value(void *context, struct coord_stream *stream,
                     const struct coord_config_value *v)
{
    struct following *f = context;
    (void)stream;
    if (v->over != NULL) {
        f->is_over = true;
        f->why = *v->over;
        return;
    }
    f->has_told = true;
    if (ctl_is_json(f->ctl)) {
        ctl_print_one(f->ctl, v->exists ? value_json(v->path, v->value, v->bytes, v->rollout)
                                        : json_pack("{s:s, s:n, s:b}", "key", f->ctl->words[0],
                                                    "value", "rollout", 0));
    } else if (v->exists) {
        print_value(f->ctl, v->value, v->bytes);
    } else if (f->ctl->output != OUTPUT_RAW) {
        puts("(no value)");
    }
    (void)fflush(stdout);
}

static int follow_value(struct following *f)
{
    struct signals signals;
    int number = 0;
    if (!signals_open(&signals)) {
        return ctl_general(f->ctl, "signals cannot be waited for");
    }
    bool goes_on = true;
    while (goes_on) {
        (void)coord_run(f->ctl->client, RUN_MS);
        number = signals_take(&signals);
        goes_on =
            number == 0 && !f->is_over && ferror(stdout) == 0 && !(f->ctl->once && f->has_told);
    }
    signals_close(&signals);
    if (number != 0) {
        return ctl_signal_exit(number);
    }
    if (ferror(stdout) != 0) {
        return ctl_general(f->ctl, "standard output cannot be written");
    }
    return f->is_over ? ctl_failed(f->ctl, &f->why) : EXIT_DONE;
}

int config_watch_effective(struct ctl *ctl)
{
    struct following f = {.ctl = ctl};
    struct coord_stream *stream = NULL;
    struct coord_error error;
    struct parts labels;
    int exit_code;
    if (ctl->recursive || ctl->from_revision > 0 || ctl->types != 0 || ctl->program != NULL) {
        return ctl_usage("config watch: --effective goes with --labels and --once alone");
    }
    if (!parts_read(&labels, ctl->labels)) {
        exit_code = ctl_usage("config watch: at most %d labels", PARTS_MAX);
    } else {
        const struct coord_config_instance instance = {.id = ctl->effective,
                                                       .labels =
                                                           (const char *const *)labels.texts,
                                                       .label_count = labels.count};
        enum coord_code code = coord_config_watch_effective(
            ctl->client, ctl->words[0], &instance, on_value, &f, &stream, &error);
        exit_code = code == COORD_OK ? follow_value(&f) : ctl_failed(ctl, &error);
        coord_stream_close(stream);
    }
    free(labels.copy);
    return exit_code;
}
