/* Asks the toy search cluster of search_shard.c: finds out by the shard map who has a document.
 *
 *     search_query MAP        (COORD_ENDPOINTS says where coord is)
 *
 * Takes lines "PUT KEY TEXT" and "GET KEY" and answers each with one: "OK", "FOUND TEXT",
 * "MISSING", or "FAILED" if there was no answer in half a minute. */
#include <coord/client.h>
#include <coord/shards.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 1024, LINKS_MAX = 32, PATIENCE_S = 30 };

/* Connections that are open. */
static struct {
    char address[64];
    FILE *stream;
} links[LINKS_MAX];

static FILE *dial(const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct timeval patience = {.tv_sec = 5};
    char host[64];
    snprintf(host, sizeof host, "%s", address);
    char *colon = strchr(host, ':');
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (colon == NULL || fd < 0) {
        return NULL;
    }
    *colon = '\0';
    to.sin_port = htons((unsigned short)atoi(colon + 1));
    bool is_up = inet_pton(AF_INET, host, &to.sin_addr) == 1 &&
                 setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
                 connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
    FILE *stream = is_up ? fdopen(fd, "r+") : NULL;
    if (stream == NULL) {
        close(fd);
    }
    return stream;
}

/* False: no answer. */
static bool ask(const char *address, const char *question, char answer[LINE_BYTES])
{
    int i = 0;
    while (i < LINKS_MAX - 1 && links[i].stream != NULL &&
           strcmp(links[i].address, address) != 0) {
        i++;
    }
    if (links[i].stream != NULL && strcmp(links[i].address, address) != 0) {
        fclose(links[i].stream);
        links[i].stream = NULL;
    }
    if (links[i].stream == NULL) {
        snprintf(links[i].address, sizeof links[i].address, "%s", address);
        links[i].stream = dial(address);
    }
    if (links[i].stream == NULL) {
        return false;
    }
    fputs(question, links[i].stream);
    fflush(links[i].stream);
    if (fgets(answer, LINE_BYTES, links[i].stream) == NULL) {
        fclose(links[i].stream);
        links[i].stream = NULL;
        return false;
    }
    return true;
}

/* Who may know: who leads, or for a question any replica in its turn. */
static const char *address_for(const struct coord_shards *map, const struct coord_shard *shard,
                               bool is_put, unsigned attempt)
{
    const char *name = shard->leader;
    if (!is_put && attempt % 2 == 1 && shard->replica_count > 0) {
        name = shard->replicas[attempt / 2 % shard->replica_count];
    }
    const struct coord_shard_node *node = coord_shards_node(map, name);
    return node != NULL ? node->address : NULL;
}

/* One attempt; true: it has come to something, which is printed. */
static bool attempt(struct coord_shards *map, const char *key, const char *text, unsigned number)
{
    char question[LINE_BYTES];
    char answer[LINE_BYTES];
    unsigned long long epoch;
    const struct coord_shard *shard = coord_shards_locate(map, key, strlen(key));
    const char *address = shard != NULL ? address_for(map, shard, text != NULL, number) : NULL;
    if (address == NULL) {
        return false;
    }
    snprintf(question, sizeof question, "%s %u %s%s%s\n", text != NULL ? "PUT" : "GET",
             shard->number, key, text != NULL ? " " : "", text != NULL ? text : "");
    if (!ask(address, question, answer)) {
        return false;
    }
    if (sscanf(answer, "MOVED %llu", &epoch) == 1) {
        /* He knows a newer map than we do, or an older one: then he is asked again. */
        (void)coord_shards_await(map, shard->number, epoch, 1000, NULL);
        return false;
    }
    if (strcmp(answer, "RETRY\n") == 0 || strcmp(answer, "WRONG\n") == 0) {
        return false;
    }
    fputs(answer, stdout);
    return true;
}

static void answer_line(struct coord_shards *map, const char *line)
{
    char word[8];
    char key[64];
    char text[512];
    int parts = sscanf(line, "%7s %63s %511[^\n]", word, key, text);
    bool is_put = parts == 3 && strcmp(word, "PUT") == 0;
    time_t begin = time(NULL);
    bool is_done = parts < 2;
    (void)coord_shards_update(map, 0);
    for (unsigned i = 0; !is_done && time(NULL) < begin + PATIENCE_S; i++) {
        is_done = attempt(map, key, is_put ? text : NULL, i);
        if (!is_done) {
            (void)coord_shards_update(map, 20);
        }
    }
    if (!is_done || parts < 2) {
        puts("FAILED");
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const struct coord_options options = {.endpoints = getenv("COORD_ENDPOINTS")};
    struct coord_client *client;
    struct coord_shards *map;
    struct coord_error error;
    char line[LINE_BYTES];
    signal(SIGPIPE, SIG_IGN);
    if (argc != 2) {
        fprintf(stderr, "usage: search_query MAP\n");
        return 2;
    }
    if (coord_open(&options, &client, &error) != COORD_OK) {
        fprintf(stderr, "search_query: %s\n", error.message);
        return 1;
    }
    if (coord_shards_open(client, argv[1], NULL, &map, &error) != COORD_OK) {
        fprintf(stderr, "search_query: %s\n", error.message);
        coord_close(client);
        return 1;
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        answer_line(map, line);
    }
    coord_shards_close(map);
    coord_close(client);
    return 0;
}
