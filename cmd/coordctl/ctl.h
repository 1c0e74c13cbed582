/* What the commands of coordctl share: parsed options, calls, output, exit codes.
 *
 * To add a command: a function in a file named after its noun, a row in a table of commands/,
 * a section in docs/coordctl.md (whose examples are tested). */
#ifndef CMD_COORDCTL_CTL_H
#define CMD_COORDCTL_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "client/call.h"
#include "client/client.h"
#include "client/discovery.h"

enum ctl_exit {
    EXIT_DONE = 0,
    EXIT_GENERAL = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_FOUND = 3,
    EXIT_VERSION = 4,
    EXIT_EXISTS = 5,
    EXIT_TIMEOUT = 6,
    EXIT_UNREACHABLE = 7,
    EXIT_DENIED = 8,
    EXIT_LIMITED = 9,
    EXIT_DEADLOCK = 10,
    EXIT_SIGNAL = 128, /* plus the signal's number */
};

enum ctl_output {
    OUTPUT_TABLE,
    OUTPUT_WIDE,
    OUTPUT_JSON,
    OUTPUT_JSONL,
    OUTPUT_YAML,
    OUTPUT_RAW,
    OUTPUT_NAME,
    OUTPUT_DOT, /* a graph, of lock explain */
};

/* What an import does with nodes that are there already. */
enum ctl_conflict { CONFLICT_FAIL, CONFLICT_KEEP, CONFLICT_REPLACE };

#define CTL_WORDS_MAX 16
#define OPTIONS_MAX   128

struct command;

#define CREDENTIALS_BYTES_MAX 512
#define CTL_TAGS_MAX          32
#define CTL_META_MAX          32
#define CTL_HEALTHS_MAX       5

struct signals;

struct credentials {
    char user[CREDENTIALS_BYTES_MAX];
    char password[CREDENTIALS_BYTES_MAX];
    char token[2 * CREDENTIALS_BYTES_MAX];
};

#define CTL_PATH_BYTES 4200 /* of a path, and more than one may have */

struct ctl {
    struct coord_client *client;
    struct coord_options options;
    struct coord_tls tls; /* options.tls, if anything of it is given */
    const char *context;    /* --context, COORD_CONTEXT; NULL: the current one */
    json_t *contexts;       /* the file of contexts, whose texts are pointed to; may be NULL */
    const char *given[OPTIONS_MAX]; /* options of the command line, as they were written there */
    const char *user;       /* --user, COORD_USER; NULL: not given */
    const char *token_file; /* --token-file, COORD_TOKEN_FILE */
    struct credentials credentials; /* what options.user, .password or .token point to */
    bool has_credentials; /* they were taken already, for a shell */
    enum ctl_output output;
    const struct command *command;
    const char *words[CTL_WORDS_MAX + 1]; /* of the command behind its name, without options */
    size_t word_count;
    const char *subject; /* what messages are about; NULL: the first word */
    char **program;      /* what stands behind --, of a command that takes that; else NULL */
    const struct buf *data; /* of create: what was read as DATA */
    /* options of single commands */
    bool sequential;
    bool deny;
    bool parents;
    bool recursive;
    bool long_format;
    bool dry_run;
    bool ephemeral;
    bool container;
    bool children;
    bool prefix;
    bool prev;
    bool once;
    bool list;
    bool keys_only;
    bool reverse;
    bool paths;
    bool not_renewable;
    bool learner;
    bool with_acl;
    bool diff;
    bool force;
    bool has_session;   /* --session, COORD_SESSION */
    bool wants_help;
    bool wants_version;
    long long version; /* COORD_ANY_VERSION if not given */
    enum ctl_conflict conflict;
    const char *file;
    const char *owner;
    const char *glob;
    const char *exec;
    unsigned types; /* COORD_WATCH_CREATED, ...; 0 = all */
    uint64_t limit; /* these: 0 = not given */
    uint64_t depth;
    uint64_t from_revision;
    uint64_t revision;
    uint64_t lease;
    uint64_t ttl_ms;
    uint64_t session_ttl_ms;
    uint64_t interval_ms;
    uint64_t bytes;
    uint64_t age_ms;
    uint64_t revisions;
    uint64_t nodes;
    uint32_t soft;
    uint64_t user_limits[4]; /* requests a second, connections, watches, leases; one more than it
                              * says, 0: not given */
    uint64_t versions; /* 0 = not given */
    bool open;
    bool plan;
    uint64_t step_ms;
    const char *strategy; /* these: NULL if not given */
    const char *percents;
    const char *labels;
    const char *effective; /* an instance */
    const char *ids;
    const char *gate;
    const char *gate_health;
    struct coord_session session;
    /* locks */
    bool try_only;
    bool read_only;
    bool write_only;
    uint64_t permits;
    int64_t low; /* bounds of a counter, if there are any */
    int64_t high;
    bool has_low;
    bool has_high;
    char lock_path[CTL_PATH_BYTES]; /* of the lock or election that the command is about */
    const char *name;               /* of a candidate */
    uint64_t priority;
    uint64_t wait_ms;
    const char *guard; /* --guard, COORD_GUARD: see guards.h; NULL: none */
    /* bench */
    uint64_t connections;
    uint64_t in_flight;
    uint64_t keys;
    uint64_t value_bytes;
    uint64_t write_percent;
    uint64_t watches;
    uint64_t duration_ms;
    uint64_t warm_up_ms;
    bool has_value_bytes;
    bool has_warm_up;
    bool keep;
    bool retry;
    int protocol; /* enum load_protocol */
    const char *path;
    const char *processes;
    /* svc */
    const char *id;
    const char *zone;
    const char *tags[CTL_TAGS_MAX];
    size_t tag_count;
    const char *meta[CTL_META_MAX]; /* NAME=VALUE */
    size_t meta_count;
    uint64_t weight;
    const char *check; /* "tcp", "heartbeat", or the path of an HTTP check; NULL: none */
    uint64_t check_interval_ms;
    bool only_new;
    bool undo;
    bool all;
    bool has_load;
    struct coord_load load;
    enum coord_health healths[CTL_HEALTHS_MAX];
    size_t health_count;
    bool reports;
    struct signals *signals; /* while a session is held in the foreground */
};

typedef int (*ctl_command_fn)(struct ctl *ctl);

/* What may begin with a dash in what it takes. */
enum command_tail {
    BEHIND_NOTHING,
    BEHIND_DATA,    /* its last word, which then goes behind -- */
    BEHIND_PROGRAM, /* a program and its arguments, behind -- */
};

struct command {
    const char *name; /* "get", or a noun and a verb: "session open" */
    ctl_command_fn run;
    size_t words_min;
    size_t words_max;
    enum command_tail tail;
    const char *options; /* long names of those it takes, separated by blanks */
    const char *usage;
    const char *help;
    const char *details; /* lines, each with its newline; the last ones are examples */
};

/* Of all commands; those of a noun follow one another. NULL: no more. */
const struct command *command_at(size_t index);
/* NULL if there is none. `verb` NULL: of one word. */
const struct command *command_find(const char *name, const char *verb);
bool command_is_noun(const char *word);
bool command_has_noun(const struct command *c, const char *noun);
/* ", did you mean WORD?" among commands, or the verbs of a noun (NULL: there is none), or what is
 * said for a word of etcdctl or zkCli, or "". */
const char *command_similar(const char *noun, const char *word, char *text);
/* Whether the usage calls a word of it, counted from 0, like this: "PATH". */
bool command_word_is(const struct command *c, size_t index, const char *what);
/* Prints the help of everything, or of a noun. */
void command_help_all(void);
void command_help_noun(const char *noun);
void command_help(const struct command *c);

/* Whether members are reached over TLS, by the options or the endpoints' scheme. */
bool ctl_speaks_tls(const struct ctl *ctl);

/* Reads COORD_* and the command line into `ctl`. EXIT_DONE, or EXIT_USAGE after a message. */
int options_parse(struct ctl *ctl, int argc, char **argv);
/* The same without COORD_*: over what `ctl` has already. */
int options_parse_line(struct ctl *ctl, int argc, char **argv);
/* What holds without a line: the environment and the context, for completion. */
void options_take_defaults(struct ctl *ctl);
/* Prints the help of the options named in `names` (NULL = the ones all commands take). */
void options_help(const char *names);

/* "coordctl complete WORD...": for the shells, what could stand in place of the last word, given
 * those before it. A line each: the word, a tab, what it is. Says nothing about what goes wrong,
 * and asks a cluster for at most a second. Returns the exit code. */
int complete(int count, char **words);

/* One line on standard error: "coordctl: get /a: node does not exist"; JSON with -o json.
 * Return the exit code that belongs to it. */
int ctl_failed(const struct ctl *ctl, const struct coord_error *error);
/* Of a transaction, for what its reply says: as of a call that ended so. */
int ctl_outcome_exit(const struct ctl *ctl, Coord__V1__Outcome outcome);
int ctl_general(const struct ctl *ctl, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int ctl_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* client_call; reports what goes wrong and returns its exit code. On EXIT_DONE `reply` is to be
 * freed by client_reply_free. */
int ctl_call(const struct ctl *ctl, enum client_method method, ProtobufCMessage *request,
             Coord__V1__RequestHeader *header, ProtobufCMessage **reply);

/* The same for a call whose reply says no more than that it was done. */
int ctl_change(const struct ctl *ctl, enum client_method method, ProtobufCMessage *request,
               Coord__V1__RequestHeader *header);

/* DATA of the command line: the argument itself, "-" = standard input, "@FILE" = that file.
 * Reports what goes wrong and returns its exit code. */
int ctl_read_data(const struct ctl *ctl, const char *word, struct buf *out);

/* client_fail's counterpart for the typed calls: EXIT_DONE, or reports and returns the code. */
int ctl_check(const struct ctl *ctl, enum coord_code code, const struct coord_error *error);
/* A signal that asks to end: its number goes into the exit code. */
int ctl_signal_exit(int number);

/* Whether the output is made from JSON: also as YAML, or names alone. */
bool ctl_is_json(const struct ctl *ctl);
bool ctl_is_table(const struct ctl *ctl); /* for people: table or wide */
/* Prints and frees one of many objects that follow each other, each as a whole. */
void ctl_print_one(const struct ctl *ctl, json_t *value);
/* Prints and frees. With jsonl on one line, and the elements of an array on one each. */
void ctl_print_json(const struct ctl *ctl, json_t *value);
/* Lists by `page` until there is no further one: it adds to `array`, or prints if that is NULL, and
 * moves `after` on; empty: it was the last. Returns the exit code. */
int ctl_list_pages(struct ctl *ctl, int (*page)(struct ctl *ctl, char after[CTL_PATH_BYTES],
                                                json_t *array));
/* Bytes as a JSON string if they are UTF-8, else {"base64": "..."}. */
json_t *ctl_json_bytes(const void *data, size_t bytes);
json_t *ctl_json_stat(const Coord__V1__Stat *stat); /* null for NULL */
/* Notes, owners and the like, which others have chosen, on a line for people: control characters
 * are blanks there, so that none poses as a line of its own or acts on the terminal. */
void ctl_append_plain(struct buf *out, const char *text);
void ctl_print_plain(const char *text);
/* A 64-bit id as text: JSON's numbers are doubles to many readers. */
json_t *ctl_json_hex(uint64_t value);
/* "2026-01-01T00:00:00Z" in UTC. */
void ctl_format_time(uint64_t ms, char *text, size_t bytes);
const char *ctl_kind_name(int kind);
/* protobuf-c takes char * for what it only reads. */
char *ctl_text(const char *s);

/* Connects and runs the command that was parsed, or explains. Returns the exit code, also when
 * standard output could not be written. */
int ctl_run(struct ctl *ctl);

int ctl_create(struct ctl *ctl);
int ctl_get(struct ctl *ctl);
int ctl_set(struct ctl *ctl);
int ctl_rm(struct ctl *ctl);
int ctl_ls(struct ctl *ctl);
int ctl_tree(struct ctl *ctl);
int ctl_stat(struct ctl *ctl);
int ctl_sync(struct ctl *ctl);
int ctl_txn(struct ctl *ctl);
int ctl_status(struct ctl *ctl);
int ctl_member_list(struct ctl *ctl);
int ctl_member_add(struct ctl *ctl);
int ctl_member_remove(struct ctl *ctl);
int ctl_member_replace(struct ctl *ctl);
int ctl_member_grow(struct ctl *ctl);
int ctl_member_promote(struct ctl *ctl);
int ctl_member_transfer(struct ctl *ctl);
int ctl_doctor(struct ctl *ctl);
int ctl_bench(struct ctl *ctl);
int ctl_upgrade_status(struct ctl *ctl);
int ctl_upgrade_finish(struct ctl *ctl);
int ctl_session_open(struct ctl *ctl);
int ctl_session_list(struct ctl *ctl);
int ctl_session_keepalive(struct ctl *ctl);
int ctl_session_close(struct ctl *ctl);
int ctl_lease_grant(struct ctl *ctl);
int ctl_lease_keepalive(struct ctl *ctl);
int ctl_lease_revoke(struct ctl *ctl);
int ctl_lease_ttl(struct ctl *ctl);
int ctl_lease_list(struct ctl *ctl);
int ctl_watch(struct ctl *ctl);
int ctl_history(struct ctl *ctl);
int ctl_diff(struct ctl *ctl);
int ctl_snapshot_save(struct ctl *ctl);
int ctl_snapshot_inspect(struct ctl *ctl);
int ctl_auth_enable(struct ctl *ctl);
int ctl_auth_disable(struct ctl *ctl);
int ctl_auth_status(struct ctl *ctl);
int ctl_auth_login(struct ctl *ctl);
int ctl_auth_whoami(struct ctl *ctl);
int ctl_user_add(struct ctl *ctl);
int ctl_user_passwd(struct ctl *ctl);
int ctl_user_delete(struct ctl *ctl);
int ctl_user_disable(struct ctl *ctl);
int ctl_user_enable(struct ctl *ctl);
int ctl_user_grant_role(struct ctl *ctl);
int ctl_user_revoke_role(struct ctl *ctl);
int ctl_user_limit(struct ctl *ctl);
int ctl_user_list(struct ctl *ctl);
int ctl_user_get(struct ctl *ctl);
int ctl_role_add(struct ctl *ctl);
int ctl_role_delete(struct ctl *ctl);
int ctl_role_grant(struct ctl *ctl);
int ctl_role_revoke(struct ctl *ctl);
int ctl_role_list(struct ctl *ctl);
int ctl_role_get(struct ctl *ctl);
int ctl_acl_get(struct ctl *ctl);
int ctl_acl_set(struct ctl *ctl);
int ctl_quota_list(struct ctl *ctl);
int ctl_quota_get(struct ctl *ctl);
int ctl_quota_set(struct ctl *ctl);
int ctl_quota_remove(struct ctl *ctl);
int ctl_svc_register(struct ctl *ctl);
int ctl_svc_deregister(struct ctl *ctl);
int ctl_svc_drain(struct ctl *ctl);
int ctl_svc_heartbeat(struct ctl *ctl);
int ctl_svc_list(struct ctl *ctl);
int ctl_svc_get(struct ctl *ctl);
int ctl_svc_watch(struct ctl *ctl);
int ctl_shard_create(struct ctl *ctl);
int ctl_shard_configure(struct ctl *ctl);
int ctl_shard_drop(struct ctl *ctl);
int ctl_shard_status(struct ctl *ctl);
int ctl_shard_plan(struct ctl *ctl);
int ctl_shard_apply(struct ctl *ctl);
int ctl_shard_watch(struct ctl *ctl);
int ctl_shard_move(struct ctl *ctl);
int ctl_shard_abort(struct ctl *ctl);
int ctl_shard_hold(struct ctl *ctl);
int ctl_shard_resume(struct ctl *ctl);
int ctl_shard_split(struct ctl *ctl);
int ctl_shard_merge(struct ctl *ctl);
int ctl_shard_set(struct ctl *ctl);
int ctl_shard_key(struct ctl *ctl);
int ctl_shard_join(struct ctl *ctl);
int ctl_shard_leave(struct ctl *ctl);
int ctl_shard_locate(struct ctl *ctl);
int ctl_config_init(struct ctl *ctl);
int ctl_config_drop(struct ctl *ctl);
int ctl_config_list(struct ctl *ctl);
int ctl_config_get(struct ctl *ctl);
int ctl_config_set(struct ctl *ctl);
int ctl_config_update(struct ctl *ctl);
int ctl_config_watch(struct ctl *ctl);
int ctl_config_history(struct ctl *ctl);
int ctl_config_diff(struct ctl *ctl);
int ctl_config_rollback(struct ctl *ctl);
int ctl_config_schema(struct ctl *ctl);
int ctl_config_rollout(struct ctl *ctl);
int ctl_config_effective(struct ctl *ctl);
int ctl_policy_list(struct ctl *ctl);
int ctl_policy_set(struct ctl *ctl);
int ctl_policy_unset(struct ctl *ctl);
int ctl_policy_retention(struct ctl *ctl);
int ctl_shell(struct ctl *ctl);
int ctl_top(struct ctl *ctl);
int ctl_context_list(struct ctl *ctl);
int ctl_context_use(struct ctl *ctl);
int ctl_context_set(struct ctl *ctl);
int ctl_context_remove(struct ctl *ctl);
int ctl_export(struct ctl *ctl);
int ctl_import(struct ctl *ctl);
int ctl_lock(struct ctl *ctl);
int ctl_lock_get(struct ctl *ctl);
int ctl_lock_list(struct ctl *ctl);
int ctl_lock_explain(struct ctl *ctl);
int ctl_lock_ask_release(struct ctl *ctl);
int ctl_lock_remove(struct ctl *ctl);
int ctl_counter_add(struct ctl *ctl);
int ctl_counter_get(struct ctl *ctl);
int ctl_counter_ids(struct ctl *ctl);
int ctl_latch_set(struct ctl *ctl);
int ctl_latch_count_down(struct ctl *ctl);
int ctl_latch_get(struct ctl *ctl);
int ctl_latch_await(struct ctl *ctl);
int ctl_barrier_get(struct ctl *ctl);
int ctl_barrier_remove(struct ctl *ctl);
int ctl_elect(struct ctl *ctl);
int ctl_elect_leader(struct ctl *ctl);
int ctl_elect_list(struct ctl *ctl);
int ctl_elect_resign(struct ctl *ctl);
int ctl_elect_hand_over(struct ctl *ctl);
int ctl_elect_observe(struct ctl *ctl);

#endif
