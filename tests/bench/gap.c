/* How long writes stop: one write after the other through libcoord, until standard input ends.
 *
 *   gap ENDPOINTS PATH
 *
 * Prints the longest time between two acknowledgements, as one JSON line. The path is made first;
 * "ready" is printed when writes flow. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/client.h"

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static bool input_ended(void)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;
    return poll(&p, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

int main(int argc, char **argv)
{
    struct coord_client *client;
    struct coord_error error;
    if (argc != 3 ||
        coord_open(&(struct coord_options){.endpoints = argv[1], .timeout_ms = 20000}, &client,
                   &error) != COORD_OK) {
        fprintf(stderr, "usage: gap ENDPOINTS PATH\n");
        return 2;
    }
    enum coord_code code = coord_create(client, argv[2], "", 0, COORD_MAKE_PARENTS, NULL, NULL,
                                        &error);
    if (code != COORD_OK && code != COORD_EXISTS) {
        fprintf(stderr, "gap: %s\n", error.message);
        return 1;
    }
    uint64_t writes = 0;
    uint64_t failed = 0;
    uint64_t longest = 0;
    uint64_t last = now_us();
    while (!input_ended()) {
        if (coord_set(client, argv[2], "v", 1, COORD_ANY_VERSION, NULL, &error) != COORD_OK) {
            failed++;
            continue;
        }
        uint64_t now = now_us();
        longest = now - last > longest ? now - last : longest;
        last = now;
        writes++;
        if (writes == 200) {
            puts("ready");
            fflush(stdout);
            longest = 0;
        }
    }
    printf("{\"writes\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"longest_gap_ms\":%.1f}\n", writes,
           failed, (double)longest / 1000);
    coord_close(client);
    return 0;
}
