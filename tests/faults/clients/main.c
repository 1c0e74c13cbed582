/* Clients of the fault tests, over libcoord, and what they leave for the checkers.
 *
 *   clients run DIR BEGIN_US ROTATE_MS SLOTS SEED KIND=COUNT@ENDPOINTS...
 *       one thread for each client (worker.h), a file DIR/KIND-N.history for each thread, until
 *       standard input ends. The first endpoint differs from client to client, and is the only one
 *       of readers.
 *   clients dump ENDPOINT
 *       the change log of that member (dump.h) */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/faults/clients/dump.h"
#include "tests/faults/clients/worker.h"

#define WORKERS_MAX   64
#define TIMEOUT_MS    1200
#define HISTORY_BYTES ((size_t)1 << 20)

struct kind {
    const char *name;
    void (*run)(struct worker *w);
    bool is_pinned; /* to one member, whatever becomes of that */
};

static const struct kind kinds[] = {
    {"kv", worker_run_kv, false},           {"read", worker_run_read, true},
    {"bank", worker_run_bank, false},       {"lock", worker_run_lock, false},
    {"held", worker_run_held, false},       {"elect", worker_run_elect, false},
    {"session", worker_run_session, false}, {"watch", worker_run_watch, false},
    {"late", worker_run_late_watch, false},
};

static void *worker_main(void *argument)
{
    struct worker *w = argument;
    w->run(w);
    return NULL;
}

/* "a,b,c" turned by one place for each number. */
static void turn_endpoints(const char *endpoints, unsigned number, char *out, size_t bytes)
{
    size_t commas = 0;
    for (const char *p = endpoints; *p != '\0'; p++) {
        commas += *p == ',';
    }
    const char *from = endpoints;
    for (size_t i = 0; i < number % (commas + 1); i++) {
        from = strchr(from, ',') + 1;
    }
    int length = (int)(from - endpoints);
    snprintf(out, bytes, "%s%s%.*s", from, length > 0 ? "," : "", length > 0 ? length - 1 : 0,
             endpoints);
}

static bool open_worker(struct worker *w, const struct kind *kind, unsigned number,
                        const struct setup *setup, const char *all_endpoints)
{
    char endpoints[1024];
    char path[1024];
    struct coord_error error;
    snprintf(w->name, sizeof w->name, "%s-%u", kind->name, number);
    turn_endpoints(all_endpoints, number, endpoints, sizeof endpoints);
    if (kind->is_pinned) {
        endpoints[strcspn(endpoints, ",")] = '\0';
    }
    const struct coord_options options = {
        .endpoints = endpoints, .timeout_ms = TIMEOUT_MS, .note = w->name};
    if (coord_open(&options, &w->client, &error) != COORD_OK) {
        fprintf(stderr, "clients: %s\n", error.message);
        return false;
    }
    snprintf(path, sizeof path, "%s/%s.history", setup->dir, w->name);
    w->history = fopen(path, "w");
    if (w->history == NULL || setvbuf(w->history, NULL, _IOFBF, HISTORY_BYTES) != 0) {
        perror(path);
        return false;
    }
    w->setup = setup;
    w->run = kind->run;
    w->rng = setup->seed * 1000003u + (uint64_t)(kind - kinds) * 1009u + number;
    return true;
}

/* "KIND=COUNT@ENDPOINTS" */
static bool open_workers(char *text, struct worker *workers, size_t *count,
                         const struct setup *setup)
{
    char *number = strchr(text, '=');
    char *endpoints = number != NULL ? strchr(number, '@') : NULL;
    if (endpoints == NULL) {
        return false;
    }
    *number++ = '\0';
    *endpoints++ = '\0';
    unsigned wanted = (unsigned)strtoul(number, NULL, 10);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        if (strcmp(kinds[k].name, text) == 0) {
            for (unsigned i = 0; i < wanted; i++) {
                if (*count == WORKERS_MAX ||
                    !open_worker(&workers[*count], &kinds[k], i, setup, endpoints)) {
                    return false;
                }
                ++*count;
            }
            return true;
        }
    }
    return false;
}

static int close_workers(struct worker *workers, size_t count)
{
    int status = 0;
    for (size_t i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        coord_close(workers[i].client);
        if (fclose(workers[i].history) != 0) {
            perror("clients: history");
            status = 1;
        }
    }
    return status;
}

static int run_all(char **words, int word_count)
{
    static struct worker workers[WORKERS_MAX];
    static atomic_bool stop;
    const struct setup setup = {.dir = words[0],
                                .begin_us = strtoull(words[1], NULL, 10),
                                .rotate_us = strtoull(words[2], NULL, 10) * 1000,
                                .slots = (unsigned)strtoul(words[3], NULL, 10),
                                .seed = strtoull(words[4], NULL, 10),
                                .stop = &stop};
    size_t count = 0;
    if (setup.rotate_us == 0 || setup.slots == 0) {
        return 2;
    }
    for (int i = 5; i < word_count; i++) {
        if (!open_workers(words[i], workers, &count, &setup)) {
            fprintf(stderr, "clients: cannot run '%s'\n", words[i]);
            return 2;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) != 0) {
            return 1;
        }
    }
    char scrap[64];
    while (read(STDIN_FILENO, scrap, sizeof scrap) > 0) {
    }
    atomic_store(&stop, true);
    return close_workers(workers, count);
}

int main(int argc, char **argv)
{
    if (argc > 7 && strcmp(argv[1], "run") == 0) {
        return run_all(argv + 2, argc - 2);
    }
    if (argc == 3 && strcmp(argv[1], "dump") == 0) {
        return dump_changes(argv[2]);
    }
    fputs("usage: clients run DIR BEGIN_US ROTATE_MS SLOTS SEED KIND=COUNT@ENDPOINTS... |"
          " clients dump ENDPOINT\n",
          stderr);
    return 2;
}
