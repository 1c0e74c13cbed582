/* svc heartbeat: a sign of life of an instance, once or every so often. */
#include <stdio.h>

#include "cmd/coordctl/signals.h"
#include "cmd/coordctl/svc.h"

static enum coord_code beat(struct ctl *ctl, enum coord_health *health, struct coord_error *error)
{
    return coord_heartbeat(ctl->client, ctl->words[0], ctl->words[1], 0,
                           ctl->has_load ? &ctl->load : NULL, health, error);
}

static void print_health(const struct ctl *ctl, enum coord_health health)
{
    if (ctl_is_json(ctl)) {
        ctl_print_one(ctl, json_pack("{s:s, s:s, s:s}", "service", ctl->words[0], "id",
                                     ctl->words[1], "health", svc_health_name(health)));
    } else {
        printf("%s\n", svc_health_name(health));
    }
    (void)fflush(stdout);
}

/* Goes on over what may be well again the next time; says the health, and when it changes. */
static int beat_on(struct ctl *ctl, struct signals *signals)
{
    int number = signals_take(signals);
    bool is_known = false;
    enum coord_health last = COORD_HEALTH_PASSING;
    while (number == 0) {
        struct coord_error error;
        enum coord_health health;
        enum coord_code code = beat(ctl, &health, &error);
        bool may_pass = code == COORD_UNAVAILABLE || code == COORD_TIMEOUT;
        if (code != COORD_OK && !may_pass) {
            return ctl_failed(ctl, &error);
        }
        if (code != COORD_OK) {
            fprintf(stderr, "coordctl: svc heartbeat: %s\n", error.message);
        } else if (!is_known || health != last) {
            print_health(ctl, health);
            is_known = true;
            last = health;
        }
        number = signals_wait(signals, -1, ctl->interval_ms);
    }
    return ctl_signal_exit(number);
}

int ctl_svc_heartbeat(struct ctl *ctl)
{
    struct coord_error error;
    struct signals signals;
    enum coord_health health;
    if (ctl->interval_ms == 0) {
        int exit_code = ctl_check(ctl, beat(ctl, &health, &error), &error);
        if (exit_code == EXIT_DONE) {
            print_health(ctl, health);
        }
        return exit_code;
    }
    if (!signals_open(&signals)) {
        return ctl_general(ctl, "signals cannot be waited for");
    }
    int exit_code = beat_on(ctl, &signals);
    signals_close(&signals);
    return exit_code;
}
