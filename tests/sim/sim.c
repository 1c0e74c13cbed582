/* The simulator's program: scenarios, then seeds; sums up and says how to repeat a failure.
 *
 *   sim [--seed S] [--seeds N] [--jobs J] [--verify] [--trace] [--until-failure] [--scenario
 *   NAME] [--no-scenarios] [--list]
 *
 * Seeds run in child processes, so that a failed assertion or a crash is one failed seed and
 * not the end of the run. Every SAMPLE-th seed (each one with --verify) runs twice and must
 * leave the same trace hash. The last line is "N passed, M failed"; the exit status is 0 only
 * without failures. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/run.h"
#include "tests/sim/scenario.h"

#define VERIFY_SAMPLE  16
#define SEED_LIMIT_S   120  /* of processor time: more is an endless loop, on any machine */
#define WAIT_LIMIT_S   3600 /* of real time: something waits for ever */
#define COVERAGE_SEEDS 100 /* a run so long must hit every kind of fault */
#define FAILURES_MAX   20
#define JOBS_MAX       64

struct options {
    uint64_t seed;
    uint64_t seeds;
    uint64_t jobs;
    bool verify;
    bool trace;
    bool until_failure;
    bool no_scenarios;
    const char *scenario;
};

/* What a child tells its parent, through a pipe: the seed it is about to run, or a result. */
struct report {
    uint64_t seed;
    bool is_begin;
    bool is_verified;
    struct run_result result;
};

struct totals {
    uint64_t passed;
    uint64_t failed;
    uint64_t verified;
    struct run_result sum;
};

struct worker {
    pid_t pid;
    int from; /* read end of its reports */
    uint64_t next;
    uint64_t step;
    uint64_t running; /* seed */
    bool is_running;
};

static const char *variant(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return " VARIANT=asan";
#elif defined(__SANITIZE_THREAD__)
    return " VARIANT=tsan";
#else
    return "";
#endif
}

static void print_replay(uint64_t seed)
{
    printf("  replay: make sim SEED=%" PRIu64 " SEEDS=1%s\n", seed, variant());
    (void)fflush(stdout);
}

/* ---- children ---------------------------------------------------------------------------- */

static void tell(int to, const struct report *r)
{
    /* Reports are larger than PIPE_BUF only in theory; each pipe has one writer anyhow. */
    const char *at = (const char *)r;
    for (size_t left = sizeof *r; left > 0;) {
        ssize_t n = write(to, at, left);
        if (n <= 0) {
            _exit(3);
        }
        at += n;
        left -= (size_t)n;
    }
}

/* Ends this process when what begins now takes too long. */
static void limit_time(timer_t timer)
{
    const struct itimerspec limit = {.it_value = {.tv_sec = SEED_LIMIT_S}};
    if (timer_settime(timer, 0, &limit, NULL) != 0) {
        perror("timer_settime");
        exit(2);
    }
    (void)alarm(WAIT_LIMIT_S);
}

static timer_t limit_new(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    timer_t timer;
    if (timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer) != 0) {
        perror("timer_create");
        exit(2);
    }
    return timer;
}

static void verify(uint64_t seed, struct run_result *first)
{
    struct run_result second;
    run_seed(seed, false, &second);
    if (!first->failed && (second.hash != first->hash || second.events != first->events)) {
        first->failed = true;
        (void)snprintf(first->why, sizeof first->why,
                       "the same seed gave another trace: %016" PRIx64 " after %" PRIu64
                       " events, then %016" PRIx64 " after %" PRIu64,
                       first->hash, first->events, second.hash, second.events);
    }
}

static void child_run(const struct options *o, const struct worker *w, int to)
{
    timer_t timer = limit_new();
    for (uint64_t seed = w->next; seed < o->seed + o->seeds; seed += w->step) {
        struct report r = {.seed = seed, .is_begin = true};
        tell(to, &r);
        r.is_begin = false;
        limit_time(timer);
        run_seed(seed, o->trace, &r.result);
        if (o->verify || (o->seeds > 1 && seed % VERIFY_SAMPLE == 0)) {
            verify(seed, &r.result);
            r.is_verified = true;
        }
        tell(to, &r);
        if (o->trace || o->seeds == 1) {
            printf("seed %" PRIu64 ": trace hash %016" PRIx64 ", %" PRIu64 " events\n", seed,
                   r.result.hash, r.result.events);
            (void)fflush(stdout);
        }
    }
}

static void worker_start(const struct options *o, struct worker *w)
{
    int ends[2];
    (void)fflush(stdout);
    if (pipe(ends) != 0) {
        perror("pipe");
        exit(2);
    }
    w->pid = fork();
    if (w->pid < 0) {
        perror("fork");
        exit(2);
    }
    if (w->pid == 0) {
        (void)close(ends[0]);
        child_run(o, w, ends[1]);
        (void)close(ends[1]);
        exit(0); /* not _exit: the leak check runs here */
    }
    (void)close(ends[1]);
    w->from = ends[0];
    w->is_running = false;
}

/* ---- the parent -------------------------------------------------------------------------- */

static void sum_add(struct run_result *sum, const struct run_result *r)
{
    sum->events += r->events;
    sum->virtual_us += r->virtual_us;
    sum->acked += r->acked;
    sum->acked_writes += r->acked_writes;
    sum->elections += r->elections;
    sum->installs += r->installs;
    sum->takes += r->takes;
    sum->boots += r->boots;
    for (size_t i = 0; i < FAULT_KINDS; i++) {
        sum->hits[i] += r->hits[i];
    }
    for (size_t i = 0; i < COUNT_KINDS; i++) {
        sum->counts[i] += r->counts[i];
    }
}

static void seed_failed(struct totals *t, uint64_t seed, const char *why)
{
    t->failed++;
    printf("FAILED seed %" PRIu64 ": %s\n", seed, why);
    print_replay(seed);
}

static bool read_report(int from, struct report *r)
{
    char *at = (char *)r;
    for (size_t left = sizeof *r; left > 0;) {
        ssize_t n = read(from, at, left);
        if (n <= 0) {
            return false;
        }
        at += n;
        left -= (size_t)n;
    }
    return true;
}

/* The child is gone: was it done, or did a seed bring it down? */
static bool worker_ended(const struct options *o, struct worker *w, struct totals *t)
{
    int status = 0;
    (void)close(w->from);
    (void)waitpid(w->pid, &status, 0);
    w->pid = 0;
    if (w->is_running) {
        char why[64];
        if (WIFSIGNALED(status)) {
            (void)snprintf(why, sizeof why,
                           WTERMSIG(status) == SIGALRM ? "endless loop" : "died of signal %d",
                           WTERMSIG(status));
        } else {
            (void)snprintf(why, sizeof why, "ended with status %d", WEXITSTATUS(status));
        }
        seed_failed(t, w->running, why);
        w->next = w->running + w->step;
        return w->next < o->seed + o->seeds;
    }
    if (status != 0) {
        printf("FAILED: a worker ended with status %d after its last seed (a leak?)\n", status);
        t->failed++;
    }
    return false;
}

static void worker_heard(struct worker *w, const struct report *r, struct totals *t)
{
    w->is_running = r->is_begin;
    w->running = r->seed;
    if (r->is_begin) {
        return;
    }
    sum_add(&t->sum, &r->result);
    t->verified += r->is_verified;
    if (r->result.failed) {
        seed_failed(t, r->seed, r->result.why);
    } else {
        t->passed++;
    }
}

static void run_seeds(const struct options *o, struct totals *t)
{
    struct worker workers[JOBS_MAX] = {{0}};
    uint64_t count = o->jobs < o->seeds ? o->jobs : o->seeds;
    for (uint64_t i = 0; i < count; i++) {
        workers[i].next = o->seed + i;
        workers[i].step = count;
        worker_start(o, &workers[i]);
    }
    for (uint64_t running = count, i = 0; running > 0; i = (i + 1) % count) {
        struct worker *w = &workers[i];
        struct report r;
        if (w->pid == 0) {
            continue;
        }
        /* Workers take turns; a slow one holds the others up no longer than their pipes are
         * deep. */
        if (read_report(w->from, &r)) {
            worker_heard(w, &r, t);
        } else if (worker_ended(o, w, t)) {
            worker_start(o, w);
        } else {
            running--;
        }
        if (t->failed >= (o->until_failure ? 1 : FAILURES_MAX)) {
            printf("stopped after %" PRIu64 " failures\n", t->failed);
            for (uint64_t j = 0; j < count; j++) {
                if (workers[j].pid != 0) {
                    (void)kill(workers[j].pid, SIGKILL);
                    (void)waitpid(workers[j].pid, NULL, 0);
                }
            }
            return;
        }
    }
}

/* Each scenario in a process of its own: it may end in an abort. */
static void run_scenarios(const struct options *o, struct totals *t)
{
    for (size_t i = 0; i < scenario_count && !(o->until_failure && t->failed > 0); i++) {
        const struct scenario *s = &scenarios[i];
        if (o->scenario != NULL && strcmp(o->scenario, s->name) != 0) {
            continue;
        }
        (void)fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            char why[512] = "";
            limit_time(limit_new());
            bool ok = scenario_run(s, o->trace, why, sizeof why);
            if (!ok) {
                printf("%s\n", why);
            }
            exit(ok ? 0 : 1);
        }
        int status = -1;
        (void)waitpid(pid, &status, 0);
        t->passed += status == 0;
        t->failed += status != 0;
        printf("%s scenario %s\n", status == 0 ? "passed" : "FAILED", s->name);
    }
}

static void print_sum(const struct options *o, struct totals *t, double seconds)
{
    const struct run_result *sum = &t->sum;
    if (o->seeds == 0) {
        return;
    }
    printf(
        "%" PRIu64 " seeds from %" PRIu64 " on, %.1f s, %.1f seeds/s; %.0f simulated seconds, "
        "%" PRIu64 " events; %" PRIu64 " run twice with equal trace hashes unless reported\n",
        o->seeds, o->seed, seconds, (double)o->seeds / seconds, (double)sum->virtual_us / 1e6,
        sum->events, t->verified);
    printf("%" PRIu64 " acknowledged operations (%" PRIu64 " writes), %" PRIu64
           " starts of nodes, "
           "%" PRIu64 " leaders, %" PRIu64 " snapshots taken, %" PRIu64 " received\n",
           sum->acked, sum->acked_writes, sum->boots, sum->elections, sum->takes,
           sum->installs);
    printf("faults:");
    for (size_t i = 0; i < FAULT_KINDS; i++) {
        printf(" %s=%" PRIu64, fault_names[i], sum->hits[i]);
    }
    printf("\nsessions, watchers, members:");
    for (size_t i = 0; i < COUNT_KINDS; i++) {
        printf(" %s=%" PRIu64, count_names[i], sum->counts[i]);
    }
    printf("\n%" PRIu64 " guarded writes of holders whose session had expired, %" PRIu64
           " of holders who had lost or released their lock otherwise: all refused%s\n",
           sum->counts[COUNT_FENCED], sum->counts[COUNT_STALE],
           t->failed == 0 ? "" : " but for what is reported");
    printf("%" PRIu64 " guarded writes of nodes whose epoch had passed when they began, %" PRIu64
           " whose epoch passed on the way: all refused%s\n",
           sum->counts[COUNT_SHARD_FENCED], sum->counts[COUNT_SHARD_STALE],
           t->failed == 0 ? "" : " but for what is reported");
    for (size_t i = 0; i < FAULT_KINDS && o->seeds >= COVERAGE_SEEDS && t->failed == 0; i++) {
        if (sum->hits[i] == 0) {
            printf("FAILED: fault %s never hit\n", fault_names[i]);
            t->failed++;
        }
    }
    for (size_t i = 0; i < COUNT_KINDS && o->seeds >= COVERAGE_SEEDS && t->failed == 0; i++) {
        if (sum->counts[i] == 0) {
            printf("FAILED: nothing was ever %s\n", count_names[i]);
            t->failed++;
        }
    }
}

static double seconds_now(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint64_t number_argument(char **argv, int *i)
{
    char *end = NULL;
    const char *text = argv[++*i];
    uint64_t v = text == NULL ? 0 : strtoull(text, &end, 10);
    if (text == NULL || end == text || *end != '\0') {
        fprintf(stderr, "sim: %s wants a number\n", argv[*i - 1]);
        exit(2);
    }
    return v;
}

static void parse(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0) {
            o->seed = number_argument(argv, &i);
        } else if (strcmp(argv[i], "--seeds") == 0) {
            o->seeds = number_argument(argv, &i);
        } else if (strcmp(argv[i], "--jobs") == 0) {
            o->jobs = number_argument(argv, &i);
        } else if (strcmp(argv[i], "--scenario") == 0 && i + 1 < argc) {
            o->scenario = argv[++i];
            o->seeds = 0;
        } else if (strcmp(argv[i], "--verify") == 0) {
            o->verify = true;
        } else if (strcmp(argv[i], "--trace") == 0) {
            o->trace = true;
        } else if (strcmp(argv[i], "--until-failure") == 0) {
            o->until_failure = true;
        } else if (strcmp(argv[i], "--no-scenarios") == 0) {
            o->no_scenarios = true;
        } else if (strcmp(argv[i], "--list") == 0) {
            for (size_t j = 0; j < scenario_count; j++) {
                printf("%s\n", scenarios[j].name);
            }
            exit(0);
        } else {
            fprintf(stderr, "sim: unknown argument %s\n", argv[i]);
            exit(2);
        }
    }
    o->jobs = o->jobs < 1 ? 1 : o->jobs > JOBS_MAX ? JOBS_MAX : o->jobs;
    o->no_scenarios |= o->trace && o->scenario == NULL;
}

int main(int argc, char **argv)
{
    struct options o = {.seed = 1, .seeds = 100, .jobs = 1};
    struct totals t = {0};
    parse(argc, argv, &o);
    double begin = seconds_now();
    if (!o.no_scenarios) {
        run_scenarios(&o, &t);
    }
    if (o.seeds > 0 && !(o.until_failure && t.failed > 0)) {
        run_seeds(&o, &t);
    }
    print_sum(&o, &t, seconds_now() - begin);
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", t.passed, t.failed);
    return t.failed == 0 && t.passed > 0 ? 0 : 1;
}
