/* The audit log: one line of JSON for each request that this node answered to a client and that its
 * level asks for: who, from where, what, revision, outcome. Front ends tell it of every answer, at
 * the one place where each of them answers; it decides what is written.
 *
 *   facts.h   what a request is about, noted while it is at hand
 *   line.h    an event as a line, of the pieces in line_json.h
 *   denial.h  why something was denied
 *   file.h    the file: appending, rotation
 *   audit.h   gathering and writing in batches, on a worker of its own
 *
 * Lines gather for 0.1 s and are written together. At most AUDIT_PENDING_BYTES_MAX wait: when the
 * disk is full, broken or too slow, further ones are dropped and counted, and a line says how many
 * were as soon as there is room again. So the log never holds up the node, let alone ends it; what
 * it lacks is known. Each batch is one write; synced are a file that is rotated away and the last
 * one at an orderly stop. What was written to the state is told by the Raft log and the change log,
 * with or without these lines.
 *
 * On the loop. NULL is an audit that is off, for all functions. */
#ifndef NET_AUDIT_AUDIT_H
#define NET_AUDIT_AUDIT_H

#include "base/env.h"
#include "base/log.h"
#include "base/metrics.h"
#include "net/audit/facts.h"
#include "store/reply.h"

struct audit;
struct store;
struct tls_peer;

#define AUDIT_PENDING_BYTES_MAX ((size_t)4 << 20)
#define AUDIT_FILE_BYTES_MAX    ((uint64_t)64 << 20)
#define AUDIT_FILES_KEPT        ((uint64_t)8)

enum audit_level {
    AUDIT_OFF,
    AUDIT_DENIALS, /* what was not allowed */
    AUDIT_WRITES,  /* and what changes or hands out something */
    AUDIT_ALL,     /* and what only looks */
};

/* What kind of request it is. Who does not say is written about. */
enum audit_class {
    AUDIT_WRITE = 0,
    AUDIT_READ,
    AUDIT_NEVER, /* denials apart: keepalives, health */
};

struct audit_options {
    struct env *env;
    struct log *log;         /* may be NULL */
    struct metrics *metrics; /* may be NULL */
    const char *node;        /* its name, in each line */
    const char *path;        /* of the file; its folder is made if that of the folder is there */
    enum audit_level level;
    uint64_t file_bytes_max; /* 0 = default */
    uint64_t files_kept;     /* besides the one that is written to; 0 = default */
};

/* A request that was answered. All is borrowed until return. */
struct audit_event {
    const char *protocol;
    const char *peer;
    const struct tls_peer *tls; /* NULL: the connection is not encrypted */
    const struct store *store;  /* to tell users, and why something was denied; may be NULL */
    struct slice identities;    /* of the caller */
    uint64_t session;           /* 0 = none */
    const char *request;        /* what the protocol calls it */
    struct slice facts;
    enum audit_class class;
    bool is_denied;
    const char *outcome; /* "ok", "unknown", the name of an outcome or status */
    uint64_t revision;   /* of the state that answered; 0 = not told */
    /* Of a command that was applied; NULL: it was not, or nobody knows. */
    const struct reply *reply;
    uint32_t failed_op; /* as the client counts */
};

/* NULL if the level is AUDIT_OFF. Copies strings. A file that cannot be opened is no failure: it is
 * told in the log, and tried again. */
struct audit *audit_new(const struct audit_options *options);
/* Writes what is left, syncs, closes. Waits for the disk. */
void audit_free(struct audit *a);

/* Whether requests of this class are written about even if nothing is denied: else what is known
 * only for that need not be noted. */
bool audit_wants(const struct audit *a, enum audit_class class);
void audit_add(struct audit *a, const struct audit_event *e);

/* Once per loop turn: hands over what is due. */
void audit_turn(struct audit *a, uint64_t now_ms);
uint64_t audit_next_deadline_ms(const struct audit *a);

/* The name of an outcome as gRPC's trailer coord-outcome has it, "NO_AUTH"; "ok" of OUTCOME_OK. */
const char *audit_outcome_name(enum outcome outcome);

#endif
