/* shard: status, watch, locate. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/shards.h"
#include "cmd/coordctl/shard.h"
#include "cmd/coordctl/signals.h"
#include "cmd/coordctl/values.h"

#define WAIT_MS 200

static const char *state_name(enum coord_move_state state)
{
    static const char *const names[] = {"unknown",     "queued",    "preparing",  "copying",
                                        "catching-up", "switching", "cleaning-up"};
    return (unsigned)state < 7 ? names[state] : names[0];
}

static const char *kind_name(enum coord_move_kind kind)
{
    static const char *const names[] = {"unknown", "move", "add", "drop", "lead"};
    return (unsigned)kind < 5 ? names[kind] : names[0];
}

/* The move of the shard that has begun, or else waits; NULL: none. */
static const struct coord_move *move_of(const struct coord_shards *map, uint32_t shard)
{
    const struct coord_move *found = NULL;
    for (size_t i = 0; i < coord_shards_move_count(map); i++) {
        const struct coord_move *m = coord_shards_move_at(map, i);
        bool is_better = found == NULL ||
                         (found->state == COORD_MOVE_QUEUED && m->state != COORD_MOVE_QUEUED);
        if (m->shard == shard && is_better) {
            found = m;
        }
    }
    return found;
}

static void append_replicas(struct buf *out, const struct coord_shard *s)
{
    for (size_t i = 0; i < s->replica_count; i++) {
        buf_printf(out, "%s%s", i > 0 ? "," : "", s->replicas[i]);
    }
    if (s->replica_count == 0) {
        buf_printf(out, "-");
    }
}

/* How it is with a shard, in a word: "leads", or what is wrong or under way. */
static const char *shard_state(const struct coord_shards *map, const struct coord_shard *s,
                               const struct coord_move *m)
{
    if (s->replica_count == 0) {
        return "nowhere";
    }
    if (s->leader[0] == '\0') {
        return "leaderless";
    }
    if (m != NULL) {
        return state_name(m->state);
    }
    for (size_t i = 0; i < s->replica_count; i++) {
        if (coord_shards_node(map, s->replicas[i]) == NULL) {
            return "degraded";
        }
    }
    return "ok";
}

/* ---- status ------------------------------------------------------------------------------- */

static void append_progress(struct buf *out, const struct coord_shard *s,
                            const struct coord_move *m)
{
    if (m != NULL) {
        buf_printf(out, "move %" PRIu64 " %s", m->number, kind_name(m->kind));
        buf_printf(out, " %s%s%s", m->from, m->from[0] != '\0' && m->to[0] != '\0' ? "->" : "",
                   m->to);
        if (m->state == COORD_MOVE_COPYING) {
            buf_printf(out, " %" PRIu64 "%%", m->progress_permille / 10);
        }
        buf_append_str(out, m->held ? " held" : "");
        buf_append_str(out, m->aborted ? " aborted" : "");
    } else if (s->replica_count > 0 && s->leader[0] == '\0') {
        buf_printf(out, "waits for %s", s->awaits[0] != '\0' ? s->awaits : "an operator");
    }
    buf_append(out, "", 1);
}

/* What is left to copy, by what may be copied in a second: UINT64_MAX: nobody knows. */
static uint64_t eta_ms(const struct coord_shards *map)
{
    uint64_t left = 0;
    uint64_t rate = 0;
    for (size_t i = 0; i < coord_shards_move_count(map); i++) {
        const struct coord_move *m = coord_shards_move_at(map, i);
        bool copies = m->state < COORD_MOVE_CATCHING_UP;
        left += copies ? m->bytes / 1000 * (1000 - m->progress_permille) : 0;
        rate += m->state > COORD_MOVE_QUEUED ? m->rate : 0;
    }
    return rate > 0 ? left / ((rate + 999) / 1000) : UINT64_MAX;
}

/* From a plan that repairs: what it would begin with. */
static int ask_imbalance(struct ctl *ctl, uint32_t *permille)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ShardMapPlanRequest request = COORD__V1__SHARD_MAP_PLAN_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.goal = COORD__V1__SHARD_GOAL__GOAL_REPAIR;
    int exit_code = ctl_call(ctl, CLIENT_SHARD_PLAN, &request.base, &header, &m);
    if (exit_code == EXIT_DONE) {
        *permille = ((const Coord__V1__ShardMapPlanReply *)m)->imbalance_permille;
        client_reply_free(m);
    }
    return exit_code;
}

static json_t *shard_json(const struct coord_shards *map, const struct coord_shard *s)
{
    const struct coord_move *m = move_of(map, s->number);
    json_t *replicas = json_array();
    for (size_t i = 0; i < s->replica_count; i++) {
        json_array_append_new(replicas, json_string(s->replicas[i]));
    }
    json_t *o =
        json_pack("{s:I, s:s, s:o, s:I, s:s, s:s, s:s}", "shard", (json_int_t)s->number,
                  "leader", s->leader, "replicas", replicas, "epoch", (json_int_t)s->epoch,
                  "state", shard_state(map, s, m), "awaits", s->awaits, "path", s->path);
    if (m != NULL) {
        json_object_set_new(o, "move",
                            json_pack("{s:I, s:s, s:s, s:s, s:s, s:I, s:b, s:b}", "number",
                                      (json_int_t)m->number, "kind", kind_name(m->kind),
                                      "state", state_name(m->state), "from", m->from, "to",
                                      m->to, "progress_permille",
                                      (json_int_t)m->progress_permille, "held", (int)m->held,
                                      "aborted", (int)m->aborted));
    }
    return o;
}

static void print_status(const struct coord_shards *map, uint32_t imbalance)
{
    struct buf replicas = {0};
    struct buf progress = {0};
    char time[32] = "unknown";
    printf("%-6s  %-16s  %-32s  %-10s  %-11s  %s\n", "SHARD", "LEADER", "REPLICAS", "EPOCH",
           "STATE", "PROGRESS");
    for (size_t i = 0; i < coord_shards_count(map); i++) {
        const struct coord_shard *s = coord_shards_at(map, i);
        const struct coord_move *m = move_of(map, s->number);
        buf_clear(&replicas);
        buf_clear(&progress);
        append_replicas(&replicas, s);
        buf_append(&replicas, "", 1);
        append_progress(&progress, s, m);
        printf("%-6" PRIu32 "  %-16s  %-32s  %-10" PRIu64 "  %-11s  %s\n", s->number,
               s->leader[0] != '\0' ? s->leader : "-", (const char *)replicas.data, s->epoch,
               shard_state(map, s, m), (const char *)progress.data);
    }
    uint64_t eta = eta_ms(map);
    if (eta != UINT64_MAX) {
        value_format_duration(eta > 0 ? eta : 1, time, sizeof time);
    }
    size_t moves = coord_shards_move_count(map);
    printf("%zu shards, %zu nodes, imbalance %.3f, %zu moves%s%s\n", coord_shards_count(map),
           coord_shards_node_count(map), imbalance / 1000.0, moves, moves > 0 ? ", eta " : "",
           moves > 0 ? time : "");
    buf_close(&replicas);
    buf_close(&progress);
}

static void print_status_json(const struct ctl *ctl, const struct coord_shards *map,
                              uint32_t imbalance)
{
    json_t *shards = json_array();
    json_t *nodes = json_array();
    uint64_t eta = eta_ms(map);
    for (size_t i = 0; i < coord_shards_count(map); i++) {
        json_array_append_new(shards, shard_json(map, coord_shards_at(map, i)));
    }
    for (size_t i = 0; i < coord_shards_node_count(map); i++) {
        const struct coord_shard_node *n = coord_shards_node_at(map, i);
        json_array_append_new(nodes,
                              json_pack("{s:s, s:s, s:s, s:I, s:b}", "name", n->name, "address",
                                        n->address, "zone", n->zone, "weight",
                                        (json_int_t)n->weight, "drains", (int)n->drains));
    }
    ctl_print_json(ctl,
                   json_pack("{s:o, s:o, s:I, s:I, s:o}", "shards", shards, "nodes", nodes,
                             "imbalance_permille", (json_int_t)imbalance, "moves",
                             (json_int_t)coord_shards_move_count(map), "eta_ms",
                             eta != UINT64_MAX ? json_integer((json_int_t)eta) : json_null()));
}

static int open_map(struct ctl *ctl, bool with_moves, struct coord_shards **map)
{
    struct coord_error error;
    const struct coord_shards_options options = {.moves = with_moves};
    enum coord_code code = coord_shards_open(ctl->client, ctl->words[0], &options, map, &error);
    return ctl_check(ctl, code, &error);
}

int ctl_shard_status(struct ctl *ctl)
{
    struct coord_shards *map;
    uint32_t imbalance = 0;
    int exit_code = open_map(ctl, true, &map);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    exit_code = ask_imbalance(ctl, &imbalance);
    if (exit_code == EXIT_DONE && ctl_is_json(ctl)) {
        print_status_json(ctl, map, imbalance);
    } else if (exit_code == EXIT_DONE) {
        print_status(map, imbalance);
    }
    coord_shards_close(map);
    return exit_code;
}

/* ---- locate ------------------------------------------------------------------------------- */

int ctl_shard_locate(struct ctl *ctl)
{
    struct coord_shards *map;
    struct buf replicas = {0};
    const char *key = ctl->words[1];
    int exit_code = open_map(ctl, false, &map);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const struct coord_shard *s = coord_shards_locate(map, key, strlen(key));
    if (s == NULL) {
        struct coord_error error = {.code = COORD_NOT_FOUND};
        (void)snprintf(error.message, sizeof error.message, "no shard has this key");
        exit_code = ctl_failed(ctl, &error);
    } else if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, shard_json(map, s));
    } else {
        append_replicas(&replicas, s);
        buf_append(&replicas, "", 1);
        printf("shard %" PRIu32 "  leader %s  replicas %s  epoch %" PRIu64 "\n", s->number,
               s->leader[0] != '\0' ? s->leader : "-", (const char *)replicas.data, s->epoch);
        buf_close(&replicas);
    }
    coord_shards_close(map);
    return exit_code;
}

/* ---- watch -------------------------------------------------------------------------------- */

/* "/map/shards/s-0000000007" and its text as a line: "set shards/s-0000000007 epoch=9
 * leader=n1". */
static void print_event(const struct ctl *ctl, const struct coord_event *e)
{
    static const char *const names[] = {[COORD_EVENT_CREATED] = "new",
                                        [COORD_EVENT_SET] = "set",
                                        [COORD_EVENT_DELETED] = "gone",
                                        [COORD_EVENT_ENTRY] = "is"};
    size_t root = strlen(ctl->words[0]) + 1;
    const char *name = strlen(e->path) > root ? e->path + root : "";
    bool is_shown = (strncmp(name, "shards/", 7) == 0 || strncmp(name, "moves/", 6) == 0 ||
                     strncmp(name, "nodes/", 6) == 0) &&
                    (unsigned)e->type < sizeof names / sizeof names[0] &&
                    names[e->type] != NULL;
    if (!is_shown) {
        return;
    }
    if (ctl_is_json(ctl)) {
        ctl_print_one(ctl, json_pack("{s:s, s:s, s:o, s:I}", "type", names[e->type], "name",
                                     name, "value", ctl_json_bytes(e->data, e->bytes),
                                     "revision", (json_int_t)e->revision));
    } else {
        printf("%s %s", names[e->type], name);
        for (size_t i = 0; i < e->bytes; i++) {
            char c = ((const char *)e->data)[i];
            bool begins = i == 0 || ((const char *)e->data)[i - 1] == '\n';
            printf("%s%.*s", begins ? " " : "", c != '\n', &c);
        }
        printf("\n");
    }
    (void)fflush(stdout);
}

static int follow(struct ctl *ctl, struct coord_watch *watch, struct signals *signals)
{
    int number = signals_take(signals);
    while (number == 0) {
        struct coord_event event;
        struct coord_error error;
        enum coord_code code = coord_watch_next(watch, 0, &event, &error);
        if (code == COORD_OK) {
            print_event(ctl, &event);
            if (ferror(stdout) != 0) {
                return ctl_general(ctl, "standard output cannot be written");
            }
            if (ctl->once && event.type == COORD_EVENT_LISTED) {
                return EXIT_DONE;
            }
            number = signals_take(signals);
        } else if (code == COORD_TIMEOUT || code == COORD_UNAVAILABLE) {
            number = signals_wait(signals, coord_watch_fd(watch), WAIT_MS);
        } else {
            return ctl_failed(ctl, &error);
        }
    }
    return ctl_signal_exit(number);
}

int ctl_shard_watch(struct ctl *ctl)
{
    const struct coord_watch_options options = {
        .scope = COORD_WATCH_SUBTREE, .depth = 2, .list = true, .relist = true};
    struct coord_watch *watch;
    struct coord_error error;
    struct signals signals;
    int exit_code;
    enum coord_code code =
        coord_watch_open(ctl->client, ctl->words[0], &options, &watch, &error);
    if (code != COORD_OK) {
        return ctl_failed(ctl, &error);
    }
    if (signals_open(&signals)) {
        exit_code = follow(ctl, watch, &signals);
        signals_close(&signals);
    } else {
        exit_code = ctl_general(ctl, "signals cannot be waited for");
    }
    coord_watch_close(watch);
    return exit_code;
}
