/* How suspicious it is that somebody is silent, by how regular his signs of life were: phi accrual
 * (Hayashibara, Defago, Yared, Katayama: "The phi accrual failure detector", 2004). Phi is -log10
 * of the probability that a sign comes later than now, taken for normally distributed: phi 1 is
 * wrong once in ten times, phi 8 once in a hundred million. Mean and variance are those of the
 * signs so far, of which the last SUSPICION_WINDOW weigh most. A zeroed one is valid. Pure. */
#ifndef NET_CHECKS_SUSPICION_H
#define NET_CHECKS_SUSPICION_H

#include <stdint.h>

#define SUSPICION_WINDOW 20u
#define SUSPICION_MAX    100.0 /* what is more is told as this */
/* With fewer intervals there is no suspicion. */
#define SUSPICION_INTERVALS_MIN 2u

struct suspicion {
    uint32_t intervals; /* counted up to SUSPICION_WINDOW */
    uint64_t last_ms;   /* of the last sign; 0: there was none */
    double mean_ms;
    double variance;
};

/* A sign of life. Time that goes back counts as no time. */
void suspicion_note(struct suspicion *s, uint64_t now_ms);
/* From 0 to SUSPICION_MAX. Who is very regular is given a quarter of his mean all the same. */
double suspicion_phi(const struct suspicion *s, uint64_t now_ms);

#endif
