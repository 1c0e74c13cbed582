/* ls and tree: pages of a listing, printed as they come. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/coordctl/list.h"
#include "cmd/coordctl/values.h"

static const char *root_path(const struct ctl *ctl)
{
    return ctl->word_count > 0 ? ctl->words[0] : "/";
}

int list_each(const struct ctl *ctl, Coord__V1__ListRequest *request, list_entry_fn take,
              void *context)
{
    Coord__V1__RequestHeader header = COORD__V1__REQUEST_HEADER__INIT;
    ProtobufCMessage *page = NULL;
    request->header = &header;
    do {
        ProtobufCMessage *next;
        int exit_code = ctl_call(ctl, CLIENT_LIST, &request->base, &header, &next);
        client_reply_free(page); /* request->after pointed into it */
        page = next;
        if (exit_code != EXIT_DONE) {
            return exit_code;
        }
        const Coord__V1__ListReply *reply = (const Coord__V1__ListReply *)page;
        for (size_t i = 0; i < reply->n_entries; i++) {
            take(ctl, reply->entries[i], context);
        }
        request->after = reply->next;
    } while (request->after[0] != '\0');
    client_reply_free(page);
    return EXIT_DONE;
}

static const char *shown_name(const struct ctl *ctl, const Coord__V1__ListEntry *entry)
{
    const char *slash = strrchr(entry->path, '/');
    return ctl->recursive || slash == NULL ? entry->path : slash + 1;
}

/* What ends the node by itself, behind its name. */
static void print_life(const Coord__V1__Stat *s)
{
    char ttl[24];
    if (s->lease != 0) {
        printf("  (lease %016" PRIx64 ")", s->lease);
    } else if (s->ttl_ms != 0) {
        value_format_duration(s->ttl_ms, ttl, sizeof ttl);
        printf("  (ttl %s)", ttl);
    }
}

static void print_entry(const struct ctl *ctl, const Coord__V1__ListEntry *entry,
                        void *context)
{
    if (context != NULL) {
        json_t *o =
            json_pack("{s:s, s:s}", "name", shown_name(ctl, entry), "path", entry->path);
        if (ctl->long_format) {
            json_object_set_new(o, "stat", ctl_json_stat(entry->stat));
        }
        json_array_append_new(context, o);
    } else if (ctl->long_format && entry->stat != NULL) {
        char modified[32];
        ctl_format_time(entry->stat->modify_time_ms, modified, sizeof modified);
        printf("%-10s v%-6" PRIu32 " %9" PRIu32 " B %8" PRIu32 " children  %s  %s",
               ctl_kind_name((int)entry->stat->kind), entry->stat->version,
               entry->stat->data_bytes, entry->stat->child_count, modified,
               shown_name(ctl, entry));
        print_life(entry->stat);
        putchar('\n');
    } else {
        puts(shown_name(ctl, entry));
    }
}

int ctl_ls(struct ctl *ctl)
{
    Coord__V1__ListRequest request = COORD__V1__LIST_REQUEST__INIT;
    json_t *array = ctl_is_json(ctl) ? json_array() : NULL;
    ctl->long_format = ctl->long_format || ctl->output == OUTPUT_WIDE;
    request.path = ctl_text(root_path(ctl));
    request.recursive = ctl->recursive;
    request.with_stat = ctl->long_format;
    int exit_code = list_each(ctl, &request, print_entry, array);
    if (array != NULL && exit_code == EXIT_DONE) {
        ctl_print_json(ctl, array);
    } else {
        json_decref(array);
    }
    return exit_code;
}

struct drawing {
    const char *root; /* NULL once it is drawn, so that an error leaves no half of a tree */
    size_t base_depth;
    json_t *array;
};

static size_t depth_of(const char *path)
{
    size_t depth = 0;
    for (const char *at = path; *at != '\0'; at++) {
        depth += *at == '/' && at[1] != '\0';
    }
    return depth;
}

static void draw_root(struct drawing *d)
{
    if (d->root != NULL) {
        puts(d->root);
    }
    d->root = NULL;
}

static void draw_entry(const struct ctl *ctl, const Coord__V1__ListEntry *entry,
                       void *context)
{
    struct drawing *d = context;
    (void)ctl;
    if (d->array != NULL) {
        json_array_append_new(d->array, json_string(entry->path));
        return;
    }
    draw_root(d);
    size_t indent = depth_of(entry->path) - d->base_depth;
    const char *slash = strrchr(entry->path, '/');
    printf("%*s%s\n", (int)(2 * indent), "", slash != NULL ? slash + 1 : entry->path);
}

int ctl_tree(struct ctl *ctl)
{
    Coord__V1__ListRequest request = COORD__V1__LIST_REQUEST__INIT;
    const char *root = root_path(ctl);
    struct drawing d = {.root = root,
                        .base_depth = depth_of(root),
                        .array = ctl_is_json(ctl) ? json_array() : NULL};
    request.path = ctl_text(root);
    request.recursive = true;
    int exit_code = list_each(ctl, &request, draw_entry, &d);
    if (d.array == NULL && exit_code == EXIT_DONE) {
        draw_root(&d); /* if nothing is below it */
    }
    if (d.array != NULL && exit_code == EXIT_DONE) {
        ctl_print_json(ctl, d.array);
    } else {
        json_decref(d.array);
    }
    return exit_code;
}
