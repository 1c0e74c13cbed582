/* lock get, ask-release, remove: the queue of a lock as anybody sees it. */
#include "cmd/coordctl/locks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/coordctl/values.h"

bool locks_path(const char *parent, const char *name, char path[CTL_PATH_BYTES])
{
    int bytes = snprintf(path, CTL_PATH_BYTES, "%s%s", name[0] == '/' ? "" : parent, name);
    return bytes < CTL_PATH_BYTES;
}

int locks_take(struct ctl *ctl, const char *parent)
{
    if (!locks_path(parent, ctl->words[0], ctl->lock_path)) {
        return ctl_usage("%s: the name is too long", ctl->command->name);
    }
    ctl->subject = ctl->lock_path;
    return EXIT_DONE;
}

/* ---- entries ----------------------------------------------------------------------------- */

/* "write", "permits 3"; `permits` 0: without the number. Returns `text`. */
static const char *mode_text(enum coord_lock_mode mode, uint32_t permits, char text[24])
{
    if (mode == COORD_LOCK_PERMITS && permits != 0) {
        snprintf(text, 24, "permits %" PRIu32, permits);
    } else {
        snprintf(text, 24, "%s",
                 mode == COORD_LOCK_READ      ? "read"
                 : mode == COORD_LOCK_PERMITS ? "permits"
                                              : "write");
    }
    return text;
}

static json_t *entry_json(const struct coord_lock_entry *e)
{
    char mode[24];
    return json_pack("{s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:I, s:I, s:o, s:o}",
                     "path", e->grant.path, "revision", (json_int_t)e->grant.revision, "state",
                     e->held ? "held" : "waiting", "mode", mode_text(e->mode, 0, mode),
                     "permits", (json_int_t)e->permits, "count", (json_int_t)e->grant.count,
                     "epoch", (json_int_t)e->grant.epoch, "lease", ctl_json_hex(e->lease),
                     "owner", ctl_json_bytes(e->owner, strlen(e->owner)), "note",
                     ctl_json_bytes(e->note, strlen(e->note)), "since_ms",
                     (json_int_t)e->since_ms, "group", (json_int_t)e->group, "asked_by",
                     ctl_json_bytes(e->asked_by, strlen(e->asked_by)), "asked_why",
                     ctl_json_bytes(e->asked_why, strlen(e->asked_why)));
}

json_t *locks_json(const struct coord_lock_info *info, const char *path)
{
    json_t *entries = json_array();
    for (size_t i = 0; i < info->count; i++) {
        json_array_append_new(entries, entry_json(&info->entries[i]));
    }
    return json_pack("{s:s, s:I, s:o}", "lock", path, "permits", (json_int_t)info->permits,
                     "entries", entries);
}

/* What it is for, behind the columns. */
static void print_texts(const struct coord_lock_entry *e)
{
    if (e->owner[0] != '\0') {
        printf("  owner ");
        ctl_print_plain(e->owner);
    }
    if (e->note[0] != '\0') {
        printf("  (");
        ctl_print_plain(e->note);
        putchar(')');
    }
    if (e->asked_by[0] != '\0' || e->asked_why[0] != '\0') {
        printf("  asked for by ");
        ctl_print_plain(e->asked_by[0] != '\0' ? e->asked_by : "somebody");
        printf("%s", e->asked_why[0] != '\0' ? ": " : "");
        ctl_print_plain(e->asked_why);
    }
}

void locks_print(const struct coord_lock_info *info)
{
    printf("%-8s %-10s %-21s %-17s %-10s %s\n", "STATE", "MODE", "SINCE", "LEASE", "EPOCH",
           "ENTRY");
    for (size_t i = 0; i < info->count; i++) {
        const struct coord_lock_entry *e = &info->entries[i];
        char mode[24];
        char since[40];
        char epoch[24] = "-";
        ctl_format_time(e->since_ms, since, sizeof since);
        if (e->held) {
            snprintf(epoch, sizeof epoch, "%" PRIu64, e->grant.epoch);
        }
        printf("%-8s %-10s %-21s %016" PRIx64 "  %-10s %s@%" PRIu64,
               e->held ? "held" : "waiting", mode_text(e->mode, e->permits, mode), since,
               e->lease, epoch, e->grant.path, e->grant.revision);
        print_texts(e);
        putchar('\n');
    }
}

/* ---- the commands ------------------------------------------------------------------------ */

int ctl_lock_get(struct ctl *ctl)
{
    struct coord_lock_info info;
    struct coord_error error;
    int exit_code = locks_take(ctl, "/locks/");
    if (exit_code == EXIT_DONE) {
        exit_code =
            ctl_check(ctl, coord_lock_get(ctl->client, ctl->lock_path, &info, &error), &error);
    }
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    if (ctl_is_json(ctl)) {
        ctl_print_json(ctl, locks_json(&info, ctl->lock_path));
    } else {
        locks_print(&info);
    }
    coord_lock_info_clear(&info);
    return EXIT_DONE;
}

int ctl_lock_ask_release(struct ctl *ctl)
{
    struct coord_error error;
    int exit_code = locks_take(ctl, "/locks/");
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    return ctl_check(
        ctl, coord_lock_ask_release(ctl->client, ctl->lock_path, ctl->owner, NULL, &error),
        &error);
}

int ctl_lock_remove(struct ctl *ctl)
{
    struct guards guards;
    struct coord_grant entry = {.path = ctl->words[0]};
    struct coord_error error;
    if (guards_parse(&guards, ctl->words[0]) && guards.count == 1) {
        entry = (struct coord_grant){.path = guards.grants[0].path,
                                     .revision = guards.grants[0].revision};
    }
    enum coord_code code = coord_lock_remove(ctl->client, &entry, 1, &error);
    guards_clear(&guards);
    return ctl_check(ctl, code, &error);
}
