/* The fields of a COMMAND_RECIPE. To add an action: a line in the table of rules. */
#include <inttypes.h>

#include "base/utf8.h"
#include "lease/lease.h"
#include "recipes/record.h"
#include "store/validate.h"

static enum outcome refuse(struct errmsg *err, const char *what, const char *why)
{
    (void)errmsg_set(err, RC_INVALID, "%s: %s", what, why);
    return OUTCOME_BAD_ARGUMENTS;
}

static enum outcome recipe_refuse(struct errmsg *err, const char *field, uint64_t value,
                                  uint64_t limit)
{
    (void)errmsg_set(err, RC_INVALID, "%s: %" PRIu64 ", at most %" PRIu64, field, value, limit);
    return OUTCOME_BAD_ARGUMENTS;
}

/* How a lock is asked for. */
static enum outcome target_mode_check(const struct recipe_target *t, struct errmsg *err)
{
    bool counts = t->mode == LOCK_PERMITS;
    if (lock_mode_name(t->mode) == NULL) {
        return refuse(err, "mode", "write, read or permits");
    }
    if (counts != (t->permits > 0) || (!counts && t->limit > 0)) {
        return refuse(err, "permits", "from 1 on, for a semaphore and for nothing else");
    }
    if (t->permits > RECIPE_PERMITS_MAX || t->limit > RECIPE_PERMITS_MAX) {
        uint32_t most = t->permits > t->limit ? t->permits : t->limit;
        return recipe_refuse(err, "permits", most, RECIPE_PERMITS_MAX);
    }
    if (t->limit > 0 && t->permits > t->limit) {
        (void)errmsg_set(err, RC_INVALID, "permits: %" PRIu32 " of %" PRIu32, t->permits,
                         t->limit);
        return OUTCOME_BAD_ARGUMENTS;
    }
    return t->revision == 0 ? OUTCOME_OK : refuse(err, "revision", "belongs to an entry");
}

static enum outcome recipe_targets_check(const struct command_recipe *r, struct errmsg *err)
{
    enum outcome outcome = OUTCOME_OK;
    if (r->target_count == 0 || r->target_count > RECIPE_TARGETS_MAX) {
        (void)errmsg_set(err, RC_INVALID, "targets: %" PRIu32 ", from 1 to %d", r->target_count,
                         RECIPE_TARGETS_MAX);
        return OUTCOME_BAD_ARGUMENTS;
    }
    for (uint32_t i = 0; i < r->target_count && outcome == OUTCOME_OK; i++) {
        const struct recipe_target *t = &r->targets[i];
        outcome = path_check(t->path, false, err);
        if (outcome == OUTCOME_OK && slice_is(t->path, "/")) {
            (void)errmsg_set(err, RC_INVALID, "path: \"/\" is no lock");
            outcome = OUTCOME_BAD_PATH;
        }
        if (outcome == OUTCOME_OK && r->recipe == RECIPE_LOCK && r->action == RECIPE_ACQUIRE) {
            outcome = target_mode_check(t, err);
        } else if (outcome == OUTCOME_OK && (t->mode | t->permits | t->limit) != 0) {
            outcome = refuse(err, "mode", "belongs to the acquire of a lock");
        }
        for (uint32_t j = 0; j < i && outcome == OUTCOME_OK; j++) {
            if (slice_equal(t->path, r->targets[j].path)) {
                outcome = refuse(err, "path", "twice in one request");
            }
        }
    }
    return outcome;
}

/* What an action takes, besides targets and guards. */
enum recipe_takes {
    TAKES_LEASE = 1, /* and must have one */
    TAKES_OWNER = 2, /* with or without a lease */
    TAKES_VALUE = 4,
    TAKES_LABEL = 8,
    TAKES_NUMBERS = 16, /* priority and number */
    TAKES_POLICY = 32,
    TAKES_WAIT = 64,
    TAKES_HOLD = 128,
    TAKES_MANY = 256, /* targets */
    TAKES_NUMBER = 512,
    TAKES_BOUNDS = 1024,
};

struct recipe_rule {
    uint8_t recipe;
    uint8_t action;
    uint8_t flags; /* enum recipe_flags */
    uint16_t takes;
};

static const struct recipe_rule recipe_rules[] = {
    {RECIPE_LOCK, RECIPE_ACQUIRE, RECIPE_TRY,
     TAKES_LEASE | TAKES_OWNER | TAKES_WAIT | TAKES_HOLD | TAKES_MANY},
    {RECIPE_LOCK, RECIPE_RELEASE, RECIPE_ALL | RECIPE_GROUP, TAKES_OWNER | TAKES_MANY},
    {RECIPE_LOCK, RECIPE_CANCEL, 0, TAKES_OWNER | TAKES_MANY},
    {RECIPE_LOCK, RECIPE_EXTEND, 0, TAKES_OWNER | TAKES_HOLD | TAKES_MANY},
    {RECIPE_LOCK, RECIPE_ASK_RELEASE, 0, TAKES_OWNER | TAKES_VALUE},
    {RECIPE_LOCK, RECIPE_REMOVE, 0, TAKES_OWNER | TAKES_MANY},
    {RECIPE_ELECTION, RECIPE_ACQUIRE, RECIPE_TRY,
     TAKES_LEASE | TAKES_OWNER | TAKES_VALUE | TAKES_LABEL | TAKES_NUMBERS | TAKES_POLICY |
         TAKES_WAIT},
    {RECIPE_ELECTION, RECIPE_CANCEL, 0, TAKES_OWNER | TAKES_MANY},
    {RECIPE_ELECTION, RECIPE_REMOVE, 0, TAKES_OWNER | TAKES_MANY},
    {RECIPE_ELECTION, RECIPE_PROCLAIM, 0, TAKES_OWNER | TAKES_VALUE},
    {RECIPE_ELECTION, RECIPE_HAND_OVER, 0, TAKES_OWNER | TAKES_MANY},
    {RECIPE_ELECTION, RECIPE_CONFIGURE, 0, TAKES_LABEL | TAKES_POLICY},
    {RECIPE_COUNTER, RECIPE_ADD, 0, TAKES_NUMBER | TAKES_BOUNDS},
    {RECIPE_IDS, RECIPE_ADD, 0, TAKES_NUMBER | TAKES_BOUNDS},
    {RECIPE_LATCH, RECIPE_CONFIGURE, 0, TAKES_NUMBER},
    {RECIPE_LATCH, RECIPE_COUNT_DOWN, 0, TAKES_NUMBER},
    {RECIPE_BARRIER, RECIPE_ACQUIRE, RECIPE_TRY,
     TAKES_LEASE | TAKES_OWNER | TAKES_NUMBER | TAKES_WAIT},
    {RECIPE_BARRIER, RECIPE_LEAVE, 0, TAKES_OWNER},
    {RECIPE_BARRIER, RECIPE_CANCEL, 0, TAKES_OWNER | TAKES_MANY},
    {RECIPE_BARRIER, RECIPE_REMOVE, 0, TAKES_OWNER | TAKES_MANY},
};

static const struct recipe_rule *recipe_rule_find(const struct command_recipe *r)
{
    for (size_t i = 0; i < sizeof recipe_rules / sizeof recipe_rules[0]; i++) {
        if (recipe_rules[i].recipe == r->recipe && recipe_rules[i].action == r->action) {
            return &recipe_rules[i];
        }
    }
    return NULL;
}

static enum outcome recipe_times_check(const struct command_recipe *r, struct errmsg *err)
{
    if (r->wait_ms > RECIPE_MS_MAX || r->hold_ms > RECIPE_MS_MAX) {
        bool wait = r->wait_ms > RECIPE_MS_MAX;
        return recipe_refuse(err, wait ? "wait_ms" : "hold_ms", wait ? r->wait_ms : r->hold_ms,
                             RECIPE_MS_MAX);
    }
    return r->wait_ms != 0 && (r->flags & RECIPE_TRY) != 0
               ? refuse(err, "wait_ms", "belongs to what waits")
               : OUTCOME_OK;
}

static enum outcome recipe_text_check(struct slice text, const char *field, size_t most,
                                      struct errmsg *err)
{
    if (text.size > most) {
        (void)errmsg_set(err, RC_TOO_LARGE, "%s: %zu bytes, the limit is %zu", field, text.size,
                         most);
        return OUTCOME_TOO_LARGE;
    }
    return utf8_is_valid(text) ? OUTCOME_OK : refuse(err, field, "not valid UTF-8");
}

static enum outcome recipe_texts_check(const struct command_recipe *r, struct errmsg *err)
{
    size_t most = r->recipe == RECIPE_ELECTION ? RECIPE_VALUE_BYTES_MAX : RECIPE_OWNER_BYTES_MAX;
    enum outcome outcome = recipe_text_check(r->owner, "owner", RECIPE_OWNER_BYTES_MAX, err);
    if (outcome == OUTCOME_OK) {
        outcome = recipe_text_check(r->value, "value", most, err);
    }
    return outcome == OUTCOME_OK
               ? recipe_text_check(r->label, "label", RECIPE_LABEL_BYTES_MAX, err)
               : outcome;
}

/* The first field that is there and should not be, or NULL. */
static const char *recipe_field_too_many(const struct command_recipe *r, uint16_t takes)
{
    const struct {
        uint16_t takes;
        bool is_there;
        const char *name;
    } fields[] = {
        {TAKES_LEASE | TAKES_OWNER, r->lease != 0, "lease"},
        {TAKES_OWNER, r->owner.size > 0, "owner"},
        {TAKES_VALUE, r->value.size > 0, "value"},
        {TAKES_LABEL, r->label.size > 0, "label"},
        {TAKES_NUMBERS, r->priority != 0, "priority"},
        {TAKES_NUMBERS | TAKES_NUMBER, r->number != 0, "number"},
        {TAKES_BOUNDS, (r->low | r->high) != 0, "bounds"},
        {TAKES_POLICY, r->policy != 0, "policy"},
        {TAKES_WAIT, r->wait_ms != 0, "wait_ms"},
        {TAKES_HOLD, r->hold_ms != 0, "hold_ms"},
        {TAKES_MANY, r->target_count > 1, "targets"},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (fields[i].is_there && (takes & fields[i].takes) == 0) {
            return fields[i].name;
        }
    }
    return NULL;
}

static enum outcome number_check(uint64_t number, uint64_t least, uint64_t most,
                                 const char *field, struct errmsg *err)
{
    if (number >= least && number <= most) {
        return OUTCOME_OK;
    }
    (void)errmsg_set(err, RC_INVALID, "%s: %" PRIu64 ", from %" PRIu64 " to %" PRIu64, field,
                     number, least, most);
    return OUTCOME_BAD_ARGUMENTS;
}

/* What counts: how much, and how far. */
static enum outcome recipe_numbers_check(const struct command_recipe *r, struct errmsg *err)
{
    int64_t low = (int64_t)r->low;
    int64_t high = (int64_t)r->high;
    switch (r->recipe) {
    case RECIPE_COUNTER:
        if (low > high) {
            (void)errmsg_set(err, RC_INVALID, "bounds: %" PRId64 " to %" PRId64, low, high);
            return OUTCOME_BAD_ARGUMENTS;
        }
        return OUTCOME_OK;
    case RECIPE_IDS:
        if (low != 0 || high < 0) {
            return refuse(err, "bounds", "of ids the last one, from 0 on");
        }
        return number_check(r->number, 1, INT64_MAX, "count", err);
    case RECIPE_LATCH:
        return number_check(r->number, r->action == RECIPE_COUNT_DOWN, RECIPE_COUNT_MAX, "count",
                            err);
    case RECIPE_BARRIER: return number_check(r->number, 0, RECIPE_PARTIES_MAX, "parties", err);
    default: return OUTCOME_OK;
    }
}

enum outcome recipe_check(const struct command_recipe *r, struct errmsg *err)
{
    const struct recipe_rule *rule = recipe_rule_find(r);
    if (rule == NULL) {
        return refuse(err, "recipe", "unknown recipe or action");
    }
    if ((r->flags & ~rule->flags) != 0) {
        return refuse(err, "recipe", "a flag that this action does not take");
    }
    bool needs_lease = (rule->takes & TAKES_LEASE) != 0;
    if (r->lease > LEASE_ID_MAX || (needs_lease && r->lease == 0)) {
        (void)errmsg_set(err, RC_INVALID, "lease: %" PRIu64 ", must be 1 to %" PRIu64, r->lease,
                         (uint64_t)LEASE_ID_MAX);
        return OUTCOME_BAD_ARGUMENTS;
    }
    const char *field = recipe_field_too_many(r, rule->takes);
    if (field != NULL) {
        return refuse(err, field, "more than this action takes");
    }
    if (r->policy != 0 && election_policy_name(r->policy) == NULL) {
        return refuse(err, "policy", "first, priority or number");
    }
    enum outcome outcome = recipe_texts_check(r, err);
    if (outcome == OUTCOME_OK) {
        outcome = recipe_times_check(r, err);
    }
    if (outcome == OUTCOME_OK) {
        outcome = recipe_numbers_check(r, err);
    }
    return outcome == OUTCOME_OK ? recipe_targets_check(r, err) : outcome;
}
