/* What the subcommands that work on files share: `coordd restore` and `coordd recover`. They run
 * without a loop, from begin to end, and say on standard output what they did as lines
 *
 *   key:  value
 *
 * in a fixed order, for people and scripts. On a terminal the progress of what takes long is shown
 * on standard error.
 */
#ifndef COORDD_OFFLINE_H
#define COORDD_OFFLINE_H

#include "base/env.h"
#include "base/log.h"
#include "cmd/coordd/config.h"
#include "raft/rebirth.h"
#include "lease/table.h"
#include "raft/replay.h"

enum offline_exit {
    OFFLINE_DONE = 0,
    OFFLINE_FAILED = 1,
    OFFLINE_SETTINGS = 2,
    OFFLINE_UNCONFIRMED = 3, /* nothing was done, for lack of a --yes */
};

/* ---- flags -------------------------------------------------------------------------------- */

#define OFFLINE_VALUES_MAX NODE_MEMBERS_MAX

/* A flag of the subcommand's own; all others are settings of coordd. */
struct offline_flag {
    const char *name;
    const char *takes; /* NULL: a switch */
    size_t max;        /* how often it may be given */
    const char *help;
    size_t count; /* out */
    const char *values[OFFLINE_VALUES_MAX];
};

struct offline_usage {
    const char *name; /* "restore" */
    const char *text; /* before the flags */
    const char *examples; /* and behind them */
};

/* Takes the own flags (`flags` ends with a name of NULL) out of the arguments and reads the
 * settings from the others, the environment and the config file, as coordd does. RC_INVALID with
 * one line. `--help` prints the usage and is RC_STOPPED. */
enum status offline_parse(int argc, char **argv, const struct offline_usage *usage,
                          struct offline_flag *flags, struct config *config,
                          struct errmsg *err) MUST_USE;
struct offline_flag *offline_flag(struct offline_flag *flags, const char *name);
/* The value of a flag that may be given once, or NULL. */
const char *offline_value(struct offline_flag *flags, const char *name);
/* A number; 0 if the flag is not given. */
enum status offline_number(struct offline_flag *flags, const char *name, uint64_t *out,
                           struct errmsg *err) MUST_USE;

/* ---- the process -------------------------------------------------------------------------- */

struct offline;

struct offline *offline_open(void);
void offline_close(struct offline *o);
struct env *offline_env(struct offline *o);

/* Shows how far it is, on a terminal and not too often. */
void offline_progress(struct offline *o, const char *what, uint64_t done, const char *unit);
void offline_progress_end(struct offline *o);

/* ---- work --------------------------------------------------------------------------------- */

/* Loads a snapshot file with progress, and proves it: sums, digest, invariants. */
enum status offline_load(struct offline *o, const char *path, struct store **store,
                         struct snapshot_meta *meta, struct errmsg *err) MUST_USE;

/* Makes `config`'s data dir out of the state, reads back what was written, reports. The token is
 * random if none is given; `out_token` has REBIRTH_TOKEN_BYTES_MAX bytes. */
enum status offline_rebirth(struct offline *o, const struct config *config, const char *token,
                            struct rebirth_options *options, struct store *s, char *out_token,
                            struct rebirth_report *report, struct errmsg *err) MUST_USE;

/* The first line of the new node's audit log: who made its data dir, out of what. A log that cannot
 * be written is told, and no failure. */
void offline_audit(struct offline *o, const struct config *config, const char *request,
                   const char *from, const struct rebirth_report *report);

/* What a restore begins with. */
struct restore_backup {
    char *path; /* of the file */
    struct store *store;
    struct snapshot_meta meta;
    uint64_t wall_ms; /* of the last change in it; 0 = unknown */
};

/* `from` is a file, or a directory of them (*.db): then it is the latest one that is whole and not
 * behind the target; RC_NOT_FOUND if there is none. Errors as of offline_load. */
enum status restore_backup_load(struct offline *o, const char *from,
                                const struct replay_target *target,
                                struct restore_backup *out, struct errmsg *err) MUST_USE;
void restore_backup_close(struct restore_backup *b); /* zeroed is fine */

/* The lines that describe a state. */
void offline_say_state(const struct store *s, uint64_t wall_ms);
void offline_say(const char *key, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- time --------------------------------------------------------------------------------- */

#define OFFLINE_TIME_BYTES 32

/* "2026-01-31T12:00:00.000Z" */
const char *offline_time_text(uint64_t wall_ms, char *text);
/* The same, also with an offset ("+02:00") instead of the Z, and without the fraction or with one
 * of up to three digits. */
bool offline_time_parse(const char *text, uint64_t *wall_ms);

/* ---- subcommands -------------------------------------------------------------------------- */

int restore_run(int argc, char **argv);
int recover_run(int argc, char **argv);

#endif
