/* What a holder writes in the name of its session or lease. Private to tests/sim/holder*.c. */
#ifndef TESTS_SIM_HOLDER_WORK_H
#define TESTS_SIM_HOLDER_WORK_H

#include "tests/sim/holder.h"

/* Begins a write, or goes on with the one that has no answer yet. */
void holder_work(struct holder *h);
/* The call's `ended`. */
void holder_worked(struct remote_call *call, const struct remote_answer *answer);

/* In holder.c: the owner has been told that its session does not exist. */
void holder_is_gone(struct holder *h);
/* Fails if the answer is none that a client should ever see. */
void holder_check_failure(struct holder *h, const struct remote_answer *answer);

#endif
