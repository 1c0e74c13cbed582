/* The front end for ZooKeeper's client protocol (net/front.h). What it supports, and where it
 * differs from ZooKeeper and why: docs/protocols/zookeeper.md. */
#ifndef NET_ZOOKEEPER_FRONT_H
#define NET_ZOOKEEPER_FRONT_H

#include "net/front.h"

/* As ZooKeeper with its default tick of 2 s. */
#define ZK_TIMEOUT_MS_MIN 4000
#define ZK_TIMEOUT_MS_MAX 40000

/* front_env.settings of this front; NULL there = zk_settings_default. Not changed while the server
 * is open. */
struct zk_settings {
    uint32_t timeout_ms_min;
    uint32_t timeout_ms_max;
    uint32_t
        words; /* four-letter words that are answered: a bit for each, see zk_words_parse */
    bool linearizable_reads; /* each read is confirmed with a majority */
    /* Only shown, in the texts that `conf` and `dirs` print. */
    uint16_t client_port;
    char data_dir[256];
};

/* Words by name, comma separated; "*" = all, "none" = none. NULL, or what is wrong with the
 * text. */
const char *zk_words_parse(const char *text, uint32_t *words);

extern const struct zk_settings zk_settings_default;
extern const struct front zookeeper_front;

#endif
