/* Rights as words: "read,write", "all". */
#ifndef CMD_COORDCTL_RIGHTS_H
#define CMD_COORDCTL_RIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#define RIGHTS_TEXT_BYTES 48

bool rights_parse(const char *text, uint32_t *rights);
void rights_print(uint32_t rights, char text[RIGHTS_TEXT_BYTES]);

#endif
