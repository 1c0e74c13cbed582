/* The fields of a COMMAND_SHARD: what can be told without looking at the map. */
#include "store/validate.h"

#include <inttypes.h>

#include "lease/lease.h"
#include "recipes/shard_record.h"

_Static_assert(SHARD_NAMES_MAX == 64, "told in texts");

static enum outcome refuse(struct errmsg *err, const char *field, const char *why)
{
    (void)errmsg_set(err, RC_INVALID, "%s: %s", field, why);
    return OUTCOME_BAD_ARGUMENTS;
}

static enum outcome refuse_number(struct errmsg *err, const char *field, uint64_t value,
                                  uint64_t max)
{
    (void)errmsg_set(err, RC_INVALID, "%s: %" PRIu64 ", must be at most %" PRIu64, field, value,
                     max);
    return OUTCOME_BAD_ARGUMENTS;
}

size_t shard_steps_bytes(const struct shard_step *steps, uint32_t count)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += COMMAND_STEP_BYTES_MIN + steps[i].from.size + steps[i].to.size +
                 steps[i].why.size;
    }
    return bytes;
}

static bool names_are_sound(struct slice names)
{
    struct slice name;
    bool are_sound = names_count(names) <= SHARD_REPLICAS_MAX;
    while (are_sound && names_next(&names, &name)) {
        are_sound = shard_name_is_valid(name) && !names_have(names, name);
    }
    return are_sound;
}

static enum outcome plan_step_check(const struct shard_step *step, struct errmsg *err)
{
    bool needs_from = step->kind == SHARD_MOVE || step->kind == SHARD_DROP;
    bool needs_to = step->kind != SHARD_DROP;
    if (step->kind < SHARD_MOVE || step->kind > SHARD_STEP_ASSIGN) {
        return refuse(err, "kind", "unknown");
    }
    if ((needs_from && !shard_name_is_valid(step->from)) ||
        (step->from.size > 0 && !shard_name_is_valid(step->from))) {
        return refuse(err, "from", "not a valid name of a node");
    }
    bool is_valid = step->kind == SHARD_STEP_ASSIGN ? names_are_sound(step->to)
                                                    : shard_name_is_valid(step->to);
    if (needs_to && (!is_valid || step->to.size == 0)) {
        return refuse(err, "to", "not a valid name of a node");
    }
    return step->why.size == 0 || shard_name_is_valid(step->why)
               ? OUTCOME_OK
               : refuse(err, "why", "not a word");
}

static enum outcome step_check(const struct command_shard *s, const struct shard_step *step,
                               struct errmsg *err)
{
    switch (s->action) {
    case SHARD_PLAN: return plan_step_check(step, err);
    case SHARD_REPORT:
        return step->state >= MOVE_PREPARING && step->state <= MOVE_DONE
                   ? OUTCOME_OK
                   : refuse(err, "state", "unknown");
    case SHARD_SET_KEY:
    case SHARD_REMOVE_KEY:
        return step->from.size > 0 && step->from.size <= SHARD_KEY_BYTES_MAX
                   ? OUTCOME_OK
                   : refuse(err, "key", "must have 1 to 256 bytes");
    case SHARD_CREATE:
    case SHARD_SPLIT:
        return step->from.size <= 2 * SHARD_KEY_BYTES_MAX
                   ? OUTCOME_OK
                   : refuse(err, "bound", "must have at most 256 bytes");
    default: return OUTCOME_OK;
    }
}

static bool takes_one_step(uint8_t action)
{
    return action >= SHARD_SPLIT && action <= SHARD_REMOVE_KEY;
}

static enum outcome text_check(const struct command_shard *s, struct errmsg *err)
{
    struct shard_spec spec;
    struct shard_member member;
    struct shard_record record;
    bool is_valid = true;
    switch (s->action) {
    case SHARD_CREATE:
    case SHARD_CONFIGURE: is_valid = shard_spec_decode(s->text, &spec); break;
    case SHARD_JOIN: is_valid = shard_member_decode(s->text, &member); break;
    case SHARD_STATS:
        is_valid = s->text.size <= SHARD_STATS_BYTES_MAX && shard_stats_are_valid(s->text);
        break;
    case SHARD_SET_SHARD: is_valid = shard_record_decode(s->text, &record); break;
    default: is_valid = s->text.size == 0; break;
    }
    return is_valid ? OUTCOME_OK
                    : refuse(err, "text",
                             "not what this action takes, with at most 64 names in a list");
}

enum outcome shard_check(const struct command_shard *s, struct errmsg *err)
{
    bool names_node = s->action == SHARD_JOIN || s->action == SHARD_LEAVE ||
                      s->action == SHARD_STATS || s->action == SHARD_REPORT;
    if (s->action < SHARD_CREATE || s->action > SHARD_ACTION_LAST) {
        return refuse(err, "action", "unknown");
    }
    enum outcome outcome = path_check(s->path, false, err);
    /* Room for the names below it. */
    if (outcome == OUTCOME_OK && s->path.size > STORE_PATH_BYTES_MAX - 600) {
        return refuse_number(err, "path bytes", s->path.size, STORE_PATH_BYTES_MAX - 600);
    }
    if (outcome == OUTCOME_OK && s->path.size == 1) {
        return refuse(err, "path", "the root is no map");
    }
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    if (names_node ? !shard_name_is_valid(s->node) : s->node.size > 0) {
        return refuse(err, "node", "not a valid name");
    }
    if (s->lease > LEASE_ID_MAX || (s->action == SHARD_JOIN) != (s->lease != 0)) {
        return refuse(err, "lease", "belongs to join");
    }
    if (s->step_count > SHARD_STEPS_MAX) {
        return refuse_number(err, "steps", s->step_count, SHARD_STEPS_MAX);
    }
    if (takes_one_step(s->action) && s->step_count != 1) {
        return refuse(err, "steps", "one at a time");
    }
    for (uint32_t i = 0; i < s->step_count && outcome == OUTCOME_OK; i++) {
        outcome = step_check(s, &s->steps[i], err);
    }
    return outcome == OUTCOME_OK ? text_check(s, err) : outcome;
}
