/* ZooKeeper's packets under arbitrary bytes: what decodes lies within its packet, and encodes into
 * what decodes to the same. Seeds: tests/fuzz/corpus/zookeeper, one packet without its length each.
 * The handler is driven by fuzz_zookeeper_front.c. */
#include "base/assert.h"
#include "net/zookeeper/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(struct slice part, struct slice whole)
{
    PRE(part.size == 0 || (part.data >= whole.data && part.size <= whole.size &&
                           part.data - whole.data <= (ptrdiff_t)(whole.size - part.size)));
}

static void paths_within(const struct zk_paths *paths, struct slice whole)
{
    for (size_t i = 0; i < paths->count; i++) {
        within(paths->paths[i], whole);
    }
}

static void request_within(const struct zk_request *r, struct slice whole)
{
    within(r->path, whole);
    within(r->data, whole);
    within(r->scheme, whole);
    for (size_t i = 0; i < r->acl_count; i++) {
        within(r->acl[i].scheme, whole);
        within(r->acl[i].id, whole);
    }
    paths_within(&r->data_watches, whole);
    paths_within(&r->exist_watches, whole);
    paths_within(&r->child_watches, whole);
    paths_within(&r->persistent_watches, whole);
    paths_within(&r->recursive_watches, whole);
}

static void try_acl(const struct zk_request *r, struct arena *arena)
{
    struct buf again = {0};
    struct zk_request read;
    enum zk_error error;
    jute_put_int(&again, r->xid);
    jute_put_int(&again, ZK_SET_ACL);
    jute_put_buffer(&again, r->path);
    zk_put_acl(&again, r->acl, r->acl_count);
    jute_put_int(&again, r->version);
    PRE(zk_request_decode(buf_slice(&again), &read, &error, arena) == RC_OK);
    PRE(error == ZK_OK && read.acl_count == r->acl_count && read.version == r->version);
    for (size_t i = 0; i < r->acl_count; i++) {
        PRE(read.acl[i].permissions == r->acl[i].permissions &&
            slice_equal(read.acl[i].scheme, r->acl[i].scheme) &&
            slice_equal(read.acl[i].id, r->acl[i].id));
    }
    buf_close(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct slice whole = slice_make(data, size);
    struct zk_connect connect;
    struct zk_request r;
    enum zk_error error;
    struct slice packet;
    size_t taken;
    if (zk_frame(whole, &packet, &taken) == RC_OK && taken > 0) {
        within(packet, whole);
    }
    if (zk_connect_decode(whole, &connect) == RC_OK) {
        within(connect.password, whole);
    }
    if (zk_request_decode(whole, &r, &error, &arena) == RC_OK && error == ZK_OK) {
        request_within(&r, whole);
        for (size_t i = 0; i < r.op_count; i++) {
            request_within(&r.ops[i], whole);
        }
        if (r.type == ZK_SET_ACL) {
            try_acl(&r, &arena);
        }
    }
    arena_close(&arena);
    return 0;
}
