#include "cmd/coordctl/text/paint.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool paint_is_wanted(int fd)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    bool is_refused = no_color != NULL && no_color[0] != '\0';
    bool is_dumb = term == NULL || term[0] == '\0' || strcmp(term, "dumb") == 0;
    return isatty(fd) == 1 && !is_refused && !is_dumb;
}

const char *paint_begin(enum paint colour, bool on)
{
    static const char *const codes[] = {
        [PAINT_DIM] = "\033[2m",    [PAINT_BOLD] = "\033[1m",    [PAINT_RED] = "\033[31m",
        [PAINT_GREEN] = "\033[32m", [PAINT_YELLOW] = "\033[33m", [PAINT_CYAN] = "\033[36m"};
    return on ? codes[colour] : "";
}

const char *paint_end(bool on)
{
    return on ? "\033[0m" : "";
}
