#include "tests/faults/network/links.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static unsigned draw(struct links *links, unsigned below)
{
    links->rng = links->rng * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((links->rng >> 33) % below);
}

bool links_chance(struct links *links, unsigned permille)
{
    return permille > 0 && draw(links, 1000) < permille;
}

uint64_t links_delay_us(struct links *links, const struct link *link)
{
    return (uint64_t)link->delay_ms * 1000 + draw(links, link->jitter_ms * 1000 + 1);
}

uint64_t links_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static bool take_word(struct link *link, const char *word)
{
    const char *equals = strchr(word, '=');
    if (equals == NULL) {
        return false;
    }
    size_t name = (size_t)(equals - word);
    unsigned value = (unsigned)strtoul(equals + 1, NULL, 10);
    if (strncmp(word, "cut", name) == 0) {
        link->cut = value != 0;
    } else if (strncmp(word, "delay", name) == 0) {
        link->delay_ms = value;
    } else if (strncmp(word, "jitter", name) == 0) {
        link->jitter_ms = value;
    } else if (strncmp(word, "loss", name) == 0) {
        link->loss_permille = value;
    } else if (strncmp(word, "dup", name) == 0) {
        link->dup_permille = value;
    } else {
        return false;
    }
    return true;
}

bool links_command(struct links *links, const char *line)
{
    unsigned from, to;
    int used = 0;
    if (strcmp(line, "clear") == 0) {
        memset(links->of, 0, sizeof links->of);
        return true;
    }
    if (sscanf(line, "link %u %u%n", &from, &to, &used) != 2 || from >= LINKS_MACHINES_MAX ||
        to >= LINKS_MACHINES_MAX) {
        return false;
    }
    struct link link = {.cut = false};
    char word[32];
    int more;
    for (const char *p = line + used; sscanf(p, "%31s%n", word, &more) == 1; p += more) {
        if (!take_word(&link, word)) {
            return false;
        }
    }
    links->of[from][to] = link;
    return true;
}
