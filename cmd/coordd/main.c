/* coordd: reads its settings, prepares the process, runs. Exit codes: 0 after a graceful stop,
 * 1 when it could not start or had to stop, 2 for settings that make no sense. `coordd restore` and
 * `coordd recover` work on files instead (offline.h). */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

#include "base/salt.h"
#include "base/version.h"
#include "cmd/coordd/config.h"
#include "cmd/coordd/offline.h"
#include "cmd/coordd/wire.h"

#define EXIT_SETTINGS 2

/* Connections are files, and the usual soft limit of 1,024 is below what the server allows. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* From here on an allocation is pages of its own, and goes back to the system when it is freed. */
#define MEMORY_OWN_PAGES_BYTES (64 << 10)

/* One thread does nearly all the allocating. Arenas for each of the others would only hold memory
 * back, and with one arena what is freed at the top goes back to the system. Entries of the log and
 * buffers come and go among what stays: with pages of their own they leave no holes. Values are
 * elsewhere (base/slab.h). */
static void tune_memory(void)
{
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_MMAP_THRESHOLD, MEMORY_OWN_PAGES_BYTES);
}

/* Of libuv's pool, which does nothing but look names up, half of them at a time. Usually it has
 * four, and two names whose servers do not answer would keep everybody from reaching the others. */
static void tune_lookups(void)
{
    (void)setenv("UV_THREADPOOL_SIZE", "32", 0);
}

/* Nobody may know which names meet in one bucket. */
static void salt_tables(void)
{
    uint64_t seed;
    if (uv_random(NULL, NULL, &seed, sizeof seed, 0, NULL) == 0) {
        salt_seed(seed);
    }
}

int main(int argc, char **argv)
{
    struct config config;
    struct errmsg err = {0};
    salt_tables();
    if (argc > 1 && strcmp(argv[1], "restore") == 0) {
        return restore_run(argc, argv);
    }
    if (argc > 1 && strcmp(argv[1], "recover") == 0) {
        return recover_run(argc, argv);
    }
    if (config_load(argc, argv, getenv, &config, &err) != RC_OK) {
        fprintf(stderr, "coordd: %s\n", err.text);
        return EXIT_SETTINGS;
    }
    if (config.help) {
        config_print_help(stdout);
        return 0;
    }
    if (config.version) {
        printf("coordd %s\n", version_text());
        return 0;
    }
    raise_file_limit();
    tune_memory();
    tune_lookups();
    return wire_run(&config, argv[0]);
}
