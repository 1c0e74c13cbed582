/* etcd's calls for the same work: KV.Put, Range and DeleteRange (rpc.proto of etcd's API v3). What
 * is measured against etcd is measured with this. */
#include "cmd/coordctl/load/grpc.h"
#include "cmd/coordctl/load/proto_field.h"

static void write_request(const struct load_slot *s, struct buf *out)
{
    const struct load_engine *e = s->connection->engine;
    proto_put_bytes(out, 1, s->op == LOAD_OP_REVISION ? slice_str("/") : s->path);
    if (s->op == LOAD_OP_SET || s->op == LOAD_OP_CREATE) {
        proto_put_bytes(out, 2, e->value);
    } else if (s->op == LOAD_OP_GET && e->options->consistency != COORD_LINEARIZABLE) {
        proto_put_number(out, 7, 1); /* serializable */
    }
}

static bool looks_at(const struct load_slot *s)
{
    return s->op == LOAD_OP_REVISION;
}

static void read_reply(struct load_slot *s, struct slice message)
{
    struct proto_field f;
    while (proto_next(&message, &f)) {
        struct slice header = f.bytes;
        while (f.field == 1 && proto_next(&header, &f)) {
            if (f.field == 3) {
                s->revision = f.number;
                return;
            }
            f.field = 1;
        }
    }
}

const struct load_rpcs load_rpcs_etcd = {
    .paths = {[LOAD_OP_SET] = "/etcdserverpb.KV/Put",
              [LOAD_OP_GET] = "/etcdserverpb.KV/Range",
              [LOAD_OP_CREATE] = "/etcdserverpb.KV/Put",
              [LOAD_OP_DELETE] = "/etcdserverpb.KV/DeleteRange",
              [LOAD_OP_REVISION] = "/etcdserverpb.KV/Range"},
    .write = write_request,
    .reads = looks_at,
    .read = read_reply,
};
