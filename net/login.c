#include "net/login.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "net/source.h"
#include "net/token.h"
#include "raft/node.h"
#include "store/store.h"

#define KNOWN_COUNT   ((size_t)512)
#define SUSPECT_COUNT ((size_t)1024)
#define SUSPECT_WAYS  ((size_t)4)

/* What is under way. The worker reads and writes the middle part alone. */
struct login_job {
    struct env_job job; /* first */
    struct list link;
    struct logins *logins;
    struct login *login; /* NULL: cancelled */
    uint64_t generation;
    char address[SOURCE_BYTES];
    uint8_t user[AUTH_NAME_BYTES_MAX];
    size_t user_bytes;
    /* of the worker */
    struct buf password;
    struct buf hash; /* to compare with, or what was made */
    uint8_t salt[PASSWORD_SALT_BYTES];
    bool is_new;
    enum password_match match; /* of a new one RIGHT: it was made */
};

/* A name and a password that were right; or wrong, with the address that they came from. */
struct known {
    uint64_t generation;
    uint8_t mac[TOKEN_MAC_BYTES]; /* of all of them */
    bool is_used;
};

/* An address from which wrong passwords came. */
struct suspect {
    char address[SOURCE_BYTES];
    uint32_t failures;
    uint64_t since_ms;
};

struct logins {
    struct env *env;
    const struct node *node;
    struct log *log;
    struct env_queue *queue; /* NULL until the first */
    struct list jobs;
    size_t pending;
    uint8_t key[AUTH_KEY_BYTES]; /* of what is known */
    struct known known[KNOWN_COUNT];
    struct known wrongs[KNOWN_COUNT];
    struct suspect suspects[SUSPECT_COUNT];
    struct metric *ok;
    struct metric *wrong;
    struct metric *limited;
    struct metric *busy;
};

struct logins *logins_new(struct env *env, const struct node *node, struct log *log,
                          struct metrics *metrics)
{
    static const char name[] = "coord_logins_total";
    static const char help[] = "Passwords that clients sent, by what became of them.";
    struct logins *s = mem_zalloc(sizeof *s);
    s->env = env;
    s->node = node;
    s->log = log;
    list_init(&s->jobs);
    env->random(env, s->key, sizeof s->key);
    if (metrics != NULL) {
        s->ok = metrics_counter(metrics, name, "result=\"ok\"", help);
        s->wrong = metrics_counter(metrics, name, "result=\"wrong\"", help);
        s->limited = metrics_counter(metrics, name, "result=\"limited\"", help);
        s->busy = metrics_counter(metrics, name, "result=\"busy\"", help);
    }
    return s;
}

static void job_free(struct login_job *j)
{
    list_remove(&j->link);
    j->logins->pending--;
    if (j->password.size > 0) {
        password_wipe(j->password.data, j->password.size);
    }
    buf_close(&j->password);
    buf_close(&j->hash);
    mem_free(j);
}

void logins_free(struct logins *s)
{
    if (s == NULL) {
        return;
    }
    if (s->queue != NULL) {
        s->env->queue_close(s->queue);
    }
    while (!list_empty(&s->jobs)) {
        struct login_job *j = LIST_OF(s->jobs.next, struct login_job, link);
        if (j->login != NULL) {
            j->login->job = NULL;
        }
        job_free(j);
    }
    password_wipe(s->key, sizeof s->key);
    mem_free(s);
}

/* ---- who guesses -------------------------------------------------------------------------- */

/* The cell of an address, or one that it may have: the oldest of a few. */
static struct suspect *suspect_find(struct logins *s, const char *address)
{
    uint64_t hash = hash_bytes(0, (const uint8_t *)address, strlen(address));
    struct suspect *set = &s->suspects[hash % (SUSPECT_COUNT / SUSPECT_WAYS) * SUSPECT_WAYS];
    struct suspect *oldest = set;
    for (size_t i = 0; i < SUSPECT_WAYS; i++) {
        if (strcmp(set[i].address, address) == 0) {
            return &set[i];
        }
        oldest = set[i].since_ms < oldest->since_ms ? &set[i] : oldest;
    }
    return oldest;
}

static bool is_limited(struct logins *s, const char *address)
{
    const struct suspect *at = suspect_find(s, address);
    return strcmp(at->address, address) == 0 && at->failures >= LOGIN_FAILURES_MAX &&
           s->env->now_ms(s->env) - at->since_ms < LOGIN_WINDOW_MS;
}

/* Who guesses must not fill the queue before the first of them is found to be wrong: others
 * would be turned away meanwhile. */
static bool has_many_pending(struct logins *s, const char *address)
{
    size_t count = 0;
    struct list *it;
    struct list *next;
    LIST_EACH(it, next, &s->jobs)
    {
        const struct login_job *j = LIST_OF(it, struct login_job, link);
        count += strcmp(j->address, address) == 0;
    }
    return count >= LOGIN_PENDING_OF_ONE_MAX;
}

static void note_failure(struct logins *s, const char *address)
{
    struct suspect *at = suspect_find(s, address);
    uint64_t now = s->env->now_ms(s->env);
    if (strcmp(at->address, address) != 0 || now - at->since_ms >= LOGIN_WINDOW_MS) {
        memcpy(at->address, address, SOURCE_BYTES);
        at->failures = 0;
        at->since_ms = now;
    }
    at->failures++;
    if (at->failures == LOGIN_FAILURES_MAX) {
        log_warn(s->log, "login.limited", "address=%s failures=%u for_ms=%d", address,
                 at->failures, LOGIN_WINDOW_MS);
    }
}

/* ---- what is known to be right, or wrong -------------------------------------------------- */

/* `generation` is 0 for a user whom nobody can be. */
struct claim {
    struct slice user;
    struct slice password;
    uint64_t generation;
};

/* `address` is NULL for what is right, wherever it comes from. */
static void known_mac(const struct logins *s, const struct claim *claim, const char *address,
                      uint8_t mac[TOKEN_MAC_BYTES])
{
    struct buf all = {0};
    pack_bytes(&all, claim->user);
    pack_bytes(&all, claim->password);
    pack_bytes(&all, slice_str(address == NULL ? "" : address));
    token_mac(s->key, buf_slice(&all), mac);
    password_wipe(all.data, all.size);
    buf_close(&all);
}

static struct known *known_cell(struct known cells[KNOWN_COUNT],
                                const uint8_t mac[TOKEN_MAC_BYTES])
{
    size_t at = (size_t)mac[0] << 8 | mac[1];
    return &cells[at % KNOWN_COUNT];
}

static bool is_known(struct known cells[KNOWN_COUNT], const struct claim *claim,
                     const uint8_t mac[TOKEN_MAC_BYTES])
{
    const struct known *k = known_cell(cells, mac);
    return k->is_used && k->generation == claim->generation &&
           memcmp(k->mac, mac, sizeof k->mac) == 0;
}

static void note_known(struct known cells[KNOWN_COUNT], const struct claim *claim,
                       const uint8_t mac[TOKEN_MAC_BYTES])
{
    struct known *k = known_cell(cells, mac);
    *k = (struct known){.generation = claim->generation, .is_used = true};
    memcpy(k->mac, mac, sizeof k->mac);
}

static bool is_known_right(struct logins *s, const struct claim *claim)
{
    uint8_t mac[TOKEN_MAC_BYTES];
    known_mac(s, claim, NULL, mac);
    return claim->generation != 0 && is_known(s->known, claim, mac);
}

static bool is_known_wrong(struct logins *s, const struct claim *claim, const char *address)
{
    uint8_t mac[TOKEN_MAC_BYTES];
    known_mac(s, claim, address, mac);
    return is_known(s->wrongs, claim, mac);
}

static void note_right(struct logins *s, const struct claim *claim)
{
    uint8_t mac[TOKEN_MAC_BYTES];
    known_mac(s, claim, NULL, mac);
    note_known(s->known, claim, mac);
    metric_add(s->ok, 1);
}

/* Many of the same may have been under way when the first was found to be wrong. */
static void note_wrong(struct logins *s, const struct claim *claim, const char *address)
{
    uint8_t mac[TOKEN_MAC_BYTES];
    known_mac(s, claim, address, mac);
    if (!is_known(s->wrongs, claim, mac)) {
        note_known(s->wrongs, claim, mac);
        note_failure(s, address);
    }
    metric_add(s->wrong, 1);
}

/* ---- jobs --------------------------------------------------------------------------------- */

static void job_run(struct env_job *job)
{
    struct login_job *j = (struct login_job *)job;
    if (j->is_new) {
        bool is_made = password_hash(&j->hash, buf_slice(&j->password), j->salt);
        j->match = is_made ? PASSWORD_RIGHT : PASSWORD_UNKNOWN;
    } else {
        j->match = password_matches(buf_slice(&j->hash), buf_slice(&j->password));
    }
}

/* Whether the user is still the one whose hash was compared. */
static bool job_user_is_same(const struct login_job *j)
{
    const struct auth *auth = store_auth(node_store(j->logins->node));
    const struct auth_user *user = auth_find_user(auth, slice_make(j->user, j->user_bytes));
    return user != NULL && !user->is_disabled && user->generation == j->generation;
}

static enum login_result job_judge(struct login_job *j)
{
    struct logins *s = j->logins;
    if (j->match == PASSWORD_UNKNOWN) {
        metric_add(s->busy, 1);
        return LOGIN_BUSY;
    }
    if (j->is_new) {
        return LOGIN_OK;
    }
    const struct claim claim = {slice_make(j->user, j->user_bytes), buf_slice(&j->password),
                                j->generation};
    if (j->match == PASSWORD_WRONG) {
        note_wrong(s, &claim, j->address);
        return LOGIN_WRONG;
    }
    if (!job_user_is_same(j)) {
        metric_add(s->wrong, 1);
        return LOGIN_WRONG;
    }
    note_right(s, &claim);
    return LOGIN_OK;
}

static void job_done(struct env_job *job)
{
    struct login_job *j = (struct login_job *)job;
    struct login *l = j->login;
    enum login_result result = job_judge(j);
    if (l != NULL) {
        l->job = NULL;
        memcpy(l->user, j->user, sizeof l->user);
        l->user_bytes = j->user_bytes;
        l->generation = j->generation;
        if (j->is_new) {
            l->hash = j->hash;
            j->hash = (struct buf){0};
        }
    }
    job_free(j);
    if (l != NULL) {
        l->done(l, result);
    }
}

static struct login_job *job_new(struct logins *s, struct login *l, struct slice password)
{
    if (s->pending >= LOGIN_PENDING_MAX) {
        metric_add(s->busy, 1);
        return NULL;
    }
    struct login_job *j = mem_zalloc(sizeof *j);
    j->job = (struct env_job){.run = job_run, .done = job_done};
    j->logins = s;
    j->login = l;
    buf_append_slice(&j->password, password);
    list_push_back(&s->jobs, &j->link);
    s->pending++;
    l->job = j;
    return j;
}

static enum login_result job_start(struct login_job *j)
{
    struct logins *s = j->logins;
    if (s->queue == NULL) {
        s->queue = s->env->queue_open(s->env, "passwords");
    }
    s->env->queue_submit(s->queue, &j->job);
    return LOGIN_PENDING;
}

/* ---- the calls ---------------------------------------------------------------------------- */

/* What can be said without a worker. LOGIN_PENDING: nothing. */
static enum login_result answer_at_once(struct logins *s, struct login *l,
                                        const struct claim *claim, const char *address)
{
    struct slice user = claim->user;
    if (user.size == 0 || user.size > AUTH_NAME_BYTES_MAX ||
        claim->password.size > PASSWORD_BYTES_MAX) {
        note_failure(s, address);
        metric_add(s->wrong, 1);
        return LOGIN_WRONG;
    }
    if (is_known_right(s, claim)) {
        memcpy(l->user, user.data, user.size);
        l->user_bytes = user.size;
        l->generation = claim->generation;
        metric_add(s->ok, 1);
        return LOGIN_OK;
    }
    if (is_known_wrong(s, claim, address)) {
        metric_add(s->wrong, 1);
        return LOGIN_WRONG;
    }
    if (is_limited(s, address)) {
        metric_add(s->limited, 1);
        return LOGIN_LIMITED;
    }
    if (has_many_pending(s, address)) {
        metric_add(s->busy, 1);
        return LOGIN_BUSY;
    }
    return LOGIN_PENDING;
}

enum login_result login_begin(struct logins *s, struct login *l, struct slice user,
                              struct slice password, const char *peer)
{
    const struct auth *auth = store_auth(node_store(s->node));
    const struct auth_user *found = auth_find_user(auth, user);
    bool counts = found != NULL && !found->is_disabled && found->hash.size > 0;
    const struct claim claim = {user, password, counts ? found->generation : 0};
    char address[SOURCE_BYTES] = {0};
    source_of(address, peer);
    l->job = NULL;
    l->hash = (struct buf){0};
    enum login_result result = answer_at_once(s, l, &claim, address);
    if (result != LOGIN_PENDING) {
        return result;
    }
    struct login_job *j = job_new(s, l, password);
    if (j == NULL) {
        return LOGIN_BUSY;
    }
    memcpy(j->address, address, sizeof address);
    memcpy(j->user, user.data, user.size);
    j->user_bytes = user.size;
    j->generation = claim.generation;
    buf_append_slice(&j->hash, counts ? found->hash : password_of_nobody());
    return job_start(j);
}

enum login_result login_hash(struct logins *s, struct login *l, struct slice password)
{
    l->job = NULL;
    l->hash = (struct buf){0};
    struct login_job *j = job_new(s, l, password);
    if (j == NULL) {
        return LOGIN_BUSY;
    }
    j->is_new = true;
    s->env->random(s->env, j->salt, sizeof j->salt);
    return job_start(j);
}

void login_cancel(struct login *l)
{
    if (l->job != NULL) {
        l->job->login = NULL;
        l->job = NULL;
    }
}
