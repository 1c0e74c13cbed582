#include "tests/faults/clients/txn.h"

#include <inttypes.h>
#include <string.h>

#include "client/call.h"
#include "client/convert.h"
#include "coord/v1/tree.pb-c.h"

static struct result call(struct worker *w, Coord__V1__TxnRequest *request,
                          ProtobufCMessage **reply)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    struct result r;
    memset(&r, 0, sizeof r);
    request->header = &header;
    r.begin_us = worker_now_us();
    r.code = client_call(w->client, CLIENT_TXN, &request->base, &header, reply, &r.error);
    r.end_us = worker_now_us();
    if (r.code == COORD_OK) {
        const Coord__V1__TxnReply *t = (const Coord__V1__TxnReply *)*reply;
        r.revision = t->header->revision;
        if (t->outcome == COORD__V1__OUTCOME__GUARD_REFUSED ||
            t->outcome == COORD__V1__OUTCOME__GUARD_STALE) {
            r.code = COORD_REFUSED;
        } else if (t->outcome == COORD__V1__OUTCOME__NO_NODE) {
            r.code = COORD_NOT_FOUND;
        } else if (t->outcome != COORD__V1__OUTCOME__OK) {
            r.code = COORD_LIMITED;
            snprintf(r.error.message, sizeof r.error.message, "outcome %d", (int)t->outcome);
        }
    }
    return r;
}

static void write_begin(struct worker *w, const struct result *r)
{
    fprintf(w->history, "txn %" PRIu64 " %" PRIu64 " %s %" PRIu64, r->begin_us, r->end_us,
            result_word(r->code), r->revision);
}

static void write_end(struct worker *w, const struct result *r)
{
    fputc('\n', w->history);
    if (r->code != COORD_OK) {
        fprintf(w->history, "# %s\n", r->error.message);
    }
}

struct result txn_write(struct worker *w, const struct txn_set *sets, size_t count,
                        const char *fence, uint64_t fence_revision)
{
    Coord__V1__TxnRequest request = COORD__V1__TXN_REQUEST__INIT;
    Coord__V1__Guard guards[TXN_ITEMS_MAX + 1], *guard_list[TXN_ITEMS_MAX + 1];
    Coord__V1__Operation ops[TXN_ITEMS_MAX], *op_list[TXN_ITEMS_MAX];
    Coord__V1__SetOp set_ops[TXN_ITEMS_MAX];
    ProtobufCMessage *reply = NULL;
    for (size_t i = 0; i < count; i++) {
        coord__v1__set_op__init(&set_ops[i]);
        coord__v1__operation__init(&ops[i]);
        set_ops[i].path = convert_text(sets[i].path);
        set_ops[i].data = convert_bytes(sets[i].value, strlen(sets[i].value));
        ops[i].op_case = COORD__V1__OPERATION__OP_SET;
        ops[i].set = &set_ops[i];
        op_list[i] = &ops[i];
        if (sets[i].expect != COORD_ANY_VERSION) {
            Coord__V1__Guard *g = &guards[request.n_guards];
            coord__v1__guard__init(g);
            g->path = convert_text(sets[i].path);
            g->target_case = COORD__V1__GUARD__TARGET_VERSION;
            g->version = (uint32_t)sets[i].expect;
            guard_list[request.n_guards++] = g;
        }
    }
    if (fence != NULL) {
        Coord__V1__Guard *g = &guards[request.n_guards];
        coord__v1__guard__init(g);
        g->path = convert_text(fence);
        g->target_case = COORD__V1__GUARD__TARGET_GRANT;
        g->grant = fence_revision;
        guard_list[request.n_guards++] = g;
    }
    request.guards = guard_list;
    request.then_ops = op_list;
    request.n_then_ops = count;
    struct result r = call(w, &request, &reply);
    client_reply_free(reply);
    write_begin(w, &r);
    for (size_t i = 0; i < count; i++) {
        fprintf(w->history, " set %s %" PRId64 " %s", sets[i].path, sets[i].expect,
                sets[i].value);
    }
    if (fence != NULL) {
        fprintf(w->history, " fence %s %" PRIu64, fence, fence_revision);
    }
    write_end(w, &r);
    return r;
}

static void take_read(struct txn_read *read, const Coord__V1__OperationResult *o)
{
    read->is_there = true;
    snprintf(read->value, sizeof read->value, "%.*s", (int)o->data.len,
             (const char *)o->data.data);
    read->modified = o->stat->modify_revision;
    read->version = o->stat->version;
}

struct result txn_read(struct worker *w, struct txn_read *reads, size_t count)
{
    Coord__V1__TxnRequest request = COORD__V1__TXN_REQUEST__INIT;
    Coord__V1__Operation ops[TXN_ITEMS_MAX], *op_list[TXN_ITEMS_MAX];
    Coord__V1__GetOp get_ops[TXN_ITEMS_MAX];
    ProtobufCMessage *reply = NULL;
    for (size_t i = 0; i < count; i++) {
        coord__v1__get_op__init(&get_ops[i]);
        coord__v1__operation__init(&ops[i]);
        get_ops[i].path = convert_text(reads[i].path);
        ops[i].op_case = COORD__V1__OPERATION__OP_GET;
        ops[i].get = &get_ops[i];
        op_list[i] = &ops[i];
        reads[i].is_there = false;
    }
    request.then_ops = op_list;
    request.n_then_ops = count;
    struct result r = call(w, &request, &reply);
    write_begin(w, &r);
    if (r.code == COORD_OK) {
        const Coord__V1__TxnReply *t = (const Coord__V1__TxnReply *)reply;
        for (size_t i = 0; i < count && i < t->n_results; i++) {
            if (t->results[i]->stat != NULL) {
                take_read(&reads[i], t->results[i]);
                fprintf(w->history, " read %s %s %" PRIu64 " %" PRIu32, reads[i].path,
                        reads[i].value, reads[i].modified, reads[i].version);
            }
        }
    }
    write_end(w, &r);
    client_reply_free(reply);
    return r;
}
