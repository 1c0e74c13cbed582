/* What is wrong with the way from one machine to another, for each direction, and the words in
 * which that is said, one line for each change:
 *
 *     clear
 *     link FROM TO [cut=1] [delay=MS] [jitter=MS] [loss=PERMILLE] [dup=PERMILLE]
 *
 * What a line does not name is well. Machines are numbers; 0 is that of the clients. */
#ifndef FAULTS_LINKS_H
#define FAULTS_LINKS_H

#include <stdbool.h>
#include <stdint.h>

#define LINKS_MACHINES_MAX 16

struct link {
    bool cut;
    unsigned delay_ms;
    unsigned jitter_ms; /* up to so much more, by chance: packets overtake each other */
    unsigned loss_permille;
    unsigned dup_permille;
};

struct links {
    struct link of[LINKS_MACHINES_MAX][LINKS_MACHINES_MAX]; /* [from][to] */
    uint64_t rng;
};

/* False: the line is not understood, and nothing was changed. */
bool links_command(struct links *links, const char *line);
/* Of a thousand. */
bool links_chance(struct links *links, unsigned permille);
/* How long this packet takes. */
uint64_t links_delay_us(struct links *links, const struct link *link);
uint64_t links_now_us(void);

#endif
