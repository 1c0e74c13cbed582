/* Load for the cluster tests, over libcoord.
 *
 *   writers write ENDPOINTS PREFIX WRITERS BYTES   writes until stdin ends; a line for each write
 *       "ok PATH"        acknowledged: it must be there for ever
 *       "unknown PATH"   it may be there or not
 *       "failed PATH why"  not executed, or so it was told
 *   writers check ENDPOINT BYTES                   reads the paths on stdin from that node alone,
 *       without asking the leader; a line for each one that is missing or holds another value
 *
 * Each writer is a thread with a client of its own and creates PREFIX-<writer>-<n> with n counting
 * up. The value is made of the path, so that it can be checked without having been kept. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/client.h"

#define WRITERS_MAX     64
#define PATH_BYTES      256
#define VALUE_BYTES_MAX 65536

struct writer {
    pthread_t thread;
    const char *endpoints;
    const char *prefix;
    size_t bytes;
    int number;
    atomic_bool *stop;
};

static size_t make_value(const char *path, char *value, size_t bytes)
{
    size_t length = strlen(path);
    for (size_t i = 0; i < bytes; i++) {
        value[i] = path[i % length];
    }
    return bytes;
}

static void report(const char *word, const char *path, const char *why)
{
    char line[PATH_BYTES + 700];
    int length =
        snprintf(line, sizeof line, "%s %s%s%s\n", word, path, why[0] != '\0' ? " " : "", why);
    ssize_t written = write(STDOUT_FILENO, line, (size_t)length);
    if (written != length) {
        abort(); /* an acknowledged write that nobody hears of would not be checked */
    }
}

static void *write_main(void *argument)
{
    struct writer *w = argument;
    struct coord_client *client;
    struct coord_error error;
    const struct coord_options options = {.endpoints = w->endpoints, .timeout_ms = 8000};
    if (coord_open(&options, &client, &error) != COORD_OK) {
        report("failed", "open", error.message);
        return NULL;
    }
    char *value = malloc(w->bytes);
    for (unsigned long n = 0; value != NULL && !atomic_load(w->stop); n++) {
        char path[PATH_BYTES];
        snprintf(path, sizeof path, "%s-%d-%lu", w->prefix, w->number, n);
        make_value(path, value, w->bytes);
        enum coord_code code =
            coord_create(client, path, value, w->bytes, 0, NULL, NULL, &error);
        if (code == COORD_OK) {
            report("ok", path, "");
        } else if (code == COORD_UNKNOWN || code == COORD_TIMEOUT) {
            report("unknown", path, error.message);
        } else {
            report("failed", path, error.message);
        }
    }
    free(value);
    coord_close(client);
    return NULL;
}

static int write_all(const char *endpoints, const char *prefix, int count, size_t bytes)
{
    static struct writer writers[WRITERS_MAX];
    static atomic_bool stop;
    if (count < 1 || count > WRITERS_MAX || bytes < 1 || bytes > VALUE_BYTES_MAX) {
        return 2;
    }
    for (int i = 0; i < count; i++) {
        writers[i] = (struct writer){.endpoints = endpoints,
                                     .prefix = prefix,
                                     .bytes = bytes,
                                     .number = i,
                                     .stop = &stop};
        if (pthread_create(&writers[i].thread, NULL, write_main, &writers[i]) != 0) {
            return 1;
        }
    }
    char scrap[64];
    while (read(STDIN_FILENO, scrap, sizeof scrap) > 0) {
    }
    atomic_store(&stop, true);
    for (int i = 0; i < count; i++) {
        pthread_join(writers[i].thread, NULL);
    }
    return 0;
}

static int check_all(const char *endpoint, size_t bytes)
{
    struct coord_client *client;
    struct coord_error error;
    const struct coord_options options = {
        .endpoints = endpoint, .timeout_ms = 8000, .consistency = COORD_LOCAL};
    if (coord_open(&options, &client, &error) != COORD_OK) {
        fprintf(stderr, "writers: %s\n", error.message);
        return 1;
    }
    char path[PATH_BYTES];
    char *expected = malloc(bytes);
    int status = 0;
    while (expected != NULL && fgets(path, sizeof path, stdin) != NULL) {
        path[strcspn(path, "\n")] = '\0';
        void *data = NULL;
        size_t size = 0;
        if (coord_get(client, path, &data, &size, NULL, &error) != COORD_OK) {
            report("missing", path, error.message);
            status = 1;
            continue;
        }
        make_value(path, expected, bytes);
        if (size != bytes || memcmp(data, expected, bytes) != 0) {
            report("different", path, "");
            status = 1;
        }
        free(data);
    }
    free(expected);
    coord_close(client);
    return status;
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "write") == 0) {
        return write_all(argv[2], argv[3], atoi(argv[4]), strtoul(argv[5], NULL, 10));
    }
    if (argc == 4 && strcmp(argv[1], "check") == 0) {
        return check_all(argv[2], strtoul(argv[3], NULL, 10));
    }
    fputs(
        "usage: writers write ENDPOINTS PREFIX WRITERS BYTES | writers check ENDPOINT BYTES\n",
        stderr);
    return 2;
}
