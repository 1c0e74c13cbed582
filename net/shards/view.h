/* What a map says, as plan/plan.h wants it: names are places. For net/shards/ only. */
#ifndef NET_SHARDS_VIEW_H
#define NET_SHARDS_VIEW_H

#include "net/shards/draft.h"

struct view_shard {
    struct shard_record r;
    uint64_t number;
    uint32_t place;    /* among the plan's shards */
    struct slice lost; /* its replicas that are lost */
    bool is_left;      /* alone, whatever the plan says */
};

struct view {
    const struct map_copy *map;
    struct arena *arena;
    struct shard_spec spec;
    struct plan_cluster cluster;
    struct plan_node *nodes;      /* in the order of map->members */
    struct plan_shard *shards;    /* in the order of map->shards */
    struct view_shard *of_shards; /* likewise */
    struct slice tags[64];        /* that are asked for */
    uint32_t tag_count;
    const char *problem;
};

/* False: `problem` says why. */
bool view_make(struct view *v, const struct map_copy *map, const struct draft_options *options,
               struct arena *arena);
/* PLAN_NONE: it is not there. */
uint32_t view_node(const struct map_copy *map, struct slice name);

#endif
