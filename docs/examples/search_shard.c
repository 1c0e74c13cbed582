/* A node of a toy search cluster: it keeps documents in memory, those of the shards that a map
 * of coord gives it.
 *
 *     search_shard MAP NODE PORT        (COORD_ENDPOINTS says where coord is)
 *
 * On its port it takes a line and answers with one (DUMP and FOLLOW: a line per document first):
 *
 *     PUT SHARD KEY TEXT     OK, or MOVED EPOCH (it does not lead), or RETRY
 *     GET SHARD KEY          FOUND TEXT, MISSING, MOVED EPOCH or RETRY
 *     COPY SHARD KEY TEXT    OK: of the leader, before it says OK itself
 *     DUMP SHARD             DOC KEY TEXT ..., END
 *     FOLLOW SHARD NODE      the same, and from then on COPYs go to that node too
 *
 * A document is accepted when everybody who has the shard has it, and coord has noted so under
 * the shard's epoch as a guard: whoever does not lead any more, even if he has not heard of it,
 * is refused there. One thread follows the map and does what moves ask for; each connection has
 * its own. */
#include <coord/client.h>
#include <coord/shards.h>

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { SHARDS_MAX = 64, NODES_MAX = 16, NAME_BYTES = 65, ADDRESS_BYTES = 64, LINE_BYTES = 1024 };

struct document {
    struct document *next;
    char key[64];
    char text[512];
};

/* A shard as the threads of connections see it: what the map said last. */
struct shard {
    struct document *documents;
    uint64_t epoch;
    uint64_t followed; /* the epoch under which we began to follow its leader */
    bool leads;
    bool is_replica;
    bool is_unsure; /* just switched to: what we have is not compared yet */
    char path[256];
    char leader[ADDRESS_BYTES];            /* its address; "" if nobody leads, or it is us */
    char others[NODES_MAX][ADDRESS_BYTES]; /* replicas that are there, but us */
    int other_count;
    char followers[NODES_MAX][NAME_BYTES];
    int follower_count;
    char follower_at[NODES_MAX][ADDRESS_BYTES]; /* "" if it is away */
    pthread_mutex_t writing; /* one write at a time; taken before `lock` */
};

static struct shard shards[SHARDS_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* all of it, but for waiting */
static const char *map_path;
static const char *node_name;
static volatile sig_atomic_t must_end;

static void on_signal(int number)
{
    (void)number;
    must_end = 1;
}

static struct coord_client *open_client(void)
{
    const struct coord_options options = {.endpoints = getenv("COORD_ENDPOINTS")};
    struct coord_client *client;
    struct coord_error error;
    if (coord_open(&options, &client, &error) != COORD_OK) {
        fprintf(stderr, "search_shard: %s\n", error.message);
        exit(1);
    }
    return client;
}

/* ---- documents ---------------------------------------------------------------------------- */

static struct document *find(const struct shard *s, const char *key)
{
    struct document *d = s->documents;
    while (d != NULL && strcmp(d->key, key) != 0) {
        d = d->next;
    }
    return d;
}

static void keep(struct shard *s, const char *key, const char *text)
{
    struct document *d = find(s, key);
    if (d == NULL) {
        d = calloc(1, sizeof *d);
        if (d == NULL) {
            abort();
        }
        d->next = s->documents;
        s->documents = d;
        snprintf(d->key, sizeof d->key, "%s", key);
    }
    snprintf(d->text, sizeof d->text, "%s", text);
}

static void forget_all(struct shard *s)
{
    while (s->documents != NULL) {
        struct document *d = s->documents;
        s->documents = d->next;
        free(d);
    }
}

/* ---- talking to other nodes --------------------------------------------------------------- */

static FILE *call(const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct timeval patience = {.tv_sec = 5};
    char host[ADDRESS_BYTES];
    snprintf(host, sizeof host, "%s", address);
    char *colon = strchr(host, ':');
    if (colon == NULL) {
        return NULL;
    }
    *colon = '\0';
    to.sin_port = htons((unsigned short)atoi(colon + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || inet_pton(AF_INET, host, &to.sin_addr) != 1 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    FILE *stream = fdopen(fd, "r+");
    if (stream == NULL) {
        close(fd);
    }
    return stream;
}

static bool copy_to(const char *address, int shard, const char *key, const char *text)
{
    char line[LINE_BYTES] = "";
    FILE *stream = call(address);
    if (stream == NULL) {
        return false;
    }
    fprintf(stream, "COPY %d %s %s\n", shard, key, text);
    fflush(stream);
    bool is_done = fgets(line, sizeof line, stream) != NULL && strcmp(line, "OK\n") == 0;
    fclose(stream);
    return is_done;
}

/* Takes in all documents that another node has of the shard. */
static bool copy_from(const char *address, int shard, bool follows)
{
    char line[LINE_BYTES];
    char key[64];
    char text[512];
    bool is_whole = false;
    FILE *stream = address[0] != '\0' ? call(address) : NULL;
    if (stream == NULL) {
        return false;
    }
    if (follows) {
        fprintf(stream, "FOLLOW %d %s\n", shard, node_name);
    } else {
        fprintf(stream, "DUMP %d\n", shard);
    }
    fflush(stream);
    while (!is_whole && fgets(line, sizeof line, stream) != NULL) {
        is_whole = strcmp(line, "END\n") == 0;
        if (sscanf(line, "DOC %63s %511[^\n]", key, text) == 2) {
            pthread_mutex_lock(&lock);
            keep(&shards[shard], key, text);
            pthread_mutex_unlock(&lock);
        }
    }
    fclose(stream);
    return is_whole;
}

/* ---- serving ------------------------------------------------------------------------------ */

static void dump(struct shard *s, FILE *out)
{
    pthread_mutex_lock(&lock);
    for (const struct document *d = s->documents; d != NULL; d = d->next) {
        fprintf(out, "DOC %s %s\n", d->key, d->text);
    }
    pthread_mutex_unlock(&lock);
    fprintf(out, "END\n");
}

static void add_follower(struct shard *s, const char *name)
{
    pthread_mutex_lock(&lock);
    int i = 0;
    while (i < s->follower_count && strcmp(s->followers[i], name) != 0) {
        i++;
    }
    if (i == s->follower_count && i < NODES_MAX) {
        snprintf(s->followers[i], NAME_BYTES, "%s", name);
        s->follower_at[i][0] = '\0';
        s->follower_count++;
    }
    pthread_mutex_unlock(&lock);
}

/* coord has the last word: refused as soon as the shard has another epoch. */
static enum coord_code note_accepted(struct coord_client *client, const struct shard *s,
                                     int shard, const char *key)
{
    char path[64];
    char value[256];
    const struct coord_guard guard = coord_guard_held(s->path, s->epoch);
    snprintf(path, sizeof path, "/accepted/%d", shard);
    int bytes = snprintf(value, sizeof value, "%llu %s %s", (unsigned long long)s->epoch,
                         node_name, key);
    return coord_set_guarded(client, path, value, (size_t)bytes, COORD_ANY_VERSION, &guard, 1,
                             NULL, NULL);
}

static void put(struct coord_client *client, int shard, const char *key, const char *text,
                FILE *out)
{
    struct shard *s = &shards[shard];
    static const char *const answers[] = {"OK", "RETRY"};
    int answer = 0;
    pthread_mutex_lock(&s->writing);
    pthread_mutex_lock(&lock);
    struct shard now = *s;
    pthread_mutex_unlock(&lock);
    if (!now.leads || now.is_unsure) {
        fprintf(out, now.leads ? "RETRY\n" : "MOVED %llu\n", (unsigned long long)now.epoch);
        pthread_mutex_unlock(&s->writing);
        return;
    }
    for (int i = 0; i < now.other_count && answer == 0; i++) {
        answer = !copy_to(now.others[i], shard, key, text);
    }
    for (int i = 0; i < now.follower_count && answer == 0; i++) {
        answer = now.follower_at[i][0] == '\0' || !copy_to(now.follower_at[i], shard, key, text);
    }
    enum coord_code code = answer == 0 ? note_accepted(client, &now, shard, key) : COORD_OK;
    if (answer == 0 && code == COORD_OK) {
        pthread_mutex_lock(&lock);
        keep(s, key, text);
        pthread_mutex_unlock(&lock);
    }
    if (code == COORD_GUARD_STALE) {
        fprintf(out, "MOVED %llu\n", (unsigned long long)now.epoch + 1);
    } else {
        fprintf(out, "%s\n", answers[answer != 0 || code != COORD_OK]);
    }
    pthread_mutex_unlock(&s->writing);
}

static void get(const struct shard *s, const char *key, FILE *out)
{
    pthread_mutex_lock(&lock);
    const struct document *d = find(s, key);
    if (!s->is_replica) {
        fprintf(out, "MOVED %llu\n", (unsigned long long)s->epoch);
    } else if (d != NULL) {
        fprintf(out, "FOUND %s\n", d->text);
    } else {
        fprintf(out, s->is_unsure ? "RETRY\n" : "MISSING\n");
    }
    pthread_mutex_unlock(&lock);
}

static void answer_line(struct coord_client **client, const char *line, FILE *out)
{
    char word[8] = "";
    char key[64] = "";
    char text[512] = "";
    int shard = 0;
    int parts = sscanf(line, "%7s %d %63s %511[^\n]", word, &shard, key, text);
    if (parts < 2 || shard < 0 || shard >= SHARDS_MAX) {
        fprintf(out, "WRONG\n");
    } else if (strcmp(word, "PUT") == 0 && parts == 4) {
        *client = *client == NULL ? open_client() : *client;
        put(*client, shard, key, text, out);
    } else if (strcmp(word, "GET") == 0 && parts == 3) {
        get(&shards[shard], key, out);
    } else if (strcmp(word, "COPY") == 0 && parts == 4) {
        pthread_mutex_lock(&lock);
        keep(&shards[shard], key, text);
        pthread_mutex_unlock(&lock);
        fprintf(out, "OK\n");
    } else if (strcmp(word, "FOLLOW") == 0 && parts == 3) {
        pthread_mutex_lock(&shards[shard].writing); /* between two writes: nothing is missed */
        add_follower(&shards[shard], key);
        dump(&shards[shard], out);
        pthread_mutex_unlock(&shards[shard].writing);
    } else if (strcmp(word, "DUMP") == 0) {
        dump(&shards[shard], out);
    } else {
        fprintf(out, "WRONG\n");
    }
    fflush(out);
}

static void *serve(void *context)
{
    struct coord_client *client = NULL; /* each thread has its own */
    FILE *stream = context;
    char line[LINE_BYTES];
    while (fgets(line, sizeof line, stream) != NULL) {
        answer_line(&client, line, stream);
    }
    coord_close(client);
    fclose(stream);
    return NULL;
}

static void *listen_for_ever(void *context)
{
    int listener = *(int *)context;
    for (;;) {
        pthread_t thread;
        int fd = accept(listener, NULL, NULL);
        FILE *stream = fd >= 0 ? fdopen(fd, "r+") : NULL;
        if (stream != NULL && pthread_create(&thread, NULL, serve, stream) == 0) {
            pthread_detach(thread);
        }
    }
    return NULL;
}

/* ---- the map ------------------------------------------------------------------------------ */

static const char *address_of(const struct coord_shards *map, const char *node)
{
    const struct coord_shard_node *n = coord_shards_node(map, node);
    return n != NULL ? n->address : "";
}

static bool is_replica_of(const struct coord_shard *shard, const char *node)
{
    for (size_t i = 0; i < shard->replica_count; i++) {
        if (strcmp(shard->replicas[i], node) == 0) {
            return true;
        }
    }
    return false;
}

static void take_shard(const struct coord_shards *map, const struct coord_shard *from)
{
    struct shard *s = &shards[from->number];
    bool was_replica = s->is_replica;
    bool was_nowhere = s->epoch == 0; /* then there is nothing that we could lack */
    s->epoch = from->epoch;
    s->leads = strcmp(from->leader, node_name) == 0;
    s->is_replica = is_replica_of(from, node_name);
    s->other_count = 0;
    snprintf(s->path, sizeof s->path, "%s", from->path);
    snprintf(s->leader, sizeof s->leader, "%s", s->leads ? "" : address_of(map, from->leader));
    for (size_t i = 0; i < from->replica_count; i++) {
        const char *address = address_of(map, from->replicas[i]);
        bool is_other = strcmp(from->replicas[i], node_name) != 0;
        if (is_other && address[0] != '\0' && s->other_count < NODES_MAX) {
            snprintf(s->others[s->other_count++], ADDRESS_BYTES, "%s", address);
        }
    }
    if (s->is_replica && !was_replica) {
        s->is_unsure = !was_nowhere; /* until a move has compared it */
    }
    int kept = 0;
    for (int i = 0; i < s->follower_count; i++) { /* who is away begins anew */
        const char *address = address_of(map, s->followers[i]);
        if (address[0] != '\0' && s->leads && !is_replica_of(from, s->followers[i])) {
            memmove(s->followers[kept], s->followers[i], NAME_BYTES);
            snprintf(s->follower_at[kept++], ADDRESS_BYTES, "%s", address);
        }
    }
    s->follower_count = kept;
}

static void take_map(const struct coord_shards *map)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < coord_shards_count(map); i++) {
        if (coord_shards_at(map, i)->number < SHARDS_MAX) {
            take_shard(map, coord_shards_at(map, i));
        }
    }
    pthread_mutex_unlock(&lock);
}

/* ---- moves -------------------------------------------------------------------------------- */

/* From where: what is in the copy of the map's state. */
static bool follow_leader(int shard)
{
    pthread_mutex_lock(&lock);
    struct shard now = shards[shard];
    pthread_mutex_unlock(&lock);
    if (!copy_from(now.leader, shard, true)) {
        return false;
    }
    pthread_mutex_lock(&lock);
    shards[shard].followed = now.epoch;
    pthread_mutex_unlock(&lock);
    return true;
}

/* What was accepted between our copy and the switch is with the others. */
static bool compare_with_others(int shard)
{
    pthread_mutex_lock(&lock);
    struct shard now = shards[shard];
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < now.other_count; i++) {
        if (!copy_from(now.others[i], shard, false)) {
            return false;
        }
    }
    pthread_mutex_lock(&lock);
    shards[shard].is_unsure = false;
    pthread_mutex_unlock(&lock);
    return now.is_replica;
}

static bool is_ready(const struct coord_move *m)
{
    int shard = (int)m->shard;
    switch (m->state) {
    case COORD_MOVE_PREPARING: return true;
    case COORD_MOVE_COPYING: return follow_leader(shard);
    case COORD_MOVE_CATCHING_UP:
        return m->kind == COORD_LEAD_REPLICA || shards[shard].followed == shards[shard].epoch ||
               follow_leader(shard);
    case COORD_MOVE_SWITCHING: return compare_with_others(shard);
    case COORD_MOVE_CLEANING_UP:
        pthread_mutex_lock(&lock);
        if (!shards[shard].is_replica) {
            forget_all(&shards[shard]);
        }
        pthread_mutex_unlock(&lock);
        return true;
    default: return false;
    }
}

static void do_moves(struct coord_client *client, const struct coord_shards *map)
{
    for (size_t i = 0; i < coord_shards_move_count(map); i++) {
        const struct coord_move *m = coord_shards_move_at(map, i);
        const char *whose = m->state == COORD_MOVE_CLEANING_UP ? m->cleans : m->to;
        if (m->state != COORD_MOVE_QUEUED && !m->held && m->shard < SHARDS_MAX &&
            strcmp(whose, node_name) == 0 && is_ready(m)) {
            /* Refused if it is over meanwhile: then the map says so. */
            (void)coord_shard_report(client, map_path, node_name, m->number,
                                     (enum coord_move_state)(m->state + 1), 0, NULL);
        }
    }
}

static void tell_stats(struct coord_client *client)
{
    struct coord_shard_stats stats[SHARDS_MAX];
    size_t count = 0;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < SHARDS_MAX; i++) {
        uint64_t rows = 0;
        for (const struct document *d = shards[i].documents; d != NULL; d = d->next) {
            rows++;
        }
        if (shards[i].is_replica) {
            stats[count++] = (struct coord_shard_stats){
                .shard = i,
                .rows = rows,
                .bytes = rows * sizeof(struct document),
                .position = rows};
        }
    }
    pthread_mutex_unlock(&lock);
    (void)coord_shard_tell(client, map_path, node_name, stats, count, NULL);
}

/* ---- life --------------------------------------------------------------------------------- */

static int open_port(int port)
{
    static int listener;
    const int on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    pthread_t thread;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 64) != 0 ||
        pthread_create(&thread, NULL, listen_for_ever, &listener) != 0) {
        perror("search_shard: port");
        return 1;
    }
    pthread_detach(thread);
    return 0;
}

/* What a process of that name had, this one has not. */
static bool is_known(const struct coord_shards *map)
{
    for (size_t i = 0; i < coord_shards_count(map); i++) {
        if (is_replica_of(coord_shards_at(map, i), node_name)) {
            fprintf(stderr, "search_shard: the map has a %s with documents; take another name\n",
                    node_name);
            return true;
        }
    }
    return false;
}

static int run(struct coord_client *client, struct coord_shards *map)
{
    struct coord_error error;
    int rounds = 0;
    while (!must_end) {
        (void)coord_shards_update(map, 50);
        if (coord_session_due_ms(client) == 0 &&
            coord_session_keepalive(client, &error) == COORD_SESSION_ENDED) {
            fprintf(stderr, "search_shard: %s: %s\n", node_name, error.message);
            return 1; /* our shards are with others now */
        }
        take_map(map);
        do_moves(client, map);
        if (rounds++ % 20 == 0) {
            tell_stats(client);
        }
    }
    (void)coord_session_close(client, NULL, NULL);
    return 0;
}

int main(int argc, char **argv)
{
    char address[ADDRESS_BYTES];
    struct coord_error error;
    struct coord_shards *map;
    const struct coord_shards_options options = {.moves = true};
    if (argc != 4) {
        fprintf(stderr, "usage: search_shard MAP NODE PORT\n");
        return 2;
    }
    map_path = argv[1];
    node_name = argv[2];
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    for (int i = 0; i < SHARDS_MAX; i++) {
        pthread_mutex_init(&shards[i].writing, NULL);
    }
    snprintf(address, sizeof address, "127.0.0.1:%s", argv[3]);
    const struct coord_shard_node self = {.name = node_name, .address = address};
    struct coord_client *client = open_client();
    if (open_port(atoi(argv[3])) != 0) {
        return 1;
    }
    if (coord_session_open(client, 3000, node_name, &error) != COORD_OK ||
        coord_shards_open(client, map_path, &options, &map, &error) != COORD_OK) {
        fprintf(stderr, "search_shard: %s: %s\n", node_name, error.message);
        return 1;
    }
    take_map(map);
    if (is_known(map)) {
        return 1;
    }
    if (coord_shard_join(client, map_path, &self, 0, &error) != COORD_OK) {
        fprintf(stderr, "search_shard: %s: %s\n", node_name, error.message);
        return 1;
    }
    int exit_code = run(client, map);
    coord_shards_close(map);
    coord_close(client);
    return exit_code;
}
