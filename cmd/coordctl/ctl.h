/* What the commands of coordctl share: parsed options, calls, output, exit codes.
 *
 * To add a command: a function in a file named after its noun, a row in the table of command.c,
 * a section in docs/coordctl.md (whose examples are tested). */
#ifndef CMD_COORDCTL_CTL_H
#define CMD_COORDCTL_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "client/call.h"
#include "client/client.h"

enum ctl_exit {
    EXIT_DONE = 0,
    EXIT_GENERAL = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_FOUND = 3,
    EXIT_VERSION = 4,
    EXIT_EXISTS = 5,
    EXIT_TIMEOUT = 6,
    EXIT_UNREACHABLE = 7,
};

enum ctl_output { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_RAW };

#define CTL_WORDS_MAX 2

struct command;

struct ctl {
    struct coord_client *client;
    struct coord_options options;
    enum ctl_output output;
    const struct command *command;
    const char *words[CTL_WORDS_MAX + 1]; /* of the command behind its name, without options */
    size_t word_count;
    /* options of single commands */
    bool sequential;
    bool parents;
    bool recursive;
    bool long_format;
    bool dry_run;
    bool wants_help;
    bool wants_version;
    long long version; /* COORD_ANY_VERSION if not given */
    const char *file;
};

typedef int (*ctl_command_fn)(struct ctl *ctl);

struct command {
    const char *name;
    ctl_command_fn run;
    size_t words_min;
    size_t words_max;
    const char *options; /* long names of those it takes, separated by blanks */
    const char *usage;
    const char *help;
    const char *details; /* lines, each with its newline */
};

const struct command *command_find(const char *name); /* NULL if there is none */
void command_help_all(void);
void command_help(const struct command *c);

/* Reads COORD_* and the command line into `ctl`. EXIT_DONE, or EXIT_USAGE after a message. */
int options_parse(struct ctl *ctl, int argc, char **argv);
/* Prints the help of the options named in `names` (NULL = the ones all commands take). */
void options_help(const char *names);

/* One line on standard error: "coordctl: get /a: node does not exist"; JSON with -o json.
 * Return the exit code that belongs to it. */
int ctl_failed(const struct ctl *ctl, const struct coord_error *error);
int ctl_general(const struct ctl *ctl, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int ctl_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* client_call; reports what goes wrong and returns its exit code. On EXIT_DONE `reply` is to be
 * freed by client_reply_free. */
int ctl_call(const struct ctl *ctl, enum client_method method, ProtobufCMessage *request,
             Coord__V1__RequestHeader *header, ProtobufCMessage **reply);

/* DATA of the command line: the argument itself, "-" = standard input, "@FILE" = that file.
 * Reports what goes wrong and returns its exit code. */
int ctl_read_data(const struct ctl *ctl, const char *word, struct buf *out);

/* Prints and frees. */
void ctl_print_json(json_t *value);
/* Bytes as a JSON string if they are UTF-8, else {"base64": "..."}. */
json_t *ctl_json_bytes(const void *data, size_t bytes);
json_t *ctl_json_stat(const Coord__V1__Stat *stat); /* null for NULL */
/* A 64-bit id as text: JSON's numbers are doubles to many readers. */
json_t *ctl_json_hex(uint64_t value);
/* "2026-01-01T00:00:00Z" in UTC. */
void ctl_format_time(uint64_t ms, char *text, size_t bytes);
const char *ctl_kind_name(int kind);
/* protobuf-c takes char * for what it only reads. */
char *ctl_text(const char *s);

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

#endif
