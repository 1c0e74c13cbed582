#include "net/checks/suspicion.h"

#include <math.h>

/* The deviation is taken for at least this part of the mean. */
#define DEVIATION_PART 0.25
#define DEVIATION_MS   1.0

void suspicion_note(struct suspicion *s, uint64_t now_ms)
{
    if (s->last_ms != 0) {
        double took_ms = now_ms > s->last_ms ? (double)(now_ms - s->last_ms) : 0;
        s->intervals += s->intervals < SUSPICION_WINDOW;
        double off = took_ms - s->mean_ms;
        s->mean_ms += off / s->intervals;
        s->variance += (off * (took_ms - s->mean_ms) - s->variance) / s->intervals;
    }
    s->last_ms = now_ms > s->last_ms ? now_ms : s->last_ms;
}

double suspicion_phi(const struct suspicion *s, uint64_t now_ms)
{
    if (s->intervals < SUSPICION_INTERVALS_MIN || now_ms <= s->last_ms) {
        return 0;
    }
    double deviation = fmax(sqrt(s->variance), fmax(DEVIATION_PART * s->mean_ms, DEVIATION_MS));
    double off = ((double)(now_ms - s->last_ms) - s->mean_ms) / deviation;
    double later = 0.5 * erfc(off / sqrt(2.0));
    return later > 0 ? fmin(fmax(-log10(later), 0), SUSPICION_MAX) : SUSPICION_MAX;
}
