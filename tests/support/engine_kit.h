/* One engine under test: over a disk that can fail, among members that say what the test wants. */
#ifndef TESTS_SUPPORT_ENGINE_KIT_H
#define TESTS_SUPPORT_ENGINE_KIT_H

#include "raft/engine.h"
#include "tests/support/fake_env.h"

#define ENGINE_KIT_SENT_MAX 256

struct engine_kit {
    struct fake_env fake;
    struct engine *engine;
    struct errmsg err;
    struct engine_configuration first;
    struct engine_snapshot snapshot; /* for the next open */
    bool joins;                      /* likewise */
    uint64_t trailing_bytes;         /* likewise; 0 = default */
    /* told by events */
    struct message sent[ENGINE_KIT_SENT_MAX]; /* without their entries */
    uint64_t sent_to[ENGINE_KIT_SENT_MAX];
    size_t sent_count;
    uint64_t applied;
    uint64_t applied_commands;
    uint64_t installed;
    int fatals;
};

/* `members` voters; the engine will be number 1. */
void engine_kit_init(struct engine_kit *x, size_t members, uint64_t seed);
enum status engine_kit_open_with(struct engine_kit *x,
                                 const struct engine_configuration *first);
void engine_kit_open(struct engine_kit *x); /* bootstraps */
void engine_kit_close(struct engine_kit *x);

/* Turns until the disk has nothing left to do. */
void engine_kit_run(struct engine_kit *x);
void engine_kit_receive(struct engine_kit *x, uint64_t from, struct message m);
enum status engine_kit_submit(struct engine_kit *x);
/* Of three: leader in term 2, with member 2 up to date and entry 2, the term's own, committed. */
void engine_kit_lead(struct engine_kit *x);
/* A candidate that asks for pre-votes. */
void engine_kit_stand(struct engine_kit *x);
/* The newest message of this type that left, or NULL. */
const struct message *engine_kit_last_sent(const struct engine_kit *x, uint8_t type);

struct message engine_kit_vote_result(uint64_t term, bool granted, bool pre_vote);
struct message engine_kit_append_result(uint64_t term, uint64_t rejected, uint64_t last);
struct message engine_kit_append(uint64_t term, uint64_t prev_index, uint64_t prev_term,
                                 const struct message_entry *entries, uint32_t count);
struct message_install_snapshot engine_kit_offer(struct buf *configuration,
                                                 const struct engine_configuration *c);

#endif
