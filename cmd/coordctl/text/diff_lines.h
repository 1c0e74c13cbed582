/* The difference of two texts, line by line. */
#ifndef CMD_COORDCTL_TEXT_DIFF_LINES_H
#define CMD_COORDCTL_TEXT_DIFF_LINES_H

#include "base/buf.h"

/* Appends hunks with three lines around each change: "@@ -1,3 +1,4 @@", then lines that
 * begin with ' ', '-' or '+'. Nothing if the texts are equal. Texts of very many different
 * lines are shown as replaced whole. */
void diff_lines(struct buf *out, struct slice before, struct slice after);

#endif
