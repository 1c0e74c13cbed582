#include "cmd/coordctl/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/coordctl/doctor.h"

/* Kept by name, so that what was before and after stand at the same place. */
static bool add(struct bench_servers *s, const char *name, double cpu_s, double rss_bytes)
{
    if (s->count == BENCH_SERVERS_MAX || isnan(cpu_s) || isnan(rss_bytes)) {
        return false;
    }
    size_t at = s->count++;
    for (; at > 0 && strcmp(s->names[at - 1], name) > 0; at--) {
        memcpy(s->names[at], s->names[at - 1], sizeof s->names[0]);
        s->cpu_s[at] = s->cpu_s[at - 1];
        s->rss_bytes[at] = s->rss_bytes[at - 1];
    }
    snprintf(s->names[at], sizeof s->names[0], "%s", name);
    s->cpu_s[at] = cpu_s;
    s->rss_bytes[at] = (uint64_t)rss_bytes;
    return true;
}

static bool ask_members(struct bench_servers *s, struct ctl *ctl)
{
    struct doctor d;
    struct coord_error error;
    if (!doctor_ask_quietly(&d, ctl, &error)) {
        return false;
    }
    bool fine = d.count > 0;
    for (size_t i = 0; i < d.count && fine; i++) {
        const struct doctor_member *m = &d.members[i];
        fine = m->metrics != NULL &&
               add(s, m->name, figure(m->metrics->text, "process_cpu_seconds_total"),
                   figure(m->metrics->text, "process_resident_memory_bytes"));
    }
    doctor_free(&d);
    return fine;
}

/* Fields 14 and 15 of /proc/PID/stat, behind the name, which may hold anything. */
static bool read_process(struct bench_servers *s, long pid)
{
    char path[64];
    char text[1024];
    unsigned long long user = 0;
    unsigned long long kernel = 0;
    long pages = 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    size_t size = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[size] = '\0';
    const char *at = strrchr(text, ')');
    if (at == NULL || sscanf(at + 1,
                             " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d "
                             "%*d %*d %*d %*d %*u %*u %ld",
                             &user, &kernel, &pages) != 3) {
        return false;
    }
    (void)snprintf(path, sizeof path, "%ld", pid);
    return add(s, path, (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK),
               (double)pages * (double)sysconf(_SC_PAGESIZE));
}

static bool read_processes(struct bench_servers *s, const char *text)
{
    for (const char *at = text; *at != '\0';) {
        char *end;
        long pid = strtol(at, &end, 10);
        if (end == at || !read_process(s, pid)) {
            return false;
        }
        at = *end == ',' ? end + 1 : end;
    }
    return true;
}

void bench_servers_ask(struct bench_servers *s, struct ctl *ctl)
{
    memset(s, 0, sizeof *s);
    s->is_known = ctl->processes != NULL ? read_processes(s, ctl->processes)
                                         : ask_members(s, ctl);
}
