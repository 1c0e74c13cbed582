#include <string.h>

#include "net/zookeeper/front.h"
#include "net/zookeeper/words.h"

static const char *const names[ZK_WORDS] = {
    "ruok", "isro", "srvr", "stat", "mntr", "conf", "cons", "envi",
    "dirs", "wchs", "dump", "wchc", "wchp", "crst", "srst",
};

enum zk_word zk_word_find(struct slice name)
{
    unsigned word = 0;
    while (word < ZK_WORDS && !slice_is(name, names[word])) {
        word++;
    }
    return (enum zk_word)word;
}

const char *zk_words_parse(const char *text, uint32_t *out)
{
    *out = 0;
    if (strcmp(text, "none") == 0) {
        return NULL;
    }
    if (strcmp(text, "*") == 0) {
        *out = ((uint32_t)1 << ZK_WORDS) - 1;
        return NULL;
    }
    for (const char *at = text; *at != '\0';) {
        size_t length = strcspn(at, ",");
        enum zk_word word = zk_word_find(slice_make((const uint8_t *)at, length));
        if (word == ZK_WORDS) {
            return "names a word that does not exist";
        }
        *out |= (uint32_t)1 << word;
        at += length + (at[length] == ',');
    }
    return NULL;
}

const struct zk_settings zk_settings_default = {
    .timeout_ms_min = ZK_TIMEOUT_MS_MIN,
    .timeout_ms_max = ZK_TIMEOUT_MS_MAX,
    .words = ((uint32_t)1 << ZK_WORDS_CHEAP) - 1,
};
