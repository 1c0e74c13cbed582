#include "cmd/coordd/copies.h"

#include "base/mem.h"
#include "raft/archiver.h"
#include "raft/backup.h"

struct copies {
    struct backup *backup;
    struct archiver *archiver; /* NULL: the log is not archived */
};

static void on_gap(void *context)
{
    struct copies *c = context;
    backup_hurry(c->backup);
}

struct copies *copies_new(const struct copies_options *o)
{
    const struct config *config = o->config;
    if (config->backup_dir[0] == '\0') {
        return NULL;
    }
    struct copies *c = mem_zalloc(sizeof *c);
    c->backup = backup_new(&(struct backup_options){.env = o->env,
                                                    .log = o->log,
                                                    .metrics = o->metrics,
                                                    .node = o->node,
                                                    .dir = config->backup_dir,
                                                    .member = config->name,
                                                    .interval_ms = config->backup_interval_ms,
                                                    .keep = config->backup_keep,
                                                    .keep_for_ms = config->backup_keep_for_ms});
    if (config->archive_dir[0] != '\0') {
        c->archiver = archiver_new(&(struct archiver_options){.env = o->env,
                                                              .log = o->log,
                                                              .metrics = o->metrics,
                                                              .node = o->node,
                                                              .dir = config->archive_dir,
                                                              .gap = on_gap,
                                                              .context = c});
    }
    return c;
}

void copies_free(struct copies *c)
{
    if (c != NULL) {
        archiver_free(c->archiver);
        backup_free(c->backup);
        mem_free(c);
    }
}

void copies_turn(struct copies *c, uint64_t now_ms)
{
    if (c == NULL) {
        return;
    }
    backup_turn(c->backup, now_ms);
    if (c->archiver != NULL) {
        archiver_retain(c->archiver, backup_oldest_index(c->backup));
        archiver_turn(c->archiver, now_ms);
    }
}

uint64_t copies_next_deadline_ms(const struct copies *c)
{
    if (c == NULL) {
        return UINT64_MAX;
    }
    uint64_t backup = backup_next_deadline_ms(c->backup);
    uint64_t archive =
        c->archiver != NULL ? archiver_next_deadline_ms(c->archiver) : UINT64_MAX;
    return backup < archive ? backup : archive;
}
