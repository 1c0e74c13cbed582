/* Requests of every method of gRPC that only lack somebody who may make them: they are about what
 * permission_kit.h furnishes a node with. */
#ifndef TESTS_SUPPORT_PERMISSION_REQUEST_H
#define TESTS_SUPPORT_PERMISSION_REQUEST_H

#include "coord/v1/auth.pb-c.h"
#include "coord/v1/config.pb-c.h"
#include "coord/v1/discovery.pb-c.h"
#include "coord/v1/lock.pb-c.h"
#include "coord/v1/quota.pb-c.h"
#include "coord/v1/tree.pb-c.h"
#include "coord/v1/watch.pb-c.h"

#define FURNISHED_SECRET  "0123456789abcdef"
#define FURNISHED_LEASE   77
#define FURNISHED_SESSION 78

/* What the generic filling cannot know: parts of messages. */
struct permission_parts {
    Coord__V1__Acl acl;
    Coord__V1__Acl *acls[1];
    Coord__V1__Grant grant;
    Coord__V1__QuotaBounds bounds;
    Coord__V1__WatchCreate watch;
    Coord__V1__ServiceInstance instance;
    Coord__V1__ConfigUpdate update;
    Coord__V1__ConfigUpdate *updates[1];
    Coord__V1__LockGrant lock;
    Coord__V1__LockGrant *locks[1];
    Coord__V1__LockTarget target;
    Coord__V1__LockTarget *targets[1];
    Coord__V1__Guard guard;
    Coord__V1__Guard *guards[1];
    Coord__V1__Operation op;
    Coord__V1__Operation *ops[1];
    union {
        Coord__V1__CreateOp create;
        Coord__V1__SetOp set;
        Coord__V1__DeleteOp delete;
        Coord__V1__CheckOp check;
        Coord__V1__GetOp get;
        Coord__V1__ListOp list;
        Coord__V1__SetAclOp set_acl;
    } as;
};

/* Fills an empty request of the method, "coord.v1.Service/Method", behind which may stand, after a
 * blank, what the request is about. What it points to is in `parts`, or constant. */
void permission_request_fill(ProtobufCMessage *m, const char *method,
                             struct permission_parts *parts);

#endif
