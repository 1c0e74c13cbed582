#include "tests/sim/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define OPS_MAX 2

static const struct {
    const char *path;
    const ProtobufCMessageDescriptor *reply;
} rpcs[] = {
    [RPC_CREATE] = {"/coord.v1.Tree/Create", &coord__v1__create_reply__descriptor},
    [RPC_SET] = {"/coord.v1.Tree/Set", &coord__v1__set_reply__descriptor},
    [RPC_DELETE] = {"/coord.v1.Tree/Delete", &coord__v1__delete_reply__descriptor},
    [RPC_TXN] = {"/coord.v1.Tree/Txn", &coord__v1__txn_reply__descriptor},
    [RPC_GET] = {"/coord.v1.Tree/Get", &coord__v1__get_reply__descriptor},
    [RPC_EXISTS] = {"/coord.v1.Tree/Exists", &coord__v1__exists_reply__descriptor},
    [RPC_LIST] = {"/coord.v1.Tree/List", &coord__v1__list_reply__descriptor},
    [RPC_SYNC] = {"/coord.v1.Tree/Sync", &coord__v1__sync_reply__descriptor},
};

const char *rpc_path(enum rpc rpc)
{
    return rpcs[rpc].path;
}

/* ---- asking ------------------------------------------------------------------------------ */

static void pack(struct request *r, const ProtobufCMessage *message)
{
    buf_clear(&r->packed);
    size_t bytes = protobuf_c_message_get_packed_size(message);
    (void)protobuf_c_message_pack(message, buf_extend(&r->packed, bytes));
}

/* In one, as the header points to the others. */
struct header {
    Coord__V1__RequestHeader header;
    Coord__V1__RequestId id;
    Coord__V1__SessionRef session;
};

static void header_fill(const struct request *r, struct header *h)
{
    coord__v1__request_header__init(&h->header);
    coord__v1__request_id__init(&h->id);
    coord__v1__session_ref__init(&h->session);
    h->header.consistency = r->consistency;
    h->header.min_index = r->min_index;
    h->header.bound_ms = r->bound_ms;
    if (r->id[0] != 0) {
        h->id.issued_ms = r->id[0];
        h->id.high = r->id[1];
        h->id.low = r->id[2];
        h->header.request_id = &h->id;
    }
    if (r->session != 0) {
        h->session.id = r->session;
        h->session.sequence = r->sequence;
        h->session.answered_to = r->answered_to;
        h->header.session = &h->session;
    }
}

static ProtobufCBinaryData value_of(const struct request *r)
{
    return (ProtobufCBinaryData){.len = r->data.size, .data = r->data.data};
}

static void path_fill(const struct request *r, uint32_t key, char *path, size_t bytes)
{
    if (r->kind == DO_SEQUENTIAL) {
        (void)snprintf(path, bytes, "/q/i-");
    } else {
        key_path(key, path, bytes);
    }
}

static void pack_create(struct request *r, struct header *h, char *path)
{
    Coord__V1__CreateRequest m;
    coord__v1__create_request__init(&m);
    m.header = &h->header;
    m.path = path;
    m.data = value_of(r);
    m.sequential = r->kind == DO_SEQUENTIAL;
    pack(r, &m.base);
}

static void pack_set(struct request *r, struct header *h, char *path)
{
    Coord__V1__SetRequest m;
    Coord__V1__Expect expect;
    coord__v1__set_request__init(&m);
    coord__v1__expect__init(&expect);
    m.header = &h->header;
    m.path = path;
    m.data = value_of(r);
    expect.version = r->version;
    m.expect = r->kind == DO_CAS ? &expect : NULL;
    pack(r, &m.base);
}

static void pack_delete(struct request *r, struct header *h, char *path)
{
    Coord__V1__DeleteRequest m;
    coord__v1__delete_request__init(&m);
    m.header = &h->header;
    m.path = path;
    pack(r, &m.base);
}

/* Everything that one operation of a transaction may need. */
struct op_space {
    Coord__V1__Operation op;
    union {
        Coord__V1__CreateOp create;
        Coord__V1__SetOp set;
        Coord__V1__DeleteOp delete;
        Coord__V1__CheckOp check;
    };
    Coord__V1__Expect expect;
    char path[16];
};

static void op_fill(const struct request *r, uint32_t slot, struct op_space *o)
{
    coord__v1__operation__init(&o->op);
    coord__v1__expect__init(&o->expect);
    path_fill(r, r->key + slot, o->path, sizeof o->path);
    if (r->kind == DO_CREATE || r->kind == DO_SEQUENTIAL) {
        coord__v1__create_op__init(&o->create);
        o->create.path = o->path;
        o->create.data = value_of(r);
        o->create.sequential = r->kind == DO_SEQUENTIAL;
        o->op.op_case = COORD__V1__OPERATION__OP_CREATE;
        o->op.create = &o->create;
    } else if (r->kind == DO_DELETE) {
        coord__v1__delete_op__init(&o->delete);
        o->delete.path = o->path;
        o->op.op_case = COORD__V1__OPERATION__OP_DELETE;
        o->op.delete_ = &o->delete;
    } else if (r->kind == DO_ROLLED_BACK && slot == 1) {
        coord__v1__check_op__init(&o->check);
        o->check.path = o->path;
        o->expect.version = UINT32_MAX - 1;
        o->check.expect = &o->expect;
        o->op.op_case = COORD__V1__OPERATION__OP_CHECK;
        o->op.check = &o->check;
    } else {
        coord__v1__set_op__init(&o->set);
        o->set.path = o->path;
        o->set.data = value_of(r);
        o->expect.version = r->version;
        o->set.expect = r->kind == DO_CAS && !r->by_guard ? &o->expect : NULL;
        o->op.op_case = COORD__V1__OPERATION__OP_SET;
        o->op.set = &o->set;
    }
}

static void pack_txn(struct request *r, struct header *h)
{
    struct op_space spaces[OPS_MAX];
    Coord__V1__Operation *ops[OPS_MAX];
    Coord__V1__TxnRequest m;
    Coord__V1__Guard guard;
    Coord__V1__Guard *guards[] = {&guard};
    coord__v1__txn_request__init(&m);
    coord__v1__guard__init(&guard);
    m.header = &h->header;
    m.n_then_ops = r->kind == DO_PAIR || r->kind == DO_ROLLED_BACK ? 2 : 1;
    m.then_ops = ops;
    for (uint32_t i = 0; i < m.n_then_ops; i++) {
        op_fill(r, i, &spaces[i]);
        ops[i] = &spaces[i].op;
    }
    if (r->kind == DO_CAS && r->by_guard) {
        guard.path = spaces[0].path;
        guard.target_case = COORD__V1__GUARD__TARGET_VERSION;
        guard.version = r->version;
        m.n_guards = 1;
        m.guards = guards;
    }
    pack(r, &m.base);
}

void request_pack_read(struct request *r, enum rpc rpc)
{
    struct header h;
    char path[16];
    header_fill(r, &h);
    path_fill(r, r->key, path, sizeof path);
    r->rpc = rpc;
    if (rpc == RPC_GET) {
        Coord__V1__GetRequest m;
        coord__v1__get_request__init(&m);
        m.header = &h.header;
        m.path = path;
        pack(r, &m.base);
    } else if (rpc == RPC_EXISTS) {
        Coord__V1__ExistsRequest m;
        coord__v1__exists_request__init(&m);
        m.header = &h.header;
        m.path = path;
        pack(r, &m.base);
    } else if (rpc == RPC_LIST) {
        Coord__V1__ListRequest m;
        coord__v1__list_request__init(&m);
        m.header = &h.header;
        path[2] = '\0'; /* the parent */
        m.path = path;
        m.with_data = m.with_stat = true;
        pack(r, &m.base);
    } else {
        Coord__V1__SyncRequest m;
        coord__v1__sync_request__init(&m);
        m.header = &h.header;
        pack(r, &m.base);
    }
}

void request_pack(struct request *r, struct world *w)
{
    struct header h;
    char path[16];
    header_fill(r, &h);
    path_fill(r, r->key, path, sizeof path);
    bool is_alone = world_chance(w, 500);
    switch (r->kind) {
    case DO_CREATE:
    case DO_SEQUENTIAL: r->rpc = is_alone ? RPC_CREATE : RPC_TXN; break;
    case DO_SET:
    case DO_COUNT: r->rpc = is_alone ? RPC_SET : RPC_TXN; break;
    case DO_CAS: r->rpc = is_alone && !r->by_guard ? RPC_SET : RPC_TXN; break;
    case DO_DELETE: r->rpc = is_alone ? RPC_DELETE : RPC_TXN; break;
    case DO_PAIR:
    case DO_ROLLED_BACK: r->rpc = RPC_TXN; break;
    case DO_LIST: request_pack_read(r, RPC_LIST); return;
    case DO_BARRIER: request_pack_read(r, RPC_SYNC); return;
    default: request_pack_read(r, is_alone ? RPC_GET : RPC_EXISTS); return;
    }
    switch (r->rpc) {
    case RPC_CREATE: pack_create(r, &h, path); break;
    case RPC_SET: pack_set(r, &h, path); break;
    case RPC_DELETE: pack_delete(r, &h, path); break;
    default: pack_txn(r, &h); break;
    }
}

void request_close(struct request *r)
{
    buf_close(&r->data);
    buf_close(&r->packed);
}

/* ---- what came back ---------------------------------------------------------------------- */

static struct slice bytes_of(ProtobufCBinaryData data)
{
    return slice_make(data.data, data.len);
}

static void stat_read(struct response *out, const Coord__V1__Stat *stat)
{
    out->has_stat = stat != NULL;
    if (stat != NULL) {
        out->version = stat->version;
        out->modify_revision = stat->modify_revision;
    }
}

/* The number that a sequential create was given. */
static uint64_t sequence_of(const char *path)
{
    size_t bytes = strlen(path);
    return bytes > 10 ? strtoull(path + bytes - 10, NULL, 10) : 0;
}

static const Coord__V1__ReplyHeader *txn_read(const Coord__V1__TxnReply *m,
                                              struct response *out)
{
    out->told.took_then = m->took_then;
    out->told.outcome = (uint8_t)m->outcome;
    if (m->n_results > 0 && m->outcome == COORD__V1__OUTCOME__OK) {
        stat_read(out, m->results[0]->stat);
        out->sequence = sequence_of(m->results[0]->path);
    }
    return m->header;
}

static const Coord__V1__ReplyHeader *message_read(enum rpc rpc, void *message,
                                                  struct response *out)
{
    out->told.took_then = true;
    out->exists = true;
    switch (rpc) {
    case RPC_CREATE: {
        const Coord__V1__CreateReply *m = message;
        stat_read(out, m->stat);
        out->sequence = sequence_of(m->path);
        return m->header;
    }
    case RPC_SET: {
        const Coord__V1__SetReply *m = message;
        stat_read(out, m->stat);
        return m->header;
    }
    case RPC_DELETE: return ((const Coord__V1__DeleteReply *)message)->header;
    case RPC_TXN: return txn_read(message, out);
    case RPC_GET: {
        const Coord__V1__GetReply *m = message;
        stat_read(out, m->stat);
        out->value = value_number(bytes_of(m->data));
        return m->header;
    }
    case RPC_EXISTS: {
        const Coord__V1__ExistsReply *m = message;
        stat_read(out, m->stat);
        out->exists = m->exists;
        out->told.outcome = m->exists ? OUTCOME_OK : OUTCOME_NO_NODE;
        return m->header;
    }
    case RPC_LIST: out->list = message; return out->list->header;
    case RPC_SYNC: return ((const Coord__V1__SyncReply *)message)->header;
    }
    return NULL;
}

bool response_read(const struct request *r, struct station *s, uint32_t node,
                   const struct remote_call *call, const struct remote_answer *answer,
                   struct response *out)
{
    *out = (struct response){0};
    if (answer->end != REMOTE_ANSWERED) {
        return false;
    }
    if (answer->code != GRPC_OK) {
        out->told.outcome = (uint8_t)answer->outcome;
        out->told.revision = answer->revision;
        return answer->outcome != OUTCOME_COUNT;
    }
    void *message = remote_call_reply(call, rpcs[r->rpc].reply);
    const Coord__V1__ReplyHeader *header =
        message == NULL ? NULL : message_read(r->rpc, message, out);
    station_hear(s, node, header);
    if (header != NULL) {
        out->told.revision = header->revision;
        out->told.index = header->applied_index;
        out->told.repeated = header->repeated;
        out->age_ms = header->age_ms;
        out->age_known = header->age_known;
    }
    if (message != NULL && out->list == NULL) {
        protobuf_c_message_free_unpacked(message, NULL);
    }
    return header != NULL;
}

void response_close(struct response *r)
{
    if (r->list != NULL) {
        coord__v1__list_reply__free_unpacked(r->list, NULL);
        r->list = NULL;
    }
}
