#include "cmd/coordctl/rights.h"

#include <stdio.h>
#include <string.h>

#define RIGHTS_ALL 31

static const char *const names[] = {"read", "write", "create", "delete", "admin"};
#define NAMES (sizeof names / sizeof names[0])

bool rights_parse(const char *text, uint32_t *rights)
{
    *rights = 0;
    if (strcmp(text, "all") == 0) {
        *rights = RIGHTS_ALL;
        return true;
    }
    for (const char *at = text; *at != '\0';) {
        size_t size = strcspn(at, ",");
        size_t i = 0;
        while (i < NAMES && (strlen(names[i]) != size || memcmp(names[i], at, size) != 0)) {
            i++;
        }
        if (i == NAMES) {
            return false;
        }
        *rights |= 1u << i;
        at += size + (at[size] == ',');
    }
    return *rights != 0;
}

void rights_print(uint32_t rights, char text[RIGHTS_TEXT_BYTES])
{
    size_t size = 0;
    text[0] = '\0';
    if (rights == RIGHTS_ALL) {
        (void)snprintf(text, RIGHTS_TEXT_BYTES, "all");
        return;
    }
    for (size_t i = 0; i < NAMES; i++) {
        if ((rights & 1u << i) != 0) {
            int more = snprintf(text + size, RIGHTS_TEXT_BYTES - size, "%s%s",
                                size == 0 ? "" : ",", names[i]);
            size += (size_t)more;
        }
    }
}
