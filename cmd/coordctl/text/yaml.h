/* JSON values as YAML, for people and for tools that read it. */
#ifndef CMD_COORDCTL_TEXT_YAML_H
#define CMD_COORDCTL_TEXT_YAML_H

#include <jansson.h>

#include "base/buf.h"

/* Appends `value` in block style, with a newline at the end. Texts that YAML could take for
 * something else, or that have more than one line, stand in double quotes as in JSON. What is
 * nested more than 32 deep is in JSON's own style, which is YAML, too. */
void yaml_append(struct buf *out, const json_t *value);

#endif
