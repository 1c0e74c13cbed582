/* Operations of the journal as messages of coord.v1.Tree, and what their replies say.
 *
 * Single operations go out as calls of their own or as transactions of one, at random: both
 * ways must mean the same. */
#ifndef TESTS_SIM_REQUEST_H
#define TESTS_SIM_REQUEST_H

#include "coord/v1/tree.pb-c.h"
#include "tests/sim/journal.h"
#include "tests/sim/station.h"

enum rpc { RPC_CREATE, RPC_SET, RPC_DELETE, RPC_TXN, RPC_GET, RPC_EXISTS, RPC_LIST, RPC_SYNC };

/* What a client wants, and, packed, how it asks for it: the same bytes over all retries. */
struct request {
    enum op_kind kind;
    enum rpc rpc;
    uint32_t key;
    uint32_t version; /* DO_CAS: expected */
    bool by_guard;    /* DO_CAS: as a guard, else with the operation */
    struct buf data;  /* the value */
    uint64_t id[3];   /* request id: issued_ms and two random words; 0 = none */
    Coord__V1__Consistency consistency;
    uint64_t min_index;
    uint64_t bound_ms;
    /* In the name of a session: 0 = none. A write has a number. */
    uint64_t session;
    uint64_t sequence;
    uint64_t answered_to;
    struct buf packed;
};

/* What came of it. */
struct response {
    struct told told;
    bool exists; /* reads */
    bool has_stat;
    uint32_t version;
    uint64_t modify_revision;
    uint64_t value; /* number of the operation that wrote it; 0 = not said */
    uint64_t sequence;
    uint64_t age_ms;
    bool age_known;
    Coord__V1__ListReply *list; /* RPC_LIST: owned */
};

const char *rpc_path(enum rpc rpc);

/* Chooses the call for what `r` says, packs it. */
void request_pack(struct request *r, struct world *w);
/* The local read that ends a DO_BARRIER, or one of another consistency. */
void request_pack_read(struct request *r, enum rpc rpc);
void request_close(struct request *r);

/* False: it cannot be understood, or it was not answered with a reply or an outcome; nothing is
 * filled then. Free with response_close. */
bool response_read(const struct request *r, struct station *s, uint32_t node,
                   const struct remote_call *call, const struct remote_answer *answer,
                   struct response *out);
void response_close(struct response *r);

#endif
