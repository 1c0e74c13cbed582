/* What the commands of coordctl share: parsed options, output, exit codes.
 *
 * To add a command: a function in a file named after its noun, a line in the table of main.c, a line
 * in the manual. */
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

#define CTL_WORDS_MAX 16

struct ctl {
    struct coord_client *client;
    const char *program;
    enum ctl_output output;
    /* words of the command behind its name, without flags */
    const char *words[CTL_WORDS_MAX];
    size_t word_count;
    /* flags of single commands */
    bool sequential;
    bool parents;
    bool recursive;
    bool long_format;
    bool dry_run;
    long long version; /* COORD_ANY_VERSION if not given */
    const char *file;
};

typedef int (*ctl_command_fn)(struct ctl *ctl);

/* Prints the error as "coordctl: get /a: node does not exist" (as JSON with -o json) and returns the
 * exit code that belongs to it. */
int ctl_failed(const struct ctl *ctl, const char *what, const struct coord_error *error);
int ctl_usage(const struct ctl *ctl, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* DATA of the command line: the argument itself, "-" = standard input, "@FILE" = that file. False
 * (and a message) if it cannot be read. */
bool ctl_read_data(const struct ctl *ctl, const char *word, struct buf *out);

/* Prints and frees. */
void ctl_print_json(json_t *value);
/* Bytes as a JSON string if they are UTF-8, else {"base64": "..."}. */
json_t *ctl_json_bytes(const void *data, size_t bytes);
json_t *ctl_json_stat(const Coord__V1__Stat *stat);
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
