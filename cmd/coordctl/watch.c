/* watch: prints changes as they come, or runs a program for each. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/coordctl/event.h"
#include "cmd/coordctl/outage.h"
#include "cmd/coordctl/program.h"
#include "cmd/coordctl/text/paint.h"
#include "cmd/coordctl/text/value_diff.h"

#define WAIT_MS  1000
#define RETRY_MS 100

struct watching {
    struct ctl *ctl;
    struct coord_watch *watch;
    struct signals signals;
    struct outage outage;
};

/* ---- one event -------------------------------------------------------------------------- */

static void print_line(const struct ctl *ctl, const struct coord_event *e)
{
    struct buf line = {0};
    buf_printf(&line, "%" PRIu64 " %s %s", e->revision, event_type_name(e->type), e->path);
    if (!ctl->keys_only && e->type != COORD_EVENT_DELETED) {
        buf_append_str(&line, " ");
        event_append_value(&line, e->data, e->bytes);
    }
    if (ctl->prev && (e->type == COORD_EVENT_SET || e->type == COORD_EVENT_DELETED)) {
        buf_append_str(&line, " (was ");
        event_append_value(&line, e->previous, e->previous_bytes);
        buf_append_str(&line, ")");
    }
    if (e->reason != COORD_REASON_REQUESTED) {
        buf_printf(&line, " (%s)", event_reason_name(e->reason));
    }
    buf_append_str(&line, "\n");
    fwrite(line.data, 1, line.size, stdout);
    buf_close(&line);
}

static enum paint type_paint(enum coord_event_type type)
{
    return type == COORD_EVENT_CREATED   ? PAINT_GREEN
           : type == COORD_EVENT_DELETED ? PAINT_RED
           : type == COORD_EVENT_SET     ? PAINT_YELLOW
                                         : PAINT_CYAN;
}

/* How the value became what it is: in the line, or in lines below it. */
static void append_values(const struct ctl *ctl, struct buf *line, struct buf *below,
                          const struct coord_event *e, bool colours)
{
    if (ctl->keys_only) {
        return;
    }
    if (e->type == COORD_EVENT_SET) {
        value_diff(below, slice_make(e->previous, e->previous_bytes),
                   slice_make(e->data, e->bytes), "    ", colours);
        if (below->size == 0) {
            buf_append_str(below, " (the same value)");
        }
    } else if (e->type == COORD_EVENT_DELETED) {
        buf_append_str(line, " (was ");
        event_append_value(line, e->previous, e->previous_bytes);
        buf_append_str(line, ")");
    } else {
        buf_append_str(line, " ");
        event_append_value(line, e->data, e->bytes);
    }
}

/* For people: when, what, by whom, and what is different from before. */
static void print_diff(const struct ctl *ctl, const struct coord_event *e)
{
    struct buf line = {0};
    struct buf below = {0};
    char when[32] = "";
    bool colours = paint_is_wanted(STDOUT_FILENO);
    if (e->time_ms != 0) {
        ctl_format_time(e->time_ms, when, sizeof when);
    }
    buf_printf(&line, "%s%" PRIu64 "%s%s%s %s%s%s %s%s%s", paint_begin(PAINT_DIM, colours),
               e->revision, when[0] != '\0' ? " " : "", when, paint_end(colours),
               paint_begin(type_paint(e->type), colours), event_type_name(e->type),
               paint_end(colours), paint_begin(PAINT_BOLD, colours), e->path,
               paint_end(colours));
    append_values(ctl, &line, &below, e, colours);
    bool goes_on = below.size > 0 && below.data[below.size - 1] != '\n';
    if (goes_on) {
        buf_append_slice(&line, buf_slice(&below));
        buf_clear(&below);
    }
    if (e->type != COORD_EVENT_ENTRY) {
        event_append_circumstances(&line, e);
    }
    buf_append_str(&line, "\n");
    buf_append_slice(&line, buf_slice(&below));
    fwrite(line.data, 1, line.size, stdout);
    buf_close(&line);
    buf_close(&below);
}

/* A value and a newline; a deletion has none. */
static void print_raw(const struct coord_event *e)
{
    if (e->type == COORD_EVENT_DELETED) {
        return;
    }
    if (e->bytes > 0) {
        fwrite(e->data, 1, e->bytes, stdout);
    }
    putchar('\n');
}

static void print_event(const struct ctl *ctl, const struct coord_event *e)
{
    bool is_mark = e->type == COORD_EVENT_LISTING || e->type == COORD_EVENT_LISTED;
    if (ctl_is_json(ctl)) {
        json_t *o = event_json(ctl, e);
        bool has_name = !is_mark || ctl->output != OUTPUT_NAME;
        if (has_name) {
            ctl_print_one(ctl, o);
        } else {
            json_decref(o);
        }
    } else if (!is_mark && ctl->output == OUTPUT_RAW) {
        print_raw(e);
    } else if (!is_mark && ctl->diff) {
        print_diff(ctl, e);
    } else if (!is_mark) {
        print_line(ctl, e);
    }
    (void)fflush(stdout);
}

/* EXIT_DONE: go on. `number` gets a signal that came meanwhile. */
static int handle(struct watching *w, const struct coord_event *e, int *number)
{
    if (w->ctl->program == NULL) {
        print_event(w->ctl, e);
        return ferror(stdout) != 0 ? ctl_general(w->ctl, "standard output cannot be written")
                                   : EXIT_DONE;
    }
    if (e->type == COORD_EVENT_LISTING || e->type == COORD_EVENT_LISTED) {
        return EXIT_DONE;
    }
    int exit_code = program_run(w->ctl, e, &w->signals, number);
    if (exit_code < 0) {
        return EXIT_GENERAL;
    }
    if (exit_code != 0 && *number == 0) {
        fprintf(stderr, "coordctl: watch %s: %s ended with %d\n", e->path, w->ctl->program[0],
                exit_code);
    }
    return w->ctl->once ? exit_code : EXIT_DONE;
}

/* ---- all of them ------------------------------------------------------------------------ */

static int follow(struct watching *w)
{
    int number = 0;
    int exit_code = EXIT_DONE; /* with --once: of the program */
    for (;;) {
        struct coord_event event;
        struct coord_error error;
        number = number != 0 ? number : signals_take(&w->signals);
        if (number != 0) {
            return ctl_signal_exit(number);
        }
        enum coord_code code = coord_watch_next(w->watch, 0, &event, &error);
        if (code == COORD_UNAVAILABLE) {
            outage_note(&w->outage, w->ctl, &error);
            number = signals_wait(&w->signals, coord_watch_fd(w->watch), RETRY_MS);
            continue;
        }
        if (code == COORD_OK || code == COORD_TIMEOUT) {
            outage_note(&w->outage, w->ctl, NULL);
        }
        if (code == COORD_TIMEOUT) {
            number = signals_wait(&w->signals, coord_watch_fd(w->watch), WAIT_MS);
        } else if (code != COORD_OK) {
            return ctl_failed(w->ctl, &error);
        } else if (event.type == COORD_EVENT_END) {
            return exit_code;
        } else {
            int handled = handle(w, &event, &number);
            exit_code = handled != EXIT_DONE ? handled : exit_code;
            if (exit_code != EXIT_DONE && !w->ctl->once) {
                return exit_code;
            }
        }
    }
}

static int take_options(const struct ctl *ctl, struct coord_watch_options *o)
{
    *o = (struct coord_watch_options){
        .scope = ctl->recursive  ? COORD_WATCH_SUBTREE
                 : ctl->children ? COORD_WATCH_CHILDREN
                 : ctl->prefix   ? COORD_WATCH_PREFIX
                                 : COORD_WATCH_NODE,
        .types = ctl->types,
        .glob = ctl->glob,
        .depth = (uint32_t)ctl->depth,
        .once = ctl->once,
        .keys_only = ctl->keys_only,
        .with_previous = ctl->prev || ctl->diff,
        .from_revision = ctl->from_revision,
        .list = ctl->list,
        .relist = ctl->list,
    };
    if (ctl->recursive + ctl->children + ctl->prefix > 1) {
        return ctl_usage("watch: --recursive, --children and --prefix exclude each other");
    }
    if (ctl->depth > 0 && !ctl->recursive) {
        return ctl_usage("watch: --depth goes with --recursive");
    }
    if (ctl->list && ctl->from_revision > 0) {
        return ctl_usage("watch: --list begins now; it goes without --from-revision");
    }
    if (ctl->program != NULL && ctl->program[0] == NULL) {
        return ctl_usage("watch: a program is missing behind --");
    }
    return EXIT_DONE;
}

int ctl_watch(struct ctl *ctl)
{
    struct watching w = {.ctl = ctl};
    struct coord_watch_options o;
    struct coord_error error;
    char *shell[] = {ctl_text("/bin/sh"), ctl_text("-c"), ctl_text(ctl->exec), NULL};
    if (ctl->exec != NULL && ctl->program != NULL) {
        return ctl_usage("watch: --exec and a program behind -- exclude each other");
    }
    if (ctl->exec != NULL) {
        ctl->program = shell;
    }
    if (ctl_is_table(ctl) && isatty(STDOUT_FILENO) == 1 && !ctl->prev) {
        ctl->diff = true; /* people see at once what is different */
    }
    int exit_code = take_options(ctl, &o);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    enum coord_code code = coord_watch_open(ctl->client, ctl->words[0], &o, &w.watch, &error);
    if (code != COORD_OK) {
        return ctl_failed(ctl, &error);
    }
    if (signals_open(&w.signals)) {
        exit_code = follow(&w);
        signals_close(&w.signals);
    } else {
        exit_code = ctl_general(ctl, "signals cannot be waited for");
    }
    coord_watch_close(w.watch);
    return exit_code;
}
