/* Lines typed on a terminal, by libedit: editing, history, completion by Tab. */
#ifndef CMD_COORDCTL_SHELL_LINE_H
#define CMD_COORDCTL_SHELL_LINE_H

#include "cmd/coordctl/shell/offers.h"

struct line_editor;

/* Fills `offers` with what the last word may become, of a line that ends where the cursor is. */
typedef void (*line_complete_fn)(void *context, const char *line, struct offers *offers);

/* `history_file` may be NULL. NULL: the terminal cannot be used. */
struct line_editor *line_editor_new(const char *history_file, line_complete_fn complete,
                                    void *context);
void line_editor_free(struct line_editor *e);

/* The next line without its end, valid until the next call; "" when Ctrl-C left it. NULL: the
 * end. `prompt` is kept until then. */
const char *line_editor_read(struct line_editor *e, const char *prompt);
/* Into the history, and its file. */
void line_editor_remember(struct line_editor *e, const char *line);

#endif
