/* What the scripted server answers when all is well, framed. */
#ifndef TESTS_SUPPORT_SCRIPTED_REPLY_H
#define TESTS_SUPPORT_SCRIPTED_REPLY_H

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "tests/support/scripted_server.h"

#define SCRIPTED_SESSION    ((uint64_t)77)
#define SCRIPTED_GENERATION ((uint64_t)3)
#define SCRIPTED_LEASE      ((uint64_t)88)
#define SCRIPTED_ENTRY      "/l/q-0000000000" /* created at revision 5, held since epoch 6 */

void scripted_append(struct buf *out, const ProtobufCMessage *message);
/* The reply to a call of `path`. The replies that tests look into carry something; for the
 * others a header is enough, and all replies have it as field 1. */
void scripted_reply(struct buf *out, const char *path, const struct scripted_cluster *cluster);
void scripted_members(struct buf *out, const struct scripted_cluster *cluster);
void scripted_keepalive(struct buf *out, const char *path, uint64_t ttl_ms, int outcome);
/* Events "/w/REVISION-SUB", entries "/w/0", "/w/1", ... */
void scripted_watch_reply(struct buf *out, const struct scripted_message *message);
/* `count` other than 0: somebody leads since its revision, with a value "v". */
void scripted_observe_reply(struct buf *out, const struct scripted_message *message);
/* `count` instances, the first with the id "i" and `first_sub`; `outcome` other than 0: it begins a
 * full list. */
void scripted_subscribe_reply(struct buf *out, const struct scripted_message *message);
/* Of Config/Watch, Config/WatchEffective or Health/Watch: changes of "/c", its value of zeros, or
 * the health. */
void scripted_followed_reply(struct buf *out, const char *path,
                             const struct scripted_message *message);
/* What is no reply to a call of `path`. */
void scripted_another(struct buf *out, const char *path);
void scripted_snapshot_reply(struct buf *out, const struct scripted_message *message);

#endif
