/* What the clients asked and were told, and the judgement over it.
 *
 * Every write of a value writes one that names its operation, so a value read says which write
 * it came from; every reply carries revision and log index. From that follows, per key, a
 * timeline of the writes whose fate is known, ordered by revision, and every other statement (a
 * read, a listing, "exists already", "no node") must fit it:
 *
 *   - what returned before something else was asked has a smaller log index (writes), or one
 *     not larger (reads): real-time order, so reads and writes are linearizable;
 *   - a read at revision R shows the last known write up to R, or a later one of unknown fate
 *     that had been asked before the read returned; never one that was refused as not proposed;
 *   - no two operations own one revision, a version is won by one, a retried request ran once;
 *   - at the end, every node's own state is read as a whole and judged in the same way, so that
 *     an acknowledged write that is missing anywhere is a violation.
 */
#ifndef TESTS_SIM_JOURNAL_H
#define TESTS_SIM_JOURNAL_H

#include "tests/sim/cluster.h"

enum { KEYS_PLAIN = 6, KEYS_COUNT = 2, KEYS_CAS = 2, KEYS_PAIR = 2 };
enum {
    KEY_PLAIN = 0, /* /k/n: created, set, deleted */
    KEY_COUNT =
        KEY_PLAIN + KEYS_PLAIN,       /* /c/n: set by requests with ids: version counts them */
    KEY_CAS = KEY_COUNT + KEYS_COUNT, /* /v/n: set only at an expected version */
    KEY_PAIR = KEY_CAS + KEYS_CAS,    /* /p/n: always set both in one transaction */
    KEY_END = KEY_PAIR + KEYS_PAIR,
};

enum op_kind {
    DO_CREATE,
    DO_SET,
    DO_DELETE,
    DO_COUNT,
    DO_CAS,
    DO_SEQUENTIAL,
    DO_PAIR,
    DO_ROLLED_BACK, /* sets a pair key, then fails: must have no effect */
    DO_GET,
    DO_LIST,
    DO_SESSION_GET,
    DO_BARRIER, /* a sync, then a local read of the same node */
    DO_LOCAL_GET,
    DO_BOUNDED_GET,
    DO_KINDS,
};

enum fate { FATE_PENDING, FATE_DONE, FATE_NOT_PROPOSED, FATE_UNKNOWN };

struct record {
    uint8_t kind;
    uint8_t fate;
    uint8_t outcome;
    bool had_effect;
    bool has_id;
    bool spans_end; /* asked of a cluster that came to its end, and not answered by then */
    uint32_t client;
    uint32_t key;
    uint32_t version; /* DO_CAS: expected */
    uint64_t invoked_us;
    uint64_t returned_us;
    uint64_t floor_index; /* what had been confirmed to anybody when it was asked */
    uint64_t floor_revision;
    uint64_t index;
    uint64_t revision;
    uint64_t sequence; /* DO_SEQUENTIAL: the number got */
};

/* What a reply said about the whole operation. */
struct told {
    uint8_t outcome; /* enum outcome */
    bool took_then;
    bool repeated;
    uint64_t revision;
    uint64_t index; /* 0: a refused call does not say it */
};

/* A statement about one key at one revision. */
struct sight {
    uint32_t key;
    bool exists;
    uint64_t at_revision;
    uint64_t modify_revision; /* 0 = not said */
    uint64_t value;           /* operation that wrote it; 0 = not said */
    uint64_t returned_us;
};

/* From then on this index had been told to somebody. */
struct confirmed {
    uint64_t at_us;
    uint64_t index;
};

struct journal {
    struct cluster *cluster;
    struct record *records; /* operation number - 1 */
    size_t record_count;
    struct sight *sights;
    size_t sight_count;
    uint64_t high_index; /* highest that any client was told */
    uint64_t high_revision;
    struct confirmed *confirmed; /* how high_index rose */
    size_t confirmed_count;
    uint64_t lost_from; /* what revisions behind this one, up to that one, said is lost */
    uint64_t lost_to;
    uint64_t acked; /* operations with a definite outcome */
    uint64_t acked_writes;
};

void journal_init(struct journal *h, struct cluster *c);
void journal_close(struct journal *h);

/* Returns the number of the operation, from 1. */
uint64_t journal_begin(struct journal *h, enum op_kind kind, uint32_t client, uint32_t key);
struct record *journal_record(struct journal *h, uint64_t number);
/* A write's reply, or a read's index (0: not said) and revision: checks real-time order. */
void journal_written(struct journal *h, uint64_t number, const struct told *told);
void journal_read(struct journal *h, uint64_t number, uint64_t index, uint64_t revision,
                  bool is_linearizable);
/* What any client had been told at that time. */
uint64_t journal_confirmed_at(const struct journal *h, uint64_t at_us);
/* The cluster has lost what came after this index and revision: nobody knows what of it may come to
 * pass. `seen` is the last revision that anybody can have seen. What is under way may have come to
 * pass in what is lost, and may do so again, since its reply is lost too. */
void journal_rewind(struct journal *h, uint64_t index, uint64_t revision, uint64_t seen);
void journal_lost(struct journal *h, uint64_t number, enum fate fate);
void journal_see(struct journal *h, const struct sight *s);

/* "/k/3" and back; KEY_END if it is none. */
void key_path(uint32_t key, char *path, size_t bytes);
uint32_t key_of(struct slice path);
/* Number of the operation that wrote the value; 0 if it is not one of ours. */
uint64_t value_number(struct slice data);

/* Reads the whole state of a node and adds it to what was seen. */
void journal_see_store(struct journal *h, uint32_t node);
/* The judgement; violations go to world_fail. */
void journal_check(struct journal *h);

#endif
