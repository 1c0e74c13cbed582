"""Rounds of real faults on real processes (docs/testing.md): make faults ROUNDS=n SECONDS=s [SEED=n].

ROUNDS, SECONDS, SEED come from the environment. Round i of a run has the seed SEED + i, which decides the size of the
cluster, the plan of faults and what clients choose; the machine decides the rest. A round with a violation keeps
its histories and logs, and the command that strikes the same plan again is printed. FAULTS="kill power" takes
these kinds only, SIZE=5 this size, ROOT=no makes no use of being root. `run.py judge FOLDER` runs the checkers over a kept round once more."""
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "cluster")]

import network  # noqa: E402
from disks import loops_work  # noqa: E402
from kinds import KINDS  # noqa: E402
from machines import CPU_GROUPS  # noqa: E402
from round import Round, judge  # noqa: E402


def find_abilities(scratch):
    """What this machine allows, and what it does not, with the reason."""
    abilities, missing = set(), []
    if os.environ.get("ROOT") == "no":
        return abilities, ["all that takes root: ROOT=no"]
    reason = network.namespaces_work()
    abilities |= {"packets"} if reason is None else set()
    missing += ["lost, doubled and reordered packets (proxies instead): " + reason] if reason is not None else []
    reason = loops_work(scratch)
    abilities |= {"loops"} if reason is None else set()
    missing += ["lost power, full and frozen disks: " + reason] if reason is not None else []
    if os.access(CPU_GROUPS, os.W_OK):
        abilities.add("cpu")
    else:
        missing.append("processor shares: no cpu controller that may be written at " + CPU_GROUPS)
    return abilities, missing


def size_of(seed):
    return int(os.environ.get("SIZE") or (5 if seed % 3 == 0 else 3))


def run_round(folder, seed, seconds, abilities):
    """Its verdict, or None with the reason printed if it could not be run to its end."""
    only = os.environ.get("FAULTS", "").split() or None
    one = None
    try:
        one = Round(folder, seed, size_of(seed), seconds, abilities, only)
        return one.run()
    except Exception:  # whatever it is, the other rounds still run
        print(traceback.format_exc(), flush=True)
        if one is not None:
            for node in one.machines.nodes if one.machines is not None else ():
                if os.path.exists(node.log_path):
                    print("--- log of %s\n%s" % (node.name, node.log_tail()), flush=True)
        return None
    finally:
        if one is not None:
            one.close()


def replay_command(seed, seconds):
    words = ["make faults", "ROUNDS=1", "SECONDS=%g" % seconds, "SEED=%d" % seed]
    words += ['%s="%s"' % (name, os.environ[name]) for name in ("FAULTS", "SIZE") if os.environ.get(name)]
    return " ".join(words)


def run_rounds(rounds, seconds, first_seed):
    kept = os.environ.get("FAULTS_KEEP", "build/faults")
    faults, counts = Counter(), Counter()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="coord-faults-") as scratch:
        abilities, missing = find_abilities(scratch)
        for line in missing:
            print("skipped, %s" % line)
        begin = time.monotonic()
        for seed in range(first_seed, first_seed + rounds):
            folder = os.path.join(scratch, "round-%d" % seed)
            os.makedirs(folder)
            verdict = run_round(folder, seed, seconds, abilities)
            bad = verdict is None or bool(verdict.violations)
            if verdict is not None:
                faults += verdict.faults
                counts += verdict.counts
                counts["violations"] += len(verdict.violations)
            print_round(seed, verdict)
            if bad:
                failed += 1
                keep = os.path.join(kept, "round-%d" % seed)
                shutil.rmtree(keep, ignore_errors=True)
                shutil.copytree(folder, keep, ignore=shutil.ignore_patterns("*.img", "n?"))
                print("  histories and logs: %s\n  the same plan again: %s" % (keep, replay_command(seed, seconds)),
                      flush=True)
            shutil.rmtree(folder)
        seconds_all = time.monotonic() - begin
    print_sum(rounds, seconds_all, faults, counts)
    print("%d passed, %d failed" % (rounds - failed, failed))
    return failed == 0 and rounds > 0


def print_round(seed, verdict):
    if verdict is None:
        print("FAIL round %d did not come to its end" % seed, flush=True)
        return
    word = "FAIL" if verdict.violations else "ok"
    counts = verdict.counts
    print("%s round %d: %d nodes, %d faults, %d operations (%d unknown), %d watch events, %d terms, %.1fs" % (
        word, seed, size_of(seed), sum(verdict.faults.values()), counts["operations"], counts["unknown outcomes"],
        counts["watch events"], counts["leader changes"] + 1, verdict.seconds), flush=True)
    for violation in verdict.violations[:10]:
        print("  violation: " + violation, flush=True)


def print_sum(rounds, seconds, faults, counts):
    print("rounds: %d in %.0fs" % (rounds, seconds))
    print("faults: %d (%s)" % (sum(faults.values()), ", ".join(
        "%s %d" % (name, faults[name]) for name in KINDS if faults[name])))
    print("never struck: %s" % (", ".join(name for name in KINDS if not faults[name]) or "none"))
    print("checked: " + ", ".join("%s %d" % (name, counts[name]) for name in (
        "operations", "acknowledged", "unknown outcomes", "changes", "watches", "watch events",
        "one-shot watches", "grants", "grants of the cluster", "wins of elections", "grants of kazoo",
        "writes of former holders refused", "writes of former leaders refused", "keys searched", "leader changes")))
    print("violations: %d" % counts["violations"])


def judge_again(folder):
    counts = Counter()
    logs = sorted(name for name in os.listdir(folder) if name.endswith(".changes"))
    with open(os.path.join(folder, logs[0]), encoding="utf-8") as file:
        found = judge(os.path.join(folder, "histories"), file.read().splitlines(), counts)
    print(dict(counts))
    for violation in found:
        print("violation: " + violation)
    return not found


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if len(sys.argv) == 3 and sys.argv[1] == "judge":
        sys.exit(0 if judge_again(sys.argv[2]) else 1)
    environment = os.environ
    good = run_rounds(int(environment.get("ROUNDS") or 20), float(environment.get("SECONDS") or 8),
                      int(environment.get("SEED") or 1))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
