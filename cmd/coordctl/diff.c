/* diff PATH REV1 [REV2]: what a node, or a subtree, was and is.
 *
 * A single node is read at both revisions. Of a subtree the changes between them are read: the
 * first of each node tells what it was, the last what it is. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/coordctl/text/diff_lines.h"
#include "cmd/coordctl/event.h"
#include "cmd/coordctl/values.h"

/* A node at two revisions. */
struct pair {
    const char *path;
    bool was;
    bool is;
    struct slice before;
    struct slice after;
};

struct revisions {
    uint64_t from;
    uint64_t to; /* 0: now */
};

/* ---- output ----------------------------------------------------------------------------- */

static void append_side(struct buf *out, const char *sign, const struct pair *p, bool is_there,
                        uint64_t revision)
{
    buf_printf(out, "%s %s ", sign, is_there ? p->path : "(none)");
    if (revision != 0) {
        buf_printf(out, "at %" PRIu64 "\n", revision);
    } else {
        buf_append_str(out, "now\n");
    }
}

static void print_text(const struct pair *p, const struct revisions *r)
{
    struct buf out = {0};
    append_side(&out, "---", p, p->was, r->from);
    append_side(&out, "+++", p, p->is, r->to);
    if (event_is_text(p->before.data, p->before.size) &&
        event_is_text(p->after.data, p->after.size)) {
        size_t head = out.size;
        diff_lines(&out, p->before, p->after);
        if (out.size == head && p->was == p->is) {
            buf_append_str(&out, "only the newline at the end differs\n");
        }
    } else {
        buf_printf(&out, "%zu bytes and %zu bytes, not text\n", p->before.size, p->after.size);
    }
    fwrite(out.data, 1, out.size, stdout);
    buf_close(&out);
}

static void print_pair(const struct pair *p, const struct revisions *r, json_t *array)
{
    bool is_same =
        p->was == p->is && p->before.size == p->after.size &&
        (p->before.size == 0 || memcmp(p->before.data, p->after.data, p->before.size) == 0);
    if (is_same) {
        return;
    }
    if (array == NULL) {
        print_text(p, r);
        return;
    }
    json_array_append_new(
        array,
        json_pack("{s:s, s:o, s:o}", "path", p->path, "before",
                  p->was ? ctl_json_bytes(p->before.data, p->before.size) : json_null(),
                  "after", p->is ? ctl_json_bytes(p->after.data, p->after.size) : json_null()));
}

/* ---- one node --------------------------------------------------------------------------- */

/* COORD_NOT_FOUND becomes `is_there` false. */
static enum coord_code read_side(struct ctl *ctl, uint64_t revision, bool *is_there,
                                 struct slice *value, struct coord_error *error)
{
    void *data = NULL;
    size_t bytes = 0;
    enum coord_code code =
        coord_get_at(ctl->client, ctl->words[0], revision, &data, &bytes, NULL, error);
    *is_there = code == COORD_OK;
    *value = slice_make(data, bytes);
    return code == COORD_NOT_FOUND ? COORD_OK : code;
}

static int diff_node(struct ctl *ctl, const struct revisions *r, json_t *array)
{
    struct pair p = {.path = ctl->words[0]};
    struct coord_error error;
    enum coord_code code = read_side(ctl, r->from, &p.was, &p.before, &error);
    if (code == COORD_OK) {
        code = read_side(ctl, r->to, &p.is, &p.after, &error);
    }
    if (code == COORD_OK && !p.was && !p.is) {
        code = COORD_NOT_FOUND;
        error.code = code;
    }
    if (code == COORD_OK) {
        print_pair(&p, r, array);
    }
    free((void *)(uintptr_t)p.before.data);
    free((void *)(uintptr_t)p.after.data);
    return ctl_check(ctl, code, &error);
}

/* ---- a subtree -------------------------------------------------------------------------- */

struct changes {
    struct coord_change_list *pages; /* hold what the events point to */
    size_t page_count;
    const struct coord_event **events;
    size_t event_count;
};

static int by_path(const void *a, const void *b)
{
    const struct coord_event *x = *(const struct coord_event *const *)a;
    const struct coord_event *y = *(const struct coord_event *const *)b;
    int order = strcmp(x->path, y->path);
    if (order == 0) {
        order = x->revision < y->revision ? -1 : x->revision > y->revision;
    }
    return order != 0 ? order : (x->sub < y->sub ? -1 : x->sub > y->sub);
}

static int read_changes(struct ctl *ctl, const struct revisions *r, struct changes *all)
{
    struct coord_change_options o = {
        .recursive = true, .from_revision = r->from + 1, .to_revision = r->to};
    do {
        struct coord_error error;
        all->pages = mem_resize(all->pages, (all->page_count + 1) * sizeof *all->pages);
        struct coord_change_list *page = &all->pages[all->page_count];
        enum coord_code code = coord_changes(ctl->client, ctl->words[0], &o, page, &error);
        if (code != COORD_OK) {
            return ctl_failed(ctl, &error);
        }
        all->page_count++;
        if (page->floor > r->from + 1) {
            return ctl_general(ctl, "history is complete from revision %" PRIu64 " on only",
                               page->floor);
        }
        all->events = mem_resize(all->events,
                                 (all->event_count + page->count + 1) * sizeof(*all->events));
        for (size_t i = 0; i < page->count; i++) {
            all->events[all->event_count++] = &page->events[i];
        }
        o.after_revision = page->next_revision;
        o.after_sub = page->next_sub;
    } while (o.after_revision != 0);
    return EXIT_DONE;
}

static void print_changes(const struct changes *all, const struct revisions *r, json_t *array)
{
    for (size_t i = 0; i < all->event_count;) {
        size_t end = i + 1;
        while (end < all->event_count &&
               strcmp(all->events[end]->path, all->events[i]->path) == 0) {
            end++;
        }
        const struct coord_event *first = all->events[i];
        const struct coord_event *last = all->events[end - 1];
        struct pair p = {.path = first->path,
                         .was = first->type != COORD_EVENT_CREATED,
                         .is = last->type != COORD_EVENT_DELETED};
        p.before = p.was ? slice_make(first->previous, first->previous_bytes) : slice_str("");
        p.after = p.is ? slice_make(last->data, last->bytes) : slice_str("");
        print_pair(&p, r, array);
        i = end;
    }
}

static int diff_subtree(struct ctl *ctl, const struct revisions *r, json_t *array)
{
    struct changes all = {.event_count = 0};
    int exit_code = read_changes(ctl, r, &all);
    if (exit_code == EXIT_DONE) {
        qsort(all.events, all.event_count, sizeof(*all.events), by_path);
        print_changes(&all, r, array);
    }
    for (size_t i = 0; i < all.page_count; i++) {
        coord_changes_clear(&all.pages[i]);
    }
    mem_free(all.pages);
    mem_free(all.events);
    return exit_code;
}

int ctl_diff(struct ctl *ctl)
{
    struct revisions r = {.to = 0};
    for (size_t i = 1; i < ctl->word_count; i++) {
        uint64_t *out = i == 1 ? &r.from : &r.to;
        if (!value_parse_number(ctl->words[i], INT64_MAX, out) || *out == 0) {
            return ctl_usage("diff: \"%s\" is not a revision: a number from 1", ctl->words[i]);
        }
    }
    if (r.to != 0 && r.to < r.from) {
        return ctl_usage("diff: revision %" PRIu64 " is before %" PRIu64, r.to, r.from);
    }
    if (r.to == r.from && ctl->recursive) {
        return ctl_usage("diff: of two revisions");
    }
    json_t *array = ctl_is_json(ctl) ? json_array() : NULL;
    int exit_code = ctl->recursive ? diff_subtree(ctl, &r, array) : diff_node(ctl, &r, array);
    if (array != NULL && exit_code == EXIT_DONE) {
        ctl_print_json(ctl, array);
    } else {
        json_decref(array);
    }
    return exit_code;
}
