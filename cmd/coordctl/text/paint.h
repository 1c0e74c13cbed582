/* Colours of text for people at a terminal. */
#ifndef CMD_COORDCTL_TEXT_PAINT_H
#define CMD_COORDCTL_TEXT_PAINT_H

#include <stdbool.h>

#include "base/buf.h"

enum paint { PAINT_DIM, PAINT_BOLD, PAINT_RED, PAINT_GREEN, PAINT_YELLOW, PAINT_CYAN };

/* Whether what goes to this file descriptor is to be coloured: it is a terminal that is not "dumb",
 * and NO_COLOR is not set, or empty. */
bool paint_is_wanted(int fd);

/* What begins the colour, and what ends all of them; "" unless `on`. */
const char *paint_begin(enum paint colour, bool on);
const char *paint_end(bool on);

#endif
