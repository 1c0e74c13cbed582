/* What this node copies elsewhere by itself: scheduled backups, and the log between them. */
#ifndef COORDD_COPIES_H
#define COORDD_COPIES_H

#include "base/env.h"
#include "base/log.h"
#include "base/metrics.h"
#include "cmd/coordd/config.h"

struct copies;
struct node;

struct copies_options {
    struct env *env;
    struct log *log;
    struct metrics *metrics;
    struct node *node; /* must outlive it */
    const struct config *config;
};

/* NULL: the settings want none; all of the others take that for an argument. */
struct copies *copies_new(const struct copies_options *options);
void copies_free(struct copies *c);
/* After the node's turn. */
void copies_turn(struct copies *c, uint64_t now_ms);
uint64_t copies_next_deadline_ms(const struct copies *c);

#endif
