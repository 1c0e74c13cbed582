/* Elections as anybody sees them: candidates, and how it is decided. */
#include <stdlib.h>

#include "client/call.h"
#include "client/convert.h"
#include "client/elections.h"
#include "client/pages.h"
#include "coord/v1/election.pb-c.h"

static struct coord_candidate_info candidate_of(const Coord__V1__ElectionCandidate *from)
{
    struct coord_candidate_info c = {
        .grant = {.path = "", .epoch = from->epoch, .count = from->leads ? 1 : 0},
        .leads = from->leads,
        .eligible = from->eligible,
        .name = from->name,
        .value = from->value,
        .note = from->note,
        .label = from->label,
        .lease = from->lease,
        .number = from->number,
        .since_ms = from->since_ms,
        .deadline_ms = from->deadline_ms,
        .priority = from->priority,
    };
    if (from->entry != NULL) {
        c.grant.path = from->entry->path;
        c.grant.revision = from->entry->revision;
    }
    return c;
}

enum coord_code coord_election_get(struct coord_client *client, const char *path,
                                   struct coord_election_info *info, struct coord_error *error)
{
    Coord__V1__ElectionListRequest request = COORD__V1__ELECTION_LIST_REQUEST__INIT;
    struct pages *pages;
    size_t count = 0;
    request.path = convert_text(path);
    enum coord_code code =
        pages_ask(client, CLIENT_ELECTION_LIST, &request.base, &request.after, &pages, error);
    if (code != COORD_OK) {
        return code;
    }
    for (size_t i = 0; i < pages->count; i++) {
        count += ((const Coord__V1__ElectionListReply *)pages->replies[i])->n_candidates;
    }
    struct coord_election_info found = {
        .candidates = calloc(count + 1, sizeof *found.candidates), .memory = pages};
    if (found.candidates == NULL) {
        pages_free(pages);
        return client_fail(error, COORD_NO_MEMORY, "out of memory for %zu candidates", count);
    }
    for (size_t i = 0; i < pages->count; i++) {
        const Coord__V1__ElectionListReply *page =
            (const Coord__V1__ElectionListReply *)pages->replies[i];
        found.policy = (enum coord_election_policy)page->policy; /* counted alike */
        found.eligible = page->eligible;
        for (size_t j = 0; j < page->n_candidates; j++) {
            found.candidates[found.count++] = candidate_of(page->candidates[j]);
        }
    }
    *info = found;
    return COORD_OK;
}

void coord_election_info_clear(struct coord_election_info *info)
{
    pages_free(info->memory);
    free(info->candidates);
    *info = (struct coord_election_info){.count = 0};
}

enum coord_code coord_election_remove(struct coord_client *client,
                                      const struct coord_grant *candidate,
                                      struct coord_error *error)
{
    Coord__V1__ElectionResignRequest request = COORD__V1__ELECTION_RESIGN_REQUEST__INIT;
    Coord__V1__LockGrant entry = COORD__V1__LOCK_GRANT__INIT;
    entry.path = convert_text(candidate->path);
    entry.revision = candidate->revision;
    request.entry = &entry;
    return client_do(client, CLIENT_ELECTION_REMOVE, &request.base, error);
}

enum coord_code coord_election_configure(struct coord_client *client, const char *path,
                                         enum coord_election_policy policy,
                                         const char *eligible, struct coord_error *error)
{
    Coord__V1__ElectionConfigureRequest request = COORD__V1__ELECTION_CONFIGURE_REQUEST__INIT;
    if ((unsigned)policy > COORD_MOST_UP_TO_DATE) {
        return client_fail(error, COORD_INVALID, "%s: policy %d is none", path, (int)policy);
    }
    request.path = convert_text(path);
    request.policy = (Coord__V1__ElectionPolicy)policy; /* counted alike */
    request.eligible = convert_text_or_none(eligible);
    return client_do(client, CLIENT_ELECTION_CONFIGURE, &request.base, error);
}
