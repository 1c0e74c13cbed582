/* shard: create, configure, drop, set, split, merge, key, join, leave. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/shards.h"
#include "cmd/coordctl/session.h"
#include "cmd/coordctl/shard.h"

int ctl_shard_create(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ShardMapCreateRequest request = COORD__V1__SHARD_MAP_CREATE_REQUEST__INIT;
    ProtobufCBinaryData bounds[CTL_TAGS_MAX];
    struct shard_words w = {.shards = 1};
    int exit_code = shard_words_take(ctl, 1, SHARD_WORDS_MAP, &w);
    for (size_t i = 0; i < w.bounds.count; i++) {
        bounds[i] = (ProtobufCBinaryData){strlen(w.bounds.at[i]), (uint8_t *)w.bounds.at[i]};
    }
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.strategy = w.strategy;
    request.shards = w.shards;
    request.slots = w.slots;
    request.bounds = bounds;
    request.n_bounds = w.bounds.count;
    request.policy = &w.policy;
    if (exit_code == EXIT_DONE) {
        exit_code = shard_call(ctl, CLIENT_SHARD_CREATE, &request.base, &header);
    }
    shard_words_free(&w);
    return exit_code;
}

/* What is not named stays as it is. */
int ctl_shard_configure(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ShardMapConfigureRequest request = COORD__V1__SHARD_MAP_CONFIGURE_REQUEST__INIT;
    struct shard_words w = {.slots = 0};
    struct coord_error error;
    void *text = NULL;
    size_t bytes = 0;
    enum coord_code code = coord_get(ctl->client, ctl->words[0], &text, &bytes, NULL, &error);
    if (code != COORD_OK) {
        return ctl_failed(ctl, &error);
    }
    bool is_map = shard_words_read(text, bytes, &w) && w.policy.replicas > 0;
    free(text);
    int exit_code = is_map ? shard_words_take(ctl, 1, SHARD_WORDS_POLICY, &w)
                           : ctl_general(ctl, "%s is no shard map", ctl->words[0]);
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.strategy = w.strategy;
    request.slots = w.slots;
    request.policy = &w.policy;
    if (exit_code == EXIT_DONE) {
        exit_code = shard_call(ctl, CLIENT_SHARD_CONFIGURE, &request.base, &header);
    }
    shard_words_free(&w);
    return exit_code;
}

int ctl_shard_drop(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ShardMapDropRequest request = COORD__V1__SHARD_MAP_DROP_REQUEST__INIT;
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    return shard_call(ctl, CLIENT_SHARD_DROP, &request.base, &header);
}

/* ---- shards ------------------------------------------------------------------------------- */

int ctl_shard_set(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ShardMapSetShardRequest request = COORD__V1__SHARD_MAP_SET_SHARD_REQUEST__INIT;
    struct shard_words w = {.pin = ""};
    uint64_t shard;
    int exit_code = shard_number(ctl, ctl->words[1], "shard", &shard);
    if (exit_code == EXIT_DONE) {
        exit_code = shard_words_take(ctl, 2, SHARD_WORDS_SHARD, &w);
    }
    if (exit_code == EXIT_DONE) {
        request.header = &header;
        request.path = ctl_text(ctl->words[0]);
        request.shard = (uint32_t)shard;
        request.replicas = w.replicas;
        request.weight = w.weight;
        request.tags = w.tags.at;
        request.n_tags = w.tags.count;
        request.pin = ctl_text(w.pin);
        exit_code = shard_call(ctl, CLIENT_SHARD_SET, &request.base, &header);
    }
    shard_words_free(&w);
    return exit_code;
}

/* AT is a slot, or the key where the new shard begins. */
int ctl_shard_split(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ShardMapSplitRequest request = COORD__V1__SHARD_MAP_SPLIT_REQUEST__INIT;
    struct shard_words w = {.slots = 0};
    const char *at = ctl->word_count > 2 ? ctl->words[2] : "";
    struct coord_error error;
    void *text = NULL;
    size_t bytes = 0;
    uint64_t number;
    uint64_t slot = 0;
    int exit_code = shard_number(ctl, ctl->words[1], "shard", &number);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    if (coord_get(ctl->client, ctl->words[0], &text, &bytes, NULL, &error) != COORD_OK) {
        return ctl_failed(ctl, &error);
    }
    bool is_hash = shard_words_read(text, bytes, &w) &&
                   w.strategy == COORD__V1__SHARD_STRATEGY__HASH_SHARDS;
    free(text);
    shard_words_free(&w);
    if (is_hash && at[0] != '\0') {
        exit_code = shard_number(ctl, at, "slot", &slot);
    }
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.shard = (uint32_t)number;
    request.slot = (uint32_t)slot;
    if (!is_hash) {
        request.bound = (ProtobufCBinaryData){strlen(at), (uint8_t *)ctl_text(at)};
    }
    return exit_code == EXIT_DONE ? shard_call(ctl, CLIENT_SHARD_SPLIT, &request.base, &header)
                                  : exit_code;
}

int ctl_shard_merge(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ShardMapMergeRequest request = COORD__V1__SHARD_MAP_MERGE_REQUEST__INIT;
    uint64_t shard;
    uint64_t behind;
    int exit_code = shard_number(ctl, ctl->words[1], "shard", &shard);
    if (exit_code == EXIT_DONE) {
        exit_code = shard_number(ctl, ctl->words[2], "shard", &behind);
    }
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.shard = (uint32_t)shard;
    request.behind = (uint32_t)behind;
    return shard_call(ctl, CLIENT_SHARD_MERGE, &request.base, &header);
}

int ctl_shard_key(struct ctl *ctl)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    Coord__V1__ShardMapKeyRequest request = COORD__V1__SHARD_MAP_KEY_REQUEST__INIT;
    bool removes = ctl->word_count == 2;
    uint64_t shard = 0;
    int exit_code = removes ? EXIT_DONE : shard_number(ctl, ctl->words[2], "shard", &shard);
    request.header = &header;
    request.path = ctl_text(ctl->words[0]);
    request.key =
        (ProtobufCBinaryData){strlen(ctl->words[1]), (uint8_t *)ctl_text(ctl->words[1])};
    request.shard = (uint32_t)shard;
    return exit_code == EXIT_DONE
               ? shard_call(ctl, removes ? CLIENT_SHARD_REMOVE_KEY : CLIENT_SHARD_SET_KEY,
                            &request.base, &header)
               : exit_code;
}

/* ---- nodes -------------------------------------------------------------------------------- */

static int join(struct ctl *ctl)
{
    struct shard_words w = {.zone = ""};
    struct coord_error error;
    int exit_code = shard_words_take(ctl, 3, SHARD_WORDS_NODE, &w);
    if (exit_code == EXIT_DONE) {
        const struct coord_shard_node node = {
            .name = ctl->words[1],
            .address = ctl->words[2],
            .zone = w.zone,
            .tags = (const char *const *)w.tags.at,
            .tag_count = w.tags.count,
            .weight = w.weight,
            .drains = w.drains,
            .capacity_bytes = w.capacity_bytes,
            .capacity_replicas = w.capacity_replicas,
            .priority = w.priority,
        };
        exit_code = ctl_check(
            ctl, coord_shard_join(ctl->client, ctl->words[0], &node, ctl->lease, &error),
            &error);
    }
    shard_words_free(&w);
    return exit_code;
}

int ctl_shard_join(struct ctl *ctl)
{
    if (ctl->lease == 0 && !ctl->has_session) {
        return session_foreground(ctl, join);
    }
    int exit_code = ctl->lease == 0 ? session_attach(ctl) : EXIT_DONE;
    return exit_code == EXIT_DONE ? join(ctl) : exit_code;
}

int ctl_shard_leave(struct ctl *ctl)
{
    struct coord_error error;
    return ctl_check(ctl, coord_shard_leave(ctl->client, ctl->words[0], ctl->words[1], &error),
                     &error);
}
