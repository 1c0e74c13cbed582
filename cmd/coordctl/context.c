#include "cmd/coordctl/context.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/coordctl/text/similar.h"

#define NAME_BYTES_MAX 64

/* ---- the file --------------------------------------------------------------------------- */

static void append_part(struct buf *path, const char *part)
{
    path->size -= path->size > 0; /* the zero */
    buf_append_str(path, part);
    buf_append(path, "", 1);
}

/* False: there is no place for it. */
static bool file_path(struct buf *path)
{
    const char *file = getenv("COORD_CONTEXTS");
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    if (file != NULL && file[0] != '\0') {
        append_part(path, file);
        return true;
    }
    if (config != NULL && config[0] == '/') {
        append_part(path, config);
    } else if (home != NULL && home[0] == '/') {
        append_part(path, home);
        append_part(path, "/.config");
    } else {
        return false;
    }
    append_part(path, "/coord/contexts.json");
    return true;
}

/* An object, the empty one if there is no file. NULL after a message. */
static json_t *load(const char *path)
{
    json_error_t error;
    if (access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
        return json_object();
    }
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        (void)ctl_usage("%s: line %d: %s", path, error.line, error.text);
    } else if (!json_is_object(root)) {
        (void)ctl_usage("%s: must be a JSON object", path);
        json_decref(root);
        root = NULL;
    }
    return root;
}

static bool make_folders(char *path)
{
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        bool is_there = mkdir(path, 0700) == 0 || errno == EEXIST;
        *at = '/';
        if (!is_there) {
            return false;
        }
    }
    return true;
}

/* As a whole or not at all. */
static int store(const json_t *root, struct buf *path)
{
    struct buf part = {0};
    const char *name = (const char *)path->data;
    append_part(&part, name);
    append_part(&part, ".new");
    const char *new_name = (const char *)part.data;
    bool is_done = make_folders((char *)path->data);
    int fd = is_done ? open(new_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    is_done = f != NULL && json_dumpf(root, f, JSON_INDENT(2)) == 0 && putc('\n', f) != EOF &&
              fflush(f) == 0 && fsync(fd) == 0;
    is_done = f != NULL && fclose(f) == 0 && is_done && rename(new_name, name) == 0;
    int error = errno;
    buf_close(&part);
    if (!is_done) {
        fprintf(stderr, "coordctl: context: %s: %s\n", name, strerror(error));
    }
    return is_done ? EXIT_DONE : EXIT_GENERAL;
}

/* ---- what a context says ---------------------------------------------------------------- */

/* Whether an option can be kept in a context. */
static bool has_option(const struct option *o)
{
    static const char *const others[] = {"context", "note", "help", "version"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (strcmp(o->name, others[i]) == 0) {
            return false;
        }
    }
    return o->is_common;
}

static int refuse_unknown(const json_t *all, const char *name)
{
    char text[SIMILAR_BYTES_MAX + 32];
    struct similar similar;
    const char *other;
    json_t *value;
    similar_begin(&similar, name);
    json_object_foreach((json_t *)(uintptr_t)all, other, value)
    {
        (void)value;
        similar_offer(&similar, other);
    }
    (void)ctl_usage("there is no context \"%s\"%s; see coordctl context list", name,
                    similar_text(&similar, text));
    return EXIT_USAGE;
}

static int take_all(struct ctl *ctl, const char *path, const char *name, json_t *context,
                    context_take_fn take, const void *hint)
{
    const char *key;
    json_t *value;
    json_object_foreach(context, key, value)
    {
        const struct option *o = option_find_long(key, strlen(key));
        const char *text = json_string_value(value);
        if (o == NULL || !has_option(o) || text == NULL) {
            return ctl_usage("%s: context \"%s\": %s is no option with a text", path, name, key);
        }
        int exit_code = take(ctl, o, text, hint);
        if (exit_code != EXIT_DONE) {
            return exit_code;
        }
    }
    return EXIT_DONE;
}

int context_apply(struct ctl *ctl, context_take_fn take, const void *hint)
{
    struct buf path = {0};
    int exit_code = EXIT_DONE;
    if (!file_path(&path)) {
        buf_close(&path);
        return ctl->context == NULL ? EXIT_DONE
                                    : ctl_usage("--context: HOME is not set, nor COORD_CONTEXTS");
    }
    json_t *root = load((const char *)path.data);
    const json_t *all = json_object_get(root, "contexts");
    const char *current = json_string_value(json_object_get(root, "current"));
    const char *name = ctl->context != NULL ? ctl->context : current;
    context_close(ctl);
    ctl->contexts = root;
    if (root == NULL) {
        exit_code = EXIT_USAGE;
    } else if (name != NULL && name[0] != '\0') {
        json_t *context = json_object_get(all, name);
        exit_code = context == NULL
                        ? refuse_unknown(all, name)
                        : take_all(ctl, (const char *)path.data, name, context, take, hint);
    }
    buf_close(&path);
    return exit_code;
}

void context_close(struct ctl *ctl)
{
    json_decref(ctl->contexts);
    ctl->contexts = NULL;
}

void context_names(void (*found)(void *context, const char *name), void *context)
{
    struct buf path = {0};
    const char *name;
    json_t *value;
    json_t *root = file_path(&path) ? json_load_file((const char *)path.data, 0, NULL) : NULL;
    json_object_foreach(json_object_get(root, "contexts"), name, value)
    {
        (void)value;
        found(context, name);
    }
    json_decref(root);
    buf_close(&path);
}

/* ---- the commands ----------------------------------------------------------------------- */

typedef int (*change_fn)(struct ctl *ctl, json_t *root, json_t *all);

/* Loads the file, calls `change`, and stores what it has become if that went well. */
static int change_file(struct ctl *ctl, change_fn change)
{
    struct buf path = {0};
    int exit_code = EXIT_USAGE;
    if (!file_path(&path)) {
        buf_close(&path);
        return ctl_usage("context: HOME is not set, nor COORD_CONTEXTS");
    }
    json_t *root = load((const char *)path.data);
    if (root != NULL) {
        json_t *all = json_object_get(root, "contexts");
        if (!json_is_object(all)) {
            all = json_object();
            json_object_set_new(root, "contexts", all);
        }
        exit_code = change(ctl, root, all);
        if (exit_code == EXIT_DONE) {
            exit_code = store(root, &path);
        }
        json_decref(root);
    }
    buf_close(&path);
    return exit_code;
}

/* Files are found from everywhere. */
static json_t *kept_value(const struct option *o, const char *value)
{
    char here[4096];
    bool is_file = o->value != NULL && strcmp(o->value, "FILE") == 0;
    if (is_file && value[0] != '/' && getcwd(here, sizeof here) != NULL) {
        return json_sprintf("%s/%s", here, value);
    }
    return json_string(value);
}

/* False: it is no text that JSON could hold. An empty value removes it. */
static bool keep(json_t *context, const struct option *o, const char *value)
{
    if (value[0] == '\0') {
        (void)json_object_del(context, o->name);
        return true;
    }
    return json_object_set_new(context, o->name, kept_value(o, value)) == 0;
}

static int set(struct ctl *ctl, json_t *root, json_t *all)
{
    const char *name = ctl->words[0];
    json_t *context = json_object_get(all, name);
    size_t count = 0;
    if (name[0] == '\0' || strlen(name) > NAME_BYTES_MAX) {
        return ctl_usage("context set: a name has 1 to %d bytes", NAME_BYTES_MAX);
    }
    if (context == NULL) {
        context = json_object();
        if (json_object_set_new(all, name, context) != 0) {
            return ctl_usage("context set: the name is not UTF-8");
        }
    }
    for (size_t i = 0; i < option_count; i++) {
        const char *value = ctl->given[i];
        if (value == NULL || !has_option(&options[i])) {
            continue;
        }
        count++;
        if (!keep(context, &options[i], value)) {
            return ctl_usage("context set: --%s is not UTF-8", options[i].name);
        }
    }
    if (count == 0) {
        return ctl_usage("context set: what it is to hold is missing, as in: coordctl context "
                         "set %s --endpoints 10.0.0.1:7400",
                         name);
    }
    if (!json_is_string(json_object_get(root, "current"))) {
        json_object_set_new(root, "current", json_string(name));
    }
    return EXIT_DONE;
}

int ctl_context_set(struct ctl *ctl)
{
    return change_file(ctl, set);
}

static int use(struct ctl *ctl, json_t *root, json_t *all)
{
    if (json_object_get(all, ctl->words[0]) == NULL) {
        (void)refuse_unknown(all, ctl->words[0]);
        return EXIT_NOT_FOUND;
    }
    json_object_set_new(root, "current", json_string(ctl->words[0]));
    return EXIT_DONE;
}

int ctl_context_use(struct ctl *ctl)
{
    return change_file(ctl, use);
}

static int remove_it(struct ctl *ctl, json_t *root, json_t *all)
{
    const char *current = json_string_value(json_object_get(root, "current"));
    if (json_object_get(all, ctl->words[0]) == NULL) {
        (void)refuse_unknown(all, ctl->words[0]);
        return EXIT_NOT_FOUND;
    }
    if (current != NULL && strcmp(current, ctl->words[0]) == 0) {
        json_object_del(root, "current");
    }
    json_object_del(all, ctl->words[0]);
    return EXIT_DONE;
}

int ctl_context_remove(struct ctl *ctl)
{
    return change_file(ctl, remove_it);
}

/* Passwords stay in the file. */
static const char *shown(const char *key, const char *value, char text[256])
{
    const char *colon = strchr(value, ':');
    if (strcmp(key, "user") != 0 || colon == NULL) {
        return value;
    }
    snprintf(text, 256, "%.*s:***", (int)(colon - value), value);
    return text;
}

static void print_context(const char *name, bool is_current, json_t *context)
{
    const char *key;
    json_t *value;
    printf("%c %-16s", is_current ? '*' : ' ', name);
    json_object_foreach(context, key, value)
    {
        char text[256];
        if (json_is_string(value)) {
            printf(" %s=%s", key, shown(key, json_string_value(value), text));
        }
    }
    putchar('\n');
}

static json_t *context_json(const char *name, bool is_current, json_t *context)
{
    const char *key;
    json_t *value;
    json_t *o = json_pack("{s:s, s:b}", "name", name, "current", is_current);
    json_object_foreach(context, key, value)
    {
        char text[256];
        if (json_is_string(value)) {
            json_object_set_new(o, key, json_string(shown(key, json_string_value(value), text)));
        }
    }
    return o;
}

int ctl_context_list(struct ctl *ctl)
{
    struct buf path = {0};
    const char *name;
    json_t *context;
    json_t *root = file_path(&path) ? load((const char *)path.data) : json_object();
    const char *current = json_string_value(json_object_get(root, "current"));
    json_t *array = ctl_is_json(ctl) ? json_array() : NULL;
    buf_close(&path);
    if (root == NULL) {
        json_decref(array);
        return EXIT_USAGE;
    }
    json_object_foreach(json_object_get(root, "contexts"), name, context)
    {
        bool is_current = current != NULL && strcmp(current, name) == 0;
        if (array != NULL) {
            json_array_append_new(array, context_json(name, is_current, context));
        } else {
            print_context(name, is_current, context);
        }
    }
    if (array != NULL) {
        ctl_print_json(ctl, array);
    }
    json_decref(root);
    return EXIT_DONE;
}
