#include "cmd/coordctl/shell/files.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"

static const char *text(struct buf *path)
{
    buf_append(path, "", 1);
    path->size--;
    return (const char *)path->data;
}

/* Adds a folder to the path and makes it, for its owner only. */
static bool enter(struct buf *path, const char *name)
{
    struct stat st;
    buf_append_str(path, name);
    (void)mkdir(text(path), 0700);
    return stat(text(path), &st) == 0 && S_ISDIR(st.st_mode);
}

char *files_history(void)
{
    struct buf path = {0};
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    bool is_there = false;
    if (state != NULL && state[0] == '/') {
        is_there = enter(&path, state);
    } else if (home != NULL && home[0] == '/') {
        is_there = enter(&path, home) && enter(&path, "/.local") && enter(&path, "/state");
    }
    if (!is_there || !enter(&path, "/coord")) {
        buf_close(&path);
        return NULL;
    }
    buf_append_str(&path, "/history");
    buf_append(&path, "", 1);
    size_t size;
    return (char *)buf_take(&path, &size);
}

static void offer_file(struct buf *path, const char *name, struct offers *offers)
{
    struct stat st;
    buf_append_str(path, name);
    bool is_folder = stat(text(path), &st) == 0 && S_ISDIR(st.st_mode);
    buf_append_str(path, is_folder ? "/" : "");
    offers_add(offers, text(path), "");
}

void files_offer(const char *begin, struct offers *offers)
{
    struct buf path = {0};
    const char *slash = strrchr(begin, '/');
    const char *name = slash != NULL ? slash + 1 : begin;
    size_t folder = (size_t)(name - begin);
    buf_append(&path, begin, folder);
    DIR *dir = opendir(folder > 0 ? text(&path) : ".");
    const struct dirent *e;
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        bool is_hidden = e->d_name[0] == '.' && name[0] != '.';
        if (!is_hidden && strncmp(e->d_name, name, strlen(name)) == 0) {
            path.size = folder;
            offer_file(&path, e->d_name, offers);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    buf_close(&path);
}
