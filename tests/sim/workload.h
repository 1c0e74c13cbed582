/* Logical clients: each has one operation under way, at any node, and writes down what it was
 * told. They speak gRPC to the nodes (tests/sim/request.h), several of them from one station.
 *
 * A write with a request id, or with a number in the session of the station's holder, is
 * repeated, with the same id and at any node, until its outcome is certain; one without is
 * given up when its fate becomes unknown. Clients die too: some operations are cancelled. */
#ifndef TESTS_SIM_WORKLOAD_H
#define TESTS_SIM_WORKLOAD_H

#include "tests/sim/holder.h"
#include "tests/sim/journal.h"
#include "tests/sim/request.h"
#include "tests/sim/station.h"

#define CLIENTS_MAX  10
#define STATIONS_MAX 4

struct workload;

struct client {
    struct workload *workload;
    struct station *station;
    struct holder *holder; /* whose session it may use; NULL: none */
    uint32_t number;
    bool is_idle;        /* has nothing under way and waits for its next operation */
    bool is_writing;     /* else reading */
    bool may_repeat;     /* gives its writes ids */
    bool maybe_proposed; /* an attempt may have got into the log */
    bool is_syncing;     /* DO_BARRIER: the sync is done, the read comes */
    uint64_t sync_connection;
    uint64_t operation; /* number, 0 = none */
    uint32_t node;      /* of the attempt */
    uint64_t asked_us;  /* when it began */
    uint64_t asked_revision;
    uint64_t seen_index; /* session: highest index told */
    uint64_t seen_revision;
    uint32_t versions[KEY_END]; /* last seen, for compare-and-set */
    struct request request;
    struct remote_call call;
    struct remote_answer answer; /* of the last attempt */
    struct world_event event;
    struct world_event moment;
    uint32_t moment_node;
    uint32_t
        booted[CLUSTER_NODES_MAX]; /* stories: starts of each node when it was last asked */
};

struct workload {
    struct cluster *cluster;
    struct journal *journal;
    struct station stations[STATIONS_MAX];
    uint32_t station_count;
    struct client clients[CLIENTS_MAX];
    uint32_t client_count;
    uint64_t think_us;  /* at most, between two operations */
    bool is_ending;     /* no new operations */
    size_t value_bytes; /* > 0: all values have this size */
};

void workload_init(struct workload *l, struct cluster *c, struct journal *h, uint32_t clients);
void workload_start(struct workload *l);
/* What the clients do from now on is a tenth as much: others are waited for. */
void workload_slow_down(struct workload *l);
void workload_end(struct workload *l); /* lets what is under way finish */
bool workload_is_idle(const struct workload *l);
/* Before the cluster is closed. */
void workload_close(struct workload *l);

/* For stories that count milliseconds: no time is lost between clients and nodes. */
void workload_stay_near(struct workload *l);
/* Sends one write to a node, without a request id, and waits for nothing. */
bool workload_submit(struct workload *l, uint32_t client, uint32_t node, enum op_kind kind,
                     uint32_t key);
/* The client waits for it no longer. */
void workload_give_up(struct workload *l, uint32_t client);
/* How the client's last operation stands. */
enum fate workload_fate(const struct workload *l, uint32_t client);
/* One write and one read through a given node, waited for: set-up and scenarios. The value is
 * attributed like a client's. RC_OK, or how the last attempt ended. */
enum status workload_write(struct workload *l, uint32_t node, enum op_kind kind, uint32_t key,
                           uint64_t limit_us);
enum status workload_read(struct workload *l, uint32_t node, uint32_t key, uint64_t limit_us);
/* Creates the parents and the keys that are never deleted. */
bool workload_set_up(struct workload *l);
/* A shard map, by a request of ShardMap.Create. */
bool workload_make_map(struct workload *l, const ProtobufCMessage *request);
/* The change log reaches back a second, or so many revisions; nodes below /k have a few versions
 * besides. So watchers meet the end of the log. */
bool workload_keep_little(struct workload *l, uint64_t revisions, uint32_t versions);

/* ---- workload.c, for workload_story.c ---- */

void client_begin(struct client *k, enum op_kind kind, uint32_t key);
/* Sends the request to k->node. False: nothing was sent. */
bool client_ask(struct client *k, uint64_t limit_us);
/* Nothing of the client is under way any more: for stories that go on without it. */
void client_drop(struct client *k);

#endif
