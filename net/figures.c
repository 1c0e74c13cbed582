#include "net/figures.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/memory_limit.h"

/* Gauges that show the moment at which they are asked for. */
enum figure {
    GAUGE_TERM,
    GAUGE_COMMIT,
    GAUGE_APPLIED,
    GAUGE_LAST,
    GAUGE_IS_LEADER,
    GAUGE_SERVING,
    GAUGE_REVISION,
    GAUGE_NODES,
    GAUGE_STATE_BYTES,
    GAUGE_QUOTAS,
    GAUGE_QUOTAS_SOFT,
    GAUGE_QUOTAS_FULL,
    GAUGE_HISTORY_BYTES,
    GAUGE_LOG_BYTES,
    GAUGE_CACHED_BYTES,
    GAUGE_SNAPSHOT_INDEX,
    GAUGE_SNAPSHOT_BYTES,
    GAUGE_DISK_SHORT,
    GAUGE_MEMBERS,
    GAUGE_MEMBERS_UP,
    GAUGE_START,
    GAUGE_MEMORY,
    GAUGE_MEMORY_LIMIT,
    GAUGE_MACHINE_MEMORY,
    GAUGE_MACHINE_AVAILABLE,
    GAUGE_FILES,
    GAUGE_FILES_MAX,
    GAUGES,
};

static const struct {
    const char *name;
    const char *help;
} gauges[GAUGES] = {
    [GAUGE_TERM] = {"coord_raft_term", "Current term."},
    [GAUGE_COMMIT] = {"coord_raft_commit_index", "Highest log index known to be committed."},
    [GAUGE_APPLIED] = {"coord_raft_applied_index", "Highest log index applied to the state."},
    [GAUGE_LAST] = {"coord_raft_last_index", "Highest log index on this node."},
    [GAUGE_IS_LEADER] = {"coord_raft_is_leader", "1 while this node leads."},
    [GAUGE_SERVING] = {"coord_serving", "1 while this node answers linearizable requests."},
    [GAUGE_REVISION] = {"coord_store_revision", "Revision of the state."},
    [GAUGE_NODES] = {"coord_store_nodes", "Nodes in the tree."},
    [GAUGE_STATE_BYTES] = {"coord_store_bytes", "Bytes of state in memory."},
    [GAUGE_QUOTAS] = {"coord_quotas", "Quotas of subtrees."},
    [GAUGE_QUOTAS_SOFT] = {"coord_quotas_warning",
                           "Quotas of which the soft percentage is reached, and no bound."},
    [GAUGE_QUOTAS_FULL] = {"coord_quotas_full", "Quotas of which a bound is reached."},
    [GAUGE_HISTORY_BYTES] = {"coord_history_bytes", "Bytes of the change log, by its bounds."},
    [GAUGE_LOG_BYTES] = {"coord_raft_log_bytes", "Bytes of log on disk."},
    [GAUGE_CACHED_BYTES] = {"coord_raft_cached_bytes", "Bytes of log in memory, for followers."},
    [GAUGE_SNAPSHOT_INDEX] = {"coord_snapshot_index", "Log index of the latest snapshot."},
    [GAUGE_SNAPSHOT_BYTES] = {"coord_snapshot_bytes", "Size of the latest snapshot."},
    [GAUGE_DISK_SHORT] = {"coord_disk_short",
                          "1 while writes are refused for lack of disk space."},
    [GAUGE_MEMBERS] = {"coord_members", "Members of the cluster."},
    [GAUGE_MEMBERS_UP] = {"coord_members_up",
                          "Members connected to this node, itself included."},
    [GAUGE_START] = {"process_start_time_seconds", "When the process began, since 1970."},
    [GAUGE_MEMORY] = {"process_resident_memory_bytes", "Memory that the process uses."},
    [GAUGE_MEMORY_LIMIT] = {"coord_memory_limit_bytes",
                            "Memory that the process may use: its cgroup's, or the machine's."},
    [GAUGE_MACHINE_MEMORY] = {"coord_machine_memory_bytes", "Memory of the machine."},
    [GAUGE_MACHINE_AVAILABLE] = {"coord_machine_memory_available_bytes",
                                 "Of it, what is left without swapping."},
    [GAUGE_FILES] = {"process_open_fds", "Files and connections that are open."},
    [GAUGE_FILES_MAX] = {"process_max_fds", "So many may be open."},
};

struct figures {
    struct metrics *metrics;
    uint64_t began_s;
    struct metric *gauges[GAUGES];
    struct metric *cpu;
    struct buf text;  /* the last one */
    uint64_t made_ms; /* since then it was made */
    unsigned made;    /* so many times */
};

struct figures *figures_new(struct metrics *metrics)
{
    struct figures *f = mem_zalloc(sizeof *f);
    f->metrics = metrics;
    f->began_s = (uint64_t)time(NULL);
    for (int i = 0; metrics != NULL && i < GAUGES; i++) {
        f->gauges[i] = metrics_gauge(metrics, gauges[i].name, NULL, gauges[i].help);
    }
    if (metrics != NULL) {
        f->cpu = metrics_time(metrics, "process_cpu_seconds_total", NULL,
                              "Processor time that the process has used.");
    }
    return f;
}

void figures_free(struct figures *f)
{
    if (f != NULL) {
        buf_close(&f->text);
        mem_free(f);
    }
}

/* ---- the process: from Linux's /proc, which never waits for a disk ------------------------- */

static uint64_t resident_bytes(void)
{
    unsigned long long total = 0;
    unsigned long long resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file != NULL) {
        if (fscanf(file, "%llu %llu", &total, &resident) != 2) {
            resident = 0;
        }
        (void)fclose(file);
    }
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int64_t cpu_us(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0) {
        return 0;
    }
    return ((int64_t)u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

/* Linux says since 6.2 how many they are; before, they are to be counted, which takes
 * milliseconds if they are ten thousand. */
static uint64_t open_files(void)
{
    struct stat folder;
    uint64_t count = 0;
    if (stat("/proc/self/fd", &folder) == 0 && folder.st_size > 0) {
        return (uint64_t)folder.st_size;
    }
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) {
        return 0;
    }
    while (readdir(dir) != NULL) {
        count++;
    }
    (void)closedir(dir);
    return count > 3 ? count - 3 : 0; /* ".", "..", and the folder itself */
}

static uint64_t open_files_max(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY
               ? limit.rlim_cur
               : 0;
}

/* ---- now ----------------------------------------------------------------------------------- */

static void refresh(const struct figures *f, const struct node *node)
{
    struct node_status s;
    node_status(node, &s);
    struct memory_limit memory = memory_limit_read("");
    uint64_t up = 0;
    for (size_t i = 0; i < s.member_count; i++) {
        up += s.members[i].is_up ? 1 : 0;
    }
    const uint64_t values[GAUGES] = {
        [GAUGE_TERM] = s.term,
        [GAUGE_COMMIT] = s.commit_index,
        [GAUGE_APPLIED] = s.applied_index,
        [GAUGE_LAST] = s.last_index,
        [GAUGE_IS_LEADER] = s.leader_id != 0 && s.leader_id == s.node_id,
        [GAUGE_SERVING] = s.serving,
        [GAUGE_REVISION] = s.revision,
        [GAUGE_NODES] = s.node_count,
        [GAUGE_STATE_BYTES] = s.state_bytes,
        [GAUGE_QUOTAS] = s.quotas,
        [GAUGE_QUOTAS_SOFT] = s.quotas_soft,
        [GAUGE_QUOTAS_FULL] = s.quotas_full,
        [GAUGE_HISTORY_BYTES] = s.history_bytes,
        [GAUGE_LOG_BYTES] = s.log_bytes,
        [GAUGE_CACHED_BYTES] = s.cached_bytes,
        [GAUGE_SNAPSHOT_INDEX] = s.snapshot_index,
        [GAUGE_SNAPSHOT_BYTES] = s.snapshot_bytes,
        [GAUGE_DISK_SHORT] = s.disk_is_short,
        [GAUGE_MEMBERS] = s.member_count,
        [GAUGE_MEMBERS_UP] = up,
        [GAUGE_START] = f->began_s,
        [GAUGE_MEMORY] = resident_bytes(),
        [GAUGE_MEMORY_LIMIT] = memory.process_bytes,
        [GAUGE_MACHINE_MEMORY] = memory.machine_bytes,
        [GAUGE_MACHINE_AVAILABLE] = memory.available_bytes,
        [GAUGE_FILES] = open_files(),
        [GAUGE_FILES_MAX] = open_files_max(),
    };
    for (int i = 0; i < GAUGES; i++) {
        metric_set(f->gauges[i], (int64_t)values[i]);
    }
    metric_set(f->cpu, cpu_us());
}

static bool may_make(struct figures *f, uint64_t now_ms)
{
    if (f->made == 0 || now_ms - f->made_ms >= FIGURES_MADE_MS) {
        f->made_ms = now_ms;
        f->made = 0;
    }
    return f->made < FIGURES_MADE_MAX;
}

struct slice figures_text(struct figures *f, const struct node *node, uint64_t now_ms)
{
    if (f->metrics != NULL && may_make(f, now_ms)) {
        f->made++;
        refresh(f, node);
        buf_clear(&f->text);
        metrics_print(f->metrics, &f->text);
    }
    return buf_slice(&f->text);
}
