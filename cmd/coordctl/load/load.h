/* The load generator: many requests in flight on many connections, from one thread, over coord's
 * gRPC, ZooKeeper's protocol or etcd's gRPC, so that the same program measures all three.
 *
 * A run: connect; make the nodes that are worked on; warm up; measure; compare how far the server's
 * revision rose with the writes that it acknowledged; remove the nodes again. Closed loop: each of
 * `connections` x `in_flight` slots begins its next request when its last one was answered, and the
 * latency is from submission to answer.
 *
 * To add a workload: an entry of enum load_work, its choice of requests in load/run.c. To add a
 * protocol: a struct load_dialect (load/engine.h). */
#ifndef CMD_COORDCTL_LOAD_LOAD_H
#define CMD_COORDCTL_LOAD_LOAD_H

#include "client/client.h"
#include "client/endpoint.h"
#include "client/wire.h"
#include "cmd/coordctl/load/latency.h"

#define LOAD_CONNECTIONS_MAX ((size_t)10000)
#define LOAD_IN_FLIGHT_MAX   ((size_t)10000)
#define LOAD_VALUE_BYTES_MAX ((size_t)1 << 20)
#define LOAD_KEYS_MAX        ((uint64_t)100000000)
#define LOAD_LOCKS_MAX       ((uint64_t)1000000)
#define LOAD_WATCHES_MAX     ((size_t)1000000)

enum load_protocol { LOAD_GRPC, LOAD_ZOOKEEPER, LOAD_ETCD, LOAD_PROTOCOLS };

enum load_work {
    LOAD_WRITE,   /* sets nodes that exist */
    LOAD_READ,    /* gets them */
    LOAD_MIXED,   /* write_percent of 100 are sets */
    LOAD_CREATE,  /* each slot creates a node and deletes it again; each is counted */
    LOAD_FILL,    /* creates `keys` nodes, once each, and keeps them */
    LOAD_SESSION, /* each slot opens a session and closes it again; each is counted */
    LOAD_LOCK,    /* each slot, in a session of its own, acquires a lock and releases it again;
                     pairs are counted; with fewer locks than slots these wait for each other */
    LOAD_ELECT,   /* the same of elections: each slot campaigns, leads, and resigns */
    LOAD_WATCH,   /* one write after the other to a watched node; events are counted */
    LOAD_WORKS,
};

/* What there is to show while it runs. */
struct load_progress {
    const char *phase; /* "preparing", "warming up", "measuring", "tidying up" */
    double seconds;    /* of this phase so far */
    uint64_t count;    /* acknowledged in this phase, or events */
    uint64_t refused;
    const struct latency *latency;
};

struct load_hooks {
    /* About four times a second. False: end early, with what was measured so far; a second time: do
     * not tidy up either. */
    bool (*progress)(void *owner, const struct load_progress *p);
    /* Just before and just after what is measured, with nothing in flight. */
    void (*edge)(void *owner, bool is_end);
    void *owner;
};

struct load_options {
    enum load_protocol protocol;
    enum load_work work;
    const struct endpoint *endpoints; /* connection i goes to endpoint i modulo their number */
    size_t endpoint_count;
    const struct wire_tls *tls;   /* NULL: none */
    const char *authorization;    /* gRPC: "Bearer ..."; NULL: none */
    const char *digest;           /* ZooKeeper: "name:password"; NULL: none */
    size_t connections;
    size_t in_flight;             /* on each connection */
    uint64_t keys;
    size_t value_bytes;
    unsigned write_percent;
    size_t watches;               /* LOAD_WATCH: so many, over the connections in turn */
    uint64_t warm_up_ms;
    uint64_t duration_ms;
    uint64_t session_ttl_ms;
    enum coord_consistency consistency; /* of reads; ZooKeeper's are always of its session */
    uint64_t bound_ms;
    const char *path;             /* the parent of what is made */
    bool keep;                    /* leave the nodes there; with etcd's protocol nobody can tell
                                     which were there before */
    bool retry; /* lost connections are opened again, refused requests counted and repeated */
    uint64_t timeout_ms; /* with retry: of an answer, then its connection is given up; 0 = none */
    struct load_hooks hooks;
};

struct load_result {
    double seconds;
    uint64_t acknowledged; /* requests; LOAD_WATCH: events; LOAD_LOCK, LOAD_ELECT: pairs */
    uint64_t writes;       /* acknowledged ones that raise the revision by one each */
    uint64_t refused;      /* answered with an error */
    uint64_t lost;         /* with their connection */
    uint64_t revision_rise;
    bool knows_revision;
    uint64_t longest_gap_us; /* between two acknowledgements that follow each other */
    bool was_ended;        /* by the progress hook */
    bool has_left_nodes;   /* that were made, and should have been removed */
    struct latency latency;
    struct latency last;   /* LOAD_WATCH: of each round's last event; LOAD_LOCK: from the request
                              that released a lock to the answer of the next who had waited;
                              LOAD_ELECT: from the one that resigned to that of the next leader */
    char error[160];       /* the first refusal; "" if there was none */
};

const char *load_protocol_name(enum load_protocol protocol);
const char *load_work_name(enum load_work work);
/* Whether slots, in sessions of their own, take and give back what one of them has at a time. */
bool load_takes_turns(enum load_work work);

/* Checks the options against what the protocol can. NULL, or what is wrong. */
const char *load_check(const struct load_options *options);

/* False with a reason in `why`: nothing could be measured. Blocks. */
bool load_run(const struct load_options *options, struct load_result *result, char *why,
              size_t why_bytes);

#endif
