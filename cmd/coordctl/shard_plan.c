/* shard: plan, apply, move, abort, hold, resume. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/coordctl/shard.h"
#include "cmd/coordctl/values.h"

#define MOVES_MAX CTL_WORDS_MAX

static const char *kind_name(Coord__V1__ShardMoveKind kind)
{
    static const char *const names[] = {"move", "add", "drop", "lead", "assign"};
    return (unsigned)kind < 5 ? names[kind] : "unknown";
}

/* ---- what a plan says --------------------------------------------------------------------- */

static json_t *step_json(const Coord__V1__ShardPlannedStep *p)
{
    const Coord__V1__ShardStep *s = p->step;
    return json_pack("{s:I, s:s, s:s, s:s, s:I, s:I, s:s}", "shard", (json_int_t)s->shard,
                     "kind", kind_name(s->kind), "from", s->from, "to", s->to, "bytes",
                     (json_int_t)s->bytes, "duration_ms", (json_int_t)p->duration_ms, "why",
                     s->why);
}

static json_t *plan_json(const Coord__V1__ShardMapPlanReply *r)
{
    json_t *steps = json_array();
    json_t *gaps = json_array();
    json_t *leaderless = json_array();
    for (size_t i = 0; i < r->n_steps; i++) {
        json_array_append_new(steps, step_json(r->steps[i]));
    }
    for (size_t i = 0; i < r->n_gaps; i++) {
        const Coord__V1__ShardGap *g = r->gaps[i];
        json_array_append_new(
            gaps, json_pack("{s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "shard",
                            (json_int_t)g->shard, "why", g->why, "node", g->node, "by_drain",
                            (json_int_t)g->by_drain, "by_holding", (json_int_t)g->by_holding,
                            "by_tags", (json_int_t)g->by_tags, "by_zone",
                            (json_int_t)g->by_zone, "by_capacity", (json_int_t)g->by_capacity));
    }
    for (size_t i = 0; i < r->n_leaderless; i++) {
        json_array_append_new(leaderless, json_pack("{s:I, s:s}", "shard",
                                                    (json_int_t)r->leaderless[i]->shard,
                                                    "awaits", r->leaderless[i]->awaits));
    }
    return json_pack(
        "{s:I, s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "revision", (json_int_t)r->revision,
        "steps", steps, "gaps", gaps, "leaderless", leaderless, "bytes", (json_int_t)r->bytes,
        "duration_ms", (json_int_t)r->duration_ms, "imbalance_permille",
        (json_int_t)r->imbalance_permille, "result_permille", (json_int_t)r->result_permille);
}

static void print_step(const Coord__V1__ShardPlannedStep *p)
{
    const Coord__V1__ShardStep *s = p->step;
    char bytes[16];
    char time[32];
    value_format_duration(p->duration_ms, time, sizeof time);
    printf("shard %" PRIu32 "  %s %s%s%s", s->shard, kind_name(s->kind), s->from,
           s->from[0] != '\0' && s->to[0] != '\0' ? " -> " : "", s->to);
    if (s->bytes > 0) {
        printf("  %s", value_format_size(s->bytes, bytes));
    }
    printf("%s%s  %s\n", p->duration_ms > 0 ? "  " : "", p->duration_ms > 0 ? time : "",
           s->why);
}

static void print_gap(const Coord__V1__ShardGap *g)
{
    const struct {
        uint32_t count;
        const char *why;
    } reasons[] = {{g->by_drain, "drain"},
                   {g->by_holding, "have another replica"},
                   {g->by_tags, "lack a tag"},
                   {g->by_zone, "are in a zone that is full"},
                   {g->by_capacity, "are full"}};
    const char *separator = ": ";
    printf("shard %" PRIu32 "  no place (%s)%s%s", g->shard, g->why,
           g->node[0] != '\0' ? ", stays on " : "", g->node);
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].count > 0) {
            printf("%s%" PRIu32 " %s", separator, reasons[i].count, reasons[i].why);
            separator = ", ";
        }
    }
    if (strcmp(g->why, "pin") == 0 && strcmp(separator, ": ") == 0) {
        printf(": the node that it is pinned to is not there");
    }
    printf("\n");
}

static void print_plan(const Coord__V1__ShardMapPlanReply *r)
{
    char bytes[16];
    char time[32];
    for (size_t i = 0; i < r->n_steps; i++) {
        print_step(r->steps[i]);
    }
    for (size_t i = 0; i < r->n_gaps; i++) {
        print_gap(r->gaps[i]);
    }
    for (size_t i = 0; i < r->n_leaderless; i++) {
        const char *awaits = r->leaderless[i]->awaits;
        printf("shard %" PRIu32 "  nobody leads it: waits for %s\n", r->leaderless[i]->shard,
               awaits[0] != '\0' ? awaits : "somebody to say who shall");
    }
    value_format_duration(r->duration_ms, time, sizeof time);
    printf("%zu steps, %s, %s%s; imbalance %.3f, then %.3f; revision %" PRIu64 "\n", r->n_steps,
           value_format_size(r->bytes, bytes), r->duration_ms > 0 ? "about " : "at once",
           r->duration_ms > 0 ? time : "", r->imbalance_permille / 1000.0,
           r->result_permille / 1000.0, r->revision);
}

/* ---- plan, apply -------------------------------------------------------------------------- */

static int ask_plan(struct ctl *ctl, ProtobufCMessage **m)
{
    static const char *const goals[] = {"repair", "fill", "balance"};
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ShardMapPlanRequest request = COORD__V1__SHARD_MAP_PLAN_REQUEST__INIT;
    const char *goal = ctl->word_count > 1 ? ctl->words[1] : "balance";
    unsigned number = 0;
    while (number < 3 && strcmp(goals[number], goal) != 0) {
        number++;
    }
    if (number == 3) {
        return ctl_usage("%s: \"%s\" is not repair, fill or balance", ctl->command->name, goal);
    }
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.goal = (Coord__V1__ShardGoal)(COORD__V1__SHARD_GOAL__GOAL_REPAIR + number);
    return ctl_call(ctl, CLIENT_SHARD_PLAN, &request.base, &header, m);
}

static void show_plan(const struct ctl *ctl, const Coord__V1__ShardMapPlanReply *r)
{
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, plan_json(r));
    } else {
        print_plan(r);
    }
}

int ctl_shard_plan(struct ctl *ctl)
{
    ProtobufCMessage *m = NULL;
    int exit_code = ask_plan(ctl, &m);
    if (exit_code == EXIT_DONE) {
        show_plan(ctl, (const Coord__V1__ShardMapPlanReply *)m);
    }
    client_reply_free(m);
    return exit_code;
}

int ctl_shard_apply(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ShardMapApplyRequest request = COORD__V1__SHARD_MAP_APPLY_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    int exit_code = ask_plan(ctl, &m);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    const Coord__V1__ShardMapPlanReply *r = (const Coord__V1__ShardMapPlanReply *)m;
    Coord__V1__ShardStep **steps = calloc(r->n_steps + 1, sizeof *steps);
    for (size_t i = 0; steps != NULL && i < r->n_steps; i++) {
        steps[i] = r->steps[i]->step;
    }
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.revision = r->revision;
    request.steps = steps;
    request.n_steps = r->n_steps;
    if (steps == NULL) {
        exit_code = ctl_general(ctl, "out of memory");
    } else if (r->n_steps > 0) {
        exit_code = shard_call(ctl, CLIENT_SHARD_APPLY, &request.base, &header);
    }
    if (exit_code == EXIT_DONE) {
        show_plan(ctl, r);
    }
    free(steps);
    client_reply_free(m);
    return exit_code;
}

/* ---- moves by hand ------------------------------------------------------------------------ */

/* "FROM TO", "add TO", "drop FROM", "lead TO". */
static void take_step(const struct ctl *ctl, Coord__V1__ShardStep *step)
{
    const char *first = ctl->words[2];
    char *second = ctl_text(ctl->words[3]);
    bool adds = strcmp(first, "add") == 0;
    bool drops = strcmp(first, "drop") == 0;
    bool leads = strcmp(first, "lead") == 0;
    step->kind = adds    ? COORD__V1__SHARD_MOVE_KIND__ADD_REPLICA
                 : drops ? COORD__V1__SHARD_MOVE_KIND__DROP_REPLICA
                 : leads ? COORD__V1__SHARD_MOVE_KIND__LEAD_REPLICA
                         : COORD__V1__SHARD_MOVE_KIND__MOVE_REPLICA;
    if (drops) {
        step->from = second;
        return;
    }
    step->to = second;
    if (!adds && !leads) {
        step->from = ctl_text(first);
    }
}

int ctl_shard_move(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ShardMapApplyRequest request = COORD__V1__SHARD_MAP_APPLY_REQUEST__INIT;
    Coord__V1__ShardStep step = COORD__V1__SHARD_STEP__INIT;
    Coord__V1__ShardStep *steps[] = {&step};
    static char why[] = "hand";
    struct coord_error error;
    uint64_t shard;
    int exit_code = shard_number(ctl, ctl->words[1], "shard", &shard);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    if (coord_sync(ctl->client, &error) != COORD_OK) {
        return ctl_failed(ctl, &error);
    }
    take_step(ctl, &step);
    step.shard = (uint32_t)shard;
    step.why = why;
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.revision = coord_revision(ctl->client);
    request.steps = steps;
    request.n_steps = 1;
    return shard_call(ctl, CLIENT_SHARD_APPLY, &request.base, &header);
}

static int change_moves(struct ctl *ctl, enum client_method method)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ShardMapMovesRequest request = COORD__V1__SHARD_MAP_MOVES_REQUEST__INIT;
    uint64_t moves[MOVES_MAX];
    int exit_code = EXIT_DONE;
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.moves = moves;
    request.n_moves = ctl->word_count - 1;
    for (size_t i = 1; i < ctl->word_count && exit_code == EXIT_DONE; i++) {
        exit_code = shard_number(ctl, ctl->words[i], "move", &moves[i - 1]);
    }
    return exit_code == EXIT_DONE ? shard_call(ctl, method, &request.base, &header) : exit_code;
}

int ctl_shard_abort(struct ctl *ctl)
{
    return change_moves(ctl, CLIENT_SHARD_ABORT);
}

int ctl_shard_hold(struct ctl *ctl)
{
    return change_moves(ctl, CLIENT_SHARD_HOLD);
}

int ctl_shard_resume(struct ctl *ctl)
{
    return change_moves(ctl, CLIENT_SHARD_RESUME);
}
