#include "tests/support/engine_kit.h"

#include <check.h>
#include <stdio.h>

#define DIR "data/wal"

static void on_send(void *context, uint64_t to, const struct message *m)
{
    struct engine_kit *x = context;
    ck_assert_uint_lt(x->sent_count, ENGINE_KIT_SENT_MAX);
    x->sent_to[x->sent_count] = to;
    x->sent[x->sent_count++] = *m;
}

static void on_apply(void *context, uint64_t index, uint64_t term, uint8_t type,
                     struct slice payload)
{
    struct engine_kit *x = context;
    ck_assert_uint_eq(index, x->applied + 1);
    ck_assert_uint_gt(term, 0);
    x->applied = index;
    x->applied_commands += type == ENTRY_COMMAND && payload.size > 0;
}

static void on_nothing(void *context)
{
    (void)context;
}

static void on_configuration(void *context, const struct engine_configuration *c)
{
    (void)context;
    ck_assert_uint_gt(c->count, 0);
}

static void on_installed(void *context, uint64_t index)
{
    struct engine_kit *x = context;
    x->installed = x->applied = index;
}

static void on_fatal(void *context, enum status rc, const char *why)
{
    struct engine_kit *x = context;
    ck_assert_int_ne(rc, RC_OK);
    ck_assert_ptr_nonnull(why);
    x->fatals++;
}

static const struct engine_events events = {
    .send = on_send,
    .apply = on_apply,
    .state = on_nothing,
    .configuration = on_configuration,
    .installed = on_installed,
    .fatal = on_fatal,
};

void engine_kit_init(struct engine_kit *x, size_t members, uint64_t seed)
{
    *x = (struct engine_kit){.first = {.index = 1, .count = members}};
    for (size_t i = 0; i < members; i++) {
        x->first.members[i] = (struct engine_member){.id = i + 1, .role = ENGINE_VOTER};
        (void)snprintf(x->first.members[i].address, ENGINE_ADDRESS_BYTES_MAX, "n%zu=h:1", i);
    }
    fake_env_init(&x->fake, seed);
}

enum status engine_kit_open_with(struct engine_kit *x, const struct engine_configuration *first)
{
    struct engine_options options = {.env = &x->fake.env,
                                     .wal_dir = DIR,
                                     .cluster_id = 5,
                                     .node_id = 1,
                                     .seed = 3,
                                     .wal_segment_bytes = 16384,
                                     .snapshot = x->snapshot,
                                     .bootstrap = first,
                                     .joins = x->joins,
                                     .trailing_bytes = x->trailing_bytes};
    x->engine = NULL;
    x->applied = x->snapshot.index;
    x->applied_commands = 0;
    return engine_open(&options, &events, x, &x->engine, &x->err);
}

void engine_kit_open(struct engine_kit *x)
{
    ck_assert_msg(engine_kit_open_with(x, &x->first) == RC_OK, "%s", x->err.text);
}

void engine_kit_run(struct engine_kit *x)
{
    engine_tell_commit(x->engine);
    engine_turn(x->engine);
    fake_env_run(&x->fake);
    engine_tell_commit(x->engine);
    engine_turn(x->engine);
    fake_env_run(&x->fake);
}

void engine_kit_close(struct engine_kit *x)
{
    engine_close(x->engine);
    fake_env_close(&x->fake);
}

void engine_kit_receive(struct engine_kit *x, uint64_t from, struct message m)
{
    engine_receive(x->engine, from, &m);
    engine_kit_run(x);
}

void engine_kit_stand(struct engine_kit *x)
{
    while (engine_state(x->engine) == ENGINE_FOLLOWER) {
        fake_env_advance(&x->fake, 5);
        engine_tick(x->engine, x->fake.env.now_ms(&x->fake.env));
        engine_kit_run(x);
    }
}

struct message engine_kit_vote_result(uint64_t term, bool granted, bool pre_vote)
{
    return (struct message){
        .type = MESSAGE_REQUEST_VOTE_RESULT,
        .request_vote_result = {.term = term, .vote_granted = granted, .pre_vote = pre_vote}};
}

struct message engine_kit_append_result(uint64_t term, uint64_t rejected, uint64_t last)
{
    return (struct message){
        .type = MESSAGE_APPEND_ENTRIES_RESULT,
        .append_entries_result = {.term = term, .rejected = rejected, .last_log_index = last}};
}

/* An entry of `term` behind entry 1, which every first member has. */
struct message engine_kit_append(uint64_t term, uint64_t prev_index, uint64_t prev_term,
                                 const struct message_entry *entries, uint32_t count)
{
    return (struct message){.type = MESSAGE_APPEND_ENTRIES,
                            .append_entries = {.term = term,
                                               .prev_log_index = prev_index,
                                               .prev_log_term = prev_term,
                                               .leader_commit = 1,
                                               .entries = entries,
                                               .entry_count = count}};
}

/* Leader of three in term 2, with member 2 up to date and entry 2, the term's own, committed. */
void engine_kit_lead(struct engine_kit *x)
{
    engine_kit_stand(x);
    ck_assert_int_eq(engine_state(x->engine), ENGINE_CANDIDATE);
    engine_kit_receive(x, 2, engine_kit_vote_result(2, true, true));
    engine_kit_receive(x, 2, engine_kit_vote_result(2, true, false));
    ck_assert_int_eq(engine_state(x->engine), ENGINE_LEADER);
    engine_kit_receive(x, 2, engine_kit_append_result(2, 0, 2));
    ck_assert_uint_eq(engine_commit_index(x->engine), 2);
    ck_assert_uint_eq(engine_match(x->engine, 2), 2);
    ck_assert(engine_leads_safely(x->engine));
}

const struct message *engine_kit_last_sent(const struct engine_kit *x, uint8_t type)
{
    for (size_t i = x->sent_count; i > 0; i--) {
        if (x->sent[i - 1].type == type) {
            return &x->sent[i - 1];
        }
    }
    return NULL;
}

enum status engine_kit_submit(struct engine_kit *x)
{
    uint64_t index;
    uint64_t term;
    return engine_submit(x->engine, slice_str("command"), &index, &term);
}

struct message_install_snapshot engine_kit_offer(struct buf *configuration,
                                                 const struct engine_configuration *c)
{
    engine_configuration_encode(configuration, c);
    return (struct message_install_snapshot){.term = 3,
                                             .last_index = 40,
                                             .last_term = 2,
                                             .configuration_index = 1,
                                             .configuration = buf_slice(configuration),
                                             .file_bytes = 4096};
}
