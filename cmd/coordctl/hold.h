/* The frame of `lock` and `elect`: a session, their own or that of --session, something that is
 * asked for in it, and then a program, or nothing, as long as that is held. Signals are looked
 * at all the time.
 *
 *   OPENING --> ASKING --> HOLDING --> CLOSING --> ended
 *
 * In each state but the last a signal that asks to end leads to CLOSING, or to the program,
 * once that runs; a second one while CLOSING ends at once. */
#ifndef CMD_COORDCTL_HOLD_H
#define CMD_COORDCTL_HOLD_H

#include "cmd/coordctl/child.h"
#include "cmd/coordctl/ctl.h"
#include "cmd/coordctl/signals.h"

struct hold;

struct hold_ops {
    /* In the session: begins to ask; hold_failed or hold_begin follow. */
    void (*ask)(struct hold *h);
    /* It is held: sets the program's environment, or prints what is held if there is none. */
    void (*held)(struct hold *h);
    /* Frees what it has of the client's; called again it does nothing. `gives_back`: and
     * begins to give back what it has in the session, or has asked for, as that goes on. */
    void (*clear)(struct hold *h, bool gives_back);
};

enum hold_state { HOLD_OPENING, HOLD_ASKING, HOLD_HOLDING, HOLD_CLOSING, HOLD_ENDED };

struct hold {
    struct ctl *ctl;
    const struct hold_ops *ops;
    enum hold_state state;
    struct signals signals;
    struct child child;
    bool has_child;
    bool is_attached;  /* to a session of somebody else's */
    uint64_t ttl_ms;   /* of the session */
    uint64_t until_ms; /* CLOSING: no longer */
    int exit_code;
};

/* Runs all of it; returns the exit code. `h` is zeroed but for ctl and ops. */
int hold_run(struct hold *h);

/* One round of an event loop: the client's sockets, and signals, for at most `timeout_ms`. */
void hold_turn(struct coord_client *client, struct signals *signals, int timeout_ms);

/* ---- for the operations */
void hold_failed(struct hold *h, const struct coord_error *error);
/* It is held from now on. */
void hold_begin(struct hold *h);
/* It is not held any more, or may not be: the program is ended. Told once. */
void hold_lost(struct hold *h, const struct coord_error *why);

#endif
