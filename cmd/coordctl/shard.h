/* What the files of `coordctl shard` share. */
#ifndef CMD_COORDCTL_SHARD_H
#define CMD_COORDCTL_SHARD_H

#include "cmd/coordctl/ctl.h"
#include "coord/v1/shard_map.pb-c.h"

/* shard_policy.c: "NAME=VALUE" of the command line. */

/* Lists cut at their commas, in memory of its own. */
struct shard_names {
    char *at[CTL_TAGS_MAX];
    size_t count;
    char *copy;
};

struct shard_words {
    Coord__V1__ShardPolicy policy;
    Coord__V1__ShardStrategy strategy;
    uint32_t shards;
    uint32_t slots;
    struct shard_names tags;
    struct shard_names bounds;
    /* of a node, or of one shard */
    const char *zone;
    const char *pin;
    uint32_t weight;
    uint32_t replicas;
    uint64_t capacity_bytes;
    uint32_t capacity_replicas;
    uint64_t priority;
    bool drains;
};

enum shard_words_kind {
    SHARD_WORDS_MAP = 1,
    SHARD_WORDS_POLICY = 2,
    SHARD_WORDS_NODE = 4,
    SHARD_WORDS_SHARD = 8
};

/* Takes the words from `first` on into `w`, zeroed or filled from what there is. Reports what is
 * wrong and returns its exit code. Free with shard_words_free in any case. */
int shard_words_take(const struct ctl *ctl, size_t first, enum shard_words_kind kind,
                     struct shard_words *w);
/* The same of the text of a map's node: what its policy is now. */
bool shard_words_read(const char *text, size_t bytes, struct shard_words *w);
void shard_words_free(struct shard_words *w);

/* A number that is a shard or a move; reports, as above. */
int shard_number(const struct ctl *ctl, const char *word, const char *what, uint64_t *out);

/* Calls, and frees the reply: of calls that answer nothing. */
int shard_call(struct ctl *ctl, enum client_method method, ProtobufCMessage *request,
               Coord__V1__RequestHeader *header);

#endif
