"""Which faults strike when in a round: a function of the seed, the size of the cluster and the seconds."""
import random

from kinds import KINDS, REPLACING

QUIET_S = 0.7   # before the first fault
PAUSE_S = (0.2, 0.9)


class Strike:
    def __init__(self, at, until, kind, number, seed):
        self.at, self.until, self.kind, self.number, self.seed = at, until, kind, number, seed

    def __repr__(self):
        return "%.1fs to %.1fs %s (n%d)" % (self.at, self.until, self.kind, self.number)


def make(seed, size, seconds, abilities, only=None):
    """A list of Strike in order of time. About half of them overlap with another one."""
    rng = random.Random("faults %d" % seed)
    names = [name for name, kind in KINDS.items() if all(need in abilities for need in kind.needs)]
    # Swarm: each round leaves out a third of the kinds, so that others meet more often.
    names = [name for name in names if rng.random() < 0.67] or names
    if only:
        names = [name for name in KINDS if name in only and all(need in abilities for need in KINDS[name].needs)]
    strikes = []
    at = QUIET_S
    while at < seconds - 0.5 and names:
        latest = at
        for _ in range(rng.choice((1, 1, 2))):
            name = rng.choices(names, [KINDS[name].weight for name in names])[0]
            kind = KINDS[name]
            begin = at + rng.random() * 0.4
            end = min(begin + rng.uniform(kind.shortest, kind.longest), seconds)
            strikes.append(Strike(begin, max(end, begin + 0.1), name, rng.randrange(1, size + 1),
                                  rng.randrange(1 << 30)))
            latest = max(latest, end)
            if name in REPLACING:
                names = [other for other in names if other not in REPLACING]
                if not names:
                    break
        at = latest + rng.uniform(*PAUSE_S)
    return sorted(strikes, key=lambda strike: strike.at)
