#include "cmd/coordctl/guards.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/coordctl/values.h"

/* The end of the first "@NUMBER" that the text, or a comma, follows; NULL: there is none. */
static char *find_end(char *text, char **at)
{
    for (*at = strchr(text, '@'); *at != NULL; *at = strchr(*at + 1, '@')) {
        size_t digits = strspn(*at + 1, "0123456789");
        char *end = *at + 1 + digits;
        if (digits > 0 && (*end == '\0' || (*end == ',' && end[1] == '/'))) {
            return end;
        }
    }
    return NULL;
}

static bool take_one(struct guards *g, char *path, char *at)
{
    uint64_t revision;
    *at = '\0';
    if (path[0] != '/' || g->count == GUARDS_MAX ||
        !value_parse_number(at + 1, INT64_MAX, &revision) || revision == 0) {
        return false;
    }
    Coord__V1__LockGrant *grant = &g->grants[g->count];
    coord__v1__lock_grant__init(grant);
    grant->path = path;
    grant->revision = revision;
    g->list[g->count++] = grant;
    return true;
}

bool guards_parse(struct guards *g, const char *text)
{
    *g = (struct guards){.text = text != NULL ? strdup(text) : NULL};
    if (text == NULL) {
        return true;
    }
    char *at;
    char *path = g->text;
    while (path != NULL) {
        char *end = find_end(path, &at);
        bool has_more = end != NULL && *end == ',';
        if (end != NULL) {
            *end = '\0';
        }
        if (end == NULL || !take_one(g, path, at)) {
            guards_clear(g);
            return false;
        }
        path = has_more ? end + 1 : NULL;
    }
    return g->count > 0;
}

void guards_clear(struct guards *g)
{
    free(g->text);
    *g = (struct guards){.count = 0};
}

int guards_take(const struct ctl *ctl, struct guards *g)
{
    return guards_parse(g, ctl->guard) ? EXIT_DONE : ctl_general(ctl, "out of memory");
}

bool guards_put(struct guards *g, Coord__V1__TxnRequest *request)
{
    size_t count = request->n_guards + g->count;
    Coord__V1__Guard **places = calloc(count + 1, sizeof *places);
    if (places == NULL) {
        return false;
    }
    for (size_t i = 0; i < g->count; i++) {
        Coord__V1__Guard *guard = &g->txn_guards[i];
        coord__v1__guard__init(guard);
        guard->path = g->grants[i].path;
        guard->target_case = COORD__V1__GUARD__TARGET_GRANT;
        guard->grant = g->grants[i].revision;
        places[i] = guard;
    }
    for (size_t i = 0; i < request->n_guards; i++) {
        places[g->count + i] = request->guards[i];
    }
    request->guards = places;
    request->n_guards = count;
    return true;
}
