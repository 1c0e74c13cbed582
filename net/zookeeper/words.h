/* ZooKeeper's four-letter words by name, for who tells protocols apart and reads settings. What
 * they answer is words.c's. */
#ifndef NET_ZOOKEEPER_WORDS_H
#define NET_ZOOKEEPER_WORDS_H

#include "base/slice.h"

#define ZK_WORD_BYTES ((size_t)4)

enum zk_word {
    ZK_WORD_RUOK,
    ZK_WORD_ISRO,
    ZK_WORD_SRVR,
    ZK_WORD_STAT,
    ZK_WORD_MNTR,
    ZK_WORD_CONF,
    ZK_WORD_CONS,
    ZK_WORD_ENVI,
    ZK_WORD_DIRS,
    ZK_WORDS_CHEAP, /* those before it list little and change nothing */
    ZK_WORD_WCHS = ZK_WORDS_CHEAP, /* short, but to count paths it sorts all of them */
    ZK_WORD_DUMP,
    ZK_WORD_WCHC,
    ZK_WORD_WCHP,
    ZK_WORD_CRST,
    ZK_WORD_SRST,
    ZK_WORDS,
};

/* ZK_WORDS: there is none of this name. */
enum zk_word zk_word_find(struct slice name);

#endif
