/* lock and elect: hold a lock, several at once, or a leadership, and run a program meanwhile. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/coordctl/hold.h"
#include "cmd/coordctl/locks.h"
#include "cmd/coordctl/program.h"
#include "cmd/coordctl/values.h"

struct locking {
    struct hold hold;
    bool elects; /* a leadership: of the first of the paths */
    struct coord_lock_target targets[CTL_WORDS_MAX];
    size_t count;
    char paths[CTL_WORDS_MAX][CTL_PATH_BYTES];
    struct coord_call *call; /* that asks for it, under way */
    struct coord_lock *lock;
};

static struct locking *of(struct hold *h)
{
    return (struct locking *)(void *)h; /* it is the first member */
}

/* ---- what becomes of it ------------------------------------------------------------------ */

static void on_changed(void *context, struct coord_lock *lock,
                       const struct coord_lock_event *event)
{
    struct locking *l = context;
    (void)lock;
    if (event->is_asked) {
        bool has_name = event->asked_by[0] != '\0';
        bool has_reason = event->asked_why[0] != '\0';
        fprintf(stderr, "coordctl: %s %s: %s asks for it%s%s\n", l->hold.ctl->command->name,
                l->hold.ctl->subject, has_name ? event->asked_by : "somebody",
                has_reason ? ": " : "", event->asked_why);
    }
    if (event->state != COORD_LOCK_SAFE) {
        struct coord_error error = *event->why;
        snprintf(error.message, sizeof error.message, "%s: %s",
                 event->state == COORD_LOCK_LOST ? "lost" : "may be lost", event->why->message);
        hold_lost(&l->hold, &error);
    }
}

static void on_acquired(void *context, const struct coord_result *result)
{
    struct locking *l = context;
    struct coord_error error = *result->error;
    l->call = NULL;
    if (l->hold.state != HOLD_ASKING) { /* we end, and with us the session */
        coord_lock_free(result->lock);
        return;
    }
    if (result->code != COORD_OK) {
        hold_failed(&l->hold, result->error);
        return;
    }
    l->lock = result->lock;
    if (coord_lock_follow(l->lock, on_changed, l, &error) != COORD_OK) {
        hold_failed(&l->hold, &error);
        return;
    }
    hold_begin(&l->hold);
}

static enum coord_code begin_lock(struct locking *l, const struct ctl *ctl,
                                  struct coord_error *error)
{
    const struct coord_lock_options options = {
        .no_wait = ctl->try_only, .wait_ms = ctl->wait_ms, .note = ctl->options.note};
    return coord_lock_acquire_async(ctl->client, l->targets, l->count, &options, on_acquired, l,
                                    &l->call, error);
}

static enum coord_code begin_campaign(struct locking *l, const struct ctl *ctl,
                                      struct coord_error *error)
{
    const struct coord_candidate candidate = {
        .path = l->paths[0],
        .name = ctl->name,
        .value = ctl->words[1],
        .policy = ctl->priority != 0 ? COORD_HIGHEST_PRIORITY : COORD_AS_IT_IS,
        .priority = (uint32_t)ctl->priority,
        .note = ctl->options.note,
        .no_wait = ctl->try_only,
        .wait_ms = ctl->wait_ms};
    return coord_election_campaign_async(ctl->client, &candidate, on_acquired, l, &l->call,
                                         error);
}

static void ask(struct hold *h)
{
    struct locking *l = of(h);
    struct coord_error error;
    enum coord_code code =
        l->elects ? begin_campaign(l, h->ctl, &error) : begin_lock(l, h->ctl, &error);
    if (code != COORD_OK) {
        hold_failed(h, &error);
    }
}

/* ---- what the program finds --------------------------------------------------------------- */

static void set_number(const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    (void)setenv(name, text, 1);
}

/* All grants, as --guard takes them: with them what coordctl writes inside is guarded. Those that
 * we run under ourselves come first, unless they are of another cluster or of other paths. */
static void set_guards(const struct ctl *ctl, const struct coord_grant *grants, size_t count)
{
    struct buf text = {0};
    const char *outer = program_is_elsewhere(ctl) ? NULL : getenv("COORD_GUARD");
    buf_append_str(&text, outer != NULL ? outer : "");
    for (size_t i = 0; i < count; i++) {
        buf_printf(&text, "%s%s@%" PRIu64, text.size > 0 ? "," : "", grants[i].path,
                   grants[i].revision);
    }
    buf_append(&text, "", 1);
    (void)setenv("COORD_GUARD", (const char *)text.data, 1);
    buf_close(&text);
}

static void print_held(const struct ctl *ctl, const struct locking *l,
                       const struct coord_grant *grants, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct coord_grant *g = &grants[i];
        if (ctl_is_json(ctl)) {
            json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I}", "lock",
                                                  l->targets[i].path, "path", g->path,
                                                  "revision", (json_int_t)g->revision, "epoch",
                                                  (json_int_t)g->epoch));
        } else {
            printf("%s@%" PRIu64 " epoch %" PRIu64 "\n", g->path, g->revision, g->epoch);
        }
    }
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, list);
    } else {
        json_decref(list);
    }
}

static void held(struct hold *h)
{
    struct locking *l = of(h);
    size_t count;
    const struct coord_grant *grants = coord_lock_grants(l->lock, &count);
    if (h->ctl->program == NULL) {
        print_held(h->ctl, l, grants, count);
        return;
    }
    (void)setenv(l->elects ? "COORD_ELECTION" : "COORD_LOCK", l->targets[0].path, 1);
    (void)setenv(l->elects ? "COORD_ELECTION_PATH" : "COORD_LOCK_PATH", grants[0].path, 1);
    set_number(l->elects ? "COORD_ELECTION_REVISION" : "COORD_LOCK_REVISION",
               grants[0].revision);
    set_number(l->elects ? "COORD_ELECTION_EPOCH" : "COORD_LOCK_EPOCH", grants[0].epoch);
    set_guards(h->ctl, grants, count);
    program_say_where(h->ctl);
}

static void clear(struct hold *h, bool gives_back)
{
    struct locking *l = of(h);
    struct coord_error error;
    if (gives_back && l->call != NULL) {
        coord_cancel(l->call);
    }
    if (gives_back && l->lock != NULL && coord_lock_state(l->lock) != COORD_LOCK_LOST) {
        (void)coord_lock_release_async(l->lock, NULL, NULL, NULL, &error);
    }
    coord_lock_free(l->lock);
    l->lock = NULL;
}

static const struct hold_ops lock_ops = {.ask = ask, .held = held, .clear = clear};

/* ---- the commands ------------------------------------------------------------------------ */

static int check_options(const struct ctl *ctl)
{
    const char *name = ctl->command->name;
    if (ctl->read_only + ctl->write_only + (ctl->permits != 0) > 1) {
        return ctl_usage("%s: --read, --write and --permits exclude each other", name);
    }
    if (ctl->permits == 0 && ctl->limit != 0) {
        return ctl_usage("%s: --limit goes with --permits", name);
    }
    if (ctl->try_only && ctl->wait_ms != 0) {
        return ctl_usage("%s: --try and --wait exclude each other", name);
    }
    if (ctl->has_session && ctl->session_ttl_ms != 0) {
        return ctl_usage("%s: --session-ttl is of a session that is opened; it goes without "
                         "--session",
                         name);
    }
    if (ctl->program != NULL && ctl->program[0] == NULL) {
        return ctl_usage("%s: behind -- a program is missing", name);
    }
    return EXIT_DONE;
}

static int take_targets(struct locking *l, const struct ctl *ctl)
{
    enum coord_lock_mode mode = ctl->permits != 0 ? COORD_LOCK_PERMITS
                                : ctl->read_only  ? COORD_LOCK_READ
                                                  : COORD_LOCK_WRITE;
    l->count = l->elects ? 1 : ctl->word_count;
    for (size_t i = 0; i < l->count; i++) {
        if (!locks_path(l->elects ? "/elections/" : "/locks/", ctl->words[i], l->paths[i])) {
            return ctl_usage("%s: \"%s\" is too long", ctl->command->name, ctl->words[i]);
        }
        l->targets[i] = (struct coord_lock_target){.path = l->paths[i],
                                                   .mode = mode,
                                                   .permits = (uint32_t)ctl->permits,
                                                   .limit = (uint32_t)ctl->limit};
    }
    return EXIT_DONE;
}

static int run(struct ctl *ctl, bool elects)
{
    int exit_code = check_options(ctl);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    struct locking *l = calloc(1, sizeof *l);
    if (l == NULL) {
        return ctl_general(ctl, "out of memory");
    }
    l->hold = (struct hold){.ctl = ctl, .ops = &lock_ops};
    l->elects = elects;
    exit_code = locks_take(ctl, elects ? "/elections/" : "/locks/");
    if (exit_code == EXIT_DONE) {
        exit_code = take_targets(l, ctl);
    }
    if (exit_code == EXIT_DONE) {
        exit_code = hold_run(&l->hold);
        coord_close(ctl->client); /* before what its callbacks point to */
        ctl->client = NULL;
    }
    free(l);
    return exit_code;
}

int ctl_lock(struct ctl *ctl)
{
    return run(ctl, false);
}

int ctl_elect(struct ctl *ctl)
{
    return run(ctl, true);
}
